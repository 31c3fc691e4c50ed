package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// View reads a release with all of its steps.
func (p *Parts) View(ctx context.Context, id string) (report.View, error) {
	core := p.Core()
	rel, err := core.Ledger.Release(ctx, id)
	if err != nil {
		return report.View{}, err
	}
	view, plans, err := core.view(ctx, rel)
	if err == nil && !rel.State.Ended() {
		err = core.addProgress(ctx, &view, plans)
	}
	if err == nil && rel.State == release.FailedDirty {
		err = core.addCleared(ctx, &view)
	}
	view.AsOf = core.Clock.Now()
	return view, err
}

// addProgress adds what only somebody who watches a release wants to know: how far
// its artifacts are, and until when it bakes.
func (c *Core) addProgress(ctx context.Context, view *report.View, plans []*release.Plan) error {
	open, ok := view.Open()
	last := len(plans) - 1
	switch {
	case ok && last >= 0 && plans[last].Environment == open.Name && view.State == release.Running:
		return c.addBake(ctx, view, open, time.Duration(plans[last].Bake))
	case view.Plan == (release.Pointer{}):
		return c.addStaging(ctx, view)
	}
	return nil
}

func (c *Core) addStaging(ctx context.Context, view *report.View) error {
	staged, err := c.Ledger.Artifacts(ctx, view.ID)
	if err != nil {
		return err
	}
	notes, err := c.Ledger.Notes(ctx, view.ID, stagingNote)
	if err != nil {
		return err
	}
	for name, text := range notes {
		var how release.Staging
		if err := json.Unmarshal(text, &how); err != nil {
			return fmt.Errorf("note of artifact %q: %w", name, err)
		}
		if _, done := staged[name]; !done {
			view.Staging = append(view.Staging, how)
		}
	}
	for name, artifact := range staged {
		view.Staging = append(view.Staging, release.Staging{Artifact: name, State: release.Staged, Done: artifact.Size, Total: artifact.Size})
	}
	slices.SortFunc(view.Staging, func(a, b release.Staging) int { return strings.Compare(a.Artifact, b.Artifact) })
	return nil
}

// addBake adds when the open environment's bake ends: where its last site's does.
func (c *Core) addBake(ctx context.Context, view *report.View, open *release.Progress, bake time.Duration) error {
	notes, err := c.Ledger.Notes(ctx, view.ID, bakeNote+open.Name+"/")
	if err != nil {
		return err
	}
	for site, text := range notes {
		var note baking
		if err := json.Unmarshal(text, &note); err != nil {
			return fmt.Errorf("note of the bake at %s/%s: %w", open.Name, site, err)
		}
		if ends := note.Began.Add(bake); ends.After(open.BakeEnds) {
			open.BakeEnds = ends
		}
	}
	return nil
}

// view is a release with its steps, and the plans they are of.
func (c *Core) view(ctx context.Context, rel release.Release) (report.View, []*release.Plan, error) {
	plans, err := c.plans(ctx, &rel)
	if err != nil {
		return report.View{}, nil, err
	}
	results, err := c.Ledger.Results(ctx, rel.ID)
	return report.NewView(rel, plans, results), plans, err
}

// plans are those made so far: the whole release's, then those of its
// environments that were planned afresh.
func (c *Core) plans(ctx context.Context, rel *release.Release) ([]*release.Plan, error) {
	if rel.Plan == (release.Pointer{}) {
		return nil, nil
	}
	whole, err := c.plan(ctx, rel, release.Site{Environment: release.ToolsEnvironment})
	if err != nil {
		return nil, err
	}
	plans := []*release.Plan{whole}
	for _, progress := range rel.Environments {
		if progress.Plan == (release.Pointer{}) {
			continue
		}
		made, err := c.plan(ctx, rel, release.Site{Environment: progress.Name})
		if err != nil {
			return nil, err
		}
		plans = append(plans, made)
	}
	return plans, nil
}

// WholePlan reads the plan of a whole release.
func (p *Parts) WholePlan(ctx context.Context, id string) (*release.Plan, error) {
	core := p.Core()
	rel, err := core.Ledger.Release(ctx, id)
	if err != nil {
		return nil, err
	}
	if rel.Plan == (release.Pointer{}) {
		return nil, release.Errorf(release.NotFound, "release %q has no plan: it is %s", id, rel.State).
			WithRemedy("Look at it with: tagboat show %s", id)
	}
	return core.plan(ctx, &rel, release.Site{Environment: release.ToolsEnvironment})
}
