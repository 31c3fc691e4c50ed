package app_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
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
	return context.WithValue(ctx, lifeKey{}, l), l
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
}

var errTable = release.Errorf(release.Transient, "the other side did not answer")

// around performs a call with its mishap.
func (m mishap) around(ctx context.Context, perform func() error) error {
	if ctx.Err() != nil {
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
	calm   bool
	onCall func(what string, reads bool) mishap
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
	return m.around(ctx, perform)
}

func (f *flakyTable) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	err = f.call(ctx, "Get "+key.String(), true, func() (err error) { item, err = f.Table.Get(ctx, key); return err })
	return item, err
}

func (f *flakyTable) Put(ctx context.Context, item ledger.Item) error {
	f.partitions[item.Partition] = true
	return f.call(ctx, "Put "+item.Key.String(), false, func() error { return f.Table.Put(ctx, item) })
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

// flakyEngine is the engine as tasks see it, of which calls can be made to fail.
type flakyEngine struct {
	app.Tokens
	app.Executions
	world *world
}

func (f *flakyEngine) call(ctx context.Context, what string, reads bool, perform func() error) error {
	var m mishap
	if f.world.onEngine != nil && ctx.Err() == nil {
		m = f.world.onEngine(what, reads)
	}
	return m.around(ctx, perform)
}

func (f *flakyEngine) Succeed(ctx context.Context, token string) error {
	if f.world.loseToken != nil && f.world.loseToken(token) {
		return nil
	}
	return f.call(ctx, "SendTaskSuccess", false, func() error { return f.Tokens.Succeed(ctx, token) })
}

func (f *flakyEngine) Fail(ctx context.Context, token, name, cause string) error {
	return f.call(ctx, "SendTaskFailure", false, func() error { return f.Tokens.Fail(ctx, token, name, cause) })
}

func (f *flakyEngine) Start(ctx context.Context, name string, input json.RawMessage) error {
	return f.call(ctx, "StartExecution", false, func() error { return f.Executions.Start(ctx, name, input) })
}

func (f *flakyEngine) Running(ctx context.Context, name string) (running bool, err error) {
	err = f.call(ctx, "DescribeExecution", true, func() (err error) { running, err = f.Executions.Running(ctx, name); return err })
	return running, err
}
