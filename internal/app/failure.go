package app

import (
	"cmp"
	"context"
	"encoding/json"
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

// record keeps the first reason of a failure, with the next step that a task said or,
// for what the state machine itself caught, what is always to be done.
func record(rel *release.Release, failure *Failure, said string) {
	if failure == nil || rel.Error != "" {
		return
	}
	reason, remedy := failure.words(rel.State)
	rel.Error, rel.Remedy = capped(reason, maxReason), cmp.Or(remedy, said)
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
	case f.Error == errInterrupted:
		return f.Cause, again
	case f.said() != "":
		return f.said(), ""
	case f.Error == errSuperseded, f.Error == errRejected:
		return f.Cause, ""
	case f.Cause != "":
		return f.Error + ": " + f.Cause, ""
	}
	return f.Error, ""
}

// said is the text of a task's error; empty if the failure is none.
func (f *Failure) said() string {
	var cause struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal([]byte(f.Cause), &cause); err != nil {
		return "" // somebody else's words
	}
	return cause.Message
}

// environmentOf is the environment of a step, by its id (see [release.StepID]).
func environmentOf(stepID string) string {
	parts := strings.SplitN(stepID, "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// recorded notes what a task says when it fails and the state machine does not carry: the
// next step, and how the iteration of a Map failed. The release's record is not touched.
// The task may be one that was delivered late, and then the release goes on.
func (c *Core) recorded(task Task) Task {
	return func(ctx context.Context, in Input) (any, error) {
		out, err := task(ctx, in)
		failure := named(err, errFailed)
		if err == nil {
			return out, nil
		}
		if remedy := nextStep(err); remedy != "" {
			c.noteFailure(ctx, in, saidKey(failure.Error()), remedy)
		}
		if in.inMap() {
			c.noteFailure(ctx, in, troubleKey(in.Phase, itemOf(in.Artifact, in.Site)), newFault(err))
		}
		return out, failure
	}
}

func (c *Core) noteFailure(ctx context.Context, in Input, key string, note any) {
	if err := c.Ledger.Note(ctx, in.Release, key, note); err != nil { // the caught error tells the most of it
		c.Log.WarnContext(ctx, "a failure could not be noted", "release", in.Release, "note", note, "error", err)
	}
}

// saidKey is where the next step is noted that belongs to the text of a task's error.
func saidKey(text string) string { return "said/" + digestOf(text) }

// nextSaid is the next step that the task said whose failure was caught.
func (c *Core) nextSaid(ctx context.Context, in Input) (remedy string, err error) {
	if in.Error == nil || in.Error.said() == "" {
		return "", nil
	}
	_, err = c.Ledger.ReadNote(ctx, in.Release, saidKey(in.Error.said()), &remedy)
	return remedy, err
}
