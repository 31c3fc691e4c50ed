package artifact

import (
	"context"
	"io"
	"mime"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/release"
)

// Manifest is the text of a manifest as it was found.
type Manifest struct {
	// Name is what errors call it.
	Name string
	Text []byte
	// Commit and Actor are what the metadata of an upload claims.
	Commit string
	Actor  string
}

// maxManifest is the largest manifest that is read, in bytes.
const maxManifest = 1 << 20

// Repositories reads files of repositories.
type Repositories interface {
	File(ctx context.Context, repositoryID int64, commit, path string) ([]byte, error)
	Tarball(ctx context.Context, repositoryID int64, commit string) (io.ReadCloser, error)
	ReleaseAsset(ctx context.Context, repositoryID int64, tag, name string) (io.ReadCloser, int64, error)
}

// Source reads the sources of releases: repositories and the uploads bucket.
type Source struct {
	GitHub Repositories
	// Uploads is a client in the uploads bucket's region.
	Uploads API
	// State has the drop manifests.
	State *S3Store
}

// Manifest fetches the manifest of a release: from the repository at the pinned
// commit, from the pinned object of an upload, or for a drop from the state bucket.
func (s *Source) Manifest(ctx context.Context, rel *release.Release, app release.App) (Manifest, error) {
	switch {
	case rel.Source.IsTag():
		text, err := s.GitHub.File(ctx, rel.Source.RepositoryID, rel.Source.Commit, app.ManifestPath())
		if err != nil && release.KindOf(err) == release.NotFound {
			err = release.Errorf(release.Invalid, "%s has no manifest %q at tag %q (commit %.12s)",
				rel.Source.Repository, app.ManifestPath(), rel.Source.Tag, rel.Source.Commit).
				WithRemedy("Add it to the repository, or set manifest in the registry to its path.")
		}
		return Manifest{Name: app.ManifestPath(), Text: text}, err
	case rel.Request.Artifact != "":
		return s.dropped(ctx, rel, app)
	}
	return s.uploaded(ctx, rel.Source)
}

func (s *Source) uploaded(ctx context.Context, source release.Source) (Manifest, error) {
	out, err := openPinned(ctx, s.Uploads, source)
	if err != nil {
		return Manifest{}, err
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxManifest+1))
	if err != nil {
		return Manifest{}, release.Errorf(release.Transient, "read %s: %w", source, err)
	}
	return claimed(source.Key, text, out.Metadata)
}

func (s *Source) dropped(ctx context.Context, rel *release.Release, app release.App) (Manifest, error) {
	text, _, err := s.State.Latest(ctx, app.DropManifest)
	if release.KindOf(err) == release.NotFound && err != nil {
		return Manifest{}, release.Errorf(release.Invalid, "app %q has no drop manifest s3://%s/%s", app.Name, s.State.Bucket, app.DropManifest).
			WithRemedy("Put it there, or take drop_manifest out of the registry.")
	}
	if err != nil {
		return Manifest{}, err
	}
	source := rel.Source
	head, err := s.Uploads.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &source.Bucket, Key: &source.Key, VersionId: &source.VersionID})
	if err != nil {
		return Manifest{}, failedPinned(source, err)
	}
	return claimed(app.DropManifest, text, head.Metadata)
}

// claimed is a manifest with what the metadata of the upload claims.
func claimed(name string, text []byte, values map[string]string) (Manifest, error) {
	if len(text) > maxManifest {
		return Manifest{}, release.Errorf(release.Invalid, "manifest %q is larger than %d bytes", name, maxManifest)
	}
	return Manifest{Name: name, Text: text, Commit: metadata(values, "commit"), Actor: metadata(values, "actor")}, nil
}

// maxMetadata is how much of a value is recorded, in characters.
const maxMetadata = 100

// metadata reads user metadata; S3 keeps the names in lower case, others don't.
// It encodes values that are not ASCII as mail does (Amazon S3 user guide: working with
// object metadata). The value is the uploader's and is only recorded, in one line.
func metadata(values map[string]string, name string) string {
	for key, value := range values {
		if !strings.EqualFold(key, name) {
			continue
		}
		if decoded, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
			value = decoded
		}
		return printable(value)
	}
	return ""
}

// printable is the beginning of a text without what has no glyph.
func printable(text string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text))
	return strings.TrimSpace(string(runes[:min(len(runes), maxMetadata)]))
}

// Head is the newest version of an object in the uploads bucket, as a source.
func (s *Source) Head(ctx context.Context, bucket, key string) (release.Source, error) {
	head, err := s.Uploads.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return release.Source{}, failed("find", bucket, key, err)
	}
	version, err := pinned(bucket, head.VersionId)
	return release.Source{Bucket: bucket, Key: key, VersionID: version, ETag: strings.Trim(aws.ToString(head.ETag), `"`)}, err
}

// OnlyDropped is what a drop releases: of the drop manifest, what is made from
// the dropped artifact. Everything else stays as it is.
func OnlyDropped(m release.Manifest, artifact string) (release.Manifest, error) {
	if _, declared := m.Artifacts[artifact]; !declared {
		return m, release.Errorf(release.Invalid, "the drop manifest of app %q declares no artifact %q", m.App, artifact).
			WithRemedy("Drop it under the name of a declared artifact: drops/%s/<artifact>/<version>.zip", m.App)
	}
	kept := release.Manifest{App: m.App, Artifacts: map[string]release.ArtifactSpec{artifact: m.Artifacts[artifact]}}
	for _, layer := range m.Layers {
		if layer.Artifact == artifact {
			kept.Layers = append(kept.Layers, layer)
		}
	}
	for _, function := range m.Functions {
		if function.Artifact != artifact {
			function.Artifact = ""
		}
		var layers []string
		for _, name := range function.Layers {
			if _, changed := kept.Layer(name); changed {
				layers = append(layers, name)
			}
		}
		if function.Layers = layers; function.Artifact != "" || len(layers) > 0 {
			kept.Functions = append(kept.Functions, function)
		}
	}
	return kept, nil
}
