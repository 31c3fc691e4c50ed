package app

import (
	"context"
	"maps"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// addFormer adds what functions ran at the release that is brought back, if one is,
// in the environments that are rolled back, and which ones it did not have.
func (c *Core) addFormer(ctx context.Context, scope *scope, input *plan.Input) error {
	id := scope.release.Request.Restores
	if id == "" {
		return nil
	}
	earlier, err := c.past(ctx, id)
	if err != nil {
		return err
	}
	input.Former, input.Beside = map[release.Site]map[string]release.Content{}, map[release.Site][]string{}
	for _, env := range scope.registry.AppEnvironments(scope.app) {
		ran, _, err := c.ran(ctx, earlier, env.Name)
		if err != nil {
			return err
		}
		maps.Copy(input.Former, ran)
		live, err := c.Ledger.Live(ctx, scope.app.Name, env.Name)
		if err != nil {
			return err
		}
		for _, l := range live {
			site := release.Site{Environment: l.Environment, Account: l.Account, Region: l.Region}
			if _, had := ran[site][l.Name]; l.Kind == ledger.LiveFunction && !had {
				input.Beside[site] = append(input.Beside[site], l.Name)
			}
		}
	}
	return nil
}

// past is an earlier release with what came of its steps.
func (c *Core) past(ctx context.Context, id string) (past ledger.Past, err error) {
	if past.Release, err = c.Ledger.Release(ctx, id); err == nil {
		past.Results, err = c.Ledger.Results(ctx, id)
	}
	return past, err
}

// ran is what a release had live in an environment when it was done there, by
// site and function: its plan tells what it found and made of that, its results
// as which versions. Layers are the versions that it brought.
func (c *Core) ran(ctx context.Context, past ledger.Past, environment string) (
	functions map[release.Site]map[string]release.Content, layers map[string]string, err error) {
	progress, ok := past.Release.Environment(environment)
	if !ok || progress.State != release.EnvironmentDone {
		return nil, nil, nil
	}
	made, err := c.plan(ctx, &past.Release, release.Site{Environment: environment})
	if err != nil {
		return nil, nil, err
	}
	functions = map[release.Site]map[string]release.Content{}
	for _, step := range made.Steps {
		if step.Function == nil {
			continue
		}
		content, err := contentAfter(made, step)
		if err != nil {
			return nil, nil, err
		}
		content.Version = runs(step, past.Results[step.ID])
		if functions[step.Site] == nil {
			functions[step.Site] = map[string]release.Content{}
		}
		functions[step.Site][step.Function.Name] = content
	}
	return functions, made.Layers, nil
}

// contentAfter is what callers of a function got after a step that was carried out.
func contentAfter(made *release.Plan, step release.Step) (release.Content, error) {
	f := step.Function
	var content release.Content
	switch {
	case step.Change:
		layers, err := made.LayerARNs(step.Site.Region, f.Layers)
		if err != nil {
			return content, err
		}
		content = f.Goal(layers)
	case f.Alias == "":
		content = *f.Before.Latest
	default:
		content = *f.Before.Live
	}
	content.RevisionID, content.UpdateStatus = "", "" // those of another time
	return content, nil
}
