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
	if rel.Source.Commit == "" || rel.Request.DryRun {
		return nil // without a commit there is nothing at GitHub to report on
	}
	if in.Do != "end" && mayAct(&rel, in.Execution) != nil {
		return nil // delivered late: how it ended is told, or will be by another execution
	}
	repository, err := r.repository(ctx, &rel)
	if err != nil {
		return err
	}
	switch in.Do {
	case "start":
		return r.started(ctx, in, &rel, repository)
	case "success":
		return r.status(ctx, &rel, repository, in.Environment, "success", report.Live(rel, in.Environment))
	}
	return r.ended(ctx, &rel, repository)
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

func (r *Reporting) link(rel *release.Release) string {
	if r.Link == nil {
		return ""
	}
	return r.Link(rel.Execution)
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
	if err := r.GitHub.DeploymentStatus(ctx, repository, id, "in_progress", report.Sentence(*rel), r.link(rel)); err != nil {
		return err
	}
	return r.commitStatus(ctx, rel, repository)
}

func (r *Reporting) status(ctx context.Context, rel *release.Release, repository int64, environment, state, sentence string) error {
	progress, ok := rel.Environment(environment)
	if !ok || progress.Deployment == 0 {
		return nil
	}
	return r.GitHub.DeploymentStatus(ctx, repository, progress.Deployment, state, sentence, r.link(rel))
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
		report.CommitState(rel.State), "tagboat/"+rel.App, report.Sentence(*rel), r.link(rel))
}
