package archive

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tagboat/tagboat/internal/release"
)

// maxDirectory is how many bytes of a zip's directory are read: about 300 for
// each of [MaxEntries]. The directory is what a reader keeps in memory.
const maxDirectory = 32 << 20

// Where things are in a zip.
// Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
const (
	localSignature       = "PK\x03\x04"
	directorySignature   = "PK\x01\x02"
	endSignature         = "PK\x05\x06"
	zip64EndSignature    = "PK\x06\x06"
	localHeaderSize      = 30
	localNameLength      = 26 // offset of the name's length in a local header
	localExtraLength     = 28
	zip64EndEntries      = 32 // offset of the number of entries in a zip64 end record
	endHeaderSize        = 22
	tailEntriesAtMost    = (64<<10 + 1<<10) / 46 // directory headers that the search for the end can pass
	directoryHeaderBytes = len(directorySignature)
)

// guard reads on behalf of [zip.NewReader], which allocates whatever a directory
// holds or claims to hold: it stops the reading of a directory that is too large.
// It also tells a failure to read from a corrupt archive.
type guard struct {
	ctx     context.Context
	from    io.ReaderAt
	entries int // the most entries

	// open is set once the directory is read; then nothing is guarded any more.
	open bool
	// last is where the last read was.
	last  int64
	bytes int64
	seen  int
	tail  []byte // the end of the last read, for a signature across two reads
}

// readFailure is an error of what the archive is read from.
type readFailure struct{ err error }

func (f *readFailure) Error() string { return f.err.Error() }
func (f *readFailure) Unwrap() error { return f.err }

// ReadAt reads, counts, and refuses to go on.
func (g *guard) ReadAt(p []byte, off int64) (int, error) {
	if err := g.ctx.Err(); err != nil {
		return 0, &readFailure{err}
	}
	if off < 0 { // where only a wrong directory leads
		return 0, zip.ErrFormat
	}
	g.last = off
	n, err := g.from.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return n, &readFailure{err}
	}
	if !g.open {
		if refusal := g.count(p[:n]); refusal != nil {
			return 0, refusal
		}
	}
	return n, err
}

// count looks at bytes of the directory.
func (g *guard) count(p []byte) error {
	if len(p) >= zip64EndEntries+8 && string(p[:4]) == zip64EndSignature {
		if claimed := binary.LittleEndian.Uint64(p[zip64EndEntries:]); claimed > uint64(g.entries) {
			return tooManyEntries(fmt.Sprint(claimed), g.entries)
		}
	}
	g.bytes += int64(len(p))
	if g.bytes > maxDirectory {
		return release.Errorf(release.Invalid, "zip archive: its directory has more than %d bytes, want at most that many", maxDirectory)
	}
	g.seen += bytes.Count(p, []byte(directorySignature))
	joint := append(g.tail, p[:min(len(p), directoryHeaderBytes-1)]...)
	g.seen += bytes.Count(joint, []byte(directorySignature))
	g.tail = append([]byte(nil), p[max(len(p)-directoryHeaderBytes+1, 0):]...)
	if g.seen > g.entries+tailEntriesAtMost {
		return tooManyEntries(fmt.Sprintf("more than %d", g.entries), g.entries)
	}
	return nil
}

// tooManyEntries is the refusal of an archive with more entries than allowed.
func tooManyEntries(got string, most int) error {
	return release.Errorf(release.Invalid, "zip archive: has %s entries, want at most %d", got, most)
}
