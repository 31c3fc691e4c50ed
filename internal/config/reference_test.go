package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// reference is docs/files.md: written from the schemas and the examples, so that
// it cannot say anything else than the parser does; what it says of ignore files
// is testdata/ignore.md.
func reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# The two files\n\nBoth are YAML, parsed strictly: an unknown field is an error that names the line and the nearest known field.\n" +
		"`tagboat validate FILE…` tells every violation at once. The tables below and [the JSON Schemas](../schemas) are generated\n" +
		"from the Go types (`go generate ./internal/config`); examples in the tables' first column show where a field stands.\n")
	for _, file := range []struct{ title, schema, example string }{
		{"registry.yaml: the platform team's", "registry.schema.json", "registry.yaml"},
		{"tagboat.yaml: the application's", "manifest.schema.json", "tagboat.yaml"},
	} {
		example := read(t, filepath.Join("testdata", file.example))
		fmt.Fprintf(&b, "\n## %s\n\n```yaml\n%s```\n\n| field | type | |\n|---|---|---|\n", file.title, example)
		var schema map[string]any
		if err := json.Unmarshal([]byte(read(t, filepath.Join("..", "..", "schemas", file.schema))), &schema); err != nil {
			t.Fatal(err)
		}
		fieldRows(&b, "", schema)
	}
	b.WriteString(read(t, filepath.Join("testdata", "ignore.md")))
	return b.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fieldRows writes a row for each field of an object, and below it those of what it holds.
func fieldRows(b *strings.Builder, prefix string, schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		field, _ := properties[name].(map[string]any)
		kind := typeName(field)
		if slices.Contains(required, any(name)) {
			kind += ", required"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, name, kind, field["description"])
		inner, path := field, prefix+name+"."
		if items, ok := field["items"].(map[string]any); ok {
			inner, path = items, prefix+name+"[]."
		} else if values, ok := field["additionalProperties"].(map[string]any); ok {
			inner, path = values, prefix+name+".*."
		}
		fieldRows(b, path, inner)
	}
}

func typeName(field map[string]any) string {
	if values, ok := field["enum"].([]any); ok {
		names := make([]string, len(values))
		for i, v := range values {
			names[i] = fmt.Sprintf("`%v`", v)
		}
		return strings.Join(names, " or ")
	}
	if _, several := field["type"].([]any); several {
		return "any JSON value"
	}
	switch kind := field["type"]; kind {
	case "array":
		items, _ := field["items"].(map[string]any)
		return "list of " + typeName(items)
	case "object":
		if values, isMap := field["additionalProperties"].(map[string]any); isMap {
			return "map of " + typeName(values)
		}
		return "object"
	default:
		return fmt.Sprint(kind)
	}
}

func TestTheReferenceIsThatOfTheSchemas(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "files.md")
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); got != want {
		t.Errorf("%s is not what the schemas say: run go generate ./internal/config", path)
	}
}
