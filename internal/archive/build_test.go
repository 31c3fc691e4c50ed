package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// topFolder is what GitHub puts around a repository's files.
const topFolder = "acme-orders-0a1b2c3/"

// tarEntry is an entry of a tarball; its zero type is a file.
type tarEntry struct {
	name, body string
	mode       int64
	kind       byte
	target     string
	uid        int
	time       time.Time
}

// makeTarball is a tarball as GitHub makes it; names are below its top folder.
func makeTarball(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	return rawTarball(t, append([]tarEntry{{name: topFolder, kind: tar.TypeDir}}, below(entries)...)...)
}

// below puts entries into the top folder.
func below(entries []tarEntry) []tarEntry {
	moved := make([]tarEntry, len(entries))
	for i, e := range entries {
		e.name = topFolder + e.name
		moved[i] = e
	}
	return moved
}

// rawTarball is a gzipped tarball with a global header and these entries.
func rawTarball(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header",
		PAXRecords: map[string]string{"comment": strings.Repeat("0a", 20)}}))
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.target, Mode: e.mode,
			Size: int64(len(e.body)), Uid: e.uid, ModTime: e.time, Format: tar.FormatPAX}
		if e.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		if e.mode == 0 {
			header.Mode = 0o664
		}
		must(t, w.WriteHeader(header))
		_, err := w.Write([]byte(e.body))
		must(t, err)
	}
	must(t, w.Close())
	must(t, zipped.Close())
	return out.Bytes()
}

// zipEntry is an entry of a zip; its zero mode says nothing about the mode.
type zipEntry struct {
	name, body string
	mode       fs.FileMode
	method     uint16
	edit       func(*zip.FileHeader)
}

// makeZip is a zip as many programs make it. Entries with an edit are written as
// their header says after it.
func makeZip(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: e.method}
		if e.mode != 0 {
			header.SetMode(e.mode)
		}
		create := w.CreateHeader
		if e.edit != nil {
			header.CRC32 = crcOf(e.body)
			header.CompressedSize64, header.UncompressedSize64 = uint64(len(e.body)), uint64(len(e.body))
			e.edit(header)
			create = w.CreateRaw
		}
		entry, err := create(header)
		must(t, err)
		if e.body != "" {
			_, err = entry.Write([]byte(e.body))
			must(t, err)
		}
	}
	must(t, w.Close())
	return out.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inspect is Inspect of bytes.
func inspect(t testing.TB, data []byte, limits Limits) (Info, error) {
	t.Helper()
	return Inspect(t.Context(), bytes.NewReader(data), int64(len(data)), limits)
}

// fromTarball is FromTarball of bytes, and the zip.
func fromTarball(t testing.TB, tarball []byte, dir string) ([]byte, Info, error) {
	t.Helper()
	var out bytes.Buffer
	info, err := FromTarball(t.Context(), bytes.NewReader(tarball), dir, &out, Options{TempDir: t.TempDir()})
	return out.Bytes(), info, err
}

// wantError checks an error's kind and that its text has all the parts.
func wantError(t *testing.T, err error, kind release.Kind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of kind %q with %q", kind, parts)
	}
	var e *release.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("error %v has kind %q, want %q", err, release.KindOf(err), kind)
	}
	text := err.Error() + "\n" + release.RemedyOf(err)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("error and remedy are\n%s\nwant %q in them", text, part)
		}
	}
}
