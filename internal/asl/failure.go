package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// The error names of the States Language that the engine itself reports.
const (
	errorAll               = "States.ALL"
	errorTaskFailed        = "States.TaskFailed"
	errorTimeout           = "States.Timeout"
	errorHeartbeat         = "States.HeartbeatTimeout"
	errorRuntime           = "States.Runtime"
	errorDataLimit         = "States.DataLimitExceeded"
	errorNoChoice          = "States.NoChoiceMatched"
	errorResultPath        = "States.ResultPathMatchFailure"
	errorLambdaUnknown     = "Lambda.Unknown"
	historyLimitReached    = "The execution reached the maximum number of history events (25000)."
	dataLimitExceededCause = "The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit."
)

// errorNames are the names under "States." that Retry and Catch may list.
// States.Runtime is left out: nothing retries or catches it.
var errorNames = []string{
	errorAll, errorTaskFailed, errorTimeout, errorHeartbeat, errorDataLimit, errorNoChoice, errorResultPath,
	"States.Permissions", "States.ParameterPathFailure", "States.IntrinsicFailure", "States.BranchFailed",
	"States.ExceedToleratedFailureThreshold", "States.ItemReaderFailed", "States.ResultWriterFailed", "States.Http.Socket",
}

// errGone is returned by a step whose scope is over: it was abandoned, stopped
// or timed out, or the engine was closed. Nothing more may come of it.
var errGone = errors.New("asl: the step is no longer wanted")

// failure is an error of the States Language: what Retry and Catch look at and
// what an execution fails with.
type failure struct {
	name  string
	cause string
	// heartbeat tells that a States.Timeout is one of heartbeats.
	heartbeat bool
}

func (f *failure) Error() string { return f.name + ": " + f.cause }

// runtimeFailure is a States.Runtime: the definition does not fit the data.
func runtimeFailure(format string, args ...any) *failure {
	return &failure{name: errorRuntime, cause: fmt.Sprintf(format, args...)}
}

func dataLimitFailure(what string) *failure {
	return &failure{name: errorDataLimit, cause: fmt.Sprintf(dataLimitExceededCause, what)}
}

// asFailure is err as a failure; errGone and what else may come stays as it is.
func asFailure(err error) (*failure, bool) {
	var f *failure
	ok := errors.As(err, &f)
	return f, ok
}

// output is what a Catch hands on.
func (f *failure) output() map[string]any {
	var name any
	if f.name != "" {
		name = f.name
	}
	return map[string]any{"Error": name, "Cause": f.cause}
}

// matches tells whether an ErrorEquals covers the failure. States.Runtime is
// covered by nothing, States.DataLimitExceeded by its own name only (developer
// guide, "Handling errors").
func (f *failure) matches(names []string) bool {
	if f.name == errorRuntime {
		return false
	}
	return slices.ContainsFunc(names, f.matchesName)
}

func (f *failure) matchesName(name string) bool {
	switch name {
	case f.name:
		return true
	case errorAll:
		return f.name != errorDataLimit
	case errorTaskFailed:
		return f.name != errorTimeout && f.name != errorDataLimit
	case errorHeartbeat:
		return f.heartbeat
	}
	return false
}

// namedError is an error of a task that has a name in the States Language.
type namedError interface{ ErrorName() string }

// invokeFailure is a function's error the way Lambda hands it to Step
// Functions: the name, and a JSON document as the cause.
func invokeFailure(err error) *failure {
	name := errorLambdaUnknown
	var named namedError
	if errors.As(err, &named) && named.ErrorName() != "" {
		name = named.ErrorName()
	}
	cause, encodeErr := encode(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{err.Error(), name})
	if encodeErr != nil {
		cause = json.RawMessage(err.Error())
	}
	return &failure{name: name, cause: string(cause)}
}
