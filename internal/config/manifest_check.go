package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// checkManifest checks what no value alone can tell, and needs no registry.
func checkManifest(r *report, manifest release.Manifest) {
	if len(manifest.Layers)+len(manifest.Functions) == 0 {
		r.at(nil, Problem{Want: "at least one layer or function", Got: "none"})
	}
	checkArtifacts(r, manifest)
	checkLayers(r, manifest)
	checkFunctions(r, manifest)
}

// checkArtifacts wants exactly one source of each artifact, and a use.
func checkArtifacts(r *report, manifest release.Manifest) {
	used := map[string]bool{}
	for _, layer := range manifest.Layers {
		used[layer.Artifact] = true
	}
	for _, function := range manifest.Functions {
		used[function.Artifact] = true
	}
	for _, name := range slices.Sorted(maps.Keys(manifest.Artifacts)) {
		artifact, at := manifest.Artifacts[name], place{"artifacts", name}
		sources := sourcesOf(artifact)
		if len(sources) != 1 {
			r.at(at, Problem{Want: "exactly one of archive, release_asset and object", Got: cmp.Or(strings.Join(sources, " and "), "none")})
		}
		if artifact.SHA256 != "" && artifact.Archive != "" {
			r.at(at.to("sha256"), Problem{Want: "sha256 with release_asset or object only", Got: "it with archive",
				Hint: "the commit pins what the archive holds"})
		}
		if !used[name] {
			r.at(at, Problem{Want: "a layer or function that uses the artifact", Got: "none"})
		}
	}
}

// sourcesOf are the fields that say where an artifact comes from.
func sourcesOf(artifact release.ArtifactSpec) []string {
	var sources []string
	if artifact.Archive != "" {
		sources = append(sources, "archive")
	}
	if artifact.ReleaseAsset != "" {
		sources = append(sources, "release_asset")
	}
	if artifact.Object != "" {
		sources = append(sources, "object")
	}
	return sources
}

// checkLayers checks names and references.
func checkLayers(r *report, manifest release.Manifest) {
	names := map[string]int{}
	for i, layer := range manifest.Layers {
		at := place{"layers", i}
		checkOnce(r, names, at, "layer", layer.Name)
		checkArtifact(r, manifest, at, layer.Artifact)
	}
}

// checkArtifact reports the name of an artifact that is not there.
func checkArtifact(r *report, manifest release.Manifest, at place, name string) {
	if _, ok := manifest.Artifacts[name]; !ok && name != "" {
		known := slices.Sorted(maps.Keys(manifest.Artifacts))
		r.at(at.to("artifact"), dangling(r, "an artifact of this manifest", name, known))
	}
}

// checkFunctions checks names, references, and fields that need each other.
func checkFunctions(r *report, manifest release.Manifest) {
	var layers []string
	known := map[string]bool{}
	for _, layer := range manifest.Layers {
		layers = append(layers, layer.Name)
		known[layer.Name] = true
	}
	names := map[string]int{}
	for i, function := range manifest.Functions {
		at := place{"functions", i}
		checkOnce(r, names, at, "function", function.Name)
		checkArtifact(r, manifest, at, function.Artifact)
		for j, name := range function.Layers {
			if !known[name] && name != "" {
				r.at(at.to("layers", j), dangling(r, "a layer of this manifest", name, layers))
			}
		}
		checkChanges(r, at, function)
		checkVariables(r, at, function)
	}
}

// checkChanges wants something to change, and an alias for what only an alias can do.
func checkChanges(r *report, at place, function release.FunctionSpec) {
	if function.Artifact == "" && len(function.Layers) == 0 && function.Runtime == "" &&
		function.Handler == "" && len(function.Environment) == 0 {
		r.at(at, Problem{Want: "at least one of artifact, layers, runtime, handler and environment", Got: "none",
			Hint: "there is nothing to change"})
	}
	if function.Alias != "" {
		return
	}
	if !function.Traffic.AllAtOnce() {
		r.at(at.to("traffic"), Problem{Want: "an alias with gradual traffic", Got: "no alias",
			Hint: "callers of $LATEST see every change at once"})
	}
	if function.Smoke != nil {
		r.at(at.to("smoke"), Problem{Want: "an alias with a smoke test", Got: "no alias",
			Hint: "callers of $LATEST see the change before any test"})
	}
}

// reservedVariables are set by Lambda itself, which refuses them in a
// function's configuration (Lambda, "Defined runtime environment variables").
// Those that do not begin with a letter break [variableName] anyway.
func reservedVariables() []string {
	return []string{
		"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
	}
}

// checkVariables refuses the names that Lambda reserves.
func checkVariables(r *report, at place, function release.FunctionSpec) {
	for _, name := range reservedVariables() {
		if _, ok := function.Environment[name]; ok {
			r.at(at.to("environment", name), Problem{Want: "a variable that Lambda does not set itself", Got: quote(name)})
		}
	}
}

// checkAllowed checks a manifest against its app's entry in the registry.
func checkAllowed(r *report, manifest release.Manifest, registry release.Registry, app release.App) {
	if manifest.App != app.Name && manifest.App != "" {
		r.at(place{"app"}, Problem{Want: fmt.Sprintf("the app %q, as whose manifest the registry names this file", app.Name), Got: quote(manifest.App)})
	}
	for i, layer := range manifest.Layers {
		checkResource(r, place{"layers", i, "name"}, layer.Name, app)
		checkShare(r, place{"layers", i, "share"}, layer.Share, registry, app)
	}
	for i, function := range manifest.Functions {
		checkResource(r, place{"functions", i, "name"}, function.Name, app)
	}
}

// checkResource reports a name that the app may not touch.
func checkResource(r *report, at place, name string, app release.App) {
	if name != "" && !app.MayTouch(name) {
		r.at(at, Problem{Want: fmt.Sprintf("a name that the registry lets app %q touch (%s)", app.Name, quoteAll(app.Resources)), Got: quote(name)})
	}
}

// checkShare reports sharing beyond what the registry lets the app ask for.
func checkShare(r *report, at place, share release.Sharing, registry release.Registry, app release.App) {
	limit := app.Sharing
	for i, account := range share.Accounts {
		if account != "" && !slices.Contains(limit.Accounts, account) {
			r.at(at.to("accounts", i), Problem{Want: fmt.Sprintf("an account that the registry lets app %q share with (%s)",
				app.Name, cmp.Or(quoteAll(limit.Accounts), "none")), Got: quote(account)})
		}
	}
	switch {
	case share.Organization && !limit.Organization:
		r.at(at.to("organization"), Problem{Want: fmt.Sprintf("sharing that the registry lets app %q ask for", app.Name), Got: "sharing with the whole organisation"})
	case share.Organization && registry.Organization == "":
		r.at(at.to("organization"), Problem{Want: "a registry with the organisation's id", Got: "one without"})
	}
	if share.Public && !limit.Public {
		r.at(at.to("public"), Problem{Want: fmt.Sprintf("sharing that the registry lets app %q ask for", app.Name), Got: "sharing with everyone"})
	}
}
