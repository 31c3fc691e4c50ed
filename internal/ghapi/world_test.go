package ghapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

const (
	repoID = 186853002
	secret = "not-a-real-token-0123456789"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a GitHub with one repository of two commits on main, and a client of it.
type world struct {
	clock         *clock.Virtual // the server's
	server        *github.Server
	repo          *github.Repository
	client        *ghapi.Client
	config        ghapi.Config // the client's
	first, second string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	v := clock.NewVirtual(start, 0)
	server := github.New(v)
	server.SetToken(secret)
	w := &world{clock: v, server: server, repo: server.AddRepository(repoID, "acme/orders")}
	w.first = w.repo.Commit("main", "first", github.Files{"tagboat.yaml": github.Text("app: orders\n")})
	w.second = w.repo.Commit("main", "second", github.Files{
		"tagboat.yaml":  github.Text("app: orders\n"),
		"src/app.py":    github.Text("print('hello')\n"),
		"src/a b%2F#?c": github.Text("odd\n"),
		"bin/run":       {Content: []byte("#!/bin/sh\n"), Mode: github.Executable},
		"link.yaml":     {Content: []byte("tagboat.yaml"), Mode: github.Symlink},
		"dangling":      {Content: []byte("nowhere"), Mode: github.Symlink},
		"large":         {Content: make([]byte, ghapi.MaxFile+1)},
		"full":          {Content: make([]byte, ghapi.MaxFile)},
	})
	w.config = ghapi.Config{
		BaseURL: ghapi.DefaultBaseURL,
		Token:   ghapi.StaticToken(secret + "\n"),
		HTTP:    server.Client(),
		Clock:   clock.NewVirtual(start, 0),
	}
	w.connect(t)
	return w
}

// connect makes the client anew from the config.
func (w *world) connect(t *testing.T) {
	t.Helper()
	client, err := ghapi.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
}

// listen serves the handler on a socket, as GitHub Enterprise does, and connects the client to it.
func (w *world) listen(t *testing.T, handler http.Handler) {
	t.Helper()
	socket := httptest.NewServer(handler)
	t.Cleanup(socket.Close)
	w.config.BaseURL = socket.URL + "/api/v3"
	w.config.HTTP = socket.Client()
	w.connect(t)
}

// everywhere runs a test in process, where archives and assets have hosts of
// their own, and over a socket with a path before the API.
func everywhere(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("in process", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("over a socket", func(t *testing.T) {
		w := newWorld(t)
		w.listen(t, w.server)
		test(t, w)
	})
}

// expect checks an error's kind; "" is no error. It tells whether to go on.
func expect(t *testing.T, err error, kind release.Kind) bool {
	t.Helper()
	switch {
	case kind == "" && err != nil:
		t.Errorf("got error %q, want none", err)
	case kind != "" && err == nil:
		t.Errorf("got no error, want kind %q", kind)
	case kind != "" && release.KindOf(err) != kind:
		t.Errorf("got kind %q (%v), want %q", release.KindOf(err), err, kind)
	}
	return err == nil && kind == ""
}

// on answers requests whose path contains a part with a fault.
func on(part string, fault github.Fault) func(*http.Request) github.Fault {
	return func(req *http.Request) github.Fault {
		if strings.Contains(req.URL.Path, part) {
			return fault
		}
		return github.Fault{}
	}
}
