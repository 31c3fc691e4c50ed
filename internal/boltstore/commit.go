package boltstore

import (
	"errors"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
)

// maxTogether is how many changes share a transaction at most.
const maxTogether = 256

// look reads what a change depends on, and refuses it or answers its writes. It
// may be called several times; it writes nothing itself.
type look func(tx *bbolt.Tx) (write func() error, err error)

// change is what one caller wants to have written.
type change struct {
	look look

	// The rest is guarded by queue.writing.
	over bool
	err  error
}

// queue is where changes wait for each other: while one transaction is being
// brought to disk, those that come meanwhile gather for the next. The disk is
// waited for as often as without, but by many callers at once.
type queue struct {
	mu      sync.Mutex
	waiting []*change

	writing sync.Mutex // held by who commits
}

func (q *queue) add(c *change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, c)
}

func (q *queue) take() []*change {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxTogether)
	taken := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return taken
}

// update makes a change: all of it is on disk when update returns nil, and none
// of it is kept when look or a write fails. Whatever is answered, what it was
// judged by is on disk: a change that is refused because of one that was in the
// same transaction is told so only after that one is durable.
func (f *File) update(look look) error {
	c := &change{look: look}
	f.queue.add(c)
	f.queue.writing.Lock()
	defer f.queue.writing.Unlock()
	for !c.over { // else whoever held the lock has committed it
		f.commit(f.queue.take())
	}
	return c.err
}

// errUnchanged ends a transaction that has nothing to bring to disk.
var errUnchanged = errors.New("nothing was written")

// commit makes changes in one transaction. One whose writes fail half-way takes
// the transaction with it, and the others are made again without it.
func (f *File) commit(changes []*change) {
	for left := changes; len(left) > 0; {
		var torn *change
		err := f.transact(func() error {
			err := f.db.Update(func(tx *bbolt.Tx) (err error) {
				torn, err = makeAll(tx, left)
				return err
			})
			if errors.Is(err, errUnchanged) {
				return nil
			}
			return err
		})
		if torn == nil {
			settle(left, f.path, err)
			return
		}
		settle([]*change{torn}, f.path, err)
		left = slices.DeleteFunc(left, func(c *change) bool { return c == torn })
	}
}

// makeAll makes changes in their order, up to one that is torn.
func makeAll(tx *bbolt.Tx, changes []*change) (torn *change, err error) {
	err = errUnchanged
	for _, c := range changes {
		var write func() error
		if write, c.err = c.look(tx); c.err != nil {
			continue
		}
		if c.err = write(); c.err != nil {
			return c, c.err
		}
		err = nil
	}
	return nil, err
}

// settle gives changes their ends: that of the transaction, if it failed.
func settle(changes []*change, path string, failed error) {
	for _, c := range changes {
		if failed != nil {
			c.err = failed
		}
		c.err, c.over = failure(path, c.err), true
	}
}
