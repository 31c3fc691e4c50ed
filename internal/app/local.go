package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/statemachine"
)

// tasks are how all tasks of the state machine are made, by the names that its ${<Name>Function} stand for.
// It is a function, and so is [Machine], so that the binary of one Lambda does not hold the tasks of all.
func tasks() map[string]func(*Parts) Task {
	return map[string]func(*Parts) Task{
		"Admit": (*Parts).Admit, "Manifest": (*Parts).ReadManifest, "Stage": (*Parts).Stage, "Snapshot": (*Parts).Snapshot, "Plan": (*Parts).Plan,
		"Publish": (*Parts).Publish, "Share": (*Parts).Share, "Access": (*Parts).Access, "Update": (*Parts).Update, "Shift": (*Parts).Shift,
		"RollBack": (*Parts).RollBack, "Approval": (*Parts).Approval, "Lease": (*Parts).Lease, "Tally": (*Parts).Tally,
		"Conclude": (*Parts).Conclude, "Report": (*Parts).Report, "Prune": (*Parts).Prune,
	}
}

// Task makes the task of a name, which has to be one.
func (p *Parts) Task(name string) Task { return tasks()[name](p) }

// Tasks makes all tasks, by their names.
func (p *Parts) Tasks() map[string]Task {
	made := map[string]Task{}
	for name, task := range tasks() {
		made[name] = task(p)
	}
	return made
}

// Machine is the state machine that is shipped; its functions are the names of tasks. It is read once.
func Machine() (*asl.Machine, error) {
	shipped.once.Do(func() {
		names := map[string]string{}
		for name := range tasks() {
			names[name+"Function"] = name
		}
		shipped.machine, shipped.err = asl.Load(statemachine.Definition, names)
	})
	return shipped.machine, shipped.err
}

var shipped struct {
	once    sync.Once
	machine *asl.Machine
	err     error
}

// Local runs releases on the embedded engine.
type Local struct {
	*Parts
	Engine *asl.Engine
}

// LocalOptions are what the engine needs besides the parts.
type LocalOptions struct {
	// Store keeps the executions.
	Store asl.Store
	// Concurrency is how many tasks run at once at most; 0 is no limit.
	Concurrency int
	// Seed decides the engine's randomness; 0 takes the system's.
	Seed uint64
	// OnEdge is told each edge of the state machine that is taken.
	OnEdge func(asl.Edge)
}

// NewLocal makes an engine for the state machine and wires the parts to it:
// Tokens and Executions are the engine's.
func NewLocal(parts *Parts, options LocalOptions) (*Local, error) {
	local := &Local{Parts: parts}
	parts.Tokens, parts.Executions = localTokens{local}, localExecutions{local}
	made := parts.Tasks()
	machine, err := Machine()
	if err != nil {
		return nil, err
	}
	local.Engine, err = asl.New(asl.Config{
		Machine: machine,
		Clock:   parts.Clock, Store: options.Store, Logger: parts.Log, Concurrency: options.Concurrency, Seed: options.Seed, OnEdge: options.OnEdge,
		OnEnd: local.ended,
		Invoke: func(ctx context.Context, function string, payload json.RawMessage) (json.RawMessage, error) {
			task, ok := made[function]
			if !ok {
				return nil, release.Errorf(release.Internal, "the state machine calls %q, which is no task", function)
			}
			return task.Run(ctx, payload)
		},
	})
	return local, err
}

// ended takes up a release whose execution ended without saying how.
func (l *Local) ended(e asl.Execution) {
	if err := l.Recovery().Ended(context.Background(), e.Name); err != nil {
		l.Log.Error("the end of an execution could not be handled; the sweep tries again", "execution", e.Name, "error", err)
	}
}

// localTokens resumes executions of the embedded engine.
type localTokens struct{ local *Local }

func (t localTokens) Succeed(ctx context.Context, token string) error {
	return tokenError(t.local.Engine.SendTaskSuccess(ctx, token, json.RawMessage("{}")))
}

func (t localTokens) Fail(ctx context.Context, token, name, cause string) error {
	return tokenError(t.local.Engine.SendTaskFailure(ctx, token, name, cause))
}

func tokenError(err error) error {
	if errors.Is(err, asl.ErrTaskTimedOut) || errors.Is(err, asl.ErrInvalidToken) {
		return fmt.Errorf("%w: %w", ErrTokenGone, err)
	}
	return err
}

// localExecutions starts executions of the embedded engine.
type localExecutions struct{ local *Local }

func (e localExecutions) Start(ctx context.Context, name string, input json.RawMessage) error {
	err := e.local.Engine.Start(ctx, name, input)
	if errors.Is(err, asl.ErrExecutionExists) {
		return fmt.Errorf("%w: %w", ErrExecutionExists, err)
	}
	return err
}

func (e localExecutions) Running(ctx context.Context, name string) (bool, error) {
	execution, err := e.local.Engine.Execution(ctx, name)
	if errors.Is(err, asl.ErrExecutionNotFound) {
		return false, nil
	}
	return err == nil && !execution.Status.Ended(), err
}
