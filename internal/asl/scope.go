package asl

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
)

// scope is a part of an execution that ends as a whole: the execution itself,
// or one iteration of a Map. When a scope is over, what still runs in it finds
// its waits ended, and its events and results are dropped.
//
// Waits end by signals rather than by a context: in virtual time a context's
// end is noticed only some time later.
type scope struct {
	run    *run
	parent *scope
	item   *mapItem

	// The rest is guarded by run.mu.
	over     bool
	children []*scope
	waits    []clock.Signal
	last     int64 // the event that the next one follows
	current  string
}

// child opens a scope inside of s, or fails with errGone.
func (s *scope) child(item *mapItem, last int64) (*scope, error) {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if s.over {
		return nil, errGone
	}
	if item == nil {
		item = s.item
	}
	c := &scope{run: s.run, parent: s, item: item, last: last}
	s.children = append(s.children, c)
	return c, nil
}

// close ends a scope in which nothing runs any more.
func (s *scope) close() {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	s.over = true
	if s.parent != nil {
		s.parent.children = slices.DeleteFunc(s.parent.children, func(c *scope) bool { return c == s })
	}
}

// killLocked ends the scope and those inside it. The caller fires the signals
// after it has released run.mu.
func (s *scope) killLocked() []clock.Signal {
	s.over = true
	signals := s.waits
	s.waits = nil
	for _, c := range s.children {
		signals = append(signals, c.killLocked()...)
	}
	return signals
}

func fire(signals []clock.Signal) {
	for _, s := range signals {
		s.Fire()
	}
}

// gone is errGone once the scope is over.
func (s *scope) gone() error {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if s.over {
		return errGone
	}
	return nil
}

// wait waits for a signal, which also fires when the scope ends. It returns nil,
// clock.ErrTimeout or errGone.
func (s *scope) wait(signal clock.Signal, timeout time.Duration) error {
	s.run.mu.Lock()
	if s.over {
		s.run.mu.Unlock()
		return errGone
	}
	s.waits = append(s.waits, signal)
	s.run.mu.Unlock()

	err := signal.Wait(context.Background(), timeout)

	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if s.over {
		return errGone
	}
	s.waits = slices.DeleteFunc(s.waits, func(other clock.Signal) bool { return other == signal })
	return err
}

// sleep waits for d.
func (s *scope) sleep(d time.Duration) error {
	if d <= 0 {
		return s.gone()
	}
	err := s.wait(s.run.engine.clock.NewSignal(), d)
	if errors.Is(err, clock.ErrTimeout) {
		return nil
	}
	return err
}

// record appends an event to the history, after the scope's last one.
func (s *scope) record(ev Event) (int64, error) {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	return s.recordLocked(ev)
}

func (s *scope) recordLocked(ev Event) (int64, error) {
	if s.over {
		return 0, errGone
	}
	// The last place is kept for the event of the execution's end.
	if s.run.lastEvent+1 >= historyLimit {
		s.run.overflowLocked()
		return 0, errGone
	}
	ev.Previous = s.last
	s.last = s.run.appendLocked(ev)
	return s.last, nil
}
