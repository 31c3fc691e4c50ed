package app_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

// answeredLine is what the log of the webhook's function has of a delivery.
type answeredLine struct {
	Msg, Delivery, Status, Code, Reason string
	Releases                            []string
}

// TestTheLogHasWhatADeliveryWasAnswered delivers a tag, the tag once more after it was
// moved, and what is not signed: nobody but the sender and the log knows of the last two.
func TestTheLogHasWhatADeliveryWasAnswered(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	var log bytes.Buffer
	w.Hooks.Log = slog.New(slog.NewJSONHandler(&log, nil))
	function := app.WebhookFunction(w.Hooks)
	deliver := func(header http.Header, body []byte) (line answeredLine) {
		t.Helper()
		request := events.APIGatewayV2HTTPRequest{Headers: map[string]string{}, Body: string(body)}
		request.RequestContext.HTTP.Method = http.MethodPost
		for name := range header {
			request.Headers[strings.ToLower(name)] = header.Get(name)
		}
		log.Reset()
		w.Clock.Run(func() {
			if _, err := function(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		})
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("the log has %q, want one line: %v", log.String(), err)
		}
		if line.Msg != "an event was answered" || line.Reason == "" {
			t.Errorf("the log has %s", log.String())
		}
		return line
	}
	w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "one", quick(t, demo.Handler)))
	first := w.GitHub.Push(w.Repo, "v1.1.0")
	started := deliver(first.Header(), first.Body)
	w.settle()
	if started.Code != string(release.CodeStarted) || len(started.Releases) != 1 || started.Delivery != first.Header().Get("X-GitHub-Delivery") {
		t.Errorf("the log has %+v, want the release that started", started)
	}
	w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "two", quick(t, demo.Handler+"\n# other\n")))
	second := w.GitHub.Push(w.Repo, "v1.1.0")
	if moved := deliver(second.Header(), second.Body); moved.Code != string(release.CodeTagMoved) || !slices.Equal(moved.Releases, started.Releases) {
		t.Errorf("the log has %+v, want that the tag moved, and of which release", moved)
	}
	bare := second.Header().Clone()
	bare.Del("X-Hub-Signature-256")
	bare.Set("X-GitHub-Delivery", strings.Repeat("x", 10_000))
	if unsigned := deliver(bare, second.Body); unsigned.Code != string(release.CodeSignature) || len(unsigned.Delivery) > 200 {
		t.Errorf("the log has %+v, want that it is not signed, in short", unsigned)
	}
}
