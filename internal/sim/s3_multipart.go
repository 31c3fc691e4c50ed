package sim

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// minPart is the least size of every part but the last. Source: Amazon S3 User Guide,
// "Amazon S3 multipart upload limits".
const minPart = 5 << 20

// maxPartNumber is the last number of a part; same source.
const maxPartNumber = 10_000

// upload is a multipart upload that is neither completed nor aborted.
type upload struct {
	key         string
	contentType *string
	metadata    map[string]string
	checksums   bool // SHA-256 of every part
	parts       map[int32][]byte
}

func noSuchUpload() error {
	return &types.NoSuchUpload{Message: ptr("The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")}
}

// CreateMultipartUpload begins an upload in parts.
func (c *S3Client) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, _ ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	r := c.request("CreateMultipartUpload", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.CreateMultipartUploadOutput, error) {
		b, err := r.writable(value(in.Bucket), value(in.Key))
		if err != nil {
			return nil, err
		}
		id := fmt.Sprintf("simupload%023d", r.session.cloud.next())
		b.uploads[id] = &upload{
			key: *in.Key, contentType: in.ContentType, metadata: lowerKeys(in.Metadata),
			checksums: in.ChecksumAlgorithm == types.ChecksumAlgorithmSha256, parts: map[int32][]byte{},
		}
		return &s3.CreateMultipartUploadOutput{Bucket: in.Bucket, Key: in.Key, UploadId: ptr(id)}, nil
	})
}

// upload finds an upload that the caller may continue.
func (r request) upload(bucketName, key, id *string) (*bucket, *upload, error) {
	b, err := r.writable(value(bucketName), value(key))
	if err != nil {
		return nil, nil, err
	}
	u, ok := b.uploads[value(id)]
	if !ok || u.key != *key {
		return nil, nil, noSuchUpload()
	}
	return b, u, nil
}

// UploadPart stores a part; one with the same number is replaced.
func (c *S3Client) UploadPart(ctx context.Context, in *s3.UploadPartInput, _ ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	r := c.request("UploadPart", value(in.Bucket), value(in.Key))
	body, bodyErr := readBody(in.Body, in.ContentLength)
	return do(ctx, r, func() (*s3.UploadPartOutput, error) {
		if bodyErr != nil {
			return nil, bodyErr
		}
		_, u, err := r.upload(in.Bucket, in.Key, in.UploadId)
		if err != nil {
			return nil, err
		}
		number := value(in.PartNumber)
		if number < 1 || number > maxPartNumber {
			return nil, apiError("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
		}
		checksum, err := checksumOf(body, in.ChecksumSHA256, in.ChecksumAlgorithm)
		if err != nil {
			return nil, err
		}
		u.parts[number] = body
		out := &s3.UploadPartOutput{ETag: ptr(etagOf(body))}
		if checksum != "" {
			out.ChecksumSHA256 = ptr(checksum)
		}
		return out, nil
	})
}

// CompleteMultipartUpload makes the object of the parts that the request lists.
func (c *S3Client) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, _ ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	r := c.request("CompleteMultipartUpload", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.CompleteMultipartUploadOutput, error) {
		b, u, err := r.upload(in.Bucket, in.Key, in.UploadId)
		if err != nil {
			return nil, err
		}
		if err := b.checkWrite(u.key, in.IfMatch, in.IfNoneMatch); err != nil {
			return nil, err
		}
		o, err := u.assemble(in.MultipartUpload)
		if err != nil {
			return nil, err
		}
		delete(b.uploads, *in.UploadId)
		if err := r.created(b, o, "CompleteMultipartUpload"); err != nil {
			return nil, err
		}
		out := &s3.CompleteMultipartUploadOutput{
			Bucket: in.Bucket, Key: in.Key, ETag: ptr(o.etag), VersionId: b.version(o),
			Location: ptr("https://" + b.name + ".s3." + b.region + ".amazonaws.com/" + u.key),
		}
		if o.checksum != "" {
			out.ChecksumSHA256 = ptr(o.checksum)
		}
		return out, nil
	})
}

// assemble joins the parts. The ETag, and the checksum if there is one, are of the parts'
// own, not of the content.
func (u *upload) assemble(listed *types.CompletedMultipartUpload) (*object, error) {
	parts, err := u.listed(listed)
	if err != nil {
		return nil, err
	}
	var body []byte
	etags, sums := md5.New(), sha256.New()
	for i, part := range parts {
		if i < len(parts)-1 && len(part) < minPart {
			return nil, apiError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		body = append(body, part...)
		tag, sum := md5.Sum(part), sha256.Sum256(part)
		etags.Write(tag[:])
		sums.Write(sum[:])
	}
	o := &object{key: u.key, body: body, contentType: u.contentType, metadata: u.metadata}
	o.etag = fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(etags.Sum(nil)), len(parts))
	if u.checksums {
		o.checksum = fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(sums.Sum(nil)), len(parts))
	}
	return o, nil
}

// listed are the parts that a completion lists, which must be in order and as they were uploaded.
func (u *upload) listed(listed *types.CompletedMultipartUpload) ([][]byte, error) {
	if listed == nil || len(listed.Parts) == 0 {
		return nil, apiError("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	var parts [][]byte
	last := int32(0)
	for _, p := range listed.Parts {
		number := value(p.PartNumber)
		if number <= last {
			return nil, apiError("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
		last = number
		part, ok := u.parts[number]
		if !ok || unquoted(etagOf(part)) != unquoted(value(p.ETag)) {
			return nil, apiError("InvalidPart", "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// AbortMultipartUpload forgets an upload and its parts.
func (c *S3Client) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput, _ ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	r := c.request("AbortMultipartUpload", value(in.Bucket), value(in.Key))
	return do(ctx, r, func() (*s3.AbortMultipartUploadOutput, error) {
		b, err := r.bucket(value(in.Bucket))
		if err != nil {
			return nil, err
		}
		if err := r.permitted(b, "s3:AbortMultipartUpload", value(in.Key), ""); err != nil {
			return nil, err
		}
		if u, ok := b.uploads[value(in.UploadId)]; !ok || u.key != value(in.Key) {
			return nil, noSuchUpload()
		}
		delete(b.uploads, *in.UploadId)
		return &s3.AbortMultipartUploadOutput{}, nil
	})
}
