package artifact_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
)

// inbox is a handler of events whose accepted requests are kept.
type inbox struct {
	*artifact.Events
	accepted []release.Request
}

func newInbox() *inbox {
	box := &inbox{}
	registry := release.Registry{Apps: []release.App{
		{Name: "orders", DropManifest: "manifests/orders.yaml"}, {Name: "billing"},
	}}
	box.Events = &artifact.Events{
		Bucket:   uploadsBucket,
		Registry: func(context.Context) (release.Registry, error) { return registry, nil },
		Accept: func(_ context.Context, requests []release.Request) release.Answer {
			box.accepted = append(box.accepted, requests...)
			return release.Answer{Status: release.AnswerStarted, Code: release.CodeStarted, Reason: "Started."}
		},
		Log: quiet(),
	}
	return box
}

// s3Event is an event as EventBridge sends it (Amazon S3 user guide: EventBridge
// event message structure), changed by edit.
func s3Event(t testing.TB, key string, edit func(event, bucket, object map[string]any)) []byte {
	t.Helper()
	object := map[string]any{
		"key": key, "size": 5, "etag": "b57f9512698f4b09e608f4f2a65852e5",
		"version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "sequencer": "617f08299329d189",
	}
	bucket := map[string]any{"name": uploadsBucket}
	event := map[string]any{
		"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created", "source": "aws.s3",
		"account": tools, "time": "2030-01-02T03:04:05Z", "region": home, "resources": []string{"arn:aws:s3:::" + uploadsBucket},
		"detail": map[string]any{
			"version": "0", "bucket": bucket, "object": object, "request-id": "N4N7GDK58NMKJ12R", "requester": tools,
			"source-ip-address": "192.0.2.1", "reason": "PutObject",
		},
	}
	if edit != nil {
		edit(event, bucket, object)
	}
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func expect(t *testing.T, got release.Answer, status release.AnswerStatus, code release.AnswerCode, http int) {
	t.Helper()
	if got.Status != status || got.Code != code || got.HTTPStatus() != http {
		t.Errorf("got %s, %s, HTTP %d (%s), want %s, %s, HTTP %d", got.Status, got.Code, got.HTTPStatus(), got.Reason, status, code, http)
	}
	if got.Reason == "" {
		t.Error("the answer has no reason")
	}
}

func TestKeysBecomeRequests(t *testing.T) {
	upload := func(version string) release.Request {
		return release.Request{App: "orders", Version: version, Trigger: release.TriggeredByUpload}
	}
	drop := func(artifact, version string) release.Request {
		return release.Request{App: "orders", Artifact: artifact, Version: version, Trigger: release.TriggeredByDrop}
	}
	tests := []struct {
		name, key string
		want      release.Request
	}{
		{"a manifest starts an upload", "artifacts/orders/1.2.3/tagboat.yaml", upload("1.2.3")},
		{"a plus stays a plus", "artifacts/orders/1.2.3+a+b/tagboat.yaml", upload("1.2.3+a+b")},
		{"a space stays a space", "artifacts/orders/1.2.3 a b/tagboat.yaml", upload("1.2.3 a b")},
		{"an escape is not decoded", "artifacts/orders/1.2.3%2Bb/tagboat.yaml", upload("1.2.3%2Bb")},
		{"letters of any alphabet", "artifacts/orders/ürsion-日本/tagboat.yaml", upload("ürsion-日本")},
		{"the longest version", "artifacts/orders/" + strings.Repeat("1", 128) + "/tagboat.yaml", upload(strings.Repeat("1", 128))},
		{"a zip is a drop", "drops/orders/deps/1.2.3.zip", drop("deps", "1.2.3")},
		{"a drop with a plus", "drops/orders/deps/1.2.3+4.zip", drop("deps", "1.2.3+4")},
		{"a drop with an escape", "drops/orders/deps/1.2.3%2B4.zip", drop("deps", "1.2.3%2B4")},
		{"a drop with a space", "drops/orders/deps/a b.zip", drop("deps", "a b")},
		{"a drop whose version ends in zip", "drops/orders/deps/1.zip.zip", drop("deps", "1.zip")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				source := w.put(test.key, []byte("bytes"), nil)
				box := newInbox()
				expect(t, box.Handle(w.ctx, w.events[0]), release.AnswerStarted, release.CodeStarted, http.StatusAccepted)
				want := test.want
				want.Attempt, want.Source = 1, source
				if len(box.accepted) != 1 {
					t.Fatalf("got %+v, want one request", box.accepted)
				}
				if box.accepted[0].Delivery == "" {
					t.Error("the event's id was not kept")
				}
				box.accepted[0].Delivery = ""
				if box.accepted[0] != want {
					t.Errorf("got %+v, want %+v", box.accepted[0], want)
				}
			})
		})
	}
}

func TestKeysThatStartNothing(t *testing.T) {
	tests := []struct {
		name, key string
		code      release.AnswerCode
	}{
		{"another prefix", "elsewhere/orders/1.2.3/tagboat.yaml", release.CodePrefix},
		{"a prefix that only begins alike", "artifacts-old/orders/1.2.3/tagboat.yaml", release.CodePrefix},
		{"a slash in front", "/artifacts/orders/1.2.3/tagboat.yaml", release.CodePrefix},
		{"an object beside the manifest", "artifacts/orders/1.2.3/deps.zip", release.CodePrefix},
		{"a manifest of another name", "artifacts/orders/1.2.3/tagboat.yml", release.CodePrefix},
		{"a manifest without a version", "artifacts/orders/tagboat.yaml", release.CodePrefix},
		{"an empty version", "artifacts/orders//tagboat.yaml", release.CodePrefix},
		{"an empty app", "artifacts//1.2.3/tagboat.yaml", release.CodePrefix},
		{"a manifest that is too deep", "artifacts/orders/1.2.3/sub/tagboat.yaml", release.CodePrefix},
		{"a version that climbs", "artifacts/orders/../tagboat.yaml", release.CodePrefix},
		{"a version that stays", "artifacts/orders/./tagboat.yaml", release.CodePrefix},
		{"a version with a line break", "artifacts/orders/1\n2/tagboat.yaml", release.CodePrefix},
		{"a version with an escape sequence", "artifacts/orders/\x1b[31m1/tagboat.yaml", release.CodePrefix},
		{"a version with an invisible character", "artifacts/orders/1.2.3\u200b/tagboat.yaml", release.CodePrefix},
		{"a version that is not UTF-8", "artifacts/orders/1.2.3\ufffd/tagboat.yaml", release.CodePrefix},
		{"a version with a space behind", "artifacts/orders/1.2.3 /tagboat.yaml", release.CodePrefix},
		{"a version that is too long", "artifacts/orders/" + strings.Repeat("1", 129) + "/tagboat.yaml", release.CodePrefix},
		{"an app that is not in the registry", "artifacts/shop/1.2.3/tagboat.yaml", release.CodePrefix},
		{"a drop that is no zip", "drops/orders/deps/1.2.3.tar", release.CodePrefix},
		{"a drop without a version", "drops/orders/deps/.zip", release.CodePrefix},
		{"a drop without an artifact", "drops/orders/1.2.3.zip", release.CodePrefix},
		{"a drop of what no manifest could name", "drops/orders/de ps/1.2.3.zip", release.CodePrefix},
		{"a drop of a name with a line break", "drops/orders/deps\n/1.2.3.zip", release.CodePrefix},
		{"a drop that climbs", "drops/orders/deps/...zip", release.CodePrefix},
		{"a drop of an app that takes none", "drops/billing/deps/1.2.3.zip", release.CodePrefix},
		{"a folder of a version", "artifacts/orders/1.2.3/", release.CodeFolder},
		{"a folder of the bucket", "artifacts/", release.CodeFolder},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			box := newInbox()
			expect(t, box.Handle(t.Context(), s3Event(t, test.key, nil)), release.AnswerIgnored, test.code, http.StatusOK)
			if len(box.accepted) != 0 {
				t.Errorf("accepted %+v", box.accepted)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	type part = map[string]any
	tests := []struct {
		name   string
		edit   func(event, bucket, object part)
		status release.AnswerStatus
		code   release.AnswerCode
		http   int
	}{
		{"as S3 sends it", nil, release.AnswerStarted, release.CodeStarted, 202},
		{"by a copy", func(e, _, _ part) { e["detail"].(part)["reason"] = "CopyObject" }, release.AnswerStarted, release.CodeStarted, 202},
		{"without a size", func(_, _, o part) { delete(o, "size") }, release.AnswerStarted, release.CodeStarted, 202},
		{"of an empty object", func(_, _, o part) { o["size"] = 0 }, release.AnswerRejected, release.CodeEmptyObject, 200},
		{"without a version-id", func(_, _, o part) { delete(o, "version-id") }, release.AnswerRejected, release.CodeNoVersionID, 200},
		{"with the version-id of a suspended bucket", func(_, _, o part) { o["version-id"] = "null" }, release.AnswerRejected, release.CodeNoVersionID, 200},
		{"with a version-id that is none", func(_, _, o part) { o["version-id"] = "a\nb" }, release.AnswerRejected, release.CodeMalformed, 400},
		{"of another bucket", func(_, b, _ part) { b["name"] = stateBucket }, release.AnswerIgnored, release.CodeBucket, 200},
		{"without a bucket", func(_, b, _ part) { delete(b, "name") }, release.AnswerRejected, release.CodeMalformed, 400},
		{"without a key", func(_, _, o part) { delete(o, "key") }, release.AnswerRejected, release.CodeMalformed, 400},
		{"with a key that S3 would not take", func(_, _, o part) { o["key"] = strings.Repeat("k", 1025) }, release.AnswerRejected, release.CodeMalformed, 400},
		{"without details", func(e, _, _ part) { delete(e, "detail") }, release.AnswerRejected, release.CodeMalformed, 400},
		{"with a size that is text", func(_, _, o part) { o["size"] = "5" }, release.AnswerRejected, release.CodeMalformed, 400},
		{"without a source", func(e, _, _ part) { delete(e, "source") }, release.AnswerRejected, release.CodeMalformed, 400},
		{"of a deletion", func(e, _, _ part) { e["detail-type"] = "Object Deleted" }, release.AnswerIgnored, release.CodeEvent, 200},
		{"of another service", func(e, _, _ part) { e["source"] = "aws.ec2" }, release.AnswerIgnored, release.CodeEvent, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			box := newInbox()
			text := s3Event(t, "artifacts/orders/1.2.3/tagboat.yaml", test.edit)
			expect(t, box.Handle(t.Context(), text), test.status, test.code, test.http)
			if started := test.status == release.AnswerStarted; started != (len(box.accepted) == 1) {
				t.Errorf("accepted %+v", box.accepted)
			}
		})
	}
}

func TestTextsThatAreNoEvents(t *testing.T) {
	tests := []struct {
		name, text string
		code       release.AnswerCode
		http       int
	}{
		{"nothing", ``, release.CodeMalformed, 400},
		{"null", `null`, release.CodeMalformed, 400},
		{"an empty object", `{}`, release.CodeMalformed, 400},
		{"a list of events", `[{"source": "aws.s3", "detail-type": "Object Created"}]`, release.CodeMalformed, 400},
		{"a truncated event", string(s3Event(t, "artifacts/orders/1.2.3/tagboat.yaml", nil)[:300]), release.CodeMalformed, 400},
		{"S3's own notification", `{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]}`, release.CodeMalformed, 400},
		{"7 MB", strings.Repeat(" ", 7<<20), release.CodeTooLarge, 413},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, newInbox().Handle(t.Context(), []byte(test.text)), release.AnswerRejected, test.code, test.http)
		})
	}
}

func TestAHandlerWithoutABucketTakesNothing(t *testing.T) {
	box := newInbox()
	box.Bucket = ""
	text := s3Event(t, "artifacts/orders/1.2.3/tagboat.yaml", func(_, bucket, _ map[string]any) { bucket["name"] = "" })
	expect(t, box.Handle(t.Context(), text), release.AnswerRejected, release.CodeMalformed, http.StatusBadRequest)
}

func TestAnOddEventIDIsNotKept(t *testing.T) {
	for _, id := range []string{strings.Repeat("x", 65), "a\x1b[31mb", "a b"} {
		box := newInbox()
		text := s3Event(t, "artifacts/orders/1.2.3/tagboat.yaml", func(event, _, _ map[string]any) { event["id"] = id })
		expect(t, box.Handle(t.Context(), text), release.AnswerStarted, release.CodeStarted, http.StatusAccepted)
		if got := box.accepted[0].Delivery; got != "" {
			t.Errorf("id %q was kept as %q, want nothing", id, got)
		}
	}
}

func TestARegistryThatCannotBeReadAsksForTheEventAgain(t *testing.T) {
	box := newInbox()
	down := errors.New("it is down")
	box.Registry = func(context.Context) (release.Registry, error) { return release.Registry{}, down }
	answer := box.Handle(t.Context(), s3Event(t, "artifacts/orders/1.2.3/tagboat.yaml", nil))
	expect(t, answer, release.AnswerBusy, release.CodeOverloaded, http.StatusServiceUnavailable)
	if strings.Contains(answer.Reason, down.Error()) {
		t.Errorf("the answer tells what is broken: %q", answer.Reason)
	}
}

func TestUploadKeyIsTheKeyThatStartsTheUpload(t *testing.T) {
	key, err := artifact.UploadKey("orders", "1.2.3+b")
	if err != nil {
		t.Fatal(err)
	}
	box := newInbox()
	box.Handle(t.Context(), s3Event(t, key, nil))
	if len(box.accepted) != 1 || box.accepted[0].Version != "1.2.3+b" {
		t.Errorf("key %q asks for %+v", key, box.accepted)
	}
	for _, version := range []string{"", "..", "a/b", "1\x00", strings.Repeat("1", 129)} {
		_, err := artifact.UploadKey("orders", version)
		wantError(t, err, release.Invalid, "version")
	}
}
