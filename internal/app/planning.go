package app

import (
	"context"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// Planning makes the plan of the whole release, and later of each environment.
type Planning struct{ *Core }

// planned is the answer for the whole release: what the state machine walks through.
type planned struct {
	Release      string            `json:"release"`
	DryRun       bool              `json:"dry_run"`
	Publish      []release.Site    `json:"publish"`
	Share        []release.Site    `json:"share"`
	Environments []environmentTurn `json:"environments"`
	Count        int               `json:"count"`
}

// environmentTurn is one environment as the state machine knows it.
type environmentTurn struct {
	Name     string         `json:"name"`
	Approval bool           `json:"approval"`
	Sites    []release.Site `json:"sites"`
}

// replanned is the answer for one environment.
type replanned struct {
	Decision string `json:"decision"`
}

// The values of [replanned.Decision].
const (
	decisionApply    = "apply"
	decisionNothing  = "nothing"
	decisionAskAgain = "ask_again"
)

// Do plans the whole release, or in.Environment.
func (p *Planning) Do(ctx context.Context, in Input) (any, error) {
	scope, err := p.load(ctx, in)
	if err != nil {
		return nil, refused(err)
	}
	if in.Environment != "" {
		out, err := p.environment(ctx, in, scope)
		return out, refused(err)
	}
	out, err := p.whole(ctx, in, scope)
	return out, refused(err)
}

func (p *Planning) whole(ctx context.Context, in Input, scope *scope) (planned, error) {
	whole, err := p.recordedWhole(ctx, in, scope)
	if err != nil {
		return planned{}, err
	}
	out := planned{
		Release: in.Release, DryRun: scope.release.Request.DryRun,
		Publish: whole.Sites(release.PhasePublish), Share: whole.Sites(release.PhaseShare),
		Environments: []environmentTurn{},
	}
	for _, env := range scope.registry.AppEnvironments(scope.app) {
		out.Environments = append(out.Environments, environmentTurn{env.Name, env.NeedsApproval(), scope.sites(env.Name)})
	}
	out.Count = len(out.Environments)
	return out, nil
}

// recordedWhole is the plan of the release that is recorded; the first that is made
// is. When the task is run again, it may be carried out already.
func (p *Planning) recordedWhole(ctx context.Context, in Input, scope *scope) (*release.Plan, error) {
	site := release.Site{Environment: release.ToolsEnvironment}
	if scope.release.Plan != (release.Pointer{}) {
		return p.plan(ctx, scope.release, site)
	}
	input, err := p.input(ctx, scope, plan.SnapshotSites(scope.registry, scope.app, scope.manifest))
	if err != nil {
		return nil, err
	}
	whole, err := plan.Whole(input)
	if err != nil {
		return nil, err
	}
	if err := p.remember(ctx, scope, whole); err != nil {
		return nil, err
	}
	pointer, err := p.Documents.Put(ctx, "releases/"+in.Release+"/plan.json", whole)
	if err != nil {
		return nil, err
	}
	progress := []release.Progress{}
	for _, env := range scope.registry.AppEnvironments(scope.app) {
		progress = append(progress, release.Progress{Name: env.Name, State: release.EnvironmentPending})
	}
	err = p.update(ctx, in, func(r *release.Release) error {
		if r.Plan == (release.Pointer{}) {
			r.Plan, r.Environments = pointer, progress
		}
		scope.release.Plan = r.Plan
		return nil
	})
	if err != nil || scope.release.Plan == pointer {
		return whole, err
	}
	return p.plan(ctx, scope.release, site)
}

// remember keeps which layer versions a snapshot has recognised by their content: of a release that
// crashed before it could say what it had published, or of somebody else. The task that looks may not.
func (p *Planning) remember(ctx context.Context, scope *scope, whole *release.Plan) error {
	if scope.release.Request.DryRun {
		return nil
	}
	for _, step := range whole.Steps {
		if step.Kind != release.PublishLayer || step.Change {
			continue
		}
		layer, region := step.Layer, step.Site.Region
		_, known, err := p.Ledger.LayerVersion(ctx, layer.Name, region, layer.Digest)
		if err == nil && !known {
			err = p.Ledger.PutLayerVersion(ctx, layer.Name, region, layer.Digest, layer.Existing)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// input reads the artifacts and the snapshots of sites.
func (p *Planning) input(ctx context.Context, scope *scope, sites []release.Site) (plan.Input, error) {
	artifacts, err := p.Ledger.Artifacts(ctx, scope.release.ID)
	if err != nil {
		return plan.Input{}, err
	}
	input := scope.planInput(artifacts, p.Clock.Now())
	if input.Revoked, err = p.Ledger.Revocations(ctx, ""); err != nil {
		return plan.Input{}, err
	}
	if err := p.addFormer(ctx, scope, &input); err != nil {
		return plan.Input{}, err
	}
	input.Snapshots, err = p.snapshots(ctx, scope.release.ID, sites)
	return input, err
}

// environment plans under the lease. From the moment the plan is recorded as
// the open environment's, a recovery rolls back by it.
func (p *Planning) environment(ctx context.Context, in Input, scope *scope) (replanned, error) {
	env, ok := scope.registry.Environment(in.Environment)
	if !ok {
		return replanned{}, release.Errorf(release.Internal, "environment %q is not in the registry that the release pinned", in.Environment)
	}
	if err := p.renew(ctx, in, scope.app.Name, release.Site{Environment: env.Name}); err != nil {
		return replanned{}, err
	}
	began, ok := scope.release.Environment(env.Name)
	if !ok {
		return replanned{}, release.Errorf(release.Internal, "release %q has no environment %q", scope.release.ID, env.Name)
	}
	if began.State != release.EnvironmentPending {
		return p.again(ctx, scope, env)
	}
	if err := refuseOlder(ctx, p.Core, scope.release, []release.Environment{env}); err != nil {
		return replanned{}, err
	}
	made, err := p.makeEnvironment(ctx, scope, env)
	if err != nil {
		return replanned{}, err
	}
	pointer, err := p.Documents.Put(ctx, "releases/"+in.Release+"/plan-"+env.Name+".json", made)
	if err != nil {
		return replanned{}, err
	}
	var planned bool
	var decision string
	err = p.update(ctx, in, func(r *release.Release) error {
		progress, _ := r.Environment(env.Name)
		if planned = progress.State != release.EnvironmentPending; planned {
			scope.release = r // by the task's other delivery: its plan stands, and may be carried out already
			return nil
		}
		if asks(r, progress) || !sameQuestion(began.Approval, progress.Approval) {
			return release.Errorf(release.Conflict, "release %q waits for the answer to a later plan of environment %q, or has got it", r.ID, env.Name).
				WithRemedy("Nothing is to be done: an earlier task was delivered once more.")
		}
		if err := p.refuseFrozen(ctx, r, env.Name); err != nil { // here, so that little comes in between
			return err
		}
		r.State = release.Running // it may have waited for the lease
		progress.Plan = pointer
		decision = decide(made, env, progress.Approval)
		if decision != decisionAskAgain {
			progress.State = release.EnvironmentOpen
		}
		return nil
	})
	if err == nil && planned {
		return p.again(ctx, scope, env)
	}
	return replanned{decision}, err
}

// sameQuestion tells whether nobody was asked in between, or has answered otherwise.
func sameQuestion(a, b *release.Approval) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Token == b.Token && a.Attempt == b.Attempt && a.Fingerprint == b.Fingerprint && a.Approved == b.Approved && a.Rejected == b.Rejected
}

// again answers as before when the task is run again: the plan was recorded,
// and since then the world may have been changed by it.
func (p *Planning) again(ctx context.Context, scope *scope, env release.Environment) (replanned, error) {
	made, err := p.plan(ctx, scope.release, release.Site{Environment: env.Name})
	if err != nil {
		return replanned{}, err
	}
	progress, _ := scope.release.Environment(env.Name) // it was planned
	return replanned{decide(made, env, progress.Approval)}, nil
}

func decide(made *release.Plan, env release.Environment, approval *release.Approval) string {
	approved := approval != nil && approval.Approved && approval.Fingerprint == made.Fingerprint(env.Name)
	switch {
	case env.NeedsApproval() && !approved:
		return decisionAskAgain
	case made.Changes() == 0:
		return decisionNothing
	}
	return decisionApply
}

// makeEnvironment plans with the fresh snapshots of the environment and with
// the layer versions that the release has published since the whole plan.
func (p *Planning) makeEnvironment(ctx context.Context, scope *scope, env release.Environment) (*release.Plan, error) {
	input, err := p.input(ctx, scope, append(scope.sites(env.Name), scope.sites(release.ToolsEnvironment)...))
	if err != nil {
		return nil, err
	}
	if err := p.addPublished(ctx, scope.release, input.Snapshots); err != nil {
		return nil, err
	}
	return plan.Environment(input, env.Name)
}

// addPublished brings the tools account's snapshots up to date with what the
// release's own steps published.
func (p *Planning) addPublished(ctx context.Context, rel *release.Release, snapshots map[release.Site]release.Snapshot) error {
	whole, err := p.plan(ctx, rel, release.Site{Environment: release.ToolsEnvironment})
	if err != nil {
		return err
	}
	results, err := p.Ledger.Results(ctx, rel.ID)
	if err != nil {
		return err
	}
	for _, step := range whole.Steps {
		arn := results[step.ID].LayerVersion
		snapshot, looked := snapshots[step.Site]
		if step.Kind != release.PublishLayer || arn == "" || !looked {
			continue
		}
		if snapshot.Layers == nil {
			snapshot.Layers = map[string]release.LayerState{}
		}
		snapshot.Layers[step.Layer.Digest] = release.LayerState{ARN: arn, Digest: step.Layer.Digest}
		snapshots[step.Site] = snapshot
	}
	return nil
}

// sites are those of one environment, or of the tools account.
func (s *scope) sites(environment string) []release.Site {
	sites := []release.Site{}
	for _, site := range plan.SnapshotSites(s.registry, s.app, s.manifest) {
		if site.Environment == environment {
			sites = append(sites, site)
		}
	}
	return sites
}
