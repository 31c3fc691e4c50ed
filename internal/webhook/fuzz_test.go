package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// FuzzDelivery sends any body, signed as told or rightly: nothing panics, only
// what is signed is believed, and only well-formed tags are accepted.
func FuzzDelivery(f *testing.F) {
	w := newWorld(f)
	w.repo.AnnotatedTag("v1.2.3", w.commit, "release")
	w.repo.Publish("v1.2.3", "the release")
	for _, d := range []github.Delivery{
		w.server.Push(w.repo, "v1.2.3"), w.server.Create(w.repo, "v1.2.3"), w.server.Release(w.repo, "v1.2.3"),
		w.server.PushBranch(w.repo, "main"), w.server.Ping(w.repo),
	} {
		f.Add(d.Event, "", d.Body)
		f.Add(d.Event, d.Signature, d.Body)
	}
	f.Add("push", "", []byte("null"))
	f.Add("push", "sha256=00", []byte(tagged("v1.2.3", w.commit)))
	f.Add("push", "", []byte(tagged("v1/../\x00\u202e", "")))
	f.Fuzz(func(t *testing.T, event, signature string, body []byte) {
		w := newWorld(t)
		right := github.Sign(secret, body)
		if signature == "" {
			signature = right
		}
		header := http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {event}, signatureHeader: {signature}}
		answer := w.handler.Handle(t.Context(), webhook.Delivery{Method: http.MethodPost, Header: header, Body: body})
		if answer.Reason == "" || answer.Code == "" {
			t.Errorf("got %+v, want a code and a reason", answer)
		}
		if !strings.EqualFold(signature, right) && answer.Code != release.CodeSignature {
			t.Errorf("got %+v without a valid signature", answer)
		}
		if (answer.Status == release.AnswerStarted) != (len(w.accepted) > 0) {
			t.Errorf("got %+v with %d accepted", answer, len(w.accepted))
		}
		for _, r := range w.accepted {
			checkAccepted(t, r)
		}
	})
}

func checkAccepted(t *testing.T, r release.Request) {
	t.Helper()
	tag := r.Source.Tag
	odd := strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError })
	if r.Source.RepositoryID != repoID || r.Attempt != 1 || tag != "v"+r.Version || r.Version == "" ||
		len(tag) > 255 || odd || strings.Contains(tag, "..") || len(r.ID()) > 80 {
		t.Errorf("accepted %+v with id %q", r, r.ID())
	}
}
