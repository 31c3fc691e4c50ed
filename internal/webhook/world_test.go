package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

const (
	repoID = 186853002
	secret = "a secret of this test"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a GitHub with one repository, and a handler whose accepted requests
// are kept as the ledger would keep them.
type world struct {
	server   *github.Server
	repo     *github.Repository
	commit   string
	registry release.Registry
	down     error // of the registry
	read     func() ([]string, error)
	clock    *clock.Virtual
	handler  *webhook.Handler
	accepted []release.Request
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{server: github.New(clock.NewVirtual(start, 0)), clock: clock.NewVirtual(start, 0)}
	w.server.SetSecret(secret)
	w.repo = w.server.AddRepository(repoID, "acme/orders")
	w.commit = w.repo.Commit("main", "first", github.Files{"tagboat.yaml": github.Text("app: orders\n")})
	w.registry = release.Registry{Apps: []release.App{{
		Name: "orders", Repository: release.Repository{ID: repoID, Name: "acme/orders"}, Tags: "v{version}",
	}}}
	w.read = func() ([]string, error) { return []string{secret + "\n"}, nil }
	w.handler = &webhook.Handler{
		Secrets: &webhook.CachedSecrets{
			Clock: w.clock, Read: func(context.Context) ([]string, error) { return w.read() },
		},
		Registry: func(context.Context) (release.Registry, error) { return w.registry, w.down },
		Accept:   w.accept,
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	return w
}

func (w *world) accept(_ context.Context, requests []release.Request) release.Answer {
	w.accepted = append(w.accepted, requests...)
	answer := release.Answer{Status: release.AnswerStarted, Code: release.CodeStarted, Reason: "Started."}
	for _, r := range requests {
		answer.Releases = append(answer.Releases, r.ID())
	}
	return answer
}

// send hands a delivery of GitHub's to the handler.
func (w *world) send(d github.Delivery) release.Answer {
	return w.handler.Handle(context.Background(), webhook.Delivery{Method: http.MethodPost, Header: d.Header(), Body: d.Body})
}

// signed is a delivery of a body that is made by hand.
func signed(event, body string) webhook.Delivery {
	d := github.Delivery{Event: event, GUID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Body: []byte(body), Signature: github.Sign(secret, []byte(body))}
	return webhook.Delivery{Method: http.MethodPost, Header: d.Header(), Body: d.Body}
}

// tagged is the body of a push of a new tag, as far as it is read.
func tagged(tag, commit string) string {
	return fmt.Sprintf(`{"ref": %q, "before": "0000000000000000000000000000000000000000", "after": %q, "created": true, "deleted": false,
		"head_commit": {"id": %q}, "repository": {"id": %d, "full_name": "acme/orders"}, "sender": {"login": "jane"}}`,
		"refs/tags/"+tag, commit, commit, repoID)
}

// sleep moves the handler's clock.
func (w *world) sleep(t *testing.T, d time.Duration) {
	t.Helper()
	var err error
	w.clock.Run(func() { err = w.clock.Sleep(context.Background(), d) })
	if err != nil {
		t.Fatal(err)
	}
}

// expect checks an answer against the contract of codes, statuses and HTTP.
func expect(t *testing.T, got release.Answer, status release.AnswerStatus, code release.AnswerCode, http int) {
	t.Helper()
	if got.Status != status || got.Code != code || got.HTTPStatus() != http {
		t.Errorf("got %s, %s, HTTP %d (%s), want %s, %s, HTTP %d", got.Status, got.Code, got.HTTPStatus(), got.Reason, status, code, http)
	}
	if got.Reason == "" {
		t.Error("the answer has no reason")
	}
}

var errDown = errors.New("it is down")
