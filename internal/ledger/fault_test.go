package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

// world is all that a reader of the ledger sees, as text.
func (l *leases) world(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	var parts []any
	add := func(part any, err error) {
		t.Helper()
		ok(t, err)
		parts = append(parts, part)
	}
	add(l.List(ctx, ledger.Filter{DryRuns: true}))
	add(l.Active(ctx))
	add(l.Leases(ctx))
	add(l.Live(ctx, "", ""))
	add(l.Freezes(ctx))
	add(l.Results(ctx, l.a.Release))
	add(l.Artifacts(ctx, l.a.Release))
	add(l.Notes(ctx, l.a.Release, ""))
	text, err := json.MarshalIndent(parts, "", "  ")
	ok(t, err)
	return string(text)
}

type operation struct {
	name string
	// prepare comes before the fault, do is repeated until it succeeds and
	// answers with what the caller acts on.
	prepare func(l *leases)
	do      func(ctx context.Context, l *leases) (any, error)
}

// operations are all writes of the ledger.
func operations() []operation {
	acquire := func(h func(*leases) ledger.Holder, supersede bool) func(context.Context, *leases) (any, error) {
		return func(ctx context.Context, l *leases) (any, error) {
			held, superseded, err := l.Acquire(ctx, env, h(l), ledger.Ask{Call: ledger.Call{Token: "token"}, TTL: ttl, Supersede: supersede})
			return fmt.Sprint(held, superseded), err
		}
	}
	give := func(h func(*leases) ledger.Holder) func(context.Context, *leases) (any, error) {
		return func(ctx context.Context, l *leases) (any, error) { return l.Return(ctx, env, h(l)) }
	}
	a := func(l *leases) ledger.Holder { return l.a }
	b := func(l *leases) ledger.Holder { return l.b }
	c := func(l *leases) ledger.Holder { return l.c }
	aHolds := func(l *leases) { l.acquire(l.a, "ta", false) }
	allWant := func(l *leases) {
		aHolds(l)
		l.acquire(l.b, "tb", false)
		l.acquire(l.c, "tc", false)
	}
	dirty := func(l *leases) {
		allWant(l)
		ok(l.t, l.MarkDirty(l.t.Context(), env, l.a, "x"))
		l.end(l.t, l.a.Release, release.FailedDirty)
	}
	none := func(*leases) {}
	only := func(do func(ctx context.Context, l *leases) error) func(context.Context, *leases) (any, error) {
		return func(ctx context.Context, l *leases) (any, error) { return nil, do(ctx, l) }
	}
	site := release.Site{Environment: "dev", Account: "1", Region: "r"}
	return []operation{
		{"create a release", none, func(ctx context.Context, l *leases) (any, error) {
			rel, _, err := l.Create(ctx, request("billing", "1.0.0"))
			return rel, err
		}},
		{"end a release", none, func(ctx context.Context, l *leases) (any, error) {
			return l.Update(ctx, l.a.Release, "", func(rel *release.Release) error {
				rel.State = release.Succeeded
				return nil
			})
		}},
		{"acquire a free lease", none, acquire(a, false)},
		{"queue for a lease", aHolds, acquire(b, false)},
		{"queue in place of others", func(l *leases) { aHolds(l); l.acquire(l.b, "tb", true) }, acquire(c, true)},
		{"acquire the expired lease of an ended release", func(l *leases) {
			aHolds(l)
			l.end(l.t, l.a.Release, release.Succeeded)
			l.pass(ttl)
		}, acquire(b, false)},
		{"renew a lease", aHolds, only(func(ctx context.Context, l *leases) error { return l.Renew(ctx, env, l.a, time.Hour) })},
		{"return a lease that nobody waits for", aHolds, give(a)},
		{"return a lease that others wait for", allWant, give(a)},
		{"return a lease in place of one whose token is invalid", func(l *leases) { allWant(l); l.giveBack(l.a) }, give(b)},
		{"take a lease over", allWant, only(func(ctx context.Context, l *leases) error {
			return l.TakeOver(ctx, env, ledger.Holder{Release: l.a.Release, Execution: "recovery"}, ttl)
		})},
		{"mark a lease dirty", allWant, only(func(ctx context.Context, l *leases) error { return l.MarkDirty(ctx, env, l.a, "x") })},
		{"clear a lease", dirty, func(ctx context.Context, l *leases) (any, error) { return l.Clear(ctx, env, "fixed", "jo") }},
		{"leave a queue", allWant, give(b)},
		{"save results", none, only(func(ctx context.Context, l *leases) error {
			results, err := l.SiteResults(ctx, l.a.Release, release.PhaseUpdate, site)
			if err != nil {
				return err
			}
			for i := range 3 {
				results.Set(release.Result{Step: fmt.Sprint(i), State: release.StepDone})
				// Within a task too, a save is repeated after a failed one.
				if err := results.Save(ctx); err != nil {
					if err := results.Save(ctx); err != nil {
						return err
					}
				}
			}
			return nil
		})},
		{"put what is live", aHolds, only(func(ctx context.Context, l *leases) error {
			return l.PutLive(ctx, env, l.a, live("orders", "dev", "f", "1", start), live("orders", "prod", "f", "1", start))
		})},
		{"put an artifact", none, only(func(ctx context.Context, l *leases) error {
			return l.PutArtifact(ctx, l.a.Release, release.Artifact{Name: "code"})
		})},
		{"freeze", none, func(ctx context.Context, l *leases) (any, error) {
			return l.Freeze(ctx, ledger.Freeze{App: "orders", Until: start.Add(time.Hour), Reason: "x", By: "jo"})
		}},
		{"lift a freeze", func(l *leases) { l.freeze(l.t, "orders", "", "x") }, func(ctx context.Context, l *leases) (any, error) {
			return l.Lift(ctx, "orders", "", "jo")
		}},
		{"note something", none, only(func(ctx context.Context, l *leases) error { return l.Note(ctx, l.a.Release, "n", 1) })},
		{"claim a version", none, func(ctx context.Context, l *leases) (any, error) {
			existing, claimed, err := l.Claim(ctx, "orders", "1", release.Source{Bucket: "b", Key: "k", VersionID: "v"})
			return fmt.Sprint(existing, claimed), err
		}},
	}
}

// Each write of the ledger, with each call to the table lost or its answer lost,
// and then repeated, comes to the same end and answer as one without a fault.
func TestWhateverCallFailsRepeatingComesToTheRightEnd(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			l := newLeases(t)
			op.prepare(l)
			before := l.world(t)
			answer, err := op.do(t.Context(), l)
			ok(t, err)
			wantAnswer, wantWorld := text(t, answer), l.world(t)
			if before == wantWorld && op.name != "claim a version" {
				t.Fatal("the operation changes nothing")
			}
			for _, fault := range []ledgertest.Fault{ledgertest.Lost, ledgertest.Unanswered} {
				for call := 1; ; call++ {
					l := newLeases(t)
					op.prepare(l)
					l.table.Fail(call, fault)
					answer, err := op.do(t.Context(), l)
					if l.table.Pending() {
						break // it makes fewer calls
					}
					if err != nil {
						wantKind(t, err, release.Transient)
						answer, err = op.do(t.Context(), l)
						ok(t, err)
					}
					name := fmt.Sprintf("call %d %s", call, fault)
					want(t, name+": answer", text(t, answer), wantAnswer)
					want(t, name+": ledger", l.world(t), wantWorld)
				}
			}
		})
	}
}

func text(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	ok(t, err)
	return string(raw)
}
