package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// bringBack wants of a function what it ran at the release that is brought back,
// if one is. It answers false where that cannot be had, and reports it.
func (p *planner) bringBack(w *wanted, site release.Site, state release.FunctionState) bool {
	id := p.in.Release.Request.Restores
	if id == "" || state.Missing {
		return true
	}
	const next = "release a new version that mends it"
	name := at("function", w.spec.Name, site)
	if state.Latest == nil {
		p.violation(takeAgain, "%s: want $LATEST in the snapshot, got nothing", name)
		return false
	}
	former, ran := p.in.Former[site][w.spec.Name]
	if p.in.Release.Request.Undoes != "" && former.Version == "" {
		return true // the drop did not touch it
	}
	if !ran {
		p.violation(next, "%s: want what it ran at release %q, which is brought back, got nothing: that release was not there", name, id)
		return false
	}
	w.want.Former = &former
	switch {
	case state.Latest.Unreadable && (former.Unreadable || len(former.Environment) == 0):
		former.Environment = nil // nobody could write them since
	case state.Latest.Unreadable || former.Unreadable:
		p.violation(next, "%s: want its variables as release %q had them, got a key of the account's own that forbids reading them, now or then", name, id)
	}
	if former.Version != release.LatestVersion {
		return true
	}
	if lost := lostVariables(former, *state.Latest, w.want.Environment); len(lost) > 0 {
		p.violation(next+", or set them by hand and roll back again",
			"%s: want its variables %s as release %q had them, got others: it has no alias, so that no version keeps their values",
			name, strings.Join(lost, ", "), id)
	}
	return true
}

// lostVariables are the names of those whose former value neither $LATEST nor the manifest has.
func lostVariables(former, latest release.Content, manifest map[string]string) []string {
	var lost []string
	for _, name := range slices.Sorted(maps.Keys(former.Environment)) {
		if hash := former.Environment[name]; latest.Environment[name] != hash && manifest[name] != hash {
			lost = append(lost, name)
		}
	}
	return lost
}

// stays is what a function has where the manifest leaves it alone: that of
// $LATEST, from which the new version is made, or what is brought back.
func (w wanted) stays(latest *release.Content) *release.Content {
	if w.want.Former != nil {
		return w.want.Former
	}
	return latest
}

// formerWords says what is brought back besides what the manifest touches.
func (w wanted) formerWords(latest *release.Content) string {
	former := w.want.Former
	if former == nil {
		return ""
	}
	text := ", all else as in " + versionName(former.Version)
	if former.Version == release.LatestVersion {
		text = ", all else as it was"
	}
	if w.spec.Runtime == "" && former.Runtime != latest.Runtime {
		text += ", runtime " + former.Runtime
	}
	if w.spec.Handler == "" && former.Handler != latest.Handler {
		text += ", handler " + former.Handler
	}
	var gone, back []string
	for name, hash := range latest.Environment {
		if was, had := former.Environment[name]; !had {
			gone = append(gone, name)
		} else if was != hash {
			back = append(back, name)
		}
	}
	for name := range former.Environment {
		if _, has := latest.Environment[name]; !has {
			back = append(back, name)
		}
	}
	for _, part := range []struct {
		names []string
		what  string
	}{{back, "set back"}, {gone, "removed"}} {
		if slices.Sort(part.names); len(part.names) > 0 {
			text += fmt.Sprintf(", %s %s", strings.Join(part.names, ", "), part.what)
		}
	}
	return text
}
