package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/server"
)

// patience is how long a test waits for anything.
const patience = time.Minute

var client = &http.Client{Timeout: patience}

// within receives what has to come soon.
func within[T any](t *testing.T, what string, from <-chan T) (received T) {
	t.Helper()
	select {
	case received = <-from:
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
	}
	return received
}

// secrets are webhook secrets that never change.
type secrets [][]byte

func (s secrets) Secrets(context.Context, bool) ([][]byte, error) { return s, nil }

// served is a world with a server in front of it.
type served struct {
	*demo.World
	t   *testing.T
	url string
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve builds a world; change may change how it is served.
func serve(t *testing.T, registry string, change func(*server.Config)) *served {
	t.Helper()
	w, err := demo.NewWorld(t.Context(), demo.WorldOptions{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	config := server.Config{Parts: w.Local.Parts, Secrets: secrets{[]byte(demo.Secret)}, Log: discard()}
	if change != nil {
		change(&config)
	}
	s := httptest.NewServer(w.Handler(server.New(config)))
	t.Cleanup(s.Close)
	return &served{World: w, t: t, url: s.URL}
}

// asking is the world's registry with an approval for prod.
func asking() string {
	return strings.Replace(demo.Registry, "bake: 10m", "bake: 10m\n    approval: required", 1)
}

// tag makes a tag of a new commit.
func (s *served) tag(name string) {
	s.Repo.Tag(name, s.Repo.Commit("main", name, demo.Files(demo.Handler+"# "+name+"\n", "2.32.3")))
}

func (s *served) settle() {
	s.t.Helper()
	if err := s.Settle(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request. Headers come in pairs.
func (s *served) do(method, path string, body []byte, headers ...string) got {
	s.t.Helper()
	return do(s.t, method, s.url+path, bytes.NewReader(body), headers...)
}

func do(t *testing.T, method, url string, body io.Reader, headers ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := "application/json"; method != http.MethodHead && resp.Header.Get("Content-Type") != want {
		t.Errorf("%s %s: content type is %q, want %q", method, url, resp.Header.Get("Content-Type"), want)
	}
	return got{resp.StatusCode, resp.Header, text}
}

// into reads an answer's document.
func into[T any](t *testing.T, g got) (v T) {
	t.Helper()
	if err := json.Unmarshal(g.body, &v); err != nil {
		t.Fatalf("%s: %v", g.body, err)
	}
	return v
}

// signed are the headers of a delivery.
func signed(event string, body []byte) []string {
	mac := hmac.New(sha256.New, []byte(demo.Secret))
	mac.Write(body)
	return []string{
		"Content-Type", "application/json", "X-GitHub-Event", event, "X-GitHub-Delivery", "7f0a5c5e-0000-4000-8000-000000000000",
		"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	}
}
