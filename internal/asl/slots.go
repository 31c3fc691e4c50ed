package asl

import (
	"slices"
	"sync"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
)

// slots limit how many functions run at once. The next one that is free goes to
// the execution that began first: what is under way is finished before more is
// begun, and a task's time starts to count only when it has one.
type slots struct {
	mu      sync.Mutex
	limited bool
	free    int
	waiting []*ticket // in the order of who is next
}

// ticket is a place among those that wait for a slot.
type ticket struct {
	began   time.Time
	signal  clock.Signal
	granted bool
}

func newSlots(limit int) *slots { return &slots{limited: limit > 0, free: limit} }

// take waits for a slot; the one who has it gives it back by [slots.give]. It
// fails with errGone when the scope ends first.
func (sl *slots) take(s *scope) error {
	mine := sl.join(s)
	if mine == nil {
		return nil
	}
	err := s.wait(mine.signal, 0)
	if err != nil && sl.leave(mine) {
		sl.give()
	}
	return err
}

// join takes a free slot, or else a place in the queue.
func (sl *slots) join(s *scope) *ticket {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if !sl.limited {
		return nil
	}
	if sl.free > 0 {
		sl.free--
		return nil
	}
	mine := &ticket{began: s.run.started, signal: s.run.engine.clock.NewSignal()}
	at, _ := slices.BinarySearchFunc(sl.waiting, mine, func(t, other *ticket) int {
		if t.began.After(other.began) {
			return 1
		}
		return -1 // of two that began together, the first that came
	})
	sl.waiting = slices.Insert(sl.waiting, at, mine)
	return mine
}

// leave gives up a place, and tells whether it had become a slot meanwhile.
func (sl *slots) leave(mine *ticket) bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.waiting = slices.DeleteFunc(sl.waiting, func(t *ticket) bool { return t == mine })
	return mine.granted
}

// give hands a slot on, or keeps it free.
func (sl *slots) give() {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if !sl.limited {
		return
	}
	if len(sl.waiting) == 0 {
		sl.free++
		return
	}
	next := sl.waiting[0]
	sl.waiting = slices.Delete(sl.waiting, 0, 1)
	next.granted = true
	next.signal.Fire()
}
