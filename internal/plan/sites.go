package plan

import (
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// SnapshotSites are the sites that have to be looked at before the release can
// be planned: every site of the app's environments in their order, then the
// tools account's sites in which a layer is needed.
func SnapshotSites(registry release.Registry, app release.App, manifest release.Manifest) []release.Site {
	sites := []release.Site{}
	for _, env := range registry.AppEnvironments(app) {
		sites = append(sites, environmentSites(env)...)
	}
	return append(sites, toolsSites(registry, app, manifest)...)
}

func environmentSites(env release.Environment) []release.Site {
	sites := make([]release.Site, len(env.Regions))
	for i, region := range env.Regions {
		sites[i] = release.Site{Environment: env.Name, Account: env.Account, Region: region}
	}
	return sites
}

func toolsSite(registry release.Registry, region string) release.Site {
	return release.Site{Environment: release.ToolsEnvironment, Account: registry.Tools.Account, Region: region}
}

// toolsSites are those in which some layer is needed, in the registry's order.
func toolsSites(registry release.Registry, app release.App, manifest release.Manifest) []release.Site {
	needed := map[string]bool{}
	for _, layer := range manifest.Layers {
		for _, region := range layerRegions(registry, app, manifest, layer.Name) {
			needed[region] = true
		}
	}
	var sites []release.Site
	for _, region := range registry.Tools.Regions {
		if needed[region] {
			sites = append(sites, toolsSite(registry, region))
		}
	}
	return sites
}

// layerRegions are the tools regions in which a layer is published: those in
// which a function that uses it lives, or all if the app's functions don't use
// it, since then it is made for others.
func layerRegions(registry release.Registry, app release.App, manifest release.Manifest, layer string) []string {
	if !usesLayer(manifest, layer) {
		return registry.Tools.Regions
	}
	var regions []string
	environments := registry.AppEnvironments(app)
	for _, region := range registry.Tools.Regions {
		if slices.ContainsFunc(environments, func(env release.Environment) bool {
			return slices.Contains(env.Regions, region)
		}) {
			regions = append(regions, region)
		}
	}
	return regions
}

func usesLayer(manifest release.Manifest, layer string) bool {
	return slices.ContainsFunc(manifest.Functions, func(f release.FunctionSpec) bool {
		return slices.Contains(f.Layers, layer)
	})
}
