package ghapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// asApp lets the client act as a GitHub App that is installed everywhere.
func (w *world) asApp(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.server.SetApp(7, 8, &key.PublicKey)
	w.config.App = &ghapi.App{ID: 7, PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})}
	w.connect(t)
}

func (w *world) checkRun(conclusion string) ghapi.CheckRun {
	return ghapi.CheckRun{
		Release: "orders-1", Name: "tagboat/orders", Commit: w.first, Conclusion: conclusion, Title: "orders 1.0.0", Summary: "text", Link: "https://example.com",
	}
}

func TestCheckRunsAreCreatedOnceAndBroughtUpToDate(t *testing.T) {
	w := newWorld(t)
	w.asApp(t)
	run := w.checkRun("")
	first, err := w.client.PutCheckRun(t.Context(), repoID, run)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.server.CheckRuns(w.repo); len(got) != 1 || got[0].Status != "in_progress" || got[0].Conclusion != "" || got[0].DetailsURL != "https://example.com" {
		t.Fatalf("got %+v, want one in progress", got)
	}
	for _, id := range []int64{first, 0} { // known, and to be found again
		run = w.checkRun("failure")
		run.ID, run.Title, run.Summary = id, strings.Repeat("ä", 300), strings.Repeat("ü", 70_000)
		if again, err := w.client.PutCheckRun(t.Context(), repoID, run); err != nil || again != first {
			t.Errorf("got %d, %v; want %d", again, err, first)
		}
	}
	got := w.server.CheckRuns(w.repo)
	if len(got) != 1 || got[0].Status != "completed" || got[0].Conclusion != "failure" || got[0].Updates != 2 {
		t.Fatalf("got %+v, want one that failed", got)
	}
	if n := utf8.RuneCountInString(got[0].Output.Summary); n != ghapi.MaxSummary {
		t.Errorf("the summary has %d characters, want it cut to %d", n, ghapi.MaxSummary)
	}
	if n := utf8.RuneCountInString(got[0].Output.Title); n != 255 {
		t.Errorf("the title has %d characters, want it cut to 255", n)
	}
}

// TestACheckRunIsFoundAmongManyOfOneCommit has more attempts of one commit than GitHub lists on a page.
func TestACheckRunIsFoundAmongManyOfOneCommit(t *testing.T) {
	w := newWorld(t)
	w.asApp(t)
	run := w.checkRun("failure")
	for i := range 101 {
		run.Release = fmt.Sprintf("orders-%d", i)
		if _, err := w.client.PutCheckRun(t.Context(), repoID, run); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.client.PutCheckRun(t.Context(), repoID, run); err != nil {
		t.Fatal(err)
	}
	if got := w.server.CheckRuns(w.repo); len(got) != 101 || got[100].Updates != 1 {
		t.Errorf("there are %d check runs, want 101 and the last brought up to date", len(got))
	}
}

func TestACheckRunWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	w := newWorld(t)
	w.asApp(t)
	lost := false
	w.server.OnRequest(func(req *http.Request) github.Fault {
		if lost || req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/check-runs") {
			return github.Fault{}
		}
		lost = true
		return github.Fault{LoseAnswer: true}
	})
	_, err := w.client.PutCheckRun(t.Context(), repoID, w.checkRun(""))
	expect(t, err, release.Transient)
	if _, err := w.client.PutCheckRun(t.Context(), repoID, w.checkRun("success")); err != nil {
		t.Fatal(err)
	}
	if got := w.server.CheckRuns(w.repo); len(got) != 1 || got[0].Conclusion != "success" {
		t.Errorf("got %+v, want one success", got)
	}
}

// TestCheckRunsThatWereCreatedTwiceAllEnd: two that create one at the same time do not see each other's.
func TestCheckRunsThatWereCreatedTwiceAllEnd(t *testing.T) {
	w := newWorld(t)
	w.asApp(t)
	nested := false
	w.server.OnRequest(func(req *http.Request) github.Fault {
		if !nested && req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/check-runs") {
			nested = true
			if _, err := w.client.PutCheckRun(t.Context(), repoID, w.checkRun("")); err != nil {
				t.Error(err)
			}
		}
		return github.Fault{}
	})
	if _, err := w.client.PutCheckRun(t.Context(), repoID, w.checkRun("")); err != nil {
		t.Fatal(err)
	}
	other := w.checkRun("")
	other.Release = "orders-2"
	if _, err := w.client.PutCheckRun(t.Context(), repoID, other); err != nil {
		t.Fatal(err)
	}
	if got := w.server.CheckRuns(w.repo); len(got) != 3 {
		t.Fatalf("there are %d check runs, want two of one release and one of another", len(got))
	}
	if _, err := w.client.PutCheckRun(t.Context(), repoID, w.checkRun("success")); err != nil {
		t.Fatal(err)
	}
	for _, run := range w.server.CheckRuns(w.repo) {
		if want := map[string]string{"orders-1": "success", "orders-2": ""}[run.ExternalID]; run.Conclusion != want {
			t.Errorf("a check run of %s is concluded %q, want %q", run.ExternalID, run.Conclusion, want)
		}
	}
}

func TestATokenWritesNoCheckRuns(t *testing.T) {
	w := newWorld(t)
	_, err := w.client.PutCheckRun(t.Context(), repoID, w.checkRun(""))
	expect(t, err, release.Denied)
	if !strings.Contains(release.RemedyOf(err)+err.Error(), "Checks: write") {
		t.Errorf("%v (%s) does not name the permission", err, release.RemedyOf(err))
	}
	if w.client.IsApp() {
		t.Error("a client with a token says that it is an App")
	}
	bad := w.checkRun("")
	bad.Commit = "main"
	_, err = w.client.PutCheckRun(t.Context(), repoID, bad)
	expect(t, err, release.Invalid)
}
