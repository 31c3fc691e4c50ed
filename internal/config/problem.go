package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/release"
)

// Problem is one thing that is wrong in a file.
type Problem struct {
	// File is the name that the parser was given; empty if there was no text.
	File string
	// Line and Column count from 1; 0 if there was no text.
	Line, Column int
	// Path is the place in the file, for example functions[0].traffic; empty for the whole.
	Path string
	// Want is what was expected there, and Got what was found.
	Want, Got string
	// Nearest is the known name that is most like the one found, if one is.
	Nearest string
	// Hint is how to mend it, if there is more to say.
	Hint string
}

// Message says what was expected and what was found.
func (p Problem) Message() string {
	message := "want " + p.Want + ", got " + p.Got
	if p.Nearest != "" {
		message += fmt.Sprintf("; did you mean %q?", p.Nearest)
	}
	if p.Hint != "" {
		message += "; " + p.Hint
	}
	return message
}

// String is the problem on one line: file:line:column: path: message.
func (p Problem) String() string {
	text := p.Message()
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Line == 0 {
		return text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
}

// Error is everything that is wrong in a file.
type Error struct {
	// Problems are in the order of the file, at most [MaxProblems].
	Problems []Problem
	// More is how many others there are.
	More int
}

// Error is one problem per line.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, problem := range e.Problems {
		lines = append(lines, problem.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more problems", e.More))
	}
	return strings.Join(lines, "\n")
}

// report gathers the problems of one file.
type report struct {
	file string
	// root is the document, or nil if there is none to look places up in.
	root     *yaml.Node
	problems []Problem
	more     int
}

// full tells whether further problems would only be counted.
func (r *report) full() bool { return len(r.problems) >= MaxProblems }

// at adds a problem of the value at a place.
func (r *report) at(p place, problem Problem) {
	if r.full() {
		r.more++
		return
	}
	if r.root == nil {
		r.put(p, 0, 0, problem)
		return
	}
	r.node(p.find(r.root), p, problem)
}

// node adds a problem of a value whose node is known.
func (r *report) node(node *yaml.Node, p place, problem Problem) {
	r.put(p, node.Line, node.Column, problem)
}

// put adds a problem at a position.
func (r *report) put(p place, line, column int, problem Problem) {
	if r.full() {
		r.more++
		return
	}
	problem.File, problem.Line, problem.Column, problem.Path = r.file, line, column, p.String()
	r.problems = append(r.problems, problem)
}

// err is everything reported, in the order of the file, or nil.
func (r *report) err(kind release.Kind) error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return release.Errorf(kind, "%w", &Error{Problems: r.problems, More: r.more})
}
