package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
	"github.com/tagboat/tagboat/internal/server"
)

// order places an order that must start a release, and waits for its end or its question.
func (s *served) order(body string) report.View {
	s.t.Helper()
	answer := check(s.t, s.do("POST", "/releases", []byte(body)), 202, "started", "started")
	return s.show(answer.Releases[0])
}

func (s *served) show(id string) report.View {
	s.t.Helper()
	g := s.do("GET", "/releases/"+id, nil)
	if g.status != http.StatusOK {
		s.t.Fatalf("release %s: %d %s", id, g.status, g.body)
	}
	return into[report.View](s.t, g)
}

func TestReleaseIsShownWithItsSteps(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	id := s.order(`{"app":"orders","tag":"v1.0.0","by":"alice"}`).ID
	s.settle()
	g := s.do("GET", "/releases/"+id, nil)
	document := into[map[string]any](t, g)
	for _, field := range []string{"id", "app", "version", "attempt", "source", "state", "steps"} {
		if _, ok := document[field]; !ok {
			t.Errorf("the release has no field %q", field)
		}
	}
	view := into[report.View](t, g)
	if view.State != release.Succeeded || view.Source.Repository != "acme/orders" || view.Source.Tag != "v1.0.0" || view.Source.Commit == "" {
		t.Errorf("got %s from %+v", view.State, view.Source)
	}
	shifted := 0
	for _, step := range view.Steps {
		if step.Kind == release.ShiftTraffic && step.Environment == "prod" && step.State == release.StepDone && step.After != "" {
			shifted++
		}
	}
	if shifted != 4 {
		t.Errorf("%d functions were shifted in prod, want 4: %+v", shifted, view.Steps)
	}

	live := into[[]ledger.Live](t, s.do("GET", "/live?app=orders&environment=prod", nil))
	if len(live) != 6 || live[0].Environment != "prod" || live[0].Version != "1.0.0" || live[0].Commit != view.Source.Commit {
		t.Errorf("live in prod is %+v", live)
	}
	if live := into[[]ledger.Live](t, s.do("GET", "/live?app=other", nil)); len(live) != 0 {
		t.Errorf("live of another app is %+v", live)
	}
}

func TestReleasesAreListedNewestFirst(t *testing.T) {
	s := serve(t, "", nil)
	for _, tag := range []string{"v1.0.0", "v1.1.0"} {
		s.tag(tag)
		s.order(`{"app":"orders","tag":"` + tag + `","by":"alice"}`)
		s.settle()
	}
	tests := []struct {
		name, query string
		want        []string
	}{
		{"all", "", []string{"1.1.0", "1.0.0"}},
		{"a limit keeps the newest", "?limit=1", []string{"1.1.0"}},
		{"of an app", "?app=orders&limit=5", []string{"1.1.0", "1.0.0"}},
		{"of an app that has none", "?app=other", []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			versions := []string{}
			for _, rel := range into[[]release.Release](t, s.do("GET", "/releases"+test.query, nil)) {
				versions = append(versions, rel.Version)
			}
			if got, want := strings.Join(versions, " "), strings.Join(test.want, " "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestDryRunHasAPlanAndChangesNothing(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	view := s.order(`{"app":"orders","tag":"v1.0.0","dry_run":true}`)
	s.settle()
	plan := into[release.Plan](t, s.do("GET", "/releases/"+view.ID+"/plan", nil))
	if plan.Version != "1.0.0" || len(plan.Steps) == 0 {
		t.Errorf("got plan %+v", plan)
	}
	if listed := into[[]release.Release](t, s.do("GET", "/releases", nil)); len(listed) != 0 {
		t.Errorf("the dry run is listed: %+v", listed)
	}
	if live := into[[]ledger.Live](t, s.do("GET", "/live", nil)); len(live) != 0 {
		t.Errorf("the dry run is live: %+v", live)
	}
}

// inside answers requests within one turn of the world's clock: a question would
// expire at once if nobody kept the time from passing.
type inside struct {
	*served
	handler http.Handler
}

func (s inside) post(path, body string) got {
	req := httptest.NewRequestWithContext(s.t.Context(), "POST", "http://127.0.0.1"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	return got{w.Code, w.Header(), w.Body.Bytes()}
}

func (s inside) get(path string) got {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), "GET", "http://127.0.0.1"+path, nil))
	return got{w.Code, w.Header(), w.Body.Bytes()}
}

// asked runs a test while a release by alice waits for an approval, and answers how the release ended.
func asked(t *testing.T, run func(s inside, id string)) report.View {
	t.Helper()
	w := serve(t, asking(), nil)
	w.tag("v1.0.0")
	s := inside{w, server.New(server.Config{Parts: w.Local.Parts, Secrets: secrets{}, Log: discard()})}
	var id string
	w.Clock.Run(func() {
		id = into[release.Answer](t, s.post("/releases", `{"app":"orders","tag":"v1.0.0","by":"alice"}`)).Releases[0]
		for range 600 {
			if into[report.View](t, s.get("/releases/"+id)).State == release.WaitingApproval {
				run(s, id)
				return
			}
			if err := w.Clock.Sleep(t.Context(), time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		t.Error("the release never asked")
	})
	w.settle()
	return w.show(id)
}

func TestApprovalIsAnsweredBySomebodyElse(t *testing.T) {
	refusals := []struct {
		name, path, body string
		status           int
	}{
		{"the sender cannot approve", "/approve", `{"by":"alice"}`, 403},
		{"nobody cannot approve", "/approve", `{}`, 400},
		{"no body", "/approve", ``, 400},
		{"an unknown field", "/approve", `{"by":"bob","aprove":true}`, 400},
		{"two objects", "/approve", `{"by":"bob"}{"by":"bob"}`, 400},
		{"a name with an escape", "/approve", `{"by":"\u001b[2J"}`, 400},
		{"a body beyond any name", "/reject", `{"by":"` + strings.Repeat("x", 100_000) + `"}`, 400},
	}
	view := asked(t, func(s inside, id string) {
		for _, test := range refusals {
			t.Run(test.name, func(t *testing.T) { refused(t, s.post("/releases/"+id+test.path, test.body), test.status) })
		}
		for _, path := range []string{"/releases", "/releases/" + id} {
			if g := s.get(path); g.status != 200 || strings.Contains(string(g.body), `"token"`) {
				t.Errorf("%s tells the token, or nothing: %d %s", path, g.status, g.body)
			}
		}
		if g := s.post("/releases/"+id+"/approve", `{"by":"bob"}`); g.status != 200 || into[report.View](t, g).ID != id {
			t.Errorf("the answer to the approval is %d %s", g.status, g.body)
		}
	})
	if view.State != release.Succeeded {
		t.Errorf("the release is %s (%s), want succeeded", view.State, view.Error)
	}
}

func TestRejectedReleaseEnds(t *testing.T) {
	view := asked(t, func(s inside, id string) {
		if g := s.post("/releases/"+id+"/reject", `{"by":"alice","reason":"not today"}`); g.status != 200 {
			t.Errorf("%d %s", g.status, g.body)
		}
	})
	if want := "rejected by alice: not today"; view.State != release.Rejected || view.Error != want {
		t.Errorf("the release is %s (%s), want %s", view.State, view.Error, want)
	}
	at := slices.IndexFunc(view.Environments, func(p release.Progress) bool { return p.Approval != nil })
	if at < 0 || view.Environments[at].Approval.Reason != "not today" {
		t.Errorf("the reason is not on record: %+v", view.Environments)
	}
}

func TestEndedReleaseAsksNothing(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	id := s.order(`{"app":"orders","tag":"v1.0.0","by":"alice"}`).ID
	s.settle()
	refused(t, s.do("POST", "/releases/"+id+"/approve", []byte(`{"by":"bob"}`)), 409)
}

func refused(t *testing.T, g got, status int) server.Problem {
	t.Helper()
	problem := into[server.Problem](t, g)
	if g.status != status || problem.Error == "" || problem.Kind == "" {
		t.Errorf("got %d %s, want %d with an error", g.status, g.body, status)
	}
	return problem
}

func TestWhatCannotBeDoneIsSaid(t *testing.T) {
	s := serve(t, "", nil)
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"an unknown release", "GET", "/releases/nothing", "", 404, "nothing"},
		{"the plan of an unknown release", "GET", "/releases/nothing/plan", "", 404, "nothing"},
		{"an approval of an unknown release", "POST", "/releases/nothing/approve", `{"by":"bob"}`, 404, "nothing"},
		{"an unknown path", "GET", "/nowhere", "", 404, "/nowhere"},
		{"an unknown path of a release", "POST", "/releases/x/bless", "", 404, "bless"},
		{"a limit that is no number", "GET", "/releases?limit=ten", "", 400, "ten"},
		{"a limit beyond the most", "GET", "/releases?limit=1001", "", 400, "1000"},
		{"a time that is none", "GET", "/releases?before=now", "", 400, "now"},
		{"an order for an unknown app", "POST", "/releases", `{"app":"billing","tag":"v1.0.0"}`, 400, `"orders"`},
		{"an order for neither tag nor version", "POST", "/releases", `{"app":"orders"}`, 400, "either"},
		{"an order for another app's tag", "POST", "/releases", `{"app":"orders","tag":"nightly"}`, 400, "v{version}"},
		{"an order for what git takes for no tag", "POST", "/releases", `{"app":"orders","tag":"v1..2"}`, 400, "not the name of a tag"},
		{"an order for a tag that nobody can read", "POST", "/releases", `{"app":"orders","tag":"v\u202e1"}`, 400, "cannot be printed"},
		{"an order for an upload that is not there", "POST", "/releases", `{"app":"orders","version":"9.9.9"}`, 404, "9.9.9"},
		{"a retry of nothing", "POST", "/releases", `{"app":"orders","tag":"v9.9.9","retry":true}`, 400, "nothing to retry"},
		{"an order that is no JSON", "POST", "/releases", `app=orders`, 400, "JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			if p := refused(t, s.do(test.method, test.path, []byte(test.body)), test.status); !strings.Contains(p.Error, test.says) {
				t.Errorf("got %q, want it to say %q", p.Error, test.says)
			}
		})
	}
}

func TestPathIsTakenAsItIs(t *testing.T) {
	url := bare(t, nil)
	for _, path := range []string{"/releases//x", "/releases/", "//webhooks/github", "/x/../releases", "/healthz/"} {
		if p := refused(t, do(t, "GET", url+path, http.NoBody), 404); !strings.Contains(p.Error, path) {
			t.Errorf("%s: got %q", path, p.Error)
		}
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	s := serve(t, "", nil)
	for path, allow := range map[string]string{
		"/healthz": "GET, HEAD", "/releases": "GET, HEAD, POST", "/releases/x": "GET, HEAD", "/releases/x/approve": "POST", "/live": "GET, HEAD",
	} {
		g := s.do("DELETE", path, nil)
		refused(t, g, 405)
		if g.header.Get("Allow") != allow {
			t.Errorf("%s: Allow is %q, want %q", path, g.header.Get("Allow"), allow)
		}
	}
	if g := s.do("HEAD", "/healthz", nil); g.status != 200 {
		t.Errorf("HEAD /healthz: %d", g.status)
	}
}

func TestTokenIsAskedForEverywhereButAtTheDoor(t *testing.T) {
	const token = "not-a-real-token"
	s := serve(t, "", func(c *server.Config) { c.Token = token })
	paths := []struct{ method, path string }{
		{"GET", "/releases"}, {"POST", "/releases"}, {"GET", "/releases/x"}, {"GET", "/releases/x/plan"}, {"POST", "/releases/x/approve"},
		{"POST", "/releases/x/reject"}, {"GET", "/live"}, {"POST", "/events"}, {"GET", "/nowhere"}, {"GET", "/healthz/"},
	}
	for _, p := range paths {
		for name, header := range map[string]string{
			"none": "", "wrong": "Bearer not-a-real-tokem", "a part": "Bearer not-a-real", "basic": "Basic " + token, "bare": token, "empty": "Bearer ",
		} {
			if g := s.do(p.method, p.path, nil, "Authorization", header); g.status != 401 || g.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with token %s: %d, want 401", p.method, p.path, name, g.status)
			}
		}
		if g := s.do(p.method, p.path, nil, "Authorization", "Bearer "+token); g.status == 401 {
			t.Errorf("%s %s with the token: %d", p.method, p.path, g.status)
		}
	}
	if g := s.do("GET", "/healthz", nil); g.status != 200 {
		t.Errorf("/healthz without a token: %d, want 200", g.status)
	}
	body := []byte(`{}`)
	check(t, s.do("POST", "/webhooks/github", body, signed("ping", body)...), 200, "ignored", "ping")
}

func TestWithoutATokenWebPagesOfOthersAreRefused(t *testing.T) {
	s := serve(t, "", nil)
	order := []byte(`{"app":"orders","tag":"v1.0.0"}`)
	refused(t, s.do("POST", "/releases", order, "Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site"), 403)
	refused(t, s.do("POST", "/releases", order, "Origin", "https://evil.example"), 403)
	refused(t, s.do("GET", "/releases", nil, "Host", "evil.example:8787"), 403)
	body := []byte(`{}`) // a tunnel brings deliveries under any name
	check(t, s.do("POST", "/webhooks/github", body, append(signed("ping", body), "Host", "tunnel.example")...), 200, "ignored", "ping")
}

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8787": true, "127.9.9.9:1": true, "[::1]:8787": true, "localhost:8787": true, "LOCALHOST": true, "[::1]": true,
		":8787": false, "0.0.0.0:8787": false, "[::]:8787": false, "10.0.0.1:8787": false, "tagboat.example:8787": false,
		"localhost.evil.example:80": false, "": false,
	} {
		if got := server.IsLoopback(address); got != want {
			t.Errorf("IsLoopback(%q) is %t, want %t", address, got, want)
		}
	}
}

func TestSmallBodyOfAnyLengthIsReadOnce(t *testing.T) {
	url := bare(t, nil)
	refused(t, do(t, "POST", url+"/releases", bytes.NewReader(bytes.Repeat([]byte(" "), 1<<20))), 400)
}
