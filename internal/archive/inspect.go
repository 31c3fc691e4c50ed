package archive

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/tagboat/tagboat/internal/release"
)

// bufferSize is how much content is read at once.
const bufferSize = 128 << 10

// subject is what a refusal of [Inspect] is about.
const subject = "zip archive"

// Inspect reads a zip of the given size and refuses, with an error of kind
// [release.Invalid], what must not be unpacked or what Lambda would not take:
//
//   - names that are empty, absolute, not UTF-8, too long, or have "..", a
//     backslash or a NUL in them; names that are there twice, as a file and as a
//     directory, or below a file or a symbolic link;
//   - symbolic links that leave the archive, also by way of other links, or go
//     around in circles;
//   - devices, pipes, sockets, files with setuid or setgid;
//   - encrypted entries and compression methods other than store and deflate;
//   - more entries or more bytes than the limits, counted while reading;
//   - truncated or corrupt archives, wrong checksums, data before the archive,
//     entries with another name at their content than in the directory.
//
// Problems with names, links and headers are told together. Nothing is unpacked
// to a file; r is read twice, for its contents and for its own digest. A failure
// to read r, or the end of ctx, is of kind [release.Transient].
func Inspect(ctx context.Context, r io.ReaderAt, size int64, limits Limits) (Info, error) {
	limits = limits.orDefault()
	in := &inspection{
		guard:  &guard{ctx: ctx, from: r, entries: limits.Entries},
		size:   size,
		tree:   newTree(limits),
		buffer: make([]byte, bufferSize),
	}
	for _, step := range []func() error{in.openDirectory, in.checkStart, in.checkHeaders, in.checkLocalNames, in.readLinks, in.readFiles} {
		if err := step(); err != nil {
			return Info{}, err
		}
	}
	return in.info()
}

// inspection is one run of [Inspect].
type inspection struct {
	guard  *guard
	size   int64
	files  []*zip.File
	nodes  []int // for each file its index in the tree, or -1
	tree   *tree
	buffer []byte
	total  int64 // bytes of content so far
}

// openDirectory reads the zip's directory.
func (in *inspection) openDirectory() error {
	reader, err := zip.NewReader(in.guard, in.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are checked below
		return readError(subject, err)
	}
	in.guard.open = true
	in.files = reader.File
	if most := in.tree.limits.Entries; len(in.files) > most {
		return tooManyEntries(fmt.Sprint(len(in.files)), most)
	}
	return nil
}

// checkStart refuses data before the archive: other readers, which begin at the
// front, could see another archive there than the one we check.
func (in *inspection) checkStart() error {
	var head [localHeaderSize]byte
	if _, err := in.guard.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return readError(subject, err)
	}
	if len(in.files) == 0 {
		if string(head[:4]) == endSignature || string(head[:4]) == zip64EndSignature {
			return nil
		}
	} else if string(head[:4]) == localSignature {
		content := int64(localHeaderSize) +
			int64(binary.LittleEndian.Uint16(head[localNameLength:])) +
			int64(binary.LittleEndian.Uint16(head[localExtraLength:]))
		for _, f := range in.files {
			if offset, err := f.DataOffset(); err == nil && offset == content {
				return nil
			}
		}
	}
	return release.Errorf(release.Invalid, "%s: there is data before its first entry, want the first entry at the file's first byte", subject)
}

// checkHeaders judges what the directory says of each entry.
func (in *inspection) checkHeaders() error {
	in.nodes = make([]int, len(in.files))
	for i, f := range in.files {
		in.nodes[i] = -1
		mode, err := headerMode(f)
		if err != nil {
			in.tree.problems.add("entry %s: %v", quoted(f.Name), err)
			continue
		}
		if node, ok := in.tree.add(f.Name, mode); ok {
			in.nodes[i] = node
		}
		if in.tree.full() {
			return in.tree.tooManyPlaces()
		}
	}
	return in.checkClaims()
}

// checkLocalNames compares the name in front of each entry's content with the one
// in the directory: programs go by the one or by the other.
func (in *inspection) checkLocalNames() error {
	for _, f := range in.files {
		if _, err := f.DataOffset(); err != nil { // reads the header in front of the content
			return entryError(f, err)
		}
		header := make([]byte, localHeaderSize+len(f.Name))
		if _, err := in.guard.ReadAt(header, in.guard.last); err != nil && err != io.EOF {
			return entryError(f, err)
		}
		length := int(binary.LittleEndian.Uint16(header[localNameLength:]))
		if name := string(header[localHeaderSize:]); length != len(f.Name) || name != f.Name {
			in.tree.problems.add("entry %s: has another name at its content than in the directory, want the same", quoted(f.Name))
		}
	}
	return nil
}

// checkClaims refuses early what claims more content than allowed. What claims
// less is still counted.
func (in *inspection) checkClaims() error {
	left := uint64(in.tree.limits.Unzipped)
	for _, f := range in.files {
		if f.UncompressedSize64 > left {
			return in.tooLarge(f)
		}
		left -= f.UncompressedSize64
	}
	return nil
}

// tooLarge is the refusal of an archive that passes the limit in an entry.
func (in *inspection) tooLarge(f *zip.File) error {
	most := in.tree.limits.Unzipped
	return release.Errorf(release.Invalid, "%s: entry %s passes the limit, want at most %d bytes (%d MiB) unzipped in all",
		subject, quoted(f.Name), most, most>>20).
		WithRemedy("Leave out what is not needed at run time, or split the content into several layers; all of a function's layers and its code share Lambda's quota.")
}

// readLinks reads where the symbolic links point. Then all problems are known.
func (in *inspection) readLinks() error {
	for i, f := range in.files {
		if in.nodes[i] < 0 || in.tree.nodes[in.nodes[i]].mode.Type() != fs.ModeSymlink {
			continue
		}
		var target targetWriter
		if err := in.read(f, &in.tree.nodes[in.nodes[i]], &target); err != nil {
			return err
		}
		in.tree.nodes[in.nodes[i]].target = string(target)
	}
	in.tree.checkLinks()
	return in.tree.problems.err(subject)
}

// targetWriter keeps the target of a link.
type targetWriter []byte

func (w *targetWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// readFiles reads and hashes the content of all files.
func (in *inspection) readFiles() error {
	sum := sha256.New()
	for i, f := range in.files {
		if in.nodes[i] < 0 {
			continue
		}
		n := &in.tree.nodes[in.nodes[i]]
		if !n.mode.IsRegular() {
			continue
		}
		sum.Reset()
		if err := in.read(f, n, sum); err != nil {
			return err
		}
		sum.Sum(n.sum[:0])
	}
	return nil
}

// read copies one entry's content to w and counts it. The zip package compares
// length and checksum, except with a checksum of 0, which it takes for unset.
func (in *inspection) read(f *zip.File, n *node, w io.Writer) error {
	content, err := f.Open()
	if err != nil {
		return entryError(f, err)
	}
	defer content.Close()
	var crc hash.Hash32
	if f.CRC32 == 0 {
		crc = crc32.NewIEEE()
		w = io.MultiWriter(w, crc)
	}
	for {
		count, err := content.Read(in.buffer)
		n.size += int64(count)
		in.total += int64(count)
		if in.total > in.tree.limits.Unzipped {
			return in.tooLarge(f)
		}
		if _, err := w.Write(in.buffer[:count]); err != nil {
			return entryError(f, err)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return entryError(f, err)
		}
		if err := in.guard.ctx.Err(); err != nil {
			return readError(subject, &readFailure{err})
		}
	}
	if crc != nil && crc.Sum32() != 0 {
		return entryError(f, zip.ErrChecksum)
	}
	return nil
}

// info hashes the zip's bytes and puts everything together.
func (in *inspection) info() (Info, error) {
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(in.guard, 0, in.size), in.buffer); err != nil {
		return Info{}, readError(subject, err)
	}
	info := Info{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: in.size}
	in.tree.describe(&info)
	return info, nil
}
