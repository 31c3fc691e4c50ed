package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

// fuzzLimits are small, so that inputs reach them.
var fuzzLimits = Limits{Unzipped: 1 << 20, Entries: 100}

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
		{{name: "bin/tool", body: "#!/bin/sh\n", mode: 0o755}, {name: "bin/link", body: "tool", mode: symlink}, {name: "empty/"}},
	} {
		f.Add(makeZip(f, entries...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := inspect(t, data, fuzzLimits)
		if err != nil {
			isRefusal(t, err)
			return
		}
		if again, err := inspect(t, data, fuzzLimits); err != nil || !equalInfo(again, info) {
			t.Fatalf("a second look gives %+v (%v), want %+v", again, err, info)
		}
		harmless(t, data, info)
	})
}

// FuzzTree packs a tree that is given as lines (kind, name, content or target),
// as a zip and as a repository's tarball: what is accepted is harmless to
// unpack, and what we pack of a tarball passes our own checks.
func FuzzTree(f *testing.F) {
	f.Add("dir layer\nfile layer/python/a.py print()\nlink layer/python/b a.py\nexec layer/bin/tool #!\n", "layer")
	f.Add("file a x\nlink d/up ..\nlink d/out up/up/a\nlink c d/up/a\n", "")
	f.Add("link a b\nlink b a\nfile a/x 1\n", ".")
	f.Add("file src/.tagboatignore *.pyc\nfile src/a.pyc x\nfile src/größe x\nhard src/h src/größe\npipe src/p\n", "./src/")
	f.Add("file \\x 1\nfile a/../../b 1\nfile /etc/passwd 1\nlink l /etc\nfile x//y/./z 1\n", "..")
	f.Fuzz(func(t *testing.T, lines, dir string) {
		entries := treeEntries(lines)
		data := makeZip(t, zipEntries(entries)...)
		if info, err := inspect(t, data, fuzzLimits); err == nil {
			harmless(t, data, info)
		} else {
			isRefusal(t, err)
		}
		var out bytes.Buffer
		tarball, ok := tryTarball(t, entries)
		if !ok {
			return
		}
		made, err := FromTarball(t.Context(), bytes.NewReader(tarball), dir, &out, Options{Limits: fuzzLimits, TempDir: t.TempDir()})
		if err != nil {
			if kind := release.KindOf(err); kind != release.Invalid && kind != release.NotFound {
				t.Errorf("got the kind %q, want a refusal: %v", kind, err)
			}
			return
		}
		seen, err := inspect(t, out.Bytes(), fuzzLimits)
		if err != nil || !equalInfo(seen, made) {
			t.Errorf("packed as %+v, inspected as %+v (%v)", made, seen, err)
		}
		harmless(t, out.Bytes(), made)
	})
}

// treeEntries reads lines of a kind, a name and a content or target.
func treeEntries(lines string) []tarEntry {
	kinds := map[string]tarEntry{
		"file": {mode: 0o644}, "exec": {mode: 0o755}, "dir": {kind: tar.TypeDir, mode: 0o755}, "link": {kind: tar.TypeSymlink},
		"hard": {kind: tar.TypeLink}, "pipe": {kind: tar.TypeFifo},
	}
	var entries []tarEntry
	for line := range strings.Lines(lines) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		e, known := kinds[kind]
		if !known || len(entries) > 150 {
			continue
		}
		name, rest, _ := strings.Cut(rest, " ")
		e.name = name
		switch e.kind {
		case 0:
			e.body = rest
		case tar.TypeDir:
			e.name += "/"
		default:
			e.target = rest
		}
		entries = append(entries, e)
	}
	return entries
}

// zipEntries are the same entries for a zip, but those that a zip cannot have.
func zipEntries(entries []tarEntry) []zipEntry {
	var zipped []zipEntry
	for _, e := range entries {
		switch e.kind {
		case 0:
			zipped = append(zipped, zipEntry{name: strings.TrimRight(e.name, "/"), body: e.body, mode: fs.FileMode(e.mode), method: zip.Deflate})
		case tar.TypeDir:
			zipped = append(zipped, zipEntry{name: e.name, mode: fs.ModeDir | fs.FileMode(e.mode)})
		case tar.TypeSymlink:
			zipped = append(zipped, zipEntry{name: strings.TrimRight(e.name, "/"), body: e.target, mode: fs.ModeSymlink | 0o777})
		}
	}
	return zipped
}

// tryTarball is the tarball of the entries; ok is false if tar has no form for them.
func tryTarball(t *testing.T, entries []tarEntry) (tarball []byte, ok bool) {
	writable := tar.NewWriter(&bytes.Buffer{})
	for _, e := range below(entries) {
		header := &tar.Header{Name: e.name, Typeflag: max(e.kind, tar.TypeReg), Linkname: e.target, Format: tar.FormatPAX}
		if writable.WriteHeader(header) != nil {
			return nil, false
		}
	}
	return rawTarball(t, below(entries)...), true
}

// isRefusal checks the error of an archive that is not taken.
func isRefusal(t *testing.T, err error) {
	t.Helper()
	if release.KindOf(err) != release.Invalid {
		t.Errorf("got the kind %q, want a refusal: %v", release.KindOf(err), err)
	}
	if len(err.Error()) > 64<<10 {
		t.Errorf("the refusal has %d bytes", len(err.Error()))
	}
}

// harmless unpacks an accepted zip as a program would that trusts it, and checks
// that it stays where it is unpacked and holds what was said of it.
func harmless(t *testing.T, data []byte, info Info) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer root.Close()
	var total int64
	entries := 0
	for _, file := range r.File {
		if !filepath.IsLocal(file.Name) {
			t.Errorf("accepted the name %q", file.Name)
		}
		if local, found := localName(data, file); found && local != file.Name {
			t.Errorf("accepted an entry that is %q in the directory and %q at its content", file.Name, local)
		}
		if !strings.HasSuffix(file.Name, "/") {
			entries++
			total += int64(file.UncompressedSize64)
		}
		unpack(t, root, file)
	}
	if entries != info.Entries || total != info.UnzippedSize || total > fuzzLimits.Unzipped || len(r.File) > fuzzLimits.Entries {
		t.Errorf("accepted %d entries of %d bytes as %d of %d", entries, total, info.Entries, info.UnzippedSize)
	}
	for _, file := range r.File {
		if _, err := root.Stat(path.Clean(file.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) && unixMode(file)&fs.ModeSymlink == 0 {
			t.Errorf("%q was unpacked and cannot be read: %v", file.Name, err)
		} else if err != nil && strings.Contains(err.Error(), "escapes") {
			t.Errorf("%q leads out of the archive: %v", file.Name, err)
		}
	}
}

// unpack writes one entry below root, as its header says.
func unpack(t *testing.T, root *os.Root, file *zip.File) {
	t.Helper()
	name := path.Clean(file.Name)
	reader, err := file.Open()
	must(t, err)
	content, err := io.ReadAll(reader)
	must(t, err)
	must(t, root.MkdirAll(path.Dir(name), 0o755))
	switch {
	case strings.HasSuffix(file.Name, "/"):
		must(t, root.MkdirAll(name, 0o755))
	case unixMode(file)&fs.ModeSymlink != 0:
		must(t, root.Symlink(string(content), name))
	default:
		must(t, root.WriteFile(name, content, 0o600))
	}
}

// localName is the name in front of an entry's content, which programs go by that
// read a zip from its beginning; false if it is somewhere else than usual.
func localName(data []byte, file *zip.File) (string, bool) {
	content, err := file.DataOffset()
	if err != nil {
		return "", false
	}
	for at := content - localHeaderSize; at >= 0; at-- {
		if header := data[at:content]; string(header[:4]) == localSignature {
			name := int(binary.LittleEndian.Uint16(header[localNameLength:]))
			extra := int(binary.LittleEndian.Uint16(header[localExtraLength:]))
			if localHeaderSize+name+extra == len(header) {
				return string(header[localHeaderSize:][:name]), true
			}
		}
	}
	return "", false
}

// FuzzGlob checks that ignore files mean the same however they are written, and
// that no pattern takes us out of its bounds.
func FuzzGlob(f *testing.F) {
	for _, test := range ignoreCases {
		f.Add(test.rules, strings.ReplaceAll(test.files, "|", ""))
	}
	f.Fuzz(func(t *testing.T, rules, name string) {
		clean, err := canonical(name)
		if err != nil || clean == "." {
			return
		}
		ignored := func(rules string) bool { return len(ignoredOf(map[string]string{".": rules}, []string{clean})) > 0 }
		got := ignored(rules)
		if got && !strings.ContainsFunc(rules, func(r rune) bool { return r != '\n' && r != '#' && r != '!' }) {
			t.Errorf("rules %q ignore %q", rules, clean)
		}
		for what, same := range map[string]string{
			"twice": rules + "\n" + strings.TrimPrefix(rules, "\ufeff"), "behind a comment": "# a comment\n" + strings.TrimPrefix(rules, "\ufeff"),
			"behind a byte order mark": "\ufeff" + strings.TrimPrefix(rules, "\ufeff"),
			"after others":             "**\n!**\n" + strings.TrimPrefix(rules, "\ufeff"),
		} {
			if ignored(same) != got {
				t.Errorf("rules %q ignore %q: %v, written %s: %v", rules, clean, got, what, !got)
			}
		}
		if !ignored(rules + "\n**") {
			t.Errorf("rules %q and then ** do not ignore %q", rules, clean)
		}
	})
}
