package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// isText tells whether a node is a text. YAML's timestamps are texts to us, as
// they are in JSON.
func isText(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && (node.Tag == "!!str" || node.Tag == "!!timestamp")
}

// describe says what a node is, for people; of a secret only its type.
func describe(node *yaml.Node, secret bool) string {
	what, shown := "a text", quote(node.Value)
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Tag == "!!null":
		return "null"
	case node.Tag == "!!int" || node.Tag == "!!float":
		what, shown = "a number", "the number "+cut(node.Value)
	case node.Tag == "!!bool":
		what, shown = "a truth value", "the truth value "+node.Value
	}
	if secret {
		return what
	}
	return shown
}

// cut is the beginning of a long number, whose characters are all ASCII.
func cut(digits string) string {
	if len(digits) > longestName {
		return digits[:longestName] + "…"
	}
	return digits
}

// hint is what most likely helps somebody who wrote a value of the wrong type.
func hint(node *yaml.Node, s *shape) string {
	switch {
	case node.Kind != yaml.ScalarNode:
		return ""
	case s.kind == textKind:
		return quoting(node, s.rule)
	case s.kind == listKind && s.elem.kind == textKind && isText(node):
		return fmt.Sprintf("write a list: [%s]", quote(node.Value))
	case (s.kind == numberKind || s.kind == truthKind) && isText(node):
		if _, err := strconv.ParseInt(node.Value, 10, 64); err == nil || node.Value == "true" || node.Value == "false" {
			return "write it without quotes"
		}
	}
	return ""
}

// quoting tells to quote a number or truth value that should be a text. A
// number that is an identifier gets the zeros back that a number does not keep.
func quoting(node *yaml.Node, rule rule) string {
	switch {
	case node.Kind != yaml.ScalarNode, isText(node), node.Tag == "!!null":
		return ""
	case rule.secret:
		return "write it in quotes"
	case rule.digits > 0 && allDigits.MatchString(node.Value) && len(node.Value) <= rule.digits:
		return fmt.Sprintf("write it in quotes with all its digits, leading zeros too: %q",
			strings.Repeat("0", rule.digits-len(node.Value))+node.Value)
	default:
		return "write it in quotes: " + quote(node.Value)
	}
}

var (
	allDigits = regexp.MustCompile(`^[0-9]+$`)
	// jsonNumber is JSON's own grammar; YAML has further ways to write numbers.
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// mostExact is up to where a whole number and its neighbours differ as float64,
// so that every reader of JSON reads the same one.
const mostExact = 1<<53 - 1

// json reads any value as encoding/json does: nil, bool, float64, string,
// []any and map[string]any.
func (w *walker) json(node *yaml.Node) (any, bool) {
	node = target(node)
	switch {
	case node.Style&yaml.TaggedStyle != 0:
		w.problem(node, Problem{Want: "a JSON value without a tag", Got: "the tag " + quote(node.Tag)})
		return nil, false
	case node.Kind == yaml.MappingNode:
		return w.jsonObject(node), true
	case node.Kind == yaml.SequenceNode:
		return w.jsonArray(node), true
	case isText(node):
		return node.Value, true
	case node.Tag == "!!null":
		return nil, true
	case node.Tag == "!!bool":
		return strings.EqualFold(node.Value, "true"), true
	}
	return w.jsonNumber(node)
}

// jsonObject reads a mapping.
func (w *walker) jsonObject(node *yaml.Node) map[string]any {
	object := map[string]any{}
	w.pairs(node, func(key, value *yaml.Node) {
		if key.Tag == "!!merge" {
			w.problem(key, Problem{Want: "a name", Got: quote(key.Value), Hint: "merge keys are not read: write the fields out"})
			return
		}
		if read, ok := w.json(value); ok {
			object[key.Value] = read
		}
	})
	return object
}

// jsonArray reads a sequence.
func (w *walker) jsonArray(node *yaml.Node) []any {
	array := make([]any, len(node.Content))
	for i, element := range node.Content {
		w.place = append(w.place, i)
		array[i], _ = w.json(element)
		w.place = w.place[:len(w.place)-1]
	}
	return array
}

// jsonNumber reads a number that JSON can write and every reader understands alike.
func (w *walker) jsonNumber(node *yaml.Node) (any, bool) {
	if !jsonNumber.MatchString(node.Value) {
		w.problem(node, Problem{Want: "a number as JSON writes it", Got: cut(node.Value)})
		return nil, false
	}
	number, err := strconv.ParseFloat(node.Value, 64)
	if err != nil || (allDigits.MatchString(strings.TrimPrefix(node.Value, "-")) && math.Abs(number) > mostExact) {
		w.problem(node, Problem{Want: fmt.Sprintf("a number that JSON keeps, for a whole one up to %d", int64(mostExact)),
			Got: cut(node.Value), Hint: "write it in quotes if it is an identifier"})
		return nil, false
	}
	return number, true
}
