package app_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// leaseOf reads a lease inside of the clock.
func leaseOf(w *world, ctx context.Context, name string) (ledger.Lease, bool) {
	w.t.Helper()
	leases, err := w.Local.Core().Ledger.Leases(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, lease := range leases {
		if lease.Name == name && lease.Holder != (ledger.Holder{}) {
			return lease, true
		}
	}
	return ledger.Lease{}, false
}

func version(n int) string { return fmt.Sprintf("v1.%d.0", n) }

func code(n int) string { return fmt.Sprintf("%s# %d\n", demo.Handler, n) }

func TestReleasesQueueInTheirOrder(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{seed: seed})
			var ids []string
			w.in(func(ctx context.Context) {
				for n := 1; n <= 3; n++ {
					id := w.pushed(ctx, version(n), demo.Files(code(n), "2.32.3"))
					ids = append(ids, id)
					if n == 1 {
						w.untilTrue(ctx, id, "in dev", func(rel release.Release) bool {
							return len(rel.Environments) > 0 && rel.Environments[0].State == release.EnvironmentOpen
						})
					} else {
						w.until(ctx, id, release.Waiting)
					}
				}
			})
			w.settle()
			var last release.Release
			for _, id := range ids {
				rel := w.record(id)
				wantState(t, rel, release.Succeeded)
				if rel.Ended.Before(last.Ended) {
					t.Errorf("%s ended before %s", rel.ID, last.ID)
				}
				last = rel
			}
			for _, l := range w.live() {
				if l.Version != "1.3.0" {
					t.Errorf("%s in %s is at %s, want 1.3.0", l.Name, l.Environment, l.Version)
				}
			}
			w.sound()
		})
	}
}

func TestANewerReleaseSupersedesThoseThatWait(t *testing.T) {
	registry := edited(t, demo.Registry, "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:")
	w := newWorld(t, worldOptions{registry: registry})
	var ids []string
	w.in(func(ctx context.Context) {
		for n := 1; n <= 3; n++ {
			ids = append(ids, w.pushed(ctx, version(n), demo.Files(code(n), "2.32.3")))
			if n == 1 {
				w.untilTrue(ctx, ids[0], "in dev", func(rel release.Release) bool {
					return len(rel.Environments) > 0 && rel.Environments[0].State == release.EnvironmentOpen
				})
			} else {
				w.until(ctx, ids[n-1], release.Waiting)
			}
		}
	})
	w.settle()
	for i, want := range []release.State{release.Succeeded, release.Superseded, release.Succeeded} {
		wantState(t, w.record(ids[i]), want)
	}
	wantText(t, w.record(ids[1]).Error, ids[2], "replaced it")
	w.sound()
}

func TestANewerReleaseSupersedesOneThatWaitsForItsApproval(t *testing.T) {
	registry := edited(t, approving(t), "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:")
	w := newWorld(t, worldOptions{registry: registry})
	var older, newer string
	w.in(func(ctx context.Context) {
		older = w.pushed(ctx, "v1.1.0", demo.Files(code(1), "2.32.3"))
		w.until(ctx, older, release.WaitingApproval)
		newer = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
		w.until(ctx, newer, release.WaitingApproval)
		w.approve(ctx, newer, "alice", true)
		w.until(ctx, older, release.Superseded)
	})
	w.settle()
	wantState(t, w.record(newer), release.Succeeded)
	w.sound()
}
