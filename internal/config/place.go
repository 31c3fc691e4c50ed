package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is the way from the root of a document to one of its values: a string
// for each field, an int for each element of a list.
type place []any

// plainStep is a field that is written into a path without quotes.
var plainStep = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// to is a place below p; p stays as it is.
func (p place) to(steps ...any) place { return append(slices.Clip(p), steps...) }

// String is the place as people write it: functions[0].environment.STAGE.
func (p place) String() string {
	var path strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&path, "[%d]", step)
		case string:
			if !plainStep.MatchString(step) {
				fmt.Fprintf(&path, "[%s]", quote(step))
				continue
			}
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(step)
		}
	}
	return path.String()
}

// find is the node at the place, or as near to it as the document goes.
func (p place) find(root *yaml.Node) *yaml.Node {
	node := root
	for _, step := range p {
		next := child(target(node), step)
		if next == nil {
			break
		}
		node = next
	}
	return node
}

// child is one step down, or nil.
func child(node *yaml.Node, step any) *yaml.Node {
	switch step := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return node.Content[step]
		}
	case string:
		if node.Kind != yaml.MappingNode {
			return nil
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if target(node.Content[i]).Value == step {
				return node.Content[i+1]
			}
		}
	}
	return nil
}

// target is what an alias stands for, or the node itself.
func target(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
