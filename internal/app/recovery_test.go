package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// moment is when an execution dies.
type moment struct {
	name string
	// wait returns, in the clock, when it has come.
	wait func(w *world, ctx context.Context, id string)
	// dev tells whether dev keeps the release.
	dev bool
	// registry is the world's, if not the demo's.
	registry func(t *testing.T) string
}

func moments() []moment {
	return []moment{
		{name: "in the middle of prod's canary", dev: true, wait: func(w *world, ctx context.Context, id string) { w.whenShifting(ctx, id) }},
		{name: "while dev is updated", wait: func(w *world, ctx context.Context, id string) {
			dev := demo.Sites()[0]
			w.untilTrue(ctx, id, "an update", func(release.Release) bool {
				f, _ := w.Function(dev, "orders-api")
				return len(f.Latest.Layers) == 2
			})
		}},
		{name: "while it waits for an approval", dev: true, registry: approving, wait: func(w *world, ctx context.Context, id string) {
			w.until(ctx, id, release.WaitingApproval)
		}},
		{name: "before it changed anything", wait: func(w *world, ctx context.Context, id string) { w.until(ctx, id, release.Running) }},
	}
}

func TestADeadExecutionIsTakenOver(t *testing.T) {
	for _, m := range moments() {
		for _, deaf := range []bool{false, true} {
			how := "by its event"
			if deaf {
				how = "by the sweep, the event lost"
			}
			t.Run(m.name+", "+how, func(t *testing.T) {
				t.Parallel()
				o := worldOptions{}
				if m.registry != nil {
					o.registry = m.registry(t)
				}
				w := newWorld(t, o)
				w.deaf = deaf
				before := w.targets()
				var id string
				w.in(func(ctx context.Context) {
					id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
					m.wait(w, ctx, id)
					w.stop(ctx, id)
				})
				w.settle()
				rel := w.record(id)
				wantState(t, rel, release.FailedClean)
				wantText(t, rel.Error, "execution ended without recording how")
				wantText(t, rel.Remedy, "--retry")
				if rel.Execution != id+"-r1" {
					t.Errorf("execution is %q, want the first recovery", rel.Execution)
				}
				w.asRecorded(rel, before)
				w.sound()
				if dev, ok := rel.Environment("dev"); ok && (dev.State == release.EnvironmentDone) != m.dev {
					t.Errorf("dev is %s", dev.State)
				}
				w.deaf = false // a retry comes through
				again := w.retried(m, id)
				wantState(t, again, release.Succeeded)
				w.sound()
			})
		}
	}
}

// retried orders the next attempt and approves it if it asks.
func (w *world) retried(m moment, id string) release.Release {
	w.t.Helper()
	if m.registry == nil {
		return w.ordered(orderOf("v1.1.0", true, false))
	}
	var again string
	w.in(func(ctx context.Context) {
		answer, err := w.Local.Orders().Place(ctx, orderOf("v1.1.0", true, false))
		if err != nil || len(answer.Releases) != 1 {
			w.t.Fatal(answer, err)
		}
		again = answer.Releases[0]
		w.until(ctx, again, release.WaitingApproval)
		w.approve(ctx, again, "alice", true)
	})
	w.settle()
	return w.record(again)
}

// TestARecoveryThatDiesIsFollowedByTheNext kills the first recoveries before and
// after they took the release over.
func TestARecoveryThatDiesIsFollowedByTheNext(t *testing.T) {
	for _, f := range []fault{{before: final}, {after: final}} {
		w := newWorld(t, worldOptions{})
		before := w.targets()
		deaths := 0
		w.onTask = func(k task) fault {
			if k.in.Do == "take_over" && deaths < 3 {
				deaths++
				return f
			}
			return fault{}
		}
		var id string
		w.in(func(ctx context.Context) {
			id = w.canary(ctx)
			w.stop(ctx, id)
		})
		w.settle()
		rel := w.record(id)
		wantState(t, rel, release.FailedClean)
		if rel.Execution != id+"-r4" {
			t.Errorf("execution is %q, want the fourth recovery", rel.Execution)
		}
		w.asRecorded(rel, before)
		w.sound()
	}
}

// TestAReleaseThatIsDoneEverywhereSucceeded lets the last task of the last environment die once it
// has recorded that the environment keeps the release.
func TestAReleaseThatIsDoneEverywhereSucceeded(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	died := false
	w.onTask = func(k task) fault {
		if k.String() != "Lease close prod" {
			return fault{}
		}
		died = true
		return fault{after: final}
	}
	rel := w.released("v1.1.0", quick(t, demo.Handler))
	wantState(t, rel, release.Succeeded)
	if !died {
		t.Error("no task closed prod")
	}
	for _, l := range w.live() {
		if l.Version != "1.1.0" {
			t.Errorf("%s in %s is recorded at %s, want 1.1.0", l.Name, l.Environment, l.Version)
		}
	}
	w.sound()
}

// unaware does not know an execution that was just started, as DescribeExecution may not.
type unaware struct{ app.Executions }

func (unaware) Running(context.Context, string) (bool, error) { return false, nil }

// TestASweepLeavesWhatHasJustBegun sweeps when the release's execution has begun and its
// record is of just now; later, what is not known has ended.
func TestASweepLeavesWhatHasJustBegun(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	sweep := *w.Local.Recovery()
	sweep.Executions = unaware{sweep.Executions}
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.untilTrue(ctx, id, "begun", func(rel release.Release) bool { return rel.Execution == id })
		if swept, err := sweep.Sweep(ctx); err != nil || swept != (app.Swept{}) {
			t.Errorf("the sweep did %+v (%v), want nothing", swept, err)
		}
		w.asked(ctx, id, 1)
		_ = w.Clock.Sleep(ctx, 3*time.Minute)
		if swept, err := sweep.Sweep(ctx); err != nil || swept.Recovered != 1 {
			t.Errorf("the sweep of minutes later did %+v (%v), want a recovery", swept, err)
		}
	})
	w.settle()
	wantState(t, w.record(id), release.FailedClean)
	w.sound()
}

// TestALivingExecutionThatIsTakenOverEnds takes releases for dead that wait for days: what nobody
// answers any more ends, once its last tasks were refused and tried again.
func TestALivingExecutionThatIsTakenOverEnds(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	sweep := *w.Local.Recovery()
	sweep.Executions = unaware{sweep.Executions}
	w.in(func(ctx context.Context) {
		asks := w.pushed(ctx, "v1.1.0", quick(t, code(1)))
		w.asked(ctx, asks, 1)
		shifts := w.pushed(ctx, "v1.2.0", quick(t, code(2)))
		w.until(ctx, shifts, release.WaitingApproval)
		queues := w.pushed(ctx, "v1.3.0", quick(t, code(3)))
		w.until(ctx, queues, release.WaitingApproval)
		w.approve(ctx, shifts, "alice", true)
		w.approve(ctx, queues, "alice", true)
		w.until(ctx, queues, release.Waiting)
		ids := []string{asks, queues}
		_ = w.Clock.Sleep(ctx, 3*time.Minute)
		for _, id := range ids {
			if running, err := w.Local.Executions.Running(ctx, id); !running || err != nil {
				t.Errorf("execution %s is not running (%v), it is to wait", id, err)
			}
		}
		if swept, err := sweep.Sweep(ctx); err != nil || swept.Recovered < len(ids) {
			t.Errorf("the sweep did %+v (%v), want %d recoveries", swept, err, len(ids))
		}
		_ = w.Clock.Sleep(ctx, 10*time.Minute)
		for _, id := range ids {
			if running, err := w.Local.Executions.Running(ctx, id); running || err != nil {
				t.Errorf("execution %s still runs (%v), it is to have ended", id, err)
			}
		}
	})
	w.settle()
	w.sound()
}

// TestARecoveryGoesThroughThoughNobodyCanBeWoken refuses what would end the waiting of an execution
// that died.
func TestARecoveryGoesThroughThoughNobodyCanBeWoken(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	refused := 0
	w.onEngine = func(what string, _ bool) mishap {
		if what != "SendTaskFailure" {
			return mishap{}
		}
		refused++
		return mishap{before: app.StepFunctionsTokens{API: &stepFunctions{err: errAccessDenied}}.Fail(context.Background(), "a token", "Name", "cause")}
	}
	before := w.targets()
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		w.until(ctx, id, release.WaitingApproval)
		w.stop(ctx, id)
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.FailedClean)
	w.asRecorded(rel, before)
	w.sound()
	if refused == 0 || rel.Execution != id+"-r1" {
		t.Errorf("%d refusals, and %q acts; want the first recovery to be refused and go on", refused, rel.Execution)
	}
}

// TestARecoveryDoesNotTouchWhatOthersReleasedSince lets a newer release pass one
// that waits for its approval and then dies.
func TestARecoveryDoesNotTouchWhatOthersReleasedSince(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	var older, newer string
	w.in(func(ctx context.Context) {
		older = w.pushed(ctx, "v1.1.0", demo.Files(code(1), "2.32.3"))
		w.until(ctx, older, release.WaitingApproval)
		newer = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
		w.until(ctx, newer, release.WaitingApproval)
		w.stop(ctx, older)
		w.until(ctx, older, release.FailedClean)
		w.approve(ctx, newer, "alice", true)
	})
	w.settle()
	wantState(t, w.record(newer), release.Succeeded)
	for _, l := range w.live() {
		if l.Version != "1.2.0" {
			t.Errorf("%s in %s is recorded at %s, want 1.2.0", l.Name, l.Environment, l.Version)
		}
	}
	w.sound()
}

// TestAProcessThatIsKilledGoesOn closes the engine at random moments and starts
// another on the same stores.
func TestAProcessThatIsKilledGoesOn(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t, worldOptions{seed: seed})
			before := w.targets()
			var id string
			w.in(func(ctx context.Context) { id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3")) })
			for range 5 {
				w.in(func(ctx context.Context) {
					for range random.IntN(40) { // turns of the others, and then some time
						_ = w.Clock.Sleep(ctx, 0)
					}
					_ = w.Clock.Sleep(ctx, time.Duration(random.IntN(300))*time.Second)
				})
				w.restart(seed + random.Uint64())
				w.in(func(ctx context.Context) {
					if _, err := w.Local.Engine.Resume(ctx); err != nil {
						t.Fatal(err)
					}
				})
			}
			w.settle()
			rel := w.record(id)
			wantState(t, rel, release.Succeeded)
			w.asRecorded(rel, before)
			w.sound()
			if n := len(w.Cloud.LayerVersions(demo.Tools, demo.Home, "orders-deps")); n != 1 {
				t.Errorf("there are %d versions of the layer, want 1", n)
			}
		})
	}
}

// TestNothingEndsBeforeWhatIsLiveIsRecorded refuses for hours to record what is live, since prod is done.
func TestNothingEndsBeforeWhatIsLiveIsRecorded(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	var id string
	var refused time.Time // since when
	w.table.onCall = func(what string, _ bool) mishap {
		if !strings.HasPrefix(what, "Put live") || !w.closed(id, "prod") {
			return mishap{}
		}
		if refused.IsZero() {
			refused = w.Clock.Now()
		}
		if w.Clock.Now().Sub(refused) > 3*time.Hour {
			return mishap{}
		}
		return mishap{before: release.Errorf(release.Denied, "the table may not be used")}
	}
	w.in(func(ctx context.Context) { id = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler)) })
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.Succeeded)
	if took := rel.Ended.Sub(refused); refused.IsZero() || took < 3*time.Hour {
		t.Errorf("it has ended %s after what is live in prod could not be recorded, want more than three hours", took)
	}
	if _, n, _ := strings.Cut(rel.Execution, id+"-r"); len(n) != 2 || n > "45" {
		t.Errorf("the last recovery in three hours is %s, want one of each sweep, and five at once", rel.Execution)
	}
	for _, l := range w.live() {
		if l.Release != id {
			t.Errorf("%s in %s is recorded as %s of %s, want that of %s", l.Name, l.Environment, l.Version, l.Release, id)
		}
	}
	if len(w.live()) == 0 {
		t.Error("nothing is recorded as live")
	}
	w.sound()
}

// TestWhatIsGoneHoldsNoEndUp kills the task that closes prod before it records what is live, and lets the
// plan that tells it be gone.
func TestWhatIsGoneHoldsNoEndUp(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	var id string
	died := false
	w.table.onCall = func(what string, _ bool) mishap {
		if died || !strings.HasPrefix(what, "Put live") || !w.closed(id, "prod") {
			return mishap{}
		}
		died = true
		return mishap{before: errTable, kill: true}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if died && c.Action == "GetObject" && strings.HasSuffix(c.Resource, "/plan-prod.json") {
			return sim.Fault{Before: &smithy.GenericAPIError{Code: "NoSuchVersion", Message: "The specified version does not exist."}}
		}
		return sim.Fault{}
	})
	w.in(func(ctx context.Context) { id = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler)) })
	w.settle()
	if !died {
		t.Error("nothing died")
	}
	wantState(t, w.record(id), release.Succeeded)
	if held := w.leases(); len(held) > 0 {
		t.Errorf("leases are held: %+v", held)
	}
	for _, l := range w.live() {
		if l.Environment == "prod" && l.Release == id {
			t.Errorf("%s is recorded as live by a plan that nobody could read", l.Name)
		}
	}
}

// TestAnAnswerThatIsGivenAgainKeepsNobodyFromRecovering stops the execution of a release that was approved, and
// gives the same answer each minute: the sweep takes the release up all the same, and the first answer stands.
func TestAnAnswerThatIsGivenAgainKeepsNobodyFromRecovering(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	w.deaf = true
	w.onTask = func(k task) fault {
		if k.String() != "Lease acquire prod" {
			return fault{}
		}
		return fault{stop: true, before: retriable}
	}
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
		w.asked(ctx, id, 1)
		w.approve(ctx, id, "alice", true)
		for minute := range 15 {
			_ = w.Clock.Sleep(ctx, time.Minute)
			_, _ = w.Local.Approvals().Answer(ctx, id, app.Decision{By: "bob"}, true)
			if minute%5 == 4 {
				_, _ = w.Local.Recovery().Sweep(ctx)
			}
		}
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.FailedClean)
	if took := rel.Ended.Sub(rel.Created); took > 15*time.Minute {
		t.Errorf("it took %s", took)
	}
	if prod, _ := rel.Environment("prod"); prod.Approval.By != "alice" {
		t.Errorf("it was approved by %s, want alice, who was the first", prod.Approval.By)
	}
	w.sound()
}
