package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/release"
)

var update = flag.Bool("update", false, "write the JSON Schemas under schemas/ afresh")

// schemaDraft is the dialect of the schemas.
const schemaDraft = "https://json-schema.org/draft/2020-12/schema"

// described is one of the two files: its shape and its schema.
type described struct {
	title, example, schema string
	shape                  *shape
	rules                  map[string]rule
	// between are what the schema says about fields that need each other, by
	// path; the parser says it in its checks.
	between map[string]map[string]any
}

// files are the two files that people write.
func files() []described {
	registry, manifest := registryRules(), manifestRules()
	return []described{
		{title: "registry.yaml", example: "registry.yaml", schema: "registry.schema.json", rules: registry,
			shape: shapeOf(reflect.TypeFor[release.Registry](), "", registry), between: betweenRegistry()},
		{title: "tagboat.yaml", example: "tagboat.yaml", schema: "manifest.schema.json", rules: manifest,
			shape: shapeOf(reflect.TypeFor[release.Manifest](), "", manifest), between: betweenManifest()},
	}
}

// betweenRegistry wants an organisation's id where an app may share with all of it.
func betweenRegistry() map[string]map[string]any {
	shares := object("properties", object("sharing", object("required", []string{"organization"},
		"properties", object("organization", object("const", true)))), "required", []string{"sharing"})
	return map[string]map[string]any{"": {
		"if":   object("properties", object("apps", object("contains", shares)), "required", []string{"apps"}),
		"then": object("required", []string{"organization"}),
	}}
}

// betweenManifest is what checkManifest says, as far as a schema can.
func betweenManifest() map[string]map[string]any {
	some := object("minItems", 1)
	return map[string]map[string]any{
		"": {"anyOf": []any{
			object("required", []string{"layers"}, "properties", object("layers", some)),
			object("required", []string{"functions"}, "properties", object("functions", some)),
		}},
		"artifacts.*": {
			"oneOf": []any{required("archive"), required("release_asset"), required("object")},
			"not":   required("archive", "sha256"),
		},
		"functions[]": {
			"anyOf": []any{required("artifact"), required("runtime"), required("handler"),
				object("required", []string{"layers"}, "properties", object("layers", some)),
				object("required", []string{"environment"}, "properties", object("environment", object("minProperties", 1)))},
			"dependentRequired": object("smoke", []string{"alias"}),
			"if":                object("required", []string{"traffic"}, "properties", object("traffic", object("not", object("const", "AllAtOnce")))),
			"then":              required("alias"),
		},
	}
}

// object is a JSON object of names and values in turn.
func object(pairs ...any) map[string]any {
	made := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		made[pairs[i].(string)] = pairs[i+1]
	}
	return made
}

// required is the schema of an object that has the fields.
func required(fields ...string) map[string]any { return object("required", fields) }

// schemaOf is the JSON Schema of a shape.
func schemaOf(s *shape, between map[string]map[string]any) map[string]any {
	schema := map[string]any{}
	if doc := []rune(s.rule.doc); len(doc) > 0 {
		schema["description"] = string(unicode.ToUpper(doc[0])) + string(doc[1:]) + "."
	}
	switch s.kind {
	case objectKind:
		properties, needed := map[string]any{}, []string{}
		for _, field := range s.fields {
			properties[field.name] = schemaOf(field.shape, between)
			if field.required {
				needed = append(needed, field.name)
			}
		}
		maps.Copy(schema, object("type", "object", "properties", properties, "additionalProperties", false))
		if len(needed) > 0 {
			schema["required"] = needed
		}
	case dictKind:
		maps.Copy(schema, object("type", "object", "additionalProperties", schemaOf(s.elem, between), "propertyNames", limits(*s.rule.key)))
	case listKind:
		maps.Copy(schema, object("type", "array", "items", schemaOf(s.elem, between)))
	case textKind:
		schema["type"] = "string"
	case numberKind:
		maps.Copy(schema, object("type", "integer", "minimum", s.rule.atLeast))
	case truthKind:
		schema["type"] = "boolean"
	case anyKind:
		schema["type"] = []string{"object", "array", "string", "number", "boolean"}
	}
	maps.Copy(schema, limits(s.rule))
	maps.Copy(schema, between[s.path])
	return schema
}

// limits are the limits of texts and lists.
func limits(r rule) map[string]any {
	limits := map[string]any{}
	if r.pattern != nil {
		limits["pattern"] = r.pattern.String()
	}
	if r.longest > 0 {
		limits["maxLength"] = r.longest
	}
	if r.enum != nil {
		limits["enum"] = r.enum
	}
	if r.fewest > 0 {
		limits["minItems"] = r.fewest
	}
	if r.most > 0 {
		limits["maxItems"] = r.most
	}
	if r.distinct {
		limits["uniqueItems"] = true
	}
	return limits
}

// schemaText is the text of the schema's file.
func schemaText(t *testing.T, file described) []byte {
	t.Helper()
	schema := schemaOf(file.shape, file.between)
	schema["$schema"], schema["title"] = schemaDraft, file.title
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// schemaPath is where a schema's file is.
func schemaPath(file described) string { return filepath.Join("..", "..", "schemas", file.schema) }

func TestTheSchemasAreThoseOfTheTypes(t *testing.T) {
	for _, file := range files() {
		want := schemaText(t, file)
		if *update {
			if err := os.WriteFile(schemaPath(file), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(schemaPath(file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the Go types and their rules; run go generate ./internal/config", file.schema)
		}
	}
}

// shapes are a shape and all below it, by path.
func shapes(s *shape) map[string]*shape {
	all := map[string]*shape{s.path: s}
	for _, field := range s.fields {
		maps.Copy(all, shapes(field.shape))
	}
	if s.elem != nil {
		maps.Copy(all, shapes(s.elem))
	}
	return all
}

func TestEveryFieldHasARuleAndEveryRuleAField(t *testing.T) {
	for _, file := range files() {
		all := shapes(file.shape)
		for path, rule := range file.rules {
			if all[path] == nil {
				t.Errorf("%s: the rule of %q belongs to no field", file.title, path)
			}
			if rule.pattern != nil && rule.longest == 0 {
				t.Errorf("%s: %q has a pattern but no limit of its length", file.title, path)
			}
		}
		for path, shape := range all {
			for _, field := range shape.fields {
				if field.name == "" || field.name == "-" || field.shape.rule.doc == "" {
					t.Errorf("%s: the field %q of %q has no yaml name or no description", file.title, field.name, path)
				}
			}
			if shape.kind == dictKind && shape.rule.key == nil {
				t.Errorf("%s: the keys of %q have no rule", file.title, path)
			}
		}
	}
}

func TestTheJSONOfTheTypesHasTheNamesOfTheYAML(t *testing.T) {
	var names func(reflect.Type)
	names = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				inYAML, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
				inJSON, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				if inYAML == "" {
					continue // a type that reads itself from a text
				}
				if inYAML != inJSON {
					t.Errorf("%s.%s is %q in YAML and %q in JSON", typ, typ.Field(i).Name, inYAML, inJSON)
				}
				names(typ.Field(i).Type)
			}
		case reflect.Slice, reflect.Map, reflect.Pointer:
			names(typ.Elem())
		}
	}
	names(reflect.TypeFor[release.Registry]())
	names(reflect.TypeFor[release.Manifest]())
}

// schemas are the compiled schema files, by the name of the file they describe.
func schemas(t testing.TB) map[string]*jsonschema.Schema {
	t.Helper()
	compiled := map[string]*jsonschema.Schema{}
	for _, file := range files() {
		schema, err := jsonschema.NewCompiler().Compile(schemaPath(file))
		if err != nil {
			t.Fatal(err)
		}
		compiled[file.example] = schema
	}
	return compiled
}

// validate checks a YAML text against a schema, as editors do. ok is false if
// the text cannot be said in JSON.
func validate(t testing.TB, schema *jsonschema.Schema, text string) (err error, ok bool) {
	t.Helper()
	var value any
	if yaml.Unmarshal([]byte(text), &value) != nil {
		return nil, false
	}
	inJSON, err := json.Marshal(value)
	if err != nil {
		return nil, false
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(inJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(read), true
}

func TestSchemaAndParserAcceptTheSame(t *testing.T) {
	schemas := schemas(t)
	for _, test := range good() {
		t.Run(test.name, func(t *testing.T) {
			if err, ok := validate(t, schemas[test.file], test.text(t)); err != nil || !ok {
				t.Errorf("the parser accepts it, the schema does not: %v", err)
			}
		})
	}
}

func TestSchemaAndParserRefuseTheSame(t *testing.T) {
	schemas := schemas(t)
	for _, test := range slices.Concat(badRegistries(), badManifests()) {
		t.Run(test.name, func(t *testing.T) {
			err, ok := validate(t, schemas[test.file], test.text(t))
			switch {
			case !ok && !test.beyond:
				t.Error("it cannot be said in JSON: is it about YAML itself?")
			case ok && err == nil && !test.beyond:
				t.Error("the parser refuses it, the schema does not")
			case ok && err != nil && test.beyond:
				t.Errorf("the schema refuses it too, so it is not beyond it: %v", err)
			}
		})
	}
}
