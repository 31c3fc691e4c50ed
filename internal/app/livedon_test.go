package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// What a task decides it has to decide by what is there when it writes: the state machine can have
// given it up, and gone on with its next attempt, while it lives on for up to two minutes.

// givenUp lets the state machine give up on the first task of a name, which lives on, and try again.
func (w *world) givenUp(name string) (given *bool) {
	given = new(bool)
	w.onTask = func(k task) fault {
		if *given || k.String() != name {
			return fault{}
		}
		*given = true
		return fault{again: true, before: retriable}
	}
	return given
}

// once holds up the first call of the table that begins with what, since something is so.
func (w *world) once(since *bool, what string) (held *bool) {
	held = new(bool)
	w.table.onCall = func(call string, _ bool) mishap {
		if !*since || *held || !strings.HasPrefix(call, what) {
			return mishap{}
		}
		*held = true
		return mishap{delay: slowly}
	}
	return held
}

// TestAnAliasIsNotMovedOnceMoreAfterItWasMovedBack lets a task's write of an alias hang, which the next
// attempt moves; that is undone, so that the first one finds the alias as it was when it is refused.
func TestAnAliasIsNotMovedOnceMoreAfterItWasMovedBack(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	before, site, other, held, refused := w.targets(), demo.Sites()[1], demo.Sites()[2], false, false
	given := w.givenUp("Shift shift " + site.String())
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		switch {
		case c.Action != "UpdateAlias":
		case strings.Contains(c.Resource, site.Region+":"+site.Account+":function:orders-api") && *given && !held:
			held = true
			return sim.Fault{Delay: slowly}
		case strings.Contains(c.Resource, other.Region+":"+other.Account+":function:orders-worker") && !refused:
			refused = true
			return sim.Fault{Before: errAccessDenied, Delay: 20 * time.Second} // when the other attempt has moved it
		}
		return sim.Fault{}
	})
	rel := w.released("v1.1.0", quick(t, demo.Handler))
	wantState(t, rel, release.FailedClean)
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
	if !held || !refused {
		t.Errorf("a write was held up: %t, another refused: %t; want both", held, refused)
	}
	w.asRecorded(rel, before)
	w.sound()
}

// TestADeletionThatWasGivenUpDeletesNothingOfTheNextRelease lets the deletion hang by which a rollback undoes
// that it made an alias: the next attempt deletes it, and the next release makes it again.
func TestADeletionThatWasGivenUpDeletesNothingOfTheNextRelease(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	site, held, refused := demo.Sites()[1], false, false
	given := w.givenUp("RollBack rollback " + site.String())
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		at := site.Region + ":" + site.Account + ":function:"
		switch {
		case c.Action == "UpdateAlias" && strings.Contains(c.Resource, at+"orders-worker") && !refused:
			refused = true
			return sim.Fault{Before: errAccessDenied, Delay: 10 * time.Second}
		case c.Action == "DeleteAlias" && strings.Contains(c.Resource, at) && *given && !held:
			held = true
			return sim.Fault{Delay: slowly}
		}
		return sim.Fault{}
	})
	var older, newer string
	w.in(func(ctx context.Context) {
		older = w.pushed(ctx, "v1.1.0", fresh(t, demo.Handler))
		newer = w.pushed(ctx, "v1.2.0", fresh(t, demo.Handler+"\n# newer\n"))
	})
	w.settle()
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
	wantState(t, w.record(older), release.FailedClean)
	wantState(t, w.record(newer), release.Succeeded)
	f, _ := w.Cloud.Function(site.Account, site.Region, "orders-api")
	if _, ok := f.Aliases["fresh"]; !held || !ok {
		t.Errorf("a deletion was held up: %t, the alias of the next release is there: %t; want both", held, ok)
	}
}

// TestALeaseIsNotTakenOnceMoreByAnAttemptThatHangs lets the first attempt to acquire dev hang until the
// release has left dev to the next one: it takes nothing, and what is live in dev is the next one's.
func TestALeaseIsNotTakenOnceMoreByAnAttemptThatHangs(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	given := w.givenUp("Lease acquire dev")
	held := w.once(given, "Query freeze")
	var older, newer string
	w.in(func(ctx context.Context) {
		older = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
		w.asked(ctx, older, 1)
		newer = w.pushed(ctx, "v1.2.0", atOnce(t, demo.Handler+"\n# newer\n"))
		w.asked(ctx, newer, 1)
		_ = w.Clock.Sleep(ctx, 3*time.Minute)
		if lease, _ := leaseOf(w, ctx, "env/orders/dev"); !*held || lease.Holder != (ledger.Holder{}) || len(lease.Waiters) > 0 {
			t.Errorf("an attempt was held up: %t, and the lease of dev is %+v; want it free", *held, lease)
		}
		w.approve(ctx, older, "alice", false)
		w.until(ctx, older, release.Rejected)
		w.approve(ctx, newer, "alice", true)
	})
	w.settle()
	wantState(t, w.record(newer), release.Succeeded)
	for _, l := range w.live() {
		if l.Release != newer {
			t.Errorf("%s in %s is recorded as of %s, want %s", l.Name, l.Environment, l.Release, newer)
		}
	}
	w.sound()
}

// TestAnEnvironmentIsNotOpenedWithoutItsLease lets the first plan of prod hang until the next one has led to
// another question, that is answered, and the release waits for the lease which it gave back.
func TestAnEnvironmentIsNotOpenedWithoutItsLease(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	given := w.givenUp("Plan prod")
	held := w.once(given, "Query freeze")
	book, other := w.Local.Core().Ledger, ledger.Holder{Release: "another", Execution: "another"}
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
		w.asked(ctx, id, 1)
		course{}.changePlan(w, ctx, true)
		w.approve(ctx, id, "alice", true)
		w.untilTrue(ctx, id, "asking again", func(rel release.Release) bool {
			prod, _ := rel.Environment("prod")
			return rel.State == release.WaitingApproval && prod.Approval.Answered.IsZero()
		})
		if held, _, err := book.Acquire(ctx, "env/orders/prod", other, ledger.Ask{TTL: time.Hour}); err != nil || !held {
			t.Fatalf("the lease is not free: %v", err)
		}
		w.approve(ctx, id, "alice", true)
		w.until(ctx, id, release.Waiting)
		_ = w.Clock.Sleep(ctx, 3*time.Minute)
		rel := w.now(ctx, id)
		if prod, _ := rel.Environment("prod"); !*held || prod.State != release.EnvironmentPending || rel.State != release.Waiting {
			t.Errorf("a plan was held up: %t, prod is %s, the release %s; want that it waits as before", *held, prod.State, rel.State)
		}
		next, err := book.Return(ctx, "env/orders/prod", other)
		if err != nil || next == nil {
			t.Fatalf("the lease is handed on to %+v: %v", next, err)
		}
		_ = w.Clock.Sleep(ctx, 5*time.Minute)
		_, _ = w.Local.Recovery().Sweep(ctx) // tells it that its turn has come
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

// TestALateLookReplacesNoLaterOne lets the first look at a site hang when it has seen everything, until
// the next attempt has looked.
func TestALateLookReplacesNoLaterOne(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	site := demo.Sites()[1]
	given := w.givenUp("Snapshot snapshot " + site.String())
	held, until := false, time.Time{}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if held || !*given || c.Action != "PutObject" || !strings.HasSuffix(c.Resource, "/snapshots/"+strings.ReplaceAll(site.String(), "/", "-")+".json") {
			return sim.Fault{}
		}
		held, until = true, w.Clock.Now().Add(slowly)
		return sim.Fault{Delay: slowly}
	})
	var id string
	noted := func(ctx context.Context) (note struct{ Pointer release.Pointer }) {
		if found, err := w.Local.Core().Ledger.ReadNote(ctx, id, "snapshot/"+site.String(), &note); err != nil || !found {
			t.Errorf("a note of the look: %t, %v", found, err)
		}
		return note
	}
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
		w.asked(ctx, id, 1)
		before := noted(ctx)
		if !w.Clock.Now().Before(until) {
			t.Errorf("the question came at %s, when no look was held up any more", w.Clock.Now())
		}
		_ = w.Clock.Sleep(ctx, 3*time.Minute)
		if after := noted(ctx); !held || after != before {
			t.Errorf("a look was held up: %t, and %+v stands for %+v; want it to stay", held, after, before)
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}
