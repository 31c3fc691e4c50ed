package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// task is one invocation of a task.
type task struct {
	seq      int
	function string
	in       app.Input
}

// String names the task by what it is to do.
func (k task) String() string {
	parts := []string{k.function, k.in.Do, string(k.in.Phase), k.in.Environment, k.in.Artifact}
	if k.in.Site != (release.Site{}) {
		parts = append(parts, k.in.Site.String())
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// fault is what goes wrong with a task: before means that it did not run, after
// that it did and its answer was lost. stop ends the execution there; again
// delivers it once more, after a while.
type fault struct {
	before, after error
	stop, again   bool
	late          time.Duration
	// skew is how far the clock of the task is off; do happens before it begins.
	skew time.Duration
	do   func()
}

// killed is a task's death by which the state machine knows a name.
type killed string

func (k killed) Error() string     { return "the task was killed" }
func (k killed) ErrorName() string { return string(k) }

const (
	retriable = killed("Sandbox.Timedout")
	final     = killed("Runtime.OutOfMemory")
)

// The Lambdas' time limits (template.yaml).
const (
	taskLimit  = 2 * time.Minute
	stageLimit = 10 * time.Minute
)

// life is that of one invocation of a task: nothing that it does after its end
// takes effect, and its answer is lost.
type life struct {
	end    context.CancelFunc
	killed bool
}

type lifeKey struct{}

// bear begins the life of an invocation, which ends at the time limit.
func (w *world) bear(ctx context.Context, function string) (context.Context, *life) {
	if w.detached {
		ctx = context.WithoutCancel(ctx)
	}
	l := &life{}
	ctx, l.end = context.WithCancel(ctx)
	limit := taskLimit
	if function == "Stage" {
		limit = stageLimit
	}
	w.Clock.Go(func() {
		if w.Clock.Sleep(ctx, limit) == nil {
			l.kill()
		}
	})
	return context.WithValue(writing(ctx, function), lifeKey{}, l), l
}

func (l *life) kill() {
	l.killed = true
	l.end()
}

// kill kills the task that makes a call, if one makes it.
func kill(ctx context.Context) {
	if l, ok := ctx.Value(lifeKey{}).(*life); ok {
		l.kill()
	}
}

// mishap is what happens to a call of the table or of the engine: before means
// that it was not performed, after that it was and its answer is lost. The task
// that makes it can die of it.
type mishap struct {
	before, after error
	kill          bool
	// delay passes before the call is performed.
	delay time.Duration
	// stale answers a read as it was before the last change.
	stale bool
}

var errTable = release.Errorf(release.Transient, "the other side did not answer")

// around performs a call with its mishap.
func (m mishap) around(ctx context.Context, c clock.Clock, perform func() error) error {
	if ctx.Err() != nil || m.delay > 0 && c.Sleep(ctx, m.delay) != nil {
		return errTable
	}
	if m.before != nil {
		m.strike(ctx)
		return m.before
	}
	err := perform()
	if m.after == nil {
		return err
	}
	m.strike(ctx)
	return m.after
}

func (m mishap) strike(ctx context.Context) {
	if m.kill {
		kill(ctx)
	}
}

// flakyTable is a ledger's table of which calls can be made to fail.
type flakyTable struct {
	ledger.Table
	clock  clock.Clock
	calm   bool
	onCall func(what string, reads bool) mishap
	// onPut sees each item that is written.
	onPut func(ledger.Item)
	// partitions are those that were written to.
	partitions map[string]bool
}

func (f *flakyTable) call(ctx context.Context, what string, reads bool, perform func() error) error {
	var m mishap
	if f.calm {
		return perform()
	}
	if f.onCall != nil && ctx.Err() == nil {
		m = f.onCall(what, reads)
	}
	return m.around(ctx, f.clock, perform)
}

func (f *flakyTable) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	err = f.call(ctx, "Get "+key.String(), true, func() (err error) { item, err = f.Table.Get(ctx, key); return err })
	return item, err
}

func (f *flakyTable) Put(ctx context.Context, item ledger.Item) error {
	f.partitions[item.Partition] = true
	return f.call(ctx, "Put "+item.Key.String(), false, func() error {
		err := f.Table.Put(ctx, item)
		if err == nil && f.onPut != nil {
			f.onPut(item)
		}
		return err
	})
}

func (f *flakyTable) Delete(ctx context.Context, key ledger.Key, version int64) error {
	return f.call(ctx, "Delete "+key.String(), false, func() error { return f.Table.Delete(ctx, key, version) })
}

func (f *flakyTable) Query(ctx context.Context, partition, prefix string, page ledger.Page) (items []ledger.Item, err error) {
	err = f.call(ctx, "Query "+partition+" "+prefix, true, func() (err error) {
		items, err = f.Table.Query(ctx, partition, prefix, page)
		return err
	})
	return items, err
}

// drop removes what has expired, as DynamoDB does some time.
func (f *flakyTable) drop(ctx context.Context) error {
	for partition := range f.partitions {
		items, err := f.Table.Query(ctx, partition, "", ledger.Page{})
		if err != nil {
			return err
		}
		for _, item := range items {
			if item.Expires.IsZero() || f.clock.Now().Before(item.Expires) {
				continue
			}
			if err := f.Table.Delete(ctx, item.Key, item.Version); err != nil {
				return err
			}
		}
	}
	return nil
}

// flakyEngine is the engine as tasks see it, of which calls can be made to fail.
type flakyEngine struct {
	app.Tokens
	app.Executions
	world *world
}

func (f *flakyEngine) call(ctx context.Context, what string, perform func() error) error {
	return f.mishap(ctx, what, false).around(ctx, f.world.Clock, perform)
}

func (f *flakyEngine) mishap(ctx context.Context, what string, reads bool) (m mishap) {
	if f.world.onEngine != nil && ctx.Err() == nil {
		m = f.world.onEngine(what, reads)
	}
	return m
}

func (f *flakyEngine) Succeed(ctx context.Context, token string) error {
	if f.world.loseToken != nil && f.world.loseToken(token) {
		return nil
	}
	return f.call(ctx, "SendTaskSuccess", func() error { return f.Tokens.Succeed(ctx, token) })
}

func (f *flakyEngine) Fail(ctx context.Context, token, name, cause string) error {
	return f.call(ctx, "SendTaskFailure", func() error { return f.Tokens.Fail(ctx, token, name, cause) })
}

func (f *flakyEngine) Start(ctx context.Context, name string, input json.RawMessage) error {
	return f.call(ctx, "StartExecution", func() error { return f.Executions.Start(ctx, name, input) })
}

// Running can be stale, as what Step Functions says of an execution that has just begun, or
// ended, is (API reference, DescribeExecution).
func (f *flakyEngine) Running(ctx context.Context, name string) (running bool, err error) {
	m := f.mishap(ctx, "DescribeExecution", true)
	err = m.around(ctx, f.world.Clock, func() (err error) { running, err = f.Executions.Running(ctx, name); return err })
	if _, unknown := f.world.Local.Engine.Execution(ctx, name); m.stale && unknown == nil {
		running = !running // it was not there yet, or had not ended
	}
	return running, err
}

// flakyStore keeps executions; any write can fail. A write that cannot be made ends
// the run, and the process takes it up again after a while.
type flakyStore struct {
	asl.Store
	onSave func(what string) mishap
}

// Create implements [asl.Store].
func (f *flakyStore) Create(ctx context.Context, c asl.Checkpoint) error {
	return f.write("Create", func() error { return f.Store.Create(ctx, c) })
}

// Save implements [asl.Store].
func (f *flakyStore) Save(ctx context.Context, c asl.Checkpoint) error {
	return f.write("Save "+c.Execution.State, func() error { return f.Store.Save(ctx, c) })
}

func (f *flakyStore) write(what string, perform func() error) error {
	var m mishap
	if f.onSave != nil {
		m = f.onSave(what)
	}
	if m.before != nil {
		return m.before
	}
	if err := perform(); err != nil {
		return err
	}
	return m.after
}

// listener hears what is announced; any announcement can fail.
type listener struct {
	w          *world
	onAnnounce func(what string) mishap
	heard      []heard
}

type heard struct {
	what  report.Happening
	event report.Event
}

var _ app.Announcer = (*listener)(nil)

// Announce implements [app.Announcer].
func (l *listener) Announce(ctx context.Context, happening report.Happening, event report.Event) error {
	var m mishap
	if l.onAnnounce != nil {
		m = l.onAnnounce(string(happening))
	}
	return m.around(ctx, l.w.Clock, func() error {
		l.heard = append(l.heard, heard{happening, event})
		return nil
	})
}

// flakyDownloads fetch the archives of functions; any fetch can fail.
type flakyDownloads struct {
	http.RoundTripper
	clock   clock.Clock
	onFetch func(req *http.Request) mishap
}

// RoundTrip implements [http.RoundTripper].
func (f *flakyDownloads) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	var m mishap
	if f.onFetch != nil {
		m = f.onFetch(req)
	}
	err = m.around(req.Context(), f.clock, func() (err error) { resp, err = f.RoundTripper.RoundTrip(req); return err })
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// skewed is a clock that is off.
type skewed struct {
	clock.Clock
	by time.Duration
}

// Now implements [clock.Clock].
func (s skewed) Now() time.Time { return s.Clock.Now().Add(s.by) }
