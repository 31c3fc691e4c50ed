package app

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/layer"
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
	var errs []error
	for batch := range slices.Chunk(candidates, stagedAtOnce) {
		if !t.Clock.Now().Before(t.deadline) {
			return false, errors.Join(errs...)
		}
		errs = append(errs, t.removeStaged(ctx, object, batch))
	}
	return true, errors.Join(errs...)
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
	uses, err := t.deletable(ctx, target, needs)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(staged, func(digest string, _ []string) bool { return uses.Codes[digest] })
	return slices.Sorted(maps.Keys(staged)), nil
}

// deletable is an error if it cannot be told who needs the archives of a region,
// and otherwise what functions there use.
func (t *pruneTurn) deletable(ctx context.Context, target release.Target, needs *needs) (layer.Uses, error) {
	if err := needs.whole(t.scope.app.Name); err != nil {
		return layer.Uses{}, err
	}
	accounts, uses, err := t.visible(ctx, target)
	if err != nil {
		return uses, err
	}
	for _, account := range slices.Sorted(maps.Keys(needs.accounts[target.Region])) {
		if !slices.Contains(accounts, account) {
			return uses, release.Errorf(release.Conflict, "account %s had functions in %s and is in the registry for that region no more: want to list them before an archive is deleted, could list %q", account, target.Region, accounts).
				WithRemedy("Keep an environment of the account with %s in the registry as long as functions may run there. If none does any more, the archives stay, and harm nobody.", target.Region)
		}
	}
	return uses, nil
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

// neededCodes tells whether an archive is live, would be taken by a rollback, is
// named by what a release under way does, or may be any of that for all that is known.
func (t *pruneTurn) neededCodes(n *needs) func(digest string) bool {
	brought := n.brought(t.scope.app.Name, t.scope.keeps())
	return func(digest string) bool {
		return n.codes[digest] || brought[digest] || n.planned(digest) || n.older(digest)
	}
}

// removeStaged retires contents, looks again, and deletes those that nobody
// needs. The others are restored first, and what fails for one content is left
// to the next release, and settles the others all the same.
func (t *pruneTurn) removeStaged(ctx context.Context, object prunable, digests []string) error {
	doomed, err := t.retireStaged(ctx, object, digests)
	var needed func(digest string) bool
	if err == nil {
		needed, err = t.neededStill(ctx, object)
	}
	if err != nil { // nothing is deleted yet
		needed = func(string) bool { return true }
	}
	errs := []error{err}
	var unneeded []string
	for _, digest := range digests {
		switch {
		case needed(digest):
			errs = append(errs, t.Ledger.RestoreStagedCode(ctx, t.scope.app.Name, object.site.Region, digest, t.scope.release.ID))
		case len(doomed[digest]) > 0: // no other release is at it
			unneeded = append(unneeded, digest)
		}
	}
	for _, digest := range unneeded {
		errs = append(errs, t.removeContent(ctx, object, digest, doomed[digest]))
	}
	return errors.Join(errs...)
}

// retireStaged retires contents, and answers the versions of those that are this
// release's to delete, after an error too.
func (t *pruneTurn) retireStaged(ctx context.Context, object prunable, digests []string) (map[string][]release.Object, error) {
	doomed := map[string][]release.Object{}
	for _, digest := range digests {
		var err error
		if doomed[digest], err = t.Ledger.RetireStagedCode(ctx, t.scope.app.Name, object.site.Region, digest, t.scope.release.ID); err != nil {
			return doomed, err
		}
	}
	return doomed, nil
}

// neededStill looks once more who needs archives, now that they are retired.
// First comes the ledger, then a new list of functions: a release that replaced a
// function's code for a while is found in the ledger, or has ended before and put
// the code back where the list has it.
func (t *pruneTurn) neededStill(ctx context.Context, object prunable) (func(digest string) bool, error) {
	target, err := t.scope.target(object.site)
	if err != nil {
		return nil, err
	}
	needs, err := t.needs(ctx, t.scope.release)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(t.uses, func(site release.Site, _ layer.Uses) bool { return site.Region == target.Region })
	uses, err := t.deletable(ctx, target, needs)
	if err != nil {
		return nil, err
	}
	needed := t.neededCodes(needs)
	return func(digest string) bool { return needs.staging || needed(digest) || uses.Codes[digest] }, nil
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
