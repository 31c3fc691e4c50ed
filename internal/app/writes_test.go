package app_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

// writerKey finds who writes to the table, by the name of the function's folder.
type writerKey struct{}

func writing(ctx context.Context, function string) context.Context {
	return context.WithValue(ctx, writerKey{}, strings.ToLower(function))
}

// accepted lets a function accept requests under its name.
func accepted(function string, accept func(context.Context, []release.Request) release.Answer) func(context.Context, []release.Request) release.Answer {
	return func(ctx context.Context, requests []release.Request) release.Answer {
		return accept(writing(ctx, function), requests)
	}
}

// narrowedTable lets each function write what its role allows (see
// [ledgertest.WritesOf]), in every test of the simulated world.
type narrowedTable struct {
	ledger.Table
	t *testing.T
	// used are the patterns that were of use, as "function verb pattern".
	used map[string]bool
}

func narrowed(t *testing.T, table ledger.Table) *narrowedTable {
	return &narrowedTable{Table: table, t: t, used: map[string]bool{}}
}

func (n *narrowedTable) may(ctx context.Context, verb, partition string) bool {
	function, _ := ctx.Value(writerKey{}).(string)
	writes, known := ledgertest.WritesOf(function)
	patterns := writes.Put
	if verb == "deletes" {
		patterns = writes.Delete
	}
	pattern := ledgertest.Pattern(patterns, partition)
	if known && pattern != "" {
		n.used[function+" "+verb+" "+pattern] = true
	}
	return !known || pattern != ""
}

func (n *narrowedTable) denied(ctx context.Context, verb string, key ledger.Key) error {
	return release.Errorf(release.Denied, "%s %s %q: its role does not allow it", ctx.Value(writerKey{}), verb, key)
}

// Put refuses what the role does not allow; a test fails that comes to it.
func (n *narrowedTable) Put(ctx context.Context, item ledger.Item) error {
	if !n.may(ctx, "puts", item.Partition) {
		err := n.denied(ctx, "puts", item.Key)
		n.t.Error(err)
		return err
	}
	return n.Table.Put(ctx, item)
}

// Delete refuses what the role does not allow. Whoever comes upon a release that has
// ended tries to take it off the list of those under way, and goes on without it.
func (n *narrowedTable) Delete(ctx context.Context, key ledger.Key, version int64) error {
	if !n.may(ctx, "deletes", key.Partition) {
		err := n.denied(ctx, "deletes", key)
		if key.Partition != "active" {
			n.t.Error(err)
		}
		return err
	}
	return n.Table.Delete(ctx, key, version)
}

// TestRolesWriteToTheLedgerOnlyWhereTheyHaveTo lets each function write everything
// that its role allows: what nobody writes is one permission too many.
func TestRolesWriteToTheLedgerOnlyWhereTheyHaveTo(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	w.in(func(ctx context.Context) {
		id := w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, id, 1)
		w.approve(ctx, id, "alice", true)
		w.until(ctx, id, release.Succeeded)
		_ = w.Clock.Sleep(ctx, time.Hour)
		w.watch(ctx)
	})
	drop := func(world *demo.World) {
		deps := zipped(t, map[string]string{"python/requests/__init__.py": "__version__ = '2.32.4'\n"})
		if err := world.Upload(t.Context(), "drops/orders/deps/1.2.0.zip", deps, nil); err != nil {
			t.Fatal(err)
		}
	}
	drop(w.World)
	looking := newMissing(t, refusing(t))
	looking.look(2)
	looking.silent()
	looking.tags("v1.1.0")
	drop(looking.World)
	looking.look(6)
	used := maps.Clone(w.table.Table.(*narrowedTable).used)
	maps.Copy(used, looking.table.Table.(*narrowedTable).used)
	for _, function := range []string{"admit", "approval", "artifact", "manifest", "missed", "report", "snapshot", "webhook"} {
		writes, known := ledgertest.WritesOf(function)
		if !known {
			t.Errorf("%s may write everything", function)
		}
		for verb, patterns := range map[string][]string{"puts": writes.Put, "deletes": writes.Delete} {
			for _, pattern := range patterns {
				if what := function + " " + verb + " " + pattern; !used[what] {
					t.Errorf("%q was of no use", what)
				}
			}
		}
	}
}
