package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// ownLayer is a layer of the release, before or after it is published.
type ownLayer struct {
	spec     release.LayerSpec
	artifact release.Artifact
	digest   string
	ref      string
}

// ownLayers are the manifest's layers whose artifacts are staged.
func ownLayers(manifest release.Manifest, artifacts map[string]release.Artifact) map[string]ownLayer {
	layers := make(map[string]ownLayer, len(manifest.Layers))
	for _, spec := range manifest.Layers {
		artifact, staged := artifacts[spec.Artifact]
		if !staged {
			continue
		}
		digest := release.LayerDigest(artifact.TreeDigest, spec)
		layers[spec.Name] = ownLayer{
			spec: spec, artifact: artifact, digest: digest, ref: release.LayerRef(spec.Name, digest),
		}
	}
	return layers
}

// published finds the layer's version in a region, if there is one.
func (p *planner) published(region string, layer ownLayer) (release.LayerState, bool) {
	state, found := p.in.Snapshots[toolsSite(p.in.Registry, region)].Layers[layer.digest]
	return state, found
}

// publishedLayers are the ARNs of all that are published, for [release.Plan.Layers].
func (p *planner) publishedLayers() map[string]string {
	arns := map[string]string{}
	for _, layer := range p.layers {
		for _, region := range p.layerRegions(layer.spec.Name) {
			if state, found := p.published(region, layer); found {
				arns[release.LayerKey(region, layer.ref)] = state.ARN
			}
		}
	}
	return arns
}

func (p *planner) layerRegions(layer string) []string {
	return layerRegions(p.in.Registry, p.in.App, p.in.Manifest, layer)
}

// layerSteps publishes and shares each layer in each of its regions.
func (p *planner) layerSteps() []release.Step {
	var steps []release.Step
	for _, spec := range p.in.Manifest.Layers {
		layer, staged := p.layers[spec.Name]
		if !staged {
			continue // reported already
		}
		for _, region := range p.layerRegions(spec.Name) {
			site := toolsSite(p.in.Registry, region)
			if _, seen := p.in.Snapshots[site]; !seen {
				p.violation(takeAgain, "%s: want a snapshot of the site, got none", at("layer", spec.Name, site))
				continue
			}
			steps = append(steps, p.publishStep(layer, site), p.shareStep(layer, site))
		}
	}
	return steps
}

func (p *planner) publishStep(layer ownLayer, site release.Site) release.Step {
	name := layer.spec.Name
	state, found := p.published(site.Region, layer)
	object, staged := layer.artifact.Objects[site.Region]
	if !found && !staged {
		p.violation(stageThere, "%s: want artifact %q staged in the region, got it in %s",
			at("layer", name, site), layer.spec.Artifact, stagedRegions(layer.artifact))
	}
	step := release.Step{
		ID: release.StepID(release.PublishLayer, site, name), Kind: release.PublishLayer,
		Target: name, Site: site, Change: !found,
		Before: notPublished, After: newVersion,
		Layer: &release.LayerStep{
			Name: name, Digest: layer.digest, Content: object, CodeSHA256: layer.artifact.CodeSHA256,
			Runtimes: layer.spec.Runtimes, Architectures: layer.spec.Architectures,
			Description: layer.spec.Description, Existing: state.ARN,
		},
	}
	if found {
		step.Before = layerVersion(state)
		step.After = step.Before
	}
	return step
}

func (p *planner) shareStep(layer ownLayer, site release.Site) release.Step {
	name := layer.spec.Name
	state, _ := p.published(site.Region, layer)
	grants := p.withoutRevoked(layer.spec, site, state, p.grants(layer.spec, site.Region))
	missing := without(grants, state.Grants)
	all := sortedGrants(append(slices.Clone(state.Grants), missing...))
	p.checkPolicy(name, site, all)
	return release.Step{
		ID: release.StepID(release.ShareLayer, site, name), Kind: release.ShareLayer,
		Target: name, Site: site, Change: len(missing) > 0,
		Before: grantNames(sortedGrants(state.Grants)), After: grantNames(all),
		Share: &release.ShareStep{
			Name: name, Digest: layer.digest, Layer: state.ARN, Grants: grants, Missing: missing,
		},
	}
}

// grants are who shall be able to use a layer in a region: the accounts in
// which the release's own functions live there, always and by name, since
// nothing tells whether they belong to the organisation; and what the manifest
// asks for as far as the registry allows it. The tools account owns the layer.
func (p *planner) grants(spec release.LayerSpec, region string) []release.Grant {
	accounts := map[string]bool{}
	for _, env := range p.environments {
		if slices.Contains(env.Regions, region) {
			accounts[env.Account] = true
		}
	}
	most := p.in.App.Sharing
	for _, account := range spec.Share.Accounts {
		if slices.Contains(most.Accounts, account) {
			accounts[account] = true
		}
	}
	delete(accounts, p.in.Registry.Tools.Account)
	grants := make([]release.Grant, 0, len(accounts)+2)
	for account := range accounts {
		grants = append(grants, release.Grant{Account: account})
	}
	if spec.Share.Organization && most.Organization && p.in.Registry.Organization != "" {
		grants = append(grants, release.Grant{Organization: p.in.Registry.Organization})
	}
	if spec.Share.Public && most.Public {
		grants = append(grants, release.Grant{Public: true})
	}
	return sortedGrants(grants)
}

// withoutRevoked leaves out what a person took back of the very version: it is
// not granted again. A function of the release that could not use the layer
// without it is a violation, since its update would fail.
func (p *planner) withoutRevoked(spec release.LayerSpec, site release.Site, state release.LayerState, grants []release.Grant) []release.Grant {
	return slices.DeleteFunc(grants, func(grant release.Grant) bool {
		r, revoked := release.Revoked(p.in.Revoked, state.ARN, grant)
		if !revoked || slices.Contains(state.Grants, grant) {
			return false
		}
		what := fmt.Sprintf("%s: its version %d was taken back from %s by %s (%s)", at("layer", spec.Name, site), state.Version, grant, r.By, r.Reason)
		flag := grant.Flag()
		if p.needs(spec.Name, site.Region, grant.Account) && !widelyShared(state.Grants) {
			p.violation(fmt.Sprintf("change the layer, so that a new version is published, or let it be shared again: tagboat unshare %s %s --undo", state.ARN, flag),
				"%s; want functions of the release there to be able to use it", what)
			return true
		}
		p.warning("%s, and is not shared with it again; take it out of share in the manifest, or undo that: tagboat unshare %s %s --undo", what, state.ARN, flag)
		return true
	})
}

// needs tells whether functions of the release in an account use a layer.
func (p *planner) needs(layer, region, account string) bool {
	there := slices.ContainsFunc(p.environments, func(env release.Environment) bool {
		return env.Account == account && slices.Contains(env.Regions, region)
	})
	return there && slices.ContainsFunc(p.in.Manifest.Functions, func(f release.FunctionSpec) bool { return slices.Contains(f.Layers, layer) })
}

// widelyShared tells whether a grant may cover accounts that it does not name.
func widelyShared(grants []release.Grant) bool {
	return slices.ContainsFunc(grants, func(g release.Grant) bool { return g.Account == "" })
}

// sortedGrants orders accounts first, then organisations, then everyone.
func sortedGrants(grants []release.Grant) []release.Grant {
	grants = slices.Clone(grants)
	slices.SortFunc(grants, compareGrants)
	return slices.Compact(grants)
}

func compareGrants(a, b release.Grant) int {
	return cmp.Or(
		cmp.Compare(breadth(a), breadth(b)),
		cmp.Compare(a.Account+a.Organization, b.Account+b.Organization),
	)
}

func breadth(g release.Grant) int {
	switch {
	case g.Public:
		return 2
	case g.Organization != "":
		return 1
	}
	return 0
}

// without are the grants that are not among those that exist.
func without(grants, existing []release.Grant) []release.Grant {
	missing := []release.Grant{}
	for _, grant := range grants {
		if !slices.Contains(existing, grant) {
			missing = append(missing, grant)
		}
	}
	return missing
}
