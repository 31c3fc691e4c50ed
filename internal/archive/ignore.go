package archive

import (
	"path"
	"strings"
)

// IgnoreFile is the name of the files that say, in the syntax of gitignore, what
// is left out of an archive: the one in the archived directory, and those below
// it for their own directories. The files themselves are always left out.
// Source: https://git-scm.com/docs/gitignore
const IgnoreFile = ".tagboatignore"

// rule is one line of an ignore file.
type rule struct {
	negated bool
	dirOnly bool
	// anywhere: the pattern has no slash and is matched against the last component.
	anywhere bool
	parts    []part
}

// part matches one component of a path, or any number of them ("**").
type part struct {
	doubleStar bool
	glob       glob
}

// parseRules reads an ignore file as git reads .gitignore.
func parseRules(text string) []rule {
	text = strings.TrimPrefix(text, "\ufeff")
	var rules []rule
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = trimSpaces(strings.TrimSuffix(line, "\r"))
		if r, ok := parseRule(line); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

// trimSpaces cuts trailing spaces off, but not one that a backslash protects.
func trimSpaces(line string) string {
	end := 0 // behind the last byte that is not a plain space
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			continue
		case '\\':
			i++
		}
		end = min(i+1, len(line))
	}
	return line[:end]
}

// parseRule reads one line; false if it matches nothing.
func parseRule(line string) (rule, bool) {
	var r rule
	line, r.negated = strings.CutPrefix(line, "!")
	line, r.dirOnly = strings.CutSuffix(line, "/")
	r.anywhere = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return r, false
	}
	components, ok := splitPattern(line)
	if !ok {
		return r, false
	}
	for i, component := range components {
		if !r.anywhere && len(component) > 1 && strings.Trim(component, "*") == "" {
			if i == len(components)-1 {
				r.parts = append(r.parts, part{glob: glob{{star: true}}}) // "a/**" is not a itself
			}
			r.parts = append(r.parts, part{doubleStar: true})
			continue
		}
		g, ok := compileGlob(component)
		if !ok {
			return r, false
		}
		r.parts = append(r.parts, part{glob: g})
	}
	return r, true
}

// splitPattern splits at slashes. A backslash changes nothing about a slash, and
// in brackets it is a byte like others, which no component has; false if a
// bracket stays open.
func splitPattern(pattern string) ([]string, bool) {
	var components []string
	var current strings.Builder
	for i := 0; i < len(pattern); i++ {
		end := i // of what belongs together
		switch pattern[i] {
		case '/':
			components = append(components, current.String())
			current.Reset()
			continue
		case '[':
			var ok bool
			if end, ok = compileSet(pattern, i+1, &element{}); !ok {
				return nil, false
			}
		case '\\':
			if i+1 < len(pattern) && pattern[i+1] == '/' {
				continue
			}
			end = min(i+1, len(pattern)-1)
		}
		current.WriteString(pattern[i : end+1])
		i = end
	}
	return append(components, current.String()), true
}

// match judges a path relative to the ignore file's directory.
func (r rule) match(name string, isDir bool) bool {
	if r.dirOnly && !isDir {
		return false
	}
	if r.anywhere {
		return r.parts[0].glob.match(path.Base(name))
	}
	components := strings.Split(name, "/")
	return wildcard(len(r.parts), len(components),
		func(i int) bool { return r.parts[i].doubleStar },
		func(i, j int) bool { return r.parts[i].glob.match(components[j]) })
}

// ignorer decides with all ignore files of a tree.
type ignorer struct {
	// rules by the directory of their file; "." is the top.
	rules map[string][]rule
	// dirs remembers the answer for directories.
	dirs map[string]bool
}

func newIgnorer() *ignorer {
	return &ignorer{rules: map[string][]rule{}, dirs: map[string]bool{}}
}

// ignores tells whether a file (or link) is left out: it is ignored itself or is
// in a directory that is. What is in an ignored directory cannot be taken back in.
func (g *ignorer) ignores(name string) bool {
	if len(g.rules) == 0 {
		return false
	}
	return g.ignoresDir(path.Dir(name)) || g.decide(name, false)
}

// ignoresDir is ignores for a directory.
func (g *ignorer) ignoresDir(dir string) bool {
	if dir == "." {
		return false
	}
	answer, known := g.dirs[dir]
	if !known {
		answer = g.ignoresDir(path.Dir(dir)) || g.decide(dir, true)
		g.dirs[dir] = answer
	}
	return answer
}

// decide asks the nearest ignore file first, and in it the last line first.
func (g *ignorer) decide(name string, isDir bool) bool {
	for base := path.Dir(name); ; base = path.Dir(base) {
		rules := g.rules[base]
		relative := name
		if base != "." {
			relative = name[len(base)+1:]
		}
		for i := len(rules) - 1; i >= 0; i-- {
			if rules[i].match(relative, isDir) {
				return !rules[i].negated
			}
		}
		if base == "." {
			return false
		}
	}
}
