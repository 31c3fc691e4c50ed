package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// locked is a buffer for several goroutines.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serving is a running tagboat serve.
type serving struct {
	url    string
	stop   context.CancelFunc
	ended  chan int
	stderr *locked
}

// start runs serve until it is ready.
func start(t *testing.T, env map[string]string, args ...string) *serving {
	t.Helper()
	return startAt(t, clock.System{}, env, args...)
}

// startAt is start with a clock.
func startAt(t *testing.T, c clock.Clock, env map[string]string, args ...string) *serving {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), lifetime)
	s := &serving{stop: stop, ended: make(chan int, 1), stderr: &locked{}}
	reader, stdout := io.Pipe()
	go func() {
		s.ended <- run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), IO{
			Stdout: stdout, Stderr: s.stderr, Clock: c, Getenv: func(name string) string { return env[name] },
		})
		_ = stdout.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "tagboat is ready on ")
	if err != nil || !ready {
		t.Fatalf("serve says %q (%v): %s", line, err, s.stderr)
	}
	s.url = url
	t.Cleanup(stop)
	return s
}

// end stops it as SIGTERM does, and wants it to end well.
func (s *serving) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case code := <-s.ended:
		if code != 0 {
			t.Errorf("serve exits with %d, want 0: %s", code, s.stderr)
		}
	case <-time.After(longest):
		t.Fatalf("serve does not end: %s", s.stderr)
	}
}

// secrets is the environment that every start needs.
func secrets() map[string]string {
	return map[string]string{"TAGBOAT_WEBHOOK_SECRET": demo.Secret, "GITHUB_TOKEN": demo.Token, "GITHUB_API_URL": "http://127.0.0.1:1"}
}

// registryFile is the demo's registry in a file.
func registryFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "registry.yaml")
	if err := os.WriteFile(name, []byte(demo.Registry), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestServeTakesTheRegistryFromWhereverItIs(t *testing.T) {
	b := newBuckets(t)
	b.put("tagboat-state/config/registry.yaml", demo.Registry)
	b.put("tagboat-registries/registry.yaml", demo.Registry)
	for name, registry := range map[string]string{
		"a file": registryFile(t), "the state bucket": "s3://tagboat-state/config/registry.yaml", "another bucket": "s3://tagboat-registries/registry.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, secrets(), "--registry", registry, "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db"))
			defer s.end(t)
			resp, err := impatient.Get(s.url + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("/healthz answers %d", resp.StatusCode)
			}
			code, _, stderr := against(t, t.Context(), s.url, "plan", "--app", "billing", "--tag", "v1.0.0")
			if code != 2 || !strings.Contains(stderr, `it has "orders"`) {
				t.Errorf("an order for another app: got %d and %q", code, stderr)
			}
		})
	}
}

func TestServeDoesNotStartOnWhatCannotWork(t *testing.T) {
	b := newBuckets(t)
	b.put("tagboat-state/bad.yaml", "apps: 1")
	registry := registryFile(t)
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	if err := os.WriteFile(foreign, []byte("somebody else's"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := httptest.NewServer(b)
	defer used.Close()
	tests := []struct {
		name, says string
		args       []string
	}{
		{"a bucket that is not there", `bucket "nowhere" cannot be reached`, []string{"--registry", registry, "--bucket", "nowhere"}},
		{"a bucket without versions", `bucket "tagboat-plain" is not versioned`, []string{"--registry", registry, "--bucket", "tagboat-plain"}},
		{
			"an uploads bucket without versions", `bucket "tagboat-plain" is not versioned`,
			[]string{"--registry", registry, "--bucket", "tagboat-state", "--uploads-bucket", "tagboat-plain"},
		},
		{"a registry that is not there", "s3://tagboat-state/none.yaml", []string{"--registry", "s3://tagboat-state/none.yaml", "--bucket", "tagboat-state"}},
		{"a registry that is wrong", "bad.yaml:1:", []string{"--registry", "s3://tagboat-state/bad.yaml", "--bucket", "tagboat-state"}},
		{"another program's state", "is not a state file", []string{"--registry", registry, "--bucket", "tagboat-state", "--state", foreign}},
		{
			"an address in use", "address already in use",
			[]string{"--registry", registry, "--bucket", "tagboat-state", "--listen", strings.TrimPrefix(used.URL, "http://")},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			env := secrets()
			env["TAGBOAT_STATE"], env["TAGBOAT_LISTEN"] = filepath.Join(t.TempDir(), "state.db"), "127.0.0.1:0"
			code := run(t.Context(), append([]string{"serve"}, test.args...), IO{
				Stdout: &stdout, Stderr: &stderr, Clock: clock.System{}, Getenv: func(name string) string { return env[name] },
			})
			if code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), test.says) || !strings.Contains(stderr.String(), "\n  next: ") {
				t.Errorf("got %d, %q and %q, want 2, %q and the next step", code, &stdout, &stderr, test.says)
			}
		})
	}
}

// hub is a GitHub with v1.0.0; while it is away, requests hang until the caller gives up.
type hub struct {
	*github.Server
	away    sync.Mutex
	arrived chan struct{}
	hanging bool
	// refuses is true if every tag is refused at once; one that is not found would be asked for again for some time.
	refuses bool
}

// refusing is a hub whose tags end their releases at once.
func refusing() *hub {
	h := newHub()
	h.refuses = true
	return h
}

func newHub() *hub {
	h := &hub{Server: github.New(clock.System{}), arrived: make(chan struct{}, 100)}
	h.SetToken(demo.Token)
	h.SetSecret(demo.Secret)
	repo := h.AddRepository(demo.RepositoryID, demo.RepositoryName)
	repo.Tag("v1.0.0", repo.Commit("main", "first", demo.Files(demo.Handler, "2.32.3")))
	return h
}

func (h *hub) hang(hanging bool) {
	h.away.Lock()
	defer h.away.Unlock()
	h.hanging = hanging
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.away.Lock()
	hanging := h.hanging
	h.away.Unlock()
	if hanging {
		if !strings.Contains(r.URL.Path, "/matching-refs/") { // the schedule's, not a release's
			h.arrived <- struct{}{}
		}
		<-r.Context().Done()
		return
	}
	if h.refuses && strings.Contains(r.URL.Path, "/git/ref/") {
		http.Error(w, `{"message": "Validation Failed"}`, http.StatusUnprocessableEntity)
		return
	}
	h.Server.ServeHTTP(w, r)
}

func TestServeTakesUpWhatItLeft(t *testing.T) {
	newBuckets(t)
	h := newHub()
	gh := httptest.NewServer(h)
	defer gh.Close()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	args := []string{"--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db")}

	h.hang(true)
	first := start(t, env, args...)
	id := deliver(t, first.url, h.Push(h.Repository(demo.RepositoryName), "v1.0.0"))
	select {
	case <-h.arrived: // the release asks GitHub for its tag
	case <-time.After(longest):
		t.Fatalf("release %s asks GitHub for nothing: %s", id, first.stderr)
	}
	first.end(t)

	h.hang(false)
	second := start(t, env, args...)
	defer second.end(t)
	// The buckets let nobody take a role: that ends the release.
	code, _, stderr := against(t, t.Context(), second.url, "release", "--app", "orders", "--tag", "v1.0.0")
	if code == 0 || code == 3 || !strings.Contains(stderr, id) || !strings.Contains(stderr, "AssumeRole") {
		t.Errorf("got %d and %q, want release %s taken up and refused its role: %s", code, stderr, id, second.stderr)
	}
	if !strings.Contains(second.stderr.String(), "unfinished executions are taken up") {
		t.Errorf("the log says nothing of it: %s", second.stderr)
	}
}

// deliver sends a webhook that has to start a release.
func deliver(t *testing.T, url string, d github.Delivery) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/webhooks/github", bytes.NewReader(d.Body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, d.Header())
	resp, err := impatient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer release.Answer
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != release.AnswerStarted {
		t.Fatalf("the delivery is answered with %+v", answer)
	}
	return answer.Releases[0]
}
