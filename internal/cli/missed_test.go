package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

// scheduled is the wall clock, in which the intervals of the schedules pass when the test says so.
type scheduled struct {
	clock.System
	mu       sync.Mutex
	passed   time.Duration
	sleepers []chan struct{}
}

// schedules is how many loops of serve sleep for sweepInterval.
const schedules = 2

func (s *scheduled) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.System.Now().Add(s.passed)
}

func (s *scheduled) Sleep(ctx context.Context, d time.Duration) error {
	if d != sweepInterval {
		return s.System.Sleep(ctx, d)
	}
	woken := make(chan struct{})
	s.mu.Lock()
	s.sleepers = append(s.sleepers, woken)
	s.mu.Unlock()
	select {
	case <-woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asleep are how many schedules sleep.
func (s *scheduled) asleep() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sleepers)
}

// pass lets an interval pass, and waits until all schedules have done what they do after it.
func (s *scheduled) pass(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	woken := s.sleepers
	s.sleepers, s.passed = nil, s.passed+sweepInterval
	s.mu.Unlock()
	for _, sleeper := range woken {
		close(sleeper)
	}
	await(t, "the schedules to sleep", func() bool { return s.asleep() == schedules })
}

// await waits for a condition.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(longest); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", longest, what)
		}
	}
}

// listed are the releases that a server knows.
func listed(t *testing.T, url string) (releases []release.Release) {
	t.Helper()
	resp, err := impatient.Get(url + "/releases")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&releases); err != nil {
		t.Fatal(err)
	}
	return releases
}

// A tag that raised no event is released by the schedule, once; those that were
// there at first sight are not, however often it looks and serve starts again.
func TestServeReleasesATagThatRaisedNoEvent(t *testing.T) {
	newBuckets(t)
	h := newHub()
	var looks atomic.Int64
	gh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/matching-refs/") {
			looks.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	defer gh.Close()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	args := []string{"--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db")}
	c := &scheduled{}
	s := startAt(t, c, env, args...)
	await(t, "the first look", func() bool { return c.asleep() == schedules })
	for range 3 {
		c.pass(t)
	}
	if got := listed(t, s.url); len(got) > 0 || looks.Load() != 4 {
		t.Fatalf("after %d looks at what there was, these are released: %+v", looks.Load(), got)
	}

	repo := h.Repository(demo.RepositoryName)
	repo.Tag("v1.1.0", repo.Commit("main", "second", demo.Files(demo.Handler, "2.32.4")))
	c.pass(t)
	if got := listed(t, s.url); len(got) > 0 {
		t.Fatalf("the look that sees a tag first releases it: %+v", got)
	}
	c.pass(t)
	await(t, "the release's end", func() bool { got := listed(t, s.url); return len(got) == 1 && got[0].State.Ended() })
	s.end(t)

	c = &scheduled{passed: c.passed}
	again := startAt(t, c, env, args...)
	defer again.end(t)
	await(t, "the look at the start", func() bool { return c.asleep() == schedules })
	c.pass(t)
	got := listed(t, again.url)
	if len(got) != 1 || got[0].Request.Version != "1.1.0" || got[0].Request.Source.Tag != "v1.1.0" || got[0].Request.Trigger != release.TriggeredBySchedule {
		t.Errorf("these are released, want v1.1.0 once, by the schedule: %+v", got)
	}
}
