package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// Tally reads what the iterations of a Map recorded and decides whether the
// release goes on. (A failing iteration would make Step Functions abandon the
// others halfway, so that none ever fails.)
type Tally struct{ *Core }

// Do is an error that names every failure if there is one.
func (t *Tally) Do(ctx context.Context, in Input) (any, error) {
	if _, err := t.begin(ctx, in); err != nil {
		return nil, err
	}
	results, err := t.Ledger.Results(ctx, in.Release)
	if err != nil {
		return nil, err
	}
	var faults []fault
	failure, stopped := failureName(in.Phase), false
	for _, outcome := range in.Outcomes {
		switch outcome.Status {
		case turnDone:
			continue
		case turnStopped:
			stopped = true
			continue
		case turnBroken: // that says nothing about the release's input
			failure = errFailed
		}
		found, err := t.faults(ctx, in, outcome, results)
		if err != nil {
			return nil, err
		}
		faults = append(faults, found...)
	}
	if len(faults) == 0 && stopped {
		faults = []fault{{Error: fmt.Sprintf("%s was stopped because of a failure at another site", in.Phase)}}
	}
	if len(faults) > 0 {
		return nil, named(summary(faults), failure)
	}
	if in.Phase == release.PhasePublish {
		return struct{}{}, t.unlockLayers(ctx, in.Release)
	}
	return struct{}{}, nil
}

// unlockLayers gives back what a crash left locked: others need not wait until
// the whole release has ended.
func (t *Tally) unlockLayers(ctx context.Context, id string) error {
	leases, err := t.Ledger.Leases(ctx)
	for _, lease := range leases {
		if lease.Holder.Release == id && strings.HasPrefix(lease.Name, layerLeasePrefix) {
			if _, err := t.Ledger.Return(ctx, lease.Name, lease.Holder); err != nil {
				return err
			}
		}
	}
	return err
}

// failureName is that of a refusal as long as nothing can have been changed.
func failureName(phase release.Phase) string {
	switch phase {
	case release.PhaseStage, release.PhaseSnapshot:
		return errRefused
	}
	return errFailed
}

// faults are those of one iteration: of its steps, of itself, or that its task broke.
func (t *Tally) faults(ctx context.Context, in Input, o Outcome, results map[string]release.Result) ([]fault, error) {
	item := itemOf(o.Artifact, o.Site)
	var found []fault
	for id, result := range results {
		if result.State == release.StepFailed && isAt(id, o.Site) {
			found = append(found, fault{fmt.Sprintf("%s: %s", id, result.Error), result.Remedy})
		}
	}
	slices.SortFunc(found, func(a, b fault) int { return strings.Compare(a.Error, b.Error) })
	if len(found) > 0 {
		return found, nil
	}
	var noted fault
	for _, key := range []string{faultKey(in.Phase, item), troubleKey(in.Phase, item)} {
		ok, err := t.Ledger.ReadNote(ctx, in.Release, key, &noted)
		if err != nil || ok {
			return []fault{noted}, err
		}
	}
	return []fault{{
		Error:  fmt.Sprintf("%s at %s: the task ended with %s", in.Phase, item, o.Error),
		Remedy: "Look at the task's log for this release, then release again with --retry.",
	}}, nil
}

func summary(faults []fault) error {
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.Error
	}
	return release.Errorf(release.Invalid, "%s", strings.Join(lines, "\n")).WithRemedy("%s", faults[0].Remedy)
}
