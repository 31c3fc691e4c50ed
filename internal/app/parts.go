package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// GitHub is what is used of GitHub.
type GitHub interface {
	Tags
	artifact.Repositories
	Deployments
	Lists
}

// LambdaClient is what is used of Lambda.
type LambdaClient interface {
	function.API
	layer.API
	layer.Revoker
}

// Parts are what the tasks are made from. A task needs some of them: each
// Lambda sets only those, so that its binary holds no client that it never calls.
type Parts struct {
	Table ledger.Table
	Clock clock.Clock
	Log   *slog.Logger
	// State is the store in the state bucket.
	State      *artifact.S3Store
	Registries Registries
	// Parsed remembers registries and plans; nil parses each time.
	Parsed *Parsed
	// UploadsBucket is where artifacts are uploaded and dropped.
	UploadsBucket string
	// S3 is a client with Tagboat's own credentials in a region; empty is home.
	S3 func(region string) artifact.API
	// Remover is one that may delete staged objects.
	Remover func(region string) artifact.Remover
	// Lambda is a client at a target, narrowed to a phase.
	Lambda func(ctx context.Context, t release.Target, phase release.Phase) (LambdaClient, error)
	// Alarms is a client at a target that may only look at alarms.
	Alarms func(ctx context.Context, t release.Target) (function.AlarmsAPI, error)
	GitHub GitHub
	// HTTP fetches the archives of functions.
	HTTP       *http.Client
	Tokens     Tokens
	Executions Executions
	// Link is the address of an execution for people; nil if there is none.
	Link func(execution string) string
	// Announcer tells others what becomes of releases; nil tells nobody.
	Announcer Announcer
}

// Core is what every task has.
func (p *Parts) Core() *Core {
	return &Core{Ledger: ledger.New(p.Table, p.Clock), Documents: p.State, Clock: p.Clock, Log: p.Log, Parsed: p.Parsed}
}

func (p *Parts) source() *artifact.Source {
	return &artifact.Source{GitHub: p.GitHub, Uploads: p.S3(""), State: p.State}
}

func (p *Parts) stager() *artifact.Stager {
	return &artifact.Stager{Source: p.source(), S3: p.S3, HTTP: p.HTTP, Retired: ledger.New(p.Table, p.Clock).CodeRetired}
}

// Admit is the task of that name.
func (p *Parts) Admit() Task {
	t := &Admission{Core: p.Core(), Registries: p.Registries, GitHub: p.GitHub}
	return t.recorded(t.Do)
}

// ReadManifest is the task of that name.
func (p *Parts) ReadManifest() Task {
	t := &ManifestReading{Core: p.Core(), Source: p.source()}
	return t.recorded(t.Do)
}

// Stage is the task of that name.
func (p *Parts) Stage() Task {
	t := &Staging{Core: p.Core(), Stager: p.stager(), Bucket: p.State.Bucket}
	return t.recorded(t.Do)
}

// Snapshot is the task of that name.
func (p *Parts) Snapshot() Task {
	t := &Snapshots{Core: p.Core(), Functions: p.functions(release.Registry{}), Layers: layerReader{p.layers()}}
	return t.recorded(t.Do)
}

// Plan is the task of that name.
func (p *Parts) Plan() Task {
	t := &Planning{Core: p.Core()}
	return t.recorded(t.Do)
}

// Publish is the task that publishes layers.
func (p *Parts) Publish() Task {
	t := &SiteWork{Core: p.Core(), Steppers: p.layerSteppers}
	return t.recorded(t.Do)
}

// Share is the task that shares layers.
func (p *Parts) Share() Task {
	t := &SiteWork{Core: p.Core(), Steppers: p.layerSteppers}
	return t.recorded(t.Do)
}

// Access is the task that checks the access to layers.
func (p *Parts) Access() Task {
	t := &AccessCheck{Core: p.Core(), Layers: layerAccess{p.layers()}}
	return t.recorded(t.Do)
}

// Update is the task that updates functions.
func (p *Parts) Update() Task {
	t := &SiteWork{Core: p.Core(), Steppers: p.functionSteppers}
	return t.recorded(t.Do)
}

// Shift is the task that shifts traffic and watches alarms.
func (p *Parts) Shift() Task {
	t := &Shifting{
		SiteWork: &SiteWork{Core: p.Core(), Steppers: p.functionSteppers}, Alarms: p.functions(release.Registry{}),
	}
	return t.recorded(t.Do)
}

// RollBack is the task of that name.
func (p *Parts) RollBack() Task {
	t := &RollingBack{&SiteWork{Core: p.Core(), Steppers: p.functionSteppers}}
	return t.Do
}

// Approval is the task that asks a person.
func (p *Parts) Approval() Task {
	t := &Asking{p.Core(), p.herald(), p.Tokens}
	return t.recorded(t.Do)
}

// Leasing acquires, returns and takes over leases.
func (p *Parts) Leasing() *Leasing { return &Leasing{Core: p.Core(), Tokens: p.Tokens} }

// Lease is the task of that name.
func (p *Parts) Lease() Task {
	t := p.Leasing()
	return t.recorded(t.Do)
}

// Tally is the task of that name.
func (p *Parts) Tally() Task {
	t := &Tally{p.Core()}
	return t.recorded(t.Do)
}

// Conclude is the task of that name.
func (p *Parts) Conclude() Task {
	t := &Conclusion{Core: p.Core(), Leases: p.Leasing()}
	return t.Do
}

// Report is the task of that name.
func (p *Parts) Report() Task { return p.Reporting().Do }

// Reporting tells others how releases go.
func (p *Parts) Reporting() *Reporting {
	return &Reporting{Core: p.Core(), GitHub: p.GitHub, Herald: p.herald()}
}

func (p *Parts) herald() Herald {
	return Herald{Announcer: p.Announcer, Link: p.Link, Log: p.Log, Clock: p.Clock}
}

// Prune is the task that deletes old versions and what was staged for them.
func (p *Parts) Prune() Task {
	t := &Pruning{Core: p.Core(), Functions: p.functions(release.Registry{}), Layers: p.layers(), Remover: p.Remover}
	return t.Do
}

// Recovery takes up what dead executions left behind.
func (p *Parts) Recovery() *Recovery {
	return &Recovery{Core: p.Core(), Executions: p.Executions, Leases: p.Leasing()}
}

// Missed looks for what raised no event.
func (p *Parts) Missed() *Missed {
	return &Missed{
		Core: p.Core(), Registry: p.Registry, GitHub: p.GitHub, Accept: p.Intake().Accept, S3: p.S3(""), Bucket: p.UploadsBucket,
	}
}

// Intake turns requests into releases.
func (p *Parts) Intake() *Intake {
	return &Intake{Ledger: ledger.New(p.Table, p.Clock), Executions: p.Executions, Log: p.Log}
}

// Orders takes releases that people ask for.
func (p *Parts) Orders() *Orders {
	return &Orders{Intake: p.Intake(), Registries: p.Registries, Uploads: uploads{p.source(), p.UploadsBucket}}
}

// Approvals takes people's answers.
func (p *Parts) Approvals() *Approvals { return &Approvals{Core: p.Core(), Tokens: p.Tokens} }

// Halts takes people's orders to stop a release.
func (p *Parts) Halts() *Halts { return &Halts{Core: p.Core(), Tokens: p.Tokens} }

// Freezes takes people's orders to let no release through for a while.
func (p *Parts) Freezes() *Freezes { return &Freezes{Core: p.Core(), Registries: p.Registries} }

// Unshares takes people's orders to take layer versions back.
func (p *Parts) Unshares() *Unshares {
	return &Unshares{Core: p.Core(), Registries: p.Registries, Layers: &layer.Unsharer{
		Lambda: func(ctx context.Context, t release.Target) (layer.Revoker, error) {
			return p.Lambda(ctx, t, release.PhaseUnshare)
		},
		Clock: p.Clock,
	}}
}

// Registry is the registry in force.
func (p *Parts) Registry(ctx context.Context) (release.Registry, error) {
	registry, _, err := p.Registries.Current(ctx)
	return registry, err
}

func (p *Parts) layerSteppers(release.Registry) map[release.StepKind]release.Stepper {
	layers := p.layers()
	return map[release.StepKind]release.Stepper{release.PublishLayer: layers, release.ShareLayer: layers}
}

func (p *Parts) functionSteppers(registry release.Registry) map[release.StepKind]release.Stepper {
	functions := p.functions(registry)
	return map[release.StepKind]release.Stepper{release.UpdateFunction: functions, release.ShiftTraffic: functions}
}

// functions look at functions and change them. The registry is needed to change
// them only: it names the buckets that keep their former code.
func (p *Parts) functions(registry release.Registry) *function.Functions {
	return function.New(function.Config{
		Lambda: func(ctx context.Context, t release.Target, phase release.Phase) (function.API, error) {
			return p.Lambda(ctx, t, phase)
		},
		Alarms:  p.Alarms,
		Archive: &codeArchive{Ledger: ledger.New(p.Table, p.Clock), parts: p, registry: registry},
		Clock:   p.Clock,
	})
}

func (p *Parts) layers() *layer.Layers {
	l := ledger.New(p.Table, p.Clock)
	return layer.New(layer.Config{
		Lambda: func(ctx context.Context, t release.Target, phase release.Phase) (layer.API, error) {
			return p.Lambda(ctx, t, phase)
		},
		Known: l, Lock: layerLock{l}, Revoked: l, Clock: p.Clock,
	})
}

// layerReader looks at layers as a plan wants it.
type layerReader struct{ layers *layer.Layers }

func (r layerReader) Snapshot(ctx context.Context, t release.Target, looks []plan.LayerLook) (map[string]release.LayerState, error) {
	wanted := make([]layer.Wanted, len(looks))
	for i, look := range looks {
		wanted[i] = layer.Wanted(look)
	}
	return r.layers.Snapshot(ctx, t, wanted)
}

// layerAccess joins all that is missing into one error.
type layerAccess struct{ layers *layer.Layers }

func (a layerAccess) CheckAccess(ctx context.Context, t release.Target, arns []string) error {
	errs := a.layers.CheckAccess(ctx, t, arns)
	for _, err := range errs {
		if release.KindOf(err) == release.Transient {
			return err
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return release.Errorf(release.KindOf(errs[0]), "%w", errors.Join(errs...)).WithRemedy("%s", release.RemedyOf(errs[0]))
}

// layerLock is the lease of a layer in a region. Nobody queues for it: it is
// held for one call.
type layerLock struct{ ledger *ledger.Ledger }

const layerLeasePrefix = "layer/"

func layerLease(name, region string) string { return layerLeasePrefix + name + "/" + region }

func layerHolder(rel *release.Release) ledger.Holder {
	return ledger.Holder{Release: rel.ID, Execution: rel.Execution}
}

func (l layerLock) Lock(ctx context.Context, name, region string, rel *release.Release) (bool, error) {
	held, _, err := l.ledger.Acquire(ctx, layerLease(name, region), layerHolder(rel), ledger.Ask{TTL: leaseTTL})
	return held, err
}

func (l layerLock) Unlock(ctx context.Context, name, region string, rel *release.Release) error {
	_, err := l.ledger.Return(ctx, layerLease(name, region), layerHolder(rel))
	return err
}

// codeArchive keeps the code that functions had, in the staging bucket of their region.
type codeArchive struct {
	*ledger.Ledger
	parts    *Parts
	registry release.Registry
}

func (a *codeArchive) SaveCode(ctx context.Context, app, region, function, codeSHA256, url string) (release.Object, error) {
	bucket := stagingBucket(a.registry, a.parts.State.Bucket, region)
	object, err := a.parts.stager().SaveCode(ctx, app, region, bucket, codeSHA256, url)
	if err != nil {
		return object, err
	}
	return object, a.PutStagedCode(ctx, app, region, codeSHA256, object, forFunction(function))
}

type uploads struct {
	source *artifact.Source
	bucket string
}

func (u uploads) Head(ctx context.Context, key string) (release.Source, error) {
	if u.bucket == "" {
		return release.Source{}, release.Errorf(release.Invalid, "there is no uploads bucket to take %q from", key).
			WithRemedy("Release by tag, or start serve with --uploads-bucket.")
	}
	return u.source.Head(ctx, u.bucket, key)
}
