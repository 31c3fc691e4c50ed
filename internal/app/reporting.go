package app

import (
	"context"
	"errors"
	"slices"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// Deployments tells GitHub.
type Deployments interface {
	CreateDeployment(ctx context.Context, repositoryID int64, d ghapi.Deployment) (id int64, err error)
	DeploymentStatus(ctx context.Context, repositoryID, deployment int64, status ghapi.DeploymentStatus) error
	CommitStatus(ctx context.Context, repositoryID int64, commit, state, contextName, description, targetURL string) error
	// IsApp tells whether check runs can be written: GitHub takes them from Apps only.
	IsApp() bool
	PutCheckRun(ctx context.Context, repositoryID int64, run ghapi.CheckRun) (id int64, err error)
}

// Reporting tells GitHub, and whoever listens on the event bus, how a release
// goes. It never fails one: what cannot be told is logged, and the next look
// ([Reporting.Watch]) tells it.
type Reporting struct {
	*Core
	GitHub Deployments
	Herald Herald
}

// doWatch asks for a look at all releases; any other Do is about one.
const doWatch = "watch"

// Do reports what in.Do says: the start of an environment, its success, the
// release's end, or whatever is new of any release.
func (r *Reporting) Do(ctx context.Context, in Input) (any, error) {
	if in.Do == doWatch {
		r.Watch(ctx)
		return struct{}{}, nil
	}
	rel, err := r.Ledger.Release(ctx, in.Release)
	if err != nil && release.KindOf(err) == release.Transient {
		return nil, err // nothing was told: the state machine tries again, and goes on if that is in vain
	}
	if err != nil {
		r.Log.WarnContext(ctx, "nobody was told", "release", in.Release, "do", in.Do, "error", err)
		return struct{}{}, nil
	}
	if in.Do != "end" && mayAct(&rel, in.Execution) != nil {
		return struct{}{}, nil // delivered late: how it ended is told, or will be by another execution
	}
	before := r.told(ctx, rel.ID)
	after := before
	after.Record = recordDigest(&rel)
	if err := errors.Join(r.environments(ctx, in, &rel), r.show(ctx, &rel, &after, in.Do == "end")); err != nil {
		after.Gap = true
		r.Log.WarnContext(ctx, "GitHub was not told", "release", in.Release, "do", in.Do, "environment", in.Environment, "error", err)
	}
	announced := r.Herald.tell(ctx, &rel, happening(in.Do), in.Environment)
	after.Announced = after.Announced || announced && rel.State.Ended()
	r.remember(ctx, rel.ID, before, after)
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

// atGitHub tells whether there is something at GitHub to report on.
func atGitHub(rel *release.Release) bool {
	known := rel.Source.IsTag() || rel.Registry != (release.Pointer{}) // the repository is
	return known && rel.Source.Commit != "" && !rel.Request.DryRun
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

// environments tells how the environment at hand stands, or all of them at the end.
func (r *Reporting) environments(ctx context.Context, in Input, rel *release.Release) error {
	if !atGitHub(rel) {
		return nil
	}
	if !rel.State.Ended() {
		state, sentence := "in_progress", report.Sentence(*rel)
		if in.Do == "success" {
			state, sentence = "success", report.Live(*rel, in.Environment)
		}
		return r.deployment(ctx, rel, in.Environment, state, sentence)
	}
	var errs []error
	for _, progress := range rel.Environments {
		if progress.State == release.EnvironmentDone {
			continue // it was told when it was done
		}
		errs = append(errs, r.environmentEnded(ctx, rel, progress))
	}
	return errors.Join(errs...)
}

// environmentEnded tells what became of an environment of a release that has
// ended. One that was never begun has no deployment.
func (r *Reporting) environmentEnded(ctx context.Context, rel *release.Release, progress release.Progress) error {
	switch progress.State {
	case release.EnvironmentDone:
		return r.deployment(ctx, rel, progress.Name, "success", report.Live(*rel, progress.Name))
	case release.EnvironmentDirty:
		return r.deployment(ctx, rel, progress.Name, "error", report.Sentence(*rel))
	case release.EnvironmentPending:
		if progress.Deployment == 0 {
			return nil
		}
	}
	return r.deployment(ctx, rel, progress.Name, "failure", report.Sentence(*rel))
}

// deployment gives an environment's deployment a status. It is created first if
// there is none, or if it was created and that could not be recorded.
func (r *Reporting) deployment(ctx context.Context, rel *release.Release, environment, state, sentence string) error {
	progress, ok := rel.Environment(environment)
	if !ok {
		return nil
	}
	repository, err := r.repository(ctx, rel)
	if err != nil {
		return err
	}
	if progress.Deployment == 0 {
		if progress.Deployment, err = r.GitHub.CreateDeployment(ctx, repository, report.Deployment(*rel, environment)); err != nil {
			return err
		}
		if err := r.recordDeployment(ctx, rel, environment, progress.Deployment); err != nil {
			return err
		}
	}
	plans, err := r.plans(ctx, rel)
	if err != nil {
		r.Log.WarnContext(ctx, "a deployment has no link", "release", rel.ID, "environment", environment, "error", err)
	}
	return r.GitHub.DeploymentStatus(ctx, repository, progress.Deployment, ghapi.DeploymentStatus{
		State: state, Description: sentence, Log: r.Herald.link(rel), Environment: report.EnvironmentLink(plans, environment),
	})
}

// recordDeployment keeps the deployment's id while the release goes on; later it
// is found by the release's id.
func (r *Reporting) recordDeployment(ctx context.Context, rel *release.Release, environment string, id int64) error {
	if rel.State.Ended() {
		return nil
	}
	return r.record(ctx, rel, func(rel *release.Release) {
		if progress, ok := rel.Environment(environment); ok {
			progress.Deployment = id
		}
	})
}

// record changes the record of a release for the execution that was seen to act
// for it. That it has ended or was taken over meanwhile is no error.
func (r *Reporting) record(ctx context.Context, rel *release.Release, change func(*release.Release)) error {
	in := Input{Release: rel.ID, Execution: rel.Execution}
	err := r.update(ctx, in, func(rel *release.Release) error {
		change(rel)
		return nil
	})
	if err != nil && release.KindOf(err) == release.Conflict {
		return nil
	}
	return err
}

// show writes the commit status and, with an App, the check run, as far as they
// say something new. With anew they are written whatever was told before, and
// every check run of the release is.
//
// A release may end while something else is being written: then its end is
// written once more, so that what was begun before never stands last.
func (r *Reporting) show(ctx context.Context, rel *release.Release, told *told, anew bool) error {
	err := r.showOnce(ctx, rel, told, anew)
	if rel.State.Ended() || !atGitHub(rel) {
		return err
	}
	now, readErr := r.Ledger.Release(ctx, rel.ID)
	if readErr != nil || !now.State.Ended() {
		return errors.Join(err, readErr)
	}
	return r.showOnce(ctx, &now, told, true)
}

func (r *Reporting) showOnce(ctx context.Context, rel *release.Release, told *told, anew bool) error {
	if !atGitHub(rel) {
		return nil
	}
	repository, err := r.repository(ctx, rel)
	if err != nil {
		return err
	}
	return errors.Join(r.commitStatus(ctx, rel, repository, told, anew), r.check(ctx, rel, repository, told, anew))
}

func (r *Reporting) commitStatus(ctx context.Context, rel *release.Release, repository int64, told *told, anew bool) error {
	state, sentence := report.CommitState(rel.State), report.Sentence(*rel)
	digest := digestOf(state, sentence)
	if digest == told.Status && !anew {
		return nil
	}
	if outdone, err := r.outdone(ctx, rel); err != nil || outdone {
		return err
	}
	err := r.GitHub.CommitStatus(ctx, repository, rel.Source.Commit, state, "tagboat/"+rel.App, sentence, r.Herald.link(rel))
	if err == nil {
		told.Status = digest
	}
	return err
}

// outdone tells whether a newer release of the app is of the same commit, as the next
// attempt is: of releases that have ended, the newest has the commit's status.
func (r *Reporting) outdone(ctx context.Context, rel *release.Release) (bool, error) {
	if !rel.State.Ended() {
		return false, nil
	}
	const newest = 10 // more that began within the time that an end is told are not of one commit
	rels, err := r.Ledger.List(ctx, ledger.Filter{App: rel.App, Limit: newest})
	return slices.ContainsFunc(rels, func(other release.Release) bool {
		return other.ID != rel.ID && other.Source.Commit == rel.Source.Commit && other.Created.After(rel.Created)
	}), err
}

// check writes the release's check run, or brings it up to date.
func (r *Reporting) check(ctx context.Context, rel *release.Release, repository int64, told *told, anew bool) error {
	if !r.GitHub.IsApp() {
		return nil
	}
	view, _, err := r.view(ctx, *rel)
	if err != nil {
		return err
	}
	run := report.CheckRun(view, r.Herald.link(rel))
	digest := digestOf(run.Conclusion, run.Title, run.Summary)
	if digest == told.Check && !anew {
		return nil
	}
	if anew {
		run.ID = 0
	}
	id, err := r.GitHub.PutCheckRun(ctx, repository, run)
	if err != nil {
		return err
	}
	told.Check = digest
	if rel.CheckRun == id || rel.State.Ended() {
		return nil
	}
	return r.record(ctx, rel, func(rel *release.Release) { rel.CheckRun = id })
}
