package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/release/releasetest"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// FuzzDelivery sends any body, signed as told or rightly: only what is signed is
// believed, every answer is a documented one, the same delivery is answered the
// same, and only tags that git takes and that an app's pattern makes are accepted.
func FuzzDelivery(f *testing.F) {
	w := newWorld(f)
	w.repo.AnnotatedTag("v1.2.3", w.commit, "release")
	w.repo.Publish("v1.2.3", "the release")
	w.registry.Apps = append(w.registry.Apps,
		release.App{Name: "orders-web", Repository: w.registry.Apps[0].Repository, Tags: "web/{version}-final"},
		release.App{Name: "late", Repository: w.registry.Apps[0].Repository, Tags: "{version}", Trigger: release.TriggerRelease},
		release.App{Name: "other", Repository: release.Repository{ID: 2}, Tags: "v{version}"})
	for _, d := range []github.Delivery{
		w.server.Push(w.repo, "v1.2.3"), w.server.Create(w.repo, "v1.2.3"), w.server.Release(w.repo, "v1.2.3"),
		w.server.PushBranch(w.repo, "main"), w.server.Ping(w.repo),
	} {
		f.Add(d.Event, "", d.Body)
		f.Add(d.Event, d.Signature, d.Body)
	}
	for _, tag := range []string{"v1.2.3", "web/1-final", "v1/../\x00\u202e", "v1.lock/a", "v1@{0}", "v\u00e4\u65e5-%2B+", "v" + strings.Repeat("9", 255)} {
		f.Add("push", "", []byte(tagged(tag, w.commit)))
		f.Add("create", "", []byte(`{"ref_type":"tag","ref":`+quoted(tag)+`,"repository":{"id":186853002}}`))
		f.Add("release", "", []byte(`{"action":"published","release":{"tag_name":`+quoted(tag)+`},"repository":{"id":186853002}}`))
	}
	long := strings.Repeat("long\n", 20_000)
	for _, body := range []string{
		`{"action":` + quoted(long) + `,"repository":{"id":186853002}}`,
		`{"ref":"refs/tags/v1","repository":{"id":186853002,"full_name":` + quoted(long) + `}}`,
		`{"ref":"refs/tags/v1","repository":{"id":5,"full_name":` + quoted(long) + `}}`,
		`{"ref":"refs/tags/v1","repository":{"id":186853002},"sender":{"login":` + quoted(long) + `}}`,
		`{"ref":"refs/tags/v1","repository":{"id":186853002},"head_commit":{"id":` + quoted(long) + `}}`,
		`{"ref":` + quoted("refs/tags/"+long) + `,"after":"0","repository":{"id":186853002}}`,
	} {
		f.Add("push", "", []byte(body))
		f.Add("release", "", []byte(body))
	}
	f.Add(long, "", []byte("{}"))
	f.Add("push", "", []byte("null"))
	f.Add("push", "sha256=00", []byte(tagged("v1.2.3", w.commit)))
	f.Add("push", "", []byte(`{"ref":"refs/tags/v1","before":"1","after":"0","repository":{"id":2,"full_name":"a"},"sender":{"login":7}}`))
	f.Fuzz(func(t *testing.T, event, signature string, body []byte) {
		right := github.Sign(secret, body)
		if signature == "" {
			signature = right
		}
		header := http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {event}, signatureHeader: {signature}}
		send := func(body []byte) (release.Answer, []release.Request) {
			w.accepted = nil
			return w.handler.Handle(t.Context(), webhook.Delivery{Method: http.MethodPost, Header: header, Body: body}), w.accepted
		}
		answer, accepted := send(body)
		releasetest.CheckAnswer(t, answer, secret, right)
		if !strings.EqualFold(signature, right) && answer.Code != release.CodeSignature {
			t.Errorf("got %+v without a valid signature", answer)
		}
		if (answer.Status == release.AnswerStarted) != (len(accepted) > 0) {
			t.Errorf("got %+v with %d accepted", answer, len(accepted))
		}
		if again, same := send(body); !reflect.DeepEqual(again, answer) || !reflect.DeepEqual(same, accepted) {
			t.Errorf("got %+v and then %+v", answer, again)
		}
		for _, r := range accepted {
			checkAccepted(t, w.registry, r)
		}
		odd := webhook.Delivery{Method: event, Header: http.Header{"Content-Type": {event}}, Body: body}
		releasetest.CheckAnswer(t, w.handler.Handle(t.Context(), odd), secret)
		odd.Method = http.MethodPost
		releasetest.CheckAnswer(t, w.handler.Handle(t.Context(), odd), secret)
		other := append(bytes.Clone(body), ' ')
		if answer, accepted := send(other); answer.Code != release.CodeSignature || len(accepted) > 0 {
			t.Errorf("got %+v for a body with another's signature", answer)
		}
	})
}

// badTag is what git refuses (git-check-ref-format), and what has no glyph.
var badTag = regexp.MustCompile(`(^|/)\.|\.\.|[\x00-\x20\x7f~^:?*\[\\]|^/|/$|//|\.lock(/|$)|\.$|@\{|[\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{feff}\x{fffd}]`)

func checkAccepted(t *testing.T, registry release.Registry, r release.Request) {
	t.Helper()
	releasetest.CheckRequest(t, r)
	app, _ := registry.App(r.App)
	tag := r.Source.Tag
	if r.Source.RepositoryID != app.Repository.ID || r.Attempt != 1 || tag != app.Tag(r.Version) || r.Version == "" || len(tag) > 255 ||
		(app.StartsOn() == release.TriggerRelease) != (r.Trigger == release.TriggeredByRelease) {
		t.Errorf("accepted %+v for app %+v", r, app)
	}
	if odd := badTag.FindString(tag); odd != "" {
		t.Errorf("accepted the tag %q with %q in it", tag, odd)
	}
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text) // strings always encode
	return string(encoded)
}
