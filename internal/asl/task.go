package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
)

// wait is a task's wait for its result: that of the invocation, or the one that
// somebody sends with the token.
type wait struct {
	scope  *scope
	signal clock.Signal
	token  string // empty for a plain invocation

	// The rest is guarded by run.mu.
	settled   bool
	submitted bool
	beat      time.Time // the last heartbeat
	result    any
	failure   *failure
}

// settleLocked gives the task its result; only the first one counts.
func (w *wait) settleLocked(result any, failed *failure) bool {
	if w.settled || w.scope.over {
		return false
	}
	w.settled, w.result, w.failure = true, result, failed
	return true
}

// runTask waits for its turn, invokes a function and waits for the task's result.
func (s *scope) runTask(f *frame, input any) (any, error) {
	patience, err := f.patience(input)
	if err != nil {
		return nil, err
	}
	slots := s.run.engine.slots
	if err := slots.take(s); err != nil {
		return nil, err
	}
	w := &wait{scope: s, signal: s.run.engine.clock.NewSignal(), beat: s.run.engine.clock.Now()}
	if f.state.task.waitForToken {
		w.token = s.run.newToken(f.event)
	}
	f.token = w.token
	function, payload, err := s.schedule(f, input)
	if err != nil {
		slots.give()
		return nil, err
	}
	s.run.openToken(w)
	defer s.run.closeToken(w)

	cancel := s.invoke(w, function, payload)
	if err := s.await(w, patience); err != nil {
		cancel()
		return nil, err
	}
	return s.finish(w)
}

// schedule evaluates the Parameters and records that the task begins.
func (s *scope) schedule(f *frame, input any) (string, json.RawMessage, error) {
	value, err := f.state.parameters.evaluate(env{input: input, frame: f})
	if err != nil {
		return "", nil, err
	}
	parameters, err := f.limited(value)
	if err != nil {
		return "", nil, err
	}
	members, _ := value.(map[string]any)
	function, ok := members["FunctionName"].(string)
	if !ok || function == "" {
		return "", nil, runtimeFailure("The FunctionName is %s, want a string", describe(members["FunctionName"]))
	}
	payload := json.RawMessage("{}")
	if given, ok := members["Payload"]; ok {
		doc, err := newDocument(given)
		if err != nil {
			return "", nil, err
		}
		payload = doc.raw
	}
	if _, err := s.record(Event{Type: TaskScheduled, State: f.state.name, Input: parameters.raw}); err != nil {
		return "", nil, err
	}
	_, err = s.record(Event{Type: TaskStarted, State: f.state.name})
	return function, payload, err
}

// invoke calls the function without waiting for it, and gives its slot back when
// it has returned. The context it gets is not
// the scope's, and ends when the caller cancels it: a token that is sent from
// inside of a function ends the task, and must not cut the function short.
func (s *scope) invoke(w *wait, function string, payload json.RawMessage) context.CancelFunc {
	e := s.run.engine
	ctx, cancel := context.WithCancel(e.ctx)
	e.clock.Go(func() {
		defer cancel()
		output, err := e.invoke(ctx, function, payload)
		e.slots.give()
		s.run.invoked(w, output, err)
	})
	return cancel
}

// invoked takes the invocation's end: the result of a plain task, the submission
// of one that waits for its token.
func (r *run) invoked(w *wait, output json.RawMessage, err error) {
	var value any
	var failed *failure
	if err != nil {
		failed = invokeFailure(err)
	} else {
		value, failed = invokeResult(output)
	}
	r.mu.Lock()
	if failed == nil && w.token != "" {
		w.submitLocked()
		r.mu.Unlock()
		return
	}
	settled := w.settleLocked(value, failed)
	r.mu.Unlock()
	if settled {
		w.signal.Fire()
	}
}

// submitLocked records once that the function has the token.
func (w *wait) submitLocked() {
	if w.submitted || w.settled || w.scope.over {
		return
	}
	w.submitted = true
	_, _ = w.scope.recordLocked(Event{Type: TaskSubmitted}) // a full history ends the execution by itself
}

// invokeResult is what a task has of an invocation (developer guide, "Invoke
// Lambda with Step Functions").
func invokeResult(output json.RawMessage) (any, *failure) {
	doc, err := parseDocument(output)
	if err != nil {
		return nil, invokeFailure(fmt.Errorf("the function's answer is not JSON: %w", err))
	}
	if len(doc.raw) > dataLimit {
		return nil, dataLimitFailure("lambda")
	}
	return map[string]any{
		"ExecutedVersion": "$LATEST",
		"Payload":         doc.value,
		"StatusCode":      integerValue(200),
	}, nil
}

// patience is how long a task may take, and how long it may go without a
// heartbeat; 0 is for ever.
type patience struct{ total, beat time.Duration }

func (f *frame) patience(input any) (patience, error) {
	e := env{input: input, frame: f}
	total, err := f.state.task.timeout.evaluate(e, "TimeoutSecondsPath")
	if err != nil {
		return patience{}, err
	}
	beat, err := f.state.task.heartbeat.evaluate(e, "HeartbeatSecondsPath")
	if err != nil {
		return patience{}, err
	}
	if f.state.task.timeout.path != nil && total == 0 || f.state.task.heartbeat.path != nil && beat == 0 {
		return patience{}, runtimeFailure("A timeout of 0 seconds is not allowed")
	}
	return patience{total: time.Duration(total) * time.Second, beat: time.Duration(beat) * time.Second}, nil
}

// await waits until the task is settled. It fails with States.Timeout when the
// task takes too long, and with errGone.
func (s *scope) await(w *wait, p patience) error {
	began := s.run.engine.clock.Now()
	for {
		left, heartbeat := s.left(w, p, began)
		if left < 0 {
			return s.timedOut(w, heartbeat)
		}
		err := s.wait(w.signal, left)
		if !errors.Is(err, clock.ErrTimeout) {
			return err
		}
	}
}

// left is the time until the task times out: 0 if it cannot, negative if it
// has. heartbeat tells which of the limits is the next.
func (s *scope) left(w *wait, p patience, began time.Time) (left time.Duration, heartbeat bool) {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	now := s.run.engine.clock.Now()
	if p.total > 0 {
		left = began.Add(p.total).Sub(now)
	}
	if beat := w.beat.Add(p.beat).Sub(now); p.beat > 0 && (p.total == 0 || beat < left) {
		left, heartbeat = beat, true
	}
	if (p.total > 0 || p.beat > 0) && left <= 0 {
		return -1, heartbeat
	}
	return left, heartbeat
}

// timedOut gives up on the task, unless it was settled at the last moment.
func (s *scope) timedOut(w *wait, heartbeat bool) error {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if w.settled {
		return nil
	}
	w.settled = true
	if _, err := s.recordLocked(Event{Type: TaskTimedOut, Error: errorTimeout}); err != nil {
		return err
	}
	return &failure{name: errorTimeout, heartbeat: heartbeat}
}

// finish records the result of a settled task.
func (s *scope) finish(w *wait) (any, error) {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if w.failure != nil {
		_, err := s.recordLocked(Event{Type: TaskFailed, Error: w.failure.name, Cause: w.failure.cause})
		if err != nil {
			return nil, err
		}
		return nil, w.failure
	}
	raw, err := encode(w.result)
	if err != nil {
		return nil, err
	}
	_, err = s.recordLocked(Event{Type: TaskSucceeded, Output: raw})
	return w.result, err
}
