package ghapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestErrorsHaveKindsAndRemedies(t *testing.T) {
	reset := strconv.FormatInt(start.Add(10*time.Minute).Unix(), 10)
	for _, c := range []struct {
		name   string
		fault  github.Fault
		kind   release.Kind
		says   string
		remedy string
	}{
		{"wrong credentials are denied", github.Fault{Status: 401, Body: `{"message":"Bad credentials"}`},
			release.Denied, "Bad credentials", "GITHUB_TOKEN"},
		{"a missing permission is denied and named", github.Fault{Status: 403, Body: `{"message":"Resource not accessible by integration"}`},
			release.Denied, "not accessible", `"Commit statuses: write"`},
		{"a conflict is a conflict", github.Fault{Status: 409, Body: `{"message":"Git Repository is empty."}`},
			release.Conflict, "empty", ""},
		{"a validation error is invalid and explained", github.Fault{Status: 422, Body: `{"message":"Validation Failed","errors":[{"field":"state","code":"custom","message":"is not included"}]}`},
			release.Invalid, "state is not included", ""},
		{"another refusal is invalid", github.Fault{Status: 400, Body: `{"message":"Problems parsing JSON"}`},
			release.Invalid, "parsing", ""},
		{"a server's error is transient", github.Fault{Status: 502, Body: `<html>`}, release.Transient, "502", "Try again"},
		{"an answer that is not ready is transient", github.Fault{Status: 202, Body: `{}`}, release.Transient, "202", "Try again"},
		{"an answer that is no JSON is transient", github.Fault{Status: 200, Body: `<html>`}, release.Transient, "JSON", "GITHUB_API_URL"},
		{"a network error is transient", github.Fault{Err: errors.New("connection refused")}, release.Transient, "refused", "Try again"},
		{"the primary rate limit is transient until its end",
			github.Fault{Status: 403, Header: header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), Body: `{"message":"API rate limit exceeded"}`},
			release.Transient, "rate limit", "2030-01-02T03:14:05Z (in 10m0s)"},
		{"a secondary rate limit is transient for the time it tells",
			github.Fault{Status: 403, Header: header("Retry-After", "90"), Body: `{"message":"You have exceeded a secondary rate limit"}`},
			release.Transient, "rate limit", "in 1m30s"},
		{"a secondary rate limit without a time is transient for a minute",
			github.Fault{Status: 403, Body: `{"message":"slow down","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`},
			release.Transient, "slow down", "in 1m0s"},
		{"too many requests are a rate limit", github.Fault{Status: 429, Body: `{}`}, release.Transient, "rate limit", "in 1m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				if c.fault.Err != nil && w.config.BaseURL != ghapi.DefaultBaseURL {
					c.says = "cannot be reached" // over a socket, the connection just breaks
				}
				w.server.OnRequest(on("/statuses/", c.fault))
				err := w.client.CommitStatus(t.Context(), repoID, w.first, "success", "c", "d", "")
				expect(t, err, c.kind)
				if !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("got %q, want it to say %q", err, c.says)
				}
				if !strings.Contains(release.RemedyOf(err), c.remedy) {
					t.Errorf("got remedy %q, want it to say %q", release.RemedyOf(err), c.remedy)
				}
			})
		})
	}
}

func TestARepositoryThatCannotBeSeenIsDenied(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		_, err := w.client.ResolveTag(t.Context(), 42, "v1")
		expect(t, err, release.Denied)
		w.config.Token = nil
		w.connect(t)
		_, err = w.client.ResolveTag(t.Context(), repoID, "v1")
		expect(t, err, release.Denied)
		w.repo.SetPublic(true)
		_, err = w.client.ResolveTag(t.Context(), repoID, "v1")
		expect(t, err, release.NotFound)
		err = w.client.CommitStatus(t.Context(), repoID, w.first, "success", "c", "d", "")
		expect(t, err, release.Denied)
	})
}

func TestATokenThatCannotBeReadIsTransient(t *testing.T) {
	w := newWorld(t)
	w.config.Token = func(context.Context) (string, error) { return "", errors.New("no secret") }
	w.connect(t)
	_, err := w.client.Tags(t.Context(), repoID, "")
	expect(t, err, release.Transient)
}

// what a person or a log can see of an error: every link of its chain.
func everything(err error) string {
	var b strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n%s\n", err, err, err, release.RemedyOf(err))
	}
	return b.String()
}

func TestErrorsHoldNoCredentials(t *testing.T) {
	leak := "PASSWORDINURL"
	away := func(location string) github.Fault {
		return github.Fault{Status: 302, Header: header("Location", location)}
	}
	for _, c := range []struct {
		name  string
		fault github.Fault
		kind  release.Kind
	}{
		{"github repeats the token", github.Fault{Status: 403, Body: `{"message":"bad token ` + secret + ` for https://x/?token=` + leak + `"}`}, release.Denied},
		{"the network error quotes the URL", github.Fault{Err: fmt.Errorf("dial https://host/?token=%s with %s", leak, secret)}, release.Transient},
		{"the redirect is to what is not a URL", away("https://host:bad/?token=" + leak), release.Transient},
		{"the redirect is to another protocol", away("ftp://host/?token=" + leak), release.Denied},
		{"the redirect is to an unencrypted host", away("http://codeload.github.com/acme/x?token=" + leak), release.Denied},
		{"the redirect never ends", away("https://api.github.com/repositories/1/tarball/x?token=" + leak), release.Transient},
		{"the archive is not there", away("https://codeload.github.com/acme/orders/legacy.tar.gz/x?token=" + leak), release.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.server.OnRequest(on("/tarball/", c.fault))
			_, err := w.client.Tarball(t.Context(), repoID, w.first)
			expect(t, err, c.kind)
			for _, forbidden := range []string{secret, leak, "Bearer"} {
				if text := everything(err); strings.Contains(text, forbidden) {
					t.Errorf("the error holds %q: %s", forbidden, text)
				}
			}
		})
	}
}

func TestAnUnreachableArchiveHostHoldsNoCredentials(t *testing.T) {
	w := newWorld(t)
	w.server.OnRequest(func(req *http.Request) github.Fault {
		if req.Host == "codeload.github.com" {
			return github.Fault{Err: errors.New("no route to host")}
		}
		return github.Fault{}
	})
	_, err := w.client.Tarball(t.Context(), repoID, w.first)
	expect(t, err, release.Transient)
	if text := everything(err); strings.Contains(text, "PASS") || !strings.Contains(text, "codeload.github.com") {
		t.Errorf("want the host without its query, got %s", text)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	c := clock.NewVirtual(start, 0)
	c.Run(func() {
		w := newWorld(t)
		server := github.New(c)
		server.OnRequest(func(*http.Request) github.Fault { return github.Fault{Delay: time.Hour} })
		w.config.HTTP = server.Client()
		w.connect(t)
		ctx, cancel := context.WithCancel(t.Context())
		c.Go(func() {
			_ = c.Sleep(context.Background(), time.Minute)
			cancel()
		})
		_, err := w.client.Tags(ctx, repoID, "")
		expect(t, err, release.Transient)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want it to wrap context.Canceled", err)
		}
	})
}

func TestARedirectedWriteIsNotRepeated(t *testing.T) {
	w := newWorld(t)
	w.server.OnRequest(on("/statuses/", github.Fault{Status: 307, Header: header("Location", "https://api.github.com/repositories/1/statuses/x")}))
	err := w.client.CommitStatus(t.Context(), repoID, w.first, "success", "c", "d", "")
	expect(t, err, release.Transient)
}
