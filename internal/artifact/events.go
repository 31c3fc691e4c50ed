// Package artifact takes what is uploaded to S3 and brings every artifact of a
// release, wherever it comes from, into the state bucket: checked, named by its
// sha256 and pinned by version-id.
//
// Keys of the uploads bucket:
//
//	artifacts/<app>/<version>/<name>          objects of an upload
//	artifacts/<app>/<version>/tagboat.yaml    its manifest, uploaded last: it starts the release
//	drops/<app>/<artifact>/<version>.zip      one artifact of the app's drop manifest
//
// Keys that this package owns in the state bucket and in the staging bucket of
// each further region:
//
//	staged/<app>/<sha256>.zip                 an artifact
package artifact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode"

	"github.com/tagboat/tagboat/internal/release"
)

const (
	uploadPrefix = "artifacts/"
	dropPrefix   = "drops/"

	// The one event that starts something.
	eventSource  = "aws.s3"
	eventCreated = "Object Created"

	// maxEvent is the largest event that is read, in bytes. EventBridge's own are far smaller.
	maxEvent = 6 << 20
	// maxKey and maxVersionID are how long keys and version-ids can be, in bytes
	// (Amazon S3 user guide: naming objects; how versioning works).
	maxKey       = 1024
	maxVersionID = 1024
	// maxVersion is the longest version that an upload can name, in bytes.
	maxVersion = 128
	// maxEventID is the longest id of an event that is kept; EventBridge's are UUIDs.
	maxEventID = 64
)

// artifactName is what manifests call artifacts.
var artifactName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Events answers the events that S3 sends through EventBridge.
type Events struct {
	// Bucket is the uploads bucket.
	Bucket string
	// Registry is the registry in force.
	Registry func(ctx context.Context) (release.Registry, error)
	// Accept starts releases, each once, and answers for them.
	Accept func(ctx context.Context, requests []release.Request) release.Answer
	Log    *slog.Logger
}

// objectCreated is the event, as far as it is read (Amazon S3 user guide:
// EventBridge event message structure). Keys are not URL-encoded in it.
type objectCreated struct {
	ID         string `json:"id"`
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      *int64 `json:"size"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
		} `json:"object"`
	} `json:"detail"`
}

// Handle answers one event. It is durable when the answer is "started".
func (e *Events) Handle(ctx context.Context, text []byte) release.Answer {
	if len(text) > maxEvent {
		return release.RejectedAnswer(release.CodeTooLarge,
			fmt.Sprintf("The event has %d bytes, more than the %d that are read.", len(text), maxEvent))
	}
	var event objectCreated
	if err := json.Unmarshal(text, &event); err != nil || event.Source == "" || event.DetailType == "" {
		return release.RejectedAnswer(release.CodeMalformed, "The body is not an EventBridge event.")
	}
	return e.take(ctx, event)
}

// take answers for an object, however it was heard of.
func (e *Events) take(ctx context.Context, event objectCreated) release.Answer {
	request, answer, ok := e.request(event)
	if !ok {
		return answer
	}
	registry, err := e.Registry(ctx)
	if err != nil {
		e.Log.ErrorContext(ctx, "the registry cannot be read", "error", err)
		return release.Busy(release.CodeOverloaded, "The registry cannot be read at the moment; send the event again.")
	}
	app, known := registry.App(request.App)
	switch {
	case !known:
		return release.Ignored(release.CodePrefix, fmt.Sprintf("App %q of key %q is not in the registry.", request.App, request.Source.Key))
	case request.Trigger == release.TriggeredByDrop && app.DropManifest == "":
		return release.Ignored(release.CodePrefix, fmt.Sprintf("App %q has no drop_manifest in the registry: it takes no drops.", app.Name))
	}
	return e.Accept(ctx, []release.Request{request})
}

// request is what the event asks for; ok is false if it is answered already.
func (e *Events) request(event objectCreated) (request release.Request, answer release.Answer, ok bool) {
	object := event.Detail.Object
	if event.Source != eventSource || event.DetailType != eventCreated {
		return request, release.Ignored(release.CodeEvent,
			fmt.Sprintf("Event %.80q of %.80q starts no release; \"Object Created\" of aws.s3 does.", event.DetailType, event.Source)), false
	}
	if event.Detail.Bucket.Name == "" || object.Key == "" || len(object.Key) > maxKey || !isOpaque(object.VersionID) || !isOpaque(object.ETag) {
		return request, release.RejectedAnswer(release.CodeMalformed, "The event does not name an object: want a bucket, a key, a version-id and an ETag."), false
	}
	if event.Detail.Bucket.Name != e.Bucket {
		return request, release.Ignored(release.CodeBucket, fmt.Sprintf("Bucket %.80q is not the uploads bucket %q.", event.Detail.Bucket.Name, e.Bucket)), false
	}
	if request, answer, ok = requestFor(object.Key); !ok {
		return request, answer, false
	}
	if object.Size != nil && *object.Size == 0 {
		return request, release.RejectedAnswer(release.CodeEmptyObject, fmt.Sprintf("Object %q is empty.", object.Key)), false
	}
	if object.VersionID == "" || object.VersionID == "null" {
		return request, release.RejectedAnswer(release.CodeNoVersionID, fmt.Sprintf(
			"The event for %q has no version-id: switch versioning on for bucket %q.", object.Key, e.Bucket)), false
	}
	request.Attempt = 1
	if len(event.ID) <= maxEventID && isOpaque(event.ID) {
		request.Delivery = event.ID
	}
	request.Source = release.Source{Bucket: e.Bucket, Key: object.Key, VersionID: object.VersionID, ETag: object.ETag}
	return request, release.Answer{}, true
}

// isOpaque tells whether an id that only machines read looks like one.
func isOpaque(id string) bool {
	odd := func(r rune) bool { return r <= ' ' || !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	return len(id) <= maxVersionID && !strings.ContainsFunc(id, odd)
}

// requestFor is what the arrival of a key asks for; ok is false if that is
// nothing, and is answered.
func requestFor(key string) (request release.Request, answer release.Answer, ok bool) {
	if strings.HasSuffix(key, "/") {
		return request, release.Ignored(release.CodeFolder, fmt.Sprintf("Key %q is a folder.", key)), false
	}
	if request, ok = parseKey(key); !ok {
		return request, release.Ignored(release.CodePrefix, fmt.Sprintf(
			"Key %q starts no release: artifacts/<app>/<version>/tagboat.yaml and drops/<app>/<artifact>/<version>.zip do.", key)), false
	}
	if err := checkVersion(request.Version); err != nil {
		return request, release.Ignored(release.CodePrefix, fmt.Sprintf("Key %q starts no release: %v.", key, err)), false
	}
	return request, release.Answer{}, true
}

// checkVersion refuses a version that people could not read or tell apart from
// another, or that stands for a folder elsewhere.
func checkVersion(version string) error {
	unreadable := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	switch {
	case version == "" || version == "." || version == "..", strings.Contains(version, "/"),
		strings.TrimSpace(version) != version, strings.ContainsFunc(version, unreadable):
		return release.Errorf(release.Invalid, "%+q is no version: want printable characters without / and without spaces around them", version).
			WithRemedy("Name a version like 1.4.0.")
	case len(version) > maxVersion:
		return release.Errorf(release.Invalid, "version %.40q… has %d bytes, want at most %d", version, len(version), maxVersion).
			WithRemedy("Name a version like 1.4.0.")
	}
	return nil
}

// parseKey reads app and version off a key that starts a release.
func parseKey(key string) (release.Request, bool) {
	if rest, found := strings.CutPrefix(key, uploadPrefix); found {
		parts := strings.Split(rest, "/")
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] != release.DefaultManifest {
			return release.Request{}, false
		}
		return release.Request{App: parts[0], Version: parts[1], Trigger: release.TriggeredByUpload}, true
	}
	rest, found := strings.CutPrefix(key, dropPrefix)
	parts := strings.Split(rest, "/")
	if !found || len(parts) != 3 {
		return release.Request{}, false
	}
	version, isZip := strings.CutSuffix(parts[2], ".zip")
	if parts[0] == "" || !artifactName.MatchString(parts[1]) || version == "" || !isZip {
		return release.Request{}, false
	}
	return release.Request{App: parts[0], Version: version, Artifact: parts[1], Trigger: release.TriggeredByDrop}, true
}

// UploadKey is the key of the manifest of an upload; an error says why there can
// be no upload of that version.
func UploadKey(app, version string) (string, error) {
	return uploadPrefix + app + "/" + version + "/" + release.DefaultManifest, checkVersion(version)
}
