package release

import (
	"errors"
	"fmt"
)

// Kind is what a caller can do about an error.
type Kind string

// The kinds of errors. What is none of them is internal: a bug or a broken store.
const (
	// Invalid: the input is wrong; the same input fails again.
	Invalid Kind = "invalid"
	// Denied: a role, a policy or the registry forbids it.
	Denied Kind = "denied"
	// NotFound: the object is not there.
	NotFound Kind = "not_found"
	// Conflict: somebody else changed, holds or owns the object.
	Conflict Kind = "conflict"
	// Transient: the same call may succeed later.
	Transient Kind = "transient"
	// Internal: nothing the caller can act on.
	Internal Kind = "internal"
)

// Error is an error with its kind and, for the person who reads it, the next step.
type Error struct {
	Kind Kind
	// Message names the object, what was expected and what was found.
	Message string
	// Remedy is the next step, a sentence; empty if there is none to tell.
	Remedy string
	// Cause is what a lower layer said, if anything.
	Cause error
}

// Errorf makes an error of a kind. A %w in the format becomes its cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: wrapped.Error(), Cause: errors.Unwrap(wrapped)}
}

// WithRemedy adds the next step.
func (e *Error) WithRemedy(format string, args ...any) *Error {
	e.Remedy = fmt.Sprintf(format, args...)
	return e
}

// Error is the message. The cause's text is part of it already where it was formatted with %w.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf is the kind of the first [Error] in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// NextStep is the remedy of an error or, if it has none, what can be done about
// its kind: nobody is left with what went wrong alone.
func NextStep(err error) string {
	if remedy := RemedyOf(err); remedy != "" {
		return remedy
	}
	switch KindOf(err) {
	case Invalid:
		return "Correct what the message names, and try again."
	case Denied:
		return "Have it allowed: the registry says who may release what where, and IAM what each role may do."
	case NotFound:
		return "Check the name: tagboat status and tagboat releases tell what there is."
	case Conflict:
		return "Look at how it is now, with tagboat releases and tagboat status, then try again if it is still wanted."
	case Transient:
		return "Try again in a while."
	}
	return "Try again. If it goes on, look into the log, and report it with the answer of tagboat version."
}

// RemedyOf is the first remedy in err's chain.
func RemedyOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Remedy != "" {
			return e.Remedy
		}
		err = e.Cause
	}
	return ""
}
