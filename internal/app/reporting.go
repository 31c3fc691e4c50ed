package app

import (
	"context"
	"errors"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// Deployments tells GitHub.
type Deployments interface {
	CreateDeployment(ctx context.Context, repositoryID int64, d ghapi.Deployment) (id int64, err error)
	DeploymentStatus(ctx context.Context, repositoryID, deployment int64, state, description, logURL string) error
	CommitStatus(ctx context.Context, repositoryID int64, commit, state, contextName, description, targetURL string) error
	// IsApp tells whether check runs can be written: GitHub takes them from Apps only.
	IsApp() bool
	PutCheckRun(ctx context.Context, repositoryID int64, run ghapi.CheckRun) (id int64, err error)
}

// Reporting tells GitHub, and whoever listens on the event bus, how a release
// goes. It never fails one: what cannot be told is logged.
type Reporting struct {
	*Core
	GitHub Deployments
	Herald Herald
}

// Do reports what in.Do says: the start of an environment, its success, or the
// release's end.
func (r *Reporting) Do(ctx context.Context, in Input) (any, error) {
	rel, err := r.Ledger.Release(ctx, in.Release)
	if err != nil {
		r.Log.WarnContext(ctx, "nobody was told", "release", in.Release, "do", in.Do, "error", err)
		return struct{}{}, nil
	}
	if in.Do != "end" && mayAct(&rel, in.Execution) != nil {
		return struct{}{}, nil // delivered late: how it ended is told, or will be by another execution
	}
	if err := r.report(ctx, in, &rel); err != nil {
		r.Log.WarnContext(ctx, "GitHub was not told", "release", in.Release, "do", in.Do, "environment", in.Environment, "error", err)
	}
	r.Herald.tell(ctx, &rel, happening(in.Do), in.Environment)
	return struct{}{}, nil
}

func happening(do string) report.Happening {
	switch do {
	case "start":
		return report.EnvironmentStarted
	case "success":
		return report.EnvironmentReleased
	}
	return report.ReleaseEnded
}

func (r *Reporting) report(ctx context.Context, in Input, rel *release.Release) error {
	if rel.Source.Commit == "" || rel.Request.DryRun {
		return nil // without a commit there is nothing at GitHub to report on
	}
	repository, err := r.repository(ctx, rel)
	if err != nil {
		return err
	}
	switch in.Do {
	case "start":
		err = r.started(ctx, in, rel, repository)
	case "success":
		err = r.status(ctx, rel, repository, in.Environment, "success", report.Live(*rel, in.Environment))
	default:
		err = r.ended(ctx, rel, repository)
	}
	return errors.Join(err, r.check(ctx, in, rel, repository))
}

// check writes the release's check run, or brings it up to date.
func (r *Reporting) check(ctx context.Context, in Input, rel *release.Release, repository int64) error {
	if !r.GitHub.IsApp() {
		return nil
	}
	view, err := r.view(ctx, *rel)
	if err != nil {
		return err
	}
	id, err := r.GitHub.PutCheckRun(ctx, repository, report.CheckRun(view, r.Herald.link(rel)))
	if err != nil || rel.CheckRun == id || rel.State.Ended() {
		return err
	}
	return r.update(ctx, in, func(rel *release.Release) error {
		rel.CheckRun = id
		return nil
	})
}

// repository is where to report: a tag's own, known even where the release was
// refused before a registry was pinned, or that of the app.
func (r *Reporting) repository(ctx context.Context, rel *release.Release) (int64, error) {
	if rel.Source.IsTag() {
		return rel.Source.RepositoryID, nil
	}
	_, app, err := r.registry(ctx, rel)
	return app.Repository.ID, err
}

func (r *Reporting) started(ctx context.Context, in Input, rel *release.Release, repository int64) error {
	id, err := r.GitHub.CreateDeployment(ctx, repository, report.Deployment(*rel, in.Environment))
	if err != nil {
		return err
	}
	if err := r.update(ctx, in, func(rel *release.Release) error {
		if progress, ok := rel.Environment(in.Environment); ok {
			progress.Deployment = id
		}
		return nil
	}); err != nil {
		return err
	}
	if err := r.GitHub.DeploymentStatus(ctx, repository, id, "in_progress", report.Sentence(*rel), r.Herald.link(rel)); err != nil {
		return err
	}
	return r.commitStatus(ctx, rel, repository)
}

func (r *Reporting) status(ctx context.Context, rel *release.Release, repository int64, environment, state, sentence string) error {
	progress, ok := rel.Environment(environment)
	if !ok || progress.Deployment == 0 {
		return nil
	}
	return r.GitHub.DeploymentStatus(ctx, repository, progress.Deployment, state, sentence, r.Herald.link(rel))
}

// ended closes the deployments of environments that did not come through.
func (r *Reporting) ended(ctx context.Context, rel *release.Release, repository int64) error {
	var errs []error
	for _, progress := range rel.Environments {
		if progress.State == release.EnvironmentDone {
			continue
		}
		state := "failure"
		if progress.State == release.EnvironmentDirty {
			state = "error"
		}
		errs = append(errs, r.status(ctx, rel, repository, progress.Name, state, report.Sentence(*rel)))
	}
	return errors.Join(append(errs, r.commitStatus(ctx, rel, repository))...)
}

func (r *Reporting) commitStatus(ctx context.Context, rel *release.Release, repository int64) error {
	return r.GitHub.CommitStatus(ctx, repository, rel.Source.Commit,
		report.CommitState(rel.State), "tagboat/"+rel.App, report.Sentence(*rel), r.Herald.link(rel))
}
