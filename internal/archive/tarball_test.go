package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// exampleTree is a small directory with everything that a zip keeps.
var exampleTree = []tarEntry{
	{name: "README.md", body: "not part of the layer\n"},
	{name: "layer/", kind: tar.TypeDir},
	{name: "layer/bin/tool", body: "#!/bin/sh\necho ahoy\n", mode: 0o775},
	{name: "layer/python/orders/__init__.py", body: strings.Repeat("tagboat = 'on the way'\n", 100)},
	{name: "layer/python/orders/empty.py"},
	{name: "layer/python/größe.txt", body: "unicode\n"},
	{name: "layer/python/latest", kind: tar.TypeSymlink, target: "orders", mode: 0o777},
	{name: "layer/python/" + strings.Repeat("long/", 60) + "name.txt", body: "needs a pax record\n"},
}

// Of exampleTree's directory "layer". The tree's digest may never change: it is
// what published layers are found by. The zip's may change with a Go release
// that compresses differently, and then only together with such a release.
const (
	exampleTreeDigest = "87b8e01ca04f7b2b7bb1e02a1cb3ec49a674d721e11cdd0774e3472d9a35d58b"
	exampleSHA256     = "64d75d495359cef05a5735ad4b8bdffe1abd5b80f299efec89e737d98f31e5df"
)

func TestTarballGoldenBytes(t *testing.T) {
	_, info, err := fromTarball(t, makeTarball(t, exampleTree...), "layer")
	must(t, err)
	if info.TreeDigest != exampleTreeDigest {
		t.Errorf("tree digest is %s, want %s: published layers would not be found again", info.TreeDigest, exampleTreeDigest)
	}
	if info.SHA256 != exampleSHA256 {
		t.Errorf("zip's sha256 is %s, want %s: has compress/flate changed?", info.SHA256, exampleSHA256)
	}
}

func TestSameTreeGivesSameBytes(t *testing.T) {
	want, _, err := fromTarball(t, makeTarball(t, exampleTree...), "layer")
	must(t, err)
	variants := map[string]func([]tarEntry){
		"in reverse order": slices.Reverse[[]tarEntry],
		"with other times": func(entries []tarEntry) {
			for i := range entries {
				entries[i].time = time.Date(2001+i, 2, 3, 4, 5, 6, 7, time.UTC)
			}
		},
		"of another user": func(entries []tarEntry) {
			for i := range entries {
				entries[i].uid = 1000 + i
			}
		},
		"with another umask": func(entries []tarEntry) {
			for i := range entries {
				if entries[i].mode&0o100 != 0 {
					entries[i].mode = 0o700
				} else {
					entries[i].mode = 0o600
				}
			}
		},
	}
	for name, change := range variants {
		t.Run(name, func(t *testing.T) {
			entries := slices.Clone(exampleTree)
			change(entries)
			got, _, err := fromTarball(t, makeTarball(t, entries...), "layer")
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("the zip differs: %d bytes, want the same %d", len(got), len(want))
			}
		})
	}
}

func TestTarballKeepsLinksAndModes(t *testing.T) {
	data, _, err := fromTarball(t, makeTarball(t, exampleTree...), "./layer/")
	must(t, err)
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	got := map[string]fs.FileMode{}
	for _, f := range r.File {
		got[f.Name] = f.Mode()
		if y, m, d := f.Modified.UTC().Date(); y != 1980 || m != 1 || d != 1 || len(f.Extra) > 0 {
			t.Errorf("%q has time %v and extra %q, want 1980-01-01 and nothing", f.Name, f.Modified, f.Extra)
		}
	}
	for name, want := range map[string]fs.FileMode{
		"bin/tool":                  0o755,
		"python/orders/__init__.py": 0o644,
		"python/größe.txt":          0o644,
		"python/latest":             fs.ModeSymlink | 0o777,
	} {
		if got[name] != want {
			t.Errorf("%q has mode %v, want %v", name, got[name], want)
		}
	}
	if _, there := got["README.md"]; there || len(got) != 6 {
		t.Errorf("the zip holds %v, want the six entries of the directory", got)
	}
	if body, err := fs.ReadFile(r, "python/orders/__init__.py"); err != nil || string(body) != exampleTree[3].body {
		t.Errorf("content is %q (%v), want that of the tarball", body, err)
	}
}

func TestInspectAgreesWithTarball(t *testing.T) {
	for _, dir := range []string{"", ".", "layer", "layer/python", "layer/python/orders"} {
		data, want, err := fromTarball(t, makeTarball(t, exampleTree...), dir)
		must(t, err)
		got, err := inspect(t, data, Limits{})
		must(t, err)
		if !equalInfo(got, want) {
			t.Errorf("directory %q: inspected as\n%+v\nwant\n%+v", dir, got, want)
		}
	}
}

func TestTarballLeavesNothingBehind(t *testing.T) {
	temp := t.TempDir()
	for _, dir := range []string{"layer", "nowhere"} {
		FromTarball(t.Context(), bytes.NewReader(makeTarball(t, exampleTree...)), dir, io.Discard, Options{TempDir: temp}) // either end
	}
	left, err := os.ReadDir(temp)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
}

func TestTarballHonoursIgnoreFiles(t *testing.T) {
	data, _, err := fromTarball(t, makeTarball(t,
		tarEntry{name: "src/!first.pyc"}, // comes before the file that ignores it
		tarEntry{name: "src/.tagboatignore", body: "*.pyc\n/tests/\n!keep.pyc\n"},
		tarEntry{name: "src/a.py"}, tarEntry{name: "src/a.pyc"}, tarEntry{name: "src/keep.pyc"},
		tarEntry{name: "src/lib/.tagboatignore", body: "*\n!*.so\n"},
		tarEntry{name: "src/lib/x.so"}, tarEntry{name: "src/lib/x.c"}, tarEntry{name: "src/lib/tests"},
		tarEntry{name: "src/tests/keep.pyc"}, tarEntry{name: "src/tests/device", kind: tar.TypeChar},
		tarEntry{name: ".tagboatignore", body: "*\n"}, // is not in the directory
	), "src")
	must(t, err)
	if got, want := strings.Join(namesIn(t, data), " "), "a.py keep.pyc lib/x.so"; got != want {
		t.Errorf("the zip holds %q, want %q", got, want)
	}
}

func TestTarballRefuses(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
	file := tarEntry{name: "layer/python/a.py"}
	tests := []struct {
		name    string
		entries []tarEntry
		dir     string
		kind    release.Kind
		parts   []string
	}{
		{"a directory that is misspelt", []tarEntry{file}, "layr", release.NotFound, []string{`"layr"`, `nearest directories are "layer"`}},
		{"a directory that is elsewhere", []tarEntry{file}, "deps/python", release.NotFound, []string{`"layer/python"`}},
		{"a directory unlike any other", []tarEntry{file}, "layer/completely-different", release.NotFound, []string{`directories in "layer" are "layer/python"`}},
		{"a directory that is a file", []tarEntry{file}, "layer/python/a.py", release.NotFound, []string{`"layer/python/a.py" is a file`}},
		{"a directory behind a link", []tarEntry{file, {name: "l", kind: tar.TypeSymlink, target: "layer"}}, "l/python", release.NotFound, []string{`"l" is a symbolic link to "layer"`}},
		{"a directory outside of the repository", []tarEntry{file}, "../etc", release.Invalid, []string{`".."`}},
		{"an absolute directory", []tarEntry{file}, "/layer", release.Invalid, []string{"absolute"}},
		{"an empty directory", []tarEntry{{name: "sub/", kind: tar.TypeDir}}, "sub", release.Invalid, []string{`"sub" is empty`, "submodule"}},
		{"a directory of which nothing is left", []tarEntry{file, {name: "layer/.tagboatignore", body: "*\n"}}, "layer", release.Invalid, []string{"all of its 1 files"}},
		{"a Git LFS pointer", []tarEntry{{name: "layer/model.bin", body: pointer}}, "layer", release.Invalid, []string{`"model.bin"`, "Git LFS"}},
		{"a hard link", []tarEntry{file, {name: "layer/h", kind: tar.TypeLink, target: "layer/python/a.py"}}, "layer", release.Invalid, []string{`"h"`, "hard link"}},
		{"a device", []tarEntry{file, {name: "layer/null", kind: tar.TypeChar}}, "layer", release.Invalid, []string{`"null"`, "tar type"}},
		{"a link out of the directory", []tarEntry{file, {name: "layer/up", kind: tar.TypeSymlink, target: "../README.md"}}, "layer", release.Invalid, []string{`"up"`, `"../README.md"`, "leaves the archive"}},
		{"an absolute link", []tarEntry{{name: "layer/abs", kind: tar.TypeSymlink, target: "/etc/passwd"}}, "layer", release.Invalid, []string{`"abs"`, `"/etc/passwd"`}},
		{"a name that climbs", []tarEntry{file, {name: "layer/../../x"}}, "layer", release.Invalid, []string{`"../../x"`}},
		{"a backslash in a name", []tarEntry{{name: `layer/a\b`}}, "layer", release.Invalid, []string{"backslash"}},
		{"a name twice", []tarEntry{file, file}, "layer", release.Invalid, []string{"twice"}},
		{"an ignore file that is a link", []tarEntry{file, {name: "layer/.tagboatignore", kind: tar.TypeSymlink, target: "x"}}, "layer", release.Invalid, []string{"regular file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := fromTarball(t, makeTarball(t, test.entries...), test.dir)
			wantError(t, err, test.kind, test.parts...)
		})
	}
}

func TestTarballToldAllAtOnce(t *testing.T) {
	var entries []tarEntry
	for i := range 25 {
		entries = append(entries, tarEntry{name: "d/" + string(rune('a'+i)), kind: tar.TypeFifo})
	}
	_, _, err := fromTarball(t, makeTarball(t, entries...), "d")
	wantError(t, err, release.Invalid, "25 problems", `"a"`, `"t"`, "and 5 more")
}

func TestTarballOfAnotherShape(t *testing.T) {
	whole := makeTarball(t, exampleTree...)
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-5] ^= 0xff
	tests := []struct {
		name    string
		tarball []byte
		parts   []string
	}{
		{"nothing at all", nil, []string{"truncated"}},
		{"not gzipped", []byte("<html>rate limited</html>"), []string{"not gzipped"}},
		{"cut off", whole[:len(whole)/2], []string{"truncated"}},
		{"with a wrong checksum", damaged, []string{"checksum"}},
		{"with two top folders", rawTarball(t, tarEntry{name: "a/x"}, tarEntry{name: "b/x"}), []string{`"b/x"`, "one folder"}},
		{"without a top folder", rawTarball(t, tarEntry{name: "x"}), []string{`"x"`, "one folder"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := fromTarball(t, test.tarball, "layer")
			wantError(t, err, release.Invalid, test.parts...)
		})
	}
}

func TestTarballLimits(t *testing.T) {
	entries := []tarEntry{
		{name: "d/small", body: "1"}, {name: "d/large", body: strings.Repeat("x", 500)}, {name: "d/medium", body: strings.Repeat("x", 99)},
	}
	tests := []struct {
		name   string
		limits Limits
		parts  []string // none: it fits
	}{
		{"exactly as large as allowed", Limits{Unzipped: 600, Entries: 3}, nil},
		{"one byte too many", Limits{Unzipped: 599}, []string{`"d" has 600 bytes, want at most 599`, `largest files are "large" (500), "medium" (99)`, IgnoreFile}},
		{"one file too many", Limits{Entries: 2}, []string{"3 files, want at most 2"}},
		{"too much to look at", Limits{Unzipped: 100}, []string{"before ignored files"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := FromTarball(t.Context(), bytes.NewReader(makeTarball(t, entries...)), "d", io.Discard,
				Options{Limits: test.limits, TempDir: t.TempDir()})
			if test.parts == nil {
				must(t, err)
				return
			}
			wantError(t, err, release.Invalid, test.parts...)
		})
	}
}

func TestTarballThatCannotBeRead(t *testing.T) {
	lost := errors.New("connection reset")
	half := bytes.NewReader(makeTarball(t, exampleTree...)[:200])
	_, err := FromTarball(t.Context(), io.MultiReader(half, failing{lost}), "layer", io.Discard, Options{TempDir: t.TempDir()})
	wantError(t, err, release.Transient, "connection reset")
	if !errors.Is(err, lost) {
		t.Errorf("error %v does not wrap its cause", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = FromTarball(ctx, bytes.NewReader(makeTarball(t, exampleTree...)), "layer", io.Discard, Options{TempDir: t.TempDir()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation the error is %v, want %v in it", err, context.Canceled)
	}
}

func TestZipThatCannotBeWritten(t *testing.T) {
	_, err := FromTarball(t.Context(), bytes.NewReader(makeTarball(t, exampleTree...)), "layer", failing{errors.New("disk full")}, Options{TempDir: t.TempDir()})
	wantError(t, err, release.Internal, "disk full")
}

// failing reads, writes and seeks nothing.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)          { return 0, f.err }
func (f failing) Write([]byte) (int, error)         { return 0, f.err }
func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// namesIn are the names in a zip, in its order.
func namesIn(t *testing.T, data []byte) []string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	return names
}
