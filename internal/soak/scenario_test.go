package soak

import (
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// The accounts, regions and buckets of every world.
const (
	toolsAccount   = "999999999999"
	partnerAccount = "333333333333"
	organization   = "o-abc1234567"

	home   = "us-east-1"
	europe = "eu-west-1"

	stateBucket   = "tagboat-state"
	europeBucket  = "tagboat-eu"
	uploadsBucket = "tagboat-uploads"

	taskRole   = "tagboat-tasks"
	targetRole = "tagboat-target"
)

// What must be found nowhere in what Tagboat writes.
const (
	webhookSecret   = "planted-webhook-secret"
	githubToken     = "planted-github-token"
	plantedVariable = "planted-variable-value"
	presigned       = "X-Amz-Signature"
)

var planted = []string{webhookSecret, githubToken, plantedVariable, presigned}

var began = time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC)

// scenario is what a seed decides before anything happens.
type scenario struct {
	seed uint64
	// serve is true for the embedded engine in one process that is killed as a
	// whole; otherwise each task is a Lambda and the engine is Step Functions.
	serve bool
	// busy is how long events come and things break; after it, all can end.
	busy         time.Duration
	environments []release.Environment
	apps         []appSpec
	rates        rates
	// skew is how far a caller's clock is off at most.
	skew   time.Duration
	timing sim.Timing
	// absent is true if nobody ever answers a question; looks, if a schedule looks for
	// events that were lost, of which there are some then.
	absent, looks bool
	// quiet is true if nobody does anything but release and approve.
	quiet bool
	// clears is true if somebody puts dirty environments in order during the busy time.
	clears bool
}

// appSpec is an application and how it is released.
type appSpec struct {
	release.App
	workerAlias string
	apiAlias    bool // the alias exists before the first release
	traffic     release.Traffic
	alarms      bool
	smoke       bool
	keepsSecret bool // the functions have variables of their own
	variables   bool // the manifest sets a variable
	releases    int
	keep        int // old versions; 0 is all
}

// rates are how often things break: of calls as probabilities, of accidents as
// the mean time between two (0 is never).
type rates struct {
	aws, github, table, engine float64
	kill, twice                float64
	settle, strike             float64

	stop, restart, meddle, alarm, slowLambda time.Duration
	lostEvents                               float64
}

func newScenario(seed uint64) scenario {
	d, of := newDice(seed), sizeOf(seed)
	s := scenario{
		seed: seed, serve: d.chance(0.4), busy: d.between(of.busy/8, of.busy), clears: d.chance(0.5),
		timing: sim.Timing{Update: d.between(0, 8*time.Second), Publish: d.between(0, 4*time.Second), Provision: 30 * time.Second},
	}
	s.absent, s.looks = d.chance(0.02), d.chance(0.25)
	s.environments = newEnvironments(d, of)
	if s.absent {
		s.environments[len(s.environments)-1].Approval = release.ApprovalRequired
	}
	for i := range pick(d, of.apps...) {
		s.apps = append(s.apps, newApp(d, of, i, s.environments))
	}
	s.rates = newRates(d, of, s.serve)
	if !s.serve {
		s.skew = pick(d, 0, 0, time.Second, 10*time.Second)
	}
	return s
}

func newEnvironments(d dice, of size) []release.Environment {
	env := func(name, account string, regions ...string) release.Environment {
		return release.Environment{
			Name: name, Account: account, Regions: regions, Role: targetRole, ExternalID: "tagboat-" + name,
			Bake:     release.Duration(pick(d, 0, 0, time.Minute, 4*time.Minute)),
			Approval: pick(d, "", "", "", release.ApprovalRequired),
		}
	}
	var environments []release.Environment
	if !d.chance(of.prodAlone) {
		environments = append(environments, env("dev", "111111111111", home))
	}
	if d.chance(of.staging) {
		environments = append(environments, env("staging", "444444444444", home))
	}
	regions := []string{home}
	if d.chance(of.twoRegions) {
		regions = append(regions, europe)
	}
	return append(environments, env("prod", "222222222222", regions...))
}

func newApp(d dice, of size, i int, environments []release.Environment) appSpec {
	name := []string{"orders", "billing", "search", "shipping", "catalog", "reports"}[i]
	a := appSpec{
		App: release.App{
			Name: name, Tags: "v{version}", Resources: []string{name + "-*"},
			Repository:   release.Repository{ID: int64(186853002 + i), Name: "acme/" + name},
			Branches:     pick(d, nil, []string{"main"}),
			Concurrency:  pick(d, "", release.ConcurrencySupersede),
			DropManifest: "manifests/" + name + ".yaml",
			Sharing:      release.Sharing{Accounts: []string{partnerAccount}, Organization: true},
		},
		workerAlias: pick(d, "", "live"), apiAlias: d.chance(0.9), alarms: d.chance(0.7), smoke: d.chance(0.7),
		keepsSecret: d.chance(0.7), variables: d.chance(0.4), releases: pick(d, of.releases...),
		keep: pick(d, 0, 0, 1, 2),
	}
	for _, env := range environments {
		a.Environments = append(a.Environments, env.Name)
	}
	switch d.IntN(3) {
	case 0:
		a.traffic = release.Traffic{Percent: 10, Interval: time.Duration(d.upTo(5)) * time.Minute}
	case 1:
		a.traffic = release.Traffic{Percent: 40, Linear: true, Interval: time.Minute}
	}
	return a
}

func newRates(d dice, of size, serve bool) rates {
	level := pick(d, of.levels...)
	some := func() float64 { return level * pick(d, 0.0, 1, 1) }
	often := func(mean time.Duration) time.Duration {
		if level == 0 || d.chance(0.5) {
			return 0
		}
		return time.Duration(float64(mean) * of.busy.Hours() / 2)
	}
	r := rates{
		aws: some(), github: 4 * some(), table: some() / 2, engine: some(), kill: 2 * some(), twice: 2 * some(), settle: some(), strike: some() / 2,
		stop: often(20 * time.Minute), meddle: often(20 * time.Minute), alarm: often(30 * time.Minute),
		slowLambda: often(time.Hour), lostEvents: pick(d, 0.0, 0.2, 1),
	}
	if serve {
		r.restart = often(15 * time.Minute)
	}
	return r
}

// String says it for people.
func (s scenario) String() string {
	kind := "Step Functions and Lambdas"
	if s.serve {
		kind = "one process"
	}
	text := fmt.Sprintf("seed %d: %s, busy for %s, clocks off by %s, rates %+v", s.seed, kind, s.busy.Round(time.Second), s.skew, s.rates)
	for _, env := range s.environments {
		text += fmt.Sprintf("\n  environment %s %v bake %s approval %q", env.Name, env.Regions, time.Duration(env.Bake), env.Approval)
	}
	for _, a := range s.apps {
		text += fmt.Sprintf("\n  app %s: %d releases, %s, worker alias %q, api alias %t, alarms %t, smoke %t, variables %t/%t, concurrency %q",
			a.Name, a.releases, a.traffic, a.workerAlias, a.apiAlias, a.alarms, a.smoke, a.keepsSecret, a.variables, a.Concurrency)
	}
	return text
}

// registry is the registry's file for the scenario.
func (s scenario) registry() release.Registry {
	r := release.Registry{
		Organization: organization,
		Tools:        release.Tools{Account: toolsAccount, Regions: []string{home, europe}, Buckets: map[string]string{europe: europeBucket}},
		Environments: s.environments,
	}
	for _, a := range s.apps {
		r.Apps = append(r.Apps, a.App)
	}
	return r
}

// manifest is the app's file: with the artifacts from the repository, or from
// beside an upload, which replaces the layer alone.
func (a appSpec) manifest(upload bool) release.Manifest {
	m := release.Manifest{
		App:       a.Name,
		Artifacts: map[string]release.ArtifactSpec{"deps": {Archive: "layer"}, "code": {Archive: "src"}},
		Layers: []release.LayerSpec{{
			Name: a.Name + "-deps", Artifact: "deps", Runtimes: []string{"python3.13"}, Architectures: []string{"x86_64"},
			Share: release.Sharing{Accounts: []string{partnerAccount}, Organization: true},
		}},
		Functions: []release.FunctionSpec{
			{Name: a.Name + "-api", Artifact: "code", Layers: []string{a.Name + "-deps"}, Alias: "live", Traffic: a.traffic},
			{Name: a.Name + "-worker", Artifact: "code", Layers: []string{a.Name + "-deps"}, Alias: a.workerAlias},
		},
	}
	if a.alarms {
		m.Functions[0].Alarms = []string{a.Name + "-errors"}
	}
	if a.smoke {
		m.Functions[0].Smoke = &release.Smoke{Payload: map[string]any{"ping": true}, Expect: map[string]any{"statusCode": 200}}
	}
	if a.variables {
		m.Functions[1].Environment = map[string]string{"MODE": "new"}
	}
	m.Layers[0].Keep, m.Functions[0].Keep, m.Functions[1].Keep = a.keep, a.keep, a.keep
	if upload {
		m.Artifacts = map[string]release.ArtifactSpec{"deps": {Object: "deps.zip"}}
		for i := range m.Functions {
			m.Functions[i].Artifact = ""
		}
	}
	return m
}

// functions are the names of the app's functions.
func (a appSpec) functions() []string { return []string{a.Name + "-api", a.Name + "-worker"} }

// alias is the one that callers of a function use; empty is $LATEST.
func (a appSpec) alias(function string) string {
	if function == a.Name+"-api" {
		return "live"
	}
	return a.workerAlias
}
