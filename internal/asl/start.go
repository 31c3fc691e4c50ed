package asl

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"

	"github.com/tagboat/tagboat/internal/release"
)

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
