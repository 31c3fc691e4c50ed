package config

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// walker sets a Go value from a YAML tree and reports what does not fit. What
// cannot be read stays the zero value; a text that breaks a rule is set all the
// same, so that references to it are not reported as well.
type walker struct {
	report *report
	place  place
}

// value reads one value.
func (w *walker) value(node *yaml.Node, s *shape, out reflect.Value) {
	node = target(node)
	if !w.plain(node, s) {
		return
	}
	if out.Kind() == reflect.Pointer {
		out.Set(reflect.New(out.Type().Elem()))
		out = out.Elem()
	}
	switch s.kind {
	case objectKind:
		w.object(node, s, out)
	case dictKind:
		w.dict(node, s, out)
	case listKind:
		w.list(node, s, out)
	case textKind:
		w.text(node, s, out)
	case numberKind:
		w.number(node, s, out)
	case truthKind:
		w.truth(node, s, out)
	case anyKind:
		if value, ok := w.json(node); ok {
			out.Set(reflect.ValueOf(value))
		}
	}
}

// plain refuses null and explicit tags, which would say another type than the value's own.
func (w *walker) plain(node *yaml.Node, s *shape) bool {
	switch {
	case node.Style&yaml.TaggedStyle != 0:
		w.problem(node, Problem{Want: s.want() + " without a tag", Got: "the tag " + quote(node.Tag)})
	case node.Tag == "!!null":
		w.problem(node, Problem{Want: s.want(), Got: "null", Hint: "a field without a value is left out"})
	default:
		return true
	}
	return false
}

// object reads a mapping with known fields into a struct.
func (w *walker) object(node *yaml.Node, s *shape, out reflect.Value) {
	if node.Kind != yaml.MappingNode {
		w.mismatch(node, s)
		return
	}
	present := map[string]bool{}
	w.pairs(node, func(key, value *yaml.Node) {
		i := slices.IndexFunc(s.fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			w.unknown(key, s)
			return
		}
		present[key.Value] = true
		w.value(value, s.fields[i].shape, out.Field(s.fields[i].index))
	})
	for _, field := range s.fields {
		if field.required && !present[field.name] {
			w.problem(node, Problem{Want: fmt.Sprintf("the field %q (%s)", field.name, field.shape.rule.doc), Got: "none"})
		}
	}
}

// unknown reports a field that the object does not have.
func (w *walker) unknown(key *yaml.Node, s *shape) {
	problem := Problem{Want: "one of the fields " + strings.Join(s.names(), ", "), Got: quote(key.Value)}
	if key.Tag == "!!merge" {
		problem.Hint = "merge keys are not read: write the fields out"
	} else if !w.report.full() {
		problem.Nearest = nearest(key.Value, s.names())
	}
	w.problem(key, problem)
}

// dict reads a mapping with any keys into a map; an empty one stays nil.
func (w *walker) dict(node *yaml.Node, s *shape, out reflect.Value) {
	if node.Kind != yaml.MappingNode {
		w.mismatch(node, s)
		return
	}
	entries := reflect.MakeMap(out.Type())
	w.pairs(node, func(key, value *yaml.Node) {
		if s.rule.key != nil {
			w.keeps(key, *s.rule.key, key.Value)
		}
		entry := reflect.New(out.Type().Elem()).Elem()
		w.value(value, s.elem, entry)
		entries.SetMapIndex(reflect.ValueOf(key.Value), entry)
	})
	if entries.Len() > 0 {
		out.Set(entries)
	}
}

// pairs calls visit for each key and value of a mapping, at the value's place,
// and reports keys that are no text or occur twice.
func (w *walker) pairs(node *yaml.Node, visit func(key, value *yaml.Node)) {
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := target(node.Content[i])
		if !isText(key) && key.Tag != "!!merge" {
			w.problem(key, Problem{Want: "a name", Got: describe(key, false), Hint: quoting(key, rule{})})
			continue
		}
		w.place = append(w.place, key.Value)
		if first, twice := lines[key.Value]; twice {
			w.problem(key, Problem{Want: "each name once", Got: fmt.Sprintf("%s a second time; the first is on line %d", quote(key.Value), first)})
		} else {
			lines[key.Value] = key.Line
			visit(key, node.Content[i+1])
		}
		w.place = w.place[:len(w.place)-1]
	}
}

// list reads a sequence into a slice; an empty one stays nil.
func (w *walker) list(node *yaml.Node, s *shape, out reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		w.mismatch(node, s)
		return
	}
	count := len(node.Content)
	if count < s.rule.fewest {
		w.problem(node, Problem{Want: fmt.Sprintf("at least %d in the list", s.rule.fewest), Got: "an empty list"})
	}
	if s.rule.most > 0 && count > s.rule.most {
		w.problem(node, Problem{Want: fmt.Sprintf("at most %d in the list", s.rule.most), Got: strconv.Itoa(count)})
	}
	if count == 0 {
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), count, count))
	seen := map[string]bool{}
	for i, element := range node.Content {
		w.place = append(w.place, i)
		w.value(element, s.elem, out.Index(i))
		if text := target(element); s.rule.distinct && isText(text) {
			if seen[text.Value] {
				w.problem(element, Problem{Want: "each value once", Got: quote(text.Value) + " a second time"})
			}
			seen[text.Value] = true
		}
		w.place = w.place[:len(w.place)-1]
	}
}

// text reads a text, also into a type that reads itself from one.
func (w *walker) text(node *yaml.Node, s *shape, out reflect.Value) {
	if !isText(node) {
		w.mismatch(node, s)
		return
	}
	kept := w.keeps(node, s.rule, node.Value)
	reader, ok := out.Addr().Interface().(encoding.TextUnmarshaler)
	if !ok {
		out.SetString(node.Value)
		return
	}
	if !kept {
		return
	}
	if err := reader.UnmarshalText([]byte(node.Value)); err != nil {
		w.problem(node, Problem{Want: s.want(), Got: quote(node.Value), Hint: err.Error()})
	}
}

// keeps tells whether a text keeps a rule, and reports it if not.
func (w *walker) keeps(node *yaml.Node, rule rule, text string) bool {
	problem := Problem{Want: rule.want, Got: describe(node, rule.secret)}
	switch {
	case rule.longest > 0 && utf8.RuneCountInString(text) > rule.longest:
		problem.Want = cmp.Or(rule.want, fmt.Sprintf("at most %d characters", rule.longest))
		problem.Got += fmt.Sprintf(" with %d characters", utf8.RuneCountInString(text))
	case rule.pattern != nil && !rule.pattern.MatchString(text):
	case rule.enum != nil && !slices.Contains(rule.enum, text):
		problem.Nearest = nearest(text, rule.enum)
	default:
		return true
	}
	w.problem(node, problem)
	return false
}

// number reads a whole number, written in decimal digits only.
func (w *walker) number(node *yaml.Node, s *shape, out reflect.Value) {
	if node.Tag != "!!int" {
		w.mismatch(node, s)
		return
	}
	number, err := strconv.ParseInt(node.Value, 10, out.Type().Bits())
	if err != nil || strconv.FormatInt(number, 10) != node.Value || number < s.rule.atLeast {
		w.mismatch(node, s)
		return
	}
	out.SetInt(number)
}

// truth reads true or false.
func (w *walker) truth(node *yaml.Node, s *shape, out reflect.Value) {
	if node.Tag != "!!bool" {
		w.mismatch(node, s)
		return
	}
	out.SetBool(strings.EqualFold(node.Value, "true"))
}

// mismatch reports a value of another type than its place has.
func (w *walker) mismatch(node *yaml.Node, s *shape) {
	w.problem(node, Problem{Want: s.want(), Got: describe(node, s.rule.secret), Hint: hint(node, s)})
}

// problem reports a problem of the value that is being read.
func (w *walker) problem(node *yaml.Node, problem Problem) {
	w.report.node(node, w.place, problem)
}
