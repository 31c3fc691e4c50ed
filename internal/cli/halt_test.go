package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

func TestHaltTellsWhatHappensNext(t *testing.T) {
	tests := []struct {
		name   string
		halted report.View
		want   string
	}{
		{"in an environment", view(release.Running, release.EnvironmentOpen), "r-1: halted by jane; dev goes back to what was there.\n"},
		{"waiting", view(release.Waiting, release.EnvironmentPending), "r-1: halted by jane; it has nothing under way to roll back.\n"},
		{"ended", view(release.FailedClean, release.EnvironmentRolledBack), "r-1: halted by jane; it has ended: failed_clean.\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var order app.Halting
			mux := http.NewServeMux()
			mux.HandleFunc("POST /releases/r-1/halt", func(w http.ResponseWriter, r *http.Request) {
				if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
					t.Error(err)
				}
				test.halted.Halted = &release.Halt{By: "jane", Reason: "wrong build", At: time.Now()}
				_ = json.NewEncoder(w).Encode(test.halted)
			})
			code, stdout, stderr := tagboat(t, mux, "halt", "r-1", "--reason", "wrong build")
			if want := test.want + "Look at it with: tagboat show r-1\n"; code != 0 || stdout != want || stderr != "" {
				t.Errorf("got %d, %q and %q, want 0 and %q", code, stdout, stderr, want)
			}
			if order.By != "jane" || order.Reason != "wrong build" {
				t.Errorf("the order is %+v", order)
			}
			code, stdout, _ = tagboat(t, mux, "halt", "r-1", "--reason", "wrong build", "--json")
			if code != 0 || !strings.Contains(stdout, `"halted": {`) {
				t.Errorf("as JSON: %d and %q", code, stdout)
			}
		})
	}
}

func TestHaltTellsWhoWasFirst(t *testing.T) {
	halted := view(release.Running, release.EnvironmentOpen)
	halted.Halted = &release.Halt{By: "bob", Reason: "alarms", At: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /releases/r-1/halt", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(halted) })
	_, stdout, _ := tagboat(t, mux, "halt", "r-1", "--reason", "wrong build")
	if want := "halted already, by bob at 2030-01-07 09:00:00Z: alarms; dev goes back"; !strings.Contains(stdout, want) {
		t.Errorf("%q is not in %q", want, stdout)
	}
}

func TestAnOrderWithoutANameOrAReasonTellsWhatIsMissing(t *testing.T) {
	tests := []struct{ args, want string }{
		{"halt r-1 --reason=", "--reason is missing"},
		{"halt r-1 --reason=x --by=", "--by is missing"},
		{"freeze orders --until=2h --by=", "--reason and --by are missing"},
		{"unfreeze orders --by=", "--by is missing"},
		{"lease clear --environment=prod --reason=x", "--app is missing"},
		{"approve r-1 --by=", "--by is missing"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			args := strings.Fields(test.args)
			code, _, stderr := tagboat(t, http.NotFoundHandler(), args...)
			if code != exitRefused || !strings.Contains(stderr, test.want) || strings.Contains(test.want, "--by") != strings.Contains(stderr, "GITHUB_ACTOR") {
				t.Errorf("got %d and %q, want %q", code, stderr, test.want)
			}
		})
	}
}

func TestShowTellsHowToAnswer(t *testing.T) {
	_, stdout, _ := tagboat(t, scripted(view(release.WaitingApproval, release.EnvironmentPending)), "show", "r-1")
	if want := "next: tagboat approve r-1 --by NAME, or tagboat reject r-1 --by NAME\n"; !strings.Contains(stdout, want) {
		t.Errorf("%q is not in %q", want, stdout)
	}
	asks := view(release.WaitingApproval, release.EnvironmentPending)
	asks.Environments[0].Approval = &release.Approval{Fingerprint: "3f2a9c5d7e8b0123456789"}
	_, stdout, _ = tagboat(t, scripted(asks), "show", "r-1")
	if want := "next: tagboat approve r-1 --plan 3f2a9c5d7e8b --by NAME, or"; !strings.Contains(stdout, want) {
		t.Errorf("%q is not in %q", want, stdout)
	}
}

func TestShowTellsNoNextStepThatIsNotDueYet(t *testing.T) {
	halted := view(release.Running, release.EnvironmentOpen)
	halted.Halted, halted.Remedy = &release.Halt{By: "bob", Reason: "alarms"}, "Release it again."
	if _, stdout, _ := tagboat(t, scripted(halted), "show", "r-1"); strings.Contains(stdout, "next:") {
		t.Errorf("a release that has not ended is to be released again: %q", stdout)
	}
	halted.State = release.FailedClean
	if _, stdout, _ := tagboat(t, scripted(halted), "show", "r-1"); !strings.Contains(stdout, "next: Release it again.") {
		t.Errorf("no next step in %q", stdout)
	}
}

func TestShowTellsWhoPutInOrderWhatWasLeft(t *testing.T) {
	dirty := view(release.FailedDirty, release.EnvironmentDirty)
	_, stdout, _ := tagboat(t, scripted(dirty), "show", "r-1")
	if want := "then: tagboat lease clear --app orders --environment dev --by NAME --reason TEXT\n"; !strings.Contains(stdout, want) {
		t.Errorf("%q is not in %q", want, stdout)
	}
	dirty.Cleared = []report.Cleared{{Environment: "dev", By: "bob", Reason: "at version 7 again", At: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}}
	_, stdout, _ = tagboat(t, scripted(dirty), "show", "r-1")
	if want := "cleared  dev, by bob at 2030-01-07 09:00:00Z: at version 7 again\n"; !strings.Contains(stdout, want) || strings.Contains(stdout, "then:") {
		t.Errorf("%q is not in %q", want, stdout)
	}
}

func TestShowTellsWhoHaltedARelease(t *testing.T) {
	halted := view(release.FailedClean, release.EnvironmentRolledBack)
	halted.Halted = &release.Halt{By: "bob", Reason: "wrong build", At: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}
	_, stdout, _ := tagboat(t, scripted(halted), "show", "r-1")
	if want := "halted   by bob at 2030-01-07 09:00:00Z: wrong build\n"; !strings.Contains(stdout, want) {
		t.Errorf("%q is not in %q", want, stdout)
	}
}
