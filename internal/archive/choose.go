package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// choose leaves out what is ignored and checks the rest.
func (c *collector) choose(ctx context.Context) (*tree, []item, error) {
	if !c.found {
		return nil, nil, c.notFound()
	}
	chosen := newTree(c.limits)
	items := make([]item, 0, len(c.items))
	for _, it := range c.items {
		if err := ctx.Err(); err != nil {
			return nil, nil, readError(c.label(), &readFailure{err})
		}
		if !c.ignore.ignores(it.name) {
			items = append(items, it)
		}
	}
	if err := c.checkAmount(items); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.name, b.name) })
	for i := range items {
		if items[i].problem != "" {
			chosen.problems.add("entry %s: %s", quoted(items[i].name), items[i].problem)
			continue
		}
		if at, ok := chosen.add(items[i].name, items[i].mode); ok {
			items[i].name = chosen.nodes[at].name
			chosen.nodes[at] = items[i].node
		}
	}
	chosen.checkLinks()
	return chosen, items, chosen.problems.err(c.label())
}

// checkAmount judges how many files are left and how large they are.
func (c *collector) checkAmount(items []item) error {
	if len(items) == 0 {
		if len(c.items) == 0 {
			return release.Errorf(release.Invalid, "%s is empty, want at least one file", c.label()).
				WithRemedy("If it is a submodule: GitHub's tarballs do not hold the contents of submodules, so release them from a release asset or an upload.")
		}
		return release.Errorf(release.Invalid, "%s: the ignore files leave out all of its %d files, want at least one to be left", c.label(), len(c.items))
	}
	if most := c.limits.Entries; len(items) > most {
		return release.Errorf(release.Invalid, "%s has %d files, want at most %d", c.label(), len(items), most)
	}
	var total int64
	for _, it := range items {
		total += it.size
	}
	if most := c.limits.Unzipped; total > most {
		return release.Errorf(release.Invalid, "%s has %d bytes, want at most %d (%d MiB) unzipped; the largest files are %s",
			c.label(), total, most, most>>20, largest(items)).
			WithRemedy("Leave out what is not needed at run time with a %s file.", IgnoreFile)
	}
	return nil
}

// largest names the three largest items.
func largest(items []item) string {
	sorted := slices.SortedFunc(slices.Values(items), func(a, b item) int {
		if a.size != b.size {
			return int(max(-1, min(1, b.size-a.size)))
		}
		return strings.Compare(a.name, b.name)
	})
	var texts []string
	for _, it := range sorted[:min(3, len(sorted))] {
		texts = append(texts, fmt.Sprintf("%s (%d)", quoted(it.name), it.size))
	}
	return strings.Join(texts, ", ")
}
