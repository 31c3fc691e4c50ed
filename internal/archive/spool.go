package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"hash/crc32"
	"io"
	"os"

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
	file    *os.File
	out     *bufio.Writer
	end     int64
	in      *bufio.Reader
	deflate *flate.Writer
}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "tagboat-archive-*")
	if err != nil {
		return nil, spoolError(err)
	}
	s := &spool{file: file, in: bufio.NewReaderSize(nil, bufferSize)}
	s.out = bufio.NewWriterSize(file, bufferSize)
	s.deflate, err = flate.NewWriter(s, compression)
	if err != nil {
		s.close()
		return nil, release.Errorf(release.Internal, "compression level %d: %w", compression, err)
	}
	return s, nil
}

// spoolError is what becomes of an error of the temporary file.
func spoolError(err error) error {
	return release.Errorf(release.Internal, "temporary file: %w", err)
}

// close removes the temporary file.
func (s *spool) close() {
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
