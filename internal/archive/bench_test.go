package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A tree of 250 MB: 1,000 files of a quarter of a megabyte, of which half can be
// compressed to a half, and the rest not at all.
const (
	benchFiles    = 1000
	benchFileSize = 262_000
)

// BenchmarkFromTarball makes a zip of 250 MB of files, spooling included.
func BenchmarkFromTarball(b *testing.B) {
	tarball := benchTarball(b)
	b.SetBytes(benchFiles * benchFileSize)
	measured(b, func() {
		in := open(b, tarball)
		defer in.Close()
		out, err := os.Create(filepath.Join(b.TempDir(), "out.zip"))
		must(b, err)
		defer out.Close()
		_, err = FromTarball(b.Context(), in, "layer", out, Options{TempDir: b.TempDir()})
		must(b, err)
	})
}

// BenchmarkInspect checks a zip of 250 MB of files.
func BenchmarkInspect(b *testing.B) {
	in := open(b, benchTarball(b))
	defer in.Close()
	packed, err := os.Create(filepath.Join(b.TempDir(), "in.zip"))
	must(b, err)
	defer packed.Close()
	info, err := FromTarball(b.Context(), in, "layer", packed, Options{TempDir: b.TempDir()})
	must(b, err)
	b.SetBytes(benchFiles * benchFileSize)
	measured(b, func() {
		got, err := Inspect(b.Context(), packed, info.Size, Limits{})
		must(b, err)
		if !equalInfo(got, info) {
			b.Fatalf("inspected as %+v, want %+v", got, info)
		}
	})
}

// measured runs the loop and reports the most heap that was in use, and the most
// memory that was resident since the process began.
func measured(b *testing.B, run func()) {
	runtime.GC()
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				done <- peak
				return
			case <-ticker.C:
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				peak = max(peak, stats.HeapInuse)
			}
		}
	}()
	for b.Loop() {
		run()
	}
	close(stop)
	b.ReportMetric(float64(<-done)/(1<<20), "peak-heap-MiB")
	if kib := peakRSS(b); kib > 0 {
		b.ReportMetric(float64(kib)/1024, "peak-RSS-MiB")
	}
}

// peakRSS is the process's peak resident memory in KiB, 0 where there is no /proc.
func peakRSS(b *testing.B) (kib int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Logf("peak memory is unknown: %v", err)
	}
	return kib
}

// benchTarball writes the tree as a tarball and answers its path.
func benchTarball(b *testing.B) string {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "tree.tar.gz"))
	must(b, err)
	defer file.Close()
	buffered := bufio.NewWriter(file)
	zipped, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	must(b, err)
	w := tar.NewWriter(zipped)
	random := rand.NewChaCha8([32]byte{1})
	for i := range benchFiles {
		must(b, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Size: benchFileSize,
			Name: fmt.Sprintf("%slayer/python/package%02d/module%04d.py", topFolder, i%40, i)}))
		var to io.Writer = w
		size := int64(benchFileSize)
		if i%2 == 0 {
			to, size = hex.NewEncoder(w), size/2
		}
		_, err := io.CopyN(to, random, size)
		must(b, err)
	}
	must(b, w.Close())
	must(b, zipped.Close())
	must(b, buffered.Flush())
	return file.Name()
}

func open(b *testing.B, name string) *os.File {
	b.Helper()
	file, err := os.Open(name)
	must(b, err)
	return file
}
