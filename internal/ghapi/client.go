// Package ghapi is Tagboat's client of GitHub's REST API: reading a tag, its
// commit, files, archives and release assets, and telling GitHub what became of
// a release. It is narrow on purpose, and built on the requests, types and error
// answers of go-github.
//
// Repositories are addressed by id, as /repositories/{id}/…, the form that
// GitHub's own redirects and pagination links use: a rename changes nothing, and
// a new repository under an old name is never mistaken for it. Branches and tags
// are read as exact refs, so that a tag named like a branch is not taken for it.
//
// Every error is a [release.Error]: Denied names the permission that is
// missing, NotFound is an object of a repository that can be seen, Invalid
// and Conflict are GitHub's refusals, and Transient (network, 5xx, rate limits)
// may be tried again as its remedy says. The client itself tries nothing twice.
//
// The token is sent to the API alone. Archives and assets come from other hosts,
// by redirects that carry their own credential. Neither appears in an error.
package ghapi

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// DefaultBaseURL is the API of github.com.
const DefaultBaseURL = "https://api.github.com/"

// userAgent is what every request names itself; GitHub refuses requests without one.
const userAgent = "tagboat"

// Config is what a client needs. Without Token and App, only public
// repositories can be read.
type Config struct {
	// BaseURL is the API, with its path: https://host/api/v3 for GitHub
	// Enterprise. Empty is $GITHUB_API_URL, or DefaultBaseURL without that.
	BaseURL string
	// Token gives the token for the next request; it may change between two.
	Token func(ctx context.Context) (string, error)
	// App is the GitHub App to act as; it goes before Token.
	App *App
	// Name, if set, tells a repository's full name, or "". It serves where an API
	// (a proxy, an emulation) has the documented /repos/{owner}/{name} only, and
	// is believed only if the repository of that name has the id.
	Name func(repo int64) string
	// HTTP carries the requests; nil is a client with a time limit for headers.
	HTTP *http.Client
	// Clock tells how far away the end of a rate limit is; nil is the wall clock.
	Clock clock.Clock
}

// Client calls GitHub. Its methods may be called concurrently.
type Client struct {
	base  *url.URL
	http  *http.Client
	api   *github.Client // builds requests; it sends none
	token tokenSource
	clock clock.Clock

	name func(repo int64) string

	mu    sync.Mutex
	found map[int64]string // paths of repositories that the token has been seen to reach
}

// New makes a client. It makes no request.
func New(config Config) (*Client, error) {
	base, err := parseBase(config.BaseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:  base,
		http:  plain(config.HTTP),
		clock: config.Clock,
		name:  config.Name,
		found: map[int64]string{},
	}
	if c.clock == nil {
		c.clock = clock.System{}
	}
	c.api = github.NewClient(nil)
	c.api.BaseURL, c.api.UserAgent = base, userAgent
	c.token = staticSource(config.Token)
	if config.App != nil {
		if c.token, err = newInstallations(c, *config.App); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// StaticToken is a [Config.Token] that never changes; surrounding white space
// is not part of it.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// parseBase checks the API's address and ends its path with a slash, so that
// paths are resolved below it.
func parseBase(address string) (*url.URL, error) {
	if address == "" {
		address = os.Getenv("GITHUB_API_URL")
	}
	if address == "" {
		address = DefaultBaseURL
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, release.Errorf(release.Invalid, "the GitHub API's address is not a URL").
			WithRemedy("Set GITHUB_API_URL to an address like https://host/api/v3.")
	}
	if base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, release.Errorf(release.Invalid,
			"the GitHub API's address is %q, want http(s)://host/path without credentials and query", base.Redacted()).
			WithRemedy("Set GITHUB_API_URL to an address like https://host/api/v3.")
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	return base, nil
}

// plain copies the HTTP client without its own redirects and cookies: the
// client follows redirects itself, to decide which request carries the token.
func plain(given *http.Client) *http.Client {
	client := http.Client{}
	if given != nil {
		client = *given
	} else {
		client.Transport = patientTransport()
	}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// patientTransport waits for an answer's header no longer than [headerTimeout];
// the body takes as long as the context allows.
func patientTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // replaced by somebody who knows better
	}
	own := standard.Clone()
	own.ResponseHeaderTimeout = headerTimeout
	return own
}

// segments escapes a slash-separated name for a path. Names that a URL would
// resolve away ("..", ".", "a//b") are no names of refs or files.
func segments(what, name string) (string, error) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", release.Errorf(release.Invalid, "%s %q is not a name that git allows: it has the part %q", what, name, part)
		}
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/"), nil
}

// checkCommit refuses what is not a full object name, before it becomes part of a path.
func checkCommit(commit string) error {
	hexadecimal := strings.Trim(commit, "0123456789abcdef") == ""
	if !hexadecimal || len(commit) != 40 && len(commit) != 64 {
		return release.Errorf(release.Invalid, "commit %q is not a full sha of 40 or 64 hexadecimal digits", commit)
	}
	return nil
}
