package app

import (
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

func TestTheGitHubSecretIsATokenOrAnApp(t *testing.T) {
	token, err := githubConfig("example-token")
	if err != nil || token.App != nil || token.Token == nil {
		t.Fatalf("a token gives %+v, %v, want a source of tokens alone", token, err)
	}
	if text, err := token.Token(t.Context()); err != nil || text != "example-token" {
		t.Errorf("the token is %q, %v", text, err)
	}
	app, err := githubConfig(`{"app_id": 7, "private_key": "example-key"}`)
	if err != nil || app.App == nil || app.App.ID != 7 || string(app.App.PrivateKey) != "example-key" {
		t.Errorf("an app gives %+v, %v", app, err)
	}
	if token.HTTP != nil || app.HTTP != nil {
		t.Error("a client of our own replaces the one that waits for an answer no longer than is good")
	}
	for _, bad := range []string{`{"app_id": 7}`, `{"private_key": "example-key"}`, `{"app_id": "example-key"`} {
		_, err := githubConfig(bad)
		if release.KindOf(err) != release.Invalid || strings.Contains(err.Error()+release.RemedyOf(err), "example-key") {
			t.Errorf("%s: got %v, want it refused without a word of the secret", bad, err)
		}
	}
}
