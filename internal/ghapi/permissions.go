package ghapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// PermissionState tells whether a credential has a permission.
type PermissionState string

// The states of permissions. GitHub does not tell which a fine-grained token has.
const (
	Held    PermissionState = "held"
	Missing PermissionState = "missing"
	Unknown PermissionState = "unknown"
)

// Permission is one that Tagboat needs in a repository, by its name in GitHub's settings.
type Permission struct {
	Name  string
	State PermissionState
}

// Permissions tells which of the needed permissions the credential has in a
// repository. It only looks: of a GitHub App, the installation names them; of a
// classic token, the scopes do; of any other token, reading is tried, and writing
// is not possible for who has no write access to the repository.
func (c *Client) Permissions(ctx context.Context, repo int64) ([]Permission, error) {
	if app, ok := c.token.(*installations); ok {
		return app.permissions(ctx, repo)
	}
	k := read(repo, "", fmt.Sprintf("repository %d", repo))
	resp, err := c.open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var found github.Repository
	if err := decode(resp.Body, k, &found); err != nil {
		return nil, err
	}
	contents, err := c.readsContents(ctx, repo)
	if err != nil {
		return nil, err
	}
	token, err := c.token.token(ctx, repo)
	if err != nil {
		return nil, err
	}
	write := func(scope string) PermissionState {
		if token == "" {
			return Missing // a public repository is read by anybody
		}
		return writes(resp.Header, found, scope)
	}
	return []Permission{
		{readContents, contents}, {writeDeployments, write("repo_deployment")}, {writeStatuses, write("repo:status")},
	}, nil
}

// readsContents reads what every repository but an empty one has: its branches' refs.
func (c *Client) readsContents(ctx context.Context, repo int64) (PermissionState, error) {
	k := read(repo, "/git/matching-refs/heads/", fmt.Sprintf("contents of repository %d", repo))
	resp, err := c.open(ctx, k)
	switch {
	case release.KindOf(err) == release.Denied:
		return Missing, nil
	case err != nil:
		return Unknown, err
	}
	return Held, resp.Body.Close()
}

// scopesHeader lists the scopes of a classic token, and is missing for any other.
const scopesHeader = "X-Oauth-Scopes"

func writes(header http.Header, repository github.Repository, scope string) PermissionState {
	listed, classic := header[http.CanonicalHeaderKey(scopesHeader)]
	var scopes []string
	for _, each := range strings.Split(strings.Join(listed, ","), ",") {
		scopes = append(scopes, strings.TrimSpace(each))
	}
	role, known := repository.GetPermissions()["push"]
	switch {
	case known && !role:
		return Missing
	case !classic || !known:
		return Unknown
	case slices.Contains(scopes, "repo") || slices.Contains(scopes, scope),
		slices.Contains(scopes, "public_repo") && !repository.GetPrivate():
		return Held
	}
	return Missing
}

// permissions are those of the app's installation in a repository.
func (i *installations) permissions(ctx context.Context, repo int64) ([]Permission, error) {
	for _, place := range []string{byID(repo), i.client.byName(repo)} {
		if place == "" {
			continue
		}
		k := read(repo, place+"/installation", "the github app's installation")
		resp, err := i.asApp(ctx, k)
		if release.KindOf(err) == release.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		var found github.Installation
		if err := decode(resp.Body, k, &found); err != nil {
			return nil, err
		}
		return granted(found.GetPermissions()), nil
	}
	return nil, notInstalled(repo)
}

func granted(p *github.InstallationPermissions) []Permission {
	state := func(level string, enough ...string) PermissionState {
		if slices.Contains(enough, level) {
			return Held
		}
		return Missing
	}
	return []Permission{
		{readContents, state(p.GetContents(), "read", "write")},
		{writeDeployments, state(p.GetDeployments(), "write")},
		{writeStatuses, state(p.GetStatuses(), "write")},
		{writeChecks, state(p.GetChecks(), "write")},
	}
}

// RepositoryID is the number of the repository that has a name now. It takes a
// token: a GitHub App's are found by the number.
func (c *Client) RepositoryID(ctx context.Context, name string) (int64, error) {
	path, err := segments("repository", name)
	if err != nil || strings.Count(path, "/") != 1 {
		return 0, release.Errorf(release.Invalid, "repository %q is not owner/name", name)
	}
	k := call{method: http.MethodGet, path: "repos/" + path, what: "repository " + name, permission: readContents}
	resp, err := c.once(ctx, k)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var found github.Repository
	err = decode(resp.Body, k, &found)
	return found.GetID(), err
}
