package server

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

const (
	// maxDiscard is how much of a body that is too large is read and thrown away,
	// in bytes: many senders look for the answer only after they sent everything.
	// Whoever sends more than that finds the connection closed.
	maxDiscard = 8 << 20
	// eventTimeout ends the work on an event. GitHub waits for 10 seconds (GitHub:
	// handling webhook deliveries); what takes longer is still finished and known
	// as a duplicate when it is sent again.
	eventTimeout = 30 * time.Second
)

func (s *server) webhook(w http.ResponseWriter, r *http.Request) {
	s.take(w, r, func(ctx context.Context, body []byte) release.Answer {
		return s.hooks.Handle(ctx, webhook.Delivery{Method: r.Method, Header: r.Header, Body: body})
	})
}

func (s *server) event(w http.ResponseWriter, r *http.Request) {
	s.take(w, r, func(ctx context.Context, body []byte) release.Answer {
		mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || mediaType != "application/json" {
			return release.RejectedAnswer(release.CodeContentType,
				fmt.Sprintf("Content-Type %.80q: want application/json.", r.Header.Get("Content-Type")))
		}
		return s.events.Handle(ctx, body)
	})
}

// take reads the body of a delivery or an event and answers it. Once it is read,
// the sender may go: the work is finished.
func (s *server) take(w http.ResponseWriter, r *http.Request, handle func(context.Context, []byte) release.Answer) {
	body, answer, ok := readEvent(r)
	if ok {
		ctx, cancel := working(r, eventTimeout)
		defer cancel()
		answer = handle(ctx, body)
	}
	s.log.InfoContext(r.Context(), "an event was answered", "path", r.URL.Path, "delivery", r.Header.Get("X-GitHub-Delivery"),
		"status", answer.Status, "code", answer.Code, "reason", answer.Reason, "releases", answer.Releases)
	s.answer(w, r, answer)
}

// readEvent reads no more than one byte above the limit; ok is false if the
// answer is known already.
func readEvent(r *http.Request) (body []byte, answer release.Answer, ok bool) {
	if r.Method != http.MethodPost {
		return nil, release.RejectedAnswer(release.CodeMethod, fmt.Sprintf("Method %s: want POST.", shown(r.Method))), false
	}
	if r.ContentLength > webhook.MaxBody {
		discard(r, maxDiscard)
		return nil, tooLarge(), false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, webhook.MaxBody+1))
	switch {
	case err != nil:
		return nil, release.RejectedAnswer(release.CodeMalformed, "The body ended before it was complete."), false
	case len(body) > webhook.MaxBody:
		discard(r, maxDiscard-webhook.MaxBody)
		return nil, tooLarge(), false
	}
	return body, release.Answer{}, true
}

func tooLarge() release.Answer {
	return release.RejectedAnswer(release.CodeTooLarge, fmt.Sprintf("The body has more than the %d bytes that are read.", webhook.MaxBody))
}

// discard reads the rest of a body if that is not much, and if its sender does
// not wait to hear first whether it is wanted.
func discard(r *http.Request, limit int64) {
	if r.ContentLength <= maxDiscard && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, limit) // the answer is the same
	}
}

// limitEvents is limit with the answer that senders of events know. A release
// takes memory until it ends: with too many of them under way, nothing is read.
func (s *server) limitEvents(slots chan struct{}, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.full() {
			s.answer(w, r, release.Busy(release.CodeOverloaded, "Too many releases have not ended yet; send it again."))
			return
		}
		if !take(slots) {
			s.answer(w, r, release.Busy(release.CodeOverloaded,
				fmt.Sprintf("The server works on %d events already; send it again.", cap(slots))))
			return
		}
		defer free(slots)
		next(w, r)
	}
}
