package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// collection is the npm package with the examples, installed into folder.
const (
	collection = "@octokit/webhooks-examples"
	version    = "7.6.1"
	folder     = "../../.build/npm"
	guid       = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
	// repositoryID is that of Codertocat/Hello-World, the repository of the tag events.
	repositoryID = 186853002
	secret       = "It's a Secret to Everybody" // GitHub: validating webhook deliveries
)

// example is an event's examples in the collection.
type example struct {
	Name     string            `json:"name"`
	Examples []json.RawMessage `json:"examples"`
}

// examples reads the collection, which npm installs first where it is missing.
func examples(t *testing.T) []example {
	t.Helper()
	file := filepath.Join(folder, "node_modules", collection, "api.github.com", "index.json")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		install(t)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func install(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("npm", "install", "--no-audit", "--no-fund", "--prefix", folder, collection+"@"+version).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("npm is needed in CI: %v\n%s", err, out)
	default:
		t.Skipf("%s could not be installed: %v\n%s", collection, err, out)
	}
}

// world is a handler and what it accepts.
type world struct {
	handler  webhook.Handler
	registry release.Registry
	shape    shape
	accepted []release.Request
}

// newWorld knows the repository of the examples, Codertocat/Hello-World, by its id.
func newWorld(tags, trigger string) *world {
	w := &world{shape: plain}
	w.registry = release.Registry{Apps: []release.App{{
		Name: "hello", Repository: release.Repository{ID: repositoryID, Name: "Codertocat/Hello-World"}, Tags: tags, Trigger: trigger,
	}}}
	w.handler = webhook.Handler{
		Secrets: &webhook.CachedSecrets{Clock: clock.System{}, Read: func(context.Context) ([]string, error) { return []string{secret}, nil }},
		Registry: func(context.Context) (release.Registry, error) {
			return w.registry, nil
		},
		Accept: func(_ context.Context, requests []release.Request) release.Answer {
			w.accepted = append(w.accepted, requests...)
			return release.Answer{Status: release.AnswerStarted, Code: release.CodeStarted, Reason: "Started."}
		},
		Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// total is how many payloads the collection has.
const total = 329

// expected counts the answers to the events of tags; to any other it is "event",
// to a ping "ping".
type expected struct {
	push, create, release map[release.AnswerCode]int
	started               int
}

var whenPushed = expected{
	push:    map[release.AnswerCode]int{release.CodeStarted: 1, release.CodeTagDeleted: 4, release.CodeBranch: 2},
	create:  map[release.AnswerCode]int{release.CodeStarted: 5},
	release: map[release.AnswerCode]int{release.CodeOtherTrigger: 3, release.CodeEvent: 10},
	started: 6,
}

func (e expected) want(of example) map[release.AnswerCode]int {
	switch of.Name {
	case "ping":
		return map[release.AnswerCode]int{release.CodePing: len(of.Examples)}
	case "push":
		return e.push
	case "create":
		return e.create
	case "release":
		return e.release
	}
	return map[release.AnswerCode]int{release.CodeEvent: len(of.Examples)}
}

func TestOnlyTheEventsOfTagsStartReleases(t *testing.T) {
	all := examples(t)
	tests := []struct {
		name, tags, trigger string
		expected            expected
	}{
		{"a tag is released when it is pushed", "{version}", "", whenPushed},
		{"a tag is released when its GitHub release is published", "{version}", release.TriggerRelease, expected{
			push:    map[release.AnswerCode]int{release.CodeOtherTrigger: 1, release.CodeTagDeleted: 4, release.CodeBranch: 2},
			create:  map[release.AnswerCode]int{release.CodeOtherTrigger: 5},
			release: map[release.AnswerCode]int{release.CodeStarted: 3, release.CodeEvent: 10},
			started: 3,
		}},
		{"a tag that is none of the app's is ignored", "v{version}", "", expected{
			push:    map[release.AnswerCode]int{release.CodeTagPattern: 1, release.CodeTagDeleted: 4, release.CodeBranch: 2},
			create:  map[release.AnswerCode]int{release.CodeTagPattern: 5},
			release: map[release.AnswerCode]int{release.CodeTagPattern: 3, release.CodeEvent: 10},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, count := newWorld(test.tags, test.trigger), 0
			for _, event := range all {
				count += len(event.Examples)
				if got, want := w.answers(t, event), test.expected.want(event); !maps.Equal(got, want) {
					t.Errorf("%s: got the codes %v, want %v", event.Name, got, want)
				}
			}
			if len(w.accepted) != test.expected.started || count != total {
				t.Errorf("%d of %d payloads started a release, want %d of %d", len(w.accepted), count, test.expected.started, total)
			}
		})
	}
}

// answers counts the codes of the answers to an event's examples.
func (w *world) answers(t *testing.T, event example) map[release.AnswerCode]int {
	t.Helper()
	codes := map[release.AnswerCode]int{}
	for _, body := range event.Examples {
		answer, status := w.deliver(t, event.Name, body, github.Sign(secret, body))
		codes[answer.Code]++
		want := http.StatusOK
		if answer.Code == release.CodeStarted {
			want = http.StatusAccepted
		}
		if status != want || answer.Reason == "" {
			t.Errorf("%s: HTTP %d with the reason %q, want %d and a reason", event.Name, status, answer.Reason, want)
		}
	}
	return codes
}

func TestARequestSaysWhatTheEventSays(t *testing.T) {
	w := newWorld("{version}", "")
	for _, event := range examples(t) {
		if event.Name == release.TriggeredByPush {
			w.answers(t, event)
		}
	}
	if len(w.accepted) != 1 {
		t.Fatalf("%d requests, want 1", len(w.accepted))
	}
	got := w.accepted[0]
	want := release.Source{
		RepositoryID: repositoryID, Repository: "Codertocat/Hello-World", Tag: "simple-tag", Commit: "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
	}
	if got.Source != want || got.Version != "simple-tag" || got.Actor != "Codertocat" || got.Delivery != guid || got.Attempt != 1 {
		t.Errorf("got %+v, want source %+v", got, want)
	}
}

func TestNoPayloadIsBelievedWithoutItsSignature(t *testing.T) {
	w := newWorld("{version}", "")
	other := github.Sign(secret, []byte("{}"))
	for _, event := range examples(t) {
		for _, body := range event.Examples {
			for _, signature := range []string{"", other, github.Sign("another secret", body)} {
				answer, status := w.deliver(t, event.Name, body, signature)
				if answer.Code != release.CodeSignature || status != http.StatusUnauthorized {
					t.Errorf("%s with the signature %q: got %s, HTTP %d", event.Name, signature, answer.Code, status)
				}
			}
		}
	}
	if len(w.accepted) != 0 {
		t.Errorf("%d releases were started", len(w.accepted))
	}
}
