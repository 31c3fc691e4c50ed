package app

import (
	"context"
	"encoding/json"
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

// Do records success, or what became of a failure.
func (c *Conclusion) Do(ctx context.Context, in Input) (any, error) {
	rel, err := c.Ledger.Release(ctx, in.Release)
	if err != nil {
		return nil, err
	}
	if !rel.State.Ended() || rel.Execution != in.Execution {
		if rel, err = c.conclude(ctx, in); err != nil {
			return nil, err
		}
	}
	// Run again after the end was recorded, only the leases may be left.
	if err := c.letGo(ctx, in, &rel); err != nil {
		return nil, err
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
	return c.Ledger.Update(ctx, in.Release, in.Execution, func(rel *release.Release) error {
		rel.Ended = c.Clock.Now()
		if in.Do == "finish" {
			rel.State, rel.Error, rel.Remedy = release.Succeeded, "", ""
			return nil
		}
		record(rel, in.Error)
		rel.State = failedState(rel, in.Error)
		if open, held := rel.Open(); held {
			open.State = release.EnvironmentRolledBack
			if left := notRestored(open.Name, results); len(left) > 0 {
				open.State, rel.State = release.EnvironmentDirty, release.FailedDirty
				rel.Remedy = remedyOf(left)
			}
		}
		return nil
	})
}

// failedState is the end of a release that changed nothing which was not restored.
func failedState(rel *release.Release, failure *Failure) release.State {
	name := ""
	if failure != nil {
		name = failure.Error
	}
	switch {
	case name == errRejected:
		return release.Rejected
	case name == errSuperseded:
		return release.Superseded
	case name == errTimeout && rel.State == release.WaitingApproval:
		return release.Expired
	case name == errRefused && untouched(rel):
		return release.Refused
	}
	return release.FailedClean
}

func untouched(rel *release.Release) bool {
	for _, progress := range rel.Environments {
		if progress.State != release.EnvironmentPending {
			return false
		}
	}
	return true
}

// notRestored are the results of an environment's steps that changed something
// and were not undone.
func notRestored(environment string, results map[string]release.Result) []release.Result {
	var left []release.Result
	for id, result := range results {
		if result.Touched && result.State != release.StepRolledBack && strings.Contains(id, "/"+environment+"/") {
			left = append(left, result)
		}
	}
	return left
}

func remedyOf(left []release.Result) string {
	lines := []string{}
	for _, result := range left {
		line := result.Step + ": " + result.Error
		if result.Remedy != "" {
			line += " " + result.Remedy
		}
		lines = append(lines, line)
	}
	return "Not restored:\n" + strings.Join(lines, "\n")
}

// record keeps the first reason of a failure.
func record(rel *release.Release, failure *Failure) {
	if failure == nil || rel.Error != "" {
		return
	}
	rel.Error = failure.Error
	var cause struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(failure.Cause), &cause) == nil && cause.Message != "" {
		rel.Error = cause.Message
	} else if failure.Cause != "" {
		rel.Error += ": " + failure.Cause
	}
}

// letGo hands the release's leases on; an environment that needs a hand keeps its own.
func (c *Conclusion) letGo(ctx context.Context, in Input, rel *release.Release) error {
	for _, progress := range rel.Environments {
		lease := leaseName(rel.App, progress.Name)
		var err error
		if progress.State == release.EnvironmentDirty {
			err = c.Ledger.MarkDirty(ctx, lease, holder(in), rel.Remedy)
		} else {
			err = c.Leases.handOn(ctx, lease, holder(in))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
