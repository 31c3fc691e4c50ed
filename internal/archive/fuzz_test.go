package archive

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzInspect checks that what is accepted is harmless to unpack, however it is
// written, and that what is refused is refused without a panic.
func FuzzInspect(f *testing.F) {
	const symlink = fs.ModeSymlink | 0o777
	stored := func(edit func(*zip.FileHeader)) zipEntry { return zipEntry{name: "a", body: "content", edit: edit} }
	for _, entries := range [][]zipEntry{
		nil,
		{{name: "python/"}, {name: "python/a.py", body: "print()", method: zip.Deflate, mode: 0o755}},
		{{name: "d/l", body: "../x", mode: symlink}, {name: "x", body: strings.Repeat("x", 500), method: zip.Deflate}},
		{stored(func(h *zip.FileHeader) { h.Name = "nodejs/a.js" }), {name: "größe"}},
		{stored(func(h *zip.FileHeader) { h.Extra = []byte("\x01\x00\x08\x00\x07\x00\x00\x00\x00\x00\x00\x00") })},
		{{name: "l", body: "m", mode: symlink}, {name: "m", body: "l", mode: symlink}, {name: "a"}, {name: "a/b"}},
	} {
		f.Add(makeZip(f, entries...))
	}
	limits := Limits{Unzipped: 1 << 20, Entries: 100}
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := inspect(t, data, limits)
		if err != nil {
			return
		}
		if again, err := inspect(t, data, limits); err != nil || !equalInfo(again, info) {
			t.Fatalf("a second look gives %+v (%v), want %+v", again, err, info)
		}
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		must(t, err)
		var total int64
		entries := 0
		for _, file := range r.File {
			if !filepath.IsLocal(file.Name) {
				t.Errorf("accepted the name %q", file.Name)
			}
			if strings.HasSuffix(file.Name, "/") {
				continue
			}
			entries++
			total += int64(file.UncompressedSize64)
		}
		if entries != info.Entries || total != info.UnzippedSize || total > limits.Unzipped {
			t.Errorf("accepted %d entries of %d bytes as %d of %d", entries, total, info.Entries, info.UnzippedSize)
		}
	})
}

// FuzzGlob checks that no pattern takes us out of its bounds.
func FuzzGlob(f *testing.F) {
	for _, test := range ignoreCases {
		f.Add(test.rules, strings.ReplaceAll(test.files, "|", ""))
	}
	f.Fuzz(func(t *testing.T, rules, name string) {
		clean, err := canonical(name)
		if err != nil || clean == "." {
			return
		}
		ignored := ignoredOf(map[string]string{".": rules}, []string{clean})
		if len(ignored) > 0 && !strings.ContainsFunc(rules, func(r rune) bool { return r != '\n' && r != '#' && r != '!' }) {
			t.Errorf("rules %q ignore %q", rules, clean)
		}
	})
}
