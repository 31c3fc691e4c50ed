package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// scenario is what happens while calls go wrong: tags are pushed, and somebody approves what asks.
type scenario struct {
	name     string
	registry string
	// last is the last environment that the releases come to.
	last string
	// tags are what v1.1.0 and those after it bring, half a minute apart.
	tags []github.Files
	// meets are states that some release passes through, as long as nothing goes wrong.
	meets []release.State
	// limit is how long all of it may take.
	limit time.Duration
	// sparse is by how much an ordinary run tries less of the calls than its strides say.
	sparse int
}

// How long all may take: queued is where somebody waits for a lease, for two days at most.
const (
	alone  = 20 * time.Hour
	queued = 72 * time.Hour
)

func scenarios(t *testing.T) []scenario {
	registry := quickly(t, demo.Registry)
	asking := quickly(t, approving(t))
	superseding := edited(t, registry, "environments: [dev, prod]", "environments: [dev]", "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:")
	tags := []github.Files{quick(t, code(1)), quick(t, code(2)), quick(t, code(3))}
	return []scenario{
		{
			name: "a release through dev and prod", registry: registry, last: "prod", limit: alone, sparse: 1,
			tags: []github.Files{quick(t, demo.Handler)},
		},
		{
			name: "a release that fails its smoke test in prod", registry: registry, last: "prod", limit: alone, sparse: 1,
			tags: []github.Files{quick(t, demo.Broken)},
		},
		{
			name: "two releases that ask for prod, one behind the other", registry: asking, last: "prod", limit: queued, sparse: 10,
			tags: tags[:2], meets: []release.State{release.Waiting, release.WaitingApproval},
		},
		{
			name: "a release that supersedes one in the queue", registry: superseding, last: "dev", limit: queued, sparse: 10,
			tags: tags, meets: []release.State{release.Waiting, release.Superseded},
		},
	}
}

// quick are the demo's files with a canary of one minute: the looks in its
// middle are all alike. The registry of quickly does the same for the bake.
func quick(t *testing.T, handler string) github.Files {
	t.Helper()
	f := demo.Files(handler, "2.32.3")
	f["tagboat.yaml"] = github.Text(edited(t, demo.Manifest, "Canary10Percent5Minutes", "Canary10Percent1Minutes"))
	return f
}

func quickly(t *testing.T, registry string) string {
	t.Helper()
	return edited(t, registry, "bake: 10m", "bake: 1m")
}

// outcome is how a run ended and what was seen of it.
type outcome struct {
	*trouble
	releases []release.Release
}

// ends are how the releases ended, in the order of their tags.
func (o outcome) ends() (ends []release.State) {
	for _, rel := range o.releases {
		ends = append(ends, rel.State)
	}
	return ends
}

// run plays the scenario in a new world in which some calls fail, and judges its end.
func (s scenario) run(t *testing.T, blows ...blow) outcome {
	w := newWorld(t, worldOptions{registry: s.registry})
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, time.Minute) }) // everybody knows how the world was made
	before, versions := w.targets(), w.versionsOfAll()
	w.last, w.table.onPut = s.last, w.chronicle
	x := w.trouble(blows...)
	var ids []string
	w.in(func(ctx context.Context) { // all of it, so that two runs are alike
		ids = w.pushes(ctx, s.tags)
		w.come(ctx, s.limit)
		x.over = true // while nobody else has a turn: what was detached may go on
	})
	o := outcome{trouble: x}
	for _, id := range ids {
		o.releases = append(o.releases, w.record(id))
	}
	if x.struck != len(blows) {
		t.Errorf("%d of the calls that were to fail were made, want %d", x.struck, len(blows))
	}
	for _, state := range s.meets {
		if len(blows) == 0 && !w.met[state] {
			t.Errorf("no release was %s", state)
		}
	}
	w.needsHand = slices.ContainsFunc(blows, blow.needsHand)
	w.quiet()
	w.sound()
	w.tookTurns(before)
	w.allAsRecorded(o.releases)
	w.publishedAtMost(versions, len(ids), len(blows))
	for _, rel := range o.releases {
		w.everybodyKnows(rel)
	}
	if t.Failed() {
		w.transcript(o.releases...)
	}
	return o
}

// pushes pushes tags and gives their releases. The schedule's sweep comes when the last of several
// has just begun. It is called inside of the clock.
func (w *world) pushes(ctx context.Context, tags []github.Files) (ids []string) {
	for i, files := range tags {
		if i > 0 {
			_ = w.Clock.Sleep(ctx, 30*time.Second)
		}
		ids = append(ids, w.told(ctx, version(i+1), files))
	}
	if len(tags) > 1 {
		_ = w.Clock.Sleep(ctx, 10*time.Second)
		_, _ = w.Local.Recovery().Sweep(ctx) // tried again
	}
	return ids
}

// told pushes a tag and gives its release. What Tagboat could not take on, GitHub
// shows, and somebody sends it again, at once and then every ten minutes.
func (w *world) told(ctx context.Context, tag string, files github.Files) string {
	w.t.Helper()
	w.Repo.Tag(tag, w.Repo.Commit("main", tag, files))
	var answer release.Answer
	for n := range 20 {
		if n > 1 {
			_ = w.Clock.Sleep(ctx, 10*time.Minute)
		}
		d := w.GitHub.Push(w.Repo, tag)
		answer = w.Hooks.Handle(ctx, webhook.Delivery{Method: "POST", Header: d.Header(), Body: d.Body})
		if answer.Status != release.AnswerBusy {
			break
		}
	}
	if len(answer.Releases) != 1 {
		w.t.Fatalf("the answer is %+v, want a release", answer)
	}
	return answer.Releases[0]
}

// come lets everything come to its end, with a sweep every five minutes, and somebody who looks
// every minute whether a release asks. It is called inside of the clock.
func (w *world) come(ctx context.Context, limit time.Duration) {
	w.t.Helper()
	for minute := 1; minute < int(limit.Minutes()); minute++ {
		_ = w.Clock.Sleep(ctx, time.Minute)
		_, _ = w.Local.Engine.Resume(ctx) // as serve does, for what could not be stored; tried again
		if minute%5 == 0 {
			_, _ = w.Local.Recovery().Sweep(ctx) // tried again
		}
		w.table.calm = true
		active, err := w.Local.Core().Ledger.Active(ctx)
		w.table.calm = false
		running, errRunning := w.store.Unfinished(ctx)
		if err != nil || errRunning != nil {
			w.t.Fatal(err, errRunning)
		}
		if len(active)+len(running) == 0 {
			return
		}
		for _, rel := range active {
			if rel.State == release.WaitingApproval {
				_, _ = w.Local.Approvals().Answer(ctx, rel.ID, app.Decision{By: "alice"}, true) // given again at the next look
			}
		}
	}
	w.t.Fatalf("it did not come to an end within %s", limit)
}
