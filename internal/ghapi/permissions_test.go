package ghapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// repositoryAt answers for repository 7 as GitHub does: to who has a token with
// these scopes ("" is a classic token without, "-" any other token) and this role.
func repositoryAt(t *testing.T, scopes, answer string, contents int) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /repositories/7", func(w http.ResponseWriter, _ *http.Request) {
		if scopes != "-" {
			w.Header().Set("X-OAuth-Scopes", scopes)
		}
		fmt.Fprint(w, answer)
	})
	mux.HandleFunc("GET /repositories/7/git/matching-refs/heads/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(contents)
		fmt.Fprint(w, `[]`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// states are the states of the permissions, in one line.
func states(held []ghapi.Permission) string {
	var all []string
	for _, p := range held {
		all = append(all, string(p.State))
	}
	return strings.Join(all, " ")
}

// Source: GitHub, Scopes for OAuth apps; Permissions required for fine-grained
// personal access tokens.
func TestWhatATokenMayDo(t *testing.T) {
	const writer, reader = `{"id": 7, "private": true, "permissions": {"push": true}}`, `{"id": 7, "permissions": {"push": false}}`
	for name, c := range map[string]struct {
		token, scopes, answer string
		contents              int
		want                  string // contents, deployments, statuses
	}{
		"a classic token for repositories":                    {"t", "repo, read:org", writer, 200, "held held held"},
		"a classic token with the two scopes":                 {"t", "repo_deployment, repo:status", writer, 200, "held held held"},
		"a classic token that lacks one":                      {"t", "repo:status", writer, 200, "held missing held"},
		"a classic token without scopes":                      {"t", "", writer, 200, "held missing missing"},
		"a scope for public repositories at a private one":    {"t", "public_repo", writer, 200, "held missing missing"},
		"a scope for public repositories at a public one":     {"t", "public_repo", `{"id": 7, "permissions": {"push": true}}`, 200, "held held held"},
		"a classic token of somebody who may only read":       {"t", "repo", reader, 200, "held missing missing"},
		"a fine-grained token tells nothing of writing":       {"t", "-", writer, 200, "held unknown unknown"},
		"a fine-grained token of somebody who may only read":  {"t", "-", reader, 200, "held missing missing"},
		"a fine-grained token that may not read the contents": {"t", "-", writer, 403, "missing unknown unknown"},
		"no token at a public repository":                     {"", "-", `{"id": 7}`, 200, "held missing missing"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := ghapi.New(ghapi.Config{BaseURL: repositoryAt(t, c.scopes, c.answer, c.contents), Token: ghapi.StaticToken(c.token)})
			if err != nil {
				t.Fatal(err)
			}
			held, err := client.Permissions(t.Context(), 7)
			if got := states(held); err != nil || got != c.want {
				t.Errorf("permissions are %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestARepositoryThatATokenCannotSee(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client, err := ghapi.New(ghapi.Config{BaseURL: server.URL, Token: ghapi.StaticToken("t")})
	if err != nil {
		t.Fatal(err)
	}
	if held, err := client.Permissions(t.Context(), 7); err == nil || release.KindOf(err) == release.Transient {
		t.Errorf("permissions are %v, %v; want a refusal", held, err)
	}
}

// Source: GitHub, Get a repository installation for the authenticated app.
func TestWhatAnAppMayDo(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	for name, c := range map[string]struct{ permissions, want string }{
		"all that is needed":    {`{"contents": "read", "deployments": "write", "statuses": "write", "checks": "write"}`, "held held held held"},
		"more than is needed":   {`{"contents": "write", "deployments": "write", "statuses": "write", "checks": "write"}`, "held held held held"},
		"reading where writing": {`{"contents": "read", "deployments": "read", "statuses": "write", "checks": "read"}`, "held missing held missing"},
		"nothing":               {`{}`, "missing missing missing missing"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /repositories/7/installation", func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"id": 1, "permissions": %s}`, c.permissions)
			})
			server := httptest.NewServer(mux)
			defer server.Close()
			client, err := ghapi.New(ghapi.Config{BaseURL: server.URL, App: &ghapi.App{ID: 3, PrivateKey: private}})
			if err != nil {
				t.Fatal(err)
			}
			held, err := client.Permissions(t.Context(), 7)
			if got := states(held); err != nil || got != c.want {
				t.Errorf("permissions are %q, %v; want %q", got, err, c.want)
			}
			if held, err := client.Permissions(t.Context(), 8); release.KindOf(err) != release.Denied {
				t.Errorf("where it is not installed: %v, %v; want it denied", held, err)
			}
		})
	}
}
