package plan

import (
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// Looks is what a snapshot has to look at in one site.
type Looks struct {
	// Functions are those of an environment's site.
	Functions []release.Want
	// Layers are those of a site of the tools account.
	Layers []LayerLook
}

// LayerLook is a layer to look for: has its content been published already?
type LayerLook struct {
	Name string
	// Digest is a [release.LayerDigest]: the key in [release.Snapshot.Layers].
	Digest        string
	CodeSHA256    string
	Runtimes      []string
	Architectures []string
}

// Wants tells what a snapshot of the site has to look at. In's release, time
// and snapshots of environments are not used. Published layers are known from
// the tools account's snapshots or from published, which has ARNs by
// [release.LayerKey] (both may be empty: then a function that uses a layer of
// the release is never found to be as wanted, and more of it is read).
func Wants(in Input, published map[string]string, site release.Site) (Looks, error) {
	p := newPlanner(in)
	p.checkArtifacts()
	if lines := tidy(p.violations); len(lines) > 0 {
		return Looks{}, release.Errorf(release.Invalid, "snapshot of %s: %s", site, lines[0])
	}
	var looks Looks
	if site.InTools() {
		looks.Layers = p.layerLooks(site.Region)
		return looks, nil
	}
	for _, w := range p.wantedIn(site.Region) {
		want := w.want
		for i, layer := range want.Layers {
			if arn, known := published[release.LayerKey(site.Region, layer.Version)]; known {
				want.Layers[i].Version = arn
			}
		}
		looks.Functions = append(looks.Functions, want)
	}
	return looks, nil
}

func (p *planner) layerLooks(region string) []LayerLook {
	var looks []LayerLook
	for _, spec := range p.in.Manifest.Layers {
		if !slices.Contains(p.layerRegions(spec.Name), region) {
			continue
		}
		layer := p.layers[spec.Name]
		looks = append(looks, LayerLook{
			Name: spec.Name, Digest: layer.digest, CodeSHA256: layer.artifact.CodeSHA256,
			Runtimes: spec.Runtimes, Architectures: spec.Architectures,
		})
	}
	return looks
}

// wanted is what a function shall become in every site of one region.
type wanted struct {
	spec release.FunctionSpec
	want release.Want
	// code is nil where the manifest leaves the code alone or it is not staged in the region.
	code *release.Code
	// unzipped is the size of the code's content.
	unzipped int64
	// refs are the own layers as they stand in a plan, layers what is known of them by ref.
	refs   []release.OwnLayer
	layers map[string]ownLayer
}

// wantedIn is what every function shall become in a region, in the manifest's order.
func (p *planner) wantedIn(region string) []wanted {
	if wants, known := p.wants[region]; known {
		return wants
	}
	wants := make([]wanted, len(p.in.Manifest.Functions))
	for i, spec := range p.in.Manifest.Functions {
		wants[i] = p.wanted(spec, region)
	}
	p.wants[region] = wants
	return wants
}

// wanted resolves a function's names of artifacts and layers. What cannot be
// resolved is left out; [planner.checkArtifacts] has reported it.
func (p *planner) wanted(spec release.FunctionSpec, region string) wanted {
	w := wanted{spec: spec, layers: map[string]ownLayer{}}
	artifact := p.in.Artifacts[spec.Artifact]
	if object, staged := artifact.Objects[region]; staged {
		w.code = &release.Code{Object: object, CodeSHA256: artifact.CodeSHA256}
	}
	w.unzipped = artifact.Unzipped
	var known []release.OwnLayer
	for _, name := range spec.Layers {
		layer, resolved := p.layers[name]
		if !resolved {
			continue
		}
		own := release.OwnLayer{Name: name, Account: p.in.Registry.Tools.Account, Region: region, Version: layer.ref}
		w.refs = append(w.refs, own)
		w.layers[layer.ref] = layer
		if state, found := p.published(region, layer); found {
			own.Version = state.ARN
		}
		known = append(known, own)
	}
	w.want = release.NewWant(spec, artifact.CodeSHA256, known)
	return w
}
