package asl

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
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
		onEnd: c.OnEnd, onEdge: c.OnEdge, seed: c.Seed, live: map[string]*run{},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// executionName is what an execution may be called (Step Functions,
// StartExecution; what CloudWatch Logs can record of it).
var executionName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// Start begins an execution. When it returns nil, the execution is stored and
// will be run to its end, by this engine or by one that resumes. Starting it
// again by the same name and with an equal input does nothing while it runs; any
// other use of a name that was used is ErrExecutionExists.
func (e *Engine) Start(ctx context.Context, name string, input json.RawMessage) error {
	if !executionName.MatchString(name) {
		return release.Errorf(release.Invalid, "the execution's name is %q, want 1 to 80 characters of 0-9, A-Z, a-z, _ and -", name)
	}
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	doc, err := parseDocument(input)
	if err != nil {
		return release.Errorf(release.Invalid, "the input of execution %q is not JSON: %w", name, err)
	}
	if len(doc.raw) > dataLimit {
		return release.Errorf(release.Invalid, "the input of execution %q has %d bytes, want at most %d", name, len(doc.raw), dataLimit)
	}
	for {
		r := e.newRun(name, doc)
		other, err := e.reserve(r)
		if err != nil {
			return err
		}
		if other == nil {
			return e.create(ctx, r)
		}
		if err := other.created.Wait(ctx, 0); err != nil {
			return err
		}
		cp, err := e.store.Load(ctx, name)
		if !errors.Is(err, ErrExecutionNotFound) {
			return e.repeated(cp, err, doc)
		}
	}
}

// reserve makes r the one run of its name, or gives the one that is there.
func (e *Engine) reserve(r *run) (*run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, e.errClosed()
	}
	if other, ok := e.live[r.name]; ok {
		return other, nil
	}
	e.live[r.name] = r
	return nil, nil
}

func (e *Engine) errClosed() error {
	return release.Errorf(release.Transient, "no more executions are started or changed here: %w", ErrClosed)
}

// create stores a new execution and lets it run.
func (e *Engine) create(ctx context.Context, r *run) error {
	if err := r.persist(ctx, nil, e.store.Create); err != nil {
		r.abandon()
		if !errors.Is(err, ErrExecutionExists) {
			return release.Errorf(release.KindOf(err), "execution %q was not started: %w", r.name, err)
		}
		cp, err := e.store.Load(ctx, r.name)
		return e.repeated(cp, err, r.input)
	}
	r.launch()
	return nil
}

// repeated judges a second start of an execution that is stored as cp.
func (e *Engine) repeated(cp Checkpoint, err error, input document) error {
	if err != nil {
		return err
	}
	name := cp.Execution.Name
	if cp.Execution.Status.Ended() {
		return release.Errorf(release.Conflict, "execution %q has %s: %w", name, cp.Execution.Status, ErrExecutionExists)
	}
	first, err := parseDocument(cp.Execution.Input)
	if err != nil || !sameValue(first.value, input.value) {
		return release.Errorf(release.Conflict, "execution %q runs with another input: %w", name, ErrExecutionExists)
	}
	return nil
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

// Resume takes up every execution that the store has unfinished and that does
// not run here. It returns how many, and why others could not be taken up.
func (e *Engine) Resume(ctx context.Context) (int, error) {
	names, err := e.store.Unfinished(ctx)
	if err != nil {
		return 0, release.Errorf(release.KindOf(err), "the unfinished executions cannot be read: %w", err)
	}
	count := 0
	var failed []error
	for _, name := range names {
		resumed, err := e.resume(ctx, name)
		if err != nil {
			failed = append(failed, err)
		}
		if resumed {
			count++
		}
	}
	return count, errors.Join(failed...)
}

func (e *Engine) resume(ctx context.Context, name string) (bool, error) {
	r := e.newRun(name, document{})
	if other, err := e.reserve(r); other != nil || err != nil {
		return false, err
	}
	err := e.restore(ctx, r)
	if err != nil || r.exec.Status.Ended() {
		r.abandon()
		return false, err
	}
	r.launch()
	return true, nil
}

// restore reads the run from the store and counts the resumption there.
func (e *Engine) restore(ctx context.Context, r *run) error {
	cp, err := e.store.Load(ctx, r.name)
	if err != nil {
		return release.Errorf(release.KindOf(err), "execution %q cannot be read: %w", r.name, err)
	}
	if cp.Execution.Status.Ended() {
		r.exec = cp.Execution
		return nil
	}
	if err := r.adopt(cp); err != nil {
		return err
	}
	if err := r.persist(ctx, nil, e.store.Save); err != nil {
		return release.Errorf(release.KindOf(err), "execution %q was not resumed: %w", r.name, err)
	}
	return nil
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
