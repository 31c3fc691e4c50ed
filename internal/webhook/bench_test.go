package webhook_test

import (
	"encoding/json"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// BenchmarkHandle checks and parses a delivery up to the request for its release.
func BenchmarkHandle(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"25KB", 25_000}, {"5MB", 5_000_000}} {
		b.Run(size.name, func(b *testing.B) {
			w := newWorld(b)
			w.repo.AnnotatedTag("v1.2.3", w.commit, "release")
			d := signed("push", string(grown(b, w.server.Push(w.repo, "v1.2.3"), size.bytes)))
			b.SetBytes(int64(len(d.Body)))
			b.ReportAllocs()
			for b.Loop() {
				w.accepted = nil
				if answer := w.handler.Handle(b.Context(), d); answer.Code != release.CodeStarted {
					b.Fatalf("got %+v", answer)
				}
			}
		})
	}
}

// grown is a push's payload with as many commits as make it that large.
func grown(b *testing.B, d github.Delivery, size int) []byte {
	b.Helper()
	var payload map[string]any
	if err := json.Unmarshal(d.Body, &payload); err != nil {
		b.Fatal(err)
	}
	commit, err := json.Marshal(payload["head_commit"])
	if err != nil {
		b.Fatal(err)
	}
	commits := make([]any, 1+(size-len(d.Body))/(len(commit)+1))
	for i := range commits {
		commits[i] = payload["head_commit"]
	}
	payload["commits"] = commits
	body, err := json.Marshal(payload)
	if err != nil {
		b.Fatal(err)
	}
	if len(body) < size*9/10 || len(body) > webhook.MaxBody {
		b.Fatalf("made %d bytes, want %d", len(body), size)
	}
	return body
}
