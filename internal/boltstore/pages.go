package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// The form of bbolt's pages, in the machine's own byte order (bbolt,
// internal/common/page.go, meta.go and bucket.go): a header with the page's
// number, its kind, how many elements it has and how many pages it continues over;
// then elements of 16 bytes, which say where their keys and values are.
const (
	elementSize  = 16
	bucketHeader = 16

	kindBranch   = 0x01
	kindLeaf     = 0x02
	kindFreelist = 0x10

	// manyFree: the number of free pages is the first of them.
	manyFree = 0xffff
	// noFreelist stands for a list of free pages that is not stored.
	noFreelist = ^uint64(0)
	// isBucket marks an element of a leaf that is a bucket.
	isBucket = 0x01
)

// pages reads the tree of pages of a file. bbolt takes the numbers in it for
// true: with wrong ones it goes around in circles, or asks for memory without end.
type pages struct {
	path string
	file *os.File
	size uint64 // of a page
	high uint64 // the number behind the last page
	seen map[uint64]bool
	// next are pages that were named and not read yet.
	next []uint64
}

// checkPages makes sure that the file's pages name each other soundly: each is
// in the file, is part of the tree once and holds what it says. Only its metas
// may have been read before.
func checkPages(path string, tx *bbolt.Tx) (err error) {
	if err := checkEnds(path, tx); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	p := &pages{path: path, file: file, size: uint64(tx.DB().Info().PageSize), seen: map[uint64]bool{}}
	free, err := p.newest()
	if err != nil {
		return err
	}
	if free != noFreelist {
		if err := p.freelist(free); err != nil {
			return err
		}
	}
	for len(p.next) > 0 {
		id := p.next[0]
		p.next = p.next[1:]
		page, err := p.read(id)
		if err == nil {
			err = p.elements(id, page)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// newest reads the meta of the last transaction and names the root; free is the
// page of the list of free ones.
func (p *pages) newest() (free uint64, err error) {
	var last uint64
	for page := range uint64(2) {
		meta := make([]byte, metaSize)
		if _, err := p.file.ReadAt(meta, int64(page*p.size+pageHeader)); err != nil {
			return 0, err
		}
		number := func(at int) uint64 { return binary.NativeEndian.Uint64(meta[at:]) }
		if transaction := number(48); page == 0 || transaction > last {
			last, free, p.high, p.next = transaction, number(32), number(40), []uint64{number(16)}
		}
	}
	return free, nil
}

// read reads a page with those that it continues over.
func (p *pages) read(id uint64) ([]byte, error) {
	if id < 2 || id >= p.high {
		return nil, p.damaged(id, "is named, and the file has pages 2 to %d", p.high-1)
	}
	head := make([]byte, pageHeader)
	if _, err := p.file.ReadAt(head, int64(id*p.size)); err != nil {
		return nil, err
	}
	if own := binary.NativeEndian.Uint64(head); own != id {
		return nil, p.damaged(id, "says that it is page %d", own)
	}
	further := uint64(binary.NativeEndian.Uint32(head[12:]))
	if further >= p.high-id {
		return nil, p.damaged(id, "continues over %d pages, beyond the last", further)
	}
	for i := range further + 1 {
		if p.seen[id+i] {
			return nil, p.damaged(id+i, "is in two places")
		}
		p.seen[id+i] = true
	}
	page := make([]byte, (further+1)*p.size)
	_, err := p.file.ReadAt(page, int64(id*p.size))
	return page, err
}

// freelist checks that the list of free pages is not longer than its page.
func (p *pages) freelist(id uint64) error {
	page, err := p.read(id)
	if err != nil {
		return err
	}
	if kind := binary.NativeEndian.Uint16(page[8:]); kind != kindFreelist {
		return p.damaged(id, "has the kind %#x, want the list of free pages", kind)
	}
	count, room := uint64(binary.NativeEndian.Uint16(page[10:])), uint64(len(page)-pageHeader)/8
	if count == manyFree {
		count, room = binary.NativeEndian.Uint64(page[pageHeader:]), room-1
	}
	if count > room {
		return p.damaged(id, "lists %d free pages, and has room for %d", count, room)
	}
	return nil
}

// elements checks the elements of a page, or of a small bucket inside of one,
// and names the pages that they lead to. Keys and values follow each other behind
// the elements, without a gap: with a wrong number of elements, or a wrong size,
// they would not, and some would be missing without a sign.
func (p *pages) elements(id uint64, page []byte) error {
	if len(page) < pageHeader {
		return p.damaged(id, "has a bucket that is cut off")
	}
	kind, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if kind != kindBranch && kind != kindLeaf {
		return p.damaged(id, "has the kind %#x, want a branch or a leaf", kind)
	}
	data := uint64(pageHeader + count*elementSize) // where the next element's is
	if data > uint64(len(page)) {
		return p.damaged(id, "has %d elements, more than it has room for", count)
	}
	if count == 0 && len(bytes.Trim(page[pageHeader:], "\x00")) > 0 {
		return p.damaged(id, "has no elements, and is not empty")
	}
	for i := range count {
		at := pageHeader + i*elementSize
		e := readElement(kind, page[at:])
		if uint64(at)+e.position != data || data+e.key+e.value > uint64(len(page)) {
			return p.damaged(id, "has element %d of %d in the wrong place", i, count)
		}
		value := page[data+e.key:][:e.value]
		data += e.key + e.value
		if err := p.follow(id, e, value); err != nil {
			return err
		}
	}
	return nil
}

// element is one of a page: its position is counted from its own, key and value
// are sizes. A branch's leads to a page, a leaf's may be a bucket.
type element struct {
	position, key, value, page uint64
	bucket                     bool
}

func readElement(kind uint16, raw []byte) element {
	short := func(at int) uint64 { return uint64(binary.NativeEndian.Uint32(raw[at:])) }
	if kind == kindBranch {
		return element{position: short(0), key: short(4), page: binary.NativeEndian.Uint64(raw[8:])}
	}
	return element{bucket: short(0)&isBucket != 0, position: short(4), key: short(8), value: short(12)}
}

// follow names the page that an element leads to, if any.
func (p *pages) follow(id uint64, e element, value []byte) error {
	switch {
	case e.page != 0:
		p.next = append(p.next, e.page)
	case !e.bucket:
	case len(value) < bucketHeader:
		return p.damaged(id, "has a bucket that is cut off")
	case binary.NativeEndian.Uint64(value) != 0:
		p.next = append(p.next, binary.NativeEndian.Uint64(value))
	default:
		return p.elements(id, value[bucketHeader:])
	}
	return nil
}

func (p *pages) damaged(id uint64, format string, args ...any) error {
	return damaged(p.path, fmt.Sprintf("page %d ", id)+fmt.Sprintf(format, args...))
}
