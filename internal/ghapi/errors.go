package ghapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// secondaryWait is how long to wait after a secondary rate limit that names no
// time: at least a minute (GitHub, "Rate limits for the REST API").
const secondaryWait = time.Minute

// maxMessage is how much of GitHub's own words an error repeats.
const maxMessage = 300

// refusal is the error of an answer that is not a success.
func (c *Client) refusal(k call, resp *http.Response, token string) error {
	problem := checkResponse(resp)
	said := scrub(message(problem), token)
	if until, limited := c.rateLimit(resp, problem); limited {
		return release.Errorf(release.Transient, "%s: github's rate limit is reached: %s", k.what, said).
			WithRemedy("Try again after %s (in %s).", until.Format(time.RFC3339), until.Sub(c.clock.Now()).Round(time.Second))
	}
	status := resp.StatusCode
	switch {
	case status == http.StatusUnauthorized:
		return release.Errorf(release.Denied, "%s: github does not accept the credentials (401): %s", k.what, said).
			WithRemedy("Check GITHUB_TOKEN, or the GitHub App's id and private key; it needs %s.", k.permission)
	case status == http.StatusForbidden, status == http.StatusUnavailableForLegalReasons:
		return release.Errorf(release.Denied, "%s: github refuses access (%d): %s", k.what, status, said).
			WithRemedy("Give the token or the GitHub App the permission %s on the repository.", k.permission)
	case status == http.StatusNotFound, status == http.StatusGone:
		return absent(k, status, said)
	case status == http.StatusConflict:
		return release.Errorf(release.Conflict, "%s: github reports a conflict (409): %s", k.what, said)
	case status == http.StatusAccepted, status == http.StatusRequestTimeout, status >= 500:
		return release.Errorf(release.Transient, "%s: github could not answer (%d): %s", k.what, status, said).
			WithRemedy("Try again later; see https://www.githubstatus.com.")
	}
	return release.Errorf(release.Invalid, "%s: github refuses the request (%d): %s", k.what, status, said)
}

// absent is the error of what is not there. Of a write it may also be a hidden refusal.
func absent(k call, status int, said string) error {
	err := release.Errorf(release.NotFound, "%s is not at github (%d): %s", k.what, status, said)
	if status == http.StatusNotFound && said == http.StatusText(status) { // it says no more than the sentence
		err = release.Errorf(release.NotFound, "%s is not at github", k.what)
	}
	if k.method != http.MethodGet {
		return err.WithRemedy("Check that the token or the GitHub App has the permission %s on the repository.", k.permission)
	}
	return err.WithRemedy("Push it, or check its name: that is what is asked for.")
}

// hidden is the error of a repository that is missing, or looks so to the token.
func hidden(repo int64) error {
	return release.Errorf(release.Denied, "repository %d does not exist at github, or the credentials do not reach it", repo).
		WithRemedy("Check the repository's id in the registry, and give the token or the GitHub App access to it with %s.", readContents)
}

// rateLimit tells whether the answer is a rate limit, primary or secondary, and
// when it ends. GitHub answers 403 or 429.
func (c *Client) rateLimit(resp *http.Response, problem error) (until time.Time, limited bool) {
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		return time.Time{}, false
	}
	now := c.clock.Now()
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		return now.Add(time.Duration(seconds) * time.Second), true
	}
	if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return later(time.Unix(reset, 0).UTC(), now), true
		}
		return now.Add(secondaryWait), true
	}
	var secondary *github.AbuseRateLimitError
	if resp.StatusCode == http.StatusTooManyRequests || errors.As(problem, &secondary) {
		return now.Add(secondaryWait), true
	}
	return time.Time{}, false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// message is what GitHub said, without the request that go-github adds.
func message(problem error) string {
	var response *github.ErrorResponse
	var limit *github.RateLimitError
	var secondary *github.AbuseRateLimitError
	var said string
	switch {
	case errors.As(problem, &response):
		said = response.Message
		for _, detail := range response.Errors {
			said += "; " + detailed(detail)
		}
	case errors.As(problem, &limit):
		said = limit.Message
	case errors.As(problem, &secondary):
		said = secondary.Message
	}
	if said == "" {
		said = "no explanation"
	}
	return said
}

func detailed(e github.Error) string {
	if e.Message != "" {
		return strings.TrimSpace(e.Field + " " + e.Message)
	}
	return fmt.Sprintf("%s of %s is %s", e.Field, e.Resource, e.Code)
}

// unreachable is the error of a request that got no answer. It names the host
// alone: a redirect's URL holds a credential.
func unreachable(ctx context.Context, k call, target *url.URL, err error, token string) error {
	if ended := ctx.Err(); ended != nil {
		return release.Errorf(release.Transient, "%s: waiting for %s: %w", k.what, target.Host, ended).WithRemedy("Try again.")
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL
	}
	return release.Errorf(release.Transient, "%s: %s cannot be reached: %s", k.what, target.Host, scrub(err.Error(), token)).
		WithRemedy("Try again; check the network and GITHUB_API_URL.")
}

// broken is the error of a body that ended too early.
func broken(k call, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return release.Errorf(release.Transient, "%s: reading github's answer: %w", k.what, err).WithRemedy("Try again.")
	}
	return release.Errorf(release.Transient, "%s: github's answer broke off: %s", k.what, scrub(err.Error(), "")).WithRemedy("Try again.")
}

// queries are the parts of URLs that may hold credentials.
var queries = regexp.MustCompile(`\?[^\s"'<>]+`)

// scrub takes credentials out of foreign words and shortens them.
func scrub(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "[removed]")
	}
	return cut(queries.ReplaceAllString(text, "?[removed]"), maxMessage)
}

// cut shortens text to at most limit characters, with an ellipsis.
func cut(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-1]) + "…"
}
