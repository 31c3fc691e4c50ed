// Package config reads the two files that people write: registry.yaml, the
// platform team's ([release.Registry]), and tagboat.yaml, the application's
// ([release.Manifest]).
//
// It is strict, and it tells everything at once. A file is read into a YAML
// tree, the tree is walked along the Go type by its yaml tags, so that types
// and parser cannot drift, and the rules of the values stand beside in one
// table per file, from which the JSON Schemas under schemas/ are made as well.
// What one value alone cannot tell (references, duplicates, claims of two apps
// that meet) is checked on the result. Each [Problem] has its line and column.
package config

//go:generate go test -run "^TestThe(Schemas|Reference)" -update .

import (
	"reflect"

	"github.com/tagboat/tagboat/internal/release"
)

// The most that a file may be. They keep a hostile manifest from costing more
// than its own size.
const (
	// MaxBytes is the size of a file.
	MaxBytes = 1 << 20
	// MaxDepth is how deep values may be nested.
	MaxDepth = 64
	// MaxAliased is how many values the YAML aliases of a file may add to it.
	MaxAliased = 10_000
	// MaxProblems is how many problems are told; the others are counted.
	MaxProblems = 100
)

// ParseRegistry reads the platform team's file. The name is what problems call
// the file. The error is of kind [release.Invalid] and wraps an [*Error].
func ParseRegistry(name string, text []byte) (release.Registry, error) {
	r := &report{file: name}
	registry := parse[release.Registry](r, text, registryRules())
	if r.root != nil {
		checkRegistry(r, registry)
	}
	if err := r.err(release.Invalid); err != nil {
		return release.Registry{}, err
	}
	return registry, nil
}

// ParseManifest reads an application's file. The name is what problems call
// the file. The error is of kind [release.Invalid] and wraps an [*Error].
func ParseManifest(name string, text []byte) (release.Manifest, error) {
	r := &report{file: name}
	manifest := parseManifest(r, text)
	if err := r.err(release.Invalid); err != nil {
		return release.Manifest{}, err
	}
	return manifest, nil
}

// ParseManifestFor reads the file of an app of the registry and checks it
// against the registry as [Check] does, with the line and column of each
// problem. What the registry forbids is of kind [release.Denied]; a file that
// is wrong in itself is [release.Invalid], and both are told then.
func ParseManifestFor(name string, text []byte, registry release.Registry, app release.App) (release.Manifest, error) {
	r := &report{file: name}
	manifest := parseManifest(r, text)
	kind := release.Denied
	if len(r.problems) > 0 {
		kind = release.Invalid
	}
	if r.root != nil {
		checkAllowed(r, manifest, registry, app)
	}
	if err := r.err(kind); err != nil {
		return release.Manifest{}, err
	}
	return manifest, nil
}

// Check tells what the registry forbids an app's manifest: another app's
// name, layers and functions outside the app's resources, and sharing beyond
// what the app may ask for. The error is of kind [release.Denied] and wraps an
// [*Error] whose problems have paths but, the text being gone, no lines.
func Check(manifest release.Manifest, registry release.Registry, app release.App) error {
	r := &report{}
	checkAllowed(r, manifest, registry, app)
	return r.err(release.Denied)
}

// parseManifest reads a manifest and checks what needs no registry.
func parseManifest(r *report, text []byte) release.Manifest {
	manifest := parse[release.Manifest](r, text, manifestRules())
	if r.root != nil {
		checkManifest(r, manifest)
	}
	return manifest
}

// parse reads a text into a T by the rules. If it is not one YAML document,
// r has no root afterwards.
func parse[T any](r *report, text []byte, rules map[string]rule) T {
	var value T
	r.root = readDocument(r, text)
	if r.root != nil {
		w := &walker{report: r}
		w.value(r.root, shapeOf(reflect.TypeFor[T](), "", rules), reflect.ValueOf(&value).Elem())
	}
	return value
}
