package artifact_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/tagboat/tagboat/internal/release"
)

// FuzzEvent sends any text: nothing panics, and only objects of the uploads
// bucket that are pinned and whose app and version are sound are accepted.
func FuzzEvent(f *testing.F) {
	for _, key := range []string{
		"artifacts/orders/1.2.3/tagboat.yaml", "artifacts/orders/a b+c%2B/tagboat.yaml", "drops/orders/deps/1.2.3.zip",
		"artifacts/orders/../tagboat.yaml", "artifacts/orders/1/", "drops/orders/deps/.zip", "elsewhere/x",
	} {
		f.Add(s3Event(f, key, nil))
	}
	f.Add(s3Event(f, "drops/billing/deps/1.zip", func(_, _, object map[string]any) { object["size"] = 0 }))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		box := newInbox()
		answer := box.Handle(t.Context(), text)
		if answer.Reason == "" || answer.Code == "" {
			t.Errorf("got %+v, want a code and a reason", answer)
		}
		if (answer.Status == release.AnswerStarted) != (len(box.accepted) == 1) {
			t.Errorf("got %+v with %d accepted", answer, len(box.accepted))
		}
		for _, r := range box.accepted {
			checkAccepted(t, r)
		}
	})
}

func checkAccepted(t *testing.T, r release.Request) {
	t.Helper()
	keys := map[string]string{
		release.TriggeredByUpload: "artifacts/orders/" + r.Version + "/tagboat.yaml",
		release.TriggeredByDrop:   "drops/orders/" + r.Artifact + "/" + r.Version + ".zip",
	}
	odd := func(r rune) bool { return r == '/' || unicode.IsControl(r) }
	if r.App != "orders" || r.Attempt != 1 || r.Source.Key != keys[r.Trigger] || r.Source.Bucket != uploadsBucket ||
		r.Source.VersionID == "" || r.Source.VersionID == "null" || r.Version == "" || r.Version == ".." ||
		len(r.Version) > 128 || strings.ContainsFunc(r.Version, odd) || len(r.ID()) > 80 {
		t.Errorf("accepted %+v with id %q", r, r.ID())
	}
}
