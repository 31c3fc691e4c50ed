package asl

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// Config is what an Engine works with. Machine, Invoke, Clock and Store must be set.
type Config struct {
	// Machine is the definition to run.
	Machine *Machine
	// Invoke calls the function that a task names with the task's payload. An
	// error that has a method ErrorName() string fails the task by that name, any
	// other by Lambda.Unknown. ctx is done when the result is no longer wanted.
	Invoke func(ctx context.Context, function string, payload json.RawMessage) (json.RawMessage, error)
	// Clock is what executions wait and run in.
	Clock clock.Clock
	// Store keeps the executions.
	Store Store
	// Logger is told what nobody else could be told. The default drops it.
	Logger *slog.Logger
	// OnEnd is called once when an execution has ended and its end is stored. It
	// is not called again after a crash in between: do not rely on it alone.
	OnEnd func(Execution)
	// OnEdge is called for each edge that is taken, from several goroutines.
	OnEdge func(Edge)
	// Concurrency is how many functions run at once at most, of all executions
	// together; who began first comes first. 0 is no limit.
	Concurrency int
	// Seed decides the jitter of retries, tokens and UUIDs. 0 takes them from the
	// system's random numbers, as is needed where tokens must not be guessed.
	Seed uint64
}

// Engine runs executions of one state machine. It is safe for concurrent use.
type Engine struct {
	machine *Machine
	invoke  func(context.Context, string, json.RawMessage) (json.RawMessage, error)
	clock   clock.Clock
	store   Store
	log     *slog.Logger
	onEnd   func(Execution)
	onEdge  func(Edge)
	seed    uint64
	slots   *slots
	ctx     context.Context
	cancel  context.CancelFunc

	// gate is held for reading during each write to the store, so that none is
	// under way when Close returns.
	gate sync.RWMutex
	mu   sync.Mutex
	live map[string]*run
	// closed is written under gate and mu, and may be read under either.
	closed bool
}

// New makes an engine. Executions that the store has unfinished stay so until
// [Engine.Resume].
func New(c Config) (*Engine, error) {
	if c.Machine == nil || c.Invoke == nil || c.Clock == nil || c.Store == nil {
		return nil, release.Errorf(release.Internal, "the engine needs a machine, an invoke function, a clock and a store")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnEnd == nil {
		c.OnEnd = func(Execution) {}
	}
	if c.OnEdge == nil {
		c.OnEdge = func(Edge) {}
	}
	e := &Engine{
		machine: c.Machine, invoke: c.Invoke, clock: c.Clock, store: c.Store, log: c.Logger,
		onEnd: c.OnEnd, onEdge: c.OnEdge, seed: c.Seed, slots: newSlots(c.Concurrency), live: map[string]*run{},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

func (e *Engine) errClosed() error {
	return release.Errorf(release.Transient, "no more executions are started or changed here: %w", ErrClosed)
}

// write runs a write to the store unless the engine is closed.
func (e *Engine) write(f func() error) error {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.closed {
		return e.errClosed()
	}
	return f()
}

// Stop aborts an execution (Step Functions, StopExecution): no Retry and no
// Catch runs, and what is under way is told to end by its context. Stopping an
// execution that has ended does nothing.
func (e *Engine) Stop(ctx context.Context, name, errorName, cause string) error {
	if r := e.find(name); r != nil {
		err := r.end(outcome{status: StatusAborted, event: ExecutionAborted, errorName: errorName, cause: cause})
		if !errors.Is(err, errGone) {
			return err
		}
	}
	ex, err := e.Execution(ctx, name)
	if err != nil {
		return err
	}
	if !ex.Status.Ended() {
		return release.Errorf(release.Conflict, "execution %q is unfinished but does not run here", name).
			WithRemedy("Resume the unfinished executions first.")
	}
	return nil
}

// find is the run of an execution that is stored and under way here.
func (e *Engine) find(name string) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.live[name]
	if r == nil || !r.isCreated() {
		return nil
	}
	return r
}

// Running is how many executions are under way here.
func (e *Engine) Running() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.live)
}

// Execution tells how an execution stands.
func (e *Engine) Execution(ctx context.Context, name string) (Execution, error) {
	if r := e.find(name); r != nil {
		return r.execution(), nil
	}
	cp, err := e.store.Load(ctx, name)
	if err != nil {
		return Execution{}, e.readError(name, err)
	}
	return cp.Execution, nil
}

func (e *Engine) readError(name string, err error) error {
	if errors.Is(err, ErrExecutionNotFound) {
		return release.Errorf(release.NotFound, "execution %q: %w", name, err)
	}
	return release.Errorf(release.KindOf(err), "execution %q cannot be read: %w", name, err)
}

// History is all that has happened in an execution. The events since its last
// checkpoint are only in memory and lost in a crash.
func (e *Engine) History(ctx context.Context, name string) ([]Event, error) {
	var pending []Event
	if r := e.find(name); r != nil {
		r.saving.Lock()
		defer r.saving.Unlock()
		pending = r.pending()
	}
	events, err := e.store.History(ctx, name)
	if err != nil {
		return nil, e.readError(name, err)
	}
	return append(events, pending...), nil
}

// Done is closed when this engine takes no further steps for an execution: it
// has ended and OnEnd has returned, or the engine was closed or could not write
// to its store. It is closed already for an execution that does not run here.
// Waiting for it is for callers outside of the clock; inside, use [Engine.Wait].
func (e *Engine) Done(name string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.live[name]; r != nil {
		return r.done
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Wait waits, in the clock, until Done would be closed, and tells how the
// execution stands then.
func (e *Engine) Wait(ctx context.Context, name string) (Execution, error) {
	e.mu.Lock()
	r := e.live[name]
	e.mu.Unlock()
	if r != nil {
		if err := r.ended.Wait(ctx, 0); err != nil {
			return Execution{}, err
		}
	}
	return e.Execution(ctx, name)
}

// Close makes the engine take no further steps. When it returns, nothing is
// written to the store any more; executions that have not ended stay unfinished,
// for another engine to resume. Functions under way find their context done.
func (e *Engine) Close() {
	e.gate.Lock()
	e.mu.Lock()
	e.closed = true
	runs := make([]*run, 0, len(e.live))
	for _, name := range sortedNames(e.live) {
		runs = append(runs, e.live[name])
	}
	e.mu.Unlock()
	e.gate.Unlock()
	e.cancel()
	for _, r := range runs {
		r.abandon()
	}
}

// forget lets go of a run that takes no further steps.
func (e *Engine) forget(r *run) {
	e.mu.Lock()
	if e.live[r.name] == r {
		delete(e.live, r.name)
	}
	e.mu.Unlock()
	r.created.Fire()
	r.ended.Fire()
	close(r.done)
}
