package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Registries knows the registry that is in force.
type Registries interface {
	// Current is the registry and the pinned object it was read from.
	Current(ctx context.Context) (release.Registry, release.Pointer, error)
}

// Tags resolves tags at GitHub.
type Tags interface {
	ResolveTag(ctx context.Context, repositoryID int64, tag string) (ghapi.Tag, error)
	OnAnyBranch(ctx context.Context, repositoryID int64, commit string, branches []string) (bool, error)
}

// Admission pins what a release is made from and refuses what the registry
// forbids.
type Admission struct {
	*Core
	Registries Registries
	GitHub     Tags
}

// Do admits a release. Run again, it keeps what it pinned.
func (a *Admission) Do(ctx context.Context, in Input) (any, error) {
	rel, err := a.claim(ctx, in)
	if err != nil {
		return nil, refused(err)
	}
	if err := halted(rel); err != nil {
		return nil, err
	}
	if err := a.admit(ctx, rel); err != nil {
		return nil, refused(err)
	}
	err = a.update(ctx, in, func(r *release.Release) error {
		if r.Registry == (release.Pointer{}) { // else the task's other delivery came first: what it pinned stays
			r.Registry, r.Source, r.State = rel.Registry, rel.Source, release.Running
		}
		return nil
	})
	return struct{}{}, err
}

// claim makes the execution the one that acts for the release, unless another is.
func (a *Admission) claim(ctx context.Context, in Input) (*release.Release, error) {
	rel, err := a.Ledger.Update(ctx, in.Release, "", func(r *release.Release) error {
		if r.Execution == "" {
			r.Execution = in.Execution
		}
		return mayAct(r, in.Execution)
	})
	return &rel, err
}

func (a *Admission) admit(ctx context.Context, rel *release.Release) error {
	if rel.Registry == (release.Pointer{}) {
		_, pointer, err := a.Registries.Current(ctx)
		if err != nil {
			return err
		}
		rel.Registry = pointer
	}
	registry, app, err := a.registry(ctx, rel)
	if err != nil {
		return err
	}
	if rel.Source.IsTag() && rel.Request.Restores == "" { // what is brought back was pinned then
		if err := fromItsRepository(rel, app); err != nil {
			return err
		}
		if err := a.pinCommit(ctx, rel, app); err != nil {
			return a.notYet(ctx, rel, err)
		}
	}
	environments := registry.AppEnvironments(app)
	if err := a.refuseFrozenFirst(ctx, rel, environments); err != nil {
		return err
	}
	return refuseOlder(ctx, a.Core, rel, environments)
}

// refuseFrozenFirst refuses what would not even begin because of a freeze. What
// was admitted stays so, should the task be delivered again.
func (a *Admission) refuseFrozenFirst(ctx context.Context, rel *release.Release, environments []release.Environment) error {
	if rel.State != release.Received || len(environments) == 0 {
		return nil
	}
	return a.refuseFrozen(ctx, rel, environments[0].Name)
}

func fromItsRepository(rel *release.Release, app release.App) error {
	if app.Repository.ID == rel.Source.RepositoryID {
		return nil
	}
	return release.Errorf(release.Denied, "app %q is released from repository %d (%s), not from %d (%s)",
		app.Name, app.Repository.ID, app.Repository.Name, rel.Source.RepositoryID, rel.Source.Repository).
		WithRemedy("Tag the app in its own repository, or correct the repository of the app in registry.yaml and release again with --retry.")
}

// pinCommit peels the tag. A tag that an earlier attempt saw at another commit
// has moved: what was reviewed as that version is not what it names now.
func (a *Admission) pinCommit(ctx context.Context, rel *release.Release, app release.App) error {
	tag, err := a.GitHub.ResolveTag(ctx, rel.Source.RepositoryID, rel.Source.Tag)
	if err != nil && release.KindOf(err) == release.NotFound {
		return noTag(rel, err)
	}
	if err != nil {
		return err
	}
	if pinned := rel.Source.Commit; pinned != "" && pinned != tag.Commit {
		return release.Errorf(release.Denied, "tag %q of %s moved: it was at commit %.12s and is at %.12s now",
			rel.Source.Tag, rel.Source.Repository, pinned, tag.Commit).
			WithRemedy("Tags of released versions stay where they are: push a new tag.")
	}
	rel.Source.Commit = tag.Commit
	if len(app.Branches) == 0 {
		return nil
	}
	on, err := a.GitHub.OnAnyBranch(ctx, rel.Source.RepositoryID, tag.Commit, app.Branches)
	if err == nil && !on {
		err = release.Errorf(release.Denied, "commit %.12s of tag %q is on none of the branches %q of app %q",
			tag.Commit, rel.Source.Tag, app.Branches, app.Name).
			WithRemedy("Merge it first, or change branches in the registry.")
	}
	return err
}

// visibleWithin is how long after an event GitHub's API may not show what it tells of: a tag, or that a
// branch has its commit. The state machine tries six times more, after pauses that can be next to nothing.
const (
	visibleWithin = 20 * time.Second
	visiblePause  = visibleWithin / 5
)

// notYet makes a refusal of what an event tells of one to try again, while GitHub may not show that yet.
func (a *Admission) notYet(ctx context.Context, rel *release.Release, err error) error {
	kind := release.KindOf(err)
	if !slices.Contains(starting, rel.Request.Trigger) || rel.State != release.Received ||
		kind != release.NotFound && kind != release.Denied || a.Clock.Now().Sub(rel.Created) >= visibleWithin {
		return err
	}
	_ = a.Clock.Sleep(ctx, visiblePause) // it is tried again in any case
	return release.Errorf(release.Transient, "%w", err)
}

// noTag refuses a tag that is not there. Its event, should it be pushed later, is
// that of this release, which has ended: only another attempt releases it.
func noTag(rel *release.Release, cause error) error {
	remedy := "Check its name with git ls-remote --tags origin. Or push it: git push origin " + rel.Source.Tag
	if !rel.Request.DryRun {
		remedy += fmt.Sprintf(" and then: tagboat release --app %s --tag %s --retry%s", rel.App, rel.Source.Tag, forceOf(rel))
	}
	refused := release.Errorf(release.NotFound, "repository %s has no tag %q", rel.Source.Repository, rel.Source.Tag).WithRemedy("%s", remedy)
	refused.Cause = cause
	return refused
}

// forceOf is the flag that a forced release was ordered with.
func forceOf(rel *release.Release) string {
	if rel.Request.Force {
		return " --force"
	}
	return ""
}

// flagOf names the release's source as the command's flags do.
func flagOf(rel *release.Release) string {
	if rel.Source.IsTag() {
		return "--tag " + rel.Source.Tag
	}
	return "--version " + rel.Version
}

// refuseOlder refuses a version that is older than what is live in one of the
// environments, unless forced.
func refuseOlder(ctx context.Context, c *Core, rel *release.Release, envs []release.Environment) error {
	for _, env := range envs {
		live, err := c.versionBefore(ctx, rel, env.Name)
		if err != nil {
			return err
		}
		if !rel.OlderThan(live) {
			continue
		}
		remedy := fmt.Sprintf("Release a newer version, or go back on purpose with: tagboat release --app %s %s --retry --force", rel.App, flagOf(rel))
		if dropped := rel.Request.Artifact; dropped != "" {
			remedy = fmt.Sprintf("Drop it again with a newer version: drops/%s/%s/VERSION.zip", rel.App, dropped)
		}
		return release.Errorf(release.Denied, "version %s of app %q is older than %s, which is live in %s", rel.Version, rel.App, live, env.Name).
			WithRemedy("%s", remedy)
	}
	return nil
}

// How far back the last drop of an artifact is looked for: so many pages of so many releases.
const (
	dropPages = 10
	dropPage  = 50
)

// versionBefore is the version that a release to an environment replaces; empty
// if there is none. Drops of different artifacts have versions of their own: one
// replaces the last drop of its artifact, or the release of everything that came after
// it. What is live does not tell: two artifacts can be of one function.
func (c *Core) versionBefore(ctx context.Context, rel *release.Release, environment string) (string, error) {
	if rel.Request.Artifact == "" {
		return c.liveVersion(ctx, rel.App, environment)
	}
	filter := ledger.Filter{App: rel.App, Limit: dropPage}
	for range dropPages {
		releases, err := c.Ledger.List(ctx, filter)
		if err != nil {
			return "", err
		}
		for _, before := range releases {
			if progress, ok := before.Environment(environment); ok && progress.State == release.EnvironmentDone && replaces(before, *rel) {
				return before.Version, nil
			}
			filter.Before = before.Created
		}
		if len(releases) < dropPage {
			break
		}
	}
	return "", nil
}
