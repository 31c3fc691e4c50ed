package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// GetObject reads an object, one of its versions, or a range of it.
func (c *S3Client) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	r := c.request("GetObject", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.GetObjectOutput, error) {
		out, err := c.getObject(r, in)
		if codeOf(err) == "NoSuchKey" {
			return nil, &types.NoSuchKey{Message: ptr("The specified key does not exist.")}
		}
		return out, err
	})
}

func (c *S3Client) getObject(r request, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o, err := r.readable(value(in.Bucket), value(in.Key), in.VersionId)
	if err != nil {
		return nil, err
	}
	if err := o.checkRead(in.IfMatch, in.IfNoneMatch); err != nil {
		return nil, err
	}
	body, contentRange, err := cut(o.body, in.Range)
	if err != nil {
		return nil, err
	}
	out := &s3.GetObjectOutput{
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: ptr(int64(len(body))), ContentRange: contentRange,
		AcceptRanges: ptr("bytes"), ContentType: o.contentType, ETag: ptr(o.etag), LastModified: ptr(o.modified),
		Metadata: maps.Clone(o.metadata), VersionId: r.session.cloud.buckets[*in.Bucket].version(o),
		ServerSideEncryption: types.ServerSideEncryptionAes256,
	}
	if in.ChecksumMode == types.ChecksumModeEnabled && o.checksum != "" && contentRange == nil {
		out.ChecksumSHA256 = ptr(o.checksum)
	}
	return out, nil
}

// checkRead enforces the conditions of a read.
func (o *object) checkRead(ifMatch, ifNoneMatch *string) error {
	if ifMatch != nil && unquoted(*ifMatch) != unquoted(o.etag) {
		return preconditionFailed()
	}
	if ifNoneMatch != nil && unquoted(*ifNoneMatch) == unquoted(o.etag) {
		return apiError("NotModified", "Not Modified")
	}
	return nil
}

var rangePattern = regexp.MustCompile(`^bytes=([0-9]{0,18})-([0-9]{0,18})$`)

// cut is the part of a body that a Range header asks for, and its Content-Range. A
// header that is no byte range is ignored.
func cut(body []byte, header *string) ([]byte, *string, error) {
	m := rangePattern.FindStringSubmatch(value(header))
	if m == nil || m[1] == "" && m[2] == "" {
		return body, nil, nil
	}
	size := int64(len(body))
	first, firstErr := strconv.ParseInt(m[1], 10, 64)
	last, lastErr := strconv.ParseInt(m[2], 10, 64)
	switch {
	case firstErr != nil: // the last so many bytes
		first, last = max(0, size-last), size-1
	case lastErr != nil || last >= size:
		last = size - 1
	}
	if first >= size || first > last {
		return nil, nil, apiError("InvalidRange", "The requested range is not satisfiable")
	}
	return body[first : last+1], ptr(fmt.Sprintf("bytes %d-%d/%d", first, last, size)), nil
}

// HeadObject tells about an object without its content. Errors have no body, so that
// the status is all that is told.
func (c *S3Client) HeadObject(ctx context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	r := c.request("HeadObject", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.HeadObjectOutput, error) {
		o, err := r.readable(value(in.Bucket), value(in.Key), in.VersionId)
		if err == nil {
			err = o.checkRead(in.IfMatch, in.IfNoneMatch)
		}
		if err != nil {
			return nil, bodiless(err)
		}
		out := &s3.HeadObjectOutput{
			ContentLength: ptr(int64(len(o.body))), AcceptRanges: ptr("bytes"), ContentType: o.contentType, ETag: ptr(o.etag),
			LastModified: ptr(o.modified), Metadata: maps.Clone(o.metadata), VersionId: r.session.cloud.buckets[*in.Bucket].version(o),
			ServerSideEncryption: types.ServerSideEncryptionAes256,
		}
		if in.ChecksumMode == types.ChecksumModeEnabled && o.checksum != "" {
			out.ChecksumSHA256 = ptr(o.checksum)
		}
		return out, nil
	})
}

// bodiless is what is left of an error in an answer without a body.
func bodiless(err error) error {
	status := statusOf(codeOf(err))
	if status == http.StatusNotFound {
		return &types.NotFound{}
	}
	return apiError(strings.ReplaceAll(http.StatusText(status), " ", ""), http.StatusText(status))
}
