package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	env = "env/orders/prod"
	ttl = 10 * time.Minute
)

// leases is a book with releases that want a lease.
type leases struct {
	*book
	t *testing.T
	// a, b and c are releases with their executions.
	a, b, c ledger.Holder
}

func newLeases(t *testing.T) *leases {
	l := &leases{book: newBook(), t: t}
	for i, h := range []*ledger.Holder{&l.a, &l.b, &l.c} {
		rel := l.create(t, request("orders", fmt.Sprintf("1.0.%d", i)))
		*h = ledger.Holder{Release: rel.ID, Execution: rel.ID}
	}
	return l
}

// acquire makes a second pass, so that the order in time is that of the calls.
func (l *leases) acquire(h ledger.Holder, token string, supersede bool) (held bool, superseded []ledger.Waiter) {
	l.t.Helper()
	held, superseded, err := l.Acquire(l.t.Context(), env, h, ledger.Ask{Call: ledger.Call{Token: token}, TTL: ttl, Supersede: supersede})
	ok(l.t, err)
	l.pass(time.Second)
	return held, superseded
}

func (l *leases) wantHeld(h ledger.Holder) {
	l.t.Helper()
	if err := l.Check(l.t.Context(), env, h, 0); err != nil {
		l.t.Errorf("want the lease held by %q: %v", h.Release, err)
	}
}

// wantQueue checks who waits, as release=token.
func (l *leases) wantQueue(waiters ...string) {
	l.t.Helper()
	got := []string{}
	all, err := l.Leases(l.t.Context())
	ok(l.t, err)
	for _, lease := range all {
		for _, w := range lease.Waiters {
			got = append(got, w.Release+"="+w.Token)
		}
	}
	want(l.t, "queue", got, append([]string{}, waiters...))
}

// giveBack returns the lease and tells whose token is to be sent.
func (l *leases) giveBack(h ledger.Holder) string {
	l.t.Helper()
	next, err := l.Return(l.t.Context(), env, h)
	ok(l.t, err)
	if next == nil {
		return ""
	}
	return next.Release + "=" + next.Token
}

func (l *leases) lease() ledger.Lease {
	l.t.Helper()
	all, err := l.Leases(l.t.Context())
	ok(l.t, err)
	if len(all) != 1 {
		l.t.Fatalf("%d leases, want 1: %+v", len(all), all)
	}
	return all[0]
}

func TestAFreeLeaseIsHeldAtOnce(t *testing.T) {
	l := newLeases(t)
	held, _ := l.acquire(l.a, "ta", false)
	want(t, "held", held, true)
	l.wantHeld(l.a)
	got := l.lease()
	want(t, "expires", got.Expires, start.Add(ttl))
	want(t, "token to send", got.Token, "")
}

func TestALeaseThatIsHeldIsWaitedForInOrder(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	for _, h := range []ledger.Holder{l.c, l.b} {
		held, _ := l.acquire(h, "t", false)
		want(t, "held", held, false)
	}
	l.wantQueue(l.c.Release+"=t", l.b.Release+"=t")
	l.wantHeld(l.a)
	want(t, "after a", l.giveBack(l.a), l.c.Release+"=t")
	l.wantHeld(l.c)
	want(t, "after c", l.giveBack(l.c), l.b.Release+"=t")
	want(t, "after b", l.giveBack(l.b), "")
	all, err := l.Leases(t.Context())
	ok(t, err)
	want(t, "leases", len(all), 0)
}

func TestOfThoseWhoWaitTheReleaseThatWasCreatedFirstGoesFirst(t *testing.T) {
	l := newLeases(t)
	var later [3]ledger.Holder
	for i := range later {
		l.pass(time.Second)
		rel := l.create(t, request("orders", fmt.Sprintf("2.0.%d", i)))
		later[i] = ledger.Holder{Release: rel.ID, Execution: rel.ID}
	}
	l.acquire(later[1], "holds", false)
	for _, h := range []ledger.Holder{later[2], l.b, later[0], l.a} {
		l.acquire(h, "t", false)
	}
	l.wantQueue(l.b.Release+"=t", l.a.Release+"=t", later[0].Release+"=t", later[2].Release+"=t")
	l.acquire(later[0], "again", false)
	l.wantQueue(l.b.Release+"=t", l.a.Release+"=t", later[0].Release+"=again", later[2].Release+"=t")
	_, superseded := l.acquire(later[2], "again", true)
	want(t, "superseded", len(superseded), 3)
	l.wantQueue(later[2].Release + "=again")
}

func TestWithoutATokenNobodyWaits(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	held, _ := l.acquire(l.b, "", true)
	want(t, "held", held, false)
	l.wantQueue()
	want(t, "after a", l.giveBack(l.a), "")
	held, _ = l.acquire(l.b, "", false)
	want(t, "held later", held, true)
}

func TestWhoAcquiresAgainKeepsItsPlaceWithTheNewToken(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "old", false)
	l.acquire(l.c, "tc", false)
	l.acquire(l.b, "new", false)
	l.wantQueue(l.b.Release+"=new", l.c.Release+"=tc")
	want(t, "waits since", l.lease().Waiters[0].Since, start.Add(time.Second))
}

func TestTheHolderThatAcquiresAgainStillHolds(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	l.pass(ttl) // also when it has expired
	again := ledger.Holder{Release: l.a.Release, Execution: "another"}
	held, _ := l.acquire(again, "ta2", false)
	want(t, "held", held, true)
	l.wantHeld(again)
	wantKind(t, l.Check(t.Context(), env, l.a, 0), release.Conflict, again.Release, "another")
	l.wantQueue(l.b.Release + "=tb")
}

func TestAHandedOverLeaseIsConfirmedByRenewingIt(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	l.giveBack(l.a)
	want(t, "token to send", l.lease().Token, "tb")
	l.pass(time.Minute)
	ok(t, l.Renew(t.Context(), env, l.b, ttl))
	want(t, "token to send", l.lease().Token, "")
	want(t, "expires", l.lease().Expires, l.time.Now().Add(ttl))
}

func TestAHandedOverLeaseHasTheTimeThatTheWaiterAskedFor(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: "tb"}, TTL: time.Hour})
	ok(t, err)
	l.pass(time.Minute)
	l.giveBack(l.a)
	want(t, "expires", l.lease().Expires, l.time.Now().Add(time.Hour))
}

func TestReturningAgainNamesTheSameNextUntilItHasConfirmed(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	for range 2 {
		want(t, "next", l.giveBack(l.a), l.b.Release+"=tb")
	}
	ok(t, l.Renew(t.Context(), env, l.b, ttl))
	want(t, "next after it confirmed", l.giveBack(l.a), "")
	l.wantHeld(l.b)
}

func TestALeaseWhoseTokenIsInvalidGoesToTheFollowing(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	l.acquire(l.c, "tc", false)
	l.giveBack(l.a)
	want(t, "following", l.giveBack(l.b), l.c.Release+"=tc")
	l.wantHeld(l.c)
	want(t, "repeated by the first", l.giveBack(l.a), l.c.Release+"=tc")
	wantKind(t, l.Renew(t.Context(), env, l.b, ttl), release.Conflict, l.c.Release)
}

func TestReturningWhatIsNotHeldChangesNothing(t *testing.T) {
	l := newLeases(t)
	want(t, "of a free lease", l.giveBack(l.b), "")
	l.acquire(l.a, "ta", false)
	want(t, "of another's lease", l.giveBack(l.b), "")
	l.wantHeld(l.a)
}

func TestWhoReturnsDoesNotWaitAnyMore(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	l.acquire(l.c, "tc", false)
	for range 2 {
		want(t, "next", l.giveBack(l.b), "")
	}
	l.wantQueue(l.c.Release + "=tc")
	want(t, "after a", l.giveBack(l.a), l.c.Release+"=tc")
}

func TestADeadExecutionCannotReturnWhatAnotherTookOver(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	recovery := ledger.Holder{Release: l.a.Release, Execution: "recovery"}
	ok(t, l.TakeOver(t.Context(), env, recovery, ttl))
	_, err := l.Return(t.Context(), env, l.a)
	wantKind(t, err, release.Conflict, "recovery")
	l.wantHeld(recovery)
}

func TestANewerReleaseSupersedesThoseThatWait(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", true)
	l.acquire(l.b, "tb", true)
	held, superseded := l.acquire(l.c, "tc", true)
	want(t, "held", held, false)
	if len(superseded) != 1 || superseded[0].Holder != l.b || superseded[0].Token != "tb" {
		t.Errorf("superseded: got %+v, want %q", superseded, l.b.Release)
	}
	l.wantHeld(l.a)
	l.wantQueue(l.c.Release + "=tc")

	_, again := l.acquire(l.c, "tc2", true)
	want(t, "superseded, asked again", again, superseded)
	_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: "tb2"}, TTL: ttl, Supersede: true})
	wantKind(t, err, release.Conflict, l.b.Release, l.c.Release)
	if !errors.Is(err, ledger.ErrSuperseded) {
		t.Errorf("error %v, want %v in its chain", err, ledger.ErrSuperseded)
	}
	want(t, "next", l.giveBack(l.b), "")
	_, again = l.acquire(l.c, "tc2", true)
	want(t, "superseded, after it left", len(again), 0)
}

func TestASupersededReleaseIsForgottenWhenNoExecutionCanAskAnyMore(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", true)
	l.acquire(l.b, "tb", true)
	l.acquire(l.c, "tc", true)
	want(t, "superseded", len(l.lease().Superseded), 1)
	l.pass(31 * 24 * time.Hour)
	l.acquire(l.c, "tc2", true)
	want(t, "superseded a month later", len(l.lease().Superseded), 0)
}

// TestANewerVersionThatWaitsIsSupersededByNoOlderOne lets an older version ask later, or once more.
func TestANewerVersionThatWaitsIsSupersededByNoOlderOne(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.c, "tc", true)
	l.pass(time.Second)
	late := l.create(t, request("orders", "0.9.0"))
	for _, older := range []ledger.Holder{l.b, {Release: late.ID, Execution: late.ID}} {
		_, _, err := l.Acquire(t.Context(), env, older, ledger.Ask{Call: ledger.Call{Token: "t"}, TTL: ttl, Supersede: true})
		wantKind(t, err, release.Conflict, l.c.Release)
		if !errors.Is(err, ledger.ErrSuperseded) {
			t.Errorf("error %v, want %v in its chain", err, ledger.ErrSuperseded)
		}
		l.wantQueue(l.c.Release + "=tc")
	}
	l.acquire(l.b, "tb", false)
	_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: "tb2"}, TTL: ttl, Supersede: true})
	wantKind(t, err, release.Conflict, l.c.Release)
	l.wantQueue(l.c.Release+"=tc", l.b.Release+"=tb")
}

// TestWhoIsHaltedSupersedesNobody although it is newer: it waits no more.
func TestWhoIsHaltedSupersedesNobody(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.c, "tc", true)
	_, err := l.Update(t.Context(), l.c.Release, "", func(rel *release.Release) error {
		rel.Halted = &release.Halt{By: "jo", Reason: "x", At: start}
		return nil
	})
	ok(t, err)
	_, superseded := l.acquire(l.b, "tb", true)
	want(t, "superseded", len(superseded), 0)
	l.wantQueue(l.c.Release+"=tc", l.b.Release+"=tb")
}

func TestAnExpiredLeaseIsOnlyGrantedWhenItsReleaseHasEndedClean(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		end   release.State
		held  bool
	}{
		{"a release that runs on", 2 * ttl, release.Running, false},
		{"a release that is rolling back", 2 * ttl, release.RollingBack, false},
		{"an ended release before the lease expired", ttl / 2, release.Succeeded, false},
		{"a release that succeeded", 2 * ttl, release.Succeeded, true},
		{"a release that failed clean", 2 * ttl, release.FailedClean, true},
		{"a release that ended dirty", 2 * ttl, release.FailedDirty, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLeases(t)
			l.acquire(l.a, "ta", false)
			l.end(t, l.a.Release, test.end)
			l.pass(test.after)
			held, _ := l.acquire(l.b, "tb", false)
			want(t, "held", held, test.held)
			if test.held {
				l.wantHeld(l.b)
				l.wantQueue()
			} else {
				l.wantQueue(l.b.Release + "=tb")
			}
		})
	}
}

func TestWhoWaitedForALeaseOfOneCallKeepsItDirty(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "", false)
	l.acquire(l.b, "tb", false)
	want(t, "after the call", l.giveBack(l.a), l.b.Release+"=tb")
	l.end(t, l.b.Release, release.FailedDirty)
	_, err := l.Return(t.Context(), env, l.b)
	wantKind(t, err, release.Conflict, l.b.Release)
	l.pass(2 * ttl)
	held, _ := l.acquire(l.c, "tc", false)
	want(t, "held by another", held, false)
}

func TestAnExpiredLeaseGoesToTheFirstInTheQueue(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	l.end(t, l.a.Release, release.Succeeded)
	l.pass(ttl)
	held, _ := l.acquire(l.c, "tc", false)
	want(t, "held by the newcomer", held, false)
	want(t, "handed on by the sweep", l.giveBack(l.lease().Holder), l.b.Release+"=tb")
}

func TestALeaseIsRenewedByItsHolderAlone(t *testing.T) {
	l := newLeases(t)
	wantKind(t, l.Renew(t.Context(), env, l.a, ttl), release.Conflict, env, "nobody")
	l.acquire(l.a, "ta", false)
	l.pass(2 * ttl)
	ok(t, l.Renew(t.Context(), env, l.a, ttl))
	l.wantHeld(l.a)
	wantKind(t, l.Renew(t.Context(), env, l.b, ttl), release.Conflict, l.a.Release, l.b.Release)
	l.end(t, l.a.Release, release.Succeeded)
	l.pass(ttl)
	l.acquire(l.b, "tb", false)
	wantKind(t, l.Renew(t.Context(), env, l.a, ttl), release.Conflict, l.b.Release)
}

func TestALeaseIsCheckedWithAMarginBeforeItExpires(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false) // a second ago
	ok(t, l.Check(t.Context(), env, l.a, ttl-2*time.Second))
	wantKind(t, l.Check(t.Context(), env, l.a, ttl-time.Second), release.Conflict, l.a.Release, start.Add(ttl).Format(time.RFC3339))
	wantKind(t, l.Check(t.Context(), env, l.b, 0), release.Conflict, l.a.Release, l.b.Release, start.Add(ttl).Format(time.RFC3339))
	wantKind(t, l.Check(t.Context(), "env/orders/dev", l.a, 0), release.Conflict, "env/orders/dev", "nobody")
}

func TestARecoveryTakesOverTheLeaseOfItsRelease(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	l.pass(2 * ttl)
	recovery := ledger.Holder{Release: l.a.Release, Execution: "recovery"}
	for range 2 {
		ok(t, l.TakeOver(t.Context(), env, recovery, ttl))
		l.wantHeld(recovery)
	}
	wantKind(t, l.Check(t.Context(), env, l.a, 0), release.Conflict, "recovery")
	want(t, "next", l.giveBack(recovery), l.b.Release+"=tb")
}

func TestARecoveryDoesNotTakeWhatItsReleaseDidNotHold(t *testing.T) {
	l := newLeases(t)
	recovery := ledger.Holder{Release: l.b.Release, Execution: "recovery"}
	ok(t, l.TakeOver(t.Context(), env, recovery, ttl))
	wantKind(t, l.Check(t.Context(), env, recovery, 0), release.Conflict, "nobody")
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	ok(t, l.TakeOver(t.Context(), env, recovery, ttl))
	l.wantHeld(l.a)
	l.wantQueue() // and the dead execution's place is gone
}

func TestADirtyLeaseIsKeptUntilItIsCleared(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	ok(t, l.MarkDirty(t.Context(), env, l.a, "function orders-api was not restored"))
	_, err := l.Clear(t.Context(), env, "fixed", "jo")
	wantKind(t, err, release.Conflict, "not ended")
	l.end(t, l.a.Release, release.FailedDirty)
	l.pass(2 * ttl)

	held, _ := l.acquire(l.b, "tb", false)
	want(t, "held", held, false)
	_, err = l.Return(t.Context(), env, l.a)
	wantKind(t, err, release.Conflict, "orders-api was not restored")
	want(t, "reason", l.lease().Dirty, "function orders-api was not restored")

	for range 2 {
		next, err := l.Clear(t.Context(), env, "fixed", "jo")
		ok(t, err)
		if next == nil || next.Holder != l.b || next.Token != "tb" {
			t.Fatalf("next is %+v, want %q", next, l.b.Release)
		}
	}
	l.wantHeld(l.b)
	cleared := l.lease().Cleared
	if cleared == nil || cleared.Release != l.a.Release || cleared.By != "jo" || cleared.Reason != "fixed" {
		t.Errorf("cleared: got %+v", cleared)
	}
	_, err = l.Clear(t.Context(), env, "fixed", "somebody else")
	wantKind(t, err, release.Conflict)
}

func TestADirtyEndWhoseLeaseIsNotMarkedKeepsItToo(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.end(t, l.a.Release, release.FailedDirty)
	l.pass(2 * ttl)
	_, err := l.Return(t.Context(), env, l.a)
	wantKind(t, err, release.Conflict, l.a.Release)
	next, err := l.Clear(t.Context(), env, "fixed", "jo")
	ok(t, err)
	if next != nil {
		t.Errorf("next is %+v, want nobody", next)
	}
	held, _ := l.acquire(l.b, "tb", false)
	want(t, "held", held, true)
}

func TestALeaseForOneCallIsNotKeptByADirtyRelease(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "", false)
	l.end(t, l.a.Release, release.FailedDirty)
	held, _ := l.acquire(l.b, "", false)
	want(t, "held before it expires", held, false)
	_, err := l.Return(t.Context(), env, l.a)
	ok(t, err)
	held, _ = l.acquire(l.b, "", false)
	want(t, "held when it was given back", held, true)

	l.end(t, l.b.Release, release.FailedDirty)
	l.pass(2 * ttl)
	held, _ = l.acquire(l.c, "", false)
	want(t, "held when it expired", held, true)
}

func TestACleanLeaseCannotBeCleared(t *testing.T) {
	l := newLeases(t)
	_, err := l.Clear(t.Context(), env, "fixed", "jo")
	wantKind(t, err, release.Conflict, "nobody holds it")
	l.acquire(l.a, "ta", false)
	l.end(t, l.a.Release, release.FailedClean)
	_, err = l.Clear(t.Context(), env, "fixed", "jo")
	wantKind(t, err, release.Conflict, "not dirty")
}

func TestARecoveryOfAReleaseThatDiedBeforeItsDirtyEndDecidesAnew(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	ok(t, l.MarkDirty(t.Context(), env, l.a, "half done"))
	recovery := ledger.Holder{Release: l.a.Release, Execution: "recovery"}
	ok(t, l.TakeOver(t.Context(), env, recovery, ttl))
	want(t, "next", l.giveBack(recovery), "")

	l.acquire(l.b, "tb", false)
	ok(t, l.MarkDirty(t.Context(), env, l.b, "half done"))
	l.end(t, l.b.Release, release.FailedDirty)
	recovery = ledger.Holder{Release: l.b.Release, Execution: "recovery"}
	wantKind(t, l.TakeOver(t.Context(), env, recovery, ttl), release.Conflict, "half done")
}

func TestOnlyTheHolderMarksALeaseDirty(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	wantKind(t, l.MarkDirty(t.Context(), env, l.b, "x"), release.Conflict, l.a.Release)
	ok(t, l.MarkDirty(t.Context(), env, l.a, ""))
	if l.lease().Dirty == "" {
		t.Error("a mark without a reason is no mark")
	}
}

// Many releases want one lease at the same time; each gets it once, alone, and nobody is forgotten.
func TestOfManyReleasesOneAtATimeHoldsTheLease(t *testing.T) {
	const n = 24
	l := ledger.New(ledger.NewMemoryTable(), clock.System{})
	tokens := map[string]chan struct{}{}
	for i := range n {
		tokens[fmt.Sprint("token", i)] = make(chan struct{}, 1)
	}
	var holding, turns atomic.Int32
	run := func(i int) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		h := ledger.Holder{Release: fmt.Sprint("release", i), Execution: "e"}
		token := fmt.Sprint("token", i)
		held, _, err := l.Acquire(ctx, env, h, ledger.Ask{Call: ledger.Call{Token: token}, TTL: time.Hour})
		if err != nil {
			return err
		}
		if !held {
			select {
			case <-tokens[token]:
			case <-ctx.Done():
				return fmt.Errorf("%s was never told: %w", h.Release, ctx.Err())
			}
		}
		if holding.Add(1) != 1 {
			return fmt.Errorf("%s is not alone", h.Release)
		}
		turns.Add(1)
		if err := errors.Join(l.Renew(ctx, env, h, time.Hour), l.Check(ctx, env, h, time.Minute)); err != nil {
			return err
		}
		holding.Add(-1)
		next, err := l.Return(ctx, env, h)
		if next != nil {
			tokens[next.Token] <- struct{}{}
		}
		return err
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := run(i); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want(t, "turns", turns.Load(), n)
	left, err := l.Leases(t.Context())
	ok(t, err)
	want(t, "leases", len(left), 0)
}

func TestAnAttemptThatIsLateIsRefused(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	attempt := func(n int64) error {
		_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: fmt.Sprint("tb", n), Attempt: n}, TTL: ttl})
		return err
	}
	ok(t, attempt(1))
	ok(t, attempt(2))
	if err := attempt(1); release.KindOf(err) != release.Conflict {
		t.Errorf("the first attempt after the second, while it waits: %v, want a conflict", err)
	}
	next, err := l.Return(t.Context(), env, l.a)
	ok(t, err)
	if next == nil || next.Token != "tb2" {
		t.Fatalf("next is %+v, want the token of the second attempt", next)
	}
	if err := attempt(1); release.KindOf(err) != release.Conflict {
		t.Errorf("the first attempt after the lease was handed over: %v, want a conflict", err)
	}
	leases, err := l.Leases(t.Context())
	ok(t, err)
	if len(leases) != 1 || leases[0].Token != "tb2" {
		t.Errorf("the leases are %+v, want one that keeps its token", leases)
	}
	ok(t, attempt(2))
}

func TestAReturnThatIsLateIsRefused(t *testing.T) {
	acquire := func(l *leases, h ledger.Holder, attempt int64) bool {
		held, _, err := l.Acquire(t.Context(), env, h, ledger.Ask{Call: ledger.Call{Token: fmt.Sprint("t", attempt), Attempt: attempt}, TTL: ttl})
		ok(t, err)
		l.pass(time.Second)
		return held
	}
	giveBack := func(l *leases, h ledger.Holder, attempt int64) error {
		_, err := l.ReturnBy(t.Context(), env, h, attempt)
		return err
	}
	tests := map[string]struct {
		// since is what happened after b acquired by attempt 1 and returned by attempt 2.
		since func(l *leases)
		late  bool
		check func(l *leases)
	}{
		"it is repeated":        {func(*leases) {}, false, func(l *leases) { want(t, "held at once", acquire(l, l.c, 3), true) }},
		"another has the lease": {func(l *leases) { acquire(l, l.c, 9) }, false, func(l *leases) { l.wantHeld(l.c) }},
		"it was acquired again": {func(l *leases) { acquire(l, l.b, 3) }, true, func(l *leases) { l.wantHeld(l.b) }},
		"it was renewed since": {func(l *leases) {
			acquire(l, l.b, 3)
			ok(t, l.Renew(t.Context(), env, l.b, ttl))
		}, true, func(l *leases) { l.wantHeld(l.b) }},
		"it is waited for again": {func(l *leases) {
			acquire(l, l.c, 9)
			acquire(l, l.b, 3)
		}, true, func(l *leases) { l.wantQueue(l.b.Release + "=t3") }},
		"it was handed over again": {func(l *leases) {
			acquire(l, l.c, 9)
			acquire(l, l.b, 3)
			l.giveBack(l.c)
		}, true, func(l *leases) { want(t, "token", l.lease().Token, "t3") }},
		"a newer release came while it waited again": {func(l *leases) {
			l.acquire(l.a, "ta", false)
			acquire(l, l.b, 3)
			l.acquire(l.c, "tc", true)
		}, true, func(l *leases) { want(t, "superseded", len(l.lease().Superseded), 1) }},
		"who acquired it died": {func(l *leases) {
			acquire(l, l.b, 3)
			ok(t, l.TakeOver(t.Context(), env, ledger.Holder{Release: l.b.Release, Execution: "r1"}, ttl))
		}, true, func(l *leases) { l.wantHeld(ledger.Holder{Release: l.b.Release, Execution: "r1"}) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLeases(t)
			want(t, "held at once", acquire(l, l.b, 1), true)
			ok(t, giveBack(l, l.b, 2))
			test.since(l)
			err := giveBack(l, l.b, 2)
			if refused := err != nil && release.KindOf(err) == release.Conflict; refused != test.late {
				t.Errorf("the return comes once more: %v, want it refused: %t", err, test.late)
			}
			test.check(l)
		})
	}
}

// TestAReturnThatTellsNoAttemptIsDone is that of a release's end, which is of no state
// that could be entered again.
func TestAReturnThatTellsNoAttemptIsDone(t *testing.T) {
	l := newLeases(t)
	_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: "t", Attempt: 7}, TTL: ttl})
	ok(t, err)
	l.giveBack(l.b)
	left, err := l.Leases(t.Context())
	ok(t, err)
	want(t, "leases", len(left), 0)
}

// TestATermIsThatOfOneRelease has a lease go from hand to hand: a release that sees the same
// term again knows that no other had the lease in between.
func TestATermIsThatOfOneRelease(t *testing.T) {
	l := newLeases(t)
	termOf := func(h ledger.Holder) string {
		lease, err := l.Lease(t.Context(), env)
		ok(t, err)
		term, may := lease.TermOf(h.Release)
		return fmt.Sprint(term, may)
	}
	want(t, "nobody had it yet", termOf(l.a), "1 true")
	l.acquire(l.a, "ta", false)
	want(t, "acquired", termOf(l.a), "1 true")
	want(t, "of another", termOf(l.b), "1 false")
	l.acquire(l.a, "ta2", false)
	ok(t, l.Renew(t.Context(), env, l.a, ttl))
	ok(t, l.TakeOver(t.Context(), env, ledger.Holder{Release: l.a.Release, Execution: "r1"}, ttl))
	want(t, "acquired again, renewed and taken over", termOf(l.a), "1 true")
	l.acquire(l.b, "tb", false)
	l.giveBack(ledger.Holder{Release: l.a.Release, Execution: "r1"})
	want(t, "handed over", termOf(l.b), "2 true")
	l.giveBack(l.b)
	want(t, "free again", termOf(l.a), "3 true")
	l.acquire(l.c, "", false)
	l.giveBack(l.c)
	want(t, "held for one call", termOf(l.a), "4 true")
	l.acquire(l.b, "tb", false)
	l.end(t, l.b.Release, release.Succeeded)
	l.pass(2 * ttl)
	l.acquire(l.a, "ta", false)
	want(t, "expired", termOf(l.a), "5 true")
}

func TestWhoGaveALeaseBackDoesNotTakeItByAnEarlierAttempt(t *testing.T) {
	l := newLeases(t)
	acquire := func(attempt int64) error {
		_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: "t", Attempt: attempt}, TTL: ttl})
		return err
	}
	ok(t, acquire(2))
	_, err := l.ReturnBy(t.Context(), env, l.b, 3)
	ok(t, err)
	wantKind(t, acquire(1), release.Conflict, "this attempt is late")
	ok(t, acquire(4))
	l.wantHeld(l.b)
}

// TestWhoDoesNotWantALeaseAnyMoreDoesNotGetIt lets a release end while it asks for a lease.
func TestWhoDoesNotWantALeaseAnyMoreDoesNotGetIt(t *testing.T) {
	l := newLeases(t)
	gone := errors.New("the release has ended")
	_, _, err := l.Acquire(t.Context(), env, l.b, ledger.Ask{Call: ledger.Call{Token: "t"}, TTL: ttl, Still: func(rel *release.Release) error {
		if rel.ID != l.b.Release {
			t.Errorf("asked about %q", rel.ID)
		}
		return gone
	}})
	if !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	left, err := l.Leases(t.Context())
	ok(t, err)
	want(t, "leases", len(left), 0)
}

func TestALeaseIsNotTakenOverByWhoWasReplaced(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.b, "t", false)
	for _, execution := range []string{"r1", "r2"} {
		_, err := l.Update(t.Context(), l.b.Release, "", func(rel *release.Release) error {
			rel.Execution = execution
			return nil
		})
		ok(t, err)
		if execution == "r2" {
			ok(t, l.TakeOver(t.Context(), env, ledger.Holder{Release: l.b.Release, Execution: "r2"}, ttl))
		}
	}
	wantKind(t, l.TakeOver(t.Context(), env, ledger.Holder{Release: l.b.Release, Execution: "r1"}, ttl), release.Conflict, "may not act for it any more")
	l.wantHeld(ledger.Holder{Release: l.b.Release, Execution: "r2"})
}
