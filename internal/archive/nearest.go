package archive

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// maxNearest is how many directories a message proposes.
const maxNearest = 3

// notFound is the refusal of a directory that is not in the tarball.
func (c *collector) notFound() error {
	text := fmt.Sprintf("%s does not exist at this commit", c.label())
	if c.instead != "" {
		text += ": " + c.instead
	}
	if close := nearest(c.dir, c.dirs); len(close) > 0 {
		text += "; the nearest directories are " + quotedList(close)
	} else if there, parent := siblings(c.dir, c.dirs); len(there) > 0 {
		text += fmt.Sprintf("; the directories in %s are %s", parent, quotedList(there))
	}
	return release.Errorf(release.NotFound, "%s", text).
		WithRemedy("Correct the artifact's directory in the manifest, or commit the directory and tag again.")
}

// nearest are the directories that were probably meant: those of the same name
// elsewhere, and those whose names differ by a few letters.
func nearest(want string, dirs map[string]bool) []string {
	type candidate struct {
		name     string
		distance int
	}
	var candidates []candidate
	most := max(2, len(want)/3)
	for dir := range dirs {
		sameBase := path.Base(dir) == path.Base(want)
		if difference := len(dir) - len(want); !sameBase && (difference > most || -difference > most) {
			continue
		}
		distance := editDistance(strings.ToLower(want), strings.ToLower(dir))
		if distance <= most || sameBase {
			candidates = append(candidates, candidate{dir, distance})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, c := range candidates[:min(len(candidates), maxNearest)] {
		names = append(names, c.name)
	}
	return names
}

// siblings are the first directories in the deepest parent of want that exists.
func siblings(want string, dirs map[string]bool) (names []string, parent string) {
	at := path.Dir(want)
	for at != "." && !dirs[at] {
		at = path.Dir(at)
	}
	for dir := range maps.Keys(dirs) {
		if path.Dir(dir) == at {
			names = append(names, dir)
		}
	}
	slices.Sort(names)
	if parent = quoted(at); at == "." {
		parent = "the repository's top directory"
	}
	return names[:min(len(names), maxTop)], parent
}

// editDistance is how many letters have to be put in, left out or replaced.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
