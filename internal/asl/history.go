package asl

import (
	"encoding/json"
	"time"
)

// historyLimit is the most events that an execution may have (Step Functions
// quotas, "Maximum execution history size").
const historyLimit = 25_000

// EventType is what happened, by the name that Step Functions has for it.
type EventType string

// The types of events that an execution itself has; those of states are made of
// the state's type: TaskStateEntered, WaitStateExited.
const (
	ExecutionStarted   EventType = "ExecutionStarted"
	ExecutionSucceeded EventType = "ExecutionSucceeded"
	ExecutionFailed    EventType = "ExecutionFailed"
	ExecutionTimedOut  EventType = "ExecutionTimedOut"
	ExecutionAborted   EventType = "ExecutionAborted"

	TaskScheduled EventType = "TaskScheduled"
	TaskStarted   EventType = "TaskStarted"
	TaskSubmitted EventType = "TaskSubmitted"
	TaskSucceeded EventType = "TaskSucceeded"
	TaskFailed    EventType = "TaskFailed"
	TaskTimedOut  EventType = "TaskTimedOut"

	MapStateStarted       EventType = "MapStateStarted"
	MapStateSucceeded     EventType = "MapStateSucceeded"
	MapStateFailed        EventType = "MapStateFailed"
	MapIterationStarted   EventType = "MapIterationStarted"
	MapIterationSucceeded EventType = "MapIterationSucceeded"
	MapIterationFailed    EventType = "MapIterationFailed"
	MapIterationAborted   EventType = "MapIterationAborted"
)

func entered(kind string) EventType { return EventType(kind + "StateEntered") }
func exited(kind string) EventType  { return EventType(kind + "StateExited") }
func aborted(kind string) EventType { return EventType(kind + "StateAborted") }

// Event is one entry of an execution's history (Step Functions,
// GetExecutionHistory). Which details are there depends on the type.
type Event struct {
	ID       int64     `json:"id"`
	Previous int64     `json:"previousEventId"`
	Type     EventType `json:"type"`
	Time     time.Time `json:"timestamp"`
	// State is the name of the state, of the Map for an iteration.
	State string `json:"state,omitempty"`
	// Index is that of a Map's iteration, Length the number of its items.
	Index  int `json:"index,omitempty"`
	Length int `json:"length,omitempty"`
	// Input is that of the execution or the state, or the Parameters of a task.
	Input  json.RawMessage `json:"input,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
	Cause  string          `json:"cause,omitempty"`
}
