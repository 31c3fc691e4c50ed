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
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
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

// TestAWaitThatIsOverIsNotRecordedLate lets the record that a release waits be written when it
// has been handed the lease: it is not said to wait while it works.
func TestAWaitThatIsOverIsNotRecordedLate(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	var second string
	held, worked := false, false
	w.onTask = func(k task) fault {
		return fault{do: func() {
			if k.in.Release != second || k.String() != "Lease close dev" {
				return
			}
			worked = true
			if rel := w.now(context.Background(), second); rel.State == release.Waiting {
				t.Errorf("it is %s when it has updated dev", rel.State)
			}
		}}
	}
	w.table.onCall = func(what string, reads bool) mishap {
		if reads || held || second == "" || !strings.HasPrefix(what, "Put release/"+second) {
			return mishap{}
		}
		lease, _ := leaseOf(w, context.Background(), "env/orders/dev")
		if !slices.ContainsFunc(lease.Waiters, func(waiter ledger.Waiter) bool { return waiter.Release == second }) {
			return mishap{}
		}
		held = true
		w.sleepUntil(func() bool {
			rel := w.now(context.Background(), second)
			dev, ok := rel.Environment("dev")
			return ok && dev.State == release.EnvironmentOpen
		})
		return mishap{}
	}
	w.in(func(ctx context.Context) {
		first := w.pushed(ctx, version(1), quick(t, code(1)))
		w.untilTrue(ctx, first, "in dev", func(rel release.Release) bool {
			return len(rel.Environments) > 0 && rel.Environments[0].State == release.EnvironmentOpen
		})
		second = w.pushed(ctx, version(2), quick(t, code(2)))
	})
	w.settle()
	wantState(t, w.record(second), release.Succeeded)
	if !held || !worked {
		t.Errorf("the record was held up: %t, dev was updated: %t; want both", held, worked)
	}
	w.sound()
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

// TestAnOlderVersionDoesNotSupersedeANewerOne lets three versions come while the first has dev: the
// event of an older one late, or that of a newer one where a clock is behind. The newer goes on.
func TestAnOlderVersionDoesNotSupersedeANewerOne(t *testing.T) {
	for name, test := range map[string]struct {
		waits, comes string
		skew         time.Duration // of the clock of the webhook that takes the last one
		ends         string        // superseded
	}{
		"an event came late":             {waits: "v1.2.0", comes: "v1.1.0", ends: "v1.1.0"},
		"an event came late, by a clock": {waits: "v1.2.0", comes: "v1.1.0", skew: -45 * time.Second, ends: "v1.1.0"},
		"a clock is behind":              {waits: "v1.1.0", comes: "v1.2.0", skew: -45 * time.Second, ends: "v1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := edited(t, demo.Registry, "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:")
			w := newWorld(t, worldOptions{registry: quickly(t, registry)})
			ids := map[string]string{}
			w.in(func(ctx context.Context) {
				first := w.pushed(ctx, "v1.0.0", quick(t, code(0)))
				w.untilTrue(ctx, first, "in dev", func(rel release.Release) bool { _, open := rel.Open(); return open })
				ids[test.waits] = w.pushed(ctx, test.waits, quick(t, code(1)))
				w.until(ctx, ids[test.waits], release.Waiting)
				parts := *w.Local.Parts
				parts.Clock = skewed{parts.Clock, test.skew}
				w.Hooks = parts.Webhook(&webhook.CachedSecrets{
					Clock: w.Clock, Read: func(context.Context) ([]string, error) { return []string{demo.Secret}, nil },
				})
				ids[test.comes] = w.pushed(ctx, test.comes, quick(t, code(2)))
				w.until(ctx, ids[test.ends], release.Superseded)
			})
			w.settle()
			wantState(t, w.record(ids["v1.2.0"]), release.Succeeded)
			wantText(t, w.record(ids["v1.1.0"]).Error, ids["v1.2.0"])
			for _, l := range w.live() {
				if l.Version != "1.2.0" {
					t.Errorf("%s in %s is at %s, want 1.2.0", l.Name, l.Environment, l.Version)
				}
			}
			w.sound()
		})
	}
}

// TestAnOlderReleaseDoesNotSupersedeANewerOne delays the second of three on its
// way to prod, until the third waits there.
func TestAnOlderReleaseDoesNotSupersedeANewerOne(t *testing.T) {
	registry := edited(t, demo.Registry, "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:")
	w := newWorld(t, worldOptions{registry: registry})
	ids := make([]string, 3)
	w.onTask = func(k task) fault {
		if k.in.Release == ids[1] && k.in.Do == "acquire" && k.in.Environment == "prod" {
			_ = w.Clock.Sleep(t.Context(), 8*time.Minute)
		}
		return fault{}
	}
	w.in(func(ctx context.Context) {
		for n := range ids {
			ids[n] = w.pushed(ctx, version(n+1), demo.Files(code(n+1), "2.32.3"))
			w.untilTrue(ctx, ids[n], "in dev", func(rel release.Release) bool {
				return len(rel.Environments) > 0 && rel.Environments[0].State == release.EnvironmentOpen
			})
		}
		w.until(ctx, ids[2], release.Waiting)
		w.until(ctx, ids[1], release.Superseded)
	})
	w.settle()
	for i, want := range []release.State{release.Succeeded, release.Superseded, release.Succeeded} {
		wantState(t, w.record(ids[i]), want)
	}
	wantText(t, w.record(ids[1]).Error, ids[2], "newer")
	w.sound()
}

// TestALostTokenIsSentAgain loses the token by which the second release is told
// that it has the lease.
func TestALostTokenIsSentAgain(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var first, second string
	w.in(func(ctx context.Context) {
		first = w.pushed(ctx, "v1.1.0", demo.Files(code(1), "2.32.3"))
		w.untilTrue(ctx, first, "in dev", func(rel release.Release) bool {
			return len(rel.Environments) > 0 && rel.Environments[0].State == release.EnvironmentOpen
		})
		second = w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
		w.until(ctx, second, release.Waiting)
		told := func() string {
			lease, _ := leaseOf(w, ctx, "env/orders/dev")
			if lease.Holder.Release != second {
				return ""
			}
			return lease.Token
		}
		w.loseToken = func(token string) bool { return token == told() }
		w.until(ctx, first, release.Succeeded)
		_ = w.Clock.Sleep(ctx, time.Hour)
		if told() == "" {
			t.Fatal("the lease was not handed to the second, who was not told")
		}
		w.loseToken = nil
		if swept, err := w.Local.Recovery().Sweep(ctx); err != nil || swept.HandedOn != 1 {
			t.Errorf("the sweep: %+v, %v; want one token sent", swept, err)
		}
	})
	w.settle()
	wantState(t, w.record(second), release.Succeeded)
	w.sound()
}

// TestTheSweepTakesNothingFromWhoWorks sweeps all the time while releases queue.
func TestTheSweepTakesNothingFromWhoWorks(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var ids []string
	w.in(func(ctx context.Context) {
		for n := 1; n <= 3; n++ {
			ids = append(ids, w.pushed(ctx, version(n), demo.Files(code(n), "2.32.3")))
		}
		w.Clock.Go(func() {
			for range 400 {
				if swept, err := w.Local.Recovery().Sweep(context.Background()); err != nil || swept != (app.Swept{}) {
					t.Errorf("the sweep found something: %+v, %v", swept, err)
				}
				_ = w.Clock.Sleep(context.Background(), 13*time.Second)
			}
		})
	})
	w.settle()
	for _, id := range ids {
		wantState(t, w.record(id), release.Succeeded)
	}
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

// TestAnOlderVersionDoesNotSupersedeANewerOneThatAsks lets a newer version wait for its approval
// of dev when an older one, whose event came late, has got its own.
func TestAnOlderVersionDoesNotSupersedeANewerOneThatAsks(t *testing.T) {
	registry := edited(t, approving(t), "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:",
		"external_id: tagboat-dev\n", "external_id: tagboat-dev\n    approval: required\n")
	w := newWorld(t, worldOptions{registry: quickly(t, registry)})
	var older, newer string
	w.in(func(ctx context.Context) {
		newer = w.pushed(ctx, "v1.2.0", quick(t, code(2)))
		w.until(ctx, newer, release.WaitingApproval)
		older = w.pushed(ctx, "v1.1.0", quick(t, code(1)))
		w.until(ctx, older, release.WaitingApproval)
		w.approve(ctx, older, "alice", true)
		w.untilDone(ctx, older, "dev")
		w.until(ctx, newer, release.WaitingApproval)
		w.until(ctx, older, release.WaitingApproval)
		w.approve(ctx, older, "alice", false)
		w.approve(ctx, newer, "alice", true)
		w.untilTrue(ctx, newer, "asking again, since dev has changed", func(rel release.Release) bool {
			dev, _ := rel.Environment("dev")
			return rel.State == release.WaitingApproval && dev.Approval.Answered.IsZero()
		})
		w.approve(ctx, newer, "alice", true)
		w.untilDone(ctx, newer, "dev")
		w.until(ctx, newer, release.WaitingApproval)
		w.approve(ctx, newer, "alice", true)
	})
	w.settle()
	wantState(t, w.record(newer), release.Succeeded)
	wantState(t, w.record(older), release.Rejected)
	w.sound()
}
