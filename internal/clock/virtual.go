package clock

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Virtual is a cooperative scheduler with a clock of its own. Goroutines that
// were started with Go or entered with Run take turns: exactly one runs, until
// it sleeps, waits or ends. When none can run, the time becomes that of the
// earliest sleeper. Nothing else moves the time.
type Virtual struct {
	mu      sync.Mutex
	now     time.Time
	rng     *rand.Rand // nil: first come, first served
	running bool
	ready   []*turn
	parked  []*turn // in the order of parking
	timers  timerHeap
	seq     uint64
}

var _ Clock = (*Virtual)(nil)

// NewVirtual starts a clock at a time. The seed decides who runs next among
// those that can; 0 means first come, first served.
func NewVirtual(start time.Time, seed uint64) *Virtual {
	v := &Virtual{now: start.UTC()}
	if seed != 0 {
		v.rng = rand.New(rand.NewPCG(seed, seed))
	}
	return v
}

// turn is one goroutine's wait for its next turn. It is made ready once, by
// whichever comes first of its timer, its signal and its context.
type turn struct {
	wake  chan struct{}
	ctx   context.Context // while parked
	ready bool
	cause error
}

func newTurn() *turn { return &turn{wake: make(chan struct{})} }

// Now is the virtual time.
func (v *Virtual) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Go runs f when its turn comes.
func (v *Virtual) Go(f func()) {
	t := newTurn()
	started(func() {
		<-t.wake
		defer v.leave()
		f()
	})
	v.mu.Lock()
	v.makeReady(t, nil)
	v.dispatch()
	v.mu.Unlock()
}

// idle gives work to goroutines that have ended theirs.
var idle = make(chan func())

// started runs f in a goroutine of its own, in one that is idle if there is: its stack has grown
// already, and growing the stacks of very many short tasks is a tenth of what a simulation costs.
func started(f func()) {
	select {
	case idle <- f:
	default:
		go func() {
			for {
				f()
				f = <-idle
			}
		}()
	}
}

// Run waits for a turn, runs f and gives the turn up.
func (v *Virtual) Run(f func()) {
	t := newTurn()
	v.mu.Lock()
	v.makeReady(t, nil)
	v.dispatch()
	v.mu.Unlock()
	<-t.wake
	defer v.leave()
	f()
}

// Sleep gives the turn up for d of virtual time.
func (v *Virtual) Sleep(ctx context.Context, d time.Duration) error {
	t := newTurn()
	v.mu.Lock()
	if err := ctx.Err(); err != nil {
		v.mu.Unlock()
		return err
	}
	if d <= 0 {
		v.makeReady(t, nil)
	} else {
		v.at(d, t, nil)
	}
	return v.park(ctx, t)
}

// NewSignal makes a signal in this clock.
func (v *Virtual) NewSignal() Signal { return &virtualSignal{clock: v} }

type virtualSignal struct {
	clock   *Virtual
	fired   bool
	waiting []*turn
}

func (s *virtualSignal) Fire() {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.fired = true
	for _, t := range s.waiting {
		s.clock.makeReady(t, nil)
	}
	s.waiting = nil
	s.clock.dispatch()
}

func (s *virtualSignal) Wait(ctx context.Context, timeout time.Duration) error {
	v := s.clock
	v.mu.Lock()
	if s.fired {
		v.mu.Unlock()
		return nil
	}
	if err := ctx.Err(); err != nil {
		v.mu.Unlock()
		return err
	}
	t := newTurn()
	s.waiting = append(s.waiting, t)
	if timeout > 0 {
		v.at(timeout, t, ErrTimeout)
	}
	return v.park(ctx, t)
}

// park gives the turn up and waits for the next; v.mu is held on entry and
// released.
func (v *Virtual) park(ctx context.Context, t *turn) error {
	t.ctx = ctx
	v.parked = append(v.parked, t)
	v.running = false
	v.dispatch()
	v.mu.Unlock()
	// A context that ends while nobody runs wakes its waiter from outside.
	stop := context.AfterFunc(ctx, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.dispatch()
	})
	defer stop()
	<-t.wake
	return t.cause
}

// wakeCancelled makes those ready whose context has ended; v.mu is held. It
// comes before time moves, so that a cancellation takes effect at its own time.
func (v *Virtual) wakeCancelled() {
	waiting := v.parked[:0]
	for _, t := range v.parked {
		if !t.ready && t.ctx.Err() != nil {
			v.makeReady(t, t.ctx.Err())
		}
		if !t.ready {
			waiting = append(waiting, t)
		}
	}
	clear(v.parked[len(waiting):])
	v.parked = waiting
}

func (v *Virtual) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running = false
	v.dispatch()
}

func (v *Virtual) makeReady(t *turn, cause error) {
	if t.ready {
		return
	}
	t.ready, t.cause = true, cause
	v.ready = append(v.ready, t)
}

func (v *Virtual) at(d time.Duration, t *turn, cause error) {
	v.seq++
	heap.Push(&v.timers, timer{when: v.now.Add(d), seq: v.seq, turn: t, cause: cause})
}

// dispatch hands the turn to the next goroutine unless one has it; v.mu is held.
func (v *Virtual) dispatch() {
	if v.running {
		return
	}
	v.wakeCancelled()
	for len(v.ready) == 0 && len(v.timers) > 0 {
		next := heap.Pop(&v.timers).(timer)
		if next.turn.ready {
			continue // its signal or context came first
		}
		v.now = next.when
		v.makeReady(next.turn, next.cause)
	}
	if len(v.ready) == 0 {
		return
	}
	i := 0
	if v.rng != nil {
		i = v.rng.IntN(len(v.ready))
	}
	next := v.ready[i]
	v.ready = append(v.ready[:i], v.ready[i+1:]...)
	v.running = true
	close(next.wake)
}

type timer struct {
	when  time.Time
	seq   uint64 // breaks ties in the order of sleeping
	turn  *turn
	cause error
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].when.Equal(h[j].when) {
		return h[i].seq < h[j].seq
	}
	return h[i].when.Before(h[j].when)
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
