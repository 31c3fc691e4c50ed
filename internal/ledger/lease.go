package ledger

import (
	"cmp"
	"context"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

func leaseKey(name string) Key { return Key{leasePartition, name} }

// editLease changes a lease; it is free if nobody ever held it.
func (l *Ledger) editLease(ctx context.Context, name string, change func(*Lease) error) (Lease, error) {
	return edit(ctx, l, leaseKey(name), func(lease *Lease, found bool) error {
		if found {
			return change(lease)
		}
		fresh := Lease{Name: name}
		if err := change(&fresh); err != nil {
			return err
		}
		if !fresh.idle() {
			*lease = fresh
		}
		return nil
	})
}

// Acquire takes a lease, or waits in its queue: of those who wait, the
// release that was created first is served first. Who waits is told with its token, by whoever Return hands the lease to;
// with an empty token Acquire does not wait, held false means to try later, and
// the lease is one for a single call: a dirty end of its release does not keep it.
//
// A release that acquires again keeps its place with the new token. If it is
// the holder already, it is held, by the given execution from now on.
//
// An attempt to acquire that comes later than a following one of the same release is refused
// with [release.Conflict]: nobody waits for its token any more.
//
// With Supersede, those that still wait and are replaced by the release (see [release.Release.Replaces])
// are removed; the caller tells them with their tokens. They are answered again when Acquire is repeated,
// until they Return. If one that waits replaces the release, the error has [ErrSuperseded] in its chain.
//
// An expired lease is only taken from a release that has ended and is not dirty:
// until then its targets may be half changed.
func (l *Ledger) Acquire(ctx context.Context, lease string, h Holder, ask Ask) (held bool, superseded []Waiter, err error) {
	doc, err := l.editLease(ctx, lease, func(doc *Lease) error {
		now := l.clock.Now()
		var rel release.Release
		if ask.Token != "" || ask.Still != nil {
			var err error
			if rel, err = l.known(ctx, h.Release, now); err != nil {
				return err
			}
		}
		if ask.Still != nil {
			if err := ask.Still(&rel); err != nil {
				return err
			}
		}
		doc.forget(now)
		if doc.returnedAfter(h.Release, ask.Attempt) {
			return doc.late(h.Release)
		}
		if doc.Holder.Release == h.Release {
			if doc.Attempt > ask.Attempt {
				return doc.late(h.Release)
			}
			return doc.grantAgain(h, ask.Attempt, now, ask.TTL)
		}
		if ask.Token != "" {
			if err := doc.enqueue(Waiter{Holder: h, Call: ask.Call, Created: rel.Created, Since: now, TTL: ask.TTL}); err != nil {
				return err
			}
			if ask.Supersede {
				if err := l.supersede(ctx, doc, &rel); err != nil {
					return err
				}
			}
		}
		free, err := l.free(ctx, doc)
		if err != nil {
			return err
		}
		if free && doc.next(h.Release) {
			doc.dequeue(h.Release)
			doc.grant(h, ask.Attempt, now, ask.TTL)
			doc.Brief = ask.Token == ""
		}
		return nil
	})
	if err != nil {
		return false, nil, err
	}
	return doc.Holder == h, doc.supersededBy(h.Release), nil
}

// known is a release, or what is known of one that waits without a record: when it was created.
func (l *Ledger) known(ctx context.Context, releaseID string, created time.Time) (release.Release, error) {
	rel, found, err := l.find(ctx, releaseID)
	if !found {
		rel = release.Release{ID: releaseID, Created: created, State: release.Waiting}
	}
	return rel, err
}

// supersede removes those who wait and are replaced by a release, unless it is itself
// replaced by one of them. Who has ended, or was halted, waits no more.
func (l *Ledger) supersede(ctx context.Context, doc *Lease, by *release.Release) error {
	now := l.clock.Now()
	var stay []Waiter
	for _, w := range doc.Waiters {
		other, err := l.known(ctx, w.Release, w.Created)
		switch {
		case err != nil:
			return err
		case w.Release == by.ID, other.State.Ended(), other.Halted != nil:
			stay = append(stay, w)
		case other.Replaces(by):
			return release.Errorf(release.Conflict, "release %q is newer and waits for %s already: %w", other.ID, doc.Name, ErrSuperseded).
				WithRemedy("Nothing is to be done: the newer one goes on. Look at it with: tagboat show %s", other.ID)
		default:
			doc.Superseded = append(doc.Superseded, Superseded{Waiter: w, By: by.ID, At: now})
		}
	}
	doc.Waiters = stay
	return nil
}

// free tells whether a lease may be given to another release than its holder's.
func (l *Ledger) free(ctx context.Context, doc *Lease) (bool, error) {
	if doc.Holder == (Holder{}) {
		return true, nil
	}
	if doc.Dirty != "" || l.clock.Now().Before(doc.Expires) {
		return false, nil
	}
	owner, found, err := l.find(ctx, doc.Holder.Release)
	if err != nil || !found {
		return err == nil, err
	}
	return owner.State.Ended() && (owner.State != release.FailedDirty || doc.Brief), nil
}

// leftDirty tells whether a lease is not to be handed on before it is cleared: it is marked, or
// a crash came between its release's dirty end and the mark.
func (l *Ledger) leftDirty(ctx context.Context, doc *Lease) (bool, error) {
	if doc.Dirty != "" {
		return true, nil
	}
	owner, _, err := l.find(ctx, doc.Holder.Release)
	return owner.State == release.FailedDirty && !doc.Brief, err
}

// Renew prolongs a lease that h holds, expired or not, and confirms one that
// was handed over. The error is of kind [release.Conflict] if another holds it.
func (l *Ledger) Renew(ctx context.Context, lease string, h Holder, ttl time.Duration) error {
	_, err := l.editLease(ctx, lease, func(doc *Lease) error {
		if doc.Holder != h {
			return doc.notHeld(h)
		}
		doc.Expires = l.clock.Now().Add(ttl)
		doc.confirm()
		return nil
	})
	return err
}

// Check makes sure that h holds a lease for longer than margin. It is asked right before each write.
func (l *Ledger) Check(ctx context.Context, lease string, h Holder, margin time.Duration) error {
	doc, err := l.Lease(ctx, lease)
	if err != nil {
		return err
	}
	if doc.Holder != h {
		return doc.notHeld(h)
	}
	if left := doc.Expires.Sub(l.clock.Now()); left <= margin {
		return release.Errorf(release.Conflict, "lease %q of release %q (execution %q) expires at %s, in %s; want more than %s",
			lease, h.Release, h.Execution, doc.Expires.Format(time.RFC3339), left, margin)
	}
	return nil
}

// holds makes sure that h holds a lease, expired or not: until another gets it, it is h's.
func (l *Ledger) holds(ctx context.Context, lease string, h Holder) error {
	doc, err := l.Lease(ctx, lease)
	if err == nil && doc.Holder != h {
		err = doc.notHeld(h)
	}
	return err
}

// Return gives a lease back, or stops waiting for it. If somebody else waits,
// they are the holder when Return answers, and the caller tells them with their
// token. Where the token turns out to be invalid and its release does not run any
// more, Return is called for them, and answers with the following one.
//
// Return can be repeated: as long as the new holder has not renewed the lease,
// the answer is the same. Giving back what is not held is no error, unless
// another execution of the same release holds it, or the lease is dirty: both
// are of kind [release.Conflict].
func (l *Ledger) Return(ctx context.Context, lease string, h Holder) (next *Waiter, err error) {
	return l.ReturnBy(ctx, lease, h, 0)
}

// ReturnBy is Return by an attempt, numbered as those to acquire are, which may be
// late: what the release asked for since is not returned, and the error is of kind
// [release.Conflict]. It is told with one write, so nothing comes in between.
func (l *Ledger) ReturnBy(ctx context.Context, lease string, h Holder, attempt int64) (next *Waiter, err error) {
	_, err = l.editLease(ctx, lease, func(doc *Lease) error {
		next = nil
		if doc.askedAfter(h.Release, attempt) {
			return doc.late(h.Release)
		}
		doc.leave(h.Release)
		if attempt != 0 {
			doc.Returned = Returned{h.Release, attempt}
		}
		switch {
		case doc.Holder == h:
			if dirty, err := l.leftDirty(ctx, doc); err != nil || dirty {
				return cmp.Or(err, doc.keptDirty())
			}
			next = doc.handOver(l.clock.Now())
		case doc.Holder.Release == h.Release:
			return doc.notHeld(h)
		case doc.isFrom(h):
			next = doc.pending()
		}
		return nil
	})
	return next, err
}

// TakeOver makes h, another execution of the same release, the holder of its
// lease, expired or not, and ends its waiting. What the release does not hold is left as it is:
// [Ledger.Check] tells. If the release has not ended, a mark as dirty is
// dropped: the end that it belongs to was not recorded, and h decides anew. The
// error is of kind [release.Conflict] if the release has ended dirty.
func (l *Ledger) TakeOver(ctx context.Context, lease string, h Holder, ttl time.Duration) error {
	_, err := l.editLease(ctx, lease, func(doc *Lease) error {
		doc.dequeue(h.Release)
		if doc.Holder.Release != h.Release {
			return nil
		}
		owner, _, err := l.find(ctx, h.Release)
		if err != nil {
			return err
		}
		if owner.Execution != "" && owner.Execution != h.Execution {
			return release.Errorf(release.Conflict, "release %q was taken over by execution %q; %q may not act for it any more",
				h.Release, owner.Execution, h.Execution)
		}
		if !owner.State.Ended() {
			doc.Dirty = ""
		}
		return doc.grantAgain(h, doc.Attempt, l.clock.Now(), ttl)
	})
	return err
}

// MarkDirty makes the holder keep its lease, whatever its release's end, until
// somebody clears it. The reason is for people.
func (l *Ledger) MarkDirty(ctx context.Context, lease string, h Holder, reason string) error {
	_, err := l.editLease(ctx, lease, func(doc *Lease) error {
		if doc.Holder != h {
			return doc.notHeld(h)
		}
		doc.Dirty = cmp.Or(reason, unrestored)
		doc.confirm()
		return nil
	})
	return err
}

// Clear ends the keeping of a dirty lease and hands it over, as Return does. The
// error is of kind [release.Conflict] if the lease is not dirty or its release still runs.
func (l *Ledger) Clear(ctx context.Context, lease, reason, by string) (next *Waiter, err error) {
	_, err = l.editLease(ctx, lease, func(doc *Lease) error {
		next = nil
		err := l.clearable(ctx, doc)
		if err != nil && doc.clearedBy(reason, by) {
			next = doc.pending() // the answer was lost
			return nil
		}
		if err != nil {
			return err
		}
		now := l.clock.Now()
		doc.Cleared = &Cleared{Release: doc.Holder.Release, Reason: reason, By: by, At: now}
		doc.Dirty = ""
		next = doc.handOver(now)
		return nil
	})
	return next, err
}

func (l *Ledger) clearable(ctx context.Context, doc *Lease) error {
	owner, found, err := l.find(ctx, doc.Holder.Release)
	switch {
	case doc.Holder == (Holder{}):
		return release.Errorf(release.Conflict, "lease %q is not dirty: nobody holds it", doc.Name).
			WithRemedy("tagboat lease tells which need a hand.")
	case err != nil:
		return err
	case found && !owner.State.Ended():
		return release.Errorf(release.Conflict, "lease %q cannot be cleared: release %q has not ended, it is %s",
			doc.Name, owner.ID, owner.State).
			WithRemedy("Wait for its end, or stop it: tagboat halt %s --reason TEXT", owner.ID)
	case doc.Dirty == "" && owner.State != release.FailedDirty:
		return release.Errorf(release.Conflict, "lease %q of release %q is not dirty", doc.Name, doc.Holder.Release).
			WithRemedy("tagboat lease tells which need a hand.")
	}
	return nil
}

// Lease reads a lease; it is free if nobody ever held it.
func (l *Ledger) Lease(ctx context.Context, name string) (Lease, error) {
	doc, _, err := load[Lease](ctx, l, leaseKey(name))
	doc.Name = name
	return doc, err
}

// Leases reads all leases that somebody holds or waits for, by name.
func (l *Ledger) Leases(ctx context.Context) ([]Lease, error) {
	items, err := l.table.Query(ctx, leasePartition, "", Page{})
	if err != nil {
		return nil, err
	}
	leases := []Lease{}
	for _, item := range items {
		var doc Lease
		if err := decode(item, &doc); err != nil {
			return nil, err
		}
		if !doc.idle() {
			leases = append(leases, doc)
		}
	}
	return leases, nil
}
