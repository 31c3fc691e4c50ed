package sim

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// readBody reads what is uploaded. As on the wire, its length has to be known before.
func readBody(body io.Reader, length *int64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	if _, seekable := body.(io.Seeker); !seekable && length == nil {
		return nil, apiError("MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if length != nil && *length != int64(len(data)) {
		return nil, apiError("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
	}
	return data, nil
}

// checksumOf is the SHA-256 of a body if the uploader gave or asked for one; one that
// does not match is refused.
func checksumOf(body []byte, given *string, algorithm types.ChecksumAlgorithm) (string, error) {
	if given == nil && algorithm != types.ChecksumAlgorithmSha256 {
		return "", nil
	}
	sum := sha256.Sum256(body)
	actual := base64.StdEncoding.EncodeToString(sum[:])
	if given != nil && *given != actual {
		return "", apiError("BadDigest", "The SHA256 you specified did not match the calculated checksum.")
	}
	return actual, nil
}

// PutObject stores an object in one piece.
func (c *S3Client) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	r := c.request("PutObject", value(in.Bucket), value(in.Key))
	body, bodyErr := readBody(in.Body, in.ContentLength)
	return do(ctx, r, func() (*s3.PutObjectOutput, error) {
		if bodyErr != nil {
			return nil, bodyErr
		}
		b, err := r.writable(value(in.Bucket), value(in.Key))
		if err != nil {
			return nil, err
		}
		if err := b.checkWrite(*in.Key, in.IfMatch, in.IfNoneMatch); err != nil {
			return nil, err
		}
		checksum, err := checksumOf(body, in.ChecksumSHA256, in.ChecksumAlgorithm)
		if err != nil {
			return nil, err
		}
		o := &object{
			key: *in.Key, body: body, etag: etagOf(body), checksum: checksum,
			contentType: in.ContentType, metadata: lowerKeys(in.Metadata),
		}
		if err := r.created(b, o, "PutObject"); err != nil {
			return nil, err
		}
		out := &s3.PutObjectOutput{ETag: ptr(o.etag), VersionId: b.version(o), ServerSideEncryption: types.ServerSideEncryptionAes256}
		if checksum != "" {
			out.ChecksumSHA256 = ptr(checksum)
		}
		return out, nil
	})
}

// writable is a bucket in which the caller may put an object.
func (r request) writable(bucketName, key string) (*bucket, error) {
	b, err := r.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, apiError("InvalidRequest", "the key of an object must not be empty")
	}
	return b, r.permitted(b, "s3:PutObject", key, "")
}

// created stores an object and queues its event.
func (r request) created(b *bucket, o *object, reason string) error {
	r.session.cloud.store(b, o)
	return r.announce(b, o, reason)
}

// lowerKeys is metadata as it is after a travel in HTTP headers.
func lowerKeys(metadata map[string]string) map[string]string {
	lower := make(map[string]string, len(metadata))
	for k, v := range metadata {
		lower[strings.ToLower(k)] = v
	}
	return lower
}

// CopyObject copies an object from any region's bucket into one of the client's region.
func (c *S3Client) CopyObject(ctx context.Context, in *s3.CopyObjectInput, _ ...func(*s3.Options)) (*s3.CopyObjectOutput, error) {
	r := c.request("CopyObject", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.CopyObjectOutput, error) {
		from, err := r.copySource(in)
		if err != nil {
			return nil, err
		}
		b, err := r.writable(value(in.Bucket), value(in.Key))
		if err != nil {
			return nil, err
		}
		if err := b.checkWrite(*in.Key, in.IfMatch, in.IfNoneMatch); err != nil {
			return nil, err
		}
		checksum, err := checksumOf(from.body, nil, in.ChecksumAlgorithm)
		if err != nil {
			return nil, err
		}
		o := &object{
			key: *in.Key, body: from.body, etag: etagOf(from.body), checksum: checksum,
			contentType: from.contentType, metadata: maps.Clone(from.metadata),
		}
		if in.MetadataDirective == types.MetadataDirectiveReplace {
			o.contentType, o.metadata = in.ContentType, lowerKeys(in.Metadata)
		}
		if err := r.created(b, o, "CopyObject"); err != nil {
			return nil, err
		}
		return &s3.CopyObjectOutput{
			VersionId: b.version(o), CopySourceVersionId: ptr(from.versionID),
			CopyObjectResult: &types.CopyObjectResult{ETag: ptr(o.etag), LastModified: ptr(o.modified)},
		}, nil
	})
}

// copySource reads "bucket/key?versionId=…", URL-encoded.
func (r request) copySource(in *s3.CopyObjectInput) (*object, error) {
	path, query, versioned := strings.Cut(strings.TrimPrefix(value(in.CopySource), "/"), "?versionId=")
	path, err := url.PathUnescape(path)
	name, key, ok := strings.Cut(path, "/")
	if err != nil || !ok {
		return nil, apiError("InvalidArgument", "Invalid copy source object key")
	}
	var version *string
	if versioned {
		version = ptr(query)
	}
	if source, ok := r.session.cloud.buckets[name]; ok {
		r.region = source.region
	}
	o, err := r.readable(name, key, version)
	if err != nil {
		return nil, err
	}
	return o, o.checkRead(in.CopySourceIfMatch, in.CopySourceIfNoneMatch)
}

// DeleteObject deletes one version for good, or without a version hides the object
// behind a delete marker.
func (c *S3Client) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	r := c.request("DeleteObject", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.DeleteObjectOutput, error) {
		b, err := r.bucket(value(in.Bucket))
		if err != nil {
			return nil, err
		}
		permission := "s3:DeleteObject"
		if in.VersionId != nil {
			permission = "s3:DeleteObjectVersion"
		}
		if err := r.permitted(b, permission, value(in.Key), ""); err != nil {
			return nil, err
		}
		return r.session.cloud.deleteObject(b, value(in.Key), in.VersionId), nil
	})
}

func (c *Cloud) deleteObject(b *bucket, key string, version *string) *s3.DeleteObjectOutput {
	switch {
	case version != nil:
		removed := b.deleteVersion(key, *version)
		out := &s3.DeleteObjectOutput{VersionId: version}
		if removed != nil && removed.deleteMarker {
			out.DeleteMarker = ptr(true)
		}
		return out
	case !b.versioned:
		delete(b.objects, key)
		return &s3.DeleteObjectOutput{}
	}
	marker := &object{key: key, deleteMarker: true}
	c.store(b, marker)
	return &s3.DeleteObjectOutput{DeleteMarker: ptr(true), VersionId: ptr(marker.versionID)}
}
