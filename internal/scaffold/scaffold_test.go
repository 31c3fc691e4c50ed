package scaffold_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/scaffold"
)

// folder has files; a name that ends in / is a directory.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "orders")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if name[len(name)-1] == '/' {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestADirectoryShowsWhatIsInIt(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  scaffold.Found
	}{
		"nothing": {map[string]string{"x": ""}, scaffold.Found{}},
		"a Pipfile with its version": {map[string]string{"Pipfile": "[requires]\npython_version = \"3.12\"\n", "src/": "", "layer/": ""},
			scaffold.Found{Runtime: "python3.12", By: "Pipfile", Code: "src", Layer: "layer"}},
		"a Pipfile":                     {map[string]string{"Pipfile": ""}, scaffold.Found{Runtime: "python3.13", By: "Pipfile"}},
		"requirements":                  {map[string]string{"requirements.txt": "", "src/": ""}, scaffold.Found{Runtime: "python3.13", By: "requirements.txt", Code: "src"}},
		"a pyproject with its version":  {map[string]string{"pyproject.toml": "requires-python = \">=3.11\"\n"}, scaffold.Found{Runtime: "python3.11", By: "pyproject.toml"}},
		"a package with its engine":     {map[string]string{"package.json": `{"engines": {"node": ">=20"}}`}, scaffold.Found{Runtime: "nodejs20.x", By: "package.json"}},
		"a package":                     {map[string]string{"package.json": `{}`}, scaffold.Found{Runtime: "nodejs22.x", By: "package.json"}},
		"a package that is no JSON":     {map[string]string{"package.json": `{`}, scaffold.Found{Runtime: "nodejs22.x", By: "package.json"}},
		"a Go module":                   {map[string]string{"go.mod": "module x\n"}, scaffold.Found{Runtime: "provided.al2023", By: "go.mod", Built: true}},
		"a file called src":             {map[string]string{"src": ""}, scaffold.Found{}},
		"a remote by https":             {map[string]string{".git/config": "[core]\n[remote \"origin\"]\n\turl = https://github.com/acme/orders.git\n"}, scaffold.Found{Repository: "acme/orders"}},
		"a remote by ssh":               {map[string]string{".git/config": "[remote \"origin\"]\n\turl = git@github.com:acme/orders.git\n"}, scaffold.Found{Repository: "acme/orders"}},
		"a remote of another name only": {map[string]string{".git/config": "[remote \"fork\"]\n\turl = git@github.com:acme/orders.git\n"}, scaffold.Found{}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Name = "orders"
			if got := scaffold.Look(folder(t, c.files)); got != c.want {
				t.Errorf("found %+v, want %+v", got, c.want)
			}
		})
	}
}

// Whatever was found, what is written is valid, each by itself and together.
func TestEveryCombinationIsValid(t *testing.T) {
	functions := [][]scaffold.Function{
		{{Name: "orders-api", Alias: "live"}},
		{{Name: "api"}, {Name: "orders-worker", Alias: "true", Runtime: "python3.13", Handler: "app.handler",
			Layers: []string{"arn:aws:lambda:us-east-1:111111111111:layer:other:3"}}},
		{{Name: "123", Alias: "x1", Handler: "a:b#c"}, {Name: "no", Alias: "no"}},
	}
	environments := [][]scaffold.Environment{
		{{Name: "dev", Account: "111111111111"}},
		{{Name: "dev", Account: "111111111111"}, {Name: "on", Account: "022222222222"}},
	}
	for _, runtime := range []string{"", "python3.13", "nodejs22.x", "provided.al2023"} {
		for _, layer := range []string{"", "layer", "a b"} {
			for _, code := range []string{"src", "."} {
				for _, built := range []bool{false, true} {
					for f := range functions {
						for e := range environments {
							for _, name := range []string{"orders", "1-app", "yes"} {
								app := scaffold.App{Name: name, Runtime: runtime, Code: code, Layer: layer, Built: built, Functions: functions[f]}
								check(t, scaffold.Platform{
									Account: "999999999999", Region: "us-east-1", Environments: environments[e], App: app,
									Repository: release.Repository{ID: 186853002, Name: "acme/orders"},
								})
							}
						}
					}
				}
			}
		}
	}
}

func check(t *testing.T, p scaffold.Platform) {
	t.Helper()
	what := fmt.Sprintf("%+v", p)
	text := scaffold.Registry(p)
	registry, err := config.ParseRegistry("registry.yaml", text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, text)
	}
	app, known := registry.App(p.App.Name)
	if !known {
		t.Fatalf("%s: the registry has no app %q", what, p.App.Name)
	}
	text = scaffold.Manifest(p.App)
	manifest, err := config.ParseManifestFor("tagboat.yaml", text, registry, app)
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, text)
	}
	for i, f := range p.App.Functions {
		if got := manifest.Functions[i]; got.Name != f.Name || got.Alias != f.Alias || got.Runtime != f.Runtime || got.Handler != f.Handler {
			t.Fatalf("%s: the function is %+v, want %+v", what, got, f)
		}
	}
	for i, e := range p.Environments {
		if got := registry.Environments[i]; got.Name != e.Name || got.Account != e.Account || got.ExternalID == "" {
			t.Fatalf("%s: the environment is %+v, want %+v with an external id", what, got, e)
		}
	}
}

func TestFilesAreWrittenAllOrNone(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "tagboat.yaml"), filepath.Join(dir, "registry.yaml")
	if err := os.WriteFile(second, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := scaffold.Write(scaffold.File{Path: first, Text: []byte("a")}, scaffold.File{Path: second, Text: []byte("b")})
	if release.KindOf(err) != release.Conflict || !bytes.Contains([]byte(err.Error()), []byte(second)) {
		t.Errorf("%v, want a conflict that names %s", err, second)
	}
	if _, err := os.Stat(first); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want it gone", first, err)
	}
	if text, err := os.ReadFile(second); err != nil || string(text) != "mine" {
		t.Errorf("%s has %q, %v; want what it had", second, text, err)
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	if err := scaffold.Write(scaffold.File{Path: first, Text: []byte("a")}, scaffold.File{Path: filepath.Join(dir, "no", "x"), Text: nil}); err == nil {
		t.Error("a file in a directory that is not there was written")
	}
	if err := scaffold.Write(scaffold.File{Path: first, Text: []byte("a")}, scaffold.File{Path: second, Text: []byte("b")}); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(first); err != nil || string(text) != "a" {
		t.Errorf("%s has %q, %v", first, text, err)
	}
}
