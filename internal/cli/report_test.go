package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/demo"
)

// hurried is the wall clock, some time ahead, in which the looks for what is to be told follow each other at once.
type hurried struct {
	clock.System
	ahead atomic.Int64
}

func (h *hurried) Now() time.Time { return h.System.Now().Add(time.Duration(h.ahead.Load())) }

func (h *hurried) Sleep(ctx context.Context, d time.Duration) error {
	if d == reportInterval {
		d = 20 * time.Millisecond
	}
	return h.System.Sleep(ctx, d)
}

// TestServeTellsGitHubLaterWhatItDidNotTake: GitHub takes no status until the release has ended.
func TestServeTellsGitHubLaterWhatItDidNotTake(t *testing.T) {
	newBuckets(t)
	h := newHub()
	var takes atomic.Bool
	gh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/statuses/") && !takes.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer gh.Close()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	c := &hurried{}
	s := startAt(t, c, env, "--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db"))
	defer s.end(t)
	repo := h.Repository(demo.RepositoryName)
	deliver(t, s.url, h.Push(repo, "v1.0.0"))
	await(t, "the release's end", func() bool { got := listed(t, s.url); return len(got) == 1 && got[0].State.Ended() })
	commit := listed(t, s.url)[0].Source.Commit
	if got := h.CommitStatuses(repo, commit); len(got) > 0 {
		t.Fatalf("GitHub took %+v", got)
	}
	takes.Store(true)
	began, hours := time.Now(), 0
	await(t, "the commit status", func() bool {
		// A try that was refused meanwhile is followed by the next after an hour at most.
		if passed := int(time.Since(began) / (3 * time.Second)); passed >= hours {
			hours++
			c.ahead.Add(int64(2 * time.Hour))
		}
		got := h.CommitStatuses(repo, commit)
		return len(got) > 0 && (got[len(got)-1].State == "failure" || got[len(got)-1].State == "error")
	})
}
