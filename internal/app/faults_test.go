package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// exhaustive tells whether every call is tried, and not a sample.
func exhaustive() bool { return os.Getenv("TAGBOAT_EXHAUSTIVE") == "1" }

// boundary is one of the lines across which a release talks to the rest of the
// world; each call across it can go wrong in some ways.
type boundary struct {
	name  string
	kinds []string
	// install makes the n-th call from now on fail in a way, and counts the calls;
	// without a kind it only counts.
	install func(w *world, kind string, n int) (count *int)
	// stride is which part of the calls is tried in an ordinary run.
	stride int
}

func boundaries() []boundary {
	return []boundary{
		{"AWS", []string{"throttled", "server error", "timed out", "answer lost", "denied", "slow and taken over"}, awsFault, 151},
		{"table", []string{"lost", "answer lost"}, ledgerFault, 307},
		{"GitHub", []string{"server error", "unreachable", "answer lost"}, gitHubFault, 11},
		{"task", []string{"killed before", "killed after", "dead before", "dead after", "stopped before", "stopped after"}, taskFault, 47},
	}
}

// counter counts calls and says when it is the n-th one's turn.
func counter(n int) (*int, func() bool) {
	count := new(int)
	return count, func() bool { *count++; return *count == n }
}

func awsFault(w *world, kind string, n int) *int {
	count, due := counter(n)
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if !due() {
			return sim.Fault{}
		}
		switch kind {
		case "throttled":
			return sim.Fault{Before: sim.Throttled(c.Service)}
		case "server error":
			return sim.Fault{Before: sim.ServerError(c.Service)}
		case "timed out":
			return sim.Fault{Before: sim.Timeout()}
		case "answer lost":
			return sim.Fault{After: sim.Timeout()}
		case "slow and taken over":
			w.detached = true
			w.Clock.Go(w.stopAll)
			return sim.Fault{Delay: 100 * time.Second}
		case "denied":
			return sim.Fault{Before: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized", Fault: smithy.FaultClient}}
		}
		return sim.Fault{}
	})
	return count
}

// stopAll stops every execution. It is called inside of the clock.
func (w *world) stopAll() {
	names, err := w.store.Unfinished(context.Background())
	if err != nil {
		w.t.Error(err)
	}
	for _, name := range names {
		_ = w.Local.Engine.Stop(context.Background(), name, "Stopped", "by a test") // it may have ended
	}
}

func ledgerFault(w *world, kind string, n int) *int {
	count, due := counter(n)
	w.table.onCall = func(int) tableFault {
		switch {
		case !due():
			return tableFine
		case kind == "lost":
			return tableLost
		}
		return tableUnanswered
	}
	return count
}

func gitHubFault(w *world, kind string, n int) *int {
	count, due := counter(n)
	w.GitHub.OnRequest(func(*http.Request) github.Fault {
		if !due() {
			return github.Fault{}
		}
		switch kind {
		case "server error":
			return github.Fault{Status: http.StatusBadGateway}
		case "unreachable":
			return github.Fault{Err: errors.New("dial tcp: connection refused")}
		case "answer lost":
			return github.Fault{LoseAnswer: true}
		}
		return github.Fault{}
	})
	return count
}

func taskFault(w *world, kind string, n int) *int {
	count, due := counter(n)
	w.onTask = func(k task) fault {
		if !due() {
			return fault{}
		}
		w.rollBackDied = k.function == "RollBack"
		return map[string]fault{
			"killed before":  {before: retriable},
			"killed after":   {after: retriable},
			"dead before":    {before: final},
			"dead after":     {after: final},
			"stopped before": {before: final, stop: true},
			"stopped after":  {after: final, stop: true},
		}[kind]
	}
	return count
}

// scenario is what happens while calls go wrong.
type scenario struct {
	name  string
	files github.Files
}

func scenarios(t *testing.T) []scenario {
	return []scenario{
		{"a release through dev and prod", quick(t, demo.Handler)},
		{"a release that fails its smoke test in prod", quick(t, demo.Broken)},
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

// run plays the scenario in a new world and returns how many calls it made.
func (s scenario) run(t *testing.T, b boundary, kind string, n int) int {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	before := w.targets()
	count := b.install(w, kind, n)
	w.mayBeDirty = strings.HasPrefix(kind, "dead")
	answer := w.tag("v1.1.0", s.files)
	if answer.Status == release.AnswerBusy { // GitHub shows it, and somebody sends it again
		answer = w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.1.0"))
	}
	if len(answer.Releases) != 1 {
		t.Fatalf("the answer is %+v, want a release", answer)
	}
	w.settle()
	rel := w.record(answer.Releases[0])
	calls := *count
	w.sound()
	w.asRecorded(rel, before)
	if t.Failed() {
		w.transcript(rel)
	}
	return calls
}

// asRecorded checks that every environment is as the release's record says. An
// environment may be dirty only where a task of the rollback dies for good.
func (w *world) asRecorded(rel release.Release, before map[string]string) {
	w.t.Helper()
	for _, environment := range []string{"dev", "prod"} {
		progress, known := rel.Environment(environment)
		was := inEnvironment(before, environment)
		switch {
		case known && progress.State == release.EnvironmentDirty:
			if w.mayBeDirty && w.rollBackDied {
				continue
			}
			w.t.Errorf("one fault left %s dirty: %s; %s", environment, rel.Error, rel.Remedy)
		case known && progress.State == release.EnvironmentDone:
			for key, now := range inEnvironment(w.targets(), environment) {
				if now == was[key] {
					w.t.Errorf("%s is recorded as done and %s is as before", environment, key)
				}
			}
		default:
			w.unchanged(was)
		}
	}
}

// transcript logs what happened.
func (w *world) transcript(rel release.Release) {
	w.t.Logf("release %s: %s: %s", rel.ID, rel.State, rel.Error)
	for _, name := range []string{rel.ID, rel.ID + "-r1", rel.ID + "-r2"} {
		events, err := w.Local.Engine.History(w.t.Context(), name)
		if err != nil {
			return
		}
		for _, e := range events {
			if e.State != "" || e.Error != "" {
				w.t.Logf("%s %s %s %s %s", e.Time.Format("15:04:05"), e.Type, e.State, e.Error, e.Cause)
			}
		}
	}
}

// TestOneFaultAtATime makes each call fail in each way, one per run: in the
// sample of an ordinary run, or with TAGBOAT_EXHAUSTIVE=1 every one.
func TestOneFaultAtATime(t *testing.T) {
	for _, s := range scenarios(t) {
		for _, b := range boundaries() {
			t.Run(fmt.Sprintf("%s, %s", s.name, b.name), func(t *testing.T) {
				t.Parallel()
				calls := s.run(t, b, "", 0)
				stride := b.stride
				if exhaustive() {
					stride = 1
				}
				tried := 0
				for i, kind := range b.kinds {
					for n := 1 + i%stride; n <= calls; n += stride {
						tried++
						t.Run(fmt.Sprintf("call %d %s", n, kind), func(t *testing.T) { s.run(t, b, kind, n) })
					}
				}
				t.Logf("%d calls, %d faults tried", calls, tried)
			})
		}
	}
}
