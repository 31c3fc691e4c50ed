package artifact_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

const (
	tools  = "999999999999"
	home   = "us-east-1"
	far    = "eu-west-1"
	repoID = 186853002

	stateBucket   = "tagboat-state"
	farBucket     = "tagboat-eu"
	uploadsBucket = "tagboat-uploads"
	plainBucket   = "tagboat-plain" // keeps no versions
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a cloud with Tagboat's buckets and a GitHub with one repository.
type world struct {
	*testing.T
	ctx    context.Context
	clock  *clock.Virtual
	cloud  *sim.Cloud
	github *github.Server
	repo   *github.Repository
	stager *artifact.Stager
	// events are those that S3 sent.
	events []json.RawMessage
}

// within runs a test in a new world, in which no temporary file may stay behind.
func within(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	c := clock.NewVirtual(start, 0)
	w := &world{T: t, ctx: t.Context(), clock: c, cloud: sim.New(c), github: github.New(c)}
	for bucket, region := range map[string]string{stateBucket: home, uploadsBucket: home, plainBucket: home, farBucket: far} {
		w.must(w.cloud.CreateBucket(tools, region, bucket, sim.BucketOptions{Versioned: bucket != plainBucket, EventBridge: bucket == uploadsBucket}))
	}
	w.cloud.OnEvent(func(event json.RawMessage) { w.events = append(w.events, event) })
	w.repo = w.github.AddRepository(repoID, "acme/orders")
	w.github.SetToken("token")
	client, err := ghapi.New(ghapi.Config{
		BaseURL: ghapi.DefaultBaseURL, Token: ghapi.StaticToken("token"), HTTP: w.github.Client(), Clock: c,
	})
	w.must(err)
	w.stager = &artifact.Stager{
		Source: &artifact.Source{GitHub: client, Uploads: w.s3(home), State: &artifact.S3Store{S3: w.s3(home), Bucket: stateBucket}},
		S3:     func(region string) artifact.API { return w.s3(region) },
	}
	c.Run(func() { test(w) })
	w.noTemporaryFiles()
}

func (w *world) noTemporaryFiles() {
	w.Helper()
	left, err := os.ReadDir(os.TempDir())
	w.must(err)
	for _, file := range left {
		w.Errorf("temporary file %q stayed behind", file.Name())
	}
}

func (w *world) s3(region string) *sim.S3Client { return w.cloud.Root(tools).S3(region) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) sleep(d time.Duration) {
	w.Helper()
	w.must(w.clock.Sleep(w.ctx, d))
}

// put uploads an object and answers its source.
func (w *world) put(key string, body []byte, metadata map[string]string) release.Source {
	w.Helper()
	out, err := w.s3(home).PutObject(w.ctx, &s3.PutObjectInput{
		Bucket: aws.String(uploadsBucket), Key: &key, Body: bytes.NewReader(body), Metadata: metadata,
	})
	w.must(err)
	return release.Source{Bucket: uploadsBucket, Key: key, VersionID: *out.VersionId, ETag: strings.Trim(*out.ETag, `"`)}
}

// remove deletes an object, or one version of it for good.
func (w *world) remove(key string, version *string) {
	w.Helper()
	_, err := w.s3(home).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: aws.String(uploadsBucket), Key: &key, VersionId: version})
	w.must(err)
}

// tagged commits files and is a release of tag v1.2.3 there.
func (w *world) tagged(files github.Files) *release.Release {
	commit := w.repo.Commit("main", "a commit", files)
	w.repo.Tag("v1.2.3", commit)
	return &release.Release{ID: "r", App: "orders", Version: "1.2.3", Source: release.Source{
		RepositoryID: repoID, Repository: "acme/orders", Tag: "v1.2.3", Commit: commit,
	}}
}

// uploaded is a release from an object.
func uploaded(source release.Source) *release.Release {
	return &release.Release{ID: "r", App: "orders", Version: "1.2.3", Source: source}
}

// object reads what is stored.
func (w *world) object(o release.Object) []byte {
	w.Helper()
	region := home
	if o.Bucket == farBucket {
		region = far
	}
	out, err := w.s3(region).GetObject(w.ctx, &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key, VersionId: &o.VersionID})
	w.must(err)
	body, err := io.ReadAll(out.Body)
	w.must(err)
	return body
}

// fail makes calls of one S3 operation fail.
func (w *world) fail(action string, fault func(n int) sim.Fault) {
	n := 0
	w.cloud.OnCall(func(call sim.Call) sim.Fault {
		if call.Action != action {
			return sim.Fault{}
		}
		n++
		return fault(n)
	})
}

// wantError checks an error's kind and what it names.
func wantError(t *testing.T, err error, kind release.Kind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want kind %q", kind)
	}
	if release.KindOf(err) != kind {
		t.Errorf("got kind %q (%v), want %q", release.KindOf(err), err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}

// zipOf makes an archive of files, the same for the same files.
func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func sha256Hex(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func sha256Base64(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
