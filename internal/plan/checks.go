package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// What Lambda allows ("Lambda quotas" in its Developer Guide).
const (
	maxLayers = 5
	// maxUnzipped is what a function and its layers may come to: 250 MB.
	maxUnzipped = 250 << 20
)

// imagePackage is Lambda's PackageType of a function that is a container image.
const imagePackage = "Image"

// checkState checks what was found whether or not anything is to be changed.
// It answers false where nothing can be planned.
func (p *planner) checkState(w wanted, site release.Site, state release.FunctionState) bool {
	name := at("function", w.spec.Name, site)
	switch {
	case state.Missing:
		p.violation("create it there (its alias is created by the release), or take it out of the manifest",
			"%s: want it to exist, got no such function", name)
	case w.spec.Alias != "" && state.Alias != nil && len(state.Alias.Weights) > 0:
		p.violation("finish or undo that shift first",
			"%s: want its alias %q on one version, got a shift under way: %s", name, w.spec.Alias, weightWords(*state.Alias))
	case w.spec.Alias != "" && state.Alias != nil && state.Live == nil:
		p.violation(takeAgain, "%s: want what its alias %q points at in the snapshot, got nothing", name, w.spec.Alias)
	case !w.want.Unchanged(state) && state.Latest == nil:
		p.violation(takeAgain, "%s: want $LATEST in the snapshot, got nothing", name)
	default:
		return true
	}
	return false
}

// change is an update that is going to be planned.
type change struct {
	wanted
	site  release.Site
	state release.FunctionState
	// layers is the whole list after the update, code whether the code changes.
	layers []string
	code   bool
}

func (c change) name() string { return at("function", c.spec.Name, c.site) }

// checkUpdate reports what Lambda would refuse, or would do otherwise than the manifest's author means.
func (p *planner) checkUpdate(c change) {
	if c.state.Latest.PackageType == imagePackage {
		if c.code || c.spec.Artifact != "" || len(c.spec.Layers) > 0 {
			p.violation("take its artifact and layers out of the manifest, or create it as a zip function",
				"%s: want a zip function for the manifest's code and layers, got a container image", c.name())
		}
	} else {
		p.checkCode(c)
		p.checkLayers(c)
		p.checkSize(c)
	}
	p.checkAlias(c)
	p.checkDrift(c)
}

func (p *planner) checkCode(c change) {
	if !c.code {
		return
	}
	if c.state.Latest.ObjectReference {
		p.violation("set S3ObjectStorageMode back to COPY first, or leave its artifact out of the manifest",
			"%s: want a function that keeps a copy of its code, got S3ObjectStorageMode REFERENCE, "+
				"which reads its object for ever", c.name())
	}
	if c.state.Latest.Signed {
		p.violation("take the code signing configuration off the function, or leave its artifact out of the manifest",
			"%s: want code without signing, got a function whose code is signed, and the release's archive is not", c.name())
	}
}

// checkLayers compares the function with the layers of the release that it is going to use.
func (p *planner) checkLayers(c change) {
	if len(c.layers) > maxLayers {
		p.violation("remove one from the function or the manifest", "%s: want at most %d layers, got %d: %s",
			c.name(), maxLayers, len(c.layers), shortList(c.layers))
	}
	latest := c.state.Latest
	runtime := orElse(c.spec.Runtime, c.stays(latest).Runtime)
	for _, own := range c.refs {
		layer := c.wanted.layers[own.Version].spec
		if len(layer.Runtimes) > 0 && !slices.Contains(layer.Runtimes, runtime) {
			p.violation("change the function's runtime or the layer's runtimes in the manifest",
				"%s: want a runtime of its layer %q (%s), got %q", c.name(), layer.Name, strings.Join(layer.Runtimes, ", "), runtime)
		}
		for _, architecture := range latest.Architectures {
			if len(layer.Architectures) > 0 && !slices.Contains(layer.Architectures, architecture) {
				p.violation("make the layer for that architecture too, and say so in the manifest",
					"%s: want an architecture of its layer %q (%s), got %q",
					c.name(), layer.Name, strings.Join(layer.Architectures, ", "), architecture)
			}
		}
	}
}

// checkSize adds up what is known of the unzipped size. Of code and layers that
// are not the release's only the zipped size can be read, which is less.
func (p *planner) checkSize(c change) {
	stays := c.stays(c.state.Latest)
	zipped := map[string]int64{}
	for _, used := range slices.Concat(c.state.Latest.Layers, stays.Layers) {
		zipped[used.ARN] = max(zipped[used.ARN], used.CodeSize)
	}
	total := stays.CodeSize
	if c.want.CodeSHA256 != "" {
		total = c.unzipped
	}
	sizes := []int64{total}
	for _, layer := range c.layers {
		size := zipped[layer]
		if own, isOwn := c.wanted.layers[layer]; isOwn {
			size = own.artifact.Unzipped
		}
		total += size
		sizes = append(sizes, size)
	}
	if total > maxUnzipped {
		p.violation("make the code or a layer smaller",
			"%s: want at most %d bytes unzipped with all layers, got at least %d (%s)",
			c.name(), maxUnzipped, total, c.sizeWords(sizes))
	}
}

// sizeWords says what the code and each layer come to.
func (c change) sizeWords(sizes []int64) string {
	words := []string{fmt.Sprintf("code %d", sizes[0])}
	for i, layer := range c.layers {
		words = append(words, fmt.Sprintf("%s %d", short(layer), sizes[1+i]))
	}
	return strings.Join(words, ", ")
}

// checkAlias checks that traffic can be divided between the live and the new
// version, which gets its role and dead letters from $LATEST: both must be
// published and alike in those ("Create a routing configuration for a Lambda
// alias" in Lambda's Developer Guide).
func (p *planner) checkAlias(c change) {
	if c.spec.Alias == "" || c.state.Alias == nil {
		return
	}
	report := func(what, want, got string) {
		if c.spec.Traffic.AllAtOnce() {
			p.warning("%s: its alias %q moves between versions that differ in their %s: live %q, new %q",
				c.name(), c.spec.Alias, what, want, got)
			return
		}
		p.violation("make both alike, or set traffic to AllAtOnce",
			"%s: want the %s of the live version %q for %s, got %q on $LATEST", c.name(), what, want, c.spec.Traffic, got)
	}
	live, latest := c.state.Live, c.state.Latest
	if live.Role != latest.Role {
		report("role", live.Role, latest.Role)
	}
	if live.DeadLetter != latest.DeadLetter {
		report("dead-letter target", live.DeadLetter, latest.DeadLetter)
	}
	if c.state.Alias.Version == release.LatestVersion {
		p.checkLatestAlias(c)
	}
}

func (p *planner) checkLatestAlias(c change) {
	if c.spec.Traffic.AllAtOnce() {
		p.warning("%s: its alias %q points at $LATEST, so its callers get the update before any smoke test",
			c.name(), c.spec.Alias)
		return
	}
	p.violation("point it at a published version, or set traffic to AllAtOnce",
		"%s: want its alias %q at a published version for %s, got $LATEST", c.name(), c.spec.Alias, c.spec.Traffic)
}

func shortList(layers []string) string {
	names := make([]string, len(layers))
	for i, layer := range layers {
		names[i] = short(layer)
	}
	return strings.Join(names, ", ")
}
