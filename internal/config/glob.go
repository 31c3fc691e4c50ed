package config

import "strings"

// intersect tells whether one name can match both patterns, in which * stands
// for any characters, none included, and everything else for itself.
func intersect(a, b string) bool {
	prefixA, suffixA, wildA := ends(a)
	prefixB, suffixB, wildB := ends(b)
	switch {
	case wildA && wildB:
		// The longer prefix, then what either asks for between its stars,
		// then the longer suffix matches both: each has a star for the rest.
		return (strings.HasPrefix(prefixA, prefixB) || strings.HasPrefix(prefixB, prefixA)) &&
			(strings.HasSuffix(suffixA, suffixB) || strings.HasSuffix(suffixB, suffixA))
	case wildA:
		return matches(a, b)
	case wildB:
		return matches(b, a)
	default:
		return a == b
	}
}

// ends are what a pattern has before its first and after its last star; a
// pattern without one is all prefix.
func ends(pattern string) (prefix, suffix string, wild bool) {
	first := strings.IndexByte(pattern, '*')
	if first < 0 {
		return pattern, "", false
	}
	return pattern[:first], pattern[strings.LastIndexByte(pattern, '*')+1:], true
}

// matches tells whether a pattern with at least one star matches a name.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name = after
	}
	return strings.HasSuffix(name, parts[last])
}
