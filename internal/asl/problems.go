package asl

import (
	"fmt"
	"sort"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// problems collects what is wrong with a definition.
type problems struct {
	list []problem
}

type problem struct {
	line int
	text string
}

func (p *problems) add(n *node, path, format string, args ...any) {
	p.addLine(n.line, path, format, args...)
}

func (p *problems) addLine(line int, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + " " + text
	}
	p.list = append(p.list, problem{line: line, text: text})
}

// err is one error that tells all problems in the order of their lines, or nil.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	sort.SliceStable(p.list, func(i, j int) bool { return p.list[i].line < p.list[j].line })
	lines := make([]string, len(p.list))
	for i, one := range p.list {
		lines[i] = fmt.Sprintf("line %d: %s", one.line, one.text)
	}
	return release.Errorf(release.Invalid, "the state machine's definition has %d problem(s):\n%s", len(lines), strings.Join(lines, "\n")).
		WithRemedy("Correct the definition; the embedded engine runs the JSONPath mode of the Amazon States Language with Task (lambda:invoke), Choice, Map (inline), Wait, Pass, Succeed and Fail states.")
}

// fields reads the members of one object and, at the end, reports those that
// nobody asked for.
type fields struct {
	problems *problems
	path     string
	node     *node
	used     map[string]bool
}

// object starts reading n, which must be an object.
func (p *problems) object(n *node, path string) (*fields, bool) {
	if !n.object {
		p.add(n, path, "is %s, want an object", n.describe())
		return nil, false
	}
	return &fields{problems: p, path: path, node: n, used: map[string]bool{}}, true
}

func (f *fields) at(name string) string { return joinPath(f.path, name) }

// get is a member or nil, and marks it as known.
func (f *fields) get(name string) *node {
	f.used[name] = true
	return f.node.member(name)
}

func (f *fields) has(name string) bool { return f.node.member(name) != nil }

// bad reports a problem with a member, or with the object if it is not there.
func (f *fields) bad(name, format string, args ...any) {
	n := f.node.member(name)
	if n == nil {
		n = f.node
	}
	f.problems.add(n, f.at(name), format, args...)
}

// text is a string member.
func (f *fields) text(name string) (string, bool) {
	n := f.get(name)
	if n == nil {
		return "", false
	}
	s, ok := n.scalar.(string)
	if !ok || n.object || n.array {
		f.bad(name, "is %s, want a string", n.describe())
		return "", false
	}
	return s, true
}

// required is a string member that must be there and not be empty.
func (f *fields) required(name string) string {
	s, ok := f.text(name)
	if f.node.member(name) == nil {
		f.bad(name, "is missing")
	} else if ok && s == "" {
		f.bad(name, "is empty")
	}
	return s
}

// integer is a whole number between low and high.
func (f *fields) integer(name string, low, high int64) (int64, bool) {
	n := f.get(name)
	if n == nil {
		return 0, false
	}
	number, ok := wholeNumber(n.scalar)
	if !ok || number < low || number > high {
		f.bad(name, "is %s, want a whole number from %d to %d", n.show(), low, high)
		return 0, false
	}
	return number, true
}

// exclusive reports when more than one of the names is there.
func (f *fields) exclusive(names ...string) {
	var there []string
	for _, name := range names {
		if f.has(name) {
			there = append(there, name)
		}
	}
	if len(there) > 1 {
		f.problems.add(f.node, f.path, "has %s; only one of them is allowed", strings.Join(there, " and "))
	}
}

// finish reports the members that nobody asked for.
func (f *fields) finish() {
	for _, m := range f.node.members {
		if f.used[m.name] {
			continue
		}
		if why, known := notImplemented[m.name]; known {
			f.bad(m.name, "is not implemented by the embedded engine: %s", why)
			continue
		}
		f.bad(m.name, "is not a field that is known here")
	}
}

// notImplemented are the fields of the language that the engine lacks.
var notImplemented = map[string]string{
	"Arguments":                      "it is JSONata; use Parameters",
	"Assign":                         "variables are not there; use ResultPath",
	"Branches":                       "Parallel is not there; use Map",
	"Condition":                      "it is JSONata; use Variable and an operator",
	"Credentials":                    "tasks run with the process's own credentials",
	"ItemBatcher":                    "only inline Maps are there",
	"ItemReader":                     "only inline Maps are there",
	"Items":                          "it is JSONata; use ItemsPath",
	"Iterator":                       "use ItemProcessor",
	"Label":                          "only inline Maps are there",
	"MaxConcurrencyPath":             "use MaxConcurrency",
	"Output":                         "it is JSONata; use ResultSelector and ResultPath",
	"ResultWriter":                   "only inline Maps are there",
	"ToleratedFailureCount":          "a Map fails with its first iteration",
	"ToleratedFailureCountPath":      "a Map fails with its first iteration",
	"ToleratedFailurePercentage":     "a Map fails with its first iteration",
	"ToleratedFailurePercentagePath": "a Map fails with its first iteration",
}

// show is the node for messages: a scalar as it is written, anything else by its type.
func (n *node) show() string {
	if n.object || n.array {
		return n.describe()
	}
	if s, ok := n.scalar.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(n.scalar)
}
