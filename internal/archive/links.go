package archive

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

const (
	// maxHops is how many symbolic links Linux follows before it gives up (MAXSYMLINKS).
	maxHops = 40
	// maxSteps is how many path components are followed for all links of a tree
	// together, so that links through links cannot keep us busy for ever.
	maxSteps = 2_000_000
)

// checkLinks reports the symbolic links that leave the tree, lead around in
// circles or cannot be unpacked. A link to a name that is not there is allowed,
// as in git.
func (t *tree) checkLinks() {
	w := walker{targets: map[string]string{}, steps: maxSteps}
	for _, n := range t.nodes {
		if n.mode.Type() == fs.ModeSymlink {
			w.targets[n.name] = n.target
		}
	}
	for _, n := range t.nodes {
		if n.mode.Type() != fs.ModeSymlink {
			continue
		}
		if err := w.check(n); err != nil {
			t.problems.add("entry %s: is a symbolic link to %s, which %v", quoted(n.name), quoted(n.target), err)
		}
	}
}

// walker follows links as the kernel would.
type walker struct {
	targets map[string]string
	steps   int
}

// check judges one link among all links of the tree.
func (w *walker) check(n node) error {
	switch {
	case n.target == "":
		return fmt.Errorf("is empty")
	case len(n.target) > maxPath:
		return fmt.Errorf("has %d bytes, want at most %d", len(n.target), maxPath)
	case strings.ContainsRune(n.target, 0):
		return fmt.Errorf("has a NUL byte in it")
	case !utf8.ValidString(n.target):
		return fmt.Errorf("is not UTF-8")
	}
	return w.follow(n.name)
}

// follow walks where the kernel would walk when the link is opened. Cleaning the
// path instead would miss "a/../x" where a is itself a link to the top.
func (w *walker) follow(name string) error {
	var at []byte // where the walk is, "" at the top
	ahead := strings.Split(name, "/")
	for hops := 0; len(ahead) > 0; {
		next := ahead[0]
		ahead = ahead[1:]
		if w.steps--; w.steps < 0 {
			return fmt.Errorf("leads through too many others, want at most %d path components for all links together", maxSteps)
		}
		if next == "" || next == "." {
			continue
		}
		if next == ".." {
			if len(at) == 0 {
				return fmt.Errorf("leaves the archive, want a target below its top")
			}
			at = parent(at)
			continue
		}
		if len(at) > 0 {
			at = append(at, '/')
		}
		at = append(at, next...)
		target, isLink := w.targets[string(at)]
		if !isLink {
			continue
		}
		if strings.HasPrefix(target, "/") {
			return fmt.Errorf("leads to the absolute path %s, want a target below the archive's top", quoted(target))
		}
		if hops++; hops > maxHops {
			return fmt.Errorf("passes more than %d links, want a target that is not a circle", maxHops)
		}
		at = parent(at)
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	return nil
}

// parent is the directory of a path, "" for one at the top.
func parent(at []byte) []byte { return at[:max(bytes.LastIndexByte(at, '/'), 0)] }
