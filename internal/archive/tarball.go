package archive

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

const (
	// sourceFactor is how many times the limits a directory may hold before its
	// ignore files are applied: they may come last in the tarball.
	sourceFactor = 4
	// maxIgnoreFile is how large an ignore file may be, in bytes.
	maxIgnoreFile = 64 << 10
	// maxKnownDirs is how many directories are remembered for a message.
	maxKnownDirs = 20_000
)

// Options are what [FromTarball] needs to know besides its input.
type Options struct {
	// Limits are those of the zip.
	Limits Limits
	// TempDir is where contents wait, compressed; the system's directory for
	// temporary files if empty. Nothing is left there.
	TempDir string
}

// FromTarball makes a zip of one directory of a repository ("" or "." is all of
// it), with the directory's contents at the zip's top. The tarball is gzipped and
// has one folder around everything, as GitHub serves it. What the ignore files
// say is left out; see [IgnoreFile]. Symbolic links stay links, and a file is
// executable in the zip if its owner may execute it in the tarball. Directories
// without files do not exist in git, and not in the zip either.
//
// A directory that is not there is refused with an error of kind
// [release.NotFound]. Git LFS pointers are refused, because GitHub's tarballs
// hold them instead of the content, and so are links that leave the directory,
// hard links, devices, and whatever [Inspect] would refuse. A failure to read
// the tarball is of kind [release.Transient]. After an error, what was written
// to out is of no use.
func FromTarball(ctx context.Context, tarball io.Reader, dir string, out io.Writer, opts Options) (Info, error) {
	dir, err := repositoryDir(dir)
	if err != nil {
		return Info{}, err
	}
	spool, err := newSpool(opts.TempDir)
	if err != nil {
		return Info{}, err
	}
	defer spool.close()
	c := &collector{
		dir:    dir,
		limits: opts.Limits.orDefault(),
		spool:  spool,
		ignore: newIgnorer(),
		found:  dir == "",
		dirs:   map[string]bool{},
	}
	if err := c.readAll(ctx, tarball); err != nil {
		return Info{}, err
	}
	tree, items, err := c.choose(ctx)
	if err != nil {
		return Info{}, err
	}
	return pack(ctx, tree, items, spool, out)
}

// repositoryDir is the cleaned name of a directory of a repository, "" for its top.
func repositoryDir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	clean, err := canonical(dir)
	if err != nil {
		return "", release.Errorf(release.Invalid, "repository directory %s: %w", quoted(dir), err)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// item is an entry of the directory, whose content waits in the spool.
type item struct {
	node
	packed
	// problem is why the entry cannot be in a zip; it only counts if it is not ignored.
	problem string
}

// collector reads a tarball and keeps what is in the directory.
type collector struct {
	dir    string
	limits Limits
	spool  *spool
	ignore *ignorer

	top   string // the folder around everything
	found bool
	// instead says what is at the directory's name, or at that of one of its
	// parents, if it is no directory.
	instead string
	dirs    map[string]bool // of the repository, for a message
	items   []item
	bytes   int64
}

// label names the directory in messages.
func (c *collector) label() string {
	if c.dir == "" {
		return "the repository's top directory"
	}
	return "repository directory " + quoted(c.dir)
}

// readAll reads the tarball to its end, so that its checksum is checked too.
func (c *collector) readAll(ctx context.Context, tarball io.Reader) error {
	const what = "repository tarball"
	unzipped, err := gzip.NewReader(&source{ctx: ctx, from: tarball})
	if err != nil {
		return readError(what, err)
	}
	entries := tar.NewReader(unzipped)
	for {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // names are checked later
			return readError(what, err)
		}
		if err := c.take(header, entries); err != nil {
			return readError(what, err)
		}
	}
	if _, err := io.Copy(io.Discard, unzipped); err != nil {
		return readError(what, err)
	}
	return nil
}

// source reads the tarball until its context ends, and tells its failures from
// those of the formats.
type source struct {
	ctx  context.Context
	from io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, &readFailure{err}
	}
	n, err := s.from.Read(p)
	if err != nil && err != io.EOF {
		err = &readFailure{err}
	}
	return n, err
}

// take takes in one entry of the tarball.
func (c *collector) take(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	top, name, below := strings.Cut(header.Name, "/")
	isDir := header.Typeflag == tar.TypeDir
	if c.top == "" {
		c.top = top
	}
	if top != c.top || top == "" || !below && !isDir {
		return release.Errorf(release.Invalid, "entry %s: want everything in one folder at the top, as GitHub makes it, here %q",
			quoted(header.Name), c.top)
	}
	name = strings.TrimSuffix(name, "/")
	if name == "" {
		return nil
	}
	c.noteDir(name, isDir)
	relative, inside := c.relative(name, header)
	if !inside {
		return nil
	}
	c.found = true
	if isDir {
		return nil
	}
	if path.Base(relative) == IgnoreFile {
		return c.takeRules(relative, header, content)
	}
	return c.takeItem(relative, header, content)
}

// noteDir remembers the directories that an entry shows to exist.
func (c *collector) noteDir(name string, isDir bool) {
	if !isDir {
		name = path.Dir(name)
	}
	for ; name != "." && name != "/" && !c.dirs[name] && len(c.dirs) < maxKnownDirs; name = path.Dir(name) {
		c.dirs[name] = true
	}
}

// relative is the entry's name below the directory, if it is there.
func (c *collector) relative(name string, header *tar.Header) (string, bool) {
	if c.dir == "" {
		return name, true
	}
	if name == c.dir || strings.HasPrefix(c.dir, name+"/") {
		switch header.Typeflag {
		case tar.TypeDir:
			c.found = c.found || name == c.dir
		case tar.TypeSymlink:
			c.instead = fmt.Sprintf("%s is a symbolic link to %s", quoted(name), quoted(header.Linkname))
		default:
			c.instead = fmt.Sprintf("%s is a file", quoted(name))
		}
		return "", false
	}
	return strings.CutPrefix(name, c.dir+"/")
}

// takeRules reads an ignore file.
func (c *collector) takeRules(name string, header *tar.Header, content io.Reader) error {
	if header.Typeflag != tar.TypeReg || header.Size > maxIgnoreFile {
		return release.Errorf(release.Invalid, "entry %s: want a regular file of at most %d bytes, got type %q of %d bytes",
			quoted(name), maxIgnoreFile, header.Typeflag, header.Size)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	c.ignore.rules[path.Dir(name)] = parseRules(string(text))
	return nil
}

// takeItem puts an entry aside.
func (c *collector) takeItem(name string, header *tar.Header, content io.Reader) error {
	c.bytes += header.Size
	if most := c.limits.Unzipped * sourceFactor; c.bytes > most {
		return release.Errorf(release.Invalid, "%s has more than %d bytes even before ignored files are left out, want at most that many", c.label(), most)
	}
	if most := c.limits.Entries * sourceFactor; len(c.items) >= most {
		return release.Errorf(release.Invalid, "%s has more than %d files even before ignored files are left out, want at most that many", c.label(), most)
	}
	it := item{node: node{name: name, mode: 0o644}}
	switch header.Typeflag {
	case tar.TypeReg:
		if header.Mode&0o100 != 0 {
			it.mode = 0o755
		}
		if err := c.spool.add(content, &it); err != nil {
			return err
		}
	case tar.TypeSymlink:
		it.mode = fs.ModeSymlink | 0o777
		it.target, it.size = header.Linkname, int64(len(header.Linkname))
	case tar.TypeLink:
		it.problem = fmt.Sprintf("is a hard link to %s, want a file or a symbolic link", quoted(header.Linkname))
	default:
		it.problem = fmt.Sprintf("has the tar type %q, want a file, a directory or a symbolic link", header.Typeflag)
	}
	c.items = append(c.items, it)
	return nil
}
