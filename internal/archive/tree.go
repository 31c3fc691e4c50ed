package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// treeHeader begins what a tree's digest is made of.
const treeHeader = "tagboat tree 1\n"

// node is one entry of a tree.
type node struct {
	name string
	// mode is a type (0 for a file, [fs.ModeSymlink], [fs.ModeDir]) with its permissions.
	mode fs.FileMode
	size int64
	// sum is the sha256 of a file's content.
	sum [sha256.Size]byte
	// target is where a symbolic link points.
	target string
}

// place is what is known of a name while a tree is put together.
type place uint8

const (
	// impliedFolder has entries below it, and none of its own so far.
	impliedFolder place = iota + 1
	folder
	file
	link
)

// tree is what an archive unpacks to, whichever kind of archive it is. Names are
// judged as they are added; what is wrong waits in problems.
type tree struct {
	limits   Limits
	places   map[string]place
	parents  map[string]bool // folders with something in them
	nodes    []node
	problems problems
}

func newTree(limits Limits) *tree {
	return &tree{limits: limits, places: map[string]place{}, parents: map[string]bool{}}
}

// add takes an entry in and answers its index in nodes, or false if it adds
// nothing: the archive's top itself, or a name that became a problem.
func (t *tree) add(name string, mode fs.FileMode) (int, bool) {
	clean, err := canonical(name)
	if err != nil {
		t.problems.add("entry %s: %v", quoted(name), err)
		return 0, false
	}
	at := placeOf(mode)
	if clean == "." {
		if at != folder {
			t.problems.add("entry %s: the name is that of the archive's top, want a name below it", quoted(name))
		}
		return 0, false
	}
	if !t.claim(clean, at) || !t.claimParents(clean) {
		return 0, false
	}
	t.nodes = append(t.nodes, node{name: clean, mode: mode})
	return len(t.nodes) - 1, true
}

// claim records the name itself.
func (t *tree) claim(name string, at place) bool {
	before := t.places[name]
	switch {
	case before == 0, before == impliedFolder && at == folder:
		t.places[name] = at
		return true
	case (before == folder || before == impliedFolder) != (at == folder):
		t.problems.add("entry %s: is both a directory and not one", quoted(name))
	default:
		t.problems.add("entry %s: is there twice, want each name once", quoted(name))
	}
	return false
}

// claimParents records the folders that the name is in.
func (t *tree) claimParents(name string) bool {
	for end := strings.LastIndexByte(name, '/'); end > 0; end = strings.LastIndexByte(name[:end], '/') {
		parent := name[:end]
		if t.parents[parent] {
			return true // and so are its own parents
		}
		switch t.places[parent] {
		case file:
			t.problems.add("entry %s: is in %s, which is a file, want a directory", quoted(name), quoted(parent))
			return false
		case link:
			t.problems.add("entry %s: is in %s, which is a symbolic link, want a directory", quoted(name), quoted(parent))
			return false
		case 0:
			t.places[parent] = impliedFolder
		}
		t.parents[parent] = true
	}
	return true
}

// full tells whether there are more names, with the directories that they imply,
// than twice the allowed entries: a few long names can imply millions.
func (t *tree) full() bool { return len(t.places) > 2*t.limits.Entries }

// tooManyPlaces is the refusal of a tree that is full.
func (t *tree) tooManyPlaces() error {
	return release.Errorf(release.Invalid, "%s: its names imply more than %d files and directories, want at most that many", subject, 2*t.limits.Entries)
}

// placeOf is what a mode makes of a name.
func placeOf(mode fs.FileMode) place {
	switch mode.Type() {
	case fs.ModeDir:
		return folder
	case fs.ModeSymlink:
		return link
	default:
		return file
	}
}

// describe fills in what follows from the tree alone. It sorts the nodes.
func (t *tree) describe(info *Info) {
	slices.SortFunc(t.nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	digest := sha256.New()
	io.WriteString(digest, treeHeader) // a hash never fails
	layout := newLayoutBuilder()
	for _, n := range t.nodes {
		layout.add(n)
		if n.mode.IsDir() {
			if t.counts(n) {
				writeNode(digest, n)
			}
			continue
		}
		writeNode(digest, n)
		info.Entries++
		info.UnzippedSize += n.size
	}
	info.TreeDigest = hex.EncodeToString(digest.Sum(nil))
	info.Layout = layout.layout()
}

// counts tells whether a directory is more than the place of what is in it.
func (t *tree) counts(dir node) bool {
	const open = 0o555
	return !t.parents[dir.name] || dir.mode&open != open
}

// writeNode writes one entry of the digest. No name and no target has a NUL in it.
func writeNode(w io.Writer, n node) {
	const fileType, dirType, linkType, write = 0o100000, 0o040000, 0o120000, 0o222
	mode := uint32(n.mode.Perm() &^ write)
	value := ""
	switch placeOf(n.mode) {
	case folder:
		mode |= dirType
	case link:
		mode, value = linkType, n.target // Linux ignores a link's permissions
	default:
		mode |= fileType
		value = hex.EncodeToString(n.sum[:])
	}
	fmt.Fprintf(w, "%s\x00%o\x00%s\x00", n.name, mode, value)
}
