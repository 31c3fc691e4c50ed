package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// The large artifact: 250 MB in files of a quarter of a megabyte.
const (
	largeFiles    = 1000
	largeFileSize = 250_000
	largeSize     = largeFiles * largeFileSize
)

func largeName(i int) string { return fmt.Sprintf("python/package%02d/module%04d.py", i%40, i) }

// writeLargeZip writes a zip of 250 MB that cannot be compressed.
func writeLargeZip(to io.Writer) error {
	w := zip.NewWriter(to)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	random := rand.NewChaCha8([32]byte{1})
	for i := range largeFiles {
		f, err := w.Create(largeName(i))
		if err != nil {
			return err
		}
		if _, err := io.CopyN(f, random, largeFileSize); err != nil {
			return err
		}
	}
	return w.Close()
}

// writeLargeTarball writes a repository of 250 MB as GitHub serves it; every
// second file can be compressed to a half.
func writeLargeTarball(to io.Writer) error {
	zipped, err := gzip.NewWriterLevel(to, gzip.NoCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(zipped)
	random := rand.NewChaCha8([32]byte{1})
	for i := range largeFiles {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Size: largeFileSize, Name: "acme-orders-0123456/layer/" + largeName(i)}); err != nil {
			return err
		}
		var content io.Writer = w
		size := int64(largeFileSize)
		if i%2 == 0 {
			content, size = hex.NewEncoder(w), size/2
		}
		if _, err := io.CopyN(content, random, size); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// peakRSS is the most memory in KiB that was resident since the process began,
// or since the last resetPeak (Linux, proc(5): VmHWM).
func peakRSS(t testing.TB) (kib int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("peak memory is unknown: %v", err)
	}
	return kib
}

// resetPeak forgets the peak where the system can do that (Linux, proc(5): clear_refs).
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
