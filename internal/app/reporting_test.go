package app_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// appKey is the key of the GitHub App in all tests: making one takes long.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// asApp lets the world's tasks act as a GitHub App.
func (w *world) asApp() {
	w.t.Helper()
	key, err := appKey()
	if err != nil {
		w.t.Fatal(err)
	}
	w.GitHub.SetApp(7, 8, &key.PublicKey)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	client, err := ghapi.New(ghapi.Config{
		BaseURL: ghapi.DefaultBaseURL, App: &ghapi.App{ID: 7, PrivateKey: text}, HTTP: w.GitHub.Client(), Clock: w.Clock,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Local.Parts.GitHub = client
	w.start(1)
}

// watch looks once, inside of the clock, as the schedule does each minute.
func (w *world) watch(ctx context.Context) { w.Local.Reporting().Watch(writing(ctx, "report")) }

// watching looks each minute, inside of the clock, until the release has ended.
func (w *world) watching(ctx context.Context, id string, seen func()) {
	w.t.Helper()
	for range 2000 {
		rel := w.now(ctx, id)
		if rel.State.Ended() {
			return
		}
		_ = w.Clock.Sleep(ctx, time.Minute)
		w.watch(ctx)
		seen()
	}
	w.t.Fatalf("release %s does not end", id)
}

// settled lets time pass and looks once more: whatever is still to be told is.
func (w *world) settled(after time.Duration) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		_ = w.Clock.Sleep(ctx, after)
		w.watch(ctx)
	})
}

// untold are the releases that are still to be told.
func (w *world) untold() (rels []release.Release) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if rels, err = w.Local.Core().Ledger.Untold(ctx); err != nil {
			w.t.Fatal(err)
		}
	})
	return rels
}

// checkRun is the one check run there should be.
func (w *world) checkRun() github.CheckRun {
	w.t.Helper()
	runs := w.GitHub.CheckRuns(w.Repo)
	if len(runs) != 1 {
		w.t.Fatalf("there are %d check runs, want 1: %+v", len(runs), runs)
	}
	return runs[0]
}

// lastStatus is the commit status that GitHub shows.
func (w *world) lastStatus() github.CommitStatus {
	w.t.Helper()
	statuses := w.GitHub.CommitStatuses(w.Repo, w.GitHub.Deployments(w.Repo)[0].SHA)
	return statuses[len(statuses)-1]
}

// deploymentStates are the states of each environment's deployment, in order.
func (w *world) deploymentStates() map[string][]string {
	states := map[string][]string{}
	for _, d := range w.GitHub.Deployments(w.Repo) {
		for _, status := range d.Statuses {
			states[d.Environment] = append(states[d.Environment], status.State)
		}
	}
	return states
}

// TestACheckRunFollowsARelease: one check run, from the admission on, with every
// target, brought up to date while steps go on, and never after the end.
func TestACheckRunFollowsARelease(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.asApp()
	var titles, states []string
	w.in(func(ctx context.Context) {
		id := w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		w.until(ctx, id, release.Running)
		w.watch(ctx)
		first := w.checkRun()
		if first.Status != "in_progress" || first.Name != "tagboat/orders" || first.ExternalID != id {
			t.Errorf("after the admission the check run is %+v, want one of %s in progress", first, id)
		}
		w.watching(ctx, id, func() {
			run := w.checkRun()
			if titles = append(titles, run.Title()); len(titles) > 1 && titles[len(titles)-2] == run.Title() {
				titles = titles[:len(titles)-1]
			}
			states = append(states, run.Output.Summary)
		})
	})
	w.settle()
	run := w.checkRun()
	if run.Status != "completed" || run.Conclusion != "success" || run.Updates > 40 {
		t.Errorf("the end is %+v, want a success after few updates", run)
	}
	wantText(t, strings.Join(titles, "\n"), "is being released to prod", "is live in dev and prod")
	if len(slices.Compact(states)) < 4 {
		t.Errorf("the summary was brought up to date %d times, want while steps go on", len(slices.Compact(states)))
	}
	for _, target := range []string{
		"| tools | 999999999999 | us-east-1 | publish layer | orders-deps |", "| tools | 999999999999 | eu-west-1 | publish layer | orders-deps |",
		"| dev | 111111111111 | us-east-1 | update function | [orders-api](https://us-east-1.console.aws.amazon.com/lambda/home?region=us-east-1#/functions/orders-api) |",
		"| prod | 222222222222 | us-east-1 | update function | [orders-worker](", "| prod | 222222222222 | eu-west-1 | shift traffic | orders-api |",
	} {
		if !strings.Contains(run.Output.Summary, target) {
			t.Errorf("the table does not have %q:\n%s", target, run.Output.Summary)
		}
	}
	updates := run.Updates
	w.settled(4 * time.Minute)
	w.settled(time.Hour)
	if got := w.checkRun(); got.Updates != updates+1 || got.Conclusion != "success" || len(w.untold()) > 0 {
		t.Errorf("it was updated %d times after the end, want once more for certain; still to tell: %+v", got.Updates-updates, w.untold())
	}
}

func TestWaitsAreTold(t *testing.T) {
	for name, isApp := range map[string]bool{"with an App": true, "with a token": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldOptions{registry: approving(t)})
			if isApp {
				w.asApp()
			}
			wait := func(ctx context.Context, id string, state release.State, says string, summary ...string) {
				t.Helper()
				rel := w.until(ctx, id, state)
				_ = w.Clock.Sleep(ctx, time.Minute)
				w.watch(ctx)
				statuses := w.GitHub.CommitStatuses(w.Repo, rel.Source.Commit)
				if len(statuses) == 0 || statuses[len(statuses)-1].State != "pending" || !strings.Contains(statuses[len(statuses)-1].Description, says) {
					t.Errorf("the commit statuses are %+v, want one pending that says %q", statuses, says)
				}
				before := len(statuses)
				_ = w.Clock.Sleep(ctx, time.Minute)
				w.watch(ctx)
				if after := len(w.GitHub.CommitStatuses(w.Repo, rel.Source.Commit)); after != before {
					t.Errorf("nothing is new, and it was told again")
				}
				runs := w.GitHub.CheckRuns(w.Repo)
				if !isApp {
					if len(runs) > 0 {
						t.Errorf("there are check runs without an App: %+v", runs)
					}
					return
				}
				wantText(t, runs[len(runs)-1].Output.Summary, append(summary, says)...)
				if runs[len(runs)-1].Status != "in_progress" {
					t.Errorf("the check run is %s", runs[len(runs)-1].Status)
				}
			}
			w.in(func(ctx context.Context) {
				other := ledger.Holder{Release: "another", Execution: "another"}
				if _, _, err := w.Local.Core().Ledger.Acquire(ctx, "env/orders/dev", other, ledger.Ask{TTL: time.Hour}); err != nil {
					t.Fatal(err)
				}
				id := w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
				wait(ctx, id, release.Waiting, "waits for another release to finish", "`tagboat lease`")
				next, err := w.Local.Core().Ledger.Return(ctx, "env/orders/dev", other)
				if err != nil || next == nil {
					t.Fatalf("the next is %v: %v", next, err)
				}
				if err := w.Local.Parts.Tokens.Succeed(ctx, next.Token); err != nil {
					t.Fatal(err)
				}
				wait(ctx, id, release.WaitingApproval, "waits for an approval", "`tagboat approve "+id+" --plan ", "`tagboat reject "+id+"`")
				w.approve(ctx, id, "alice", true)
			})
			w.settle()
			if got := w.lastStatus(); got.State != "success" {
				t.Errorf("the commit status is %+v in the end", got)
			}
		})
	}
}

// writes tells whether a request writes to GitHub.
func writesGitHub(req *http.Request) bool {
	return req.Method != http.MethodGet && !strings.Contains(req.URL.Path, "access_tokens")
}

// TestGitHubIsDown: no release fails because of it, and what could not be told
// then is told later.
func TestGitHubIsDown(t *testing.T) {
	for _, test := range []struct {
		name        string
		handler     string
		state       release.State
		conclusion  string
		deployments map[string]string
	}{
		{"success", demo.Handler, release.Succeeded, "success", map[string]string{"dev": "success", "prod": "success"}},
		{"failure", demo.Broken, release.FailedClean, "failure", map[string]string{"dev": "success", "prod": "failure"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.asApp()
			w.GitHub.OnRequest(func(req *http.Request) github.Fault {
				if writesGitHub(req) {
					return github.Fault{Status: http.StatusServiceUnavailable}
				}
				return github.Fault{}
			})
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", demo.Files(test.handler, "2.32.3"))
				w.watching(ctx, id, func() {})
			})
			w.settle()
			wantState(t, w.record(id), test.state)
			w.settled(10 * time.Minute)
			if len(w.GitHub.CheckRuns(w.Repo)) > 0 || len(w.untold()) != 1 {
				t.Fatalf("GitHub took something: %+v", w.GitHub.CheckRuns(w.Repo))
			}
			w.GitHub.OnRequest(nil)
			w.settled(time.Hour)
			if run := w.checkRun(); run.Conclusion != test.conclusion || run.Status != "completed" {
				t.Errorf("the check run is %+v, want %s", run, test.conclusion)
			}
			if got := w.lastStatus(); got.State != test.conclusion {
				t.Errorf("the commit status is %+v, want %s", got, test.conclusion)
			}
			for environment, want := range test.deployments {
				if got := w.deploymentStates()[environment]; len(got) == 0 || got[len(got)-1] != want {
					t.Errorf("%s is %v, want %s", environment, got, want)
				}
			}
			if left := w.untold(); len(left) > 0 {
				t.Errorf("there is still to tell: %+v", left)
			}
			w.sound()
		})
	}
}

func TestWhatCannotBeToldForADayIsGivenUp(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.asApp()
	refused := 0
	w.GitHub.OnRequest(func(req *http.Request) github.Fault {
		if writesGitHub(req) {
			refused++
			return github.Fault{Status: http.StatusForbidden, Body: `{"message":"Resource not accessible by integration"}`}
		}
		return github.Fault{}
	})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	w.in(func(ctx context.Context) {
		refused = 0
		for range 25 * 60 {
			_ = w.Clock.Sleep(ctx, time.Minute)
			w.watch(ctx)
		}
	})
	if left := w.untold(); len(left) > 0 || refused == 0 || refused > 200 {
		t.Errorf("%d requests were refused in a day and %d releases are still to tell, want few and none", refused, len(left))
	}
}

// TestALateUpdateDoesNotStandLast holds an update of the check run back until the
// release has ended. Whoever made it tells the end after it or, if it dies before
// that, the look after the end does.
func TestALateUpdateDoesNotStandLast(t *testing.T) {
	for name, dies := range map[string]bool{"and goes on": false, "and dies": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			w.asApp()
			var id string
			held, isLate := false, false
			w.GitHub.OnRequest(func(req *http.Request) github.Fault {
				switch {
				case isLate && dies:
					return github.Fault{Status: http.StatusBadGateway}
				case held || req.Method != http.MethodPatch:
					return github.Fault{}
				}
				held = true
				for rel := w.recordNow(id); !rel.State.Ended(); rel = w.recordNow(id) {
					_ = w.Clock.Sleep(context.Background(), time.Minute)
				}
				_ = w.Clock.Sleep(context.Background(), time.Minute)
				isLate = true
				return github.Fault{}
			})
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
				w.until(ctx, id, release.Running)
				w.watch(ctx)
				w.untilTrue(ctx, id, "in prod", func(rel release.Release) bool {
					return len(rel.Environments) > 1 && rel.Environments[0].State == release.EnvironmentDone
				})
				w.watch(ctx)
			})
			w.settle()
			if !isLate {
				t.Fatal("no update was held back")
			}
			if got := w.checkRun(); dies == (got.Status == "completed") {
				t.Errorf("after the late update the check run is %s", got.Status)
			}
			w.GitHub.OnRequest(nil)
			w.settled(10 * time.Minute)
			if got := w.checkRun(); got.Status != "completed" || got.Conclusion != "success" {
				t.Errorf("in the end the check run is %+v", got)
			}
			w.settled(time.Hour)
			if left := w.untold(); len(left) > 0 {
				t.Errorf("there is still to tell: %+v", left)
			}
		})
	}
}

// TestTheStatusOfACommitIsThatOfItsLastAttempt: the end of the first is told once
// more after the second has succeeded, and must not stand last.
func TestTheStatusOfACommitIsThatOfItsLastAttempt(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	first := w.released("v1.1.0", quick(t, demo.Broken))
	wantState(t, first, release.FailedClean)
	for _, region := range []string{demo.Home, demo.Europe} { // what the code wanted is there now
		w.configure(demo.Prod, region, "orders-api", &lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{
			Variables: map[string]string{"LOG_LEVEL": "info", "PAYMENTS_URL": "https://payments.example"},
		}})
	}
	second := w.ordered(app.Order{App: "orders", Tag: "v1.1.0", Retry: true, By: "carol"})
	wantState(t, second, release.Succeeded)
	refused := false
	w.GitHub.OnRequest(func(req *http.Request) github.Fault { // the first that is told is told later
		if refused || req.Method != http.MethodPost || !strings.Contains(req.URL.Path, "/statuses/") {
			return github.Fault{}
		}
		refused = true
		return github.Fault{Status: http.StatusBadGateway}
	})
	w.settled(10 * time.Minute)
	w.settled(time.Hour)
	if got := w.lastStatus(); got.State != "success" {
		t.Errorf("the commit's status is %q (%s) in the end, want that of the attempt that succeeded", got.State, got.Description)
	}
	w.settled(time.Hour)
	if left := w.untold(); len(left) > 0 {
		t.Errorf("there is still to tell: %+v", left)
	}
}

// recordNow is the release as the ledger has it, for callers inside of the clock.
func (w *world) recordNow(id string) release.Release {
	rel, err := w.Local.Core().Ledger.Release(context.Background(), id)
	if err != nil {
		w.t.Error(err)
	}
	return rel
}

// TestEnvironmentsLinkToWhatRunsThere, by the console's address of a function.
func TestEnvironmentsLinkToWhatRunsThere(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	wantState(t, w.released("v1.1.0", quick(t, demo.Handler)), release.Succeeded)
	for _, d := range w.GitHub.Deployments(w.Repo) {
		for _, status := range d.Statuses {
			if want := "https://us-east-1.console.aws.amazon.com/lambda/home?region=us-east-1#/functions/orders-api/aliases/live"; status.EnvironmentURL != want {
				t.Errorf("%s in %s links to %q, want %q", status.State, d.Environment, status.EnvironmentURL, want)
			}
		}
	}
}

// TestAFailureIsToldInWords: why, what to do, and which step it was.
func TestAFailureIsToldInWords(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.asApp()
	rel := w.released("v1.1.0", demo.Files(demo.Broken, "2.32.3"))
	wantState(t, rel, release.FailedClean)
	run := w.checkRun()
	if run.Conclusion != "failure" || run.CompletedAt.IsZero() {
		t.Errorf("the check run is %+v, want a failure", run)
	}
	wantText(t, run.Output.Title, "failed and was rolled back")
	wantText(t, run.Output.Summary, "**What happened**", "PAYMENTS\\_URL", "**What to do**", "| rolled back | prod |", "| done | dev |")
	if len([]rune(run.Output.Title)) > 255 || len([]rune(w.lastStatus().Description)) > 140 {
		t.Errorf("too long: %q and %q", run.Output.Title, w.lastStatus().Description)
	}
}
