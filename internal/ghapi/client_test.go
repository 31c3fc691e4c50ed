package ghapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

func TestBaseURL(t *testing.T) {
	for _, c := range []struct {
		name, given, environment, host, path string
		kind                                 release.Kind
	}{
		{name: "the default is github.com", host: "api.github.com", path: "/repositories/"},
		{name: "the environment names the API", environment: "https://ghe.example.com/api/v3", host: "ghe.example.com", path: "/api/v3/repositories/"},
		{name: "the config goes before the environment", given: "https://a.example.com/x/", environment: "https://b.example.com", host: "a.example.com", path: "/x/repositories/"},
		{name: "a port is kept", given: "http://127.0.0.1:8080", host: "127.0.0.1:8080", path: "/repositories/"},
		{name: "what is no URL is refused", given: "https://bad host:x", kind: release.Invalid},
		{name: "another protocol is refused", given: "ftp://host", kind: release.Invalid},
		{name: "an address without a host is refused", given: "api.github.com", kind: release.Invalid},
		{name: "credentials in the address are refused", given: "https://user:word@host", kind: release.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GITHUB_API_URL", c.environment)
			w := newWorld(t)
			var host, path, agent string
			w.server.OnRequest(func(req *http.Request) github.Fault {
				host, path, agent = req.Host, req.URL.Path, req.UserAgent()
				return github.Fault{}
			})
			w.config.BaseURL = c.given
			client, err := ghapi.New(w.config)
			if !expect(t, err, c.kind) {
				if strings.Contains(err.Error(), "word") {
					t.Errorf("the error repeats the password: %v", err)
				}
				return
			}
			_, _ = client.Tags(t.Context(), repoID, "") // only where it went matters
			if host != c.host || !strings.HasPrefix(path, c.path) || agent != "tagboat" {
				t.Errorf("asked %s%s as %q, want %s%s… as tagboat", host, path, agent, c.host, c.path)
			}
		})
	}
}

func TestARenamedRepositoryIsTheSame(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.repo.Tag("v1", w.first)
		w.repo.Rename("acme/purchases")
		other := w.server.AddRepository(7, "acme/orders")
		other.Tag("v1", other.Commit("main", "impostor", nil))
		got, err := w.client.ResolveTag(t.Context(), repoID, "v1")
		if err != nil || got.Commit != w.first {
			t.Errorf("got %+v, %v; want commit %s", got, err, w.first)
		}
	})
}

func TestAnAPIThatKnowsNamesOnly(t *testing.T) {
	for _, c := range []struct {
		name string
		says string // what Config.Name answers
		kind release.Kind
	}{
		{name: "is asked by name", says: "acme/orders"},
		{name: "is asked by a former name, where it redirects by name", says: "acme/former"},
		{name: "is not believed when the name belongs to another repository", says: "acme/other", kind: release.Denied},
		{name: "is of no use when the name is not known", says: "", kind: release.Denied},
		{name: "is not asked by what is no full name", says: "../orders", kind: release.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.repo.Tag("v1", w.first)
			w.server.AddRepository(7, "acme/other").Commit("main", "first", nil)
			w.listen(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				path := strings.Replace(req.URL.Path, "/acme/former", "/acme/orders", 1)
				switch {
				case strings.Contains(path, "/repositories/"):
					http.NotFound(rw, req)
				case path != req.URL.Path:
					http.Redirect(rw, req, path, http.StatusMovedPermanently)
				default:
					w.server.ServeHTTP(rw, req)
				}
			}))
			w.config.Name = func(int64) string { return c.says }
			w.connect(t)
			got, err := w.client.ResolveTag(t.Context(), repoID, "v1")
			if expect(t, err, c.kind) && got.Commit != w.first {
				t.Errorf("got %+v, want commit %s", got, w.first)
			}
			if c.says == "acme/orders" {
				err := w.client.CommitStatus(t.Context(), repoID, w.first, "success", "c", "d", "")
				expect(t, err, "")
			}
		})
	}
}

// appKey is made for each run: no key is part of the project.
func appKey(t *testing.T) (*rsa.PublicKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func TestGitHubApp(t *testing.T) {
	public, private := appKey(t)
	everywhere(t, func(t *testing.T, w *world) {
		w.server.SetToken("")
		w.server.SetApp(12, 34, public)
		w.config.Token, w.config.App = nil, &ghapi.App{ID: 12, PrivateKey: private}
		w.connect(t)
		asked := map[string]int{}
		w.server.OnRequest(func(req *http.Request) github.Fault {
			asked[req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]]++
			return github.Fault{}
		})
		w.repo.Tag("v1", w.first)
		for range 3 {
			if _, err := w.client.ResolveTag(t.Context(), repoID, "v1"); err != nil {
				t.Fatal(err)
			}
		}
		if asked["installation"] != 1 || asked["access_tokens"] != 1 {
			t.Errorf("asked %v, want one look for the installation and one token", asked)
		}
	})
}

func TestGitHubAppThatGetsNoToken(t *testing.T) {
	public, private := appKey(t)
	for _, c := range []struct {
		name  string
		id    int64
		repo  int64
		fault func(*http.Request) github.Fault
		kind  release.Kind
	}{
		{name: "an app that is not installed is denied", id: 12, repo: 42, kind: release.Denied},
		{name: "an app with another id is denied", id: 13, repo: repoID, kind: release.Denied},
		{name: "an installation that is gone is denied", id: 12, repo: repoID, kind: release.Denied,
			fault: on("/access_tokens", github.Fault{Status: 404, Body: `{}`})},
		{name: "a suspended installation is denied", id: 12, repo: repoID, kind: release.Denied,
			fault: on("/access_tokens", github.Fault{Status: 403, Body: `{"message":"This installation has been suspended"}`})},
		{name: "a server's error is transient", id: 12, repo: repoID, kind: release.Transient,
			fault: on("/access_tokens", github.Fault{Status: 500, Body: `{}`})},
		{name: "a lost answer is transient", id: 12, repo: repoID, kind: release.Transient,
			fault: on("/installation", github.Fault{LoseAnswer: true})},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.server.SetApp(12, 34, public)
			w.server.OnRequest(c.fault)
			w.config.App = &ghapi.App{ID: c.id, PrivateKey: private}
			w.connect(t)
			_, err := w.client.Tags(t.Context(), c.repo, "")
			expect(t, err, c.kind)
		})
	}
}

func TestGitHubAppNeedsItsKey(t *testing.T) {
	_, private := appKey(t)
	for _, app := range []ghapi.App{{ID: 12, PrivateKey: []byte("not a key")}, {ID: 0, PrivateKey: private}} {
		_, err := ghapi.New(ghapi.Config{App: &app})
		expect(t, err, release.Invalid)
	}
}
