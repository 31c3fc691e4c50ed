package cli

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/server"
)

// stack answers as tagboat serve does, for an installed stack: the same handler
// in this process, on the stack's table, bucket and state machine, with the
// caller's own AWS credentials.
type stack struct {
	name, region string
	log          *slog.Logger

	once    sync.Once
	handler http.Handler
	err     error
}

var _ http.RoundTripper = (*stack)(nil)

// RoundTrip finds the stack at the first request.
func (s *stack) RoundTrip(r *http.Request) (*http.Response, error) {
	s.once.Do(func() {
		var parts *app.Parts
		if parts, s.err = app.StackParts(r.Context(), s.name, s.region, s.log); s.err == nil {
			s.handler = server.New(server.Config{Parts: parts, Log: s.log})
		}
	})
	if s.err != nil {
		return nil, s.err
	}
	r.Host = r.URL.Host
	answer := &answer{header: http.Header{}, status: http.StatusOK}
	s.handler.ServeHTTP(answer, r)
	return &http.Response{
		StatusCode: answer.status, Header: answer.header, Body: io.NopCloser(&answer.body), Request: r,
	}, nil
}

// answer keeps what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header            { return a.header }
func (a *answer) WriteHeader(status int)         { a.status = status }
func (a *answer) Write(text []byte) (int, error) { return a.body.Write(text) }
