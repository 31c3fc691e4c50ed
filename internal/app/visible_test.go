package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// TestWhatGitHubDoesNotShowYetIsWaitedFor lets GitHub not know a tag for some seconds after it has told of
// it. One that it does not know later is refused.
func TestWhatGitHubDoesNotShowYetIsWaitedFor(t *testing.T) {
	for _, test := range []struct {
		hidden time.Duration
		state  release.State
	}{{5 * time.Second, release.Succeeded}, {time.Hour, release.Refused}} {
		t.Run(test.hidden.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			began := w.Clock.Now()
			w.GitHub.OnRequest(func(r *http.Request) github.Fault {
				if !strings.Contains(r.URL.Path, "/git/ref") || w.Clock.Now().Sub(began) >= test.hidden {
					return github.Fault{}
				}
				return github.Fault{Status: http.StatusNotFound, Body: `{"message": "Not Found"}`}
			})
			rel := w.released("v1.1.0", atOnce(t, demo.Handler))
			wantState(t, rel, test.state)
			if took := rel.Ended.Sub(rel.Created); test.state == release.Refused && took > 3*time.Minute {
				t.Errorf("it was refused after %s, want minutes", took)
			}
			w.sound()
		})
	}
}
