package sim

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// pageOfObjects is the most that one listing tells. Source: Amazon S3 API Reference, ListObjectsV2.
const pageOfObjects = 1000

// listable is a bucket that the caller may list.
func (r request) listable(name, permission, prefix string) (*bucket, error) {
	b, err := r.bucket(name)
	if codeOf(err) == "NoSuchBucket" {
		return nil, &types.NoSuchBucket{Message: ptr("The specified bucket does not exist")}
	}
	if err != nil {
		return nil, err
	}
	return b, r.permitted(b, permission, "", prefix)
}

// ListObjectsV2 lists the objects that are not deleted in the order of their keys.
func (c *S3Client) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	r := c.request("ListObjectsV2", value(in.Bucket), "")
	return do(ctx, r, func() (*s3.ListObjectsV2Output, error) {
		b, err := r.listable(value(in.Bucket), "s3:ListBucket", value(in.Prefix))
		if err != nil {
			return nil, err
		}
		return b.list(in), nil
	})
}

// list walks the keys. The continuation token is the last key or common prefix told.
func (b *bucket) list(in *s3.ListObjectsV2Input) *s3.ListObjectsV2Output {
	out := &s3.ListObjectsV2Output{
		Name: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, StartAfter: in.StartAfter,
		ContinuationToken: in.ContinuationToken, IsTruncated: ptr(false), KeyCount: ptr(int32(0)),
	}
	limit := pageSize(in.MaxKeys)
	out.MaxKeys = ptr(int32(limit))
	after := max(value(in.StartAfter), value(in.ContinuationToken))
	last := ""
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		o := b.current(key)
		if o == nil || !strings.HasPrefix(key, value(in.Prefix)) {
			continue
		}
		folder, folded := fold(key, value(in.Prefix), value(in.Delimiter))
		if folder <= after || folded && folder == last {
			continue
		}
		if int(*out.KeyCount) == limit {
			out.IsTruncated, out.NextContinuationToken = ptr(true), ptr(last)
			return out
		}
		last = folder
		*out.KeyCount++
		if folded {
			out.CommonPrefixes = append(out.CommonPrefixes, types.CommonPrefix{Prefix: ptr(folder)})
			continue
		}
		out.Contents = append(out.Contents, types.Object{
			Key: ptr(key), Size: ptr(int64(len(o.body))), ETag: ptr(o.etag), LastModified: ptr(o.modified),
			StorageClass: types.ObjectStorageClassStandard,
		})
	}
	return out
}

// fold is the common prefix under which a delimiter hides a key, or the key itself.
func fold(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" {
		return key, false
	}
	if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
		return key[:len(prefix)+i+len(delimiter)], true
	}
	return key, false
}

func pageSize(asked *int32) int {
	if asked == nil || *asked > pageOfObjects || *asked < 0 {
		return pageOfObjects
	}
	return int(*asked)
}

// ListObjectVersions lists all versions and delete markers: keys in order, the newest
// version of each first.
func (c *S3Client) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput, _ ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error) {
	r := c.request("ListObjectVersions", value(in.Bucket), "")
	return do(ctx, r, func() (*s3.ListObjectVersionsOutput, error) {
		b, err := r.listable(value(in.Bucket), "s3:ListBucketVersions", value(in.Prefix))
		if err != nil {
			return nil, err
		}
		return b.listVersions(in), nil
	})
}

func (b *bucket) listVersions(in *s3.ListObjectVersionsInput) *s3.ListObjectVersionsOutput {
	limit := pageSize(in.MaxKeys)
	out := &s3.ListObjectVersionsOutput{
		Name: in.Bucket, Prefix: in.Prefix, KeyMarker: in.KeyMarker, VersionIdMarker: in.VersionIdMarker,
		MaxKeys: ptr(int32(limit)), IsTruncated: ptr(false),
	}
	var told *object
	for _, o := range b.versionsAfter(value(in.Prefix), value(in.KeyMarker), value(in.VersionIdMarker)) {
		if len(out.Versions)+len(out.DeleteMarkers) == limit {
			out.IsTruncated = ptr(true)
			if told != nil {
				out.NextKeyMarker, out.NextVersionIdMarker = ptr(told.key), ptr(told.versionID)
			}
			return out
		}
		told = o
		versions := b.objects[o.key]
		latest := ptr(versions[len(versions)-1] == o)
		if o.deleteMarker {
			out.DeleteMarkers = append(out.DeleteMarkers, types.DeleteMarkerEntry{
				Key: ptr(o.key), VersionId: ptr(o.versionID), IsLatest: latest, LastModified: ptr(o.modified),
			})
			continue
		}
		out.Versions = append(out.Versions, types.ObjectVersion{
			Key: ptr(o.key), VersionId: ptr(o.versionID), IsLatest: latest, LastModified: ptr(o.modified),
			ETag: ptr(o.etag), Size: ptr(int64(len(o.body))), StorageClass: types.ObjectVersionStorageClassStandard,
		})
	}
	return out
}

// versionsAfter are the versions that come after a marker in a listing.
func (b *bucket) versionsAfter(prefix, key, version string) []*object {
	var after []*object
	for _, k := range slices.Sorted(maps.Keys(b.objects)) {
		if !strings.HasPrefix(k, prefix) || k < key || k == key && version == "" && key != "" {
			continue
		}
		skipping := k == key && version != ""
		for _, o := range slices.Backward(b.objects[k]) {
			if !skipping {
				after = append(after, o)
			}
			if o.versionID == version {
				skipping = false
			}
		}
	}
	return after
}
