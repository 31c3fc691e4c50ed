package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// Input is what the state machine hands to a task. Every task gets the release
// and the execution that acts for it; the rest depends on the task.
type Input struct {
	// Do tells apart the operations of a task that has several.
	Do        string `json:"do,omitempty"`
	Release   string `json:"release"`
	Execution string `json:"execution"`
	// Phase, Site and Artifact say which iteration of which Map this is.
	Phase    release.Phase `json:"phase,omitempty"`
	Site     release.Site  `json:"site,omitzero"`
	Artifact string        `json:"artifact,omitempty"`
	// Environment is the one under way.
	Environment string `json:"environment,omitempty"`
	// Token resumes an execution that waits. Entered and Retry tell which attempt of the
	// state it is of: an attempt that is late must not put its token, for which nobody
	// waits any more, in the place of a later one's, nor return a lease that was acquired since.
	Token   string    `json:"token,omitempty"`
	Entered time.Time `json:"entered,omitzero"`
	Retry   int       `json:"retry,omitempty"`
	// Error is what a Catch caught.
	Error *Failure `json:"error,omitempty"`
	// Outcomes are those of a Map's iterations.
	Outcomes []Outcome `json:"outcomes,omitempty"`
}

// attempt numbers the attempts of the states that ask a person, and that acquire and
// return a lease: a later one has a larger number.
func (in Input) attempt() int64 {
	if in.Entered.IsZero() {
		return 0 // of a state machine that does not tell
	}
	return in.Entered.UnixMilli()*1000 + int64(in.Retry)
}

// inMap tells whether the task is of one iteration of a Map.
func (in Input) inMap() bool { return in.Artifact != "" || in.Site != (release.Site{}) }

// Failure is an error as the States Language hands it to a Catch.
type Failure struct {
	Error string `json:"Error"`
	Cause string `json:"Cause,omitempty"`
}

// Outcome is how one iteration of a Map ended.
type Outcome struct {
	Site     release.Site `json:"site,omitzero"`
	Artifact string       `json:"artifact,omitempty"`
	Status   string       `json:"status"`
	Error    string       `json:"error,omitempty"`
}

// Turn is the answer of a task that works in turns.
type Turn struct {
	Status string `json:"status"`
	// Seconds is how long to wait before the next turn.
	Seconds int `json:"seconds"`
}

// The values of [Turn.Status] and [Outcome.Status]. A failed turn ends its
// iteration like one that is done; its failure is in the ledger. A stopped one
// ends because another site has failed. A broken one is a task that crashed.
const (
	turnDone    = "done"
	turnWait    = "wait"
	turnFailed  = "failed"
	turnStopped = "stopped"
	turnBroken  = "broken"
)

// seconds rounds a wait up to what the state machine can wait.
func seconds(wait time.Duration) int { return int((wait + time.Second - 1) / time.Second) }

// Task is one task of the state machine. Its error is a [TaskError] by the time
// the state machine sees it.
type Task func(ctx context.Context, in Input) (any, error)

// The error names that the state machine and [Conclusion] tell apart.
const (
	errTransient   = "Tagboat.Transient"
	errRefused     = "Tagboat.Refused"
	errFailed      = "Tagboat.Failed"
	errSuperseded  = "Tagboat.Superseded"
	errRejected    = "Tagboat.Rejected"
	errInterrupted = "Tagboat.Interrupted"
	errHalted      = "Tagboat.Halted"
	errTimeout     = "States.Timeout"
)

// TaskError is an error with the name by which the state machine knows it.
type TaskError struct {
	Name string
	Err  error
}

// Error is the message for people, cut to what a state of the state machine may carry.
func (e *TaskError) Error() string { return capped(e.Err.Error(), maxReason) }

// ErrorName is the name that Retry and Catch match.
func (e *TaskError) ErrorName() string { return e.Name }

// Unwrap is the error itself.
func (e *TaskError) Unwrap() error { return e.Err }

// named gives an error its name: transient ones are retried by the state
// machine, any other ends the release under the given name.
func named(err error, name string) error {
	var named *TaskError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &named):
		return err
	case release.KindOf(err) == release.Transient, errors.Is(err, context.DeadlineExceeded):
		name = errTransient
	}
	return &TaskError{Name: name, Err: err}
}

// refused names an error of a task that has changed nothing: what is wrong with
// the release's input refuses it, anything else is a failure like any other.
func refused(err error) error {
	if err == nil {
		return nil
	}
	switch release.KindOf(err) {
	case release.Invalid, release.Denied, release.NotFound:
		return named(err, errRefused)
	}
	return named(err, errFailed)
}

// Run decodes a task's input, runs it and encodes its answer, as a Lambda does.
func (t Task) Run(ctx context.Context, payload json.RawMessage) (json.RawMessage, error) {
	var in Input
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, &TaskError{Name: errFailed, Err: fmt.Errorf("task input: %w", err)}
	}
	out, err := t(ctx, in)
	if err != nil {
		return nil, named(err, errFailed)
	}
	return json.Marshal(out)
}
