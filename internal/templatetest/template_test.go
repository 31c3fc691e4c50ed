package templatetest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	root           = "../.."
	mainTemplate   = root + "/template.yaml"
	targetTemplate = root + "/iam/target-account.yaml"
	regionTemplate = root + "/iam/region.yaml"
)

// object is a mapping of a template. Intrinsic functions are in their long form.
type object = map[string]any

// load reads a template.
func load(t *testing.T, path string) object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return value(t, document.Content[0]).(object)
}

// value turns a node into maps, lists and strings: !Ref X becomes {Ref: X}, any
// other !F x becomes {Fn::F: x}.
func value(t *testing.T, n *yaml.Node) any {
	t.Helper()
	tag := n.Tag
	if strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") {
		plain := *n
		plain.Tag = ""
		key := "Fn::" + tag[1:]
		if tag == "!Ref" {
			key = "Ref"
		}
		return object{key: value(t, &plain)}
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := object{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(t, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, value(t, item))
		}
		return list
	case yaml.ScalarNode:
		return n.Value
	}
	t.Fatalf("line %d: nodes of kind %v are not for templates", n.Line, n.Kind)
	return nil
}

// at walks into nested mappings; nil if there is nothing.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// list makes a list of one or many.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// text are the strings of one or many.
func texts(v any) []string {
	var all []string
	for _, item := range list(v) {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

// ofType are a template's resources of a type, by their logical ids.
func ofType(template object, kind string) map[string]object {
	found := map[string]object{}
	for id, resource := range at(template, "Resources").(object) {
		if at(resource, "Type") == kind {
			found[id] = resource.(object)
		}
	}
	return found
}

// statements are those of a role's inline policies.
func statements(role object) []object {
	var all []object
	for _, policy := range list(at(role, "Properties", "Policies")) {
		for _, s := range list(at(policy, "PolicyDocument", "Statement")) {
			all = append(all, s.(object))
		}
	}
	return all
}

// functions are the folders under functions/.
func functions(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(root + "/functions/*/main.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("functions/*/main.go: %d found, %v", len(files), err)
	}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(filepath.Dir(file)))
	}
	return names
}

// resource is the logical id of the function of a folder.
func functionOf(t *testing.T, template object, folder string) (id string, properties object) {
	t.Helper()
	for id, resource := range ofType(template, "AWS::Serverless::Function") {
		if strings.ToLower(id) == folder+"function" {
			return id, at(resource, "Properties").(object)
		}
	}
	t.Fatalf("template.yaml has no function for functions/%s", folder)
	return "", nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// needed skips a test whose tool is missing; in CI none may be.
func needed(t *testing.T, tool string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is needed in CI: %v", tool, err)
	default:
		t.Skipf("%s is missing: %v", tool, err)
	}
}

// run runs a tool at the root of the project and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	_, err := exec.LookPath(name)
	needed(t, name, err)
	out, err := command(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func command(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}
