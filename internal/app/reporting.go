package app

import (
	"context"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// Deployments tells GitHub.
type Deployments interface {
	CreateDeployment(ctx context.Context, repositoryID int64, d ghapi.Deployment) (id int64, err error)
	DeploymentStatus(ctx context.Context, repositoryID, deployment int64, state, description, logURL string) error
	CommitStatus(ctx context.Context, repositoryID int64, commit, state, contextName, description, targetURL string) error
}

// Reporting tells GitHub how a release goes. It never fails one: what cannot be
// told is logged.
type Reporting struct {
	*Core
	GitHub Deployments
	// Link is the address of an execution for people; nil if there is none.
	Link func(execution string) string
}

// Do reports what in.Do says: the start of an environment, its success, or the
// release's end.
func (r *Reporting) Do(ctx context.Context, in Input) (any, error) {
	if err := r.report(ctx, in); err != nil {
		r.Log.WarnContext(ctx, "GitHub was not told", "release", in.Release, "do", in.Do, "environment", in.Environment, "error", err)
	}
	return struct{}{}, nil
}

func (r *Reporting) report(ctx context.Context, in Input) error {
	rel, err := r.Ledger.Release(ctx, in.Release)
	if err != nil {
		return err
	}
	_, app, err := r.registry(ctx, &rel)
	if err != nil || rel.Source.Commit == "" || rel.Request.DryRun {
		return err // without a commit there is nothing at GitHub to report on
	}
	switch in.Do {
	case "start":
		return r.started(ctx, in, &rel, app)
	case "success":
		return r.status(ctx, &rel, app, in.Environment, "success", report.Sentence(rel))
	}
	return r.ended(ctx, in, &rel, app)
}

func (r *Reporting) link(rel *release.Release) string {
	if r.Link == nil {
		return ""
	}
	return r.Link(rel.Execution)
}

func (r *Reporting) started(ctx context.Context, in Input, rel *release.Release, app release.App) error {
	id, err := r.GitHub.CreateDeployment(ctx, app.Repository.ID, report.Deployment(*rel, in.Environment))
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
	if err := r.GitHub.DeploymentStatus(ctx, app.Repository.ID, id, "in_progress", report.Sentence(*rel), r.link(rel)); err != nil {
		return err
	}
	return r.commitStatus(ctx, rel, app)
}

func (r *Reporting) status(ctx context.Context, rel *release.Release, app release.App, environment, state, sentence string) error {
	progress, ok := rel.Environment(environment)
	if !ok || progress.Deployment == 0 {
		return nil
	}
	return r.GitHub.DeploymentStatus(ctx, app.Repository.ID, progress.Deployment, state, sentence, r.link(rel))
}

// ended closes the deployments of environments that did not come through.
func (r *Reporting) ended(ctx context.Context, in Input, rel *release.Release, app release.App) error {
	for _, progress := range rel.Environments {
		if progress.State == release.EnvironmentDone {
			continue
		}
		state := "failure"
		if progress.State == release.EnvironmentDirty {
			state = "error"
		}
		if err := r.status(ctx, rel, app, progress.Name, state, report.Sentence(*rel)); err != nil {
			return err
		}
	}
	return r.commitStatus(ctx, rel, app)
}

func (r *Reporting) commitStatus(ctx context.Context, rel *release.Release, app release.App) error {
	return r.GitHub.CommitStatus(ctx, app.Repository.ID, rel.Source.Commit,
		report.CommitState(rel.State), "tagboat/"+rel.App, report.Sentence(*rel), r.link(rel))
}
