package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// shifting tells whether a function's alias is in the middle of a shift.
func (w *world) shifting(site release.Site, name string) bool {
	f, err := w.Function(site, name)
	return err == nil && len(f.Aliases["live"].Weights) > 0
}

// whenShifting waits, in the clock, until prod's canary is on its way.
func (w *world) whenShifting(ctx context.Context, id string) {
	w.t.Helper()
	prod := demo.Sites()[1]
	w.untilTrue(ctx, id, "a canary in prod", func(release.Release) bool { return w.shifting(prod, "orders-api") })
}

// canary pushes v1.1.0 and waits until prod's canary is on its way.
func (w *world) canary(ctx context.Context) (id string) {
	w.t.Helper()
	id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
	w.whenShifting(ctx, id)
	return id
}

func (w *world) ring(account, region string, state cloudwatch.StateValue) {
	w.Cloud.SetAlarm(account, region, "orders-api-errors", state)
}

func TestWhatGoesWrongInProdIsRolledBackThere(t *testing.T) {
	tests := []struct {
		name string
		// during is called, in the clock, after the push.
		during func(w *world, ctx context.Context, id string)
		says   []string
	}{
		{"an alarm in the middle of the canary", func(w *world, ctx context.Context, id string) {
			w.whenShifting(ctx, id)
			w.ring(demo.Prod, demo.Europe, cloudwatch.StateValueAlarm)
		}, []string{`alarm "orders-api-errors"`, demo.Prod, demo.Europe, "went to ALARM"}},
		{"an alarm that came and went between two looks", func(w *world, ctx context.Context, id string) {
			w.whenShifting(ctx, id)
			w.ring(demo.Prod, demo.Home, cloudwatch.StateValueAlarm)
			_ = w.Clock.Sleep(ctx, time.Second)
			w.ring(demo.Prod, demo.Home, cloudwatch.StateValueOk)
		}, []string{`alarm "orders-api-errors"`, demo.Home, "went to ALARM"}},
		{"an alarm while the release bakes", func(w *world, ctx context.Context, id string) {
			w.whenShifting(ctx, id)
			prod := demo.Sites()[1]
			w.untilTrue(ctx, id, "the end of the canary", func(release.Release) bool { return !w.shifting(prod, "orders-api") })
			_ = w.Clock.Sleep(ctx, 5*time.Minute)
			w.ring(demo.Prod, demo.Home, cloudwatch.StateValueAlarm)
		}, []string{`alarm "orders-api-errors"`, "went to ALARM"}},
		{"somebody else moves the alias meanwhile, to where it was", func(w *world, ctx context.Context, id string) {
			w.whenShifting(ctx, id)
			w.moveAlias(ctx, demo.Prod, demo.Home, "orders-api", "1")
		}, []string{`alias "live" of function "orders-api"`, "changed by somebody else"}},
		{"an update that Lambda does not take", func(w *world, _ context.Context, _ string) {
			failed := false
			w.Cloud.OnSettle(func(u sim.Update) *sim.Failure {
				if failed || u.Region != demo.Europe || u.Function != "orders-worker" || u.Action != "UpdateFunctionConfiguration" {
					return nil
				}
				failed = true
				return &sim.Failure{Code: types.LastUpdateStatusReasonCodeInternalError, Reason: "no luck"}
			})
		}, []string{"orders-worker", demo.Europe, "LastUpdateStatus Failed", "no luck"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			before := w.targets()
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
				test.during(w, ctx, id)
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, release.FailedClean)
			wantText(t, rel.Error, test.says...)
			w.asRecorded(rel, before)
			if dev, _ := rel.Environment("dev"); dev.State != release.EnvironmentDone {
				t.Errorf("dev is %s, want done: it keeps the release", dev.State)
			}
			w.sound()
		})
	}
}

// moveAlias is called inside of the clock.
func (w *world) moveAlias(ctx context.Context, account, region, name, version string) {
	w.t.Helper()
	live := "live"
	if _, err := w.Cloud.Root(account).Lambda(region).UpdateAlias(ctx, &lambda.UpdateAliasInput{
		FunctionName: &name, Name: &live, FunctionVersion: &version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// TestAFailureAtOneSiteStopsTheOthers rings in one region while the other is at
// ten percent: the other is not given the whole traffic first.
func TestAFailureAtOneSiteStopsTheOthers(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.in(func(ctx context.Context) {
		w.canary(ctx)
		w.ring(demo.Prod, demo.Europe, cloudwatch.StateValueAlarm)
	})
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action == "UpdateAlias" && c.Account == demo.Prod && c.Region == demo.Home {
			if f, _ := w.Cloud.Function(demo.Prod, demo.Home, "orders-api"); f.Aliases["live"].Version == "2" {
				t.Error("orders-api got the whole traffic although an alarm rang in the other region")
			}
		}
		return sim.Fault{}
	})
	w.settle()
	w.sound()
}

func TestADirtyReleaseKeepsItsLease(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var id string
	w.in(func(ctx context.Context) {
		id = w.canary(ctx)
		w.takenByHand(ctx)
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.FailedDirty)
	wantText(t, rel.Remedy, "Not restored", "orders-api", "Point alias", "at version 1")
	lease, held := w.leases()["env/orders/prod"]
	if !held || lease.Holder.Release != id || lease.Dirty == "" {
		t.Fatalf("the lease is %+v, want it kept by %s", lease, id)
	}
	if f, _ := w.Function(demo.Sites()[2], "orders-api"); f.Aliases["live"].Version != "1" {
		t.Errorf("the other region is at version %s, want 1: what can be restored is", f.Aliases["live"].Version)
	}

	var next string
	w.in(func(ctx context.Context) {
		next = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
		w.untilTrue(ctx, next, "waiting for prod", func(rel release.Release) bool {
			dev, ok := rel.Environment("dev")
			return ok && dev.State == release.EnvironmentDone && rel.State == release.Waiting
		})
		if _, err := w.Local.Recovery().Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		_ = w.Clock.Sleep(ctx, time.Hour)
		if rel, _ := w.Local.Core().Ledger.Release(ctx, next); rel.State != release.Waiting {
			t.Errorf("the next release is %s, want it to wait", rel.State)
		}
		if _, err := w.Local.Core().Ledger.Clear(ctx, "env/orders/prod", "looked at it", "carol"); err != nil {
			t.Fatal(err)
		}
		_ = w.Clock.Sleep(ctx, 2*time.Minute)
		if swept, err := w.Local.Recovery().Sweep(ctx); err != nil || swept.HandedOn != 1 {
			t.Errorf("the sweep: %+v, %v; want the lease handed on", swept, err)
		}
	})
	w.settle()
	if rel := w.record(next); !rel.State.Ended() {
		t.Errorf("the next release is %s, want an end", rel.State)
	}
	if held := w.leases(); len(held) > 0 {
		t.Errorf("leases are held: %+v", held)
	}
}

// takenByHand does by hand in prod what a release cannot undo: another version of orders-api,
// and the alias at it.
func (w *world) takenByHand(ctx context.Context) {
	w.t.Helper()
	name := "orders-api"
	if _, err := w.Cloud.Root(demo.Prod).Lambda(demo.Home).PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name}); err != nil {
		w.t.Fatal(err)
	}
	w.changeByHand(ctx, demo.Prod, demo.Home, name)
	w.moveAlias(ctx, demo.Prod, demo.Home, name, "3")
}

// changeByHand publishes another version, as somebody with a console does.
func (w *world) changeByHand(ctx context.Context, account, region, name string) {
	w.t.Helper()
	api := w.Cloud.Root(account).Lambda(region)
	if _, err := api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &name, Environment: &types.Environment{Variables: map[string]string{"LOG_LEVEL": "trace"}},
	}); err != nil {
		w.t.Fatal(err)
	}
	_ = w.Clock.Sleep(ctx, 10*time.Second)
	if _, err := api.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name}); err != nil {
		w.t.Fatal(err)
	}
}

func TestLayersThatATargetCannotReadAreNamedBeforeAnyFunctionChanges(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.onTask = func(k task) fault {
		if k.function == "Lease" && k.in.Do == "acquire" && k.in.Environment == "prod" {
			w.revoke(demo.Europe)
		}
		return fault{}
	}
	before := inEnvironment(w.targets(), "prod")
	rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
	wantState(t, rel, release.FailedClean)
	wantText(t, rel.Error, demo.Prod, "orders-deps:1", demo.Europe)
	wantText(t, rel.Remedy, "Share version 1 of layer orders-deps", demo.Prod)
	w.unchanged(before)
	for _, call := range w.writes(0) {
		if call.Account == demo.Prod && call.At.After(rel.Created) {
			t.Errorf("prod was changed: %+v", call)
		}
	}
	for _, problem := range w.problems() {
		if !strings.Contains(problem, ":lambda:"+demo.Europe+":") || !strings.HasSuffix(problem, ", and is not") { // shared: it was taken away by hand
			t.Error(problem)
		}
	}
}

// revoke takes all grants of orders-deps back in a region. It is called inside of the clock.
func (w *world) revoke(region string) {
	api := w.Cloud.Root(demo.Tools).Lambda(region)
	name := "orders-deps"
	for _, v := range w.Cloud.LayerVersions(demo.Tools, region, name) {
		for _, grant := range v.Grants {
			if _, err := api.RemoveLayerVersionPermission(w.t.Context(), &lambda.RemoveLayerVersionPermissionInput{
				LayerName: &name, VersionNumber: &v.Version, StatementId: &grant.StatementID,
			}); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// TestWhatHasNoAliasDoesNotWaitForAnAlias lets the first move of an alias fail at the server, so that it could
// still arrive, and rings when the next has moved it: what callers of the other function get is restored at once.
func TestWhatHasNoAliasDoesNotWaitForAnAlias(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	files := quick(t, demo.Handler)
	const worker = "  - name: orders-worker\n    artifact: code\n    layers: [orders-deps]\n"
	files["tagboat.yaml"] = github.Text(edited(t, string(files["tagboat.yaml"].Content), worker+"    alias: live\n", worker))
	before, site, failed := w.targets(), demo.Sites()[1], false
	var rolledBack, restored time.Time
	w.onTask = func(k task) fault {
		if k.in.Do == "prepare" {
			rolledBack = w.Clock.Now()
		}
		return fault{}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		at := site.Region + ":" + site.Account + ":function:"
		switch {
		case c.Action == "UpdateAlias" && strings.Contains(c.Resource, at+"orders-api") && !failed:
			failed = true
			w.Clock.Go(func() {
				_ = w.Clock.Sleep(context.Background(), 20*time.Second)
				w.ring(site.Account, site.Region, cloudwatch.StateValueAlarm)
			})
			return sim.Fault{Before: sim.ServerError(c.Service)}
		case c.Action == "UpdateFunctionCode" && strings.Contains(c.Resource, at+"orders-worker") && !rolledBack.IsZero():
			restored = w.Clock.Now()
		}
		return sim.Fault{}
	})
	rel := w.released("v1.1.0", files)
	wantState(t, rel, release.FailedClean)
	if took := restored.Sub(rolledBack); !failed || restored.IsZero() || took > 5*time.Second {
		t.Errorf("a move failed: %t, orders-worker was restored %s after the rollback began, want at once", failed, took)
	}
	w.asRecorded(rel, before)
	w.sound()
}
