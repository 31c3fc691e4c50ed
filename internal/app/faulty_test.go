package app_test

import (
	"context"
	"slices"
	"strings"

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
// that it did and its answer was lost. stop ends the execution there.
type fault struct {
	before, after error
	stop          bool
}

// killed is a task's death by which the state machine knows a name.
type killed string

func (k killed) Error() string     { return "the task was killed" }
func (k killed) ErrorName() string { return string(k) }

const (
	retriable = killed("Sandbox.Timedout")
	final     = killed("Runtime.OutOfMemory")
)

// flakyTable is a ledger's table of which calls can be made to fail.
type flakyTable struct {
	ledger.Table
	calls  int
	calm   bool
	onCall func(n int) tableFault
}

type tableFault int

const (
	tableFine tableFault = iota
	tableLost
	tableUnanswered
)

var errTable = release.Errorf(release.Transient, "the table did not answer")

func (f *flakyTable) next() tableFault {
	if f.calm || f.onCall == nil {
		return tableFine
	}
	f.calls++
	return f.onCall(f.calls)
}

func faulty(f tableFault, call func() error) error {
	if f == tableLost {
		return errTable
	}
	err := call()
	if f == tableUnanswered {
		return errTable
	}
	return err
}

func (f *flakyTable) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	err = faulty(f.next(), func() (err error) { item, err = f.Table.Get(ctx, key); return err })
	return item, err
}

func (f *flakyTable) Put(ctx context.Context, item ledger.Item) error {
	return faulty(f.next(), func() error { return f.Table.Put(ctx, item) })
}

func (f *flakyTable) Delete(ctx context.Context, key ledger.Key, version int64) error {
	return faulty(f.next(), func() error { return f.Table.Delete(ctx, key, version) })
}

func (f *flakyTable) Query(ctx context.Context, partition, prefix string, page ledger.Page) (items []ledger.Item, err error) {
	err = faulty(f.next(), func() (err error) { items, err = f.Table.Query(ctx, partition, prefix, page); return err })
	return items, err
}
