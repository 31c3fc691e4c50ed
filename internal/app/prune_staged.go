package app

import (
	"context"
	"maps"
	"slices"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
)

// stagedAtOnce is how many contents are retired before it is looked once more who
// needs them.
const stagedAtOnce = 50

// pruneStaged deletes the archives of a region that nobody needs, each by its
// version-id. It says whether it came to the end in its turn.
//
// A release that stages meanwhile must not find what is about to be deleted. So
// the ledger retires the content first, and then it is looked whether a release
// that may have found it before is under way. Those that begin later put it
// anew, as another version (see [artifact.Stager]). A crash anywhere leaves
// archives that are retired and there: the next release prunes them.
func (t *pruneTurn) pruneStaged(ctx context.Context, object prunable) (settled bool, err error) {
	target, err := t.scope.target(object.site)
	if err != nil {
		return true, err
	}
	candidates, err := t.stagedCandidates(ctx, target)
	if err != nil {
		return true, err
	}
	for batch := range slices.Chunk(candidates, stagedAtOnce) {
		if !t.Clock.Now().Before(t.deadline) {
			return false, nil
		}
		if err := t.removeStaged(ctx, object, batch); err != nil {
			return true, err
		}
	}
	return true, nil
}

// stagedCandidates are the contents that can be deleted by all that can be seen,
// by Lambda's digests. One that is the code of a function is none: in
// S3ObjectStorageMode REFERENCE the function would read it for ever, and a
// listing does not tell the mode.
func (t *pruneTurn) stagedCandidates(ctx context.Context, target release.Target) ([]string, error) {
	staged, err := t.Ledger.StagedFor(ctx, target.App, target.Region)
	if err != nil {
		return nil, err
	}
	keeps := t.scope.keeps()
	maps.DeleteFunc(staged, func(_ string, purposes []string) bool {
		return len(purposes) == 0 || slices.ContainsFunc(purposes, func(p string) bool { return keeps[p] == 0 })
	})
	if len(staged) == 0 {
		return nil, nil
	}
	needs, err := t.needs(ctx, t.scope.release)
	if err != nil || needs.staging {
		return nil, err
	}
	needed := t.neededCodes(needs)
	maps.DeleteFunc(staged, func(digest string, _ []string) bool { return needed(digest) })
	if len(staged) == 0 {
		return nil, nil
	}
	_, uses, err := t.visible(ctx, target)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(staged, func(digest string, _ []string) bool { return uses.Codes[digest] })
	return slices.Sorted(maps.Keys(staged)), nil
}

// keeps is how many contents to keep of what is staged, by what it is staged for:
// the most that anything which is made of an artifact keeps. What is made of it
// and keeps everything keeps the artifact, too.
func (s *scope) keeps() map[string]int {
	keeps, all := map[string]int{}, map[string]bool{}
	add := func(purpose string, keep int) {
		keeps[purpose] = max(keeps[purpose], keep)
		all[purpose] = all[purpose] || keep == 0
	}
	for _, spec := range s.manifest.Layers {
		add(forArtifact(spec.Artifact), spec.Keep)
	}
	for _, spec := range s.manifest.Functions {
		add(forFunction(spec.Name), spec.Keep)
		if spec.Artifact != "" {
			add(forArtifact(spec.Artifact), spec.Keep)
		}
	}
	maps.DeleteFunc(keeps, func(purpose string, _ int) bool { return all[purpose] })
	return keeps
}

// neededCodes tells whether an archive is live, would be taken by a rollback, or
// is named by what a release under way does.
func (t *pruneTurn) neededCodes(n *needs) func(digest string) bool {
	brought := n.brought(t.scope.app.Name, t.scope.keeps())
	return func(digest string) bool { return n.codes[digest] || brought[digest] || n.planned(digest) }
}

// removeStaged retires contents, looks again, and deletes those that nobody needs.
func (t *pruneTurn) removeStaged(ctx context.Context, object prunable, digests []string) error {
	app, region, by := t.scope.app.Name, object.site.Region, t.scope.release.ID
	doomed := map[string][]release.Object{}
	for _, digest := range digests {
		var err error
		if doomed[digest], err = t.Ledger.RetireStagedCode(ctx, app, region, digest, by); err != nil {
			return err
		}
	}
	needs, err := t.needs(ctx, t.scope.release)
	if err != nil {
		return err
	}
	needed := t.neededCodes(needs)
	for _, digest := range digests {
		switch {
		case len(doomed[digest]) == 0: // another release is at it
		case needs.staging || needed(digest):
			err = t.Ledger.RestoreStagedCode(ctx, app, region, digest, by)
		default:
			err = t.removeContent(ctx, object, digest, doomed[digest])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeContent deletes all versions of a content.
func (t *pruneTurn) removeContent(ctx context.Context, object prunable, digest string, versions []release.Object) error {
	app, region := t.scope.app.Name, object.site.Region
	for _, version := range versions {
		if want := artifact.StagedKeyOf(app, digest); version.Key != want {
			return release.Errorf(release.Internal, "s3://%s/%s is not what app %q stages: want key %q", version.Bucket, version.Key, app, want)
		}
		if err := artifact.Remove(ctx, t.Remover(region), version); err != nil {
			return err
		}
		t.deleted(ctx, object, version.Bucket+"/"+version.Key+" (version "+version.VersionID+")")
	}
	return t.Ledger.ForgetStagedCode(ctx, app, region, digest, versions)
}
