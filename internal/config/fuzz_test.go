package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tagboat/tagboat/internal/release"
)

// seed adds the good and the bad examples of a file.
func seed(f *testing.F, file string, wrong []bad) {
	for _, test := range good() {
		if test.file == file {
			f.Add([]byte(test.text(f)))
		}
	}
	for _, test := range wrong {
		f.Add([]byte(test.text(f)))
	}
}

func FuzzParseRegistry(f *testing.F) {
	seed(f, "registry.yaml", badRegistries())
	schema := schemas(f)["registry.yaml"]
	f.Fuzz(func(t *testing.T, text []byte) {
		registry, err := ParseRegistry("registry.yaml", text)
		if err != nil {
			refused(t, text, err)
			return
		}
		sameRegistry(t, registry)
		fits(t, schema, text, registry)
		for _, app := range registry.Apps {
			if len(registry.AppEnvironments(app)) == 0 || !app.MayTouch(strings.ReplaceAll(app.Resources[0], "*", "x")) {
				t.Errorf("accepted app %+v, which goes nowhere or touches nothing", app)
			}
			if version, ok := app.Version(app.Tag("1.2.3")); !ok || version != "1.2.3" {
				t.Errorf("pattern %q reads version %q of the tag that it makes of 1.2.3", app.Tags, version)
			}
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	seed(f, "tagboat.yaml", badManifests())
	schema := schemas(f)["tagboat.yaml"]
	registry, err := ParseRegistry("registry.yaml", []byte(example(f, "registry.yaml")))
	if err != nil {
		f.Fatal(err)
	}
	app := registry.Apps[0]
	f.Fuzz(func(t *testing.T, text []byte) {
		manifest, err := ParseManifest("tagboat.yaml", text)
		if err != nil {
			refused(t, text, err)
			return
		}
		sameManifest(t, manifest)
		fits(t, schema, text, manifest)
		if _, err := ParseManifestFor("tagboat.yaml", text, registry, app); err != nil {
			if kind := release.KindOf(err); kind != release.Denied {
				t.Errorf("got kind %q for a sound manifest, want %q", kind, release.Denied)
			}
			return
		}
		for _, f := range manifest.Functions {
			if !app.MayTouch(f.Name) {
				t.Errorf("allowed function %q for an app with %q", f.Name, app.Resources)
			}
		}
		for _, l := range manifest.Layers {
			if !app.MayTouch(l.Name) || l.Share.Public && !app.Sharing.Public || l.Share.Organization && !app.Sharing.Organization {
				t.Errorf("allowed layer %+v for an app with %q and %+v", l, app.Resources, app.Sharing)
			}
		}
	})
}

// refused checks that an error is one for the person who wrote the file: each
// problem has a place in it, and no value makes the message long.
func refused(t *testing.T, text []byte, err error) {
	t.Helper()
	if kind := release.KindOf(err); kind != release.Invalid {
		t.Errorf("got kind %q, want %q", kind, release.Invalid)
	}
	var problems *Error
	if !errors.As(err, &problems) || len(problems.Problems) == 0 {
		t.Fatalf("got %v, want problems", err)
	}
	lines := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r")) + 2
	for _, p := range problems.Problems {
		if p.Line < 0 || p.Line > lines || p.Column < 0 {
			t.Errorf("problem %v is at line %d of %d", p, p.Line, lines)
		}
	}
	if message := err.Error(); len(message) > 200_000 || !utf8.ValidString(message) || strings.ContainsAny(message, "\x00\x1b") {
		t.Errorf("the message of %d bytes cannot be printed: %.300q", len(message), message)
	}
}

// fits checks a file, as it was written and as JSON, against its schema.
func fits(t *testing.T, schema *jsonschema.Schema, written []byte, file any) {
	t.Helper()
	if err, ok := validate(t, schema, string(written)); ok && err != nil {
		t.Errorf("the parser accepts it, the schema does not: %v", err)
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("the schema does not accept what was read: %v\n%s", err, text)
	}
}
