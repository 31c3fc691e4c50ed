package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/release/releasetest"
	"github.com/tagboat/tagboat/internal/server"
)

const token = "a-token-of-this-test"

// fuzzed is a world that is made anew after what may have changed it.
type fuzzed struct {
	handler http.Handler
	used    bool
}

func (f *fuzzed) renew(t testing.TB) {
	t.Helper()
	if f.handler != nil && !f.used {
		return
	}
	w, err := demo.NewWorld(t.Context(), demo.WorldOptions{Registry: asking()})
	if err != nil {
		t.Fatal(err)
	}
	served := server.New(server.Config{Parts: w.Local.Parts, Secrets: secrets{[]byte(demo.Secret)}, Log: discard(), Token: token})
	f.handler = http.HandlerFunc(func(rec http.ResponseWriter, r *http.Request) {
		w.Clock.Run(func() { served.ServeHTTP(rec, r) })
	})
	f.used = false
}

func (f *fuzzed) ask(t testing.TB, method, target string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+target, bytes.NewReader(body))
	if err != nil {
		return nil // nothing that a client could send
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.RequestURI = target
	rec := httptest.NewRecorder()
	f.handler.ServeHTTP(rec, r)
	f.used = f.used || method == http.MethodPost && rec.Code < 300
	return rec
}

// FuzzOrder sends any JSON to any path that takes orders, and any query: each
// answer is a documented one, holds no secret, and every release that is started
// is one that can be looked at.
func FuzzOrder(f *testing.F) {
	for _, body := range []string{
		`{"app":"orders","tag":"v1.2.3","by":"bob"}`, `{"app":"orders","tag":"v1.2.3","dry_run":true}`, `{"app":"orders","tag":"v1.2.3","retry":true}`,
		`{"app":"orders","version":"1.2.3"}`, `{"app":"orders","version":"../x"}`, `{"app":"orders","tag":"v\u0000"}`, `{"app":"orders","tag":"v\u202e1"}`,
		`{"app":"orders","tag":"v1..2"}`, `{"app":"orders","tag":"v` + strings.Repeat("9", 5000) + `"}`, `{"app":"orders","tag":"v1 2:3"}`,
		`{"app":"orders","tag":"v1","during_freeze":"` + strings.Repeat("long", 8000) + `","force":true}`, `{"app":"\u001b[2J","tag":"v1"}`,
		`null`, `{"app":"orders","tag":"v1"}{}`, `{"APP":"orders","tag":"v1","tags":1}`,
	} {
		f.Add("POST", "/releases", "", []byte(body))
	}
	f.Add("POST", "/releases", "", []byte(`{"app":"orders","tag":"v1","during_freeze":"a\nb\u0000"}`))
	who := `"by":"bob","reason":"in order"`
	f.Add("POST", "/leases/clear", "", []byte(`{"app":"orders","environment":"prod",`+who+`}`))
	f.Add("POST", "/freezes", "", []byte(`{"app":"orders","environment":"prod","until":"36h",`+who+`}`))
	f.Add("POST", "/freezes", "", []byte(`{"app":"a\u0000/b","environment":"x/y","until":"9999-01-01T00:00:00Z",`+who+`}`))
	f.Add("POST", "/freezes/clear", "", []byte(`{"app":"orders","by":"bob"}`))
	f.Add("POST", "/rollbacks", "", []byte(`{"app":"orders","environment":"prod",`+who+`}`))
	f.Add("POST", "/releases/x%00%2F/halt", "", []byte(`{`+who+`}`))
	f.Add("POST", "/releases/orders-1-0-1/approve", "", []byte(`{"by":"bob"}`))
	f.Add("GET", "/releases", "app=orders&limit=5&before=2030-01-07T09:00:00Z&dry_runs=true", []byte(nil))
	f.Add("GET", "/releases", "app=%00&limit=99999999999999999999", []byte(nil))
	f.Add("GET", "/releases", "app="+strings.Repeat("a", 3000), []byte(nil))
	f.Add("GET", "/live", "app=a/b&environment=%ff", []byte(nil))
	f.Add("GET", "/releases/"+strings.Repeat("a", 3000), "", []byte(nil))
	f.Add("DELETE", "/releases//../x", "a=;", []byte(nil))
	var w fuzzed
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		w.renew(t)
		target, err := url.Parse(path)
		if err != nil || !strings.HasPrefix(path, "/") || target.Host != "" {
			return
		}
		if query != "" {
			path += "?" + query
		}
		rec := w.ask(t, method, path, body)
		if rec == nil {
			return
		}
		checkReply(t, rec)
		var started release.Answer
		if path != "/releases" || rec.Code >= 300 || method != http.MethodPost || json.Unmarshal(rec.Body.Bytes(), &started) != nil {
			return
		}
		releasetest.CheckAnswer(t, started, demo.Secret, demo.Token, token)
		if rec.Code != started.HTTPStatus() {
			t.Errorf("HTTP %d for %+v", rec.Code, started)
		}
		for _, id := range started.Releases {
			shown := w.ask(t, http.MethodGet, "/releases/"+id, nil)
			var rel release.Release
			if shown.Code != http.StatusOK || json.Unmarshal(shown.Body.Bytes(), &rel) != nil {
				t.Fatalf("release %q cannot be looked at: HTTP %d %s", id, shown.Code, shown.Body)
			}
			releasetest.CheckRequest(t, rel.Request)
		}
	})
}

// checkReply checks what every answer of the server keeps to.
func checkReply(t *testing.T, rec *httptest.ResponseRecorder) {
	t.Helper()
	text := rec.Body.String()
	known := []int{200, 202, 400, 401, 403, 404, 405, 409, 413, 415, 503}
	if !slices.Contains(known, rec.Code) {
		t.Errorf("got HTTP %d, want one of %v: %.500s", rec.Code, known, text)
	}
	if rec.Header().Get("Content-Type") != "application/json" || !json.Valid(rec.Body.Bytes()) || !utf8.ValidString(text) || len(text) > 64<<10 {
		t.Errorf("HTTP %d with %d bytes of %q: %.500s", rec.Code, len(text), rec.Header().Get("Content-Type"), text)
	}
	for _, secret := range []string{demo.Secret, demo.Token, token} {
		if strings.Contains(text, secret) {
			t.Errorf("the answer shows %q: %.500s", secret, text)
		}
	}
	var problem server.Problem
	if rec.Code >= 300 && json.Unmarshal(rec.Body.Bytes(), &problem) == nil && problem.Kind != "" {
		if problem.Error == "" || len(problem.Error) > 16<<10 || strings.ContainsAny(problem.Error, "\n\x00\x1b") {
			t.Errorf("the problem of %d bytes is not one readable line: %.300q", len(problem.Error), problem.Error)
		}
	}
}
