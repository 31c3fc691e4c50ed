package app

import (
	"context"

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
	return core.view(ctx, rel)
}

func (c *Core) view(ctx context.Context, rel release.Release) (report.View, error) {
	plans, err := c.plans(ctx, &rel)
	if err != nil {
		return report.View{}, err
	}
	results, err := c.Ledger.Results(ctx, rel.ID)
	return report.NewView(rel, plans, results), err
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
