package asl

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// rule is a choice rule: a data test, or a combination of rules.
type rule struct {
	all, any []*rule
	not      *rule
	variable *path
	operator operator
	want     any
	wantPath *path
	next     string
}

// operator is a data-test comparison.
type operator struct {
	name string
	// presence tells that the test is about the variable being there at all.
	presence bool
	// accepts checks the operand that a definition gives.
	accepts func(any) bool
	// operand says what accepts wants.
	operand string
	test    func(value, want any) bool
}

func (r *rule) evaluate(e env) (bool, error) {
	switch {
	case r.all != nil:
		return evaluateUntil(r.all, e, false)
	case r.any != nil:
		return evaluateUntil(r.any, e, true)
	case r.not != nil:
		holds, err := r.not.evaluate(e)
		return !holds, err
	}
	return r.compare(e)
}

// evaluateUntil evaluates rules until one gives stop.
func evaluateUntil(rules []*rule, e env, stop bool) (bool, error) {
	for _, r := range rules {
		holds, err := r.evaluate(e)
		if err != nil || holds == stop {
			return holds, err
		}
	}
	return !stop, nil
}

func (r *rule) compare(e env) (bool, error) {
	value, there := r.variable.find(e)
	if r.operator.presence {
		return there == r.want.(bool), nil
	}
	if !there {
		return false, runtimeFailure("Invalid path '%s': The choice state's condition path references an invalid value.", r.variable.text)
	}
	want := r.want
	if r.wantPath != nil {
		if want, there = r.wantPath.find(e); !there {
			return false, runtimeFailure("Invalid path '%s': The choice state's condition path references an invalid value.", r.wantPath.text)
		}
	}
	return r.operator.test(value, want), nil
}

// findOperator reads an operator's name; isPath tells that its operand is a path.
func findOperator(name string) (op operator, isPath, ok bool) {
	if op, ok := findPlainOperator(name); ok {
		return op, false, true
	}
	base, isPath := strings.CutSuffix(name, "Path")
	op, ok = findPlainOperator(base)
	if !isPath || !ok || base == "StringMatches" || strings.HasPrefix(base, "Is") {
		return operator{}, false, false
	}
	op.name = name
	return op, true, true
}

func findPlainOperator(name string) (operator, bool) {
	switch name {
	case "BooleanEquals":
		return operator{name: name, accepts: isBoolean, operand: "a boolean", test: equalBooleans}, true
	case "StringMatches":
		return operator{name: name, accepts: isString, operand: "a string", test: matchesPattern}, true
	case "IsPresent":
		return operator{name: name, presence: true, accepts: isBoolean, operand: "a boolean"}, true
	}
	if is, ok := typeTests[name]; ok {
		test := func(value, want any) bool { return is(value) == want }
		return operator{name: name, accepts: isBoolean, operand: "a boolean", test: test}, true
	}
	for _, family := range orders {
		suffix, ok := strings.CutPrefix(name, family.prefix)
		holds, known := relations[suffix]
		if ok && known {
			test := func(value, want any) bool {
				order, comparable := family.compare(value, want)
				return comparable && holds(order)
			}
			return operator{name: name, accepts: family.accepts, operand: family.operand, test: test}, true
		}
	}
	return operator{}, false
}

var typeTests = map[string]func(any) bool{
	"IsNull":      func(value any) bool { return value == nil },
	"IsString":    isString,
	"IsNumeric":   isNumber,
	"IsBoolean":   isBoolean,
	"IsTimestamp": isTimestamp,
}

var relations = map[string]func(order int) bool{
	"Equals":            func(order int) bool { return order == 0 },
	"LessThan":          func(order int) bool { return order < 0 },
	"GreaterThan":       func(order int) bool { return order > 0 },
	"LessThanEquals":    func(order int) bool { return order <= 0 },
	"GreaterThanEquals": func(order int) bool { return order >= 0 },
}

var orders = []struct {
	prefix  string
	accepts func(any) bool
	operand string
	compare func(a, b any) (order int, ok bool)
}{
	{"String", isString, "a string", compareStrings},
	{"Numeric", isNumber, "a number", compareNumbers},
	{"Timestamp", isTimestamp, "an RFC 3339 timestamp", compareTimestamps},
}

func isString(value any) bool    { _, ok := value.(string); return ok }
func isBoolean(value any) bool   { _, ok := value.(bool); return ok }
func isNumber(value any) bool    { _, ok := value.(json.Number); return ok }
func isTimestamp(value any) bool { _, ok := timestamp(value); return ok }

func timestamp(value any) (time.Time, bool) {
	text, _ := value.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	return t, err == nil
}

func equalBooleans(value, want any) bool {
	a, aOK := value.(bool)
	b, bOK := want.(bool)
	return aOK && bOK && a == b
}

func compareStrings(a, b any) (int, bool) {
	left, leftOK := a.(string)
	right, rightOK := b.(string)
	return strings.Compare(left, right), leftOK && rightOK
}

func compareTimestamps(a, b any) (int, bool) {
	left, leftOK := timestamp(a)
	right, rightOK := timestamp(b)
	return left.Compare(right), leftOK && rightOK
}

func compareNumbers(a, b any) (int, bool) {
	left, leftOK := a.(json.Number)
	right, rightOK := b.(json.Number)
	if !leftOK || !rightOK {
		return 0, false
	}
	leftInt, leftErr := left.Int64()
	rightInt, rightErr := right.Int64()
	if leftErr == nil && rightErr == nil {
		return cmp.Compare(leftInt, rightInt), true
	}
	leftFloat, leftErr := left.Float64()
	rightFloat, rightErr := right.Float64()
	return cmp.Compare(leftFloat, rightFloat), leftErr == nil && rightErr == nil
}

// matchesPattern is StringMatches: * stands for any characters, \* for itself.
func matchesPattern(value, want any) bool {
	text, ok := value.(string)
	pattern, _ := want.(string)
	return ok && matchParts(text, splitPattern(pattern))
}

// splitPattern cuts a pattern at its wildcards and resolves escapes.
func splitPattern(pattern string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			part.WriteByte(pattern[i])
		case pattern[i] == '*':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(pattern[i])
		}
	}
	return append(parts, part.String())
}

func matchParts(text string, parts []string) bool {
	if len(parts) == 1 {
		return text == parts[0]
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, parts[last])
}

// choices compiles the rules of a Choice state.
func (l *loader) choices(f *fields, st *state) {
	n := f.get("Choices")
	if n == nil || len(n.items) == 0 {
		f.bad("Choices", "is missing or empty")
		return
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", f.at("Choices"), i)
		st.choices = append(st.choices, l.rule(item, at, true))
	}
}

// rule compiles one rule; only those at the top say where to go.
func (l *loader) rule(n *node, at string, top bool) *rule {
	r := &rule{}
	f, ok := l.problems.object(n, at)
	if !ok {
		return r
	}
	f.text("Comment")
	if top {
		r.next = f.required("Next")
	} else if f.get("Next") != nil {
		f.bad("Next", "is only allowed in a rule of Choices itself")
	}
	switch {
	case f.has("And"):
		r.all = l.rules(f, "And")
	case f.has("Or"):
		r.any = l.rules(f, "Or")
	case f.has("Not"):
		r.not = l.rule(f.get("Not"), f.at("Not"), false)
	default:
		l.dataTest(f, r)
	}
	f.finish()
	return r
}

func (l *loader) rules(f *fields, name string) []*rule {
	n := f.get(name)
	if len(n.items) == 0 {
		f.bad(name, "is %s, want an array with at least one rule", n.describe())
		return []*rule{}
	}
	var all []*rule
	for i, item := range n.items {
		all = append(all, l.rule(item, fmt.Sprintf("%s[%d]", f.at(name), i), false))
	}
	return all
}

func (l *loader) dataTest(f *fields, r *rule) {
	if text := f.required("Variable"); text != "" {
		r.variable = l.path(f, "Variable", text)
	}
	var found []string
	for _, m := range f.node.members {
		op, isPath, ok := findOperator(m.name)
		if !ok {
			continue
		}
		f.used[m.name] = true
		found = append(found, m.name)
		r.operator = op
		l.operand(f, r, m, isPath)
	}
	if len(found) != 1 {
		l.problems.add(f.node, f.path, "has %d comparison operators (%s), want one that is known", len(found), strings.Join(found, ", "))
	}
}

func (l *loader) operand(f *fields, r *rule, m member, isPath bool) {
	if isPath {
		if text, ok := f.text(m.name); ok {
			r.wantPath = l.path(f, m.name, text)
		}
		return
	}
	r.want = m.value.value()
	if !r.operator.accepts(r.want) {
		f.bad(m.name, "is %s, want %s", m.value.show(), r.operator.operand)
	}
}
