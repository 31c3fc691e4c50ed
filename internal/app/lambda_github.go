package app

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// NeedGitHub gives the client for GitHub, with the credentials of the secret: a
// token, or {"app_id": <number>, "private_key": "<PEM>"} of a GitHub App.
func NeedGitHub(ctx context.Context, p *Parts, clients *awsapi.Clients) error {
	id, err := required(envGitHubSecret)
	if err != nil {
		return err
	}
	api := secretsmanager.NewFromConfig(clients.Config(""))
	text, err := readSecret(ctx, api, id, "AWSCURRENT")
	if err != nil {
		return err
	}
	c, err := githubConfig(text)
	if err != nil {
		return err
	}
	c.Clock = p.Clock
	// A token is read for each request: it may be rotated.
	c.Token = func(ctx context.Context) (string, error) { return readSecret(ctx, api, id, "AWSCURRENT") }
	p.GitHub, err = ghapi.New(c)
	return err
}

// GitHubBySecret is a client with the credentials of a secret's text, as the
// tasks read them. An empty address is github.com's.
func GitHubBySecret(secret, address string) (*ghapi.Client, error) {
	c, err := githubConfig(secret)
	if err != nil {
		return nil, err
	}
	c.BaseURL = address
	return ghapi.New(c)
}

// githubConfig reads the text of a secret: a token, or the credentials of a GitHub
// App. They appear in no error.
func githubConfig(secret string) (ghapi.Config, error) {
	if !strings.HasPrefix(secret, "{") {
		return ghapi.Config{Token: ghapi.StaticToken(secret)}, nil
	}
	var app struct {
		ID         int64  `json:"app_id"`
		PrivateKey string `json:"private_key"`
	}
	if err := json.Unmarshal([]byte(secret), &app); err != nil || app.ID == 0 || app.PrivateKey == "" {
		return ghapi.Config{}, release.Errorf(release.Invalid, `the GitHub secret is neither a token nor {"app_id": <number>, "private_key": "<PEM>"}`).
			WithRemedy("Put the token as it is, or that JSON, into the secret that %s names.", envGitHubSecret)
	}
	return ghapi.Config{App: &ghapi.App{ID: app.ID, PrivateKey: []byte(app.PrivateKey)}}, nil
}
