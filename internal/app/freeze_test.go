package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// frozen freezes for a day, inside of the clock.
func (w *world) frozen(ctx context.Context, name, environment string) {
	w.t.Helper()
	order := app.Freezing{App: name, Environment: environment, Until: "24h", Reason: "incident 4711", By: "alice"}
	if _, err := w.Local.Freezes().Freeze(ctx, order); err != nil {
		w.t.Fatal(err)
	}
}

// tomorrow lets a day pass.
func (w *world) tomorrow() {
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 24*time.Hour) })
}

// wantFrozen checks that a freeze is why a release ended.
func wantFrozen(t *testing.T, rel release.Release, state release.State, what string) {
	t.Helper()
	wantState(t, rel, state)
	wantText(t, rel.Error, what+" is frozen until 2030-01-", "by alice: incident 4711")
	wantText(t, rel.Remedy, "tagboat release --app orders --tag v1.1.0 --retry", "--during-freeze")
}

func TestAFrozenAppOrFirstEnvironmentRefusesTheRelease(t *testing.T) {
	tests := []struct{ name, app, environment, what string }{
		{"the app", "orders", "", "orders"},
		{"its first environment", "", "dev", "dev"},
		{"the app in its first environment", "orders", "dev", "orders in dev"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			before, calls := w.targets(), w.calls()
			w.in(func(ctx context.Context) { w.frozen(ctx, test.app, test.environment) })
			rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
			wantFrozen(t, rel, release.Refused, test.what)
			if writes := w.writes(calls); len(writes) > 0 {
				t.Errorf("something was changed: %+v", writes)
			}
			w.unchanged(before)
			w.tomorrow()
			wantState(t, w.ordered(orderOf("v1.1.0", true, false)), release.Succeeded)
			w.sound()
		})
	}
}

// TestAReleaseStopsBeforeAFrozenEnvironment whenever that was frozen, and the
// environments before keep it.
func TestAReleaseStopsBeforeAFrozenEnvironment(t *testing.T) {
	tests := []struct {
		name string
		// at tells before which task prod is frozen.
		at func(k task) bool
	}{
		{"before the release", nil},
		{"while dev is updated", func(k task) bool { return k.function == "Update" }},
		{"right before prod's lease is asked for", func(k task) bool { return k.in.Do == "acquire" && k.in.Environment == "prod" }},
		{"under prod's lease", func(k task) bool { return k.function == "Plan" && k.in.Environment == "prod" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			before := w.targets()
			if test.at == nil {
				w.in(func(ctx context.Context) { w.frozen(ctx, "", "prod") })
			}
			w.onTask = func(k task) fault {
				if test.at != nil && test.at(k) {
					w.frozen(context.Background(), "orders", "prod")
					w.onTask = nil
				}
				return fault{}
			}
			rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
			what := "orders in prod"
			if test.at == nil {
				what = "prod"
			}
			wantFrozen(t, rel, release.FailedClean, what)
			w.asRecorded(rel, before)
			for environment, want := range map[string]release.EnvironmentState{"dev": release.EnvironmentDone, "prod": release.EnvironmentPending} {
				if progress, _ := rel.Environment(environment); progress.State != want {
					t.Errorf("%s is %s, want %s", environment, progress.State, want)
				}
			}
			w.sound()
			w.tomorrow()
			wantState(t, w.ordered(orderOf("v1.1.0", true, false)), release.Succeeded)
			w.sound()
		})
	}
}

// TestAFreezeDoesNotStopWhatIsUnderWay lets an environment that was opened before
// come through, and what fails there be rolled back.
func TestAFreezeDoesNotStopWhatIsUnderWay(t *testing.T) {
	for handler, want := range map[string]release.State{demo.Handler: release.Succeeded, demo.Broken: release.FailedClean} {
		w := newWorld(t, worldOptions{})
		before := w.targets()
		w.onTask = func(k task) fault {
			if k.function == "Update" && k.in.Site.Environment == "prod" {
				w.frozen(context.Background(), "orders", "")
				w.onTask = nil
			}
			return fault{}
		}
		rel := w.released("v1.1.0", demo.Files(handler, "2.32.3"))
		wantState(t, rel, want)
		if strings.Contains(rel.Error, "frozen") {
			t.Errorf("it failed because of the freeze: %s", rel.Error)
		}
		w.asRecorded(rel, before)
		w.sound()
	}
}

func TestWhatPassesAFreeze(t *testing.T) {
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.1.0", demo.Files(code(1), "2.32.3")), release.Succeeded)
	wantState(t, w.released("v1.2.0", demo.Files(code(2), "2.32.3")), release.Succeeded)
	w.in(func(ctx context.Context) { w.frozen(ctx, "orders", "") })

	order := orderOf("v1.2.0", true, true)
	wantState(t, w.ordered(order), release.Refused)
	order.DuringFreeze = "checkout is down"
	rel := w.ordered(order)
	wantState(t, rel, release.Succeeded)
	if got := rel.Request.DuringFreeze; got != "checkout is down" {
		t.Errorf("why it passed is recorded as %q", got)
	}
	wantState(t, w.ordered(app.Order{App: "orders", Tag: "v1.2.0", DryRun: true, By: "carol"}), release.Succeeded)

	var answer release.Answer
	w.in(func(ctx context.Context) {
		var err error
		if answer, err = w.Local.Orders().Undo(ctx, app.Undo{App: "orders", Environment: "prod", By: "carol"}); err != nil {
			t.Fatal(err)
		}
	})
	w.settle()
	wantState(t, w.record(answer.Releases[0]), release.Succeeded)
	w.in(func(ctx context.Context) {
		if _, err := w.Local.Freezes().Lift(ctx, app.Unfreezing{App: "orders", By: "alice"}); err != nil {
			t.Fatal(err)
		}
	})
	wantState(t, w.released("v1.3.0", demo.Files(code(3), "2.32.3")), release.Succeeded)
	w.sound()
}

// TestAnApprovalWaitsForTheEndOfAFreeze since approving before would end the
// release.
func TestAnApprovalWaitsForTheEndOfAFreeze(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		w.until(ctx, id, release.WaitingApproval)
		w.frozen(ctx, "", "prod")
		_, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: "bob"}, true)
		if err == nil || release.KindOf(err) != release.Denied {
			t.Fatalf("it was approved during the freeze: %v", err)
		}
		wantText(t, err.Error(), "prod is frozen until")
		wantText(t, release.RemedyOf(err), "approve it afterwards")
		_ = w.Clock.Sleep(ctx, 24*time.Hour)
		w.approve(ctx, id, "bob", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

func TestFreezesThatAreRefused(t *testing.T) {
	w := newWorld(t, worldOptions{})
	good := app.Freezing{App: "orders", Environment: "prod", Until: "24h", Reason: "x", By: "alice"}
	tests := []struct {
		name   string
		change func(*app.Freezing)
		says   string
	}{
		{"of an unknown app", func(f *app.Freezing) { f.App = "oders" }, `app "oders" is not in the registry; it has "orders"`},
		{"of an unknown environment", func(f *app.Freezing) { f.App, f.Environment = "", "stage" }, `environment "stage" is not in the registry`},
		{"of nothing", func(f *app.Freezing) { f.App, f.Environment = "", "" }, "wants an app or an environment"},
		{"without a reason", func(f *app.Freezing) { f.Reason = "" }, "reason"},
		{"by nobody", func(f *app.Freezing) { f.By = "" }, "by"},
		{"until yesterday", func(f *app.Freezing) { f.Until = "2030-01-06T09:00:00Z" }, "until is 2030-01-06T09:00:00Z, want a time after now"},
		{"until some day", func(f *app.Freezing) { f.Until = "some day" }, `until is "some day", want a time like`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			order := good
			test.change(&order)
			w.in(func(ctx context.Context) {
				_, err := w.Local.Freezes().Freeze(ctx, order)
				if err == nil || release.KindOf(err) != release.Invalid {
					t.Fatalf("got %v, want it to be invalid", err)
				}
				wantText(t, err.Error(), test.says)
			})
		})
	}
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
}

// TestAFreezeCountsUntilTheEnvironmentOpens freezes prod while its plan is stored, when nothing is left but to open it.
func TestAFreezeCountsUntilTheEnvironmentOpens(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	before, frozen := w.targets(), false
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if !frozen && c.Action == "PutObject" && strings.HasSuffix(c.Resource, "/plan-prod.json") {
			frozen = true
			w.frozen(context.Background(), "orders", "prod")
		}
		return sim.Fault{}
	})
	rel := w.released("v1.1.0", atOnce(t, demo.Handler))
	prod, _ := rel.Environment("prod")
	if !frozen || prod.State != release.EnvironmentPending {
		t.Errorf("prod was frozen: %t, and is %s; want it never opened", frozen, prod.State)
	}
	wantText(t, rel.Error, "prod", "incident 4711")
	w.asRecorded(rel, before)
	w.sound()
}
