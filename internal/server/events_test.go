package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/server"
	"github.com/tagboat/tagboat/internal/webhook"
)

const repository = `"repository":{"id":186853002,"full_name":"acme/orders"},"sender":{"login":"alice"}`

func pushed(ref, before string) string {
	return fmt.Sprintf(`{"ref":%q,"before":%q,"after":%q,%s}`, ref, before, strings.Repeat("b", 40), repository)
}

// nothing is what GitHub sends for no commit.
var nothing = strings.Repeat("0", 40)

func TestDeliveryIsAnsweredAsTheTableOfCodesSays(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	push := pushed("refs/tags/v1.0.0", nothing)
	sha1Signature := hmac.New(sha1.New, []byte(demo.Secret))
	sha1Signature.Write([]byte(push))
	tests := []struct {
		name, event, body string
		headers           []string // replace those of a signed delivery
		status            int
		answer            release.AnswerStatus
		code              release.AnswerCode
	}{
		{name: "the push of a tag starts a release", event: "push", body: push, status: 202, answer: "started", code: "started"},
		{name: "the same push again is a duplicate", event: "push", body: push, status: 200, answer: "duplicate", code: "duplicate"},
		{
			name: "create of the same tag is a duplicate", event: "create", body: `{"ref":"v1.0.0","ref_type":"tag",` + repository + `}`,
			status: 200, answer: "duplicate", code: "duplicate",
		},
		{name: "a ping is answered", event: "ping", body: `{"zen":"Keep it logically awesome."}`, status: 200, answer: "ignored", code: "ping"},
		{name: "another event is ignored", event: "issues", body: `{}`, status: 200, answer: "ignored", code: "event"},
		{name: "a branch is ignored", event: "push", body: pushed("refs/heads/main", nothing), status: 200, answer: "ignored", code: "branch"},
		{
			name: "a deleted tag is ignored", event: "push", body: `{"ref":"refs/tags/v1.0.0","deleted":true,` + repository + `}`,
			status: 200, answer: "ignored", code: "tag_deleted",
		},
		{
			name: "a tag of no app is ignored", event: "push", body: pushed("refs/tags/nightly", nothing),
			status: 200, answer: "ignored", code: "tag_pattern",
		},
		{
			name: "an unknown repository is ignored", event: "push",
			body: strings.ReplaceAll(pushed("refs/tags/v1.0.0", nothing), "186853002", "1"), status: 200, answer: "ignored", code: "unknown_repository",
		},
		{
			name: "a GitHub release of an app that starts on tags is ignored", event: "release",
			body: `{"action":"published","release":{"tag_name":"v1.0.0"},` + repository + `}`, status: 200, answer: "ignored", code: "other_trigger",
		},
		{
			name: "a moved tag is rejected", event: "push", body: pushed("refs/tags/v2.0.0", strings.Repeat("a", 40)),
			status: 200, answer: "rejected", code: "tag_moved",
		},
		{
			name: "a delivery without a signature is rejected", event: "push", body: push,
			headers: []string{"X-Hub-Signature-256", ""}, status: 401, answer: "rejected", code: "signature",
		},
		{
			name: "a wrong signature is rejected", event: "push", body: push,
			headers: []string{"X-Hub-Signature-256", "sha256=" + strings.Repeat("ab", 32)}, status: 401, answer: "rejected", code: "signature",
		},
		{
			name: "a SHA-1 signature is rejected", event: "push", body: push,
			headers: []string{"X-Hub-Signature-256", "", "X-Hub-Signature", "sha1=" + hex.EncodeToString(sha1Signature.Sum(nil))},
			status:  401, answer: "rejected", code: "signature",
		},
		{name: "null is malformed", event: "push", body: `null`, status: 400, answer: "rejected", code: "malformed"},
		{name: "a truncated body is malformed", event: "push", body: push[:40], status: 400, answer: "rejected", code: "malformed"},
		{name: "base64 is malformed", event: "push", body: "eyJyZWYiOiJyZWZzL3RhZ3MvdjEuMC4wIn0=", status: 400, answer: "rejected", code: "malformed"},
		{
			name: "a form is of the wrong content type", event: "push", body: push,
			headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, answer: "rejected", code: "content_type",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			body := []byte(test.body)
			check(t, s.do("POST", "/webhooks/github", body, append(signed(test.event, body), test.headers...)...),
				test.status, test.answer, test.code)
		})
	}
}

// object is an EventBridge event of an object.
func object(bucket, key, version string, size int) string {
	return fmt.Sprintf(`{"id":"1","source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":%q},`+
		`"object":{"key":%q,"size":%d,"etag":"etag-of-%s","version-id":%q}}}`, bucket, key, size, version, version)
}

func TestEventIsAnsweredAsTheTableOfCodesSays(t *testing.T) {
	s := serve(t, "", nil)
	marker := "artifacts/orders/3.0.0/tagboat.yaml"
	tests := []struct {
		name, body  string
		contentType string
		status      int
		answer      release.AnswerStatus
		code        release.AnswerCode
	}{
		{name: "a manifest starts a release", body: object(demo.UploadsBucket, marker, "v1", 9), status: 202, answer: "started", code: "started"},
		{name: "its event again is a duplicate", body: object(demo.UploadsBucket, marker, "v1", 9), status: 200, answer: "duplicate", code: "duplicate"},
		{
			name: "other bytes of the same version are rejected", body: object(demo.UploadsBucket, marker, "v2", 9),
			status: 200, answer: "rejected", code: "version_exists",
		},
		{name: "another bucket is ignored", body: object("other", marker, "v1", 9), status: 200, answer: "ignored", code: "bucket"},
		{
			name: "another prefix is ignored", body: object(demo.UploadsBucket, "logs/today.txt", "v1", 9),
			status: 200, answer: "ignored", code: "prefix",
		},
		{
			name: "a folder is ignored", body: object(demo.UploadsBucket, "artifacts/orders/4.0.0/", "v1", 0),
			status: 200, answer: "ignored", code: "folder",
		},
		{
			name: "an empty object is rejected", body: object(demo.UploadsBucket, "artifacts/orders/4.0.0/tagboat.yaml", "v1", 0),
			status: 200, answer: "rejected", code: "empty_object",
		},
		{
			name: "an object without a version is rejected", body: object(demo.UploadsBucket, "artifacts/orders/4.0.0/tagboat.yaml", "", 9),
			status: 200, answer: "rejected", code: "no_version_id",
		},
		{name: "what is no event is malformed", body: `[]`, status: 400, answer: "rejected", code: "malformed"},
		{
			name: "text is of the wrong content type", body: object(demo.UploadsBucket, marker, "v1", 9), contentType: "text/plain",
			status: 415, answer: "rejected", code: "content_type",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			contentType := "application/json; charset=utf-8"
			if test.contentType != "" {
				contentType = test.contentType
			}
			check(t, s.do("POST", "/events", []byte(test.body), "Content-Type", contentType), test.status, test.answer, test.code)
		})
	}
}

func check(t *testing.T, g got, status int, want release.AnswerStatus, code release.AnswerCode) release.Answer {
	t.Helper()
	answer := into[release.Answer](t, g)
	if g.status != status || answer.Status != want || answer.Code != code {
		t.Errorf("got %d %s/%s (%s), want %d %s/%s", g.status, answer.Status, answer.Code, answer.Reason, status, want, code)
	}
	if answer.Reason == "" {
		t.Error("the answer has no reason")
	}
	if (want == "started" || want == "duplicate") && len(answer.Releases) != 1 {
		t.Errorf("the answer names releases %q, want one", answer.Releases)
	}
	if (g.header.Get("Retry-After") != "") != (status == 503) {
		t.Errorf("Retry-After is %q at status %d", g.header.Get("Retry-After"), status)
	}
	return answer
}

func TestOnlyPOSTDelivers(t *testing.T) {
	s := serve(t, "", nil)
	for _, path := range []string{"/webhooks/github", "/events"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			g := s.do(method, path, nil)
			check(t, g, 405, "rejected", "method")
			if g.header.Get("Allow") != "POST" {
				t.Errorf("%s %s: Allow is %q, want POST", method, path, g.header.Get("Allow"))
			}
		}
	}
}

// bare is a server without the world's clock in front of it, for what is
// answered before any work.
func bare(t *testing.T, change func(*server.Config)) string {
	t.Helper()
	w, err := demo.NewWorld(t.Context(), demo.WorldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := server.Config{Parts: w.Local.Parts, Secrets: secrets{[]byte(demo.Secret)}, Log: discard()}
	if change != nil {
		change(&config)
	}
	s := httptest.NewServer(server.New(config))
	t.Cleanup(s.Close)
	return s.URL
}

func TestBodyThatIsTooLargeIsAnsweredWithoutBeingKept(t *testing.T) {
	url := bare(t, nil)
	for _, path := range []string{"/webhooks/github", "/events"} {
		body := bytes.Repeat([]byte("x"), 7_000_000)
		check(t, do(t, "POST", url+path, bytes.NewReader(body), "Content-Type", "application/json"), 413, "rejected", "too_large")
		// without Content-Length
		check(t, do(t, "POST", url+path, io.MultiReader(bytes.NewReader(body)), "Content-Type", "application/json"), 413, "rejected", "too_large")
	}
	exact := append([]byte(`{"zen":"`), bytes.Repeat([]byte("x"), webhook.MaxBody-10)...)
	exact = append(exact, `"}`...)
	check(t, do(t, "POST", url+"/webhooks/github", bytes.NewReader(exact), signed("ping", exact)...), 200, "ignored", "ping")
}

func TestLargestBodyIsNotReadBeforeItIsRefused(t *testing.T) {
	url := bare(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Only the header is sent: the answer does not wait for the 25 MB.
	fmt.Fprintf(conn, "POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 25000000\r\n\r\n")
	answer, err := io.ReadAll(io.LimitReader(conn, 12))
	if err != nil || string(answer) != "HTTP/1.1 413" {
		t.Errorf("got %q (%v), want 413", answer, err)
	}
}

// broken cannot read the secrets.
type broken struct{}

func (broken) Secrets(context.Context, bool) ([][]byte, error) {
	return nil, errors.New("the store is away")
}

func TestSecretThatCannotBeReadIsAskedForAgain(t *testing.T) {
	s := serve(t, "", func(c *server.Config) { c.Secrets = broken{} })
	body := []byte(`{}`)
	check(t, s.do("POST", "/webhooks/github", body, signed("ping", body)...), 503, "busy", "secret_unavailable")
}

// stuck holds every delivery until it is released.
type stuck struct{ entered, leave chan struct{} }

func (s stuck) Secrets(context.Context, bool) ([][]byte, error) {
	s.entered <- struct{}{}
	<-s.leave
	return [][]byte{[]byte(demo.Secret)}, nil
}

func TestServerThatIsBusySaysSo(t *testing.T) {
	hold := stuck{make(chan struct{}), make(chan struct{})}
	url := bare(t, func(c *server.Config) { c.Concurrency, c.Secrets = 1, hold })
	body := []byte(`{}`)
	first := make(chan got)
	go func() {
		first <- do(t, "POST", url+"/webhooks/github", bytes.NewReader(body), signed("ping", body)...)
	}()
	within(t, "the first request", hold.entered)
	check(t, do(t, "POST", url+"/webhooks/github", bytes.NewReader(body), signed("ping", body)...), 503, "busy", "overloaded")
	check(t, do(t, "POST", url+"/events", strings.NewReader(`{}`), "Content-Type", "application/json"), 503, "busy", "overloaded")
	if g := do(t, "GET", url+"/healthz", http.NoBody); g.status != 200 {
		t.Errorf("healthz answers %d while deliveries wait, want 200", g.status)
	}
	if g := do(t, "GET", url+"/releases", http.NoBody); g.status != 200 {
		t.Errorf("releases answers %d while deliveries wait, want 200", g.status)
	}
	close(hold.leave)
	check(t, within(t, "its answer", first), 200, "ignored", "ping")
}

func TestNoEventIsTakenWhileTooManyReleasesHaveNotEnded(t *testing.T) {
	unfinished := 0
	s := serve(t, "", func(c *server.Config) { c.MaxUnfinished, c.Unfinished = 3, func() int { return unfinished } })
	s.tag("v1.0.0")
	push := s.GitHub.Push(s.Repo, "v1.0.0")
	deliver := func() got { return s.do("POST", "/webhooks/github", push.Body, signed("push", push.Body)...) }
	unfinished = 3
	g := deliver()
	check(t, g, 503, "busy", "overloaded")
	if g.header.Get("Retry-After") == "" {
		t.Error("the sender is not told when to come again")
	}
	check(t, s.do("POST", "/events", []byte(`{}`), "Content-Type", "application/json"), 503, "busy", "overloaded")
	if g := s.do("GET", "/releases", nil); g.status != 200 || len(into[[]any](t, g)) != 0 {
		t.Errorf("releases are answered with %d %s, want none", g.status, g.body)
	}
	// A person who rolls back does not wait for others.
	g = s.do("POST", "/releases", []byte(`{"app":"orders","tag":"v1.0.0","by":"jane"}`))
	check(t, g, 202, "started", "started")
	unfinished = 2
	check(t, deliver(), 200, "duplicate", "duplicate")
}
