package app_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// world is a demo world with the real tasks on an engine that can lose and break them.
type world struct {
	*demo.World
	t     *testing.T
	table *flakyTable
	store *flakyStore
	heard *listener
	// downloads are the archives of functions as they are fetched.
	downloads *flakyDownloads
	// onTask sees each task before it runs and decides what goes wrong with it.
	onTask func(task) fault
	// deaf is true while ends of executions raise no event.
	deaf  bool
	tasks int
	// byHand is when somebody else changed a function, by site and name; tookHandMade, whether
	// Lambda took their code.
	byHand       map[string]time.Time
	tookHandMade map[string]bool
	// needsHand is true where what goes wrong can leave an environment to a person.
	needsHand bool
	// detached tasks run on when their execution is stopped, as Lambdas do.
	detached bool
	// loseToken tells whether a token is lost on its way.
	loseToken func(token string) bool
	// onEngine sees each call to the engine and decides what goes wrong with it;
	// onEnd sees each execution's end.
	onEngine func(what string, reads bool) mishap
	onEnd    func(asl.Execution)
	// registry is the one that the world began with; last is the last environment of its app.
	registry, last string
	// met are the states in which releases were seen; chapters, how environments stood at
	// each change of their state, which stands has by release and environment.
	met      map[release.State]bool
	stands   map[string]release.EnvironmentState
	chapters []chapter
}

// parsed is shared by all worlds: most have the same registry.
var parsed = &app.Parsed{}

type worldOptions struct {
	seed      uint64
	registry  string
	functions []demo.Function
}

func newWorld(t *testing.T, o worldOptions) *world {
	t.Helper()
	w := &world{
		t: t, registry: cmp.Or(o.registry, demo.Registry), last: "prod", byHand: map[string]time.Time{}, tookHandMade: map[string]bool{},
		met: map[release.State]bool{}, stands: map[string]release.EnvironmentState{},
		table: &flakyTable{Table: narrowed(t, ledger.NewMemoryTable()), partitions: map[string]bool{}}, store: &flakyStore{Store: asl.NewMemoryStore()},
	}
	var err error
	w.World, err = demo.NewWorld(t.Context(), demo.WorldOptions{Seed: o.seed, Registry: o.registry, Functions: o.functions, Table: w.table, Store: w.store})
	if err != nil {
		t.Fatal(err)
	}
	w.Cloud.RecordCalls(1 << 20)
	w.table.clock, w.heard = w.Clock, &listener{w: w}
	w.downloads = &flakyDownloads{RoundTripper: w.Local.Parts.HTTP.Transport, clock: w.Clock}
	parts := w.Local.Parts
	parts.Parsed, parts.Announcer, parts.HTTP = parsed, w.heard, &http.Client{Transport: w.downloads}
	w.start(o.seed + 1)
	return w
}

// restart makes a new process on the same stores: an engine with its parts.
func (w *world) restart(seed uint64) {
	w.t.Helper()
	w.Local.Engine.Close()
	parts := *w.Local.Parts
	var err error
	if w.Local, err = app.NewLocal(&parts, app.LocalOptions{Store: w.store}); err != nil {
		w.t.Fatal(err)
	}
	w.start(seed)
}

// start gives the process an engine that can lose and break tasks.
func (w *world) start(seed uint64) {
	w.t.Helper()
	local, parts := w.Local, w.Local.Parts
	flaky := &flakyEngine{parts.Tokens, parts.Executions, w}
	parts.Tokens, parts.Executions = flaky, flaky
	tasks := parts.Tasks()
	var err error
	local.Engine, err = asl.New(asl.Config{
		Machine: machine(w.t), Clock: w.Clock, Store: w.store, Logger: parts.Log, Seed: seed, OnEdge: covered.take,
		OnEnd: func(e asl.Execution) {
			if w.onEnd != nil {
				w.onEnd(e)
			}
			if !w.deaf {
				_ = local.Recovery().Ended(context.Background(), e.Name) // the sweep is for what it cannot do
			}
		},
		Invoke: func(ctx context.Context, function string, payload json.RawMessage) (json.RawMessage, error) {
			return w.invoke(ctx, tasks[function], function, payload)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Hooks = parts.Webhook(&webhook.CachedSecrets{
		Clock: w.Clock, Read: func(context.Context) ([]string, error) { return []string{demo.Secret}, nil },
	})
	w.Events = parts.Events()
	w.Hooks.Accept, w.Events.Accept = accepted("webhook", w.Hooks.Accept), accepted("artifact", w.Events.Accept)
}

func (w *world) invoke(ctx context.Context, run app.Task, function string, payload json.RawMessage) (json.RawMessage, error) {
	w.tasks++
	k := task{seq: w.tasks, function: function}
	if err := json.Unmarshal(payload, &k.in); err != nil {
		return nil, err
	}
	var f fault
	if w.onTask != nil {
		f = w.onTask(k)
	}
	if f.do != nil {
		f.do()
	}
	if f.skew != 0 {
		parts := *w.Local.Parts
		parts.Clock = skewed{parts.Clock, f.skew}
		run = parts.Task(function)
	}
	if f.stop {
		engine := w.Local.Engine
		w.Clock.Go(func() { _ = engine.Stop(context.Background(), k.in.Execution, "Stopped", "by a test") })
	}
	if f.again {
		w.Clock.Go(func() {
			_ = w.Clock.Sleep(context.Background(), f.late) // cannot fail
			again, life := w.bear(context.Background(), function)
			_, _ = run.Run(again, payload) // nobody waits for it
			life.end()
		})
	}
	if f.before != nil {
		return nil, f.before
	}
	ctx, life := w.bear(ctx, function)
	out, err := run.Run(ctx, payload)
	life.end()
	switch {
	case life.killed:
		return nil, retriable
	case f.after != nil:
		return nil, f.after
	}
	return out, err
}

// in runs f inside of the clock: time passes only while f waits.
func (w *world) in(f func(ctx context.Context)) {
	w.t.Helper()
	w.Clock.Run(func() { f(w.t.Context()) })
}

// tag pushes a tag at a new commit; in the clock, use pushed.
func (w *world) tag(tag string, files github.Files) release.Answer {
	w.Repo.Tag(tag, w.Repo.Commit("main", tag, files))
	return w.Deliver(w.t.Context(), w.GitHub.Push(w.Repo, tag))
}

// pushed is tag for callers inside of the clock.
func (w *world) pushed(ctx context.Context, tag string, files github.Files) string {
	w.t.Helper()
	w.Repo.Tag(tag, w.Repo.Commit("main", tag, files))
	d := w.GitHub.Push(w.Repo, tag)
	answer := w.Hooks.Handle(ctx, webhook.Delivery{Method: "POST", Header: d.Header(), Body: d.Body})
	if answer.Status != release.AnswerStarted {
		w.t.Fatalf("push of %s: got %+v, want started", tag, answer)
	}
	return answer.Releases[0]
}

// released pushes a tag and waits for the release's end.
func (w *world) released(tag string, files github.Files) release.Release {
	w.t.Helper()
	answer := w.tag(tag, files)
	if answer.Status != release.AnswerStarted {
		w.t.Fatalf("push of %s: got %+v, want started", tag, answer)
	}
	w.settle()
	return w.record(answer.Releases[0])
}

// settle lets everything come to its end, with a sweep now and then as the schedule does.
func (w *world) settle() {
	w.t.Helper()
	for range 40 {
		active := w.active()
		if len(active) == 0 {
			w.idle()
			return
		}
		for _, rel := range active {
			name := rel.Execution
			if name == "" {
				name = rel.ID
			}
			<-w.Local.Engine.Done(name)
		}
		if len(w.active()) > 0 {
			w.in(func(ctx context.Context) {
				_ = w.Clock.Sleep(ctx, 5*time.Minute)
				_, _ = w.Local.Recovery().Sweep(ctx) // tried again
			})
		}
	}
	w.t.Fatalf("not settled: %+v", w.active())
}

// idle waits for executions that have recorded their end and still report it.
func (w *world) idle() {
	names, err := w.store.Unfinished(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		<-w.Local.Engine.Done(name)
	}
}

// read looks at the ledger from outside: what goes wrong with the tasks' calls
// does not with the test's.
func (w *world) read(f func(ctx context.Context)) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		w.table.calm = true
		defer func() { w.table.calm = false }()
		f(ctx)
	})
}

func (w *world) active() (active []release.Release) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if active, err = w.Local.Core().Ledger.Active(ctx); err != nil {
			w.t.Fatal(err)
		}
	})
	return active
}

// record is the release as the ledger has it.
func (w *world) record(id string) release.Release {
	w.t.Helper()
	var rel release.Release
	w.read(func(ctx context.Context) { rel = w.now(ctx, id) })
	return rel
}

// now is record for callers inside of the clock.
func (w *world) now(ctx context.Context, id string) release.Release {
	w.t.Helper()
	rel, err := w.Local.Core().Ledger.Release(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return rel
}

// stop ends an execution as somebody with a console does.
func (w *world) stop(ctx context.Context, id string) {
	w.t.Helper()
	if err := w.Local.Engine.Stop(ctx, id, "Stopped", "by a test"); err != nil {
		w.t.Fatal(err)
	}
}

// until waits, in the clock, for a release to be in a state.
func (w *world) until(ctx context.Context, id string, state release.State) release.Release {
	w.t.Helper()
	return w.untilTrue(ctx, id, string(state), func(rel release.Release) bool { return rel.State == state })
}

func (w *world) untilTrue(ctx context.Context, id, what string, reached func(release.Release) bool) release.Release {
	w.t.Helper()
	var rel release.Release
	for range 20_000 {
		if rel = w.now(ctx, id); reached(rel) {
			return rel
		}
		if rel.State.Ended() {
			break
		}
		_ = w.Clock.Sleep(ctx, 5*time.Second)
	}
	w.t.Fatalf("release %s is %s (%s), want %s", id, rel.State, rel.Error, what)
	return rel
}

// targets is what every function of the app runs, for comparisons.
func (w *world) targets() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, site := range demo.Sites() {
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			f, err := w.Function(site, name)
			if err != nil {
				w.t.Fatal(err)
			}
			found[site.String()+"/"+name] = describe(f)
		}
	}
	return found
}

// describe is everything of a function that a release may change.
func describe(f sim.FunctionState) string {
	var aliases []string
	for _, name := range slices.Sorted(maps.Keys(f.Aliases)) {
		alias := f.Aliases[name]
		aliases = append(aliases, fmt.Sprintf("%s=%s%v", name, alias.Version, alias.Weights))
	}
	c := f.Latest.Configuration
	return fmt.Sprintf("aliases %v, code %s, layers %v, %s %v %v", aliases, f.Latest.CodeSha256, f.Latest.Layers,
		c.Runtime, value(c.Handler), f.Latest.Environment)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// inEnvironment keeps what belongs to an environment.
func inEnvironment(targets map[string]string, environment string) map[string]string {
	kept := maps.Clone(targets)
	maps.DeleteFunc(kept, func(key, _ string) bool { return !strings.HasPrefix(key, environment+"/") })
	return kept
}

// unchanged fails the test for each target that is not as before.
func (w *world) unchanged(before map[string]string) {
	w.t.Helper()
	w.same(before, w.targets())
}

// same is unchanged for what was at another time.
func (w *world) same(before, now map[string]string) {
	w.t.Helper()
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if now[key] != before[key] {
			w.t.Errorf("%s was\n\t%s\nand is\n\t%s", key, before[key], now[key])
		}
	}
}

// writes are the calls to Lambda since a call that change something.
func (w *world) writes(since int) []sim.Call {
	return slices.DeleteFunc(slices.Clone(w.Cloud.Calls()[since:]), func(c sim.Call) bool {
		return c.Service != "lambda" || strings.HasPrefix(c.Action, "Get") || strings.HasPrefix(c.Action, "List")
	})
}

func (w *world) calls() int { return len(w.Cloud.Calls()) }

// leases are those that somebody holds.
func (w *world) leases() map[string]ledger.Lease {
	w.t.Helper()
	held := map[string]ledger.Lease{}
	w.read(func(ctx context.Context) {
		leases, err := w.Local.Core().Ledger.Leases(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, lease := range leases {
			if lease.Holder != (ledger.Holder{}) || len(lease.Waiters) > 0 {
				held[lease.Name] = lease
			}
		}
	})
	return held
}

func (w *world) live() (live []ledger.Live) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if live, err = w.Local.Core().Ledger.Live(ctx, "", ""); err != nil {
			w.t.Fatal(err)
		}
	})
	return live
}

// files are the demo's with another manifest.
func files(manifest string) github.Files {
	f := demo.Files(demo.Handler, "2.32.3")
	f["tagboat.yaml"] = github.Text(manifest)
	return f
}

// edited is the text with replacements made, each of which must apply.
func edited(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q in %q", pairs[i], text)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func machine(t testing.TB) *asl.Machine {
	t.Helper()
	m, err := app.Machine()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantState fails the test unless a release ended as wanted.
func wantState(t *testing.T, rel release.Release, want release.State) {
	t.Helper()
	if rel.State != want {
		t.Errorf("release %s ended as %s (%s), want %s", rel.ID, rel.State, rel.Error, want)
	}
}

// wantText fails the test unless a text has all the parts.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %q", part, text)
		}
	}
}
