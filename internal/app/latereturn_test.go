package app_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// TestALateReturnLeavesTheLeaseOfAnOpenEnvironment delivers the task that returns a
// lease once more when the environment is open: the release goes on under its lease.
func TestALateReturnLeavesTheLeaseOfAnOpenEnvironment(t *testing.T) {
	w := newWorld(t, worldOptions{})
	delivered := false
	w.onTask = func(k task) fault {
		if k.function != "Update" || delivered {
			return fault{}
		}
		delivered = true
		_, err := w.Local.Leasing().Do(context.Background(), app.Input{
			Release: k.in.Release, Execution: k.in.Execution, Environment: "dev", Do: "return",
		})
		if release.KindOf(err) != release.Conflict {
			t.Errorf("the late return is answered with %v, want a conflict", err)
		}
		return fault{}
	}
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	if !delivered {
		t.Error("nothing was delivered late")
	}
}

// returned lets a release return its lease of prod, since its plan has changed, and
// ask once more. It answers the task that returned it.
func (w *world) returned(ctx context.Context) (id string, giveBack task) {
	w.t.Helper()
	d := newDeliveries(w)
	id = w.pushed(ctx, "v1.1.0", quick(w.t, demo.Handler))
	w.asked(ctx, id, 1)
	course{}.changePlan(w, ctx, true)
	w.approve(ctx, id, "alice", true)
	w.untilTrue(ctx, id, "waiting again", func(rel release.Release) bool {
		prod, _ := rel.Environment("prod")
		return rel.State == release.WaitingApproval && prod.Approval.Answered.IsZero()
	})
	w.onTask = nil
	giveBack, ok := d.first[id+" Lease return prod"]
	if !ok {
		w.t.Fatalf("release %s returned no lease", id)
	}
	return id, giveBack
}

// isLate delivers a task once more, which is to be told that it is late.
func (w *world) isLate(ctx context.Context, k task) {
	w.t.Helper()
	payload, err := json.Marshal(k.in)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Local.Task(k.function).Run(ctx, payload); err == nil {
		w.t.Errorf("%s was done once more", k)
	} else {
		wantText(w.t, err.Error(), "this attempt is late")
	}
}

// TestALateReturnLeavesTheLeaseThatWasAcquiredSince delivers the task that returned a
// lease once more while its release plans under the lease again.
func TestALateReturnLeavesTheLeaseThatWasAcquiredSince(t *testing.T) {
	for _, moment := range []string{"Snapshot", "Plan"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
			delivered := false
			var id string
			w.in(func(ctx context.Context) {
				var giveBack task
				id, giveBack = w.returned(ctx)
				w.onTask = func(k task) fault {
					if k.function == moment && !delivered {
						delivered = true
						w.isLate(ctx, giveBack)
					}
					return fault{}
				}
				w.approve(ctx, id, "alice", true)
			})
			w.settle()
			wantState(t, w.record(id), release.Succeeded)
			if !delivered {
				t.Error("nothing was delivered late")
			}
			w.sound()
		})
	}
}

// TestALateReturnLeavesThePlaceInTheQueue delivers it while the release waits for the
// lease again, which another one has.
func TestALateReturnLeavesThePlaceInTheQueue(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	book := w.Local.Core().Ledger
	var id string
	w.in(func(ctx context.Context) {
		var giveBack task
		id, giveBack = w.returned(ctx)
		other := ledger.Holder{Release: "another", Execution: "another"}
		if held, _, err := book.Acquire(ctx, "env/orders/prod", other, ledger.Ask{TTL: time.Hour}); err != nil || !held {
			t.Fatalf("the lease is not free while a person decides: %v", err)
		}
		w.approve(ctx, id, "alice", true)
		w.until(ctx, id, release.Waiting)
		w.isLate(ctx, giveBack)
		next, err := book.Return(ctx, "env/orders/prod", other)
		if err != nil || next == nil || next.Release != id {
			t.Fatalf("the next is %+v (%v), want the release that waits", next, err)
		}
		if err := w.Local.Parts.Tokens.Succeed(ctx, next.Token); err != nil {
			t.Fatal(err)
		}
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

// TestAReturnThatIsRepeatedInTimeIsDone lets the answer of the task get lost: it is
// done once more, and the lease is free while a person decides.
func TestAReturnThatIsRepeatedInTimeIsDone(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	returns := 0
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, id, 1)
		w.onTask = func(k task) fault {
			if k.in.Do != "return" {
				return fault{}
			}
			if returns++; returns > 1 {
				return fault{}
			}
			return fault{after: retriable}
		}
		course{}.changePlan(w, ctx, true)
		w.approve(ctx, id, "alice", true)
		w.untilTrue(ctx, id, "waiting again", func(rel release.Release) bool {
			prod, _ := rel.Environment("prod")
			return rel.State == release.WaitingApproval && prod.Approval.Answered.IsZero()
		})
		if leases, err := w.Local.Core().Ledger.Leases(ctx); err != nil || len(leases) > 0 {
			t.Errorf("leases are held: %+v (%v), want none while a person decides", leases, err)
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	if returns != 2 {
		t.Errorf("the lease was returned %d times, want 2", returns)
	}
	w.sound()
}
