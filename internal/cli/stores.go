package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// s3Location takes an s3://bucket/key apart; anything else is no location in S3.
func s3Location(address string) (bucket, key string, inS3 bool, err error) {
	rest, inS3 := strings.CutPrefix(address, "s3://")
	if !inS3 {
		return "", "", false, nil
	}
	bucket, key, _ = strings.Cut(rest, "/")
	if bucket == "" || key == "" {
		err = release.Errorf(release.Invalid, "--registry is %q, want s3://bucket/key", address).
			WithRemedy("For example --registry s3://tagboat-state/%s.", app.RegistryKey)
	}
	return bucket, key, true, err
}

// registries reads the registry from a file, the state bucket or another one.
func registries(s settings, clients *awsapi.Clients, state *artifact.S3Store) (app.Registries, error) {
	bucket, key, inS3, err := s3Location(s.Registry)
	switch {
	case err != nil:
		return nil, err
	case !inS3:
		return &app.FileRegistries{Path: s.Registry, Store: state}, nil
	case bucket == s.Bucket:
		return &app.StoredRegistries{Store: state, Key: key}, nil
	}
	source := &app.StoredRegistries{Store: &artifact.S3Store{S3: clients.S3(""), Bucket: bucket}, Key: key}
	return &copiedRegistries{source: source, state: state}, nil
}

// copiedRegistries reads the registry from another bucket, and pins a copy of
// what it read in the state bucket, where releases look for it.
type copiedRegistries struct {
	source *app.StoredRegistries
	state  *artifact.S3Store

	mu     sync.Mutex
	copied release.Pointer // of the source
	kept   release.Pointer
}

var _ app.Registries = (*copiedRegistries)(nil)

// Current reads the newest version; it is copied only when it is another one.
func (r *copiedRegistries) Current(ctx context.Context) (release.Registry, release.Pointer, error) {
	registry, pointer, err := r.source.Current(ctx)
	if err != nil {
		return registry, pointer, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if pointer == r.copied {
		return registry, r.kept, nil
	}
	var text []byte
	if err := r.source.Store.Get(ctx, pointer, &text); err != nil {
		return registry, release.Pointer{}, err
	}
	sum := sha256.Sum256(text)
	kept, err := r.state.Put(ctx, "registry/"+hex.EncodeToString(sum[:])+".yaml", text)
	if err == nil {
		r.copied, r.kept = pointer, kept
	}
	return registry, kept, err
}

// checkStores reads the registry, and looks whether the buckets are there and
// versioned. Where the caller may not look, it is found out by the first use.
func checkStores(ctx context.Context, parts *app.Parts, clients *awsapi.Clients, s settings, log *slog.Logger) error {
	for _, bucket := range []struct{ name, flag string }{{s.Bucket, "--bucket"}, {s.Uploads, "--uploads-bucket"}} {
		if bucket.name == "" {
			continue
		}
		if err := checkVersioned(ctx, clients.S3(""), bucket.name, bucket.flag, log); err != nil {
			return err
		}
	}
	if _, _, err := parts.Registries.Current(ctx); err != nil {
		return unreadable(err, "--registry and --bucket")
	}
	return nil
}

// checkVersioned looks at a bucket. It tries twice: somebody waits for the answer.
func checkVersioned(ctx context.Context, api *s3.Client, bucket, flag string, log *slog.Logger) error {
	out, err := api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket}, func(o *s3.Options) { o.RetryMaxAttempts = 2 })
	var refusal smithy.APIError
	switch {
	case errors.As(err, &refusal) && refusal.ErrorCode() == "AccessDenied":
		log.WarnContext(ctx, "nobody lets us look whether the bucket is versioned", "bucket", bucket, "error", err)
		return nil
	case err != nil:
		return release.Errorf(release.Invalid, "bucket %q cannot be reached: %w", bucket, awserr.Brief(err)).
			WithRemedy(checkFlags, flag)
	case out.Status != types.BucketVersioningStatusEnabled:
		return release.Errorf(release.Invalid, "bucket %q is not versioned: what is read from it could change", bucket).
			WithRemedy("Switch versioning on: aws s3api put-bucket-versioning --bucket %s --versioning-configuration Status=Enabled", bucket)
	}
	return nil
}

// checkFlags is the next step where a store cannot be reached.
const checkFlags = "Check %s, and the region and credentials of the AWS SDK: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL."

// unreadable adds the next step to an error of a store that names none.
func unreadable(err error, flags string) error {
	if release.RemedyOf(err) != "" {
		return err
	}
	return release.Errorf(release.KindOf(err), "%w", err).
		WithRemedy(checkFlags, flags)
}
