package boltstore

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

// changePages changes every page of a kind: which of them are in use changes
// with each transaction.
func changePages(raw []byte, kind uint16, change func(page []byte)) {
	for at := 0; at < len(raw); at += os.Getpagesize() {
		page := raw[at : at+os.Getpagesize()]
		if binary.NativeEndian.Uint64(page) == uint64(at/os.Getpagesize()) && binary.NativeEndian.Uint16(page[8:]) == kind {
			change(page)
		}
	}
}

func TestPagesThatDoNotHangTogetherAreReportedAndNotFollowed(t *testing.T) {
	path := newPath(t)
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, file, 60) // more than one page of documents
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put16, put32, put64 := binary.NativeEndian.PutUint16, binary.NativeEndian.PutUint32, binary.NativeEndian.PutUint64
	tests := []struct {
		name   string
		kind   uint16
		change func(page []byte)
		want   string
	}{
		{"a branch that leads to itself", kindBranch, func(page []byte) { put64(page[pageHeader+8:], binary.NativeEndian.Uint64(page)) }, "in two places"},
		{"a branch that leads out of the file", kindBranch, func(page []byte) { put64(page[pageHeader+8:], 1<<40) }, "is named"},
		{"a branch with a key out of its page", kindBranch, func(page []byte) { put32(page[pageHeader:], 1<<30) }, "in the wrong place"},
		{"a leaf that continues over billions of pages", kindLeaf, func(page []byte) { put32(page[12:], 1<<31) }, "beyond the last"},
		{"a leaf with a value out of its page", kindLeaf, func(page []byte) { put32(page[pageHeader+12:], 1<<31) }, "in the wrong place"},
		{"a leaf with more elements than it has room for", kindLeaf, func(page []byte) { put16(page[10:], 0xfff0) }, "has room for"},
		{"a leaf with fewer elements than were written", kindLeaf, func(page []byte) { page[10]-- }, "in the wrong place"},
		{"a leaf that claims to be empty", kindLeaf, func(page []byte) { put16(page[10:], 0) }, "is not empty"},
		{"a leaf with a value that ends early", kindLeaf, func(page []byte) { page[pageHeader+12]-- }, "is damaged"},
		{"a page of another number", kindLeaf, func(page []byte) { put64(page, 7_777) }, "says that it is page 7777"},
		{"a page of no known kind", kindBranch, func(page []byte) { put16(page[8:], 0x40) }, "want a branch or a leaf"},
		{"a list of billions of free pages", kindFreelist, func(page []byte) { put16(page[10:], manyFree); put64(page[pageHeader:], 1<<40) }, "room for"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wrong := bytes.Clone(raw)
			changePages(wrong, test.kind, test.change)
			path := newPath(t)
			if err := os.WriteFile(path, wrong, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			wantKind(t, err, release.Internal)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}
