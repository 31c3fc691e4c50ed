package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// maxDepth is how deep a definition may nest.
const maxDepth = 200

// node is a JSON value of the definition that remembers its line and the order
// of its members, for messages and for a stable order of states.
type node struct {
	line    int
	object  bool
	array   bool
	members []member
	items   []*node
	scalar  any // string, json.Number, bool or nil
}

type member struct {
	name  string
	value *node
}

func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// value is the node as the plain JSON value that payloads are made of.
func (n *node) value() any {
	switch {
	case n.object:
		object := make(map[string]any, len(n.members))
		for _, m := range n.members {
			object[m.name] = m.value.value()
		}
		return object
	case n.array:
		array := make([]any, len(n.items))
		for i, item := range n.items {
			array[i] = item.value()
		}
		return array
	}
	return n.scalar
}

// describe names the node's type for messages.
func (n *node) describe() string {
	switch {
	case n.object:
		return "an object"
	case n.array:
		return "an array"
	}
	return describe(n.scalar)
}

// nodeParser reads a definition. Duplicate members, which encoding/json would
// drop silently, are problems.
type nodeParser struct {
	decoder  *json.Decoder
	newlines []int
	problems *problems
}

func parseNode(definition []byte, p *problems) (*node, error) {
	parser := &nodeParser{decoder: json.NewDecoder(bytes.NewReader(definition)), problems: p}
	parser.decoder.UseNumber()
	for i, b := range definition {
		if b == '\n' {
			parser.newlines = append(parser.newlines, i)
		}
	}
	n, err := parser.next("", 0)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", parser.line(), err)
	}
	if _, err := parser.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: more follows the end of the definition", parser.line())
	}
	return n, nil
}

func (p *nodeParser) line() int {
	offset := int(p.decoder.InputOffset())
	return 1 + sort.SearchInts(p.newlines, offset)
}

func (p *nodeParser) next(path string, depth int) (*node, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	n := &node{line: p.line()}
	switch token {
	case json.Delim('{'):
		n.object = true
		return n, p.fillObject(n, path, depth)
	case json.Delim('['):
		n.array = true
		return n, p.fillArray(n, path, depth)
	}
	n.scalar = token
	return n, nil
}

func (p *nodeParser) fillObject(n *node, path string, depth int) error {
	for p.decoder.More() {
		key, err := p.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		at := joinPath(path, name)
		line := p.line()
		value, err := p.next(at, depth+1)
		if err != nil {
			return err
		}
		if n.member(name) != nil {
			p.problems.addLine(line, at, "is there twice")
			continue
		}
		n.members = append(n.members, member{name: name, value: value})
	}
	_, err := p.decoder.Token()
	return err
}

func (p *nodeParser) fillArray(n *node, path string, depth int) error {
	for p.decoder.More() {
		item, err := p.next(fmt.Sprintf("%s[%d]", path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := p.decoder.Token()
	return err
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
