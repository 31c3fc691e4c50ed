package boltstore

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// patchSize is that of a change of a file: where (4 bytes) and what.
const patchSize = 5

// FuzzFile damages a state file anywhere, and cuts it off: it is refused and not
// changed, or what it says is what was stored. A record of any content that has
// its checksum is refused, or it is written as it was read.
func FuzzFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "damaged.db")
	var text string
	var raw []byte
	patch := func(at int, b byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(at)), b) }
	f.Add([]byte{}, uint32(0), "p", "s", []byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add(patch(40, 1), uint32(0), "p", "s", []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x70\xdb\xd8\x80{}"))
	f.Add(append(patch(4096+10, 9), patch(8192+8, 255)...), uint32(0), "p", "", []byte("cut off"))
	f.Add([]byte{}, uint32(4096), "", "s", []byte(nil))
	f.Add(bytes.Join([][]byte{patch(12288+8, 2), patch(12288+10, 1), patch(12288+16, 0x80)}, nil), uint32(1), "p\x00", "q", []byte("x"))
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, partition, sort string, value []byte) {
		if raw == nil {
			_, text, raw = filled(t)
		}
		checkRecord(t, ledger.Key{Partition: partition, Sort: sort}, value)
		damaged := bytes.Clone(raw)
		for ; len(patches) >= patchSize; patches = patches[patchSize:] {
			damaged[int(binary.BigEndian.Uint32(patches))%len(damaged)] ^= patches[patchSize-1]
		}
		damaged = damaged[:len(damaged)-int(cut)%len(damaged)]
		_ = os.Remove(path) // an earlier one may still be locked
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			if kind := release.KindOf(err); kind != release.Internal && kind != release.Invalid {
				t.Errorf("got the kind %q for a damaged file: %v", kind, err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, damaged) {
				t.Errorf("the refused file was changed (%v)", err)
			}
			return
		}
		if got, err := content(t.Context(), file); err == nil && got != text {
			t.Errorf("got %s\nwant %s", got, text)
		}
		if err := file.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
}

// checkRecord reads a document of any content behind a right checksum.
func checkRecord(t *testing.T, key ledger.Key, value []byte) {
	t.Helper()
	table := &Table{file: &File{path: "record"}}
	sealed := seal(bucketDocuments, documentKey(key), value)
	item, err := table.decode(key, sealed)
	if err != nil {
		wantKind(t, err, release.Internal)
		return
	}
	if again := encode(item); !bytes.Equal(again, value) {
		t.Errorf("%q is read as %+v and written as %q", value, item, again)
	}
	sealed[0] ^= 1
	if _, err := table.decode(key, sealed); err == nil {
		t.Errorf("%q was read with a wrong checksum", value)
	}
}
