package soak

import (
	"context"
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// callerTable is the table as one caller reaches it: any call can fail.
type callerTable struct{ c *caller }

var _ ledger.Table = callerTable{}

// Get implements [ledger.Table].
func (t callerTable) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	err = t.c.store(ctx, "Get", key, func() error {
		item, err = t.c.w.table.Get(ctx, key)
		if key.Partition == "release/"+t.c.in.Release && key.Sort == "record" {
			t.c.sawRecord = append(t.c.sawRecord, t.c.w.clock.Now())
		}
		return err
	})
	return item, err
}

// Put implements [ledger.Table].
func (t callerTable) Put(ctx context.Context, item ledger.Item) error {
	return t.c.store(ctx, "Put", item.Key, func() error {
		err := t.c.w.table.Put(ctx, item)
		if err == nil {
			t.c.w.log.add(t.c.String(), "put %s v%d", item.Key, item.Version+1)
			t.c.w.watchPut(t.c, item)
		}
		return err
	})
}

// Delete implements [ledger.Table].
func (t callerTable) Delete(ctx context.Context, key ledger.Key, version int64) error {
	return t.c.store(ctx, "Delete", key, func() error { return t.c.w.table.Delete(ctx, key, version) })
}

// Query implements [ledger.Table].
func (t callerTable) Query(ctx context.Context, partition, prefix string, page ledger.Page) (items []ledger.Item, err error) {
	err = t.c.store(ctx, "Query", ledger.Key{Partition: partition, Sort: prefix}, func() error {
		items, err = t.c.w.table.Query(ctx, partition, prefix, page)
		return err
	})
	return items, err
}

// store performs a call to the table unless a fault comes in between.
func (c *caller) store(ctx context.Context, action string, what any, perform func() error) error {
	w := c.w
	may, last := c.alive()
	if !may || ctx.Err() != nil {
		return release.Errorf(release.Transient, "table: %w", errDead)
	}
	fault := ""
	delay := time.Duration(w.d.IntN(15)) * time.Millisecond
	if w.d.chance(w.rateFor(c, w.s.rates.table)) {
		w.broke(c)
		fault = pick(w.d, "throttled", "answer lost", "slow")
		if !w.s.serve && w.d.chance(0.1) { // the process has a file; a refusal ends a release
			fault = "refused"
		}
		w.fault("table: " + fault)
		w.log.add(c.String(), "fault: %s %v is %s", action, what, fault)
		delay = w.d.between(0, slowest)
	}
	if w.clock.Sleep(ctx, delay) != nil || c.dead {
		return release.Errorf(release.Transient, "table: %w", errDead)
	}
	if refused := fault == "refused"; refused || fault == "throttled" || last && w.d.chance(0.5) {
		if last {
			c.die(fmt.Sprintf("before %s %v", action, what))
		}
		if refused && action != putEvents { // of the event bus, that passes as well
			return release.Errorf(release.Denied, "table: not authorized for now")
		}
		return release.Errorf(release.Transient, "table: request rate exceeded")
	}
	err := perform()
	if last {
		c.die(fmt.Sprintf("after %s %v", action, what))
	}
	if fault == "answer lost" || last {
		return release.Errorf(release.Transient, "table: %w", errLost)
	}
	return err
}
