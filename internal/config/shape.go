package config

import (
	"encoding"
	"reflect"
	"regexp"
	"strings"
)

// rule is what the Go type of a value does not say about it.
type rule struct {
	// doc says what the value is: a phrase for problems, and the description in the schema.
	doc string
	// want names a value that keeps the rule, with its article.
	want string
	// pattern is what a text matches. It means the same in Go and in JSON Schema.
	pattern *regexp.Regexp
	// longest is the most characters of a text; 0 is no limit.
	longest int
	// enum are the only values of a text.
	enum []string
	// digits is how many a text has that looks like a number and is none.
	digits int
	// secret values are never repeated in a problem.
	secret bool
	// atLeast is the smallest number.
	atLeast int64
	// fewest and most limit the elements of a list; 0 is no limit.
	fewest, most int
	// distinct elements occur once in a list.
	distinct bool
	// key is the rule of the keys of a map.
	key *rule
}

// says is the rule with the words for one field.
func (r rule) says(doc string) rule {
	r.doc = doc
	return r
}

// kind is how a value is written.
type kind int

const (
	objectKind kind = iota // a mapping with known fields
	dictKind               // a mapping with any keys
	listKind
	textKind
	numberKind
	truthKind
	anyKind // whatever JSON can say
)

// shape is how a Go type is written, with the rules of its values.
type shape struct {
	kind   kind
	path   string
	rule   rule
	fields []field
	// elem is the shape of the elements of a list or map.
	elem *shape
}

// field is a field of an object.
type field struct {
	name     string
	required bool
	index    int
	shape    *shape
}

// elements and values are the steps below a list and a map in the path of a rule.
const (
	elements = "[]"
	values   = ".*"
)

// shapeOf is the shape of a type, by its yaml tags. A field without omitempty
// is required. The rule of a value is found by its path, as in
// functions[].environment.*; one without a rule is only checked for its type.
func shapeOf(t reflect.Type, path string, rules map[string]rule) *shape {
	s := &shape{path: path, rule: rules[path]}
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		s.kind = textKind
		return s
	case t.Kind() == reflect.Pointer:
		return shapeOf(t.Elem(), path, rules)
	}
	switch t.Kind() {
	case reflect.Struct:
		s.kind = objectKind
		s.fields = fieldsOf(t, path, rules)
	case reflect.Map:
		s.kind, s.elem = dictKind, shapeOf(t.Elem(), path+values, rules)
	case reflect.Slice:
		s.kind, s.elem = listKind, shapeOf(t.Elem(), path+elements, rules)
	case reflect.String:
		s.kind = textKind
	case reflect.Int, reflect.Int64:
		s.kind = numberKind
	case reflect.Bool:
		s.kind = truthKind
	default:
		s.kind = anyKind
	}
	return s
}

// fieldsOf are the fields of a struct.
func fieldsOf(t reflect.Type, path string, rules map[string]rule) []field {
	var fields []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		fields = append(fields, field{
			name:     name,
			required: !strings.Contains(options, "omitempty"),
			index:    i,
			shape:    shapeOf(t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."), rules),
		})
	}
	return fields
}

// want says what is expected of a value.
func (s *shape) want() string {
	if s.rule.want != "" {
		return s.rule.want
	}
	switch s.kind {
	case objectKind, dictKind:
		return "a mapping"
	case listKind:
		return "a list"
	case numberKind:
		return "a whole number"
	case truthKind:
		return "true or false"
	case anyKind:
		return "a JSON value"
	default:
		return "a text"
	}
}

// names are the fields of an object.
func (s *shape) names() []string {
	var names []string
	for _, field := range s.fields {
		names = append(names, field.name)
	}
	return names
}
