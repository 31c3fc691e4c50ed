package artifact_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/release/releasetest"
)

// FuzzEvent sends any text, and an event of any key: every answer is a documented
// one, and only objects of the uploads bucket that are pinned and whose app and
// version are sound are accepted, each as what its key says.
func FuzzEvent(f *testing.F) {
	for _, key := range []string{
		"artifacts/orders/1.2.3/tagboat.yaml", "artifacts/orders/a b+c%2B/tagboat.yaml", "drops/orders/deps/1.2.3.zip",
		"artifacts/orders/../tagboat.yaml", "artifacts/orders/1/", "drops/orders/deps/.zip", "elsewhere/x", "drops/orders/..%2f/1.zip.zip",
		"artifacts/orders/" + strings.Repeat("9", 128) + "/tagboat.yaml", "artifacts/orders/\u202e1\x00/tagboat.yaml", "artifacts/nobody/1/tagboat.yaml",
	} {
		f.Add(s3Event(f, key, nil), key)
	}
	f.Add(s3Event(f, "drops/billing/deps/1.zip", func(_, _, object map[string]any) { object["size"] = 0 }), "drops/billing/deps/1.zip")
	f.Add(s3Event(f, "drops/orders/deps/1.zip", func(_, _, object map[string]any) { object["version-id"] = "null" }), "artifacts/orders//tagboat.yaml")
	long := strings.Repeat("long\n", 20_000)
	f.Add(s3Event(f, "artifacts/orders/1/tagboat.yaml", func(_, _, object map[string]any) { object["etag"] = long }), "drops/"+long)
	f.Add(s3Event(f, "x", func(event, bucket, _ map[string]any) { event["detail-type"] = long }), "artifacts/"+long+"/1/tagboat.yaml")
	f.Add(s3Event(f, "x", func(_, bucket, _ map[string]any) { bucket["name"] = long }), "x/"+strings.Repeat("\x01", 1000))
	f.Add([]byte("null"), "")
	f.Fuzz(func(t *testing.T, text []byte, key string) {
		for _, event := range [][]byte{text, s3Event(t, key, nil)} {
			box := newInbox()
			answer := box.Handle(t.Context(), event)
			releasetest.CheckAnswer(t, answer)
			if (answer.Status == release.AnswerStarted) != (len(box.accepted) == 1) {
				t.Errorf("got %+v with %d accepted", answer, len(box.accepted))
			}
			again := newInbox()
			if same := again.Handle(t.Context(), event); !reflect.DeepEqual(same, answer) || !reflect.DeepEqual(again.accepted, box.accepted) {
				t.Errorf("got %+v and then %+v", answer, same)
			}
			for _, r := range box.accepted {
				checkAccepted(t, r)
			}
		}
	})
}

func checkAccepted(t *testing.T, r release.Request) {
	t.Helper()
	releasetest.CheckRequest(t, r)
	keys := map[string]string{
		release.TriggeredByUpload: "artifacts/orders/" + r.Version + "/tagboat.yaml",
		release.TriggeredByDrop:   "drops/orders/" + r.Artifact + "/" + r.Version + ".zip",
	}
	odd := func(r rune) bool { return r == '/' || unicode.IsControl(r) }
	if r.App != "orders" || r.Attempt != 1 || r.Source.Key != keys[r.Trigger] || r.Source.Bucket != uploadsBucket ||
		r.Source.VersionID == "" || r.Source.VersionID == "null" || r.Version == "" || r.Version == ".." ||
		len(r.Version) > 128 || strings.ContainsFunc(r.Version, odd) {
		t.Errorf("accepted %+v", r)
	}
	if r.Trigger == release.TriggeredByUpload {
		if key, err := artifact.UploadKey(r.App, r.Version); err != nil || key != r.Source.Key {
			t.Errorf("accepted %+v; by hand it is at %q (%v)", r, key, err)
		}
	}
}
