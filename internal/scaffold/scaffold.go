// Package scaffold writes a first registry and a first manifest from what a
// directory and an account show: text with comments, which the parsers of
// [github.com/tagboat/tagboat/internal/config] take as it is.
package scaffold

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// App is what a manifest is made from.
type App struct {
	Name string
	// Runtime is that of new layers; empty is any.
	Runtime string
	// Code and Layer are directories; empty if there is none.
	Code, Layer string
	// Built is set where the code is made by a build: then it is an asset of the release.
	Built     bool
	Functions []Function
}

// Function is a function that the app releases.
type Function struct {
	Name, Alias string
	// Runtime, Handler and Layers are those that it has; empty where nobody looked.
	Runtime, Handler string
	Layers           []string
}

// text gathers lines.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// Manifest is a tagboat.yaml.
func Manifest(a App) []byte {
	t := &text{}
	t.line("# What is released of this repository. Check it with: tagboat validate tagboat.yaml")
	t.line("app: %s", quoted(a.Name))
	a.artifacts(t)
	a.layers(t)
	t.line("functions:")
	for _, f := range a.Functions {
		a.function(t, f)
	}
	return []byte(t.String())
}

func (a App) artifacts(t *text) {
	t.line("artifacts:")
	switch {
	case a.Built:
		t.line("  code: {release_asset: code.zip}   # what the build makes; an asset of the tag's GitHub release")
	default:
		t.line("  code: {archive: %s}   # this directory at the tag, its contents at the top of the zip", quoted(a.Code))
	}
	if a.Layer != "" {
		t.line("  deps: {archive: %s}   # has to contain %s", quoted(a.Layer), layerFolder(a.Runtime))
	}
}

// layerFolder is where Lambda looks for what a layer holds (Lambda developer guide, layer paths).
func layerFolder(runtime string) string {
	switch {
	case strings.HasPrefix(runtime, "python"):
		return "python/"
	case strings.HasPrefix(runtime, "nodejs"):
		return "nodejs/node_modules/"
	}
	return "python/, nodejs/, bin/ or lib/"
}

func (a App) layerName() string { return a.Name + "-deps" }

func (a App) layers(t *text) {
	if a.Layer == "" {
		return
	}
	t.line("layers:")
	t.line("  - name: %s", quoted(a.layerName()))
	t.line("    artifact: deps")
	if a.Runtime != "" {
		t.line("    runtimes: [%s]", quoted(a.Runtime))
	}
	t.line("    # architectures: [x86_64]              # if it holds compiled code")
	t.line("    # share: {accounts: [\"333333333333\"]}   # with accounts that are no targets; the registry has to allow it")
}

func (a App) function(t *text, f Function) {
	t.line("  - name: %s", quoted(f.Name))
	t.line("    artifact: code")
	if a.Layer != "" {
		t.line("    layers: [%s]   # replaces earlier versions of it; other layers stay", quoted(a.layerName()))
	}
	if len(f.Layers) > 0 {
		t.line("    # It has these layers now: %s", strings.Join(f.Layers, ", "))
	}
	if f.Runtime != "" {
		t.line("    runtime: %s", quoted(f.Runtime))
	}
	if f.Handler != "" {
		t.line("    handler: %s", quoted(f.Handler))
	}
	if f.Alias == "" {
		t.line("    # alias: live   # without one, callers use $LATEST: no gradual shift, no test before traffic")
		return
	}
	t.line("    alias: %s   # what callers use", quoted(f.Alias))
	t.line("    # traffic: Canary10Percent5Minutes")
	t.line("    # alarms: [%s]   # stop the shift and roll back", quoted(f.Name+"-errors"))
	t.line("    # smoke: {payload: {ping: true}, expect: {statusCode: 200}}   # before any traffic")
}

// Platform is what a registry is made from.
type Platform struct {
	Account, Region string
	Environments    []Environment
	App             App
	Repository      release.Repository
}

// Environment is an account that is released to, in the platform's region.
type Environment struct{ Name, Account string }

// TargetRole is the role of iam/target-account.yaml.
const TargetRole = "tagboat-target"

// Registry is a registry.yaml.
func Registry(p Platform) []byte {
	t := &text{}
	t.line("# Who may release what where. Check it with tagboat validate registry.yaml; Tagboat reads it as config/registry.yaml")
	t.line("# of its state bucket.")
	t.line("# organization: o-abc1234567   # for sharing with the whole organisation")
	t.line("tools:                         # where Tagboat runs and layers are published")
	t.line("  account: %s", strconv.Quote(p.Account))
	t.line("  regions: [%s]", quoted(p.Region))
	t.line("environments:                  # in the order of promotion")
	for _, env := range p.Environments {
		t.line("  - name: %s", quoted(env.Name))
		t.line("    account: %s", strconv.Quote(env.Account))
		t.line("    regions: [%s]", quoted(p.Region))
		t.line("    role: %s   # iam/target-account.yaml makes it", TargetRole)
		t.line("    external_id: %s", quoted("tagboat-"+env.Name))
		t.line("    # bake: 10m             # watched after the last shift")
		t.line("    # approval: required    # somebody else than the sender has to agree")
	}
	t.line("apps:")
	t.line("  - name: %s", quoted(p.App.Name))
	t.line("    repository: {id: %d, name: %s}   # the id decides", p.Repository.ID, quoted(p.Repository.Name))
	t.line("    tags: \"v{version}\"")
	t.line("    # branches: [main]      # the tagged commit has to be on one of them")
	if p.App.Built {
		t.line("    trigger: release        # its assets are there when the release is published")
	}
	var names []string
	for _, env := range p.Environments {
		names = append(names, quoted(env.Name))
	}
	t.line("    environments: [%s]", strings.Join(names, ", "))
	t.line("    resources: [%s]   # the names it may touch, of every kind", strings.Join(p.App.resources(), ", "))
	return []byte(t.String())
}

// resources are the pattern of the app's own names, and those that do not match it.
func (a App) resources() []string {
	own := a.Name + "-*"
	all := []string{strconv.Quote(own)}
	for _, f := range a.Functions {
		if !strings.HasPrefix(f.Name, a.Name+"-") {
			all = append(all, quoted(f.Name))
		}
	}
	return all
}

// quoted is a YAML value: plain where nothing could take it for something else.
func quoted(s string) string {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-_./", r)) {
			return strconv.Quote(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return strconv.Quote(s)
	}
	return s
}
