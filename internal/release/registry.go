package release

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Registry is the platform team's file: which environments exist, who may
// release what where, and what may be shared at most.
type Registry struct {
	// Organization is the AWS organisation's id (o-…), needed for sharing with all of it.
	Organization string `yaml:"organization,omitempty" json:"organization,omitempty"`
	// Tools is the account in which Tagboat runs and layers are published.
	Tools Tools `yaml:"tools" json:"tools"`
	// Environments are in the order of promotion.
	Environments []Environment `yaml:"environments" json:"environments"`
	// Apps are the applications that may be released.
	Apps []App `yaml:"apps" json:"apps"`
}

// Tools is the account in which layers are published.
type Tools struct {
	// Account is its id, 12 digits.
	Account string `yaml:"account" json:"account"`
	// Regions are where layers can be published; the first is home, where the state bucket is.
	Regions []string `yaml:"regions" json:"regions"`
	// Buckets names the staging bucket of each further region.
	Buckets map[string]string `yaml:"buckets,omitempty" json:"buckets,omitempty"`
}

// Home is the region of the state bucket, the table and the state machine.
func (t Tools) Home() string { return t.Regions[0] }

// Environment is one account with its regions, and the role Tagboat takes there.
type Environment struct {
	Name    string   `yaml:"name" json:"name"`
	Account string   `yaml:"account" json:"account"`
	Regions []string `yaml:"regions" json:"regions"`
	// Role is the name of the role that the account grants.
	Role string `yaml:"role" json:"role"`
	// ExternalID is what the role's trust policy asks for.
	ExternalID string `yaml:"external_id" json:"external_id"`
	// Bake is how long alarms are watched after the last shift, before the release counts as good.
	Bake Duration `yaml:"bake,omitempty" json:"bake,omitempty"`
	// Approval is "required" or "none" (the default).
	Approval string `yaml:"approval,omitempty" json:"approval,omitempty"`
}

// The values of [Environment.Approval].
const (
	ApprovalRequired = "required"
	ApprovalNone     = "none"
)

// NeedsApproval tells whether somebody has to approve each release to the environment.
func (e Environment) NeedsApproval() bool { return e.Approval == ApprovalRequired }

// App is an application: the repository it comes from and what it may touch.
type App struct {
	Name       string     `yaml:"name" json:"name"`
	Repository Repository `yaml:"repository" json:"repository"`
	// Tags is the pattern of its tags, with {version} in it once.
	Tags string `yaml:"tags" json:"tags"`
	// Branches, when given, are those of which the tagged commit must be on one.
	Branches []string `yaml:"branches,omitempty" json:"branches,omitempty"`
	// Trigger is "tag" (the default), "release" or "upload".
	Trigger string `yaml:"trigger,omitempty" json:"trigger,omitempty"`
	// Manifest is the manifest's path in the repository; tagboat.yaml if empty.
	Manifest string `yaml:"manifest,omitempty" json:"manifest,omitempty"`
	// Environments are the names of those it is released to, in the registry's order.
	Environments []string `yaml:"environments" json:"environments"`
	// Resources are patterns (with *) of the names it may touch, of every kind.
	Resources []string `yaml:"resources" json:"resources"`
	// Sharing is the most its manifest may ask for.
	Sharing Sharing `yaml:"sharing,omitempty" json:"sharing,omitzero"`
	// Concurrency is "queue" (the default) or "supersede".
	Concurrency string `yaml:"concurrency,omitempty" json:"concurrency,omitempty"`
	// DropManifest is the key in the state bucket of the manifest for drops.
	DropManifest string `yaml:"drop_manifest,omitempty" json:"drop_manifest,omitempty"`
}

// Repository is a GitHub repository. The id decides; the name is for people.
type Repository struct {
	ID   int64  `yaml:"id" json:"id"`
	Name string `yaml:"name" json:"name"`
}

// The values of [App.Trigger] and [App.Concurrency].
const (
	TriggerTag           = "tag"
	TriggerRelease       = "release"
	TriggerUpload        = "upload"
	ConcurrencyQueue     = "queue"
	ConcurrencySupersede = "supersede"
)

// DefaultManifest is the manifest's path in a repository whose app names none.
const DefaultManifest = "tagboat.yaml"

// ManifestPath is the manifest's path in the repository.
func (a App) ManifestPath() string {
	if a.Manifest == "" {
		return DefaultManifest
	}
	return a.Manifest
}

// StartsOn tells which event of its repository starts the app's releases: [TriggerTag], [TriggerRelease], or with
// [TriggerUpload] none. Uploads and drops start releases of every app.
func (a App) StartsOn() string {
	if a.Trigger == "" {
		return TriggerTag
	}
	return a.Trigger
}

// Version is the version that a tag names by the app's pattern; ok is false if
// the tag is not one of the app's.
func (a App) Version(tag string) (version string, ok bool) {
	before, after, found := strings.Cut(a.Tags, "{version}")
	if !found || len(tag) <= len(before)+len(after) ||
		!strings.HasPrefix(tag, before) || !strings.HasSuffix(tag, after) {
		return "", false
	}
	return tag[len(before) : len(tag)-len(after)], true
}

// Tag is the tag of a version.
func (a App) Tag(version string) string { return strings.Replace(a.Tags, "{version}", version, 1) }

// MayTouch tells whether a name is among the app's resources.
func (a App) MayTouch(name string) bool {
	for _, pattern := range a.Resources {
		if matched, err := path.Match(pattern, name); err == nil && matched {
			return true
		}
	}
	return false
}

// Sharing says with whom a layer version is shared, or may be at most.
type Sharing struct {
	Accounts     []string `yaml:"accounts,omitempty" json:"accounts,omitempty"`
	Organization bool     `yaml:"organization,omitempty" json:"organization,omitempty"`
	Public       bool     `yaml:"public,omitempty" json:"public,omitempty"`
}

// App finds an application by name.
func (r Registry) App(name string) (App, bool) {
	for _, app := range r.Apps {
		if app.Name == name {
			return app, true
		}
	}
	return App{}, false
}

// Environment finds an environment by name.
func (r Registry) Environment(name string) (Environment, bool) {
	for _, env := range r.Environments {
		if env.Name == name {
			return env, true
		}
	}
	return Environment{}, false
}

// AppEnvironments are the app's environments in the registry's order.
func (r Registry) AppEnvironments(app App) []Environment {
	var envs []Environment
	for _, env := range r.Environments {
		for _, name := range app.Environments {
			if env.Name == name {
				envs = append(envs, env)
			}
		}
	}
	return envs
}

// For is the registry as it holds for a request, with its app: of the app's
// environments only those that are asked for. What is brought back was approved
// where it was live before, so nobody has to approve it once more.
func (r Registry) For(request Request) (Registry, App, error) {
	app, ok := r.App(request.App)
	if !ok {
		return r, app, Errorf(Denied, "app %q is not in the registry", request.App).
			WithRemedy("Add it under apps in registry.yaml.")
	}
	if request.Environment != "" {
		if !slices.Contains(app.Environments, request.Environment) {
			return r, app, Errorf(Denied, "app %q is not released to environment %q; it is to %q", app.Name, request.Environment, app.Environments).
				WithRemedy("Name one of those, or add the environment to the app in registry.yaml.")
		}
		app.Environments = []string{request.Environment}
	}
	if request.Restores != "" {
		r.Environments = slices.Clone(r.Environments)
		for i := range r.Environments {
			r.Environments[i].Approval = ""
		}
	}
	return r, app, nil
}

// Duration is a time.Duration that is written as "10m" in YAML and JSON.
type Duration time.Duration

// MarshalText writes it as Go does, for example "10m0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
