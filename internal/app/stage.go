package app

import (
	"context"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// Manifests fetches the manifest of a release at its source.
type Manifests interface {
	Manifest(ctx context.Context, rel *release.Release, app release.App) (artifact.Manifest, error)
}

// ManifestReading fetches and checks the manifest, and says what is to be
// staged and looked at.
type ManifestReading struct {
	*Core
	Source Manifests
}

// manifestRead is the task's answer.
type manifestRead struct {
	Artifacts []string       `json:"artifacts"`
	Sites     []release.Site `json:"sites"`
}

// Do reads the manifest. Run again, it keeps the one that it pinned.
func (m *ManifestReading) Do(ctx context.Context, in Input) (any, error) {
	out, err := m.read(ctx, in)
	return out, refused(err)
}

func (m *ManifestReading) read(ctx context.Context, in Input) (manifestRead, error) {
	rel, err := m.begin(ctx, in)
	if err != nil {
		return manifestRead{}, err
	}
	registry, app, err := m.registry(ctx, rel)
	if err != nil {
		return manifestRead{}, err
	}
	manifest, err := m.pinned(ctx, in, rel, registry, app)
	if err != nil {
		return manifestRead{}, err
	}
	return manifestRead{Artifacts: artifactNames(manifest), Sites: plan.SnapshotSites(registry, app, manifest)}, nil
}

// pinned is the manifest that the release has pinned; the first that is read is.
func (m *ManifestReading) pinned(ctx context.Context, in Input, rel *release.Release, registry release.Registry, app release.App) (release.Manifest, error) {
	if rel.Manifest != (release.Pointer{}) {
		return m.stored(ctx, rel.Manifest)
	}
	manifest, found, err := m.manifest(ctx, rel, registry, app)
	if err != nil {
		return manifest, err
	}
	pointer, err := m.Documents.Put(ctx, "releases/"+rel.ID+"/manifest.json", manifest)
	if err != nil {
		return manifest, err
	}
	first := pointer
	err = m.update(ctx, in, func(r *release.Release) error {
		if r.Manifest != (release.Pointer{}) {
			first = r.Manifest // the task's other delivery came first
			return nil
		}
		r.Manifest, first = pointer, pointer
		if found.Commit != "" && !r.Source.IsTag() {
			r.Source.Commit = found.Commit
		}
		if found.Actor != "" && r.Request.Actor == "" {
			r.Request.Actor = found.Actor
		}
		return nil
	})
	if err != nil || first == pointer {
		return manifest, err
	}
	return m.stored(ctx, first)
}

func (m *ManifestReading) stored(ctx context.Context, pointer release.Pointer) (manifest release.Manifest, err error) {
	err = m.Documents.Get(ctx, pointer, &manifest)
	return manifest, err
}

// manifest is that of the release's source or, of what is brought back, the one
// that was pinned then: checked against the registry of today.
func (m *ManifestReading) manifest(ctx context.Context, rel *release.Release, registry release.Registry, app release.App) (release.Manifest, artifact.Manifest, error) {
	if id := rel.Request.Restores; id != "" {
		manifest, err := m.former(ctx, id)
		if err == nil {
			err = config.Check(manifest, registry, app)
		}
		if only := rel.Request.Only; err == nil && only != "" {
			manifest, err = artifact.OnlyDropped(manifest, only)
		}
		return manifest, artifact.Manifest{}, err
	}
	found, err := m.Source.Manifest(ctx, rel, app)
	if err != nil {
		return release.Manifest{}, found, err
	}
	manifest, err := config.ParseManifestFor(found.Name, found.Text, registry, app)
	if dropped := rel.Request.Artifact; err == nil && dropped != "" {
		if manifest, err = artifact.OnlyDropped(manifest, dropped); err == nil {
			manifest.Artifacts[dropped] = release.ArtifactSpec{Object: path.Base(rel.Source.Key)}
		}
	}
	return manifest, found, err
}

// former is the manifest that an earlier release pinned.
func (m *ManifestReading) former(ctx context.Context, id string) (release.Manifest, error) {
	earlier, err := m.Ledger.Release(ctx, id)
	if err != nil {
		return release.Manifest{}, err
	}
	return m.stored(ctx, earlier.Manifest)
}

func artifactNames(m release.Manifest) []string {
	names := []string{}
	for name := range m.Artifacts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// assetPatience is how long a release asset is waited for: GitHub says
// "published" before the uploads of a release's own workflow have arrived.
const (
	assetPatience = 15 * time.Minute
	assetPoll     = 20 * time.Second
)

// Stager brings an artifact into the state bucket and checks it.
type Stager interface {
	Stage(ctx context.Context, rel *release.Release, wanted artifact.Wanted) (release.Artifact, error)
}

// Staging stages one artifact.
type Staging struct {
	*Core
	Stager Stager
	// Bucket is the state bucket.
	Bucket string
}

// Do stages the artifact that in names, unless the release has it already.
func (s *Staging) Do(ctx context.Context, in Input) (any, error) {
	scope, err := s.load(ctx, in)
	if err != nil {
		return nil, refused(err)
	}
	staged, err := s.Ledger.Artifacts(ctx, in.Release)
	if err != nil {
		return nil, err
	}
	if _, done := staged[in.Artifact]; done {
		return Turn{Status: turnDone}, nil
	}
	wanted := wantedArtifact(scope, in.Artifact, s.Bucket)
	if id := scope.release.Request.Restores; id != "" {
		former, err := s.Ledger.Artifacts(ctx, id)
		if err != nil {
			return nil, err
		}
		wanted.Former = former[in.Artifact]
	}
	wanted.Progress = s.progress(ctx, in)
	made, err := s.Stager.Stage(ctx, scope.release, wanted)
	switch {
	case err == nil:
		return Turn{Status: turnDone}, s.keep(ctx, in, scope, made)
	case release.KindOf(err) == release.Transient:
		return nil, err
	case release.KindOf(err) == release.NotFound && wanted.Spec.ReleaseAsset != "" &&
		s.Clock.Now().Sub(scope.release.Created) < assetPatience:
		return Turn{Status: turnWait, Seconds: int(assetPoll.Seconds())}, nil
	}
	return s.failTurn(ctx, in, in.Artifact, err)
}

const (
	stagingNote = "staging/"
	// progressInterval is how often it is noted how far an artifact is: what is
	// staged sooner costs no write.
	progressInterval = 4 * time.Second
)

// progress notes for those who watch how far an artifact is. What cannot be noted
// is left out: it holds nothing up and fails nothing.
func (s *Staging) progress(ctx context.Context, in Input) func(release.Staging) {
	last := s.Clock.Now()
	return func(how release.Staging) {
		now := s.Clock.Now()
		if now.Sub(last) < progressInterval {
			return
		}
		last = now
		if err := s.Ledger.Note(ctx, in.Release, stagingNote+in.Artifact, how); err != nil {
			s.Log.WarnContext(ctx, "how far an artifact is could not be noted", "release", in.Release, "artifact", in.Artifact, "error", err)
		}
	}
}

// wantedArtifact says what an artifact is used for, and so where it is needed
// and which checks it has to pass.
func wantedArtifact(s *scope, name, stateBucket string) artifact.Wanted {
	w := artifact.Wanted{Name: name, Spec: s.manifest.Artifacts[name], Buckets: map[string]string{}}
	for _, spec := range s.manifest.Layers {
		if spec.Artifact == name {
			w.Layers = append(w.Layers, spec)
		}
	}
	for _, spec := range s.manifest.Functions {
		w.Function = w.Function || spec.Artifact == name
	}
	for _, site := range plan.SnapshotSites(s.registry, s.app, s.manifest) {
		if site.InTools() && len(w.Layers) > 0 || !site.InTools() && w.Function {
			w.Buckets[site.Region] = stagingBucket(s.registry, stateBucket, site.Region)
		}
	}
	return w
}

// forArtifact and forFunction name what archives are staged for: an artifact of
// the manifest, or a function whose former code is kept.
func forArtifact(name string) string { return "artifact/" + name }
func forFunction(name string) string { return "function/" + name }

// keep records the staged artifact. Its code is then known by its digest: a
// later rollback to it needs no copy. What cannot be recorded in one region does
// not keep another's copy unknown, which nothing would delete then.
func (s *Staging) keep(ctx context.Context, in Input, scope *scope, made release.Artifact) error {
	var failed error
	for _, region := range slices.Sorted(maps.Keys(made.Objects)) {
		err := s.Ledger.PutStagedCode(ctx, scope.app.Name, region, made.CodeSHA256, made.Objects[region], forArtifact(made.Name))
		if failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	return s.Ledger.PutArtifact(ctx, in.Release, made)
}

// stagingBucket is the bucket from which Lambda takes code in a region.
func stagingBucket(registry release.Registry, stateBucket, region string) string {
	if region == registry.Tools.Home() {
		return stateBucket
	}
	return registry.Tools.Buckets[region]
}
