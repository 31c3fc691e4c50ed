package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// tagboat runs the command against a handler.
func tagboat(t *testing.T, handler http.Handler, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	s := httptest.NewServer(handler)
	defer s.Close()
	return against(t, t.Context(), s.URL, args...)
}

func against(t *testing.T, ctx context.Context, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	env := map[string]string{"TAGBOAT_SERVER": url, "USER": "jane"}
	code = run(ctx, args, IO{Stdout: &out, Stderr: &err, Getenv: func(name string) string { return env[name] }, Clock: fast{}})
	return code, out.String(), err.String()
}

// fast is a clock that waits a hundredth of the time.
type fast struct{ clock.System }

func (fast) Sleep(ctx context.Context, d time.Duration) error {
	return clock.System{}.Sleep(ctx, d/100)
}

// scripted answers an order, and then look after look.
func scripted(looks ...report.View) http.Handler {
	var next atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /releases", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(release.Answer{Status: "started", Code: "started", Reason: "Started.", Releases: []string{"r-1"}})
	})
	mux.HandleFunc("GET /releases/r-1", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(looks[min(int(next.Add(1)), len(looks))-1])
	})
	return mux
}

func view(state release.State, environments ...release.EnvironmentState) report.View {
	v := report.View{Release: release.Release{ID: "r-1", App: "orders", Version: "1.0.0", State: state}}
	for _, state := range environments {
		v.Environments = append(v.Environments, release.Progress{Name: "dev", State: state})
	}
	return v
}

func TestExitCodeIsThatOfTheEnd(t *testing.T) {
	tests := []struct {
		name string
		end  report.View
		want int
	}{
		{"succeeded", view(release.Succeeded, release.EnvironmentDone), 0},
		{"failed and rolled back", view(release.FailedClean, release.EnvironmentRolledBack), 1},
		{"failed and needs a hand", view(release.FailedDirty, release.EnvironmentDirty), 3},
		{"refused", view(release.Refused), 2},
		{"rejected before it came anywhere", view(release.Rejected, release.EnvironmentPending), 2},
		{"rejected on its way", view(release.Rejected, release.EnvironmentDone, release.EnvironmentPending), 1},
		{"superseded while it waited", view(release.Superseded, release.EnvironmentPending), 2},
		{"superseded on its way", view(release.Superseded, release.EnvironmentDone, release.EnvironmentPending), 1},
		{"not approved in time", view(release.Expired, release.EnvironmentPending), 2},
		{"not approved in time on its way", view(release.Expired, release.EnvironmentDone, release.EnvironmentPending), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.end.Error, test.end.Remedy = "the reason", "The next step."
			code, stdout, stderr := tagboat(t, scripted(view(release.Running), test.end), "release", "--app", "orders", "--tag", "v1.0.0")
			if code != test.want {
				t.Errorf("exit code is %d, want %d", code, test.want)
			}
			if !strings.Contains(stdout, "orders 1.0.0 is under way.") {
				t.Errorf("stdout is %q", stdout)
			}
			told := strings.Contains(stderr, "the reason") && strings.Contains(stderr, "\n  next: The next step.\n")
			if told != (test.want != 0) {
				t.Errorf("stderr is %q", stderr)
			}
		})
	}
}

func TestProgressTellsEveryChangeOnce(t *testing.T) {
	step := func(state release.StepState, after string) report.Step {
		return report.Step{
			Kind: release.UpdateFunction, Target: "orders-api", Account: "1", Region: "us-east-1", Environment: "dev",
			State: state, Before: "version 1", After: after,
		}
	}
	with := func(v report.View, s report.Step) report.View {
		v.Steps = []report.Step{s}
		return v
	}
	open := view(release.Running, release.EnvironmentOpen)
	code, stdout, _ := tagboat(t, scripted(
		view(release.Received), view(release.WaitingApproval), view(release.WaitingApproval),
		with(open, step(release.StepPending, "new")), with(open, step(release.StepRunning, "new")), with(open, step(release.StepRunning, "new")),
		with(view(release.Succeeded, release.EnvironmentDone), step(release.StepDone, "version 2")),
	), "release", "--app", "orders", "--tag", "v1.0.0")
	want := `Started.
orders 1.0.0 is under way.
orders 1.0.0 waits for an approval.
  next: tagboat approve r-1 --by NAME, or tagboat reject r-1 --by NAME
orders 1.0.0 is being released to dev.
  running     dev us-east-1 update_function orders-api: version 1 → new
  done        dev us-east-1 update_function orders-api: version 1 → version 2
orders 1.0.0 is live in dev.
`
	if code != 0 || stdout != want {
		t.Errorf("got %d and\n%s\nwant\n%s", code, stdout, want)
	}
}

func TestServerThatStartsAgainIsWaitedFor(t *testing.T) {
	var looks atomic.Int64
	behind := scripted(view(release.Running), view(release.Succeeded))
	code, stdout, stderr := tagboat(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := looks.Add(1); r.Method == http.MethodGet && n > 2 && n < 6 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":"not yet","kind":"transient"}`))
			return
		}
		behind.ServeHTTP(w, r)
	}), "release", "--app", "orders", "--tag", "v1.0.0")
	if code != 0 || stderr != "" {
		t.Errorf("got %d, %q and %q, want the release watched to its end", code, stdout, stderr)
	}
}

func TestReleaseGoesOnWhenItsWatcherIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	behind := scripted(view(release.Running))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		behind.ServeHTTP(w, r)
		if r.Method == http.MethodGet {
			interrupt()
		}
	}))
	defer s.Close()
	code, _, stderr := against(t, ctx, s.URL, "release", "--app", "orders", "--tag", "v1.0.0")
	if code != 3 || !strings.Contains(stderr, "r-1 goes on") || !strings.Contains(stderr, "next: Look at it with: tagboat show r-1") {
		t.Errorf("got %d and %q, want 3 and where to look", code, stderr)
	}
}

func TestAnswerThatIsNotOursIsSaidToBe(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a page":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"an error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) },
		"a redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"other JSON":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); _, _ = w.Write([]byte(`{}`)) },
		"no JSON but": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
	} {
		code, stdout, stderr := tagboat(t, handler, "status")
		if code != 2 || stdout != "" || !strings.Contains(stderr, "is not tagboat serve") {
			t.Errorf("%s: got %d, %q and %q", name, code, stdout, stderr)
		}
	}
}

func TestRejectedOrderIsRefused(t *testing.T) {
	code, stdout, stderr := tagboat(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(release.RejectedAnswer(release.CodeVersionExists, "It was uploaded already."))
	}), "release", "--app", "orders", "--version", "1.0.0")
	if code != 2 || stdout != "" || !strings.Contains(stderr, "rejected (version_exists): It was uploaded already.") {
		t.Errorf("got %d, %q and %q", code, stdout, stderr)
	}
}

func TestApprovalNamesWhoGivesIt(t *testing.T) {
	var got string
	code, stdout, _ := tagboat(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		got = r.Method + " " + r.URL.Path + " " + body.String()
		_ = json.NewEncoder(w).Encode(view(release.Rejected))
	}), "reject", "r-1", "--by", "bob", "--reason", "not today", "--plan", "3f2a9c5d7e8b")
	if want := `POST /releases/r-1/reject {"by":"bob","reason":"not today","plan":"3f2a9c5d7e8b"}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if code != 0 || stdout != "r-1: rejected by bob. Look at it with: tagboat show r-1\n" {
		t.Errorf("got %d and %q", code, stdout)
	}
}
