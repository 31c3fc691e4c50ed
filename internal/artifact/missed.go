package artifact

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/release"
)

// Uploaded is a version of an object that starts a release.
type Uploaded struct {
	Key, VersionID string
	ETag           string
	Size           int64
	Modified       time.Time
}

// ListUploaded lists what was uploaded for an app after a time and not after
// another, and starts releases, the oldest first. What was deleted meanwhile
// is not among it. S3 lists by key, not by time: every version under the app's
// prefixes is read, a thousand a request.
func ListUploaded(ctx context.Context, api API, bucket string, app release.App, after, until time.Time) ([]Uploaded, error) {
	prefixes := []string{uploadPrefix + app.Name + "/"}
	if app.DropManifest != "" {
		prefixes = append(prefixes, dropPrefix+app.Name+"/")
	}
	var found []Uploaded
	for _, prefix := range prefixes {
		listed, err := listUploaded(ctx, api, bucket, prefix, func(u Uploaded) bool {
			_, _, starts := requestFor(u.Key)
			return starts && u.Modified.After(after) && !u.Modified.After(until)
		})
		if err != nil {
			return nil, err
		}
		found = append(found, listed...)
	}
	slices.SortStableFunc(found, func(a, b Uploaded) int {
		return cmp.Or(a.Modified.Compare(b.Modified), strings.Compare(a.Key, b.Key))
	})
	return found, nil
}

func listUploaded(ctx context.Context, api API, bucket, prefix string, wanted func(Uploaded) bool) ([]Uploaded, error) {
	var found []Uploaded
	deleted := map[string]bool{}
	in := &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix}
	for {
		page, err := api.ListObjectVersions(ctx, in)
		if err != nil {
			return nil, failed("list versions of", bucket, prefix, err)
		}
		for _, marker := range page.DeleteMarkers {
			if aws.ToBool(marker.IsLatest) {
				deleted[aws.ToString(marker.Key)] = true
			}
		}
		// S3 lists the newest version of a key first: the same second, the older first.
		for _, v := range slices.Backward(page.Versions) {
			u := Uploaded{
				Key: aws.ToString(v.Key), VersionID: aws.ToString(v.VersionId), ETag: strings.Trim(aws.ToString(v.ETag), `"`),
				Size: aws.ToInt64(v.Size), Modified: aws.ToTime(v.LastModified),
			}
			if wanted(u) {
				found = append(found, u)
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
	return slices.DeleteFunc(found, func(u Uploaded) bool { return deleted[u.Key] }), nil
}

// Missed answers for an upload whose event did not come, as if it came now.
func (e *Events) Missed(ctx context.Context, u Uploaded) release.Answer {
	event := objectCreated{Source: eventSource, DetailType: eventCreated}
	event.Detail.Bucket.Name = e.Bucket
	event.Detail.Object.Key, event.Detail.Object.VersionID = u.Key, u.VersionID
	event.Detail.Object.ETag, event.Detail.Object.Size = u.ETag, &u.Size
	return e.take(ctx, event)
}
