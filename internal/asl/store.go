package asl

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"
)

// Status is where an execution stands, by Step Functions' names.
type Status string

// The statuses; all but StatusRunning are ends.
const (
	StatusRunning   Status = "RUNNING"
	StatusSucceeded Status = "SUCCEEDED"
	StatusFailed    Status = "FAILED"
	StatusTimedOut  Status = "TIMED_OUT"
	StatusAborted   Status = "ABORTED"
)

// Ended tells whether nothing more will happen.
func (s Status) Ended() bool { return s != StatusRunning }

// Execution is one run of the state machine.
type Execution struct {
	Name   string          `json:"name"`
	Status Status          `json:"status"`
	Input  json.RawMessage `json:"input"`
	// Output is there when it succeeded.
	Output json.RawMessage `json:"output,omitempty"`
	// Error and Cause tell why it failed, timed out or was aborted.
	Error   string    `json:"error,omitempty"`
	Cause   string    `json:"cause,omitempty"`
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped,omitzero"`
	// State is the current or the last top-level state.
	State string `json:"state"`
}

// Checkpoint is all that is needed to take an execution up again.
type Checkpoint struct {
	Execution Execution `json:"execution"`
	// StateInput is the input of Execution.State.
	StateInput json.RawMessage `json:"stateInput,omitempty"`
	// LastEvent is the id of the last event of the history.
	LastEvent int64 `json:"lastEvent"`
	// Resumes is how often the execution was taken up again.
	Resumes int `json:"resumes,omitempty"`
	// Events are those since the checkpoint before. They belong to the history;
	// Load gives none.
	Events []Event `json:"events,omitempty"`
}

// Errors that a Store reports, wrapped or as they are.
var (
	ErrExecutionExists   = errors.New("asl: the execution exists already")
	ErrExecutionNotFound = errors.New("asl: there is no such execution")
)

// Store keeps executions and their histories. What a method has written is
// durable when it returns nil; when it returns an error, all of it may have been
// written or nothing, but never a part. Its methods are called concurrently, for
// one execution one after the other, and must not wait on the engine's clock.
type Store interface {
	// Create writes the first checkpoint of an execution, or fails with
	// ErrExecutionExists and changes nothing.
	Create(ctx context.Context, c Checkpoint) error
	// Save replaces the checkpoint and appends its events to the history. It fails
	// with ErrExecutionNotFound for an execution that was never created. A
	// checkpoint whose events are stored already replaces them.
	Save(ctx context.Context, c Checkpoint) error
	// Load reads the last checkpoint, without events, or fails with
	// ErrExecutionNotFound.
	Load(ctx context.Context, name string) (Checkpoint, error)
	// Unfinished are the names of the executions that are RUNNING, sorted.
	Unfinished(ctx context.Context) ([]string, error)
	// History reads the events in the order of their ids, or fails with
	// ErrExecutionNotFound.
	History(ctx context.Context, name string) ([]Event, error)
}

// MemoryStore is a Store that forgets everything with the process.
type MemoryStore struct {
	mu         sync.Mutex
	executions map[string]*memoryExecution
}

type memoryExecution struct {
	checkpoint Checkpoint
	events     []Event
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore makes an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{executions: map[string]*memoryExecution{}}
}

// Create implements [Store].
func (s *MemoryStore) Create(ctx context.Context, c Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := s.executions[c.Execution.Name]; ok {
		return ErrExecutionExists
	}
	stored := &memoryExecution{}
	stored.put(c)
	s.executions[c.Execution.Name] = stored
	return nil
}

// Save implements [Store].
func (s *MemoryStore) Save(ctx context.Context, c Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	stored, ok := s.executions[c.Execution.Name]
	if !ok {
		return ErrExecutionNotFound
	}
	stored.put(c)
	return nil
}

// put keeps the checkpoint; events that are there already are replaced.
func (m *memoryExecution) put(c Checkpoint) {
	if len(c.Events) > 0 {
		first, _ := slices.BinarySearchFunc(m.events, c.Events[0].ID, func(e Event, id int64) int { return int(e.ID - id) })
		m.events = append(m.events[:first], c.Events...)
	}
	c.Events = nil
	m.checkpoint = c
}

// Load implements [Store].
func (s *MemoryStore) Load(ctx context.Context, name string) (Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, ok := s.executions[name]
	if !ok {
		return Checkpoint{}, ErrExecutionNotFound
	}
	return stored.checkpoint, ctx.Err()
}

// Unfinished implements [Store].
func (s *MemoryStore) Unfinished(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, stored := range s.executions {
		if !stored.checkpoint.Execution.Status.Ended() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, ctx.Err()
}

// History implements [Store].
func (s *MemoryStore) History(ctx context.Context, name string) ([]Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, ok := s.executions[name]
	if !ok {
		return nil, ErrExecutionNotFound
	}
	return slices.Clone(stored.events), ctx.Err()
}
