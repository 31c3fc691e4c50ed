package archive

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// maxHops is how many symbolic links Linux follows before it gives up (MAXSYMLINKS).
const maxHops = 40

// checkLinks reports the symbolic links that leave the tree, lead around in
// circles or cannot be unpacked. A link to a name that is not there is allowed,
// as in git.
func (t *tree) checkLinks() {
	targets := map[string]string{}
	for _, n := range t.nodes {
		if n.mode.Type() == fs.ModeSymlink {
			targets[n.name] = n.target
		}
	}
	for _, n := range t.nodes {
		if n.mode.Type() != fs.ModeSymlink {
			continue
		}
		if err := checkTarget(n, targets); err != nil {
			t.problems.add("entry %s: is a symbolic link to %s, which %v", quoted(n.name), quoted(n.target), err)
		}
	}
}

// checkTarget judges one link among all links of the tree.
func checkTarget(n node, targets map[string]string) error {
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
	return follow(n.name, targets)
}

// follow walks where the kernel would walk when the link is opened. Cleaning the
// path instead would miss "a/../x" where a is itself a link to the top.
func follow(name string, targets map[string]string) error {
	var at []string
	ahead := strings.Split(name, "/")
	for hops := 0; len(ahead) > 0; {
		next := ahead[0]
		ahead = ahead[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return fmt.Errorf("leaves the archive, want a target below its top")
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, next)
		target, isLink := targets[strings.Join(at, "/")]
		if !isLink {
			continue
		}
		if strings.HasPrefix(target, "/") {
			return fmt.Errorf("leads to the absolute path %s, want a target below the archive's top", quoted(target))
		}
		if hops++; hops > maxHops || len(ahead) > maxPath {
			return fmt.Errorf("passes more than %d links, want a target that is not a circle", maxHops)
		}
		at = at[:len(at)-1]
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	return nil
}
