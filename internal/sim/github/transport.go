package github

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"
)

// Fault is what goes wrong with one request. The zero Fault is none.
type Fault struct {
	// Delay passes first.
	Delay time.Duration
	// Err, when set, is a network error: nothing is performed.
	Err error
	// Status, when set, is the answer's status: nothing is performed. Header
	// and Body go with it.
	Status int
	Header http.Header
	Body   string
	// LoseAnswer performs the request and breaks the connection instead of answering.
	LoseAnswer bool
	// Hang passes between the request and its answer, if the caller has so much time.
	Hang time.Duration
}

// errAnswerLost is what the caller sees of a connection that broke after the request.
var errAnswerLost = errors.New("read: connection reset by peer")

// OnRequest sets a function that decides the fault of each request, before the
// request is authenticated. It is called without locks held, so it may look at
// and change the server; nil removes it.
func (s *Server) OnRequest(decide func(*http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = decide
}

// Client makes an http.Client whose requests are answered in the caller's
// goroutine, without sockets, whatever their host: api.github.com and the hosts
// of archives and assets as at GitHub, any other as GitHub Enterprise.
func (s *Server) Client() *http.Client { return &http.Client{Transport: transport{s}} }

type transport struct{ server *Server }

var _ http.RoundTripper = transport{}

// RoundTrip answers a request as a server does that is one network away.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	inner := req.Clone(req.Context())
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	defer inner.Body.Close()
	inner.Host, inner.RequestURI = req.URL.Host, req.URL.RequestURI()
	a, err := t.server.answer(inner)
	if err != nil {
		return nil, err
	}
	return a.response(req), nil
}

// ServeHTTP answers a request that came over a socket.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a, err := s.answer(req)
	if err != nil {
		hangUp(w)
		return
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // a caller that went away needs no answer
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_ = conn.Close() // it is meant to break
}

// answer decides the fault and performs the request; an error is a broken connection.
func (s *Server) answer(req *http.Request) (*answer, error) {
	fault := s.fault(req)
	if fault.Delay > 0 {
		_ = s.clock.Sleep(req.Context(), fault.Delay) // the context is asked next
	}
	if err := req.Context().Err(); err != nil {
		return nil, err // the caller has gone
	}
	if fault.Err != nil {
		return nil, fault.Err
	}
	if fault.Status != 0 {
		return fault.answer(), nil
	}
	a := newAnswer()
	s.route(a, req)
	if fault.Hang > 0 && s.clock.Sleep(req.Context(), fault.Hang) != nil {
		return nil, req.Context().Err()
	}
	if fault.LoseAnswer {
		return nil, errAnswerLost
	}
	return a, nil
}

func (s *Server) fault(req *http.Request) Fault {
	s.mu.Lock()
	decide := s.onRequest
	s.mu.Unlock()
	if decide == nil {
		return Fault{}
	}
	return decide(req)
}

func (f Fault) answer() *answer {
	a := newAnswer()
	a.header.Set("Content-Type", "application/json; charset=utf-8")
	for name, values := range f.Header {
		a.header[name] = values
	}
	a.WriteHeader(f.Status)
	a.body.WriteString(f.Body)
	return a
}

// answer is a response as it is being written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*answer)(nil)

func newAnswer() *answer { return &answer{header: http.Header{}, status: http.StatusOK} }

// Header is the response's header.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write adds to the body.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) response(req *http.Request) *http.Response {
	return &http.Response{
		Status:        http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(&a.body),
		ContentLength: int64(a.body.Len()),
		Request:       req,
	}
}
