package asl

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// newToken makes a task's token: the execution's name, which of its visits the
// task belongs to, and random bytes that cannot be guessed.
func (r *run) newToken(event int64) string {
	visit := strconv.Itoa(r.resumes) + "." + strconv.FormatInt(event, 10)
	return base64.RawURLEncoding.EncodeToString([]byte(r.name)) + "." + visit + "." + hex.EncodeToString(r.randomBytes(16))
}

// executionOfToken is the name of the execution that a token speaks of.
func executionOfToken(token string) (string, bool) {
	encoded, _, ok := strings.Cut(token, ".")
	name, err := base64.RawURLEncoding.DecodeString(encoded)
	return string(name), ok && err == nil && executionName.Match(name)
}

func (r *run) openToken(w *wait) {
	if w.token == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[w.token] = w
}

func (r *run) closeToken(w *wait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.settled = true
	if w.token != "" {
		delete(r.open, w.token)
		r.closed[w.token] = true
	}
}

// SendTaskSuccess ends the task of a token with an output. It may come before
// the function that was given the token has returned.
func (e *Engine) SendTaskSuccess(ctx context.Context, token string, output json.RawMessage) error {
	doc, err := parseDocument(output)
	if err != nil || len(output) == 0 {
		return release.Errorf(release.Invalid, "the task's output is not JSON: %w", ErrInvalidOutput)
	}
	if len(doc.raw) > dataLimit {
		return release.Errorf(release.Invalid, "the task's output has %d bytes, want at most %d: %w", len(doc.raw), dataLimit, ErrInvalidOutput)
	}
	return e.send(ctx, token, func(w *wait) bool { return w.answerLocked(doc.value, nil) })
}

// SendTaskFailure fails the task of a token by an error name.
func (e *Engine) SendTaskFailure(ctx context.Context, token, errorName, cause string) error {
	return e.send(ctx, token, func(w *wait) bool {
		return w.answerLocked(nil, &failure{name: errorName, cause: cause})
	})
}

// SendTaskHeartbeat tells that the task of a token is alive: its
// HeartbeatSeconds begin again.
func (e *Engine) SendTaskHeartbeat(ctx context.Context, token string) error {
	return e.send(ctx, token, func(w *wait) bool {
		w.beat = e.clock.Now()
		return !w.settled && !w.scope.over
	})
}

func (w *wait) answerLocked(result any, failed *failure) bool {
	w.submitLocked()
	return w.settleLocked(result, failed)
}

// send finds the wait of a token and lets f, which is called with run.mu held,
// do something to it; f returns false if it is over.
func (e *Engine) send(ctx context.Context, token string, f func(*wait) bool) error {
	name, ok := executionOfToken(token)
	if !ok {
		return e.invalidToken()
	}
	r := e.find(name)
	if r == nil {
		return e.tokenOfNobody(ctx, name)
	}
	r.mu.Lock()
	w, open := r.open[token]
	known := open || r.closed[token]
	done := open && f(w)
	settled := done && w.settled
	r.mu.Unlock()
	switch {
	case settled:
		w.signal.Fire()
		return nil
	case done:
		return nil
	case known:
		return taskTimedOut(name)
	}
	return e.invalidToken()
}

// tokenOfNobody judges a token whose execution does not run here.
func (e *Engine) tokenOfNobody(ctx context.Context, name string) error {
	cp, err := e.store.Load(ctx, name)
	switch {
	case errors.Is(err, ErrExecutionNotFound):
		return e.invalidToken()
	case err != nil:
		return e.readError(name, err)
	case cp.Execution.Status.Ended():
		return taskTimedOut(name)
	}
	if err := e.write(func() error { return nil }); err != nil {
		return err
	}
	return e.invalidToken()
}

func (e *Engine) invalidToken() error {
	return release.Errorf(release.Invalid, "nobody waits for this token: %w", ErrInvalidToken)
}

func taskTimedOut(name string) error {
	return release.Errorf(release.Conflict, "execution %q does not wait for this token any more: %w", name, ErrTaskTimedOut)
}
