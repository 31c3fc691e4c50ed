package cli

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
)

// unknownApp is the problem of a manifest whose app the registry does not have.
func unknownApp(d document, named string, registry release.Registry) error {
	if named == "" {
		return nil // that it is missing is told already
	}
	names := make([]string, len(registry.Apps))
	for i, app := range registry.Apps {
		names[i] = fmt.Sprintf("%q", app.Name)
	}
	problem := config.Problem{
		File: d.name, Path: "app", Line: 1, Column: 1,
		Want: "an app of the registry (" + strings.Join(names, ", ") + ")", Got: fmt.Sprintf("%q", named),
	}
	var fields map[string]yaml.Node
	if yaml.Unmarshal(d.text, &fields) == nil { // else its place is the file's beginning
		problem.Line, problem.Column = fields["app"].Line, fields["app"].Column
	}
	return &config.Error{Problems: []config.Problem{problem}}
}

// problems gathers all problems in an error; what is no problem of a file is one by itself.
func problems(err error) (lines []string, more int) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			l, m := problems(each)
			lines, more = append(lines, l...), more+m
		}
		return lines, more
	}
	var found *config.Error
	if !errors.As(err, &found) {
		return []string{err.Error()}, 0
	}
	for _, problem := range found.Problems {
		lines = append(lines, problem.String())
	}
	return lines, found.More
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
