package asl

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// path is a JSONPath over a state's data ("$…") or the context object ("$$…").
type path struct {
	text    string
	context bool
	steps   []pathStep
}

type stepKind int

const (
	stepField stepKind = iota
	stepIndex
	stepWildcard
	stepSlice
)

type pathStep struct {
	kind  stepKind
	name  string
	index int
	// from and to bound a slice; nil is its end.
	from, to *int
}

// find is the value at the path. A path with wildcards or slices gives an array
// of what it matches, once the part before them is there.
func (p *path) find(e env) (any, bool) {
	value := e.input
	if p.context {
		value = e.frame.contextObject()
	}
	for i, step := range p.steps {
		if step.kind == stepWildcard || step.kind == stepSlice {
			return spread([]any{value}, p.steps[i:]), true
		}
		var ok bool
		if value, ok = step.one(value); !ok {
			return nil, false
		}
	}
	return value, true
}

func (s pathStep) one(value any) (any, bool) {
	if s.kind == stepField {
		object, _ := value.(map[string]any)
		member, ok := object[s.name]
		return member, ok
	}
	array, _ := value.([]any)
	index := s.index
	if index < 0 {
		index += len(array)
	}
	if index < 0 || index >= len(array) {
		return nil, false
	}
	return array[index], true
}

func (s pathStep) many(value any) []any {
	switch s.kind {
	case stepWildcard:
		return children(value)
	case stepSlice:
		array, _ := value.([]any)
		from, to := bound(s.from, 0, len(array)), bound(s.to, len(array), len(array))
		if from >= to {
			return nil
		}
		return array[from:to]
	}
	if one, ok := s.one(value); ok {
		return []any{one}
	}
	return nil
}

func spread(values []any, steps []pathStep) []any {
	for _, step := range steps {
		found := []any{}
		for _, value := range values {
			found = append(found, step.many(value)...)
		}
		values = found
	}
	return values
}

func children(value any) []any {
	switch value := value.(type) {
	case []any:
		return value
	case map[string]any:
		all := make([]any, 0, len(value))
		for _, name := range sortedNames(value) {
			all = append(all, value[name])
		}
		return all
	}
	return nil
}

func bound(limit *int, missing, length int) int {
	if limit == nil {
		return missing
	}
	n := *limit
	if n < 0 {
		n += length
	}
	return min(max(n, 0), length)
}

// parsePath reads a JSONPath. Filters, recursive descent and unions are refused.
func parsePath(text string) (*path, error) {
	p := &path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, fmt.Errorf("is %q, want a path that begins with $", text)
	}
	if after, ok := strings.CutPrefix(rest, "$"); ok {
		p.context, rest = true, after
	}
	for rest != "" {
		step, after, err := parseStep(rest)
		if err != nil {
			return nil, fmt.Errorf("is the path %q, in which %w", text, err)
		}
		p.steps, rest = append(p.steps, step), after
	}
	return p, nil
}

func parseStep(rest string) (pathStep, string, error) {
	switch {
	case strings.HasPrefix(rest, ".."):
		return pathStep{}, "", fmt.Errorf("\"..\" is not implemented")
	case strings.HasPrefix(rest, ".*"):
		return pathStep{kind: stepWildcard}, rest[2:], nil
	case rest[0] == '.':
		name := nameAt(rest[1:])
		if name == "" {
			return pathStep{}, "", fmt.Errorf("no name follows at %q", rest)
		}
		return pathStep{kind: stepField, name: name}, rest[1+len(name):], nil
	case rest[0] == '[':
		return parseBracket(rest[1:])
	}
	return pathStep{}, "", fmt.Errorf("%q is not understood", rest)
}

// nameAt is the member name that s begins with.
func nameAt(s string) string {
	for i, r := range s {
		plain := r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= utf8.RuneSelf && r != utf8.RuneError
		if !plain {
			return s[:i]
		}
	}
	return s
}

func parseBracket(rest string) (pathStep, string, error) {
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		return parseQuoted(rest)
	}
	inside, after, ok := strings.Cut(rest, "]")
	if !ok {
		return pathStep{}, "", fmt.Errorf("a [ is not closed")
	}
	inside = strings.TrimSpace(inside)
	if inside == "*" {
		return pathStep{kind: stepWildcard}, after, nil
	}
	if strings.HasPrefix(inside, "?") || strings.HasPrefix(inside, "(") {
		return pathStep{}, "", fmt.Errorf("the filter [%s] is not implemented", inside)
	}
	if strings.Contains(inside, ":") {
		step, err := parseSlice(inside)
		return step, after, err
	}
	index, err := strconv.Atoi(inside)
	if err != nil {
		return pathStep{}, "", fmt.Errorf("[%s] is not an index", inside)
	}
	return pathStep{kind: stepIndex, index: index}, after, nil
}

func parseSlice(inside string) (pathStep, error) {
	step := pathStep{kind: stepSlice}
	parts := strings.Split(inside, ":")
	if len(parts) != 2 {
		return step, fmt.Errorf("[%s] is not a slice [from:to]", inside)
	}
	for i, limit := range []**int{&step.from, &step.to} {
		part := strings.TrimSpace(parts[i])
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return step, fmt.Errorf("[%s] is not a slice [from:to]", inside)
		}
		*limit = &n
	}
	return step, nil
}

// parseQuoted reads a name in quotes and the bracket that closes it.
func parseQuoted(rest string) (pathStep, string, error) {
	quote := rest[0]
	var name strings.Builder
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && i+1 < len(rest):
			i++
			name.WriteByte(rest[i])
		case rest[i] == quote:
			after, ok := strings.CutPrefix(rest[i+1:], "]")
			if !ok {
				return pathStep{}, "", fmt.Errorf("no ] follows the name %q", name.String())
			}
			return pathStep{kind: stepField, name: name.String()}, after, nil
		default:
			name.WriteByte(rest[i])
		}
	}
	return pathStep{}, "", fmt.Errorf("a quote is not closed")
}
