package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

var enough = app.Halting{Reason: "wrong build", By: "alice"}

// halted halts a release, inside of the clock.
func (w *world) halted(ctx context.Context, id string) {
	w.t.Helper()
	rel, err := w.Local.Halts().Halt(ctx, id, enough)
	if err != nil || rel.Halted == nil {
		w.t.Fatalf("halt of %s: %+v, %v", id, rel.Halted, err)
	}
}

// wantHalted checks the end of a release that somebody halted.
func (w *world) wantHalted(rel release.Release, before map[string]string) {
	w.t.Helper()
	untouched := !slices.ContainsFunc(rel.Environments, func(p release.Progress) bool { return p.State != release.EnvironmentPending })
	if rel.State != release.FailedClean && (rel.State != release.Refused || !untouched) {
		w.t.Errorf("release %s ended as %s (%s) with %+v, want it rolled back", rel.ID, rel.State, rel.Error, rel.Environments)
	}
	if h := rel.Halted; h == nil || h.By != enough.By || h.Reason != enough.Reason || h.At.IsZero() {
		w.t.Errorf("halted: %+v, want who, why and when", h)
	}
	wantText(w.t, rel.Error, "halted by alice: wrong build")
	wantText(w.t, rel.Remedy, "--retry")
	w.asRecorded(rel, before)
	w.sound()
}

func TestAHaltedReleaseIsRolledBack(t *testing.T) {
	tests := []struct {
		name string
		// when returns, in the clock, when it is to be halted.
		when  func(w *world, ctx context.Context, id string)
		state release.State
		// dev tells whether dev keeps the release, within how soon it has ended.
		dev    bool
		within time.Duration
	}{
		{"before it is admitted", func(*world, context.Context, string) {}, release.Refused, false, time.Minute},
		{"while dev is updated", func(w *world, ctx context.Context, id string) {
			w.untilTrue(ctx, id, "an update", func(release.Release) bool {
				f, _ := w.Function(demo.Sites()[0], "orders-api")
				return len(f.Latest.Layers) == 2
			})
		}, release.FailedClean, false, 2 * time.Minute},
		{"in the middle of prod's canary", func(w *world, ctx context.Context, id string) { w.whenShifting(ctx, id) },
			release.FailedClean, true, 2 * time.Minute},
		{"while it bakes in prod", func(w *world, ctx context.Context, id string) {
			w.whenShifting(ctx, id)
			w.untilTrue(ctx, id, "the end of the canary", func(release.Release) bool { return !w.shifting(demo.Sites()[1], "orders-api") })
			_ = w.Clock.Sleep(ctx, 2*time.Minute)
		}, release.FailedClean, true, 2 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			before := w.targets()
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
				test.when(w, ctx, id)
				w.halted(ctx, id)
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, test.state)
			w.wantHalted(rel, before)
			if dev, ok := rel.Environment("dev"); ok && (dev.State == release.EnvironmentDone) != test.dev {
				t.Errorf("dev is %s", dev.State)
			}
			if took := rel.Ended.Sub(rel.Halted.At); took > test.within {
				t.Errorf("it ended %s after the halt, want %s at most", took, test.within)
			}
			wantState(t, w.ordered(orderOf("v1.1.0", true, false)), release.Succeeded)
			w.sound()
		})
	}
}

// waits are the ways in which a release waits for others: w.halted comes next.
func waits() []struct {
	name     string
	registry func(*testing.T) string
	begin    func(w *world, ctx context.Context) (id string)
} {
	return []struct {
		name     string
		registry func(*testing.T) string
		begin    func(w *world, ctx context.Context) (id string)
	}{
		{"for an approval", approving, func(w *world, ctx context.Context) string {
			id := w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
			w.until(ctx, id, release.WaitingApproval)
			return id
		}},
		{"for its turn", func(*testing.T) string { return demo.Registry }, func(w *world, ctx context.Context) string {
			first := w.pushed(ctx, "v1.1.0", demo.Files(code(1), "2.32.3"))
			w.untilTrue(ctx, first, "in dev", func(rel release.Release) bool {
				return len(rel.Environments) > 0 && rel.Environments[0].State == release.EnvironmentOpen
			})
			second := w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
			w.until(ctx, second, release.Waiting)
			return second
		}},
	}
}

func TestAHaltedReleaseThatWaitsEndsAtOnce(t *testing.T) {
	for _, wait := range waits() {
		t.Run(wait.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: wait.registry(t)})
			var id string
			w.in(func(ctx context.Context) {
				id = wait.begin(w, ctx)
				w.halted(ctx, id)
				_ = w.Clock.Sleep(ctx, 5*time.Second)
				if rel, err := w.Local.Core().Ledger.Release(ctx, id); err != nil || !rel.State.Ended() {
					t.Errorf("five seconds later it is %s (%v), want its end", rel.State, err)
				}
			})
			w.settle()
			rel := w.record(id)
			wantText(t, rel.Error, "halted by alice: wrong build")
			if prod, ok := rel.Environment("prod"); !ok || prod.State != release.EnvironmentPending {
				t.Errorf("prod is %+v, want it pending", prod)
			}
			w.sound()
		})
	}
}

// TestAHaltThatBreaksOffIsFinishedByTheSweep loses what wakes a release that
// waits, and nobody tries again.
func TestAHaltThatBreaksOffIsFinishedByTheSweep(t *testing.T) {
	for _, wait := range waits() {
		t.Run(wait.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: wait.registry(t)})
			w.in(func(ctx context.Context) {
				id := wait.begin(w, ctx)
				w.onEngine = func(string, bool) mishap { return mishap{before: errTable} }
				if _, err := w.Local.Halts().Halt(ctx, id, enough); release.KindOf(err) != release.Transient {
					t.Errorf("the halt answered %v, want that it should be tried again", err)
				}
				w.onEngine = nil
				_ = w.Clock.Sleep(ctx, 2*time.Minute)
				if rel, err := w.Local.Core().Ledger.Release(ctx, id); err != nil || rel.State.Ended() {
					t.Errorf("it is %s (%v), want it to wait still", rel.State, err)
				}
				if _, err := w.Local.Recovery().Sweep(ctx); err != nil {
					t.Error(err)
				}
				_ = w.Clock.Sleep(ctx, 5*time.Second)
				if rel, err := w.Local.Core().Ledger.Release(ctx, id); err != nil || !rel.State.Ended() {
					t.Errorf("after the sweep it is %s (%v), want its end", rel.State, err)
				}
			})
			w.settle()
			w.sound()
		})
	}
}

// TestAHaltComesThroughWhicheverCallFails makes each call of a halt fail, to the
// ledger and to the engine, and halts again.
func TestAHaltComesThroughWhicheverCallFails(t *testing.T) {
	for _, wait := range waits() {
		for how, m := range map[string]mishap{"lost": {before: errTable}, "done, the answer lost": {after: errTable}} {
			t.Run(wait.name+", a call "+how, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					w := newWorld(t, worldOptions{registry: wait.registry(t)})
					failed := false
					w.in(func(ctx context.Context) {
						id := wait.begin(w, ctx)
						calls := 0
						w.onEngine = func(string, bool) mishap {
							if calls++; calls == n {
								failed = true
								return m
							}
							return mishap{}
						}
						w.table.onCall = w.onEngine
						_, err := w.Local.Halts().Halt(ctx, id, enough)
						w.table.onCall, w.onEngine = nil, nil
						if failed && release.KindOf(err) != release.Transient {
							t.Fatalf("call %d failed, and the halt answered %v", n, err)
						}
						w.halted(ctx, id)
						_ = w.Clock.Sleep(ctx, 5*time.Second)
						if rel, err := w.Local.Core().Ledger.Release(ctx, id); err != nil || !rel.State.Ended() {
							t.Errorf("call %d: it is %s (%v), want its end", n, rel.State, err)
						}
					})
					w.settle()
					w.sound()
					if !failed {
						return
					}
				}
			})
		}
	}
}

// TestHaltedBetweenAnyTwoCalls halts a release between two of its calls to the
// ledger, of every so many or with TAGBOAT_EXHAUSTIVE=1 of all.
func TestHaltedBetweenAnyTwoCalls(t *testing.T) {
	stride := 23
	if exhaustive() {
		stride = 1
	}
	for part := range 4 {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			for n := 1 + part*stride; ; n += 4 * stride {
				if !haltedAt(t, n) {
					return
				}
			}
		})
	}
}

// haltedAt halts a release at the n-th call, and tells whether there is one.
func haltedAt(t *testing.T, n int) bool {
	w := newWorld(t, worldOptions{seed: uint64(n), registry: quickly(t, demo.Registry)})
	before := w.targets()
	var id string
	var refusal error
	calls := 0
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.table.onCall = func(string, bool) mishap { // before the release has its turn
			if calls++; calls == n {
				_, refusal = w.Local.Halts().Halt(context.Background(), id, enough)
			}
			return mishap{}
		}
	})
	w.settle()
	there := calls >= n
	rel := w.record(id)
	if rel.Halted == nil {
		wantState(t, rel, release.Succeeded)
		if there && release.KindOf(refusal) != release.Conflict {
			t.Errorf("call %d: the halt was neither recorded nor refused: %v", n, refusal)
		}
		w.asRecorded(rel, before)
		w.sound()
		return there
	}
	w.wantHalted(rel, before)
	if took := rel.Ended.Sub(rel.Halted.At); took > 3*time.Minute {
		t.Errorf("call %d: it ended %s after the halt", n, took)
	}
	if t.Failed() {
		w.transcript(rel)
		t.Fatalf("halted at call %d", n)
	}
	return there
}

// TestAHaltedReleaseWhoseExecutionDies is recovered, and says why it was stopped.
func TestAHaltedReleaseWhoseExecutionDies(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		w := newWorld(t, worldOptions{})
		w.deaf = deaf
		before := w.targets()
		var id string
		w.in(func(ctx context.Context) {
			id = w.canary(ctx)
			w.halted(ctx, id)
			w.stop(ctx, id)
		})
		w.settle()
		rel := w.record(id)
		wantState(t, rel, release.FailedClean)
		w.wantHalted(rel, before)
	}
}

func TestWhatCannotBeHaltedIsRefused(t *testing.T) {
	w := newWorld(t, worldOptions{registry: edited(t, demo.Registry, "    bake: 10m\n", "")})
	refused := func(ctx context.Context, id string, kind release.Kind, says string) {
		t.Helper()
		_, err := w.Local.Halts().Halt(ctx, id, enough)
		if err == nil || release.KindOf(err) != kind {
			t.Fatalf("got %v, want a %s", err, kind)
		}
		wantText(t, err.Error(), says)
	}
	var broken string
	seen := 0
	w.onTask = func(k task) fault {
		if k.function == "RollBack" && k.in.Do == "" {
			seen++
			refused(context.Background(), k.in.Release, release.Conflict, "is being rolled back already")
		}
		return fault{}
	}
	w.in(func(ctx context.Context) { // it fails in prod
		refused(ctx, "nothing", release.NotFound, `no release "nothing"`)
		if _, err := w.Local.Halts().Halt(ctx, "nothing", app.Halting{By: "alice"}); release.KindOf(err) != release.Invalid {
			t.Errorf("without a reason: %v", err)
		}
		broken = w.pushed(ctx, "v1.1.0", demo.Files(demo.Broken, "2.32.3"))
		w.until(ctx, broken, release.FailedClean)
		refused(ctx, broken, release.Conflict, "has ended: failed_clean")
	})
	w.settle()
	if seen == 0 {
		t.Error("nothing was rolled back")
	}
	if rel := w.record(broken); rel.Halted != nil {
		t.Errorf("a refused halt is on record: %+v", rel.Halted)
	}
	rel := w.released("v1.2.0", demo.Files(demo.Handler, "2.32.3"))
	w.in(func(ctx context.Context) { refused(ctx, rel.ID, release.Conflict, "has ended: succeeded") })
	w.in(func(ctx context.Context) {
		answer, err := w.Local.Orders().Place(ctx, app.Order{App: "orders", Tag: "v1.2.0", DryRun: true, By: "carol"})
		if err != nil {
			t.Fatal(err)
		}
		refused(ctx, answer.Releases[0], release.Conflict, "only planned")
	})
	w.settle()
	w.sound()
}

// TestHaltingTwiceKeepsTheFirst also when the release has ended since.
func TestHaltingTwiceKeepsTheFirst(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var id string
	w.in(func(ctx context.Context) {
		id = w.canary(ctx)
		w.halted(ctx, id)
		for range 3 {
			rel, err := w.Local.Halts().Halt(ctx, id, app.Halting{Reason: "me too", By: "bob"})
			if err != nil || rel.Halted.By != "alice" {
				t.Errorf("the second: %+v, %v", rel.Halted, err)
			}
			_ = w.Clock.Sleep(ctx, time.Minute)
		}
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.FailedClean)
	wantText(t, rel.Error, "halted by alice: wrong build")
	w.sound()
}

// TestAHaltAndAnAnswerAtOnce lets a person approve what another halts.
func TestAHaltAndAnAnswerAtOnce(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	before := w.targets()
	var approved, halted string
	w.in(func(ctx context.Context) {
		approved = w.pushed(ctx, "v1.1.0", demo.Files(code(1), "2.32.3"))
		w.until(ctx, approved, release.WaitingApproval)
		w.approve(ctx, approved, "bob", true)
		w.halted(ctx, approved)
		w.until(ctx, approved, release.FailedClean)
		halted = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
		w.until(ctx, halted, release.WaitingApproval)
		w.halted(ctx, halted)
		if _, err := w.Local.Approvals().Answer(ctx, halted, app.Decision{By: "bob"}, true); release.KindOf(err) != release.Conflict || err == nil {
			t.Errorf("a halted release was approved: %v", err)
		}
	})
	w.settle()
	for _, id := range []string{approved, halted} {
		rel := w.record(id)
		wantState(t, rel, release.FailedClean)
		wantText(t, rel.Error, "halted by alice")
	}
	for key, now := range inEnvironment(w.targets(), "prod") {
		if now != before[key] {
			t.Errorf("%s was %s and is %s", key, before[key], now)
		}
	}
	w.sound()
}

// TestAHaltBetweenALookAndTheWriteThatDecides halts a release when a task has
// begun and not yet recorded what it does: the record decides who was first.
func TestAHaltBetweenALookAndTheWriteThatDecides(t *testing.T) {
	tests := []struct {
		name string
		// task is the one, and call which of its calls comes after the halt.
		task func(k task) bool
		call string
	}{
		{"the last environment is to be done", func(k task) bool { return k.in.Do == "close" && k.in.Environment == "prod" }, "Query live"},
		{"it is about to wait for its turn", func(k task) bool { return k.in.Do == "acquire" }, "Put lease"},
		{"it is about to ask", func(k task) bool { return k.function == "Approval" }, "Put release/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: approving(t)})
			var id string
			reached, done := false, false
			w.onTask = func(k task) fault {
				reached = reached || k.in.Release == id && test.task(k)
				return fault{}
			}
			w.table.onCall = func(what string, _ bool) mishap {
				if reached && !done && strings.HasPrefix(what, test.call) {
					done = true
					w.halted(context.Background(), id)
				}
				return mishap{}
			}
			w.in(func(ctx context.Context) {
				first := w.pushed(ctx, "v1.1.0", demo.Files(code(1), "2.32.3"))
				if test.call == "Put lease" { // another is in dev
					w.untilTrue(ctx, first, "in dev", func(rel release.Release) bool { _, open := rel.Open(); return open })
					id = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
					w.untilTrue(ctx, id, "halted", func(rel release.Release) bool { return rel.Halted != nil })
				} else {
					id = first
				}
				if test.call != "Put release/" {
					w.until(ctx, first, release.WaitingApproval)
					w.approve(ctx, first, "bob", true)
				}
			})
			w.settle()
			rel := w.record(id)
			wantText(t, rel.Error, "halted by alice")
			if rel.State == release.Succeeded || rel.Ended.Sub(rel.Halted.At) > time.Minute {
				t.Errorf("it is %s, %s after the halt", rel.State, rel.Ended.Sub(rel.Halted.At))
			}
			w.sound()
		})
	}
}

// TestATaskThatIsDeliveredLateDoesNotWorkAgainstTheRollback delivers the turn
// that noticed a halt once more, at any moment of the rollback: it must not take
// what is restored for somebody else's work.
func TestATaskThatIsDeliveredLateDoesNotWorkAgainstTheRollback(t *testing.T) {
	for late := range 15 {
		w := newWorld(t, worldOptions{})
		before := w.targets()
		w.detached = true
		var id string
		isHalted := false
		w.onTask = func(k task) fault {
			return fault{again: isHalted && k.function == "Shift", late: time.Duration(late) * time.Second}
		}
		w.in(func(ctx context.Context) {
			id = w.canary(ctx)
			w.halted(ctx, id)
			isHalted = true
		})
		w.settle()
		rel := w.record(id)
		wantState(t, rel, release.FailedClean)
		w.wantHalted(rel, before)
	}
}
