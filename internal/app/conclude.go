package app

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// Conclusion records how a release ended.
type Conclusion struct {
	*Core
	Leases *Leasing
}

// concluded is the task's answer: which of the three ends it is.
type concluded struct {
	End string `json:"end"`
}

// The values of [concluded.End].
const (
	endSucceeded = "succeeded"
	endClean     = "clean"
	endDirty     = "dirty"
)

// Do records success, or what became of a failure: what is live where the release is done before
// the end, since nobody looks for it after that. If we crash before the leases are let go, the task
// run again or the sweep lets them go.
func (c *Conclusion) Do(ctx context.Context, in Input) (any, error) {
	rel, err := c.Ledger.Release(ctx, in.Release)
	if err != nil {
		return nil, err
	}
	if !rel.State.Ended() || rel.Execution != in.Execution {
		for _, progress := range rel.Environments {
			if progress.State != release.EnvironmentDone {
				continue
			}
			if err := c.Leases.settleLate(ctx, in, &rel, progress.Name); err != nil {
				return nil, err
			}
		}
		if rel, err = c.conclude(ctx, in); err != nil {
			return nil, err
		}
	}
	for _, progress := range rel.Environments {
		lease := leaseName(rel.App, progress.Name)
		err := c.Leases.letGo(ctx, lease, holder(in), rel)
		if err != nil && release.KindOf(err) == release.Conflict {
			c.Log.WarnContext(ctx, "a lease is left to the sweep", "lease", lease, "release", rel.ID, "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return concluded{End: endOf(rel.State)}, nil
}

func endOf(state release.State) string {
	switch state {
	case release.Succeeded:
		return endSucceeded
	case release.FailedDirty:
		return endDirty
	}
	return endClean
}

func (c *Conclusion) conclude(ctx context.Context, in Input) (release.Release, error) {
	results, err := c.Ledger.Results(ctx, in.Release)
	if err != nil {
		return release.Release{}, err
	}
	said, err := c.nextSaid(ctx, in)
	if err != nil {
		return release.Release{}, err
	}
	return c.Ledger.Update(ctx, in.Release, in.Execution, func(rel *release.Release) error {
		rel.Ended = c.Clock.Now()
		for _, progress := range rel.Environments {
			if progress.Approval != nil {
				progress.Approval.Token = "" // nothing is to be resumed with it any more
			}
		}
		if in.Do == "finish" || finished(rel) { // what came to nothing after the last environment was done changed nothing
			rel.State, rel.Error, rel.Remedy = release.Succeeded, "", ""
			return nil
		}
		record(rel, in.Error, said)
		fail(rel, in.Error, results)
		return nil
	})
}

// fail gives a release its end after a failure.
func fail(rel *release.Release, failure *Failure, results map[string]release.Result) {
	rel.State = failedState(rel, failure, results)
	open, held := rel.Open()
	if !held {
		return
	}
	open.State = release.EnvironmentRolledBack
	if left := notRestored(open.Name, results); len(left) > 0 {
		open.State, rel.State = release.EnvironmentDirty, release.FailedDirty
		rel.Remedy = remedyOf(left)
	}
}

// failedState is the end of a release that changed nothing which was not restored.
func failedState(rel *release.Release, failure *Failure, results map[string]release.Result) release.State {
	name := ""
	if failure != nil {
		name = failure.Error
	}
	switch {
	case rel.Halted != nil && untouched(rel, results):
		return release.Refused
	case rel.Halted != nil:
		return release.FailedClean
	case name == errRejected:
		return release.Rejected
	case name == errSuperseded:
		return release.Superseded
	case name == errTimeout && rel.State == release.WaitingApproval:
		return release.Expired
	case name == errRefused && untouched(rel, results):
		return release.Refused
	}
	return release.FailedClean
}

// untouched tells whether nothing was changed anywhere, layers included.
func untouched(rel *release.Release, results map[string]release.Result) bool {
	for _, result := range results {
		if result.Touched {
			return false
		}
	}
	return !slices.ContainsFunc(rel.Environments, func(p release.Progress) bool {
		return p.State != release.EnvironmentPending
	})
}

// notRestored are the results of an environment's steps that changed something
// and were not undone, by step.
func notRestored(environment string, results map[string]release.Result) []release.Result {
	var left []release.Result
	for id, result := range results {
		if result.Touched && result.State != release.StepRolledBack && environmentOf(id) == environment {
			left = append(left, result)
		}
	}
	slices.SortFunc(left, func(a, b release.Result) int { return strings.Compare(a.Step, b.Step) })
	return left
}

func remedyOf(left []release.Result) string {
	lines := []string{"Not restored:"}
	for _, result := range left {
		line := result.Step + ": " + cmp.Or(result.Error, "its rollback did not come to its end; compare it with the plan")
		line = strings.TrimSuffix(line, ".") + "."
		if result.Remedy != "" {
			line += " " + result.Remedy
		}
		lines = append(lines, line)
	}
	return capped(strings.Join(lines, "\n"), maxReason)
}
