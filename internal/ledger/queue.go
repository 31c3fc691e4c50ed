package ledger

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

const leasePartition = "lease"

// ErrSuperseded is in the chain of Acquire's error when the release waited for
// the lease until a newer one took its place.
var ErrSuperseded = errors.New("superseded by a newer release")

// Holder is who holds or wants a lease: a release and the execution that acts for it.
type Holder struct {
	Release   string `json:"release"`
	Execution string `json:"execution"`
}

// Call is how a release is told that it has a lease: the task token, which is empty for one
// that does not wait, and the number of the attempt to acquire that it is of.
type Call struct {
	Token   string `json:"token"`
	Attempt int64  `json:"attempt,omitempty"`
}

// Ask is how a lease is asked for.
type Ask struct {
	Call
	// TTL is for how long it is to be held at first.
	TTL time.Duration
	// Supersede takes the place of those that wait and are replaced by the release.
	Supersede bool
	// Still is asked with the release as it is when the lease is written, and refuses if that does not
	// want the lease any more; nil refuses nothing.
	Still func(*release.Release) error
}

// Returned is who gave a lease back while it goes on, by which attempt.
type Returned struct {
	Release string `json:"release"`
	Attempt int64  `json:"attempt"`
}

// Waiter is who waits for a lease, and how it is told.
type Waiter struct {
	Holder
	Call
	// Created is when the release was: the earlier goes first.
	Created time.Time `json:"created,omitzero"`
	Since   time.Time `json:"since"`
	// TTL is for how long the waiter gets the lease at first.
	TTL time.Duration `json:"ttl"`
}

// Lease is the stored form of a lease. It stays when nobody holds it.
type Lease struct {
	Name string `json:"name"`
	// Holder is who may write; the zero value is nobody.
	Holder Holder `json:"holder,omitzero"`
	// Term counts the releases that have had the lease, the holder's last: while it is the same,
	// no other had it, whatever clocks say. It is 0 where that was not counted yet.
	Term    int64     `json:"term,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	// Left is when the holder before gave it back: what that wrote last, a read may not show yet.
	Left time.Time `json:"left,omitzero"`
	// Brief is true for a lease that was taken without waiting: it is held for a
	// call, and says nothing about targets that its release may leave dirty.
	Brief bool `json:"brief,omitempty"`
	// Token tells the holder that the lease was handed over to it; it is empty
	// once the holder has renewed the lease, and so knows.
	Token string `json:"token,omitempty"`
	// Attempt numbers the attempt to acquire by which the holder has the lease: what its
	// release did by an earlier one is over.
	Attempt int64 `json:"attempt,omitempty"`
	// Returned is the last that was told with its attempt: what its release asked for before is late.
	Returned Returned `json:"returned,omitzero"`
	// From are those who gave the lease back while the token is there, the last one last.
	From []Holder `json:"from,omitempty"`
	// Waiters are in the order in which they get the lease.
	Waiters []Waiter `json:"waiters,omitempty"`
	// Superseded are those who waited until a newer release took their place, until they leave.
	Superseded []Superseded `json:"superseded,omitempty"`
	// Dirty is why the holder keeps the lease although its release has ended.
	Dirty string `json:"dirty,omitempty"`
	// Cleared is the last time that somebody cleared a dirty lease.
	Cleared *Cleared `json:"cleared,omitempty"`
}

// Superseded is who does not wait any more because of a newer release.
type Superseded struct {
	Waiter
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Cleared is who said that the targets behind a dirty lease are in order again.
type Cleared struct {
	// Release is the one that had left them in disorder.
	Release string    `json:"release"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// keepSuperseded is as long as an execution can run: nobody asks later.
const keepSuperseded = 30 * 24 * time.Hour

// unrestored is why a lease is dirty if nobody said.
const unrestored = "not everything that it changed was restored"

// grant gives the lease to h, which asked for it by the given attempt.
func (d *Lease) grant(h Holder, attempt int64, now time.Time, ttl time.Duration) {
	if h.Release != "" && h.Release != d.Holder.Release {
		d.Term++
	}
	d.Holder, d.Attempt, d.Since, d.Expires = h, attempt, now, now.Add(ttl)
	d.confirm()
}

// grantAgain gives the lease to an execution of the release that has it, or to
// the first of a lease that nobody has.
func (d *Lease) grantAgain(h Holder, attempt int64, now time.Time, ttl time.Duration) error {
	if d.Dirty != "" {
		return d.keptDirty()
	}
	since := now
	if d.Holder.Release == h.Release {
		since = d.Since
	}
	d.grant(h, attempt, now, ttl)
	d.Since = since
	return nil
}

// TermOf is the term in which a release has the lease, or would get it if it is free; ok is
// false if another has it.
func (d *Lease) TermOf(releaseID string) (term int64, ok bool) {
	if d.Holder == (Holder{}) {
		return d.Term + 1, true
	}
	return d.Term, d.Holder.Release == releaseID
}

// confirm records that the holder knows of the lease.
func (d *Lease) confirm() { d.Token, d.From = "", nil }

// enqueue adds a waiter before those whose releases were created later, or gives
// the one of the same release its new token.
func (d *Lease) enqueue(w Waiter) error {
	for _, s := range d.Superseded {
		if s.Release == w.Release {
			return release.Errorf(release.Conflict, "release %q does not wait for lease %q any more, release %q came: %w",
				w.Release, d.Name, s.By, ErrSuperseded)
		}
	}
	i := d.position(w.Release)
	if i < 0 {
		later := slices.IndexFunc(d.Waiters, func(other Waiter) bool { return other.Created.After(w.Created) })
		if later < 0 {
			later = len(d.Waiters)
		}
		d.Waiters = slices.Insert(d.Waiters, later, w)
		return nil
	}
	if d.Waiters[i].Attempt > w.Attempt {
		return d.late(w.Release)
	}
	w.Since = d.Waiters[i].Since
	d.Waiters[i] = w
	return nil
}

func (d *Lease) position(releaseID string) int {
	return slices.IndexFunc(d.Waiters, func(w Waiter) bool { return w.Release == releaseID })
}

func (d *Lease) dequeue(releaseID string) {
	d.Waiters = slices.DeleteFunc(d.Waiters, func(w Waiter) bool { return w.Release == releaseID })
}

// next tells whether a release would get the lease now: it is the first, or nobody waits.
func (d *Lease) next(releaseID string) bool {
	return len(d.Waiters) == 0 || d.Waiters[0].Release == releaseID
}

func (d *Lease) supersededBy(releaseID string) []Waiter {
	var waiters []Waiter
	for _, s := range d.Superseded {
		if s.By == releaseID {
			waiters = append(waiters, s.Waiter)
		}
	}
	return waiters
}

// leave forgets that a release waits, or waited.
func (d *Lease) leave(releaseID string) {
	d.dequeue(releaseID)
	d.Superseded = slices.DeleteFunc(d.Superseded, func(s Superseded) bool { return s.Release == releaseID })
}

// forget drops what can matter to nobody any more.
func (d *Lease) forget(now time.Time) {
	d.Superseded = slices.DeleteFunc(d.Superseded, func(s Superseded) bool { return now.Sub(s.At) > keepSuperseded })
}

// handOver gives the lease to the first who waits, or to nobody. Whoever waited
// does not hold it for one call.
func (d *Lease) handOver(now time.Time) *Waiter {
	d.Brief, d.Left = false, now
	if len(d.Waiters) == 0 {
		d.grant(Holder{}, 0, now, 0)
		d.Since, d.Expires = time.Time{}, time.Time{}
		return nil
	}
	from, first := append(d.From, d.Holder), d.Waiters[0]
	d.Waiters = d.Waiters[1:]
	d.grant(first.Holder, first.Attempt, now, first.TTL)
	d.From, d.Token = from, first.Token
	return d.pending()
}

// pending is the holder as the one that its token is to be sent to, nil if it knows.
func (d *Lease) pending() *Waiter {
	if d.Token == "" {
		return nil
	}
	return &Waiter{Holder: d.Holder, Call: Call{d.Token, d.Attempt}, Since: d.Since, TTL: d.Expires.Sub(d.Since)}
}

// isFrom tells whether h gave the lease back and the present holder may not know.
func (d *Lease) isFrom(h Holder) bool { return slices.Contains(d.From, h) }

// clearedBy tells whether the same clearing was done before and the lease is clean since.
func (d *Lease) clearedBy(reason, by string) bool {
	return d.Dirty == "" && d.Cleared != nil && d.Cleared.Reason == reason && d.Cleared.By == by &&
		d.Holder.Release != d.Cleared.Release
}

func (d *Lease) idle() bool {
	return d.Holder == (Holder{}) && len(d.Waiters) == 0 && len(d.Superseded) == 0
}

// askedAfter tells whether a release has asked for the lease again after an attempt:
// it has it by a later one, or waits, or waited until a newer release came. Attempt 0 is
// that of somebody who does not tell.
func (d *Lease) askedAfter(releaseID string, attempt int64) bool {
	if attempt == 0 {
		return false
	}
	later := func(w Waiter) bool { return w.Release == releaseID && w.Attempt > attempt }
	return d.Holder.Release == releaseID && d.Attempt > attempt || slices.ContainsFunc(d.Waiters, later) ||
		slices.ContainsFunc(d.Superseded, func(s Superseded) bool { return later(s.Waiter) })
}

// returnedAfter tells whether a release gave the lease back after an attempt to acquire it.
func (d *Lease) returnedAfter(releaseID string, attempt int64) bool {
	return attempt != 0 && d.Returned.Release == releaseID && d.Returned.Attempt > attempt
}

// late refuses an attempt that a following one of the same release has overtaken.
func (d *Lease) late(releaseID string) error {
	return release.Errorf(release.Conflict, "release %q has asked for lease %q again since: this attempt is late", releaseID, d.Name)
}

func (d *Lease) notHeld(h Holder) error {
	if d.Holder == (Holder{}) {
		return release.Errorf(release.Conflict, "lease %q is held by nobody, not by release %q (execution %q)",
			d.Name, h.Release, h.Execution)
	}
	return release.Errorf(release.Conflict, "lease %q is held by release %q (execution %q) until %s, not by release %q (execution %q)",
		d.Name, d.Holder.Release, d.Holder.Execution, d.Expires.Format(time.RFC3339), h.Release, h.Execution)
}

func (d *Lease) keptDirty() error {
	return release.Errorf(release.Conflict, "lease %q is kept by release %q: %s", d.Name, d.Holder.Release, cmp.Or(d.Dirty, unrestored)).
		WithRemedy("Put the targets in order, then clear the lease.")
}
