package archive

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// How much of a layout is kept, so that it fits into a record.
const (
	maxTop     = 20
	maxFolders = 50
	maxNested  = 5
)

// Layout is where the files of an archive are, as far as layers are concerned.
type Layout struct {
	// Top are the first 20 names at the top, directories with a slash at their end.
	Top []string `json:"top,omitempty"`
	// TopCount is how many names there are at the top.
	TopCount int `json:"top_count,omitempty"`
	// Folders are those folders of [layer paths] that hold at least one file:
	// "python" and "python/lib/python3.13/site-packages" are two of them, and a
	// file counts for the innermost only. Other folders count by their name at the top.
	//
	// [layer paths]: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
	Folders []string `json:"folders,omitempty"`
	// Nested are folders of a runtime that are one level too deep, such as "deps/python".
	Nested []string `json:"nested,omitempty"`
}

// layerPath finds the innermost folder of AWS's layer paths that a file is in.
var layerPath = regexp.MustCompile(`^(?:` +
	`python/lib/python3\.[0-9]+/site-packages|` +
	`nodejs/(?:node[0-9]+/)?node_modules|` +
	`java/lib|` +
	`ruby/gems/[^/]+|ruby/lib|` +
	`[^/]+)/`)

// runtimeFolders are the folders at the top that belong to a runtime.
var runtimeFolders = []string{"python", "nodejs", "java", "ruby"}

// layoutBuilder puts a layout together.
type layoutBuilder struct {
	top     map[string]bool
	folders map[string]bool
	nested  map[string]bool
}

func newLayoutBuilder() *layoutBuilder {
	return &layoutBuilder{top: map[string]bool{}, folders: map[string]bool{}, nested: map[string]bool{}}
}

// add takes one entry into account.
func (b *layoutBuilder) add(n node) {
	first, rest, below := strings.Cut(n.name, "/")
	if below || n.mode.IsDir() {
		first += "/"
	}
	b.top[first] = true
	if n.mode.IsDir() || !below {
		return
	}
	b.folders[strings.TrimSuffix(layerPath.FindString(n.name), "/")] = true
	if second, _, deeper := strings.Cut(rest, "/"); deeper && slices.Contains(runtimeFolders, second) {
		b.nested[first+second] = true
	}
}

// layout is what was found, sorted.
func (b *layoutBuilder) layout() Layout {
	return Layout{
		Top:      firstOf(b.top, maxTop),
		TopCount: len(b.top),
		Folders:  firstOf(b.folders, maxFolders),
		Nested:   firstOf(b.nested, maxNested),
	}
}

// firstOf are the first names of a set. Folders that belong to a runtime come
// before others, so that a long list never hides them.
func firstOf(set map[string]bool, most int) []string {
	names := slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		if known := rank(a) - rank(b); known != 0 {
			return known
		}
		return strings.Compare(a, b)
	})
	return slices.Clone(names[:min(len(names), most)])
}

// rank is 0 for what AWS's layer paths name, else 1.
func rank(name string) int {
	top, _, _ := strings.Cut(name, "/")
	if slices.Contains(knownFolders, top) {
		return 0
	}
	return 1
}
