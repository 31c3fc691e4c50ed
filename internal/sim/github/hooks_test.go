package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"testing"
)

// GitHub, "Webhook events and payloads": no push or create event is raised for
// tags of which more than three are pushed at once.
func TestMoreThanThreeTagsAtOnceRaiseNoEvent(t *testing.T) {
	server, repo := newServer()
	sha := repo.Commit("main", "first", nil)
	names := []string{"v1", "v2", "v3", "v4"}
	if got := len(server.PushTags(repo, sha, names[:3]...)); got != 3 {
		t.Errorf("three tags raised %d events, want one each", got)
	}
	if got := len(server.PushTags(repo, sha, names...)); got != 0 {
		t.Errorf("four tags raised %d events, want none", got)
	}
	if status, _ := fetch(t, server, http.MethodGet, "https://api.github.com/repos/acme/orders/git/ref/tags/v4", token, ""); status != http.StatusOK {
		t.Errorf("the fourth tag: got %d, want it to be there all the same", status)
	}
}

// GitHub, "REST API endpoints for GitHub App webhooks": with a JSON web token of the app only.
func TestDeliveriesAreTheAppsOwn(t *testing.T) {
	server, repo := newServer()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	server.SetApp(12, 34, &key.PublicKey)
	server.Send(server.Ping(repo))
	for _, request := range [][2]string{{http.MethodGet, "/app/hook/deliveries"}, {http.MethodPost, "/app/hook/deliveries/1001/attempts"}} {
		for _, auth := range []string{"", token} {
			if status, _ := fetch(t, server, request[0], "https://api.github.com"+request[1], auth, ""); status != http.StatusUnauthorized {
				t.Errorf("%s %s with %q: got %d, want 401", request[0], request[1], auth, status)
			}
		}
	}
}
