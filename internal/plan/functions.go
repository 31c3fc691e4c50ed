package plan

import (
	"fmt"
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// functionSteps are the steps of one function at one site: its update and,
// where callers use an alias, the shift of the alias. Where the update must not
// be made there are none, and the reason is reported.
func (p *planner) functionSteps(w wanted, site release.Site, snapshot release.Snapshot) []release.Step {
	state, looked := snapshot.Functions[w.spec.Name]
	if !looked {
		p.violation(takeAgain, "%s: want it in the snapshot, got nothing", at("function", w.spec.Name, site))
		return nil
	}
	if !p.bringBack(&w, site, state) || !p.checkState(w, site, state) {
		return nil
	}
	var update release.Step
	if w.want.Unchanged(state) {
		update = unchangedStep(w, site, state)
	} else {
		update = p.updateStep(w, site, state)
	}
	if w.spec.Alias == "" {
		return []release.Step{update}
	}
	return []release.Step{update, shiftStep(w, site, state, update.Change)}
}

func newUpdate(w wanted, site release.Site, state release.FunctionState) release.Step {
	name := w.spec.Name
	return release.Step{
		ID: release.StepID(release.UpdateFunction, site, name), Kind: release.UpdateFunction,
		Target: name, Site: site, Before: stateBefore(w, state),
		Function: &release.FunctionStep{Name: name, Alias: w.spec.Alias, Before: state},
	}
}

// unchangedStep leaves a function as it is. Whether $LATEST was read as well
// depends on what the snapshot knew of published layers; it is left out.
func unchangedStep(w wanted, site release.Site, state release.FunctionState) release.Step {
	if w.spec.Alias != "" {
		state.Latest = nil
	}
	step := newUpdate(w, site, state)
	step.After = step.Before
	return step
}

// updateStep changes a function. The new version is made from $LATEST, so what
// stays is what $LATEST has. An update that failed is made again as a whole.
func (p *planner) updateStep(w wanted, site release.Site, state release.FunctionState) release.Step {
	latest := state.Latest
	again := latest.UpdateStatus == updateFailed
	step := newUpdate(w, site, state)
	step.Change = true
	f := step.Function
	f.Runtime, f.Handler, f.Environment = w.spec.Runtime, w.spec.Handler, w.spec.Environment
	f.Former = w.want.Former
	f.Smoke = w.spec.Smoke
	f.Description = p.description()
	if again || w.want.CodeSHA256 != latest.CodeSHA256 {
		f.Code = w.code
	}
	stays := w.stays(latest)
	current := stays.LayerARNs()
	layers := release.ReplaceLayers(current, w.refs)
	if again || f.Former != nil || !slices.Equal(release.ReplaceLayers(current, w.want.Layers), current) {
		f.Layers = layers
	}
	code := f.Code != nil || w.want.CodeSHA256 == "" && stays.CodeSHA256 != latest.CodeSHA256
	p.checkUpdate(change{wanted: w, site: site, state: state, layers: layers, code: code})
	step.After = stateAfter(w, latest, layers)
	for _, own := range w.refs {
		p.uses = append(p.uses, release.LayerAccess{Site: site, Function: w.spec.Name, Layer: own.Version})
	}
	return step
}

// updateFailed is Lambda's LastUpdateStatus of an update that did not go through.
const updateFailed = "Failed"

// maxDescription is how long a version's description may be (Lambda API
// Reference, PublishVersion).
const maxDescription = 256

// description is that of the versions that the release publishes.
func (p *planner) description() string {
	text := []rune(fmt.Sprintf("%s %s (release %s)", p.in.Release.App, p.in.Release.Version, p.in.Release.ID))
	return string(text[:min(len(text), maxDescription)])
}

// shiftStep moves the alias to what the function's update published.
func shiftStep(w wanted, site release.Site, state release.FunctionState, changes bool) release.Step {
	var before release.AliasState
	if state.Alias != nil {
		before = *state.Alias
	}
	step := release.Step{
		ID: release.StepID(release.ShiftTraffic, site, w.spec.Name), Kind: release.ShiftTraffic,
		Target: w.spec.Name, Site: site, Change: changes,
		Before: aliasBefore(w.spec.Alias, before),
		Shift: &release.ShiftStep{
			Name: w.spec.Name, Alias: w.spec.Alias, Traffic: w.spec.Traffic, Alarms: w.spec.Alarms, Before: before,
		},
	}
	step.After = step.Before
	if changes {
		step.After = aliasAfter(w.spec, before)
	}
	return step
}
