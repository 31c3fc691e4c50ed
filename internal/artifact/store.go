package artifact

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// API is what is used of S3.
type API interface {
	PutObject(ctx context.Context, in *s3.PutObjectInput, options ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(ctx context.Context, in *s3.GetObjectInput, options ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	HeadObject(ctx context.Context, in *s3.HeadObjectInput, options ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput, options ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error)
}

// maxDocument is the largest document that is read, in bytes.
const maxDocument = 64 << 20

// S3Store keeps pinned documents in one versioned bucket.
type S3Store struct {
	S3     API
	Bucket string
}

// Put stores v as JSON, or as it is if it is a []byte. The version it returns
// stays readable whatever is written to the key later.
func (s *S3Store) Put(ctx context.Context, key string, v any) (release.Pointer, error) {
	text, raw := v.([]byte)
	if !raw {
		var err error
		if text, err = json.Marshal(v); err != nil {
			return release.Pointer{}, fmt.Errorf("document %q: %w", key, err)
		}
	}
	out, err := s.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(text), ContentLength: aws.Int64(int64(len(text))),
	})
	if err != nil {
		return release.Pointer{}, failed("write", s.Bucket, key, err)
	}
	version, err := pinned(s.Bucket, out.VersionId)
	return release.Pointer{Key: key, VersionID: version}, err
}

// Get reads exactly the version pointed to, into v or, if it is a *[]byte, as it is.
func (s *S3Store) Get(ctx context.Context, p release.Pointer, v any) error {
	if p.Key == "" || p.VersionID == "" {
		return release.Errorf(release.Internal, "a document of bucket %q was not pinned: key %q, version %q", s.Bucket, p.Key, p.VersionID)
	}
	text, _, err := s.read(ctx, p.Key, &p.VersionID)
	if err != nil {
		return err
	}
	if raw, ok := v.(*[]byte); ok {
		*raw = text
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return release.Errorf(release.Internal, "document s3://%s/%s: %w", s.Bucket, p.Key, err)
	}
	return nil
}

// Latest reads the newest version of an object and pins it.
func (s *S3Store) Latest(ctx context.Context, key string) ([]byte, release.Pointer, error) {
	text, out, err := s.read(ctx, key, nil)
	if err != nil {
		return nil, release.Pointer{}, err
	}
	version, err := pinned(s.Bucket, out.VersionId)
	return text, release.Pointer{Key: key, VersionID: version}, err
}

func (s *S3Store) read(ctx context.Context, key string, version *string) ([]byte, *s3.GetObjectOutput, error) {
	out, err := s.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.Bucket, Key: &key, VersionId: version})
	if err != nil {
		return nil, nil, failed("read", s.Bucket, key, err)
	}
	defer out.Body.Close()
	var text bytes.Buffer
	text.Grow(int(min(max(aws.ToInt64(out.ContentLength), 0), maxDocument)) + bytes.MinRead)
	if _, err := text.ReadFrom(io.LimitReader(out.Body, maxDocument+1)); err != nil {
		return nil, nil, release.Errorf(release.Transient, "read s3://%s/%s: %w", s.Bucket, key, err)
	}
	if text.Len() > maxDocument {
		return nil, nil, release.Errorf(release.Invalid, "s3://%s/%s is larger than the %d bytes that a document may have", s.Bucket, key, maxDocument)
	}
	return text.Bytes(), out, nil
}

// pinned is the version-id that S3 answered; without versioning there is none.
func pinned(bucket string, version *string) (string, error) {
	if aws.ToString(version) == "" || *version == "null" {
		return "", release.Errorf(release.Invalid, "bucket %q is not versioned: what is read from it could change", bucket).
			WithRemedy("Switch versioning on: aws s3api put-bucket-versioning --bucket %s --versioning-configuration Status=Enabled", bucket)
	}
	return *version, nil
}

// content is what a file has: the sha256 in hex, and its size.
type content struct {
	sha256 string
	size   int64
}

// base64 is the sha256 as Lambda and S3 write it; empty if it is none.
func (c content) base64() string {
	digest, err := hex.DecodeString(c.sha256)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(digest)
}

// putFile stores a checked file under its digest, or finds it there unless it is
// to be put anew.
func putFile(ctx context.Context, api API, bucket, key string, file io.ReadSeeker, c content, anew bool) (release.Object, error) {
	object := release.Object{Bucket: bucket, Key: key, Size: c.size}
	checksum := c.base64()
	if checksum == "" {
		return object, release.Errorf(release.Internal, "staging %q: digest %q: want a sha256 in hex", key, c.sha256)
	}
	if !anew {
		head, err := api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		if err == nil && aws.ToInt64(head.ContentLength) == c.size && aws.ToString(head.ChecksumSHA256) == checksum {
			object.VersionID, err = pinned(bucket, head.VersionId)
			return object, err
		}
		if err != nil && kindOf(err) != release.NotFound && kindOf(err) != release.Denied { // without s3:ListBucket, what is missing is denied
			return object, failed("look for", bucket, key, err)
		}
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return object, fmt.Errorf("staging %q: %w", key, err)
	}
	out, err := api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: file, ContentLength: &c.size, ContentType: aws.String("application/zip"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ChecksumSHA256:    &checksum, // S3 refuses other bytes
	})
	if err != nil {
		return object, failed("write", bucket, key, err)
	}
	object.VersionID, err = pinned(bucket, out.VersionId)
	return object, err
}

// Remover deletes versions of objects.
type Remover interface {
	DeleteObject(ctx context.Context, in *s3.DeleteObjectInput, options ...func(*s3.Options)) (*s3.DeleteObjectOutput, error)
}

// Remove deletes one version of an object for good, and leaves no delete marker.
// A version that is gone already is deleted, too: S3 answers alike (API
// reference, DeleteObject).
func Remove(ctx context.Context, api Remover, object release.Object) error {
	if _, err := pinned(object.Bucket, &object.VersionID); err != nil {
		return err
	}
	_, err := api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &object.Bucket, Key: &object.Key, VersionId: &object.VersionID})
	if err != nil && kindOf(err) != release.NotFound {
		return failed("delete", object.Bucket, object.Key, err)
	}
	return nil
}

// codeNoBucket is how S3 refuses what names a bucket that does not exist.
const codeNoBucket = "NoSuchBucket"

// failed gives an error of S3 its kind and names the object.
func failed(what, bucket, key string, err error) error {
	kind := kindOf(err)
	failure := release.Errorf(kind, "%s s3://%s/%s: %w", what, bucket, key, awserr.Brief(err))
	switch {
	case kind == release.Denied:
		return failure.WithRemedy("Let Tagboat's role %s it: the role's policy, the bucket's policy and the key's policy all have to.", what)
	case kind != release.NotFound:
		return failure
	case awserr.Is(err, codeNoBucket):
		failure.Message = fmt.Sprintf("%s s3://%s/%s: there is no bucket of that name", what, bucket, key)
		return failure.WithRemedy("Check the bucket's name: the stack's outputs have those of its buckets, and tools.buckets of the registry the further ones.")
	}
	failure.Message = fmt.Sprintf("%s s3://%s/%s: it is not there", what, bucket, key)
	return failure
}

// openPinned opens exactly the version of an uploaded object that a release was made from.
func openPinned(ctx context.Context, api API, source release.Source) (*s3.GetObjectOutput, error) {
	out, err := api.GetObject(ctx, &s3.GetObjectInput{Bucket: &source.Bucket, Key: &source.Key, VersionId: &source.VersionID})
	if err != nil {
		return nil, failedPinned(source, err)
	}
	return out, nil
}

// failedPinned is the error of a read of a pinned version. One that is gone
// does not come back.
func failedPinned(source release.Source, err error) error {
	if kindOf(err) != release.NotFound {
		return failed("read", source.Bucket, source.Key, err)
	}
	return gone(source)
}

func gone(source release.Source) error {
	return release.Errorf(release.Invalid, "%s is gone: it was deleted after it was uploaded", source).
		WithRemedy("Upload it again, and let no lifecycle rule delete versions that are still to be released.")
}

func kindOf(err error) release.Kind {
	var response *awshttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &api) {
		if kind, known := kindOfCode(api.ErrorCode()); known {
			return kind
		}
		if api.ErrorFault() == smithy.FaultServer {
			return release.Transient
		}
	}
	if errors.As(err, &response) {
		if kind, known := kindOfStatus(response.HTTPStatusCode()); known {
			return kind
		}
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return release.Transient
	}
	return release.Internal
}

// kindOfCode knows S3's error codes (Amazon S3 API reference: error responses).
// MethodNotAllowed is how a read of a delete marker is refused.
func kindOfCode(code string) (kind release.Kind, known bool) {
	switch code {
	case "NoSuchKey", "NoSuchVersion", "NotFound", codeNoBucket, "MethodNotAllowed":
		return release.NotFound, true
	case "AccessDenied", "Forbidden":
		return release.Denied, true
	case "SlowDown", "RequestTimeout", "OperationAborted", "ExpiredToken":
		return release.Transient, true
	}
	return "", false
}

// kindOfStatus knows answers without a code, as HEAD has them.
func kindOfStatus(status int) (kind release.Kind, known bool) {
	switch {
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		return release.Transient, true
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return release.NotFound, true
	case status == http.StatusForbidden:
		return release.Denied, true
	}
	return "", false
}
