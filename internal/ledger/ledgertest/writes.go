package ledgertest

import (
	"slices"
	"strings"
)

// Writes are the partitions into which a function of the stack puts documents, and
// from which it deletes them: as patterns, of which a "*" is at the end.
type Writes struct{ Put, Delete []string }

// WritesOf are the writes of a function, by the name of its folder. Of one that is
// not known, the role allows all: it holds leases, or keeps what is staged and published.
func WritesOf(function string) (w Writes, known bool) {
	release := []string{"release/*"} // its record, results, notes and artifacts
	created := append([]string{"active", "attempts/*", "releases", "releases/*", "untold"}, release...)
	switch function {
	case "webhook":
		return Writes{Put: created}, true
	case "artifact":
		return Writes{Put: append(created, "claim/*")}, true
	case "missed":
		return Writes{Put: append(created, "claim/*", "known/*", "uploads/*")}, true
	case "admit", "approval", "manifest", "snapshot":
		return Writes{Put: release}, true
	case "report":
		return Writes{Put: release, Delete: []string{"untold"}}, true
	}
	return Writes{}, false
}

// Pattern is the one of some patterns that a partition matches; none if it is empty.
func Pattern(patterns []string, partition string) string {
	i := slices.IndexFunc(patterns, func(pattern string) bool {
		start, open := strings.CutSuffix(pattern, "*")
		return pattern == partition || open && strings.HasPrefix(partition, start)
	})
	if i < 0 {
		return ""
	}
	return patterns[i]
}
