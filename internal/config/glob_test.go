package config

import "testing"

// words are all texts of up to n letters of an alphabet.
func words(alphabet string, n int) []string {
	all, last := []string{""}, []string{""}
	for range n {
		var next []string
		for _, word := range last {
			for _, letter := range alphabet {
				next = append(next, word+string(letter))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

func TestPatternsIntersectWhenOneNameMatchesBoth(t *testing.T) {
	patterns := words("ab*", 4)
	names := words("ab", 8) // long enough for both patterns' letters, one after the other
	matched := map[string]map[string]bool{}
	for _, pattern := range patterns {
		matched[pattern] = map[string]bool{}
		for _, name := range names {
			if slowMatch(pattern, name) {
				matched[pattern][name] = true
			}
		}
	}
	for _, a := range patterns {
		for _, b := range patterns {
			if got, want := intersect(a, b), common(matched[a], matched[b]); got != want {
				t.Errorf("intersect(%q, %q): got %v, want %v", a, b, got, want)
			}
		}
	}
}

// common tells whether two sets have an element in common.
func common(a, b map[string]bool) bool {
	for name := range a {
		if b[name] {
			return true
		}
	}
	return false
}

// slowMatch is the definition of a match.
func slowMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], name) || name != "" && slowMatch(pattern, name[1:])
	default:
		return name != "" && pattern[0] == name[0] && slowMatch(pattern[1:], name[1:])
	}
}
