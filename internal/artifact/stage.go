package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/archive"
	"github.com/tagboat/tagboat/internal/release"
)

// Wanted is an artifact and what it is for.
type Wanted struct {
	Name string
	Spec release.ArtifactSpec
	// Layers are those made from it: each asks for a layout.
	Layers []release.LayerSpec
	// Function is true if it is the code of a function.
	Function bool
	// Buckets are the staging buckets by the regions in which it is needed.
	Buckets map[string]string
	// Former is what an earlier release staged, if that is brought back: its bytes
	// are taken from where they are staged, as long as they are there.
	Former release.Artifact
	// Progress is told how far it is, each time some bytes have moved; nil tells nobody.
	Progress func(release.Staging)
}

// counted is a body whose bytes are told as they pass.
func (w Wanted) counted(from io.ReadCloser, total int64) io.ReadCloser {
	passed := &meter{Reader: from, tell: func(done int64) {
		w.tell(release.Staging{Artifact: w.Name, State: release.Fetching, Done: done, Total: total})
	}}
	return struct {
		io.Reader
		io.Closer
	}{passed, from}
}

func (w Wanted) tell(how release.Staging) {
	if w.Progress != nil {
		w.Progress(how)
	}
}

// meter is a reader that tells where it has come to.
type meter struct {
	io.Reader
	at   int64
	tell func(at int64)
}

// Read tells it after each read.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.at += int64(n)
	m.tell(m.at)
	return n, err
}

// meteredFile is a meter of a file: an upload may read it more than once, and begins
// anew then.
type meteredFile struct {
	meter
	io.Seeker
}

// Seek tells nothing: nothing was moved.
func (f *meteredFile) Seek(offset int64, whence int) (int64, error) {
	at, err := f.Seeker.Seek(offset, whence)
	f.at = at
	return at, err
}

// Stager stages artifacts.
type Stager struct {
	*Source
	// S3 is a client in a region.
	S3 func(region string) API
	// HTTP fetches the archives of functions; nil is http.DefaultClient.
	HTTP *http.Client
	// Retired tells whether what lies in the bucket of a content is about to be
	// deleted, and must not be used; nil: nothing ever is.
	Retired func(ctx context.Context, app, region, codeSHA256 string) (bool, error)
}

// put stores a checked file under its digest in a region's bucket, or finds it
// there. It asks for the content's retirement first: one that comes later comes
// from somebody who sees that the release is under way.
func (s *Stager) put(ctx context.Context, app, region, bucket string, file io.ReadSeeker, info content) (release.Object, error) {
	retired := false
	if s.Retired != nil {
		var err error
		if retired, err = s.Retired(ctx, app, region, info.base64()); err != nil {
			return release.Object{}, err
		}
	}
	return putFile(ctx, s.S3(region), bucket, StagedKey(app, info.sha256), file, info, retired)
}

// maxZipped is the largest zip that is read: what unzips to Lambda's limit
// cannot be larger than that and the overhead of its entries.
const maxZipped = 2 * archive.MaxUnzipped

// Stage fetches an artifact into a file, checks it and stores it in every
// region that needs it. It may be run again: what is stored is found. An asset
// that GitHub does not have yet is an error of kind NotFound.
func (s *Stager) Stage(ctx context.Context, rel *release.Release, wanted Wanted) (release.Artifact, error) {
	file, err := os.CreateTemp("", "tagboat-*.zip")
	if err != nil {
		return release.Artifact{}, fmt.Errorf("staging artifact %q: %w", wanted.Name, err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	info, origin, err := s.fetch(ctx, rel, wanted, file)
	if err == nil {
		err = checkUse(info, wanted)
	}
	if err != nil {
		return release.Artifact{}, about(wanted.Name, err)
	}
	staged := release.Artifact{
		Name: wanted.Name, SHA256: info.SHA256, CodeSHA256: info.SHA256Base64(), TreeDigest: info.TreeDigest,
		Size: info.Size, Unzipped: info.UnzippedSize, Origin: origin, Objects: map[string]release.Object{},
	}
	for _, region := range slices.Sorted(maps.Keys(wanted.Buckets)) {
		moved := &meteredFile{meter{Reader: file, tell: func(done int64) {
			wanted.tell(release.Staging{Artifact: wanted.Name, State: release.Storing, Region: region, Done: done, Total: info.Size})
		}}, file}
		object, err := s.put(ctx, rel.App, region, wanted.Buckets[region], moved, content{info.SHA256, info.Size})
		if err != nil {
			return release.Artifact{}, about(wanted.Name, err)
		}
		staged.Objects[region] = object
	}
	return staged, nil
}

// about names the artifact in an error and keeps its kind and remedy.
func about(name string, err error) error {
	return release.Errorf(release.KindOf(err), "artifact %q: %w", name, err).WithRemedy("%s", release.RemedyOf(err))
}

// StagedKey is where an artifact of an app is staged.
func StagedKey(app, sha256Hex string) string { return "staged/" + app + "/" + sha256Hex + ".zip" }

// StagedKeyOf is StagedKey of a digest as Lambda writes it.
func StagedKeyOf(app, codeSHA256 string) string {
	digest, _ := base64.StdEncoding.DecodeString(codeSHA256) // what is none makes a key that nothing has
	return StagedKey(app, hex.EncodeToString(digest))
}

// fetch brings the artifact into the file and checks it as any zip is checked.
func (s *Stager) fetch(ctx context.Context, rel *release.Release, wanted Wanted, file *os.File) (archive.Info, string, error) {
	for _, region := range slices.Sorted(maps.Keys(wanted.Former.Objects)) {
		info, err := s.fetchFormer(ctx, region, wanted, file)
		if kind := release.KindOf(err); kind != release.NotFound && kind != release.Denied { // without s3:ListBucket, what is missing is denied
			return info, wanted.Former.Origin, err
		}
	}
	switch {
	case wanted.Spec.Archive != "":
		return s.fetchArchive(ctx, rel, wanted, file)
	case wanted.Spec.ReleaseAsset != "":
		if !rel.Source.IsTag() {
			return archive.Info{}, "", release.Errorf(release.Invalid, "release_asset %q: the release comes from %s, not from a tag", wanted.Spec.ReleaseAsset, rel.Source)
		}
		body, size, err := s.GitHub.ReleaseAsset(ctx, rel.Source.RepositoryID, rel.Source.Tag, wanted.Spec.ReleaseAsset)
		if err != nil {
			return archive.Info{}, "", err
		}
		info, err := spool(ctx, wanted.counted(body, size), file, wanted.Spec.SHA256)
		return info, "asset " + wanted.Spec.ReleaseAsset, err
	}
	source, err := s.object(ctx, rel, wanted)
	if err != nil {
		return archive.Info{}, "", err
	}
	out, err := openPinned(ctx, s.Uploads, source)
	if err != nil {
		return archive.Info{}, "", err
	}
	info, err := spool(ctx, wanted.counted(out.Body, aws.ToInt64(out.ContentLength)), file, wanted.Spec.SHA256)
	return info, source.String(), err
}

// fetchFormer reads what an earlier release staged in a region. The error is of
// kind NotFound if it is there no more.
func (s *Stager) fetchFormer(ctx context.Context, region string, wanted Wanted, file *os.File) (archive.Info, error) {
	object := wanted.Former.Objects[region]
	out, err := s.S3(region).GetObject(ctx, &s3.GetObjectInput{Bucket: &object.Bucket, Key: &object.Key, VersionId: &object.VersionID})
	if err != nil {
		return archive.Info{}, failed("read", object.Bucket, object.Key, err)
	}
	return spool(ctx, wanted.counted(out.Body, aws.ToInt64(out.ContentLength)), file, wanted.Former.SHA256)
}

func (s *Stager) fetchArchive(ctx context.Context, rel *release.Release, wanted Wanted, file *os.File) (archive.Info, string, error) {
	if !rel.Source.IsTag() {
		return archive.Info{}, "", release.Errorf(release.Invalid, "archive %q: the release comes from %s, which has no repository", wanted.Spec.Archive, rel.Source).
			WithRemedy("Upload the zip beside the manifest and name it with object.")
	}
	tarball, err := s.GitHub.Tarball(ctx, rel.Source.RepositoryID, rel.Source.Commit)
	if err != nil {
		return archive.Info{}, "", err
	}
	defer tarball.Close()
	tarball = wanted.counted(tarball, 0) // how long it will be, GitHub does not say
	info, err := archive.FromTarball(ctx, tarball, wanted.Spec.Archive, file, archive.Options{})
	if release.KindOf(err) == release.NotFound { // not there in this commit: unlike an asset, it will not come
		err = release.Errorf(release.Invalid, "%w", err).WithRemedy("%s", release.RemedyOf(err))
	}
	return info, fmt.Sprintf("%s of %s at %.12s", wanted.Spec.Archive, rel.Source.Repository, rel.Source.Commit), err
}

// object is the pinned object of an artifact: the dropped one, or one beside the manifest.
func (s *Stager) object(ctx context.Context, rel *release.Release, wanted Wanted) (release.Source, error) {
	if rel.Request.Artifact == wanted.Name {
		return rel.Source, nil
	}
	if rel.Source.IsTag() || rel.Request.Artifact != "" {
		return release.Source{}, release.Errorf(release.Invalid, "object %q: only an upload has objects beside its manifest", wanted.Spec.Object).
			WithRemedy("Use archive or release_asset in a manifest that is released by tag.")
	}
	return s.beside(ctx, rel.Source, wanted.Spec.Object)
}

// spool copies a zip into the file, and checks its digest and content.
func spool(ctx context.Context, body io.ReadCloser, file *os.File, wantSHA256 string) (archive.Info, error) {
	defer body.Close()
	size, got, err := save(body, file)
	if err != nil {
		return archive.Info{}, err
	}
	if wantSHA256 != "" && got != wantSHA256 {
		return archive.Info{}, release.Errorf(release.Invalid, "sha256 is %s, want %s as the manifest says", got, wantSHA256)
	}
	return archive.Inspect(ctx, file, size, archive.Limits{})
}

// save copies what is downloaded into the file, up to the size of the largest zip.
func save(from io.Reader, file *os.File) (size int64, sha256Hex string, err error) {
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(file, hash), io.LimitReader(from, maxZipped+1))
	var known *release.Error
	var disk *fs.PathError
	switch {
	case errors.As(err, &known):
		return 0, "", err
	case errors.As(err, &disk):
		return 0, "", release.Errorf(release.Internal, "temporary file: %w", err)
	case err != nil:
		return 0, "", release.Errorf(release.Transient, "download: %w", err)
	case size > maxZipped:
		return 0, "", release.Errorf(release.Invalid, "the zip is larger than %d bytes", maxZipped)
	}
	return size, hex.EncodeToString(hash.Sum(nil)), nil
}

func checkUse(info archive.Info, wanted Wanted) error {
	var errs []error
	if wanted.Function {
		errs = append(errs, archive.CheckFunction(info))
	}
	for _, layer := range wanted.Layers {
		if err := archive.CheckLayer(info, layer.Runtimes, layer.Architectures); err != nil {
			errs = append(errs, release.Errorf(release.KindOf(err), "layer %q: %w", layer.Name, err).WithRemedy("%s", release.RemedyOf(err)))
		}
	}
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	return release.Errorf(release.Invalid, "%w", err).WithRemedy("%s", release.RemedyOf(err))
}
