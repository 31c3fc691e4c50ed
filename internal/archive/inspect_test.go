package archive

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

func crcOf(body string) uint32 { return crc32.ChecksumIEEE([]byte(body)) }

func equalInfo(a, b Info) bool { return reflect.DeepEqual(a, b) }

func TestInspectRefusesEntries(t *testing.T) {
	const symlink, file = fs.ModeSymlink | 0o777, fs.FileMode(0o644)
	a := zipEntry{name: "a", body: "x"}
	link := func(name, target string) zipEntry { return zipEntry{name: name, body: target, mode: symlink} }
	edited := func(edit func(*zip.FileHeader)) zipEntry { return zipEntry{name: "odd", body: "content", edit: edit} }
	tests := []struct {
		name    string
		entries []zipEntry
		parts   []string
	}{
		{"an absolute name", []zipEntry{{name: "/etc/passwd"}}, []string{`"/etc/passwd"`, "absolute"}},
		{"a name that climbs", []zipEntry{{name: "a/../../b"}}, []string{`"a/../../b"`, `".."`}},
		{"a name that ends in dots", []zipEntry{{name: "a/.."}}, []string{`"a/.."`}},
		{"a backslash", []zipEntry{{name: `python\a.py`}}, []string{"backslash"}},
		{"an empty name", []zipEntry{{name: ""}}, []string{"empty"}},
		{"a NUL", []zipEntry{{name: "a\x00b"}}, []string{`"a\x00b"`, "NUL"}},
		{"a name that is not UTF-8", []zipEntry{{name: "gr\xf6\xdfe"}}, []string{"UTF-8"}},
		{"a name longer than Linux takes", []zipEntry{{name: strings.Repeat("n", 256)}}, []string{"256 bytes", "at most 255"}},
		{"a path longer than Linux takes", []zipEntry{{name: strings.Repeat("n/", 2048) + "x"}}, []string{"4097 bytes", "at most 4096"}},
		{"a file that is the top", []zipEntry{{name: "."}}, []string{`"."`, "top"}},
		{"a name twice", []zipEntry{a, a}, []string{`"a"`, "twice"}},
		{"a name twice, written differently", []zipEntry{a, {name: "./a"}}, []string{`"a"`, "twice"}},
		{"a directory twice", []zipEntry{{name: "d/"}, {name: "d/"}}, []string{`"d"`, "twice"}},
		{"a file and then a directory of its name", []zipEntry{a, {name: "a/"}}, []string{`"a"`, "both a directory and not one"}},
		{"a directory and then a file of its name", []zipEntry{{name: "a/"}, a}, []string{`"a"`, "both a directory and not one"}},
		{"a file that others are in", []zipEntry{a, {name: "a/b"}}, []string{`"a/b"`, `"a"`, "which is a file"}},
		{"a file after what is in it", []zipEntry{{name: "a/b/c"}, a}, []string{`"a"`, "both a directory and not one"}},
		{"a link that others are in", []zipEntry{link("a", "b"), {name: "a/x"}}, []string{`"a/x"`, "which is a symbolic link"}},
		{"a link after what is in it", []zipEntry{{name: "a/x"}, link("a", "b")}, []string{`"a"`, "both a directory and not one"}},
		{"a link out of the archive", []zipEntry{link("d/a", "../../x")}, []string{`"d/a"`, `"../../x"`, "leaves the archive"}},
		{"a link to an absolute path", []zipEntry{link("a", "/etc")}, []string{`"/etc"`, "absolute"}},
		{"a link out by way of another", []zipEntry{link("d/top", ".."), link("d/out", "top/../x")}, []string{`"d/out"`, "leaves the archive"}},
		{"links in a circle", []zipEntry{link("a", "b"), link("b", "a")}, []string{`"a"`, "40 links"}},
		{"a link to nothing", []zipEntry{link("a", "")}, []string{`"a"`, "is empty"}},
		{"a link with a NUL", []zipEntry{link("a", "b\x00c")}, []string{`"a"`, "NUL"}},
		{"a link of a book's length", []zipEntry{{name: "a", edit: func(h *zip.FileHeader) { h.SetMode(symlink); h.UncompressedSize64 = 5000 }}}, []string{"5000 bytes"}},
		{"a link that says it is made on DOS", []zipEntry{{name: "a", body: "/etc", edit: func(h *zip.FileHeader) { h.SetMode(symlink); h.CreatorVersion = 20 }}}, []string{`"/etc"`}},
		{"a device", []zipEntry{{name: "null", mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}}, []string{`"null"`, "want a file"}},
		{"a pipe", []zipEntry{{name: "p", mode: fs.ModeNamedPipe | 0o644}}, []string{`"p"`, "want a file"}},
		{"a socket", []zipEntry{{name: "s", mode: fs.ModeSocket | 0o644}}, []string{`"s"`, "want a file"}},
		{"a file with setuid", []zipEntry{{name: "su", mode: fs.ModeSetuid | 0o755}}, []string{`"su"`, "setuid"}},
		{"a directory without a slash", []zipEntry{{name: "d", mode: fs.ModeDir | 0o755, edit: func(h *zip.FileHeader) { h.Name = "d" }}}, []string{`"d"`, `want a "/"`}},
		{"a directory with content", []zipEntry{{name: "d/", edit: func(h *zip.FileHeader) { h.UncompressedSize64 = 7 }}}, []string{`"d/"`, "7 bytes"}},
		{"an encrypted entry", []zipEntry{edited(func(h *zip.FileHeader) { h.Flags |= 1 })}, []string{`"odd"`, "encrypted"}},
		{"a compression that Lambda does not know", []zipEntry{edited(func(h *zip.FileHeader) { h.Method = 93 })}, []string{`"odd"`, "zstd (93)", "deflate (8)"}},
		{"a compression that nobody knows", []zipEntry{edited(func(h *zip.FileHeader) { h.Method = 77 })}, []string{"method 77"}},
		{"a wrong checksum", []zipEntry{edited(func(h *zip.FileHeader) { h.CRC32++ })}, []string{`"odd"`, "checksum"}},
		{"a checksum of zero", []zipEntry{edited(func(h *zip.FileHeader) { h.CRC32 = 0 })}, []string{`"odd"`, "checksum"}},
		{"more content than it claims", []zipEntry{edited(func(h *zip.FileHeader) { h.UncompressedSize64 = 3 })}, []string{`"odd"`, "corrupt"}},
		{"less content than it claims", []zipEntry{edited(func(h *zip.FileHeader) { h.UncompressedSize64 = 300 })}, []string{`"odd"`, "truncated"}},
		{"content that is not deflated", []zipEntry{edited(func(h *zip.FileHeader) { h.Method = zip.Deflate })}, []string{`"odd"`}},
		{"content past the file's end", []zipEntry{edited(func(h *zip.FileHeader) { h.CompressedSize64, h.UncompressedSize64 = 9000, 9000 })}, []string{`"odd"`}},
		{"a file that claims to be huge", []zipEntry{edited(func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 40 })}, []string{`"odd"`, "262144000"}},
		{"files that claim to be huge together", []zipEntry{edited(func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 63 }), {name: "two", edit: func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 63 }}}, []string{"262144000"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			entries := append([]zipEntry{{name: "good", body: "good", mode: file}}, test.entries...)
			_, err := inspect(t, makeZip(t, entries...), Limits{})
			wantError(t, err, release.Invalid, test.parts...)
		})
	}
}

func TestInspectTellsAllNamesAtOnce(t *testing.T) {
	entries := []zipEntry{{name: "link", body: "/etc", mode: fs.ModeSymlink | 0o777}}
	for i := range 22 {
		entries = append(entries, zipEntry{name: fmt.Sprintf("../%02d", i)})
	}
	_, err := inspect(t, makeZip(t, entries[:4]...), Limits{})
	wantError(t, err, release.Invalid, "4 problems", `"../00"`, `"../01"`, `"../02"`, `"/etc"`)
	_, err = inspect(t, makeZip(t, entries...), Limits{})
	wantError(t, err, release.Invalid, "23 problems", `"../19"`, "and 3 more")
	if strings.Contains(err.Error(), `"../20"`) {
		t.Errorf("the refusal spells out more than 20 problems:\n%v", err)
	}
}

func TestInspectAccepts(t *testing.T) {
	tests := []struct {
		name    string
		entries []zipEntry
		entry   int
		bytes   int64
	}{
		{"nothing", nil, 0, 0},
		{"stored and deflated files", []zipEntry{{name: "a", body: "12345"}, {name: "b", body: "12345", method: zip.Deflate}}, 2, 10},
		{"directories of their own", []zipEntry{{name: "./"}, {name: "d/"}, {name: "d/a", body: "1"}}, 1, 1},
		{"a directory after what is in it", []zipEntry{{name: "d/e/a"}, {name: "d/"}, {name: "d/e/"}}, 1, 0},
		{"a leading dot", []zipEntry{{name: "./python/a.py", body: "1"}}, 1, 1},
		{"names that differ in case", []zipEntry{{name: "A"}, {name: "a"}}, 2, 0},
		{"dots that are not a parent", []zipEntry{{name: "..a/b..c/..."}}, 1, 0},
		{"a link up and down again", []zipEntry{{name: "d/l", body: "../e/x", mode: fs.ModeSymlink | 0o777}, {name: "e/x"}}, 2, 6},
		{"a link to what is not there", []zipEntry{{name: "l", body: "gone", mode: fs.ModeSymlink | 0o777}}, 1, 4},
		{"a link through a link", []zipEntry{{name: "l", body: "d", mode: fs.ModeSymlink | 0o777}, {name: "m", body: "l/../d/x", mode: fs.ModeSymlink | 0o777}, {name: "d/x"}}, 3, 9},
		{"a directory with setgid", []zipEntry{{name: "d/", mode: fs.ModeDir | fs.ModeSetgid | 0o775}}, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := makeZip(t, test.entries...)
			info, err := inspect(t, data, Limits{})
			must(t, err)
			if info.Entries != test.entry || info.UnzippedSize != test.bytes || info.Size != int64(len(data)) {
				t.Errorf("got %d entries, %d bytes unzipped, %d bytes, want %d, %d, %d",
					info.Entries, info.UnzippedSize, info.Size, test.entry, test.bytes, len(data))
			}
		})
	}
}

func TestInspectFindsTheSameTree(t *testing.T) {
	const symlink = fs.ModeSymlink | 0o777
	want, err := inspect(t, makeZip(t, zipEntry{name: "d/a", body: "A"}, zipEntry{name: "d/b", body: "B", mode: 0o755}, zipEntry{name: "l", body: "d/a", mode: symlink}), Limits{})
	must(t, err)
	tests := []struct {
		name    string
		entries []zipEntry
		same    bool
	}{
		{"compressed, in another order", []zipEntry{{name: "l", body: "d/a", mode: symlink, method: zip.Deflate}, {name: "d/b", body: "B", mode: 0o755, method: zip.Deflate}, {name: "d/a", body: "A", method: zip.Deflate}}, true},
		{"with entries for directories", []zipEntry{{name: "d/", mode: fs.ModeDir | 0o775}, {name: "d/a", body: "A"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: symlink}}, true},
		{"with other write permissions", []zipEntry{{name: "d/a", body: "A", mode: 0o664}, {name: "d/b", body: "B", mode: 0o555}, {name: "l", body: "d/a", mode: fs.ModeSymlink | 0o755}}, true},
		{"other content", []zipEntry{{name: "d/a", body: "a"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: symlink}}, false},
		{"other name", []zipEntry{{name: "d/A", body: "A"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: symlink}}, false},
		{"executable bit gone", []zipEntry{{name: "d/a", body: "A"}, {name: "d/b", body: "B", mode: 0o644}, {name: "l", body: "d/a", mode: symlink}}, false},
		{"readable by its owner only", []zipEntry{{name: "d/a", body: "A", mode: 0o600}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: symlink}}, false},
		{"other target", []zipEntry{{name: "d/a", body: "A"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/b", mode: symlink}}, false},
		{"file in place of the link", []zipEntry{{name: "d/a", body: "A"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: 0o777}}, false},
		{"one empty directory more", []zipEntry{{name: "d/a", body: "A"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: symlink}, {name: "e/"}}, false},
		{"a directory that nobody may enter", []zipEntry{{name: "d/", mode: fs.ModeDir | 0o700}, {name: "d/a", body: "A"}, {name: "d/b", body: "B", mode: 0o755}, {name: "l", body: "d/a", mode: symlink}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := inspect(t, makeZip(t, test.entries...), Limits{})
			must(t, err)
			if same := got.TreeDigest == want.TreeDigest; same != test.same {
				t.Errorf("same digest: %v, want %v", same, test.same)
			}
		})
	}
}

func TestInspectRefusesFiles(t *testing.T) {
	good := makeZip(t, zipEntry{name: "a", body: "content"}, zipEntry{name: "b", body: "more"})
	other := makeZip(t, zipEntry{name: "evil", body: "content"})
	localGone := bytes.Clone(good)
	copy(localGone[bytes.LastIndex(localGone, []byte(localSignature)):], "XXXX")
	twoNames := bytes.Clone(good)
	twoNames[bytes.LastIndex(twoNames, []byte(localSignature))+localHeaderSize] = '/'
	folderGone := makeZip(t, zipEntry{name: "a", body: "content"}, zipEntry{name: "folder/"})
	copy(folderGone[bytes.LastIndex(folderGone, []byte(localSignature)):], "XXXX")
	beforeStart := makeZip(t, zipEntry{name: "folder/"}, zipEntry{name: "a", body: "content"})
	shift := uint32(localHeaderSize + len("folder/")) // both entries seem to begin that much earlier
	at := bytes.LastIndex(beforeStart, []byte(endSignature)) + 16
	binary.LittleEndian.PutUint32(beforeStart[at:], binary.LittleEndian.Uint32(beforeStart[at:])+shift)
	tests := []struct {
		name  string
		data  []byte
		parts []string
	}{
		{"nothing at all", nil, []string{"corrupt, or of another format"}},
		{"something else", []byte("<html>not a zip</html>"), []string{"another format"}},
		{"a zip that is cut off", good[:len(good)-30], []string{"another format"}},
		{"a zip whose start is gone", good[20:], []string{"zip archive"}},
		{"a script before the zip", append([]byte("#!/bin/sh\n"), good...), []string{"data before its first entry"}},
		{"a zip before the zip", append(bytes.Clone(other), good...), []string{"data before its first entry"}},
		{"data before an empty zip", append([]byte("data"), makeZip(t)...), []string{"data before"}},
		{"an entry without its header", localGone, []string{`"b"`, "another format"}},
		{"an entry with two names", twoNames, []string{`"b"`, "another name"}},
		{"a folder without its header", folderGone, []string{`"folder/"`, "another format"}},
		{"a directory that leads before the start", beforeStart, []string{"zip archive"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := inspect(t, test.data, Limits{})
			wantError(t, err, release.Invalid, test.parts...)
		})
	}
}

func TestInspectReadsZip64(t *testing.T) {
	// Some programs write zip64 fields for small files too.
	const extra = "\x01\x00\x10\x00" + "\x07\x00\x00\x00\x00\x00\x00\x00" + "\x07\x00\x00\x00\x00\x00\x00\x00"
	data := makeZip(t, zipEntry{name: "a", body: "content", edit: func(h *zip.FileHeader) { h.Extra = []byte(extra) }})
	at := bytes.Index(data, []byte(directorySignature))
	copy(data[at+20:], "\xff\xff\xff\xff\xff\xff\xff\xff") // both sizes are in the extra field
	info, err := inspect(t, data, Limits{})
	must(t, err)
	if info.UnzippedSize != 7 {
		t.Errorf("unzipped size is %d, want 7", info.UnzippedSize)
	}
}

func TestInspectLimits(t *testing.T) {
	two := []zipEntry{{name: "a", body: strings.Repeat("x", 60)}, {name: "b", body: strings.Repeat("x", 40)}}
	deep := zipEntry{name: strings.Repeat("d/", 50) + "x"}
	tests := []struct {
		name    string
		entries []zipEntry
		limits  Limits
		parts   []string // none: it fits
	}{
		{"exactly as large as allowed", two, Limits{Unzipped: 100, Entries: 2}, nil},
		{"one byte too many", two, Limits{Unzipped: 99}, []string{`"b"`, "at most 99 bytes"}},
		{"one entry too many", two, Limits{Entries: 1}, []string{"2 entries, want at most 1"}},
		{"names that imply too many directories", []zipEntry{deep}, Limits{Entries: 10}, []string{"more than 20 files and directories"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := inspect(t, makeZip(t, test.entries...), test.limits)
			if test.parts == nil {
				must(t, err)
				return
			}
			wantError(t, err, release.Invalid, test.parts...)
		})
	}
}

func TestInspectCountsRealBytes(t *testing.T) {
	// Ten megabytes of zeros that claim to be 100 bytes.
	data := makeZip(t, zipEntry{name: "bomb", body: strings.Repeat("\x00", 10<<20), method: zip.Deflate})
	at := bytes.Index(data, []byte(directorySignature))
	copy(data[at+24:], "\x64\x00\x00\x00")
	_, err := inspect(t, data, Limits{Unzipped: 1000})
	wantError(t, err, release.Invalid, `"bomb"`)
}

func TestInspectStopsAtHugeDirectories(t *testing.T) {
	var entries []zipEntry
	for i := range 20_000 {
		entries = append(entries, zipEntry{name: fmt.Sprint(i)})
	}
	data := makeZip(t, entries...)
	counted := &countingReaderAt{Reader: bytes.NewReader(data)}
	_, err := Inspect(t.Context(), counted, int64(len(data)), Limits{Entries: 100})
	wantError(t, err, release.Invalid, "more than 100 entries, want at most 100")
	if directory := int64(20_000 * 50); counted.n > directory/3 {
		t.Errorf("read %d bytes of a directory of about %d, want it to stop early", counted.n, directory)
	}
}

// countingReaderAt counts what is read.
type countingReaderAt struct {
	*bytes.Reader
	n int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

func TestInspectThatCannotRead(t *testing.T) {
	lost := errors.New("bucket on fire")
	_, err := Inspect(t.Context(), failing{lost}, 1000, Limits{})
	wantError(t, err, release.Transient, "bucket on fire")
	if !errors.Is(err, lost) {
		t.Errorf("error %v does not wrap its cause", err)
	}

	data := makeZip(t, zipEntry{name: "a", body: "x"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Inspect(ctx, bytes.NewReader(data), int64(len(data)), Limits{})
	wantError(t, err, release.Transient)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation the error is %v, want %v in it", err, context.Canceled)
	}
}

func TestInfoSurvivesJSON(t *testing.T) {
	_, want, err := fromTarball(t, makeTarball(t, exampleTree...), "layer")
	must(t, err)
	text, err := json.Marshal(want)
	must(t, err)
	var got Info
	must(t, json.Unmarshal(text, &got))
	if !equalInfo(got, want) {
		t.Errorf("after JSON it is %+v, want %+v", got, want)
	}
}

func TestSHA256InLambdasForm(t *testing.T) {
	info := Info{SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	if got, want := info.SHA256Base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (Info{SHA256: "zz"}).SHA256Base64(); got != "" {
		t.Errorf("of what is not hex: got %q, want nothing", got)
	}
}
