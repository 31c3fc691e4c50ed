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

// TestWhatAReleasePinnedStays delivers the tasks that pin something once more while the
// release waits for an answer, when there is something else to pin.
func TestWhatAReleasePinnedStays(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	d := newDeliveries(w)
	var id string
	w.in(func(ctx context.Context) {
		put(t, w.Cloud.Root(demo.Tools).S3(demo.Home), "drops/orders/deps/2.0.0.zip", zipped(t, map[string]string{"python/x.py": "x = 1\n"}))
		id = w.Answers[0].Releases[0]
		w.asked(ctx, id, 1)
		pinned := w.now(ctx, id)
		other := edited(t, demo.Manifest, "Canary10Percent5Minutes", "AllAtOnce")
		if _, err := w.Local.State.Put(ctx, "manifests/orders.yaml", []byte(other)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Admit", "Manifest", "Plan"} {
			d.again(ctx, id, name)
			if now := w.now(ctx, id); now.Registry != pinned.Registry || now.Manifest != pinned.Manifest || now.Plan != pinned.Plan {
				t.Errorf("after %s: registry %v, manifest %v and plan %v; want %v, %v and %v", name,
					now.Registry, now.Manifest, now.Plan, pinned.Registry, pinned.Manifest, pinned.Plan)
			}
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

// TestTwoAdmissionsPinOneRegistry lets one delivery of the admission read the registry
// after the other has admitted the release, and somebody changed it.
func TestTwoAdmissionsPinOneRegistry(t *testing.T) {
	registry := quickly(t, approving(t))
	w := newWorld(t, worldOptions{registry: registry})
	reads := 0
	w.onTask = func(k task) fault {
		if k.function == "Admit" {
			reads = 0
		}
		return fault{again: k.function == "Admit"}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action != "GetObject" || !strings.HasSuffix(c.Resource, app.RegistryKey) {
			return sim.Fault{}
		}
		if reads++; reads != 1 {
			return sim.Fault{}
		}
		return sim.Fault{Delay: 100 * time.Second}
	})
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		_ = w.Clock.Sleep(ctx, 5*time.Second)
		pinned := w.now(ctx, id)
		if _, err := w.Local.State.Put(ctx, app.RegistryKey, []byte(registry+"\n# changed\n")); err != nil {
			t.Fatal(err)
		}
		w.asked(ctx, id, 1)
		_ = w.Clock.Sleep(ctx, 5*time.Minute)
		if now := w.now(ctx, id); now.Registry != pinned.Registry || now.Registry == (release.Pointer{}) {
			t.Errorf("after %d reads the registry is %v, want %v", reads, now.Registry, pinned.Registry)
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}
