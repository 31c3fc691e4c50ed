package sim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/tagboat/tagboat/internal/sim"
)

func (w world) bucket(account, region, name string) {
	w.Helper()
	if err := w.cloud.CreateBucket(account, region, name, sim.BucketOptions{Versioned: true}); err != nil {
		w.Fatal(err)
	}
}

func (w world) s3(account string) *sim.S3Client { return w.cloud.Root(account).S3(east) }

// put stores an object in a bucket of the eastern region and returns its version.
func (w world) put(account, bucket, key, content string) string {
	w.Helper()
	out, err := w.s3(account).PutObject(w.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content)})
	if err != nil {
		w.Fatal(err)
	}
	return *out.VersionId
}

func (w world) read(in s3.GetObjectInput) (string, error) {
	in.Bucket = ptr("state")
	out, err := w.s3(tools).GetObject(w.ctx, &in)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(out.Body)
	return string(content), errors.Join(err, out.Body.Close())
}

func TestObjectsHaveVersions(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		first := w.put(tools, "state", "k", "one")
		second := w.put(tools, "state", "k", "two")
		read := func(version *string) string {
			return must(w.read(s3.GetObjectInput{Key: ptr("k"), VersionId: version}))(t)
		}
		if first == second || read(nil) != "two" || read(&first) != "one" || read(&second) != "two" {
			t.Fatalf("got %q, %q, %q", read(nil), read(&first), read(&second))
		}
		deleted := must(w.s3(tools).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: ptr("state"), Key: ptr("k")}))(t)
		_, err := w.read(s3.GetObjectInput{Key: ptr("k")})
		refused(t, err, "NoSuchKey", "")
		if read(&first) != "one" {
			t.Error("a delete marker took a version away")
		}
		_, err = w.read(s3.GetObjectInput{Key: ptr("k"), VersionId: deleted.VersionId})
		refused(t, err, "MethodNotAllowed", "")
		must(w.s3(tools).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: ptr("state"), Key: ptr("k"), VersionId: deleted.VersionId}))(t)
		if read(nil) != "two" {
			t.Error("deleting the marker did not bring the object back")
		}
		must(w.s3(tools).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: ptr("state"), Key: ptr("k"), VersionId: &first}))(t)
		_, err = w.read(s3.GetObjectInput{Key: ptr("k"), VersionId: &first})
		refused(t, err, "NoSuchVersion", "")
	})
}

func TestWithoutVersioningTheLastObjectReplacesTheOthers(t *testing.T) {
	within(t, func(w world) {
		if err := w.cloud.CreateBucket(tools, east, "state", sim.BucketOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"one", "two"} {
			out := must(w.s3(tools).PutObject(w.ctx, &s3.PutObjectInput{Bucket: ptr("state"), Key: ptr("k"), Body: strings.NewReader(content)}))(t)
			if out.VersionId != nil {
				t.Errorf("got version %q, want none", *out.VersionId)
			}
		}
		if got := w.cloud.Objects("state"); len(got) != 1 || string(got[0].Body) != "two" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestMissingThings(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		_, err := w.read(s3.GetObjectInput{Key: ptr("none")})
		var noKey *types.NoSuchKey
		if !errors.As(err, &noKey) || statusOf(err) != 404 {
			t.Errorf("got %v, want *types.NoSuchKey with 404", err)
		}
		_, err = w.s3(tools).HeadObject(w.ctx, &s3.HeadObjectInput{Bucket: ptr("state"), Key: ptr("none")})
		var notFound *types.NotFound
		if !errors.As(err, &notFound) || statusOf(err) != 404 {
			t.Errorf("got %v, want *types.NotFound with 404", err)
		}
		_, err = w.s3(tools).GetObject(w.ctx, &s3.GetObjectInput{Bucket: ptr("nowhere"), Key: ptr("k")})
		refused(t, err, "NoSuchBucket", "")
		_, err = w.s3(tools).ListObjectsV2(w.ctx, &s3.ListObjectsV2Input{Bucket: ptr("nowhere")})
		var noBucket *types.NoSuchBucket
		if !errors.As(err, &noBucket) {
			t.Errorf("got %v, want *types.NoSuchBucket", err)
		}
	})
}

func TestWhoMayNotListIsDeniedWhatIsMissing(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		get := func(policies ...string) error {
			_, err := w.role(tools, "reader", policies...).S3(east).GetObject(w.ctx, &s3.GetObjectInput{Bucket: ptr("state"), Key: ptr("none")})
			return err
		}
		read := allow("arn:aws:s3:::state/*", "s3:GetObject")
		refused(t, get(read), "AccessDenied", "s3:ListBucket")
		refused(t, get(read, allow("arn:aws:s3:::state", "s3:ListBucket")), "NoSuchKey", "")
	})
}

func TestABucketAnswersInItsRegionOnly(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, west, "state")
		_, err := w.read(s3.GetObjectInput{Key: ptr("k")})
		refused(t, err, "PermanentRedirect", "eu-west-1")
		if got := statusOf(err); got != 301 {
			t.Errorf("got status %d, want 301", got)
		}
		if err := w.cloud.CreateBucket(dev, east, "state", sim.BucketOptions{}); err == nil {
			t.Error("a second bucket got the same name")
		}
	})
}

func TestConditionalWrites(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		put := func(key string, ifMatch, ifNoneMatch *string) (*s3.PutObjectOutput, error) {
			return w.s3(tools).PutObject(w.ctx, &s3.PutObjectInput{
				Bucket: ptr("state"), Key: &key, Body: strings.NewReader("x"), IfMatch: ifMatch, IfNoneMatch: ifNoneMatch})
		}
		first := must(put("k", nil, ptr("*")))(t)
		_, err := put("k", nil, ptr("*"))
		refused(t, err, "PreconditionFailed", "")
		if got := statusOf(err); got != 412 {
			t.Errorf("got status %d, want 412", got)
		}
		_, err = put("k", ptr(`"other"`), nil)
		refused(t, err, "PreconditionFailed", "")
		_, err = put("none", first.ETag, nil)
		refused(t, err, "NoSuchKey", "")
		must(put("k", first.ETag, nil))(t)
		must(w.s3(tools).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: ptr("state"), Key: ptr("k")}))(t)
		must(put("k", nil, ptr("*")))(t)
	})
}

func TestChecksums(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		sum := sha256.Sum256([]byte("content"))
		want := base64.StdEncoding.EncodeToString(sum[:])
		put := func(checksum string) error {
			_, err := w.s3(tools).PutObject(w.ctx, &s3.PutObjectInput{Bucket: ptr("state"), Key: ptr("k"), Body: strings.NewReader("content"), ChecksumSHA256: &checksum})
			return err
		}
		refused(t, put(base64.StdEncoding.EncodeToString(make([]byte, 32))), "BadDigest", "")
		if err := put(want); err != nil {
			t.Fatal(err)
		}
		head := func(mode types.ChecksumMode) *string {
			return must(w.s3(tools).HeadObject(w.ctx, &s3.HeadObjectInput{Bucket: ptr("state"), Key: ptr("k"), ChecksumMode: mode}))(t).ChecksumSHA256
		}
		if got := head(types.ChecksumModeEnabled); got == nil || *got != want {
			t.Errorf("got checksum %v, want %s", got, want)
		}
		if got := head(""); got != nil {
			t.Errorf("a checksum that was not asked for: %s", *got)
		}
	})
}

func TestAStreamOfUnknownLengthIsRefused(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		_, err := w.s3(tools).PutObject(w.ctx, &s3.PutObjectInput{Bucket: ptr("state"), Key: ptr("k"), Body: io.MultiReader(strings.NewReader("x"))})
		refused(t, err, "MissingContentLength", "")
	})
}

func TestRanges(t *testing.T) {
	tests := []struct{ header, want, contentRange, code string }{
		{"bytes=0-3", "0123", "bytes 0-3/10", ""},
		{"bytes=8-", "89", "bytes 8-9/10", ""},
		{"bytes=8-99", "89", "bytes 8-9/10", ""},
		{"bytes=-3", "789", "bytes 7-9/10", ""},
		{"bytes=10-", "", "", "InvalidRange"},
		{"lines=1-2", "0123456789", "", ""},
	}
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		w.put(tools, "state", "k", "0123456789")
		for _, test := range tests {
			w.run(test.header, func(w world) {
				out, err := w.s3(tools).GetObject(w.ctx, &s3.GetObjectInput{Bucket: ptr("state"), Key: ptr("k"), Range: &test.header})
				if test.code != "" {
					refused(w, err, test.code, "")
					return
				}
				got := string(must(io.ReadAll(must(out, err)(w).Body))(w))
				contentRange := ""
				if out.ContentRange != nil {
					contentRange = *out.ContentRange
				}
				if got != test.want || contentRange != test.contentRange || *out.ContentLength != int64(len(test.want)) {
					w.Errorf("got %q, %q; want %q, %q", got, contentRange, test.want, test.contentRange)
				}
			})
		}
	})
}

func TestMultipartRules(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		create := func() string {
			return *must(w.s3(tools).CreateMultipartUpload(w.ctx, &s3.CreateMultipartUploadInput{Bucket: ptr("state"), Key: ptr("k")}))(t).UploadId
		}
		part := func(id string, number int32, size int) types.CompletedPart {
			out := must(w.s3(tools).UploadPart(w.ctx, &s3.UploadPartInput{
				Bucket: ptr("state"), Key: ptr("k"), UploadId: &id, PartNumber: &number, Body: bytes.NewReader(make([]byte, size))}))(t)
			return types.CompletedPart{PartNumber: &number, ETag: out.ETag}
		}
		complete := func(id string, parts ...types.CompletedPart) error {
			_, err := w.s3(tools).CompleteMultipartUpload(w.ctx, &s3.CompleteMultipartUploadInput{
				Bucket: ptr("state"), Key: ptr("k"), UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
			return err
		}
		id := create()
		first, second := part(id, 1, 5<<20), part(id, 2, 1)
		refused(t, complete(id, second, first), "InvalidPartOrder", "")
		refused(t, complete(id, first, types.CompletedPart{PartNumber: ptr(int32(3)), ETag: first.ETag}), "InvalidPart", "")
		refused(t, complete(id, part(id, 1, 5), second), "EntityTooSmall", "")
		refused(t, complete("none", first), "NoSuchUpload", "")
		if got := w.cloud.Objects("state"); len(got) != 0 {
			t.Errorf("refused completions left %d objects", len(got))
		}
		must(w.s3(tools).AbortMultipartUpload(w.ctx, &s3.AbortMultipartUploadInput{Bucket: ptr("state"), Key: ptr("k"), UploadId: &id}))(t)
		refused(t, complete(id, second), "NoSuchUpload", "")
	})
}

func TestCopyObjectAcrossRegionsKeepsOrReplacesMetadata(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, west, "from")
		w.bucket(tools, east, "state")
		out := must(w.cloud.Root(tools).S3(west).PutObject(w.ctx, &s3.PutObjectInput{
			Bucket: ptr("from"), Key: ptr("a b"), Body: strings.NewReader("content"), Metadata: map[string]string{"commit": "abc"}}))(t)
		source := "from/a%20b?versionId=" + *out.VersionId
		must(w.s3(tools).CopyObject(w.ctx, &s3.CopyObjectInput{Bucket: ptr("state"), Key: ptr("kept"), CopySource: &source}))(t)
		must(w.s3(tools).CopyObject(w.ctx, &s3.CopyObjectInput{
			Bucket: ptr("state"), Key: ptr("replaced"), CopySource: &source, MetadataDirective: types.MetadataDirectiveReplace}))(t)
		got := w.cloud.Objects("state")
		if len(got) != 2 || string(got[0].Body) != "content" || got[0].Metadata["commit"] != "abc" || len(got[1].Metadata) != 0 {
			t.Errorf("got %+v", got)
		}
		_, err := w.s3(tools).CopyObject(w.ctx, &s3.CopyObjectInput{Bucket: ptr("state"), Key: ptr("k"), CopySource: ptr("from/none")})
		refused(t, err, "NoSuchKey", "")
	})
}

func TestListings(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "state")
		for _, key := range []string{"a/1", "a/2", "b/1", "c", "b/2"} {
			w.put(tools, "state", key, "x")
		}
		w.put(tools, "state", "c", "y")
		must(w.s3(tools).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: ptr("state"), Key: ptr("a/2")}))(t)
		list := func(in s3.ListObjectsV2Input) string {
			in.Bucket = ptr("state")
			var names []string
			pages := s3.NewListObjectsV2Paginator(w.s3(tools), &in)
			for pages.HasMorePages() {
				out := must(pages.NextPage(w.ctx))(t)
				for _, p := range out.CommonPrefixes {
					names = append(names, *p.Prefix)
				}
				for _, o := range out.Contents {
					names = append(names, *o.Key)
				}
			}
			return strings.Join(names, " ")
		}
		tests := []struct {
			name, want string
			in         s3.ListObjectsV2Input
		}{
			{"all", "a/1 b/1 b/2 c", s3.ListObjectsV2Input{}},
			{"in pages of one", "a/1 b/1 b/2 c", s3.ListObjectsV2Input{MaxKeys: ptr(int32(1))}},
			{"of a prefix", "b/1 b/2", s3.ListObjectsV2Input{Prefix: ptr("b/")}},
			{"folded at a delimiter", "a/ b/ c", s3.ListObjectsV2Input{Delimiter: ptr("/"), MaxKeys: ptr(int32(1))}},
			{"after a key", "b/2 c", s3.ListObjectsV2Input{StartAfter: ptr("b/1")}},
		}
		for _, test := range tests {
			w.run(test.name, func(w world) {
				if got := list(test.in); got != test.want {
					w.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
		w.run("versions, the newest of each key first", func(w world) {
			var got []string
			pages := s3.NewListObjectVersionsPaginator(w.s3(tools), &s3.ListObjectVersionsInput{Bucket: ptr("state"), MaxKeys: ptr(int32(2))})
			for pages.HasMorePages() {
				out := must(pages.NextPage(w.ctx))(w)
				for _, m := range out.DeleteMarkers {
					got = append(got, "-"+*m.Key)
				}
				for _, v := range out.Versions {
					got = append(got, *v.Key+map[bool]string{true: "*"}[*v.IsLatest])
				}
			}
			if want := "-a/2 a/1* a/2 b/1* b/2* c* c"; strings.Join(got, " ") != want {
				w.Errorf("got %v, want %s", got, want)
			}
		})
	})
}

func TestObjectCreatedEvents(t *testing.T) {
	within(t, func(w world) {
		if err := w.cloud.CreateBucket(tools, east, "uploads", sim.BucketOptions{Versioned: true, EventBridge: true}); err != nil {
			t.Fatal(err)
		}
		w.bucket(tools, east, "quiet")
		var events []string
		w.cloud.OnEvent(func(event json.RawMessage) {
			if len(w.cloud.Objects("uploads")) == 0 {
				t.Error("the event came before its object")
			}
			events = append(events, string(event))
		})
		w.put(tools, "quiet", "k", "x")
		version := w.put(tools, "uploads", "artifacts/a b+c", "hello")
		must(w.s3(tools).CopyObject(w.ctx, &s3.CopyObjectInput{Bucket: ptr("uploads"), Key: ptr("k"), CopySource: ptr("quiet/k")}))(t)
		if len(events) != 2 {
			t.Fatalf("got %d events, want 2: %v", len(events), events)
		}
		want := `{"version":"0","id":"ID","detail-type":"Object Created","source":"aws.s3","account":"` + tools +
			`","time":"2030-01-02T03:04:05Z","region":"us-east-1","resources":["arn:aws:s3:::uploads"],"detail":{"version":"0","bucket":{"name":"uploads"},` +
			`"object":{"key":"artifacts/a b+c","size":5,"etag":"5d41402abc4b2a76b9719d911017c592","version-id":"` + version + `","sequencer":"ID"},` +
			`"request-id":"ID","requester":"` + tools + `","source-ip-address":"192.0.2.1","reason":"PutObject"}}`
		ids := regexp.MustCompile(`"(id|sequencer|request-id)":"[^"]+"`)
		if got := ids.ReplaceAllString(events[0], `"$1":"ID"`); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if first, second := ids.FindString(events[0]), ids.FindString(events[1]); first == second {
			t.Errorf("two events have the id %s", first)
		}
		if !strings.Contains(events[1], `"reason":"CopyObject"`) {
			t.Errorf("got %s", events[1])
		}
	})
}
