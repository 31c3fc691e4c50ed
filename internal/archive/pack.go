package archive

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/release"
)

// What every entry of our zips says.
const (
	zipVersion  = 20                // 2.0, for deflate
	madeOnUnix  = 3<<8 | zipVersion // so that modes count
	utf8Name    = 1 << 11           // flag of names that are not ASCII
	january1980 = 0<<9 | 1<<5 | 1   // 1980-01-01, the first day of MS-DOS
	fileBits    = uint32(0o100000)  // S_IFREG
	linkBits    = uint32(0o120777)  // S_IFLNK with the permissions that Linux gives it
	modeShift   = 16                // where ExternalAttrs has the Unix mode
)

// pack writes the zip. The items are sorted and checked.
func pack(ctx context.Context, t *tree, items []item, s *spool, out io.Writer) (Info, error) {
	if err := s.flush(); err != nil {
		return Info{}, err
	}
	sum := sha256.New()
	counted := &counter{to: io.MultiWriter(out, sum)}
	w := zip.NewWriter(counted)
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return Info{}, release.Errorf(release.Transient, "write the zip: %w", err)
		}
		if err := packItem(w, it, s); err != nil {
			return Info{}, writeError(err)
		}
	}
	if err := w.Close(); err != nil {
		return Info{}, writeError(err)
	}
	info := Info{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: counted.n}
	t.describe(&info)
	return info, nil
}

// packItem writes one entry, with everything about it in its header: unlike a
// data descriptor behind the content, that is read by every program.
func packItem(w *zip.Writer, it item, s *spool) error {
	header := zip.FileHeader{
		Name:               it.name,
		CreatorVersion:     madeOnUnix,
		ReaderVersion:      zipVersion,
		Method:             zip.Deflate,
		CRC32:              it.crc,
		CompressedSize64:   uint64(it.compressed),
		UncompressedSize64: uint64(it.size),
		ExternalAttrs:      (fileBits | uint32(it.mode.Perm())) << modeShift,
	}
	//lint:ignore SA1019 Modified would add an extra field, and does nothing for CreateRaw.
	header.ModifiedDate = january1980
	if !isASCII(it.name) {
		header.Flags = utf8Name
	}
	content := s.content(it)
	if placeOf(it.mode) == link {
		header.Method = zip.Store
		header.CRC32 = crc32.ChecksumIEEE([]byte(it.target))
		header.CompressedSize64 = header.UncompressedSize64
		header.ExternalAttrs = linkBits << modeShift
		content = strings.NewReader(it.target)
	}
	entry, err := w.CreateRaw(&header)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, content)
	return err
}

func isASCII(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// writeError keeps the kind of an error that has one.
func writeError(err error) error {
	var known *release.Error
	if errors.As(err, &known) {
		return err
	}
	return release.Errorf(release.Internal, "write the zip: %w", err)
}

// counter counts what is written.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
