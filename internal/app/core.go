// Package app wires the parts of Tagboat into the tasks of its state machine,
// for the Lambdas under functions/, for the command and for the simulator.
//
// Each task is a small type with what it needs and a Do method; it reads the
// release's record from the ledger, checks that its execution may still act for
// it, does its work and records what came of it. States of the state machine
// carry names only: what a task needs it finds in the ledger, which points to
// pinned objects of the state bucket.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	// leaseTTL is how long a lease lasts without being renewed. Each turn renews
	// it, and no wait between two turns is longer than a third of it.
	leaseTTL = 15 * time.Minute
	// leaseMargin is how long before its end an owner stops writing.
	leaseMargin = time.Minute
)

// Documents keeps small pinned documents in the state bucket.
type Documents interface {
	// Put stores v as JSON, or as it is if it is a []byte, and is durable when it returns.
	Put(ctx context.Context, key string, v any) (release.Pointer, error)
	// Get reads exactly the version pointed to.
	Get(ctx context.Context, p release.Pointer, v any) error
}

// Core is what every task has.
type Core struct {
	Ledger    *ledger.Ledger
	Documents Documents
	Clock     clock.Clock
	Log       *slog.Logger
	// Parsed remembers registries and plans; nil parses each time.
	Parsed *Parsed
}

// begin reads the release's record and checks that the execution may act for
// it. What was redriven, stopped and taken over, sent twice after the end, or
// halted fails here, before it did anything; so does what is delivered late, when
// the rollback has begun.
func (c *Core) begin(ctx context.Context, in Input) (*release.Release, error) {
	rel, err := c.acting(ctx, in)
	switch {
	case err != nil:
	case rel.State != release.RollingBack:
		err = halted(rel)
	case in.Phase != release.PhaseRollBack:
		err = release.Errorf(release.Conflict, "release %q is being rolled back: nothing else is done for it", rel.ID).
			WithRemedy("Wait for its end: tagboat show %s", rel.ID)
	}
	return rel, err
}

// acting is begin for what is done for every release, halted or not: its rollback begins.
func (c *Core) acting(ctx context.Context, in Input) (*release.Release, error) {
	rel, err := c.Ledger.Release(ctx, in.Release)
	if err != nil {
		return nil, err
	}
	return &rel, mayAct(&rel, in.Execution)
}

func mayAct(rel *release.Release, execution string) error {
	if rel.State.Ended() {
		return release.Errorf(release.Conflict, "release %q has ended as %s: nothing more is done for it", rel.ID, rel.State).
			WithRemedy("See how it ended: tagboat show %s", rel.ID)
	}
	if rel.Execution != execution {
		return release.Errorf(release.Conflict, "execution %q acts for release %q no more: %q took it over", execution, rel.ID, rel.Execution).
			WithRemedy("Nothing is to be done: %q goes on with it.", rel.Execution)
	}
	return nil
}

// update changes the release's record for the execution that acts for it.
func (c *Core) update(ctx context.Context, in Input, change func(*release.Release) error) error {
	_, err := c.Ledger.Update(ctx, in.Release, in.Execution, change)
	return err
}

// scope is a release with the files it was admitted under.
type scope struct {
	release  *release.Release
	registry release.Registry
	app      release.App
	manifest release.Manifest
}

// registry reads the registry that the release pinned, as it holds for it, and its app.
func (c *Core) registry(ctx context.Context, rel *release.Release) (release.Registry, release.App, error) {
	var text []byte
	if err := c.Documents.Get(ctx, rel.Registry, &text); err != nil {
		return release.Registry{}, release.App{}, err
	}
	registry, err := c.Parsed.registry("registry.yaml", text)
	if err != nil {
		return release.Registry{}, release.App{}, err
	}
	return registry.For(rel.Request)
}

// load reads the release's record and the files it pinned.
func (c *Core) load(ctx context.Context, in Input) (*scope, error) {
	rel, err := c.begin(ctx, in)
	if err != nil {
		return nil, err
	}
	s := &scope{release: rel}
	if s.registry, s.app, err = c.registry(ctx, rel); err != nil {
		return nil, err
	}
	err = c.Documents.Get(ctx, rel.Manifest, &s.manifest)
	return s, err
}

// target adds to a site what is needed to act there.
func (s *scope) target(site release.Site) (release.Target, error) {
	t := release.Target{Site: site, App: s.app.Name, Resources: s.app.Resources}
	if site.InTools() {
		return t, nil
	}
	env, ok := s.registry.Environment(site.Environment)
	if !ok || env.Account != site.Account {
		return t, release.Errorf(release.Internal, "site %s is not in the registry that the release pinned", site)
	}
	t.Role, t.ExternalID = env.Role, env.ExternalID
	return t, nil
}

// leaseName is the lease of an app in an environment.
func leaseName(app, environment string) string { return "env/" + app + "/" + environment }

func holder(in Input) ledger.Holder {
	return ledger.Holder{Release: in.Release, Execution: in.Execution}
}

// guard checks right before a write that the release may still make it: its
// execution was not replaced and, in an environment, the lease is held with a
// margin.
func (c *Core) guard(in Input, app string, site release.Site) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := c.begin(ctx, in); err != nil {
			return err
		}
		if site.InTools() {
			return nil
		}
		return c.Ledger.Check(ctx, leaseName(app, site.Environment), holder(in), leaseMargin)
	}
}

// renew keeps the lease of a site's environment while its release works there.
func (c *Core) renew(ctx context.Context, in Input, app string, site release.Site) error {
	if site.InTools() {
		return nil
	}
	return c.Ledger.Renew(ctx, leaseName(app, site.Environment), holder(in), leaseTTL)
}

// plan reads the plan that governs a site: the environment's own, made under
// the lease, or that of the whole release.
func (c *Core) plan(ctx context.Context, rel *release.Release, site release.Site) (*release.Plan, error) {
	pointer := rel.Plan
	if !site.InTools() {
		progress, ok := rel.Environment(site.Environment)
		if !ok {
			return nil, release.Errorf(release.Internal, "release %q has no environment %q", rel.ID, site.Environment)
		}
		pointer = progress.Plan
	}
	var text []byte
	if err := c.Documents.Get(ctx, pointer, &text); err != nil {
		return nil, fmt.Errorf("plan of release %q for %s: %w", rel.ID, site, err)
	}
	plan, err := c.Parsed.plan(text)
	if err != nil {
		return nil, release.Errorf(release.Internal, "plan %q of release %q for %s: %w", pointer.Key, rel.ID, site, err)
	}
	if plan.Schema != release.PlanSchema {
		return nil, release.Errorf(release.Invalid, "plan of release %q has schema %d, want %d", rel.ID, plan.Schema, release.PlanSchema).
			WithRemedy("It was made by another version of Tagboat: release again.")
	}
	return plan, nil
}

// fault is a failure that a Map's iteration leaves in the ledger for the tally.
type fault struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

func newFault(cause error) fault {
	return fault{capped(cause.Error(), maxReason), nextStep(cause)}
}

func faultKey(phase release.Phase, item string) string {
	return faultPrefix(phase) + item
}

// troubleKey is where the last error of an iteration's task is noted: if no retry
// helps, it is the reason of the failure.
func troubleKey(phase release.Phase, item string) string {
	return fmt.Sprintf("trouble/%s/%s", phase, item)
}

// itemOf names what an iteration of a Map is about.
func itemOf(artifact string, site release.Site) string {
	if artifact != "" {
		return artifact
	}
	return site.String()
}

func faultPrefix(phase release.Phase) string { return fmt.Sprintf("fault/%s/", phase) }

// failTurn records why an iteration failed and ends it.
func (c *Core) failTurn(ctx context.Context, in Input, item string, cause error) (any, error) {
	if err := c.Ledger.Note(ctx, in.Release, faultKey(in.Phase, item), newFault(cause)); err != nil {
		return nil, err
	}
	return Turn{Status: turnFailed}, nil
}
