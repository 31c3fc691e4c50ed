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
	if undone := scope.release.Request.Undoes; undone != "" {
		return c.addBefore(ctx, undone, scope.release.Request.Environment, input)
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

// addBefore adds what functions ran before a drop that is undone. If that was taken
// back already, it is what was there before the earlier one, with the code and the
// layers that are live: others may have been dropped in between.
func (c *Core) addBefore(ctx context.Context, undone, environment string, input *plan.Input) error {
	live, err := c.past(ctx, undone)
	if err != nil {
		return err
	}
	id := live.Release.Request.Restores
	if id == "" {
		input.Former, _, err = c.contents(ctx, live, environment, contentBefore)
		return err
	}
	earlier, err := c.past(ctx, id)
	if err != nil {
		return err
	}
	if input.Former, _, err = c.contents(ctx, earlier, environment, contentBefore); err != nil {
		return err
	}
	ran, _, err := c.ran(ctx, live, environment)
	for site, functions := range ran {
		for name, now := range functions {
			if content, had := input.Former[site][name]; had {
				content.CodeSHA256, content.Layers = now.CodeSHA256, now.Layers
				input.Former[site][name] = content
			}
		}
	}
	return err
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
	return c.contents(ctx, past, environment, contentAfter)
}

// contents are those of the steps of a release that an environment kept.
func (c *Core) contents(ctx context.Context, past ledger.Past, environment string, of func(*release.Plan, release.Step, release.Result) (release.Content, error)) (
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
		content, err := of(made, step, past.Results[step.ID])
		if err != nil {
			return nil, nil, err
		}
		if functions[step.Site] == nil {
			functions[step.Site] = map[string]release.Content{}
		}
		functions[step.Site][step.Function.Name] = content
	}
	return functions, made.Layers, nil
}

// contentAfter is what callers of a function got after a step that was carried out.
func contentAfter(made *release.Plan, step release.Step, result release.Result) (release.Content, error) {
	if !step.Change {
		return contentBefore(made, step, result)
	}
	layers, err := made.LayerARNs(step.Site.Region, step.Function.Layers)
	if err != nil {
		return release.Content{}, err
	}
	content := step.Function.Goal(layers)
	content.Version, content.RevisionID, content.UpdateStatus = runs(step, result), "", ""
	return content, nil
}

// contentBefore is what they got before it. An alias that was not there yet got nothing.
func contentBefore(_ *release.Plan, step release.Step, _ release.Result) (content release.Content, err error) {
	before := step.Function.Before
	switch {
	case step.Function.Alias == "" && before.Latest != nil:
		content = *before.Latest
	case step.Function.Alias != "" && before.Live != nil:
		content = *before.Live
	}
	content.RevisionID, content.UpdateStatus = "", "" // those of another time
	return content, nil
}
