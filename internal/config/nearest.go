package config

import (
	"fmt"
	"strings"
)

const (
	// longestName is how long a name may be to be compared with others, and how
	// much of a text is quoted.
	longestName = 64
	// mostCandidates is with how many names one is compared.
	mostCandidates = 1000
)

// nearest is the candidate that is most like the name, or "" if none is like
// it: at most a third of its letters may differ, or two of a short one. Case
// does not count.
func nearest(name string, candidates []string) string {
	if len(name) > longestName {
		return ""
	}
	best, least := "", max(2, len(name)/3)+1
	for _, candidate := range candidates[:min(len(candidates), mostCandidates)] {
		if len(candidate) > longestName || candidate == name {
			continue
		}
		distance := editDistance(strings.ToLower(name), strings.ToLower(candidate))
		if distance < least && distance < len(candidate) {
			best, least = candidate, distance
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete, replace or swap with their
// neighbour to turn a into b.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// quote is a text in quotes, cut where it gets long.
func quote(text string) string {
	letters := 0
	for i := range text {
		if letters == longestName {
			return fmt.Sprintf("%q", text[:i]+"…")
		}
		letters++
	}
	return fmt.Sprintf("%q", text)
}

// quoteAll are texts in quotes with commas between, the first few of them.
func quoteAll(texts []string) string {
	const most = 12
	var quoted []string
	for i, text := range texts {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("… (%d in all)", len(texts)))
			break
		}
		quoted = append(quoted, quote(text))
	}
	return strings.Join(quoted, ", ")
}
