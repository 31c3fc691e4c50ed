package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// checkNames checks that the app touches only what the registry gives it.
func (p *planner) checkNames() {
	check := func(kind, name string) {
		if !p.in.App.MayTouch(name) {
			p.violation("rename it, or add it to the app's resources in the registry",
				"%s %q: want a name that the registry gives to the app %q (%s), got another",
				kind, name, p.in.App.Name, orNone(p.in.App.Resources))
		}
	}
	for _, layer := range p.in.Manifest.Layers {
		check("layer", layer.Name)
	}
	for _, function := range p.in.Manifest.Functions {
		check("function", function.Name)
	}
}

// checkArtifacts checks that everything which layers and functions are made from is staged.
func (p *planner) checkArtifacts() {
	staged := orNone(slices.Sorted(maps.Keys(p.in.Artifacts)))
	check := func(kind, name, artifact string) {
		if _, found := p.in.Artifacts[artifact]; artifact != "" && !found {
			p.violation("add it to the manifest's artifacts", "%s %q: want its artifact %q among the staged ones, got %s",
				kind, name, artifact, staged)
		}
	}
	for _, layer := range p.in.Manifest.Layers {
		check("layer", layer.Name, layer.Artifact)
	}
	for _, function := range p.in.Manifest.Functions {
		check("function", function.Name, function.Artifact)
		for _, layer := range function.Layers {
			if _, found := p.in.Manifest.Layer(layer); !found {
				p.violation("add it to the manifest's layers", "function %q: want its layer %q in the manifest, got none",
					function.Name, layer)
			}
		}
	}
}

// checkSharing checks that layers are shared with nobody the registry does not allow.
func (p *planner) checkSharing() {
	const nextStep = "leave it out of the manifest, or allow it in the app's sharing in the registry"
	most := p.in.App.Sharing
	for _, layer := range p.in.Manifest.Layers {
		for _, account := range layer.Share.Accounts {
			if !slices.Contains(most.Accounts, account) {
				p.violation(nextStep, "layer %q: want it shared with accounts that the registry allows (%s), got account %s",
					layer.Name, orNone(most.Accounts), account)
			}
		}
		if layer.Share.Organization && !most.Organization {
			p.violation(nextStep, "layer %q: want it shared with accounts only, got the whole organization", layer.Name)
		}
		if layer.Share.Organization && p.in.Registry.Organization == "" {
			p.violation("set organization in the registry",
				"layer %q: want the organization's id to share it with all of it, got none", layer.Name)
		}
		if layer.Share.Public && !most.Public {
			p.violation(nextStep, "layer %q: want it shared with named accounts or the organization, got everyone", layer.Name)
		}
	}
}

// checkRegion checks that code and layers can be brought to a region: Lambda
// takes both from its own region only.
func (p *planner) checkRegion(site release.Site) {
	for _, function := range p.in.Manifest.Functions {
		if function.Artifact == "" && len(function.Layers) == 0 {
			continue
		}
		if regions := p.in.Registry.Tools.Regions; !slices.Contains(regions, site.Region) {
			p.violation("add the region with its bucket to tools in the registry, or take it out of the environment",
				"region %s of environment %q: want one of the tools account's regions (%s), got another",
				site.Region, site.Environment, strings.Join(regions, ", "))
			return
		}
		artifact, staged := p.in.Artifacts[function.Artifact]
		if _, there := artifact.Objects[site.Region]; staged && !there {
			p.violation(stageThere, "%s: want artifact %q staged in the region, got it in %s",
				at("function", function.Name, site), function.Artifact, stagedRegions(artifact))
		}
	}
}

// maxPolicy is how long a layer version's policy may be in bytes
// (PolicyLengthExceededException of AddLayerVersionPermission).
const maxPolicy = 20 << 10

// statementFormat is about what Lambda makes of a grant, for its length.
const statementFormat = `{"Sid":%q,"Effect":"Allow","Principal":{"AWS":"arn:aws-us-gov:iam::%s:root"},` +
	`"Action":"lambda:GetLayerVersion","Resource":"arn:aws-us-gov:lambda:%s:%s:layer:%s:00000"},`

// checkPolicy checks that a layer version's grants fit its policy.
func (p *planner) checkPolicy(layer string, site release.Site, grants []release.Grant) {
	length := 0
	for _, g := range grants {
		length += len(fmt.Sprintf(statementFormat, g.StatementID(), "000000000000", site.Region, site.Account, layer))
	}
	if length > maxPolicy {
		p.violation("share it with the organization instead of so many accounts",
			"%s: want a policy of at most %d bytes, got about %d for %d grants",
			at("layer", layer, site), maxPolicy, length, len(grants))
	}
}
