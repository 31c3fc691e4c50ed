package report

import (
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// View is a release as people and programs see it: the record and every step.
type View struct {
	release.Release
	Steps []Step `json:"steps"`
	// Staging is how far its artifacts are, before there is a plan.
	Staging []release.Staging `json:"staging,omitempty"`
	// Cleared are those who put in order what it left dirty, by environment.
	Cleared []Cleared `json:"cleared,omitempty"`
	// AsOf is when this was so: by the clock that all of its times are of.
	AsOf time.Time `json:"as_of,omitzero"`
}

// Cleared is a person's word that an environment which a release left dirty is in order again.
type Cleared struct {
	Environment string    `json:"environment"`
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	At          time.Time `json:"at"`
}

// Step is one step of a release as it stands.
type Step struct {
	Kind        release.StepKind  `json:"kind"`
	Target      string            `json:"target"`
	Account     string            `json:"account"`
	Region      string            `json:"region"`
	Environment string            `json:"environment"`
	State       release.StepState `json:"state"`
	Before      string            `json:"before"`
	After       string            `json:"after"`
	Error       string            `json:"error,omitempty"`
	Remedy      string            `json:"remedy,omitempty"`
	// Since is when it came to where it is: into its state, or to its weight.
	Since time.Time `json:"since,omitzero"`
	// Weight is, of a shift under way, the percentage of the traffic that goes to the new version.
	Weight int `json:"weight,omitempty"`
	// NextAt is when the next part of the traffic is due.
	NextAt time.Time `json:"next_at,omitzero"`
}

// Key tells a step from the others of a release.
func (s Step) Key() string {
	return fmt.Sprintf("%s/%s/%s/%s/%s", s.Kind, s.Environment, s.Account, s.Region, s.Target)
}

// NewView joins a release with its plans and results. Of an environment that
// was planned afresh, that plan counts; tokens that resume executions are left out.
func NewView(rel release.Release, plans []*release.Plan, results map[string]release.Result) View {
	view := View{Release: rel, Steps: []Step{}}
	view.Environments = append([]release.Progress{}, rel.Environments...)
	for i, progress := range view.Environments {
		if progress.Approval != nil {
			approval := *progress.Approval
			approval.Token = ""
			view.Environments[i].Approval = &approval
		}
	}
	index := map[string]int{}
	for _, plan := range plans {
		for _, step := range plan.Steps {
			shown := newStep(step, results[step.ID])
			if i, seen := index[step.ID]; seen {
				view.Steps[i] = shown
				continue
			}
			index[step.ID] = len(view.Steps)
			view.Steps = append(view.Steps, shown)
		}
	}
	return view
}

func newStep(step release.Step, result release.Result) Step {
	shown := Step{
		Kind: step.Kind, Target: step.Target, Account: step.Site.Account, Region: step.Site.Region,
		Environment: step.Site.Environment, State: result.State, Before: step.Before, After: step.After,
		Error: result.Error, Remedy: result.Remedy, Since: since(result),
	}
	if step.Shift != nil && result.State == release.StepRunning && result.Weight > 0 {
		shown.Weight = result.Weight
		if result.Weight < 100 {
			shown.NextAt = result.WeightSet.Add(step.Shift.Traffic.Interval)
		}
	}
	if step.Site.InTools() {
		shown.Environment = ""
	}
	switch {
	case !step.Change:
		shown.State = release.StepUnchanged
	case result.State == "":
		shown.State = release.StepPending
	case result.State == release.StepRolledBack:
		shown.After = step.Before
	case result.After != "":
		shown.After = result.After
	}
	return shown
}

// since is when a step came to where its result says it is.
func since(r release.Result) time.Time {
	switch {
	case r.State != release.StepRunning:
		return r.Updated
	case !r.WeightSet.IsZero():
		return r.WeightSet
	}
	return r.Started
}
