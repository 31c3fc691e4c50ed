package asl

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// run is one execution while this engine takes its steps.
type run struct {
	engine  *Engine
	name    string
	input   document
	started time.Time
	root    *scope
	// created fires when the execution is known to be stored, or not to be;
	// ended, and done for those outside of the clock, when the run is forgotten.
	created, ended clock.Signal
	done           chan struct{}
	// saving is held during each write of a checkpoint; it is taken before mu.
	saving sync.Mutex

	mu         sync.Mutex
	exec       Execution
	stateInput document
	resumes    int
	stored     bool
	// sealed tells that the run has its end, or was abandoned.
	sealed    bool
	full      bool
	lastEvent int64
	events    []Event // since the last checkpoint
	random    *mathrand.ChaCha8
	open      map[string]*wait // by token
	closed    map[string]bool  // tokens of tasks that are over
}

// outcome is how an execution ends.
type outcome struct {
	status           Status
	event            EventType
	errorName, cause string
	output           json.RawMessage
}

// newRun is an execution at its beginning. It is not stored yet.
func (e *Engine) newRun(name string, input document) *run {
	now := e.clock.Now()
	r := &run{
		engine: e, name: name, input: input, started: now, stateInput: input,
		created: e.clock.NewSignal(), ended: e.clock.NewSignal(), done: make(chan struct{}),
		exec: Execution{Name: name, Status: StatusRunning, Input: input.raw, Started: now, State: e.machine.top.startAt},
		open: map[string]*wait{}, closed: map[string]bool{},
	}
	r.root = &scope{run: r}
	r.appendLocked(Event{Type: ExecutionStarted, Input: input.raw})
	r.random = newRandom(e.seed, name, 0)
	return r
}

// adopt makes the run the one that a checkpoint describes.
func (r *run) adopt(cp Checkpoint) error {
	if _, ok := r.engine.machine.top.states[cp.Execution.State]; !ok {
		return release.Errorf(release.Conflict, "execution %q is in the state %q, which the definition no longer has", r.name, cp.Execution.State).
			WithRemedy("Start the version of Tagboat that began it, with the same state file, and let the release end; then start this one.")
	}
	var inputErr, stateErr error
	r.input, inputErr = parseDocument(cp.Execution.Input)
	r.stateInput, stateErr = parseDocument(cp.StateInput)
	if err := errors.Join(inputErr, stateErr); err != nil {
		return release.Errorf(release.Internal, "the checkpoint of execution %q is not JSON: %w", r.name, err)
	}
	r.started = cp.Execution.Started
	r.exec = cp.Execution
	r.resumes = cp.Resumes + 1
	r.events, r.lastEvent, r.root.last = nil, cp.LastEvent, cp.LastEvent
	r.random = newRandom(r.engine.seed, r.name, r.resumes)
	return nil
}

// newRandom is a generator of its own for each time an execution is taken up.
func newRandom(seed uint64, name string, resumes int) *mathrand.ChaCha8 {
	var key [32]byte
	if seed == 0 {
		_, _ = rand.Read(key[:]) // never fails
		return mathrand.NewChaCha8(key)
	}
	text := binary.BigEndian.AppendUint64(nil, seed)
	text = binary.BigEndian.AppendUint64(text, uint64(resumes))
	return mathrand.NewChaCha8(sha256.Sum256(append(text, name...)))
}

func (r *run) randomBytes(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := make([]byte, n)
	_, _ = r.random.Read(b) // never fails
	return b
}

// randomFraction is in [0, 1).
func (r *run) randomFraction() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return mathrand.New(r.random).Float64()
}

// appendLocked numbers an event and keeps it for the next checkpoint.
func (r *run) appendLocked(ev Event) int64 {
	r.lastEvent++
	ev.ID, ev.Time = r.lastEvent, r.engine.clock.Now()
	r.events = append(r.events, ev)
	return ev.ID
}

// overflowLocked ends the execution because its history is full. No Catch runs.
func (r *run) overflowLocked() {
	if r.full {
		return
	}
	r.full = true
	r.engine.clock.Go(func() {
		_ = r.end(outcome{status: StatusFailed, event: ExecutionFailed, errorName: errorRuntime, cause: historyLimitReached}) // logs its own error
	})
}

// persist writes a checkpoint. prepare, if any, changes the run before, with mu
// held. When the write fails the events stay pending.
func (r *run) persist(ctx context.Context, prepare func() error, write func(context.Context, Checkpoint) error) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	cp, err := r.checkpoint(prepare)
	if err != nil {
		return err
	}
	if err := r.engine.write(func() error { return write(ctx, cp) }); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = true
	r.events = slices.Clone(r.events[len(cp.Events):]) // the store may have kept the others
	return nil
}

func (r *run) checkpoint(prepare func() error) (Checkpoint, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if prepare != nil {
		if err := prepare(); err != nil {
			return Checkpoint{}, err
		}
	}
	return Checkpoint{
		Execution: r.exec, StateInput: r.stateInput.raw,
		LastEvent: r.lastEvent, Resumes: r.resumes, Events: r.events,
	}, nil
}

// launch lets a stored run take its steps.
func (r *run) launch() {
	r.created.Fire()
	c := r.engine.clock
	if limit := r.engine.machine.timeout; limit > 0 {
		left := r.started.Add(limit).Sub(c.Now())
		if left <= 0 {
			c.Go(r.timeOut)
			return
		}
		c.Go(func() {
			if err := r.root.wait(c.NewSignal(), left); errors.Is(err, clock.ErrTimeout) {
				r.timeOut()
			}
		})
	}
	c.Go(r.steps)
}

func (r *run) timeOut() {
	_ = r.end(outcome{status: StatusTimedOut, event: ExecutionTimedOut, errorName: errorTimeout}) // logs its own error
}

// steps runs the states to the end.
func (r *run) steps() {
	r.mu.Lock()
	state, input := r.exec.State, r.stateInput
	r.mu.Unlock()
	output, err := r.root.walk(r.engine.machine.top, state, input, r.advance)
	o := outcome{status: StatusSucceeded, event: ExecutionSucceeded, output: output.raw}
	if err != nil {
		f, ok := asFailure(err)
		if !ok {
			return // abandoned, or ended by somebody else
		}
		o = outcome{status: StatusFailed, event: ExecutionFailed, errorName: f.name, cause: f.cause}
	}
	_ = r.end(o) // logs its own error
}

// advance writes the checkpoint of a transition to a state. If it cannot be
// written the run is abandoned: what the state would do must not happen on the
// strength of a record that is not there.
func (r *run) advance(state string, input document) error {
	err := r.persist(context.Background(), func() error {
		if r.sealed {
			return errGone
		}
		r.exec.State, r.stateInput = state, input
		return nil
	}, r.engine.store.Save)
	if err == nil || errors.Is(err, errGone) {
		return err
	}
	r.complain("an execution stopped because its checkpoint cannot be written", err)
	r.abandon()
	return errGone
}

func (r *run) complain(message string, err error) {
	if !errors.Is(err, ErrClosed) {
		r.engine.log.Error(message, "execution", r.name, "error", err, "next", release.RemedyOf(err))
	}
}

// end gives the execution its end, unless it has one already: then it returns
// errGone. It is stored when end returns nil; otherwise it is unfinished.
func (r *run) end(o outcome) error {
	r.mu.Lock()
	if r.sealed {
		r.mu.Unlock()
		return errGone
	}
	r.sealed = true
	r.appendLocked(Event{Type: o.event, Previous: r.root.last, Output: o.output, Error: o.errorName, Cause: o.cause})
	final := r.exec
	final.Status, final.Output, final.Error, final.Cause = o.status, o.output, o.errorName, o.cause
	final.Stopped = r.engine.clock.Now()
	signals := r.root.killLocked()
	r.mu.Unlock()
	fire(signals)

	err := r.persist(context.Background(), func() error { r.exec = final; return nil }, r.engine.store.Save)
	if err != nil {
		r.complain("the end of an execution cannot be written", err)
		r.engine.forget(r)
		return release.Errorf(release.KindOf(err), "the end of execution %q cannot be written: %w", r.name, err)
	}
	r.engine.clock.Go(func() {
		r.engine.onEnd(final)
		r.engine.forget(r)
	})
	return nil
}

// abandon takes no further steps and leaves the execution as it is stored.
func (r *run) abandon() {
	r.mu.Lock()
	if r.sealed {
		r.mu.Unlock()
		return
	}
	r.sealed = true
	signals := r.root.killLocked()
	r.mu.Unlock()
	fire(signals)
	r.engine.forget(r)
}

func (r *run) isCreated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stored
}

func (r *run) execution() Execution {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exec
}

// pending are the events that the store does not have yet.
func (r *run) pending() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}
