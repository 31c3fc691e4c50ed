package ledgertest

import (
	"context"
	"sync"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Fault is what goes wrong with a call.
type Fault int

// The two ways in which a call over a network fails.
const (
	// Lost: the call does not get there.
	Lost Fault = iota + 1
	// Unanswered: the call is carried out and its answer is lost.
	Unanswered
)

// String names the fault.
func (f Fault) String() string {
	switch f {
	case Lost:
		return "lost"
	case Unanswered:
		return "done but unanswered"
	}
	return "none"
}

// Flaky is a table of which one call fails, with an error of kind [release.Transient].
type Flaky struct {
	ledger.Table
	mu    sync.Mutex
	calls int
	at    int
	fault Fault
}

var _ ledger.Table = (*Flaky)(nil)

// Fail makes the n-th call from now on fail, counted from 1.
func (f *Flaky) Fail(n int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.at, f.fault = 0, n, fault
}

// Pending tells whether the fault is still to come.
func (f *Flaky) Pending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls < f.at
}

func (f *Flaky) next() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.calls == f.at {
		return f.fault
	}
	return 0
}

func (f *Flaky) call(do func() error) error {
	fault := f.next()
	if fault == Lost {
		return release.Errorf(release.Transient, "injected: the call was lost")
	}
	err := do()
	if fault == Unanswered {
		return release.Errorf(release.Transient, "injected: the answer was lost")
	}
	return err
}

// Get is the table's, or fails.
func (f *Flaky) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	err = f.call(func() error {
		item, err = f.Table.Get(ctx, key)
		return err
	})
	return item, err
}

// Put is the table's, or fails.
func (f *Flaky) Put(ctx context.Context, item ledger.Item) error {
	return f.call(func() error { return f.Table.Put(ctx, item) })
}

// Delete is the table's, or fails.
func (f *Flaky) Delete(ctx context.Context, key ledger.Key, version int64) error {
	return f.call(func() error { return f.Table.Delete(ctx, key, version) })
}

// Query is the table's, or fails.
func (f *Flaky) Query(ctx context.Context, partition, prefix string, page ledger.Page) (items []ledger.Item, err error) {
	err = f.call(func() error {
		items, err = f.Table.Query(ctx, partition, prefix, page)
		return err
	})
	return items, err
}
