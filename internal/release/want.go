package release

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// Want is what a function shall run. Comparing it with what a snapshot found
// decides whether anything is to be changed; see [Want.Unchanged].
type Want struct {
	Name  string
	Alias string
	// CodeSHA256 is in base64, as Lambda answers; empty is any code.
	CodeSHA256 string
	// Layers are the release's own that the function uses, in the manifest's
	// order. Any others are left alone.
	Layers []OwnLayer
	// Runtime and Handler are any where empty.
	Runtime string
	Handler string
	// Environment holds a [VariableHash] for each variable to set; any others are left alone.
	Environment map[string]string
	// Former is what the function ran at the release that is brought back, nil for
	// any other release: what the rest leaves alone is wanted as it was then.
	Former *Content
	// Whole asks a snapshot for $LATEST even where callers get what is wanted
	// without Former, which the snapshot does not know.
	Whole bool
}

// OwnLayer is a layer that the release publishes in a region of the tools account.
type OwnLayer struct {
	Name    string
	Account string
	Region  string
	// Version is the version's full ARN, or a [LayerRef] where it is not published yet.
	Version string
}

// NewWant is what a manifest asks of a function, given its code's sha256 in
// base64 (empty to leave the code) and the layers of its region.
func NewWant(spec FunctionSpec, codeSHA256 string, layers []OwnLayer) Want {
	return Want{
		Name:        spec.Name,
		Alias:       spec.Alias,
		CodeSHA256:  codeSHA256,
		Layers:      layers,
		Runtime:     spec.Runtime,
		Handler:     spec.Handler,
		Environment: HashVariables(spec.Environment),
	}
}

// MetBy tells whether a version is as wanted. A layer that is not published yet
// is used by no version.
func (w Want) MetBy(c Content) bool {
	if w.CodeSHA256 != "" && w.CodeSHA256 != c.CodeSHA256 ||
		w.Runtime != "" && w.Runtime != c.Runtime ||
		w.Handler != "" && w.Handler != c.Handler {
		return false
	}
	used := c.LayerARNs()
	for _, layer := range w.Layers {
		if !slices.Contains(used, layer.Version) {
			return false
		}
	}
	for name, hash := range w.Environment {
		if c.Environment[name] != hash {
			return false
		}
	}
	return w.Former == nil || w.asFormer(c)
}

// asFormer tells whether a version is what the function was, besides the code
// that is wanted and the versions of the release's own layers.
func (w Want) asFormer(c Content) bool {
	return (w.CodeSHA256 != "" || c.CodeSHA256 == w.Former.CodeSHA256) &&
		c.Runtime == w.Former.Runtime && c.Handler == w.Former.Handler &&
		slices.Equal(c.LayerARNs(), ReplaceLayers(w.Former.LayerARNs(), w.Layers)) &&
		maps.Equal(c.Environment, w.Former.Environment)
}

// Unchanged tells whether there is nothing to do for a function: its callers,
// by the alias if one is wanted, get exactly what is wanted. An alias in the
// middle of a shift, or at $LATEST, is not that, and neither is a $LATEST
// without an alias whose last update failed or has not ended.
func (w Want) Unchanged(f FunctionState) bool {
	if w.Alias == "" {
		return f.Latest != nil && f.Latest.settled() && w.MetBy(*f.Latest)
	}
	return f.Alias != nil && f.Alias.Version != LatestVersion && len(f.Alias.Weights) == 0 &&
		f.Live != nil && w.MetBy(*f.Live)
}

// LatestVersion is the name of the version that updates change.
const LatestVersion = "$LATEST"

// settled tells whether the last update went through, as far as Lambda says.
func (c *Content) settled() bool { return c.UpdateStatus == "" || c.UpdateStatus == "Successful" }

// VariableHash stands for the value of an environment variable, which is never stored.
func VariableHash(name, value string) string {
	sum := sha256.Sum256([]byte(name + "\x00" + value))
	return hex.EncodeToString(sum[:])
}

// HashVariables hashes each variable's value; nil where there are none.
func HashVariables(variables map[string]string) map[string]string {
	if len(variables) == 0 {
		return nil
	}
	hashes := make(map[string]string, len(variables))
	for name, value := range variables {
		hashes[name] = VariableHash(name, value)
	}
	return hashes
}

// ReplaceLayers puts the release's own layers into a function's list: each
// takes the place of the earlier version of the same layer (same account,
// region and name) or is appended. Every other layer stays, in its order; a
// layer of the same name in another account is another layer.
func ReplaceLayers(current []string, own []OwnLayer) []string {
	replaced := slices.Clone(current)
	for _, layer := range own {
		i := slices.IndexFunc(replaced, layer.sameLayer)
		if i < 0 {
			replaced = append(replaced, layer.Version)
			continue
		}
		replaced[i] = layer.Version
	}
	return replaced
}

// sameLayer tells whether a layer version is one of the layer:
// arn:<partition>:lambda:<region>:<account>:layer:<name>:<version>.
func (l OwnLayer) sameLayer(version string) bool {
	parts := strings.Split(version, ":")
	return len(parts) == 8 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "layer" &&
		parts[3] == l.Region && parts[4] == l.Account && parts[6] == l.Name
}
