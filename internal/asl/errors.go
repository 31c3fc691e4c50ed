package asl

import "errors"

// Errors of an engine, wrapped.
var (
	// ErrTaskTimedOut: the token's task has ended, or its execution has.
	ErrTaskTimedOut = errors.New("asl: the task of this token is over")
	// ErrInvalidToken: no task has such a token; also one from before a restart.
	ErrInvalidToken = errors.New("asl: the token is not that of a task")
	// ErrInvalidOutput: a task's output is not JSON, or too large.
	ErrInvalidOutput = errors.New("asl: the output is not valid")
	// ErrClosed: the engine takes no more steps.
	ErrClosed = errors.New("asl: the engine is closed")
)
