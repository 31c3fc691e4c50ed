package asl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxStateName is the length of a state's name, in characters (states-language.net, "States").
const maxStateName = 80

// loader compiles a definition and collects its problems.
type loader struct {
	problems      *problems
	substitutions map[string]string
	all           []*state
	names         map[string]bool
	// maps is how many Maps are around the state being read; token tells that it
	// is a task that waits for one.
	maps  int
	token bool
}

// Load compiles a definition of the Amazon States Language. Each ${Name} in a
// string is replaced from substitutions, as SAM does it with a state machine's
// DefinitionSubstitutions. All problems are told in one error of the kind
// release.Invalid: what is unknown or not implemented, wrong values and paths,
// targets that are not there, states that cannot be reached or never end.
func Load(definition []byte, substitutions map[string]string) (*Machine, error) {
	l := &loader{problems: &problems{}, substitutions: substitutions, names: map[string]bool{}}
	root, err := parseNode(definition, l.problems)
	if err != nil {
		l.problems.addLine(0, "", "the definition is not JSON: %v", err)
		return nil, l.problems.err()
	}
	l.substitute(root, "")
	m := l.machine(root)
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return m, nil
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

func (l *loader) substitute(n *node, at string) {
	for _, m := range n.members {
		l.substitute(m.value, joinPath(at, m.name))
	}
	for i, item := range n.items {
		l.substitute(item, fmt.Sprintf("%s[%d]", at, i))
	}
	text, ok := n.scalar.(string)
	if !ok {
		return
	}
	n.scalar = placeholder.ReplaceAllStringFunc(text, func(found string) string {
		value, ok := l.substitutions[found[2:len(found)-1]]
		if !ok {
			l.problems.add(n, at, "has the placeholder %s, for which there is no value", found)
		}
		return value
	})
}

func (l *loader) machine(root *node) *Machine {
	m := &Machine{}
	f, ok := l.problems.object(root, "")
	if !ok {
		return m
	}
	m.comment, _ = f.text("Comment")
	if version, ok := f.text("Version"); ok && version != "1.0" {
		f.bad("Version", "is %q, want \"1.0\"", version)
	}
	l.queryLanguage(f)
	if n, ok := f.integer("TimeoutSeconds", 1, maxSeconds); ok {
		m.timeout = time.Duration(n) * time.Second
	}
	m.top = l.graph(f, "")
	f.finish()
	m.all = l.all
	return m
}

func (l *loader) queryLanguage(f *fields) {
	if language, ok := f.text("QueryLanguage"); ok && language != "JSONPath" {
		f.bad("QueryLanguage", "is %q; only JSONPath is implemented", language)
	}
}

// graph reads StartAt and States; prefix is the path of the Map around them.
func (l *loader) graph(f *fields, prefix string) *graph {
	g := &graph{startAt: f.required("StartAt"), states: map[string]*state{}}
	n := f.get("States")
	if n == nil || len(n.members) == 0 {
		f.bad("States", "is missing or empty")
		return g
	}
	for _, m := range n.members {
		l.stateName(f, m)
		st := l.state(m, joinPath(f.at("States"), m.name), prefix)
		g.states[m.name] = st
		g.order = append(g.order, st)
	}
	l.checkGraph(f, g)
	return g
}

func (l *loader) stateName(f *fields, m member) {
	at := joinPath(f.at("States"), m.name)
	if n := utf8.RuneCountInString(m.name); n == 0 || n > maxStateName {
		l.problems.add(m.value, at, "has a name of %d characters, want 1 to %d", n, maxStateName)
	}
	if l.names[m.name] {
		l.problems.add(m.value, at, "has the name of another state; names are unique in the whole machine")
	}
	l.names[m.name] = true
}

func (l *loader) state(m member, at, prefix string) *state {
	st := &state{name: m.name, path: prefix + m.name, line: m.value.line}
	l.all = append(l.all, st)
	f, ok := l.problems.object(m.value, at)
	if !ok {
		return st
	}
	st.kind = f.required("Type")
	st.comment, _ = f.text("Comment")
	l.queryLanguage(f)
	if l.readState(f, st) {
		f.finish()
	} else if st.kind != "" {
		f.bad("Type", "is %q, want one of %s", st.kind, strings.Join(stateTypes, ", "))
	}
	return st
}

// checkGraph checks how the states hang together.
func (l *loader) checkGraph(f *fields, g *graph) {
	if _, ok := g.states[g.startAt]; !ok && g.startAt != "" {
		f.bad("StartAt", "is %q, which is not a state here", g.startAt)
		return
	}
	dangling := false
	for _, st := range g.order {
		for _, target := range st.targets() {
			if _, ok := g.states[target]; !ok && target != "" {
				dangling = true
				l.problems.addLine(st.line, joinPath(f.at("States"), st.name), "leads to %q, which is not a state here", target)
			}
		}
	}
	reached := g.reach([]string{g.startAt}, (*state).targets)
	for _, st := range g.order {
		if !reached[st.name] {
			l.problems.addLine(st.line, joinPath(f.at("States"), st.name), "cannot be reached")
		}
	}
	if !dangling {
		l.checkEnds(f, g)
	}
}

// checkEnds reports the states from which no end can be reached.
func (l *loader) checkEnds(f *fields, g *graph) {
	before := map[string][]string{}
	var ends []string
	for _, st := range g.order {
		if st.terminal() {
			ends = append(ends, st.name)
		}
		for _, target := range st.targets() {
			before[target] = append(before[target], st.name)
		}
	}
	ending := g.reach(ends, func(st *state) []string { return before[st.name] })
	for _, st := range g.order {
		if !ending[st.name] {
			l.problems.addLine(st.line, joinPath(f.at("States"), st.name), "never comes to an end: no End, Succeed or Fail can be reached from it")
		}
	}
}

// reach are the states that can be reached from some, over the given steps.
func (g *graph) reach(from []string, steps func(*state) []string) map[string]bool {
	reached := map[string]bool{}
	for len(from) > 0 {
		name := from[0]
		from = from[1:]
		st, ok := g.states[name]
		if !ok || reached[name] {
			continue
		}
		reached[name] = true
		from = append(from, steps(st)...)
	}
	return reached
}

// path reads a path that may also be into the context object.
func (l *loader) path(f *fields, name, text string) *path {
	p, err := parsePath(text)
	if err != nil {
		f.bad(name, "%v", err)
		return &path{text: text}
	}
	l.checkContext(f.node.member(name), f.at(name), p)
	return p
}

func (l *loader) expression(n *node, at, text string) *expression {
	x, err := parseExpression(text)
	if err != nil {
		l.problems.add(n, at, "%v", err)
		return nil
	}
	for _, p := range x.paths() {
		l.checkContext(n, at, p)
	}
	return x
}

// contextMembers are what the context object has, two levels deep (developer
// guide, "Context object").
var contextMembers = map[string][]string{
	"Execution":    {"Id", "Input", "Name", "StartTime"},
	"State":        {"EnteredTime", "Name", "RetryCount"},
	"StateMachine": {"Id", "Name"},
	"Map":          {"Item"},
	"Task":         {"Token"},
}

// checkContext refuses paths into the context object that nothing is at.
func (l *loader) checkContext(n *node, at string, p *path) {
	if !p.context || len(p.steps) == 0 {
		return
	}
	known, ok := contextMembers[p.steps[0].name]
	if ok && len(p.steps) > 1 {
		ok = slices.Contains(known, p.steps[1].name)
	}
	switch {
	case !ok:
		l.problems.add(n, at, "is %q, which the context object does not have", p.text)
	case p.steps[0].name == "Map" && l.maps == 0:
		l.problems.add(n, at, "is %q outside of a Map", p.text)
	case p.steps[0].name == "Task" && !l.token:
		l.problems.add(n, at, "is %q outside of the Parameters of a task that waits for a token", p.text)
	}
}
