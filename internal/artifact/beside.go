package artifact

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/release"
)

// version is one version of an object, or the mark of its deletion.
type version struct {
	id       string
	modified time.Time
	deleted  bool
}

// beside pins the newest version of an object that is not newer than the
// manifest: what is uploaded later belongs to another release.
func (s *Source) beside(ctx context.Context, manifest release.Source, name string) (release.Source, error) {
	uploaded, err := s.uploadedAt(ctx, manifest)
	if err != nil {
		return release.Source{}, err
	}
	found := release.Source{Bucket: manifest.Bucket, Key: manifest.Key[:strings.LastIndex(manifest.Key, "/")+1] + name}
	versions, err := s.versions(ctx, found.Bucket, found.Key)
	if err != nil {
		return release.Source{}, err
	}
	for _, v := range versions {
		if v.modified.After(uploaded) {
			continue
		}
		if v.deleted {
			break
		}
		found.VersionID, err = pinned(found.Bucket, &v.id)
		return found, err
	}
	return release.Source{}, release.Errorf(release.Invalid, "object s3://%s/%s was not there at %s, when its manifest was uploaded",
		found.Bucket, found.Key, uploaded.UTC().Format(time.RFC3339)).
		WithRemedy("Upload the manifest last.")
}

// uploadedAt is when the pinned version was uploaded. It is read off a list as
// the other versions' times are: S3 tells whole seconds, others more in some answers.
func (s *Source) uploadedAt(ctx context.Context, source release.Source) (time.Time, error) {
	versions, err := s.versions(ctx, source.Bucket, source.Key)
	if err != nil {
		return time.Time{}, err
	}
	for _, v := range versions {
		if v.id == source.VersionID {
			return v.modified, nil
		}
	}
	return time.Time{}, gone(source)
}

// versions are those of exactly one key, the newest first. Of a version and a
// deletion in the same second, the version counts as the newer.
func (s *Source) versions(ctx context.Context, bucket, key string) ([]version, error) {
	var found []version
	input := &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key}
	for {
		page, err := s.Uploads.ListObjectVersions(ctx, input)
		if err != nil {
			return nil, failed("list", bucket, key, err)
		}
		found = append(found, versionsOf(page, key)...)
		// The key is the first of all that it is a prefix of.
		if !aws.ToBool(page.IsTruncated) || aws.ToString(page.NextKeyMarker) != key {
			break
		}
		input.KeyMarker, input.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
	slices.SortStableFunc(found, func(a, b version) int { return b.modified.Compare(a.modified) })
	return found, nil
}

// versionsOf are those of one key on a page of a list.
func versionsOf(page *s3.ListObjectVersionsOutput, key string) []version {
	var found []version
	for _, v := range page.Versions {
		if aws.ToString(v.Key) == key {
			found = append(found, version{id: aws.ToString(v.VersionId), modified: aws.ToTime(v.LastModified)})
		}
	}
	for _, marker := range page.DeleteMarkers {
		if aws.ToString(marker.Key) == key {
			found = append(found, version{id: aws.ToString(marker.VersionId), modified: aws.ToTime(marker.LastModified), deleted: true})
		}
	}
	return found
}
