package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// checkDrift warns of what somebody changed on $LATEST and never published:
// the new version is made from $LATEST, so it goes live with this release.
func (p *planner) checkDrift(c change) {
	live, latest := c.state.Live, c.state.Latest
	if c.spec.Alias == "" || live == nil || live.Version == release.LatestVersion || c.want.Former != nil {
		return // what is brought back replaces all of it
	}
	var drift []string
	note := func(what, from, to string, ours bool) {
		if !ours && from != to {
			drift = append(drift, fmt.Sprintf("%s %q (live %q)", what, to, from))
		}
	}
	note("code", shortCode(live.CodeSHA256), shortCode(latest.CodeSHA256), c.spec.Artifact != "")
	note("runtime", live.Runtime, latest.Runtime, c.spec.Runtime != "")
	note("handler", live.Handler, latest.Handler, c.spec.Handler != "")
	note("layers", c.foreignLayers(live), c.foreignLayers(latest), false)
	note("architectures", strings.Join(live.Architectures, ", "), strings.Join(latest.Architectures, ", "), false)
	if names := c.driftedVariables(); len(names) > 0 {
		drift = append(drift, "variables "+strings.Join(names, ", "))
	}
	if len(drift) > 0 {
		p.warning("%s: $LATEST differs from the live version %s in more than this release changes, which goes live with it: %s",
			c.name(), live.Version, strings.Join(drift, "; "))
	}
}

// foreignLayers are a version's layers that the release leaves alone.
func (c change) foreignLayers(content *release.Content) string {
	var foreign []string
	for _, arn := range content.LayerARNs() {
		// what replacing would touch is one of the release's own
		if slices.Equal(release.ReplaceLayers([]string{arn}, c.refs)[:1], []string{arn}) {
			foreign = append(foreign, short(arn))
		}
	}
	return strings.Join(foreign, ", ")
}

// driftedVariables are the names of variables that differ and that the manifest
// does not set.
func (c change) driftedVariables() []string {
	live, latest := c.state.Live.Environment, c.state.Latest.Environment
	names := map[string]bool{}
	for _, variables := range []map[string]string{live, latest} {
		for name := range variables {
			if _, ours := c.want.Environment[name]; !ours && live[name] != latest[name] {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// weightWords says how an alias divides its calls.
func weightWords(alias release.AliasState) string {
	words := []string{versionName(alias.Version)}
	for _, version := range slices.Sorted(maps.Keys(alias.Weights)) {
		words = append(words, fmt.Sprintf("%s with %s%%", versionName(version),
			strconv.FormatFloat(100*alias.Weights[version], 'f', -1, 64)))
	}
	return strings.Join(words, ", ")
}
