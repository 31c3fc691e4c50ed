package ghapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// The bounds of one call.
const (
	headerTimeout = 30 * time.Second
	maxRedirects  = 5
	maxJSON       = 16 << 20 // a comparison lists up to 300 files with their diffs
	maxErrorBody  = 64 << 10
	maxPages      = 1000
)

// The permissions that calls need, in the words of GitHub's settings.
const (
	readContents     = `"Contents: read"`
	writeDeployments = `"Deployments: write"`
	writeStatuses    = `"Commit statuses: write"`
	writeChecks      = `"Checks: write"`
	ownKey           = "its own private key"
)

// The media types of answers that are not described in JSON.
const (
	mediaRaw    = "application/vnd.github.raw+json"
	mediaBinary = "application/octet-stream"
)

// call is one request to the API and what its errors say.
type call struct {
	repo       int64
	method     string
	path       string // below the repository
	body       any
	accept     string // go-github's default if empty
	binary     bool   // the answer is bytes, wanted as they are stored
	etag       string // of the answer that is known already
	what       string // the object, for people
	permission string
}

// read is a call that only looks.
func read(repo int64, path, what string) call {
	return call{repo: repo, method: http.MethodGet, path: path, what: what, permission: readContents}
}

// do makes the call and decodes its answer. The result is the query of the
// next page, if there is one.
func (c *Client) do(ctx context.Context, k call, into any) (next string, err error) {
	resp, err := c.open(ctx, k)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return nextPage(resp), decode(resp.Body, k, into)
}

// open makes the call and leaves the answer's body to be read. Whatever is not
// a success is an error, also when GitHub says that the answer is not ready.
func (c *Client) open(ctx context.Context, k call) (*http.Response, error) {
	resp, err := c.once(ctx, c.locate(k))
	if release.KindOf(err) != release.NotFound {
		return resp, err
	}
	if err := c.look(ctx, k.repo, err); err != nil {
		return nil, err
	}
	return c.once(ctx, c.locate(k)) // the repository is elsewhere
}

func (c *Client) once(ctx context.Context, k call) (*http.Response, error) {
	token, err := c.token.token(ctx, k.repo)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(ctx, k, token)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusAccepted ||
		resp.StatusCode == http.StatusNotModified && k.etag != "" {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refusal(k, resp, token)
}

// send makes the request and follows redirects of those that only look.
func (c *Client) send(ctx context.Context, k call, token string) (*http.Response, error) {
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	authorize(req, token)
	for range maxRedirects + 1 {
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, unreachable(ctx, k, req.URL, err, token)
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode/100 != 3 || location == "" {
			return resp, nil
		}
		_ = resp.Body.Close() // a redirect's body says nothing more
		if req, err = c.follow(ctx, k, req, location, token); err != nil {
			return nil, err
		}
	}
	return nil, release.Errorf(release.Transient, "%s: github redirected more than %d times", k.what, maxRedirects).
		WithRemedy("Try again later.")
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	req, err := c.api.NewRequest(k.method, k.path, k.body)
	if err != nil {
		return nil, release.Errorf(release.Internal, "%s: the request cannot be built", k.what)
	}
	if k.accept != "" {
		req.Header.Set("Accept", k.accept)
	}
	if k.etag != "" {
		req.Header.Set("If-None-Match", k.etag)
	}
	if k.binary {
		req.Header.Set("Accept-Encoding", "identity")
	}
	return req.WithContext(ctx), nil
}

// follow is the request that a redirect asks for. It carries the token only if
// it stays among the API's repositories, as after a rename; anything else has a
// credential of its own in the URL, and may be somebody else's host.
func (c *Client) follow(ctx context.Context, k call, from *http.Request, location, token string) (*http.Request, error) {
	target, err := from.URL.Parse(location)
	switch {
	case k.method != http.MethodGet:
		return nil, release.Errorf(release.Transient, "%s: github redirected a %s, which is not repeated elsewhere", k.what, k.method).
			WithRemedy("Try again later; check that GITHUB_API_URL is the API's final address.")
	case err != nil:
		return nil, release.Errorf(release.Transient, "%s: github redirected to what is not a URL", k.what).WithRemedy("Try again later.")
	case target.Scheme != "https" && target.Scheme != from.URL.Scheme:
		return nil, release.Errorf(release.Denied, "%s: github redirected from %s to %s://%s, want an encrypted connection",
			k.what, from.URL.Scheme, target.Scheme, target.Host).WithRemedy("Check the address of the GitHub API.")
	}
	req := from.Clone(ctx)
	req.URL, req.Host = target, ""
	req.Header.Del("Authorization")
	if c.isRepository(target) {
		authorize(req, token)
	} else {
		req.Header.Set("Accept", "*/*")
	}
	return req, nil
}

func authorize(req *http.Request, token string) {
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
}

// isRepository tells whether a URL is a repository's at the API.
func (c *Client) isRepository(u *url.URL) bool {
	below, ok := strings.CutPrefix(u.Path, c.base.Path)
	return ok && u.Scheme == c.base.Scheme && u.Host == c.base.Host && u.User == nil &&
		(strings.HasPrefix(below, "repositories/") || strings.HasPrefix(below, "repos/"))
}

// nextPage is the query of the link to the next page; empty if this is the last one.
func nextPage(resp *http.Response) string {
	for _, link := range strings.Split(resp.Header.Get("Link"), ",") {
		address, relation, _ := strings.Cut(strings.TrimSpace(link), ">;")
		if !strings.Contains(relation, `rel="next"`) {
			continue
		}
		if next, err := url.Parse(strings.TrimPrefix(address, "<")); err == nil {
			return next.RawQuery
		}
	}
	return ""
}

// pages makes the call for every page, each decoded anew and given to visit, until
// visit answers false. Of the links between pages only the query is used: wherever
// they lead, the token stays with the API.
func pages[Page any](ctx context.Context, c *Client, k call, visit func(Page) (more bool)) error {
	path, _, _ := strings.Cut(k.path, "?")
	for range maxPages {
		var page Page
		next, err := c.do(ctx, k, &page)
		if err != nil {
			return err
		}
		if !visit(page) || next == "" {
			return nil
		}
		k.path = path + "?" + next
	}
	return release.Errorf(release.Invalid, "%s: more than %d pages", k.what, maxPages)
}

// decode reads a JSON answer.
func decode(body io.Reader, k call, into any) error {
	content, err := readAll(body, maxJSON, k)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return release.Errorf(release.Transient, "%s: github's answer of %d bytes is not the JSON that was expected", k.what, len(content)).
			WithRemedy("Try again; check that GITHUB_API_URL is the address of GitHub's REST API.")
	}
	return nil
}

// readAll reads a body of at most limit bytes.
func readAll(body io.Reader, limit int64, k call) ([]byte, error) {
	var buffer bytes.Buffer
	n, err := io.Copy(&buffer, io.LimitReader(body, limit+1))
	if err != nil {
		return nil, broken(k, err)
	}
	if n > limit {
		return nil, release.Errorf(release.Invalid, "%s: github's answer has more than %d bytes", k.what, limit)
	}
	return buffer.Bytes(), nil
}

// stream is a body whose errors are this package's.
type stream struct {
	io.ReadCloser
	call call
}

// Read reads from the body.
func (s stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = broken(s.call, err)
	}
	return n, err
}

// checkResponse is go-github's reading of an answer that is not a success, from
// a body that is no larger than it should be.
func checkResponse(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // the status says enough
	copied := *resp
	copied.Body = io.NopCloser(bytes.NewReader(body))
	return github.CheckResponse(&copied)
}
