package ghapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// App is a GitHub App: its id, and a private key of it as PEM.
type App struct {
	ID         int64
	PrivateKey []byte
}

// tokenSource gives the token for a repository; an empty one is none.
type tokenSource interface {
	token(ctx context.Context, repo int64) (string, error)
}

// staticSource is one token for every repository; nil gives none.
type staticSource func(ctx context.Context) (string, error)

func (s staticSource) token(ctx context.Context, _ int64) (string, error) {
	if s == nil {
		return "", nil
	}
	token, err := s(ctx)
	if err != nil {
		return "", release.Errorf(release.Transient, "the github token cannot be read: %w", err).
			WithRemedy("Check the secret that holds the token, and who may read it.")
	}
	return strings.TrimSpace(token), nil
}

// installations gives tokens of a GitHub App's installations, each found by
// repository and cached; ghinstallation renews the tokens.
type installations struct {
	client *Client
	app    App
	signer *ghinstallation.AppsTransport // acts as the app itself

	mu             sync.Mutex
	byRepository   map[int64]int64
	byInstallation map[int64]*ghinstallation.Transport
}

func newInstallations(c *Client, app App) (*installations, error) {
	signer, err := ghinstallation.NewAppsTransport(carrier(c.http), app.ID, app.PrivateKey)
	if err != nil || app.ID <= 0 {
		// err may quote the key: it is not repeated
		return nil, release.Errorf(release.Invalid, "the github app %d needs a positive id and an RSA private key in PEM", app.ID).
			WithRemedy("Set GITHUB_APP_ID, and GITHUB_APP_PRIVATE_KEY to the whole file that GitHub gave.")
	}
	return &installations{
		client:         c,
		app:            app,
		signer:         signer,
		byRepository:   map[int64]int64{},
		byInstallation: map[int64]*ghinstallation.Transport{},
	}, nil
}

func carrier(client *http.Client) http.RoundTripper {
	if client.Transport == nil {
		return http.DefaultTransport
	}
	return client.Transport
}

func (i *installations) token(ctx context.Context, repo int64) (string, error) {
	installation, err := i.installation(ctx, repo)
	if err != nil {
		return "", err
	}
	source, err := i.source(installation)
	if err != nil {
		return "", err
	}
	token, err := source.Token(ctx)
	if err != nil {
		i.forget(repo)
		return "", i.refused(ctx, repo, err)
	}
	return token, nil
}

// installation finds the app's installation in a repository.
func (i *installations) installation(ctx context.Context, repo int64) (int64, error) {
	i.mu.Lock()
	id, known := i.byRepository[repo]
	i.mu.Unlock()
	if known {
		return id, nil
	}
	id, err := i.find(ctx, repo)
	if err != nil {
		return 0, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.byRepository[repo] = id
	return id, nil
}

// find asks GitHub, as the app, for its installation in a repository.
func (i *installations) find(ctx context.Context, repo int64) (int64, error) {
	for _, place := range []string{byID(repo), i.client.byName(repo)} {
		if place == "" {
			continue
		}
		id, err := i.ask(ctx, read(repo, place+"/installation", "the github app's installation"))
		if release.KindOf(err) != release.NotFound {
			return id, err
		}
	}
	return 0, notInstalled(repo)
}

func (i *installations) ask(ctx context.Context, k call) (int64, error) {
	resp, err := i.asApp(ctx, k)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var found github.Installation
	err = decode(resp.Body, k, &found)
	return found.GetID(), err
}

// asApp makes a call as the app itself. A success may be that GitHub will do it later.
func (i *installations) asApp(ctx context.Context, k call) (*http.Response, error) {
	req, err := i.client.request(ctx, k)
	if err != nil {
		return nil, err
	}
	resp, err := i.signer.RoundTrip(req)
	if err != nil {
		return nil, unreachable(ctx, k, req.URL, err, "")
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, i.client.refusal(k, resp, "")
	}
	return resp, nil
}

func notInstalled(repo int64) error {
	return release.Errorf(release.Denied, "the github app is not installed in repository %d", repo).
		WithRemedy("Install the GitHub App in the repository, with %s, %s, %s and %s.",
			readContents, writeDeployments, writeStatuses, writeChecks)
}

// source is where an installation's tokens come from. Each has a transport of
// its own, because ghinstallation writes to it whenever it renews a token.
func (i *installations) source(installation int64) (*ghinstallation.Transport, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if known, ok := i.byInstallation[installation]; ok {
		return known, nil
	}
	made, err := ghinstallation.New(carrier(i.client.http), i.app.ID, installation, i.app.PrivateKey)
	if err != nil {
		return nil, release.Errorf(release.Invalid, "the github app's private key cannot be read")
	}
	made.BaseURL = strings.TrimSuffix(i.client.base.String(), "/")
	i.byInstallation[installation] = made
	return made, nil
}

// forget makes the next call look for the installation afresh: the app may have
// been installed anew.
func (i *installations) forget(repo int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.byRepository, repo)
}

// refused is the error of an installation that gets no token.
func (i *installations) refused(ctx context.Context, repo int64, err error) error {
	k := call{what: "the github app's token", permission: readContents}
	var failure *ghinstallation.HTTPError
	if errors.As(err, &failure) && failure.Response != nil {
		defer failure.Response.Body.Close()
		if failure.Response.StatusCode == http.StatusNotFound {
			return notInstalled(repo)
		}
		if failure.Response.StatusCode/100 != 2 {
			return i.client.refusal(k, failure.Response, "")
		}
	}
	return unreachable(ctx, k, i.client.base, err, "")
}
