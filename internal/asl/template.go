package asl

import (
	"fmt"
	"strings"
)

// env is what paths and intrinsics are evaluated in.
type env struct {
	input any
	frame *frame
}

// expression is the value of a member whose name ends in ".$": a path or a call
// of an intrinsic function.
type expression struct {
	text string
	path *path
	call *call
}

// parseExpression reads a path or an intrinsic.
func parseExpression(text string) (*expression, error) {
	if strings.HasPrefix(text, "States.") {
		call, err := parseCall(text)
		return &expression{text: text, call: call}, err
	}
	p, err := parsePath(text)
	return &expression{text: text, path: p}, err
}

// evaluate gives the value for a field of that name.
func (x *expression) evaluate(e env, field string) (any, error) {
	if x.call != nil {
		value, err := x.call.evaluate(e)
		if err != nil {
			return nil, runtimeFailure("The function '%s' had the following error: %v", x.text, err)
		}
		return value, nil
	}
	value, ok := x.path.find(e)
	if !ok {
		return nil, runtimeFailure("The JSONPath '%s' specified for the field '%s' could not be found in the input", x.text, field)
	}
	return value, nil
}

// paths are those that the expression reads.
func (x *expression) paths() []*path {
	if x.call != nil {
		return x.call.paths()
	}
	return []*path{x.path}
}

// template is a payload template: Parameters, ItemSelector or ResultSelector.
// Exactly one of its parts is set.
type template struct {
	literal *any
	members []templateMember
	items   []*template
	expr    *expression
	field   string // the name that expr is the value of
}

type templateMember struct {
	name  string
	value *template
}

// literalTemplate is a part in which nothing is evaluated.
func literalTemplate(value any) *template { return &template{literal: &value} }

func (t *template) evaluate(e env) (any, error) {
	switch {
	case t.literal != nil:
		return *t.literal, nil
	case t.expr != nil:
		return t.expr.evaluate(e, t.field)
	case t.items != nil:
		return t.evaluateItems(e)
	}
	object := make(map[string]any, len(t.members))
	for _, m := range t.members {
		value, err := m.value.evaluate(e)
		if err != nil {
			return nil, err
		}
		object[m.name] = value
	}
	return object, nil
}

func (t *template) evaluateItems(e env) (any, error) {
	array := make([]any, len(t.items))
	for i, item := range t.items {
		value, err := item.evaluate(e)
		if err != nil {
			return nil, err
		}
		array[i] = value
	}
	return array, nil
}

// walk visits every expression.
func (t *template) walk(visit func(*expression)) {
	if t.expr != nil {
		visit(t.expr)
	}
	for _, m := range t.members {
		m.value.walk(visit)
	}
	for _, item := range t.items {
		item.walk(visit)
	}
}

// template compiles a payload template.
func (l *loader) template(n *node, at string) *template {
	switch {
	case n.object:
		return l.templateObject(n, at)
	case n.array:
		return l.templateArray(n, at)
	}
	return literalTemplate(n.scalar)
}

func (l *loader) templateObject(n *node, at string) *template {
	t := &template{members: make([]templateMember, 0, len(n.members))}
	constant := true
	for _, m := range n.members {
		name, dynamic := strings.CutSuffix(m.name, ".$")
		where := joinPath(at, m.name)
		if dynamic && n.member(name) != nil {
			l.problems.add(m.value, where, "and %q are both there", name)
		}
		value := l.templateMember(m, where, dynamic)
		constant = constant && value.literal != nil
		t.members = append(t.members, templateMember{name: name, value: value})
	}
	if constant {
		return literalTemplate(n.value())
	}
	return t
}

func (l *loader) templateMember(m member, where string, dynamic bool) *template {
	if !dynamic {
		return l.template(m.value, where)
	}
	text, ok := m.value.scalar.(string)
	if !ok {
		l.problems.add(m.value, where, "is %s, want a string with a path or an intrinsic function", m.value.describe())
		return literalTemplate(nil)
	}
	expr := l.expression(m.value, where, text)
	if expr == nil {
		return literalTemplate(nil)
	}
	return &template{expr: expr, field: m.name}
}

func (l *loader) templateArray(n *node, at string) *template {
	t := &template{items: make([]*template, 0, len(n.items))}
	constant := true
	for i, item := range n.items {
		value := l.template(item, fmt.Sprintf("%s[%d]", at, i))
		constant = constant && value.literal != nil
		t.items = append(t.items, value)
	}
	if constant {
		return literalTemplate(n.value())
	}
	return t
}
