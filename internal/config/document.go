package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readDocument is the root of the one YAML document that a text is. If it is
// something else, that is reported, and the answer is nil.
func readDocument(r *report, text []byte) *yaml.Node {
	if len(text) > MaxBytes {
		r.put(nil, 1, 1, Problem{Want: fmt.Sprintf("at most %d bytes", MaxBytes), Got: strconv.Itoa(len(text))})
		return nil
	}
	if line, column, what := unreadable(text); what != "" {
		r.put(nil, line, column, Problem{Want: "text in UTF-8", Got: what})
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		r.put(nil, 1, 1, Problem{Want: "a mapping", Got: "an empty file"})
		return nil
	case err != nil:
		reportSyntax(r, text, err)
		return nil
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		reportSyntax(r, text, err)
		return nil
	default:
		r.node(&second, nil, Problem{Want: "one document in the file", Got: "the start of a second one"})
		return nil
	}
	root := target(document.Content[0])
	if root.Kind != yaml.MappingNode {
		r.node(root, nil, Problem{Want: "a mapping", Got: describe(root, false)})
		return nil
	}
	if !bounded(r, root) {
		return nil
	}
	return root
}

// unreadable finds the first byte that is no UTF-8 or no text.
func unreadable(text []byte) (line, column int, what string) {
	line, column = 1, 1
	for i := 0; i < len(text); {
		char, size := utf8.DecodeRune(text[i:])
		switch {
		case char == utf8.RuneError && size == 1:
			return line, column, fmt.Sprintf("the byte 0x%02x", text[i])
		case char < ' ' && char != '\t' && char != '\n' && char != '\r', char == 0x7f:
			return line, column, fmt.Sprintf("the control character %U", char)
		case char == '\n':
			line, column = line+1, 0
		}
		column++
		i += size
	}
	return 0, 0, ""
}

var (
	yamlLine      = regexp.MustCompile(`^line ([0-9]+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	// lineBefore are the complaints for which the YAML library counts lines from 0.
	lineBefore = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)
)

// reportSyntax reports what the YAML library says, with the line it means.
// It does not tell the column.
func reportSyntax(r *report, text []byte, err error) {
	complaint := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if match := yamlLine.FindStringSubmatch(complaint); match != nil {
		complaint = complaint[len(match[0]):]
		line, _ = strconv.Atoi(match[1]) // the pattern has digits only
		if lineBefore.MatchString(complaint) {
			line++
		}
	}
	if match := unknownAnchor.FindStringSubmatch(complaint); match != nil {
		before, _, _ := bytes.Cut(text, []byte("*"+match[1]))
		line += bytes.Count(before, []byte("\n"))
	}
	r.put(nil, min(line, 1+bytes.Count(text, []byte("\n"))), 1,
		Problem{Want: "YAML", Got: "a syntax error: " + complaint})
}

// extent is how large a value is once its aliases are written out.
type extent struct{ nodes, depth int }

// manyNodes is where counting stops; a few aliases can stand for more than an int holds.
const manyNodes = 1 << 30

// bounded reports aliases that explode or contain themselves, and values that
// are nested too deeply. After it, a walk of the document ends.
func bounded(r *report, root *yaml.Node) bool {
	written := 0
	whole, circular := measure(root, map[*yaml.Node]extent{}, &written)
	switch {
	case circular != nil:
		r.node(circular, nil, Problem{Want: "an alias of a value before it",
			Got: fmt.Sprintf("%s inside the value it stands for", quote("*"+circular.Value))})
	case whole.nodes-written > MaxAliased:
		r.node(root, nil, Problem{Want: fmt.Sprintf("aliases that stand for at most %d values", MaxAliased), Got: "more"})
	case whole.depth > MaxDepth:
		r.node(root, nil, Problem{Want: fmt.Sprintf("at most %d levels of nesting", MaxDepth), Got: strconv.Itoa(whole.depth)})
	default:
		return true
	}
	return false
}

// measure is the extent of a node and, if there is one, the first alias that
// stands inside the value it stands for. An alias can only name an anchor
// before it, so an anchor whose extent is not known yet is around it.
func measure(node *yaml.Node, anchors map[*yaml.Node]extent, written *int) (extent, *yaml.Node) {
	*written += 1 + len(node.Value)/longestName
	if node.Kind == yaml.AliasNode {
		known, ok := anchors[node.Alias]
		if !ok {
			return extent{}, node
		}
		return known, nil
	}
	whole := extent{nodes: 1 + len(node.Value)/longestName} // a long text counts as several
	for _, content := range node.Content {
		part, circular := measure(content, anchors, written)
		if circular != nil {
			return extent{}, circular
		}
		whole.nodes = min(whole.nodes+part.nodes, manyNodes)
		whole.depth = max(whole.depth, part.depth)
	}
	whole.depth++
	if node.Anchor != "" {
		anchors[node] = whole
	}
	return whole, nil
}
