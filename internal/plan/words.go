package plan

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// What steps say for people.
const (
	notPublished = "not published"
	newVersion   = "new version"
	nobody       = "nobody"
)

// The next steps of what is reported in several places.
const (
	takeAgain  = "take the snapshots again: start the release anew"
	stageThere = "start the release anew, so that it is staged there"
)

// shownDigits is how much of a digest is shown.
const shownDigits = 8

func layerVersion(state release.LayerState) string { return fmt.Sprintf("version %d", state.Version) }

func grantNames(grants []release.Grant) string {
	if len(grants) == 0 {
		return nobody
	}
	names := make([]string, len(grants))
	for i, grant := range grants {
		names[i] = grant.String()
	}
	return strings.Join(names, ", ")
}

// stagedRegions are the regions in which an artifact lies.
func stagedRegions(artifact release.Artifact) string {
	return orNone(slices.Sorted(maps.Keys(artifact.Objects)))
}

func orNone(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return strings.Join(values, ", ")
}

// stateBefore is what a function's callers get before the release.
func stateBefore(w wanted, state release.FunctionState) string {
	if w.spec.Alias != "" && state.Live != nil {
		return versionName(state.Live.Version) + " " + contentWords(w.spec, state.Live)
	}
	text := release.LatestVersion
	if state.Latest != nil {
		text += " " + contentWords(w.spec, state.Latest)
	}
	if w.spec.Alias != "" {
		text += fmt.Sprintf(", no alias %q", w.spec.Alias)
	}
	return text
}

// stateAfter is what they get after it.
func stateAfter(w wanted, latest *release.Content, layers []string) string {
	after := *w.stays(latest)
	if w.want.CodeSHA256 != "" {
		after.CodeSHA256 = w.want.CodeSHA256
	}
	after.Layers = make([]release.Used, len(layers))
	for i, layer := range layers {
		after.Layers[i].ARN = layer
	}
	after.Runtime = orElse(w.spec.Runtime, after.Runtime)
	after.Handler = orElse(w.spec.Handler, after.Handler)
	text := newVersion
	if w.spec.Alias == "" {
		text = release.LatestVersion
	}
	text += " " + contentWords(w.spec, &after)
	if w.want.Former != nil {
		return text + w.formerWords(latest)
	}
	if len(w.spec.Environment) > 0 {
		text += " with " + strings.Join(slices.Sorted(maps.Keys(w.spec.Environment)), ", ") + " set"
	}
	return text
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// contentWords says what a version runs, as far as the manifest touches it.
func contentWords(spec release.FunctionSpec, c *release.Content) string {
	words := []string{"code " + shortCode(c.CodeSHA256)}
	if layers := c.LayerARNs(); len(layers) > 0 {
		for i := range layers {
			layers[i] = short(layers[i])
		}
		words = append(words, "layers "+strings.Join(layers, " "))
	}
	if spec.Runtime != "" {
		words = append(words, "runtime "+c.Runtime)
	}
	if spec.Handler != "" {
		words = append(words, "handler "+c.Handler)
	}
	return "(" + strings.Join(words, ", ") + ")"
}

// shortCode is the beginning of the archive's sha256 in hex, as sha256sum
// prints it; Lambda says it in base64.
func shortCode(codeSHA256 string) string {
	text := codeSHA256
	if sum, err := base64.StdEncoding.DecodeString(codeSHA256); err == nil {
		text = hex.EncodeToString(sum)
	}
	return text[:min(len(text), shownDigits)]
}

// short is name:version for a layer version's ARN, and name@digest, cut, for a
// [release.LayerRef].
func short(layer string) string {
	if rest, isARN := strings.CutPrefix(layer, "arn:"); isARN {
		_, name, _ := strings.Cut(rest, ":layer:")
		return orElse(name, layer)
	}
	name, digest, _ := strings.Cut(layer, "@")
	return name + "@" + digest[:min(len(digest), shownDigits)]
}

func versionName(version string) string {
	if version == release.LatestVersion {
		return version
	}
	return "version " + version
}

func aliasBefore(alias string, state release.AliasState) string {
	if state.Version == "" {
		return fmt.Sprintf("no alias %q", alias)
	}
	return fmt.Sprintf("alias %q at %s", alias, versionName(state.Version))
}

func aliasAfter(spec release.FunctionSpec, before release.AliasState) string {
	text := fmt.Sprintf("alias %q at the new version", spec.Alias)
	if before.Version == "" {
		return text + ", created"
	}
	return text + ", " + trafficWords(spec.Traffic)
}

// trafficWords says a shift in its name and how long it takes.
func trafficWords(t release.Traffic) string {
	if t.AllAtOnce() {
		return t.String()
	}
	return fmt.Sprintf("%s: from %d%% to 100%% in %s", t, t.Percent, shortDuration(t.Duration()))
}

// shortDuration is a duration without its zero parts: 10m, not 10m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
