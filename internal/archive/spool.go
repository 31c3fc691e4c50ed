package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/tagboat/tagboat/internal/release"
)

// compression is the level of every zip that is made here: another one would
// make other bytes of the same tree.
const compression = 6

// What a Git LFS pointer begins with, and the size that it stays under.
// Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
const (
	lfsHeader  = "version https://git-lfs.github.com/spec/v1"
	lfsMaxSize = 1024
)

// packed is where an item's compressed content is.
type packed struct {
	offset     int64
	compressed int64
	crc        uint32
}

// spool keeps compressed contents in a temporary file, in the order in which
// they come, until they can be written in order of their names.
type spool struct {
	*press
	file *os.File
	end  int64
}

// press is what compressing needs: a megabyte, which the next spool uses again.
type press struct {
	in      *bufio.Reader
	out     *bufio.Writer
	deflate *flate.Writer
}

var presses = sync.Pool{New: func() any {
	deflate, _ := flate.NewWriter(nil, compression) // fails for levels that do not exist
	return &press{in: bufio.NewReaderSize(nil, bufferSize), out: bufio.NewWriterSize(nil, bufferSize), deflate: deflate}
}}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "tagboat-archive-*")
	if err != nil {
		return nil, spoolError(err)
	}
	s := &spool{press: presses.Get().(*press), file: file}
	s.out.Reset(file)
	return s, nil
}

// spoolError is what becomes of an error of the temporary file.
func spoolError(err error) error {
	return release.Errorf(release.Internal, "temporary file: %w", err)
}

// close removes the temporary file and gives the press back, without what it holds.
func (s *spool) close() {
	s.in.Reset(nil)
	s.out.Reset(nil)
	s.deflate.Reset(nil)
	presses.Put(s.press)
	s.press = nil
	s.file.Close() // what was in it is used or useless
	os.Remove(s.file.Name())
}

// Write appends compressed bytes.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	s.end += int64(n)
	if err != nil {
		return n, spoolError(err)
	}
	return n, nil
}

// add compresses a file's content and fills in what is learned on the way.
func (s *spool) add(content io.Reader, it *item) error {
	s.in.Reset(content)
	head, _ := s.in.Peek(len(lfsHeader)) // an error comes again below
	isPointer := bytes.Equal(head, []byte(lfsHeader))
	sum, crc := sha256.New(), crc32.NewIEEE()
	it.offset = s.end
	s.deflate.Reset(s)
	size, err := s.in.WriteTo(io.MultiWriter(sum, crc, s.deflate))
	if err != nil {
		return err
	}
	if err := s.deflate.Close(); err != nil {
		return err
	}
	it.size, it.compressed, it.crc = size, s.end-it.offset, crc.Sum32()
	sum.Sum(it.sum[:0])
	if isPointer && size < lfsMaxSize {
		it.problem = "is a Git LFS pointer, want the content: GitHub's tarballs do not hold it, so release it from a release asset or an upload"
	}
	return nil
}

// flush makes everything readable.
func (s *spool) flush() error {
	if err := s.out.Flush(); err != nil {
		return spoolError(err)
	}
	return nil
}

// content is the compressed content of an item.
func (s *spool) content(it item) io.Reader {
	return io.NewSectionReader(s.file, it.offset, it.compressed)
}
