package archive

import "strings"

// element is one piece of a glob: a star, or the set of bytes that match at its
// place. Like git's, a glob sees bytes, not characters.
type element struct {
	star bool
	set  [4]uint64
}

func (e *element) include(b byte)       { e.set[b/64] |= 1 << (b % 64) }
func (e *element) includes(b byte) bool { return e.set[b/64]&(1<<(b%64)) != 0 }

// glob matches one component of a path.
type glob []element

// compileGlob reads a pattern without slashes; false if it can match nothing:
// git takes such a pattern (an open bracket, a last backslash) and ignores it.
func compileGlob(pattern string) (glob, bool) {
	var g glob
	for i := 0; i < len(pattern); i++ {
		var e element
		switch pattern[i] {
		case '*':
			e.star = true
		case '?':
			e.set = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		case '[':
			end, ok := compileSet(pattern, i+1, &e)
			if !ok {
				return nil, false
			}
			i = end
		case '\\':
			if i++; i == len(pattern) {
				return nil, false
			}
			e.include(pattern[i])
		default:
			e.include(pattern[i])
		}
		g = append(g, e)
	}
	return g, true
}

// compileSet reads a bracket expression from behind its bracket and answers
// where its closing bracket is.
func compileSet(pattern string, i int, e *element) (end int, ok bool) {
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	var previous byte // 0: nothing that a range could begin with
	for first := true; ; first = false {
		if i >= len(pattern) {
			return 0, false
		}
		c := pattern[i]
		switch {
		case c == ']' && !first:
			if negated {
				for j := range e.set {
					e.set[j] = ^e.set[j]
				}
			}
			return i, true
		case c == '-' && previous != 0 && i+1 < len(pattern) && pattern[i+1] != ']':
			if i, ok = unescaped(pattern, i+1); !ok {
				return 0, false
			}
			for b := int(previous); b <= int(pattern[i]); b++ {
				e.include(byte(b))
			}
			previous = 0
		case strings.HasPrefix(pattern[i:], "[:"):
			class, isClass, closed := className(pattern[i+2:])
			if !closed {
				return 0, false
			}
			if !isClass {
				e.include('[')
				previous = '['
				break
			}
			if !e.includeClass(class) {
				return 0, false
			}
			i += len("[:") + len(class) + len(":")
			previous = 0
		default:
			if i, ok = unescaped(pattern, i); !ok {
				return 0, false
			}
			e.include(pattern[i])
			previous = pattern[i]
		}
		i++
	}
}

// unescaped is the index of the byte that is meant at i.
func unescaped(pattern string, i int) (int, bool) {
	if pattern[i] == '\\' {
		i++
	}
	return i, i < len(pattern)
}

// className reads a class from behind its "[:". It is one only if the next
// closing bracket has a colon before it; closed tells whether there is a bracket.
func className(rest string) (class string, isClass, closed bool) {
	before, _, found := strings.Cut(rest, "]")
	class, isClass = strings.CutSuffix(before, ":")
	return class, isClass, found
}

// classes are POSIX's, for ASCII.
var classes = map[string]func(b byte) bool{
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha":  isAlpha,
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit":  isDigit,
	"graph":  func(b byte) bool { return b > ' ' && b < 0x7f },
	"lower":  func(b byte) bool { return b >= 'a' && b <= 'z' },
	"print":  func(b byte) bool { return b >= ' ' && b < 0x7f },
	"punct":  func(b byte) bool { return b > ' ' && b < 0x7f && !isAlpha(b) && !isDigit(b) },
	"space":  func(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' },
	"upper":  func(b byte) bool { return b >= 'A' && b <= 'Z' },
	"xdigit": func(b byte) bool { return isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'f' },
}

func isAlpha(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// includeClass adds a class's bytes; false if there is no such class.
func (e *element) includeClass(name string) bool {
	in, known := classes[name]
	if !known {
		return false
	}
	for b := range 128 {
		if in(byte(b)) {
			e.include(byte(b))
		}
	}
	return true
}

// match tells whether the glob is all of the component.
func (g glob) match(component string) bool {
	return wildcard(len(g), len(component),
		func(i int) bool { return g[i].star },
		func(i, j int) bool { return g[i].includes(component[j]) })
}

// wildcard matches patterns of single pieces and stars (any number of things)
// against things, in time of at most their product.
func wildcard(pieces, things int, star func(i int) bool, matches func(i, j int) bool) bool {
	i, j := 0, 0
	lastStar, resume := -1, 0
	for j < things {
		switch {
		case i < pieces && star(i):
			lastStar, resume = i, j
			i++
		case i < pieces && matches(i, j):
			i++
			j++
		case lastStar >= 0: // let the last star take one more
			resume++
			i, j = lastStar+1, resume
		default:
			return false
		}
	}
	for i < pieces && star(i) {
		i++
	}
	return i == pieces
}
