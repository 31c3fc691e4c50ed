package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

func orders(state release.State, environments ...release.Progress) release.Release {
	return release.Release{
		ID: "orders-1", App: "orders", Version: "1.1.0", State: state, Error: "the alarm rang\nat noon", Environments: environments,
		Source: release.Source{Commit: "c0ffee"},
	}
}

func TestSentence(t *testing.T) {
	done := func(name string) release.Progress {
		return release.Progress{Name: name, State: release.EnvironmentDone}
	}
	open := release.Progress{Name: "prod", State: release.EnvironmentOpen}
	dry := orders(release.Succeeded)
	dry.Request.DryRun = true
	tests := []struct {
		name string
		rel  release.Release
		want string
	}{
		{"succeeded in one", orders(release.Succeeded, done("dev")), "orders 1.1.0 is live in dev."},
		{"succeeded in three", orders(release.Succeeded, done("dev"), done("stage"), done("prod")), "orders 1.1.0 is live in dev, stage and prod."},
		{"a dry run", dry, "orders 1.1.0 was planned, nothing was changed."},
		{"rolled back", orders(release.FailedClean), "orders 1.1.0 failed and was rolled back: the alarm rang"},
		{"dirty", orders(release.FailedDirty), "orders 1.1.0 failed and needs a hand: the alarm rang"},
		{"refused", orders(release.Refused), "orders 1.1.0 was refused, nothing was touched: the alarm rang"},
		{"superseded", orders(release.Superseded), "orders 1.1.0 was superseded by a newer release."},
		{"rejected", release.Release{App: "orders", Version: "1.1.0", State: release.Rejected, Error: "rejected by bob: not today"}, "orders 1.1.0 was rejected by bob: not today"},
		{"expired", orders(release.Expired), "orders 1.1.0 was not approved in time."},
		{"waiting", orders(release.Waiting), "orders 1.1.0 waits for another release to finish."},
		{"waiting for an approval", orders(release.WaitingApproval), "orders 1.1.0 waits for an approval."},
		{"being rolled back", orders(release.RollingBack, open), "orders 1.1.0 is being rolled back: the alarm rang"},
		{"in an environment", orders(release.Running, done("dev"), open), "orders 1.1.0 is being released to prod."},
		{"before that", orders(release.Running), "orders 1.1.0 is under way."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := report.Sentence(test.rel); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCommitState(t *testing.T) {
	for state, want := range map[release.State]string{
		release.Received: "pending", release.Running: "pending", release.Waiting: "pending", release.WaitingApproval: "pending",
		release.RollingBack: "pending", release.Succeeded: "success", release.FailedDirty: "error", release.FailedClean: "failure",
		release.Refused: "failure", release.Rejected: "failure", release.Superseded: "failure", release.Expired: "failure",
	} {
		if got := report.CommitState(state); got != want {
			t.Errorf("%s: got %s, want %s", state, got, want)
		}
	}
}

func TestDeployment(t *testing.T) {
	d := report.Deployment(orders(release.Running), "prod")
	if d.Release != "orders-1" || d.Commit != "c0ffee" || d.Environment != "prod" || d.Description != "orders 1.1.0" || d.Payload["version"] != "1.1.0" {
		t.Errorf("got %+v", d)
	}
}

func step(kind release.StepKind, environment string, change bool, after string) release.Step {
	site := release.Site{Environment: environment, Account: "222222222222", Region: "us-east-1"}
	return release.Step{
		ID: release.StepID(kind, site, "orders-api"), Kind: kind, Target: "orders-api", Site: site, Change: change,
		Before: "version 1", After: after,
	}
}

func TestNewView(t *testing.T) {
	planned, fresh := step(release.UpdateFunction, "prod", true, "the new version"), step(release.UpdateFunction, "prod", true, "fresh")
	layer := step(release.PublishLayer, release.ToolsEnvironment, false, "version 1")
	whole := &release.Plan{Steps: []release.Step{layer, planned}}
	prod := &release.Plan{Environment: "prod", Steps: []release.Step{fresh}}
	tests := []struct {
		name   string
		plans  []*release.Plan
		result release.Result
		state  release.StepState
		after  string
	}{
		{"planned as a whole", []*release.Plan{whole}, release.Result{}, release.StepPending, "the new version"},
		{"planned afresh", []*release.Plan{whole, prod}, release.Result{}, release.StepPending, "fresh"},
		{"done", []*release.Plan{whole, prod}, release.Result{State: release.StepDone, After: "version 2"}, release.StepDone, "version 2"},
		{"rolled back", []*release.Plan{whole, prod}, release.Result{State: release.StepRolledBack, After: "as before"}, release.StepRolledBack, "version 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			view := report.NewView(orders(release.Running), test.plans, map[string]release.Result{planned.ID: test.result})
			if len(view.Steps) != 2 {
				t.Fatalf("%d steps, want 2", len(view.Steps))
			}
			if got := view.Steps[0]; got.State != release.StepUnchanged || got.Environment != "" {
				t.Errorf("the layer's step is %+v, want it unchanged, in no environment", got)
			}
			if got := view.Steps[1]; got.State != test.state || got.After != test.after || got.Environment != "prod" {
				t.Errorf("the function's step is %+v, want %s → %s", got, test.state, test.after)
			}
		})
	}
}

func TestAShiftTellsItsWeightAndWhatIsNext(t *testing.T) {
	set := time.Date(2030, time.January, 7, 12, 0, 0, 0, time.UTC)
	shift := step(release.ShiftTraffic, "prod", true, "version 2")
	shift.Shift = &release.ShiftStep{Traffic: release.Traffic{Percent: 10, Interval: 5 * time.Minute}}
	plans := []*release.Plan{{Steps: []release.Step{shift}}}
	for _, test := range []struct {
		name   string
		result release.Result
		want   report.Step
	}{
		{"before its first part", release.Result{State: release.StepRunning, Started: set}, report.Step{Since: set}},
		{
			"after it", release.Result{State: release.StepRunning, Started: set.Add(-time.Minute), Weight: 10, WeightSet: set},
			report.Step{Since: set, Weight: 10, NextAt: set.Add(5 * time.Minute)},
		},
		{
			"with all of it, until its concurrency is there",
			release.Result{State: release.StepRunning, Weight: 100, WeightSet: set}, report.Step{Since: set, Weight: 100},
		},
		{"when it is done", release.Result{State: release.StepDone, Weight: 100, WeightSet: set, Updated: set.Add(time.Second)}, report.Step{Since: set.Add(time.Second)}},
	} {
		got := report.NewView(orders(release.Running), plans, map[string]release.Result{shift.ID: test.result}).Steps[0]
		if !got.Since.Equal(test.want.Since) || got.Weight != test.want.Weight || !got.NextAt.Equal(test.want.NextAt) {
			t.Errorf("%s: since %s, %d %%, next at %s; want %+v", test.name, got.Since, got.Weight, got.NextAt, test.want)
		}
	}
}

func TestAViewHasNoTokens(t *testing.T) {
	rel := orders(release.WaitingApproval, release.Progress{Name: "prod", Approval: &release.Approval{Token: "secret", Fingerprint: "f"}})
	view := report.NewView(rel, nil, nil)
	if got := view.Environments[0].Approval; got.Token != "" || got.Fingerprint != "f" {
		t.Errorf("got %+v, want the question without its token", got)
	}
	if rel.Environments[0].Approval.Token != "secret" {
		t.Error("the record itself lost its token")
	}
}

func TestText(t *testing.T) {
	update := step(release.UpdateFunction, "prod", true, "version 2")
	rel := orders(release.FailedClean)
	rel.Remedy = "Look at the alarm."
	view := report.NewView(rel, []*release.Plan{{Steps: []release.Step{update}}}, map[string]release.Result{
		update.ID: {State: release.StepFailed, Error: "the smoke test failed\nat noon"},
	})
	var out bytes.Buffer
	if err := report.Text(&out, view); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"!", "prod", "update_function", "version 1 → version 2", "the smoke test failed\n", "FAILED_CLEAN orders 1.1.0", "next: Look at the alarm."} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in\n%s", part, out.String())
		}
	}
	if strings.Contains(out.String(), "at noon") {
		t.Errorf("more than the first line of an error is in\n%s", out.String())
	}
}
