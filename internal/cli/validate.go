package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
)

// The two files, as --as names them.
const (
	asRegistry = "registry"
	asManifest = "manifest"
)

func (c *command) validate() *cobra.Command {
	v := &validation{command: c}
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check registry and manifest files",
		Long: `Validate tells everything that is wrong with registry and manifest files, a line for each problem:
file:line:column: what was wanted and what was found. Given a registry too, it also tells what that
forbids the manifests. Which of the two a file is, its fields tell, else its name, else --as.`,
		Example: `  tagboat validate tagboat.yaml
  tagboat validate registry.yaml services/*/tagboat.yaml
  tagboat validate --as manifest manifests/orders.yaml
  tagboat validate tagboat.yaml --json | jq -r '.[].problems[]?'`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&v.as, "as", "", "take every file for a registry or a manifest")
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "print JSON")
	cmd.RunE = func(_ *cobra.Command, names []string) error {
		if v.as != "" && v.as != asRegistry && v.as != asManifest {
			return release.Errorf(release.Invalid, "--as is %q, want %s or %s", v.as, asRegistry, asManifest).
				WithRemedy("Leave it out to have each file recognised by its fields.")
		}
		return v.run(names)
	}
	return cmd
}

// document is a file that is checked.
type document struct {
	name, kind string
	text       []byte
	err        error
}

// checkedFile is what validate --json prints of a file.
type checkedFile struct {
	File string `json:"file"`
	// Kind is registry or manifest; empty if the file could not be read.
	Kind  string `json:"kind"`
	Valid bool   `json:"valid"`
	// Problems are file:line:column: what was wanted and found. More counts those left out.
	Problems []string `json:"problems,omitempty"`
	More     int      `json:"more,omitempty"`
}

// validation checks files together.
type validation struct {
	*command
	as       string
	asJSON   bool
	registry *release.Registry
	checked  []checkedFile
	problems int
	files    int
}

func (v *validation) run(names []string) error {
	documents := make([]document, len(names))
	registries := 0
	for i, name := range names {
		documents[i] = v.open(name)
		if documents[i].kind == asRegistry && documents[i].err == nil {
			registries++
			v.keep(documents[i], registries)
		}
	}
	for _, d := range documents {
		v.check(d)
	}
	if v.asJSON {
		text, err := json.Marshal(v.checked)
		if err == nil {
			err = v.printJSON(text)
		}
		if err != nil {
			return err
		}
	}
	if v.problems == 0 {
		return nil
	}
	return release.Errorf(release.Invalid, "%s in %s", count(v.problems, "problem"), count(v.files, "file")).
		WithRemedy("Mend what the lines above name; docs/files.md describes every field.")
}

// keep remembers the registry that manifests are checked against: the only one
// that was given, if it is right.
func (v *validation) keep(d document, registries int) {
	v.registry = nil
	if registry, err := config.ParseRegistry(d.name, d.text); err == nil && registries == 1 {
		v.registry = &registry
	}
}

func (v *validation) open(name string) document {
	d := document{name: name, kind: v.as}
	file, err := os.Open(name)
	if err != nil {
		d.err = err
		return d
	}
	defer file.Close()
	d.text, d.err = io.ReadAll(io.LimitReader(file, config.MaxBytes+1)) // one more is told as too large
	if d.kind == "" {
		d.kind = kindOf(name, d.text)
	}
	return d
}

// kindOf tells which of the two files it is: by its fields, else by its name.
func kindOf(name string, text []byte) string {
	var fields map[string]yaml.Node
	if len(text) <= config.MaxBytes {
		_ = yaml.Unmarshal(text, &fields) // what is wrong with it is told later
	}
	registry, manifest := 0, 0
	for field := range fields {
		switch field {
		case "organization", "tools", "environments", "apps":
			registry++
		case "app", "artifacts", "layers", "functions":
			manifest++
		}
	}
	if registry > manifest || registry == manifest && strings.Contains(filepath.Base(name), asRegistry) {
		return asRegistry
	}
	return asManifest
}

func (v *validation) check(d document) {
	err := d.err
	switch {
	case err != nil:
	case d.kind == asRegistry:
		_, err = config.ParseRegistry(d.name, d.text)
	default:
		err = v.manifest(d)
	}
	lines, more := []string(nil), 0
	if err != nil {
		v.files++
		lines, more = problems(err)
		v.problems += len(lines) + more
	}
	v.checked = append(v.checked, checkedFile{File: d.name, Kind: d.kind, Valid: err == nil, Problems: lines, More: more})
	if !v.asJSON {
		v.print(v.checked[len(v.checked)-1])
	}
}

// print prints a line for a right file, or one for each of its problems.
func (v *validation) print(f checkedFile) {
	if f.Valid {
		fmt.Fprintf(v.Stdout, "%s: ok (%s)\n", f.File, f.Kind)
		return
	}
	for _, line := range f.Problems {
		fmt.Fprintln(v.Stdout, readable(line))
	}
	if f.More > 0 {
		fmt.Fprintf(v.Stdout, "%s: and %s\n", f.File, count(f.More, "more problem"))
	}
}

// manifest checks a manifest by itself or, with a registry, as its app's.
func (v *validation) manifest(d document) error {
	manifest, err := config.ParseManifest(d.name, d.text)
	if v.registry == nil {
		return err
	}
	named := manifest.App
	if err != nil {
		named = appOf(d.text)
	}
	app, known := v.registry.App(named)
	if !known {
		return errors.Join(err, unknownApp(d, named, *v.registry))
	}
	_, err = config.ParseManifestFor(d.name, d.text, *v.registry, app)
	return err
}

// appOf is the name that a manifest with other problems has for its app.
func appOf(text []byte) string {
	var named struct {
		App string `yaml:"app"`
	}
	_ = yaml.Unmarshal(text, &named) // its problems are known
	return named.App
}
