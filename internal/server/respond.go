package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
)

// retryAfter is what a sender that is asked to come again is told to wait, in seconds.
const retryAfter = "30"

// Problem is the answer to what cannot be done.
type Problem struct {
	Error  string       `json:"error"`
	Remedy string       `json:"remedy,omitempty"`
	Kind   release.Kind `json:"kind"`
}

// write answers with a JSON document.
func (s *server) write(w http.ResponseWriter, r *http.Request, status int, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		s.log.ErrorContext(r.Context(), "an answer could not be written", "path", r.URL.Path, "error", err)
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written","kind":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}

// reply answers with a document, or with what went wrong.
func (s *server) reply(w http.ResponseWriter, r *http.Request, document any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, document)
}

// fail answers with what went wrong.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	if status >= http.StatusInternalServerError {
		s.log.ErrorContext(r.Context(), "a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	s.write(w, r, status, Problem{Error: err.Error(), Remedy: release.NextStep(err), Kind: release.KindOf(err)})
}

func statusOf(err error) int {
	if errors.Is(err, errNoToken) {
		return http.StatusUnauthorized
	}
	switch release.KindOf(err) {
	case release.Invalid:
		return http.StatusBadRequest
	case release.Denied:
		return http.StatusForbidden
	case release.NotFound:
		return http.StatusNotFound
	case release.Conflict:
		return http.StatusConflict
	case release.Transient:
		return http.StatusServiceUnavailable
	}
	if errors.Is(err, app.ErrTokenGone) {
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// answer answers a delivery, an event or an order.
func (s *server) answer(w http.ResponseWriter, r *http.Request, a release.Answer) {
	if a.Status == release.AnswerBusy {
		w.Header().Set("Retry-After", retryAfter)
	}
	if a.Code == release.CodeMethod {
		w.Header().Set("Allow", http.MethodPost)
	}
	s.write(w, r, a.HTTPStatus(), a)
}

// shown cuts what a caller chose before it is repeated.
func shown(text string) string { return fmt.Sprintf("%.40q", text) }
