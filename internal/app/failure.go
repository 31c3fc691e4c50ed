package app

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/release"
)

const (
	// maxReason is how much of a failure's text is kept, in bytes. A state of
	// Step Functions holds 256 KiB and an item of DynamoDB 400 KB, and both have
	// other things to hold as well.
	maxReason = 8 << 10
	// maxStepReason is the same for one step: the results of all steps of a site
	// are one item.
	maxStepReason = 1 << 10
)

// capped cuts a text to a limit of bytes, between two runes.
func capped(text string, limit int) string {
	const more = "… (cut)"
	if len(text) <= limit {
		return text
	}
	cut := limit - len(more)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}

// nextStep is what a person can do about an error: what the error says or, for
// wrong input, what is always to be done.
func nextStep(err error) string {
	remedy := release.RemedyOf(err)
	if remedy != "" {
		return capped(remedy, maxReason)
	}
	switch release.KindOf(err) {
	case release.Invalid:
		return "Correct it, then release it as a new version."
	case release.Denied:
		return "Leave it out and release that as a new version, or have it allowed and release again with --retry."
	}
	return ""
}

// record keeps the first reason of a failure. What a task said was recorded by
// the task; what the state machine itself caught is put into words here.
func record(rel *release.Release, failure *Failure) {
	if failure == nil || rel.Error != "" {
		return
	}
	reason, remedy := failure.words(rel.State)
	rel.Error, rel.Remedy = capped(reason, maxReason), remedy
}

// words says what was caught in a state of the release.
func (f *Failure) words(state release.State) (reason, remedy string) {
	const again = "Release it again with --retry."
	switch {
	case f.Error == errTimeout && state == release.WaitingApproval:
		return "nobody approved or rejected it in time", again
	case f.Error == errTimeout && state == release.Waiting:
		return "the lease of the environment did not become free in time", "See who holds it, then release again with --retry."
	case f.Error == errTimeout:
		return "a task did not answer in time", again
	case f.Error == errSuperseded, f.Error == errRejected:
		return f.Cause, ""
	case f.Error == errInterrupted:
		return f.Cause, again
	}
	var cause struct {
		Message string `json:"errorMessage"`
	}
	switch {
	case json.Unmarshal([]byte(f.Cause), &cause) == nil && cause.Message != "":
		return cause.Message, ""
	case f.Cause != "":
		return f.Error + ": " + f.Cause, ""
	}
	return f.Error, ""
}

// environmentOf is the environment of a step, by its id (see [release.StepID]).
func environmentOf(stepID string) string {
	parts := strings.SplitN(stepID, "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// recorded keeps the reason of a failure and its remedy in the release's
// record: the state machine carries only the error's text.
func (c *Core) recorded(task Task) Task {
	return func(ctx context.Context, in Input) (any, error) {
		out, err := task(ctx, in)
		failure := named(err, errFailed)
		var name *TaskError
		if !errors.As(failure, &name) {
			return out, failure
		}
		if name.Name == errTransient {
			c.noteTrouble(ctx, in, err)
			return out, failure
		}
		_, recordErr := c.Ledger.Update(ctx, in.Release, in.Execution, func(rel *release.Release) error {
			if rel.Error == "" {
				rel.Error, rel.Remedy = capped(err.Error(), maxReason), nextStep(err)
			}
			return nil
		})
		if recordErr != nil { // the caught error tells it too, without the remedy
			c.Log.WarnContext(ctx, "a failure could not be recorded", "release", in.Release, "error", recordErr)
		}
		return out, failure
	}
}

// noteTrouble keeps a transient error of an iteration for the tally.
func (c *Core) noteTrouble(ctx context.Context, in Input, trouble error) {
	if in.Phase == "" {
		return
	}
	key := troubleKey(in.Phase, itemOf(in.Artifact, in.Site))
	if err := c.Ledger.Note(ctx, in.Release, key, newFault(trouble)); err != nil {
		c.Log.WarnContext(ctx, "a transient error could not be noted", "release", in.Release, "trouble", trouble, "error", err)
	}
}
