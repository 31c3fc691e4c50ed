// Package plan computes what a release changes. It is pure: from the release,
// the two files, the staged artifacts and a snapshot of every site it makes a
// [release.Plan], or one error that tells everything that forbids the release.
//
// The same input gives the same plan, byte for byte. A plan of one environment
// that is made later, under the environment's lease, has the same
// [release.Plan.Fingerprint] as the plan of the whole release, as long as
// nobody else changed something there: publishing the release's layers in
// between makes no difference, since functions refer to them by
// [release.LayerRef]. An approval rests on that.
package plan

import (
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// Input is all that a plan is made from.
type Input struct {
	Release  *release.Release
	Registry release.Registry
	App      release.App
	Manifest release.Manifest
	// Artifacts are the staged ones, by the manifest's names.
	Artifacts map[string]release.Artifact
	// Snapshots are by site. A plan of one environment needs those of the
	// environment's sites and of the tools account's sites in its regions.
	Snapshots map[release.Site]release.Snapshot
	// Revoked are the grants that people took back, of any layer version.
	Revoked []release.Revocation
	// Former is, for a release that brings an earlier one back, what that had live at
	// the sites, by function.
	Former map[release.Site]map[string]release.Content
	// Beside are the app's functions that are live at the sites and that it did not have.
	Beside map[release.Site][]string
	Now    time.Time
}

// Whole plans the release through all of its environments: first the layers,
// then the functions, environment after environment.
func Whole(in Input) (*release.Plan, error) {
	p := newPlanner(in)
	plan := p.begin()
	plan.Steps = append(plan.Steps, p.layerSteps()...)
	for _, env := range p.environments {
		plan.Steps = append(plan.Steps, p.environmentSteps(env)...)
		if env.NeedsApproval() {
			plan.Approvals = append(plan.Approvals, env.Name)
		}
	}
	return p.end(plan)
}

// Environment plans the release in one of the app's environments, after the
// layers were published.
func Environment(in Input, environment string) (*release.Plan, error) {
	p := newPlanner(in)
	env, found := p.environment(environment)
	if !found {
		return nil, release.Errorf(release.Invalid, "environment %q: want one of the app %q, got none of its environments",
			environment, in.App.Name).WithRemedy("Name one of the app's environments in the registry.")
	}
	plan := p.begin()
	plan.Environment = env.Name
	plan.Steps = append(plan.Steps, p.environmentSteps(env)...)
	plan.Access = p.access(plan.Layers)
	plan.Bake = env.Bake
	if env.NeedsApproval() {
		plan.Approvals = []string{env.Name}
	}
	return p.end(plan)
}

// planner makes one plan.
type planner struct {
	findings
	in           Input
	environments []release.Environment
	layers       map[string]ownLayer
	// wants has what each function shall become, by region.
	wants map[string][]wanted
	// uses are the own layers of changed functions, as they stand in a plan.
	uses []release.LayerAccess
}

func newPlanner(in Input) *planner {
	return &planner{
		in:           in,
		environments: in.Registry.AppEnvironments(in.App),
		layers:       ownLayers(in.Manifest, in.Artifacts),
		wants:        map[string][]wanted{},
	}
}

func (p *planner) environment(name string) (release.Environment, bool) {
	for _, env := range p.environments {
		if env.Name == name {
			return env, true
		}
	}
	return release.Environment{}, false
}

// begin checks what needs no snapshot and makes a plan without steps.
func (p *planner) begin() *release.Plan {
	p.checkNames()
	p.checkArtifacts()
	p.checkSharing()
	poll, events := p.budget()
	return &release.Plan{
		Schema:  release.PlanSchema,
		Release: p.in.Release.ID,
		App:     p.in.Release.App,
		Version: p.in.Release.Version,
		Made:    p.in.Now,
		Steps:   []release.Step{},
		Layers:  p.publishedLayers(),
		Poll:    release.Duration(poll),
		Events:  events,
	}
}

func (p *planner) end(plan *release.Plan) (*release.Plan, error) {
	if err := p.err(p.in.Release); err != nil {
		return nil, err
	}
	plan.Warnings = tidy(p.warnings)
	return plan, nil
}

// environmentSteps are the steps of an environment: per site, per function.
func (p *planner) environmentSteps(env release.Environment) []release.Step {
	steps := make([]release.Step, 0, 2*len(env.Regions)*len(p.in.Manifest.Functions))
	for _, site := range environmentSites(env) {
		snapshot, seen := p.in.Snapshots[site]
		if !seen {
			p.violation(takeAgain, "site in account %s, %s (%s): want a snapshot, got none",
				site.Account, site.Region, site.Environment)
			continue
		}
		p.checkRegion(site)
		for _, name := range p.in.Beside[site] {
			p.warning("%s: release %q, which is brought back, did not have it: it stays as it is",
				at("function", name, site), p.in.Release.Request.Restores)
		}
		for _, w := range p.wantedIn(site.Region) {
			steps = append(steps, p.functionSteps(w, site, snapshot)...)
		}
	}
	return steps
}

// access resolves the release's own layers that changed functions are going to use.
func (p *planner) access(published map[string]string) []release.LayerAccess {
	var access []release.LayerAccess
	for _, use := range p.uses {
		arn, found := published[release.LayerKey(use.Site.Region, use.Layer)]
		if !found {
			p.violation("publish the layers first", "%s: want its layer %q published in the region, got none",
				at("function", use.Function, use.Site), short(use.Layer))
			continue
		}
		use.Layer = arn
		access = append(access, use)
	}
	return access
}
