package cli

import (
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

func TestSettingsAreCheckedBeforeAnythingStarts(t *testing.T) {
	right := settings{Listen: "127.0.0.1:0", Registry: "registry.yaml", Bucket: "tagboat-state"}
	tests := []struct {
		name   string
		change func(*settings)
		env    map[string]string
		says   string // empty: nothing is wrong
	}{
		{name: "a secret is enough"},
		{name: "a token opens every address", change: func(s *settings) { s.Listen = ":8787" }, env: map[string]string{"TAGBOAT_TOKEN": "t"}},
		{name: "localhost is this machine", change: func(s *settings) { s.Listen = "localhost:8787" }},
		{name: "no registry", change: func(s *settings) { s.Registry = "" }, says: "--registry is missing"},
		{name: "no bucket", change: func(s *settings) { s.Bucket = "" }, says: "--bucket is missing"},
		{name: "an empty secret", env: map[string]string{"TAGBOAT_WEBHOOK_SECRET": "\n"}, says: "TAGBOAT_WEBHOOK_SECRET"},
		{name: "every address without a token", change: func(s *settings) { s.Listen = ":8787" }, says: "TAGBOAT_TOKEN is not set"},
		{name: "an empty token", change: func(s *settings) { s.Listen = ":8787" }, env: map[string]string{"TAGBOAT_TOKEN": " "}, says: "TAGBOAT_TOKEN is not set"},
		{name: "a port that is none", change: func(s *settings) { s.Listen = "127.0.0.1:http" }, says: "want host:port"},
		{name: "an app without its key", env: map[string]string{"GITHUB_APP_ID": "12"}, says: "GITHUB_APP_PRIVATE_KEY"},
		{name: "a key without its app", env: map[string]string{"GITHUB_APP_PRIVATE_KEY": "pem"}, says: "GITHUB_APP_ID"},
		{
			name: "an app with a name for an id", env: map[string]string{"GITHUB_APP_ID": "tagboat", "GITHUB_APP_PRIVATE_KEY": "pem"},
			says: `got "tagboat"`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := right
			if test.change != nil {
				test.change(&s)
			}
			err := s.environment(func(name string) string {
				if value, set := test.env[name]; set || name != "TAGBOAT_WEBHOOK_SECRET" {
					return value
				}
				return "not-a-real-secret"
			})
			if test.says == "" {
				if err != nil {
					t.Errorf("got %v, want nothing wrong", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || release.RemedyOf(err) == "" {
				t.Errorf("got %v (next: %s), want it to say %q and the next step", err, release.RemedyOf(err), test.says)
			}
		})
	}
}

func TestKeyOfAGitHubAppMayHaveEscapedLines(t *testing.T) {
	config, err := githubConfig(func(name string) string {
		return map[string]string{"GITHUB_APP_ID": " 12\n", "GITHUB_APP_PRIVATE_KEY": `BEGIN\nkey\nEND`, "GITHUB_TOKEN": "unused"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if config.App == nil || config.App.ID != 12 || string(config.App.PrivateKey) != "BEGIN\nkey\nEND" || config.Token != nil {
		t.Errorf("got %+v", config)
	}
}
