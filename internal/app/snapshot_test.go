package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// TestASnapshotIsOfNoUseOnceAnotherHadTheLease brings back a release whose snapshot of dev, where
// it is live, says that nothing is to be done: before it gets the lease, another has it and changes
// dev, all within the two minutes for which a snapshot stands.
func TestASnapshotIsOfNoUseOnceAnotherHadTheLease(t *testing.T) {
	for name, test := range map[string]struct {
		skew   time.Duration // of the clock of the other's task that closes dev
		byHand bool          // the other changes dev and records nothing of it
	}{
		"a release with its clock behind": {skew: -45 * time.Second},
		"a release with its clock ahead":  {skew: 45 * time.Second},
		"one that recorded nothing":       {byHand: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			wantState(t, w.released("v1.0.0", atOnce(t, demo.Handler)), release.Succeeded)
			var other, back string
			var looked, had time.Time
			w.onTask = func(k task) fault {
				switch {
				case k.in.Release == other && k.String() == "Lease close dev":
					return fault{skew: test.skew}
				case k.in.Release == other && k.String() == "Lease acquire dev":
					w.sleepUntil(func() bool { return !looked.IsZero() })
				case k.in.Release == back && k.String() == "Plan":
					looked = w.Clock.Now()
				case k.in.Release == back && k.String() == "Lease acquire dev":
					if test.byHand {
						w.changedUnderTheLease(context.Background())
						return fault{}
					}
					w.sleepUntil(func() bool {
						lease, held := leaseOf(w, context.Background(), "env/orders/dev")
						return held && lease.Holder.Release == other
					})
				case k.in.Release == back && k.String() == "Plan dev":
					had = w.Clock.Now()
				}
				return fault{}
			}
			w.in(func(ctx context.Context) {
				if !test.byHand {
					other = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler+"\n# newer\n"))
				}
				answer, err := w.Local.Orders().Place(ctx, orderOf("v1.0.0", true, true))
				if err != nil || len(answer.Releases) != 1 {
					t.Fatal(answer, err)
				}
				back = answer.Releases[0]
			})
			w.settle()
			wantState(t, w.record(back), release.Succeeded)
			if took := had.Sub(looked); looked.IsZero() || took <= 0 || took > 110*time.Second {
				t.Errorf("it had the lease %s after its look: the snapshot was not that fresh", took)
			}
			f, err := w.Function(demo.Sites()[0], "orders-api")
			if err != nil {
				t.Fatal(err)
			}
			runs, _ := f.Version(f.Aliases["live"].Version)
			if source, err := runs.Code.ReadFile("app.py"); err != nil || string(source) != demo.Handler {
				t.Errorf("dev runs %q (%v), want what was brought back, %q", source, err, demo.Handler)
			}
			w.sound()
		})
	}
}

// sleepUntil waits, in the clock, until something is true.
func (w *world) sleepUntil(is func() bool) {
	w.t.Helper()
	for range 600 {
		if is() {
			return
		}
		_ = w.Clock.Sleep(context.Background(), time.Second)
	}
	w.t.Error("what was waited for did not come within ten minutes")
}

// changedUnderTheLease brings other code to dev's callers while another than a release has the lease.
func (w *world) changedUnderTheLease(ctx context.Context) {
	w.t.Helper()
	book, other := w.Local.Core().Ledger, ledger.Holder{Release: "another", Execution: "another"}
	if held, _, err := book.Acquire(ctx, "env/orders/dev", other, ledger.Ask{TTL: time.Hour}); err != nil || !held {
		w.t.Fatalf("the lease is not free: %v", err)
	}
	api := w.Cloud.Root(demo.Dev).Lambda(demo.Sites()[0].Region)
	published, err := api.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("orders-api"), ZipFile: zipped(w.t, map[string]string{"app.py": handMade}), Publish: true,
	})
	if err == nil {
		_ = w.Clock.Sleep(ctx, 10*time.Second) // until Lambda has settled
		_, err = api.UpdateAlias(ctx, &lambda.UpdateAliasInput{
			FunctionName: aws.String("orders-api"), Name: aws.String("live"), FunctionVersion: published.Version,
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := book.Return(ctx, "env/orders/dev", other); err != nil {
		w.t.Fatal(err)
	}
}

// TestALayerThatADeadReleasePublishedIsUsedByTheNext stops a release that has published its
// layer before it can say so. The next one with the same layer recognises the version by its
// content, in a task that may not say so either, and it is remembered all the same.
func TestALayerThatADeadReleasePublishedIsUsedByTheNext(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	stopped := false
	w.table.onCall = func(what string, reads bool) mishap {
		if reads || stopped || !strings.HasPrefix(what, "Put layer/orders-deps/"+demo.Home) {
			return mishap{}
		}
		stopped = true
		w.Clock.Go(w.stopAll)
		return mishap{before: errTable, kill: true}
	}
	w.detached = true
	wantState(t, w.released("v1.1.0", quick(t, code(1))), release.FailedClean)
	if !stopped {
		t.Error("nothing was to be remembered")
	}
	made, err := w.Local.Core().Ledger.PublishedVersions(t.Context(), "orders-deps", demo.Home)
	if err != nil || len(made) != 0 {
		t.Fatalf("remembered: %q, %v; want nothing", made, err)
	}
	wantState(t, w.released("v1.2.0", quick(t, code(2))), release.Succeeded)
	versions := w.Cloud.LayerVersions(demo.Tools, demo.Home, "orders-deps")
	if made, err = w.Local.Core().Ledger.PublishedVersions(t.Context(), "orders-deps", demo.Home); err != nil || len(versions) != 1 || made[versions[0].ARN] == "" {
		t.Errorf("%d versions, remembered %q, %v; want the one that was there, remembered", len(versions), made, err)
	}
	w.quiet()
	w.sound()
}

// TestAReleaseSeesWhatTheOneBeforeItWrote lets every read of Lambda be from before the last write, for as
// long as that can be. A release that brings back what was there before the last one writes it, whatever
// the clock of the task says that hands the lease on, and though the first answer of each look is lost.
func TestAReleaseSeesWhatTheOneBeforeItWrote(t *testing.T) {
	for _, skew := range []time.Duration{0, off, -off} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			wantState(t, w.released("v1.0.0", atOnce(t, demo.Handler)), release.Succeeded)
			w.Cloud.OnCall(func(sim.Call) sim.Fault { return sim.Fault{Stale: true} })
			lost := map[string]int{}
			w.onTask = func(k task) fault {
				look := k.in.Release + " " + k.String()
				switch {
				case k.in.Do == "close":
					return fault{skew: skew}
				case k.function == "Snapshot":
					if lost[look]++; lost[look]%2 == 0 { // the first for the whole plan, the second under the lease
						return fault{after: retriable}
					}
				}
				return fault{}
			}
			var other, again string
			w.in(func(ctx context.Context) {
				other = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler+"\n# other\n"))
				again = w.pushed(ctx, "v1.2.0", atOnce(t, demo.Handler))
			})
			w.settle()
			wantState(t, w.record(other), release.Succeeded)
			rel := w.record(again)
			wantState(t, rel, release.Succeeded)
			for _, environment := range []string{"dev", "prod"} {
				for _, problem := range w.notAsPlanned(rel, environment) {
					t.Errorf("%s is recorded as done and %s", environment, problem)
				}
			}
			w.sound()
		})
	}
}
