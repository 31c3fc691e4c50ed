package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// TestAnOwnerStopsWritingBeforeItsLeaseEnds lets the lease of a task run short
// between its look at a function and its first write.
func TestAnOwnerStopsWritingBeforeItsLeaseEnds(t *testing.T) {
	for left, writes := range map[time.Duration]bool{50 * time.Second: false, 10 * time.Minute: true} {
		w := newWorld(t, worldOptions{})
		before, shortened := w.targets(), false
		updating := ""
		w.onTask = func(k task) fault {
			if k.function == "Update" && k.in.Site.Environment == "prod" {
				updating = k.in.Release
			}
			return fault{}
		}
		w.Cloud.OnCall(func(c sim.Call) sim.Fault {
			if updating != "" && !shortened && c.Account == demo.Prod && c.Service == "lambda" {
				shortened = true
				h := ledger.Holder{Release: updating, Execution: updating}
				if err := w.Local.Core().Ledger.Renew(context.Background(), "env/orders/prod", h, left); err != nil {
					t.Error(err)
				}
			}
			return sim.Fault{}
		})
		calls := w.calls()
		rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		wrote := false
		for _, call := range w.writes(calls) {
			wrote = wrote || call.Account == demo.Prod && strings.HasPrefix(call.Action, "Update")
		}
		if !shortened || wrote != writes {
			t.Errorf("with %s left: prod was written %t, want %t", left, wrote, writes)
		}
		if !writes {
			wantState(t, rel, release.FailedClean)
			wantText(t, rel.Error, `lease "env/orders/prod"`, "want more than 1m0s")
		}
		w.asRecorded(rel, before)
		w.sound()
	}
}

// TestADirtyRecoveryKeepsItsLease kills an owner in whose environment somebody
// else works: its recovery cannot restore all, and nobody gets the lease, however
// long it has expired and whatever comes twice, until a person clears it.
func TestADirtyRecoveryKeepsItsLease(t *testing.T) {
	for how, deaf := range map[string]bool{"by its event": false, "by the sweep, the event lost": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.deaf = deaf
			var id, next string
			w.in(func(ctx context.Context) {
				id = w.canary(ctx)
				w.takenByHand(ctx)
				w.stop(ctx, id)
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, release.FailedDirty)
			if rel.Execution != id+"-r1" {
				t.Errorf("execution is %q, want the first recovery", rel.Execution)
			}
			w.in(func(ctx context.Context) {
				next = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
				_ = w.Clock.Sleep(ctx, 30*time.Minute)
				for range 6 {
					for _, execution := range []string{id, id + "-r1"} {
						if err := w.Local.Recovery().Ended(ctx, execution); err != nil {
							t.Error(err)
						}
					}
					if _, err := w.Local.Recovery().Sweep(ctx); err != nil {
						t.Error(err)
					}
					_ = w.Clock.Sleep(ctx, time.Hour)
				}
				lease, _ := leaseOf(w, ctx, "env/orders/prod")
				if lease.Holder.Release != id || lease.Dirty == "" || !lease.Expires.Before(w.Clock.Now()) {
					t.Errorf("the lease is %+v, want it kept by %s, expired", lease, id)
				}
				w.until(ctx, next, release.Waiting)
				w.clear(ctx)
			})
			w.settle()
			if rel := w.record(next); !rel.State.Ended() {
				t.Errorf("the next is %s after the lease was cleared", rel.State)
			}
			if again := w.record(id); again.State != release.FailedDirty || again.Ended != rel.Ended {
				t.Errorf("the dirty release is %s since %s now", again.State, again.Ended)
			}
			if held := w.leases(); len(held) > 0 {
				t.Errorf("leases are held: %+v", held)
			}
		})
	}
}

// clear clears prod's lease, by somebody and for a reason only.
func (w *world) clear(ctx context.Context) {
	w.t.Helper()
	clearing := app.Clearing{App: "orders", Environment: "prod", By: "carol"}
	if err := w.Local.Leasing().Clear(ctx, clearing); err == nil || release.KindOf(err) != release.Invalid {
		w.t.Errorf("cleared without a reason: %v", err)
	}
	clearing.Reason = "restored by hand"
	if err := w.Local.Leasing().Clear(ctx, clearing); err != nil {
		w.t.Error(err)
	}
	lease, _ := leaseOf(w, ctx, "env/orders/prod")
	if lease.Cleared == nil || lease.Cleared.Reason != "restored by hand" || lease.Cleared.By != "carol" {
		w.t.Errorf("on record: %+v", lease.Cleared)
	}
	dirty, err := w.Local.View(ctx, lease.Cleared.Release)
	if err != nil || len(dirty.Cleared) != 1 || dirty.Cleared[0].Environment != "prod" || dirty.Cleared[0].By != "carol" || dirty.Cleared[0].Reason != "restored by hand" {
		w.t.Errorf("the dirty release shows %+v (%v)", dirty.Cleared, err)
	}
}
