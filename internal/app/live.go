package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// live is what runs on the environment's targets now: functions, and the
// release's own layers that they use. Layers that none of them uses are made for
// others and live in the tools account.
//
// What was found to be as wanted already belongs to this release from now on,
// version and commit, and keeps its time: Since says since when the target runs
// what it runs.
func (c *Core) live(ctx context.Context, rel *release.Release, environment string) ([]ledger.Live, error) {
	plan, err := c.plan(ctx, rel, release.Site{Environment: environment})
	if err != nil {
		return nil, err
	}
	var manifest release.Manifest
	if err := c.Documents.Get(ctx, rel.Manifest, &manifest); err != nil {
		return nil, err
	}
	results, err := c.Ledger.Results(ctx, rel.ID)
	if err != nil {
		return nil, err
	}
	before, err := c.Ledger.Live(ctx, rel.App, "")
	if err != nil {
		return nil, err
	}
	now := c.Clock.Now()
	live := append(liveFunctions(plan, results, now), liveLayers(plan, manifest)...)
	for i := range live {
		live[i].App, live[i].Version, live[i].Commit, live[i].Release = rel.App, rel.Version, rel.Source.Commit, rel.ID
		live[i].Since = since(live[i], before, now)
	}
	return live, nil
}

// liveFunctions are the functions of a plan; those that it changed have their time.
func liveFunctions(plan *release.Plan, results map[string]release.Result, now time.Time) []ledger.Live {
	var live []ledger.Live
	for _, step := range plan.Steps {
		if step.Kind != release.UpdateFunction {
			continue
		}
		entry := liveAt(step.Site, ledger.LiveFunction, step.Target, runs(step, results[step.ID]))
		if step.Change {
			entry.Since = now
		}
		live = append(live, entry)
	}
	return live
}

func liveAt(site release.Site, kind, name, detail string) ledger.Live {
	return ledger.Live{
		Environment: site.Environment, Account: site.Account, Region: site.Region, Kind: kind, Name: name, Detail: detail,
	}
}

// runs is the version of a function that its callers get.
func runs(step release.Step, result release.Result) string {
	switch {
	case step.Function.Alias == "":
		return release.LatestVersion
	case step.Change:
		return result.Version
	case step.Function.Before.Alias != nil:
		return step.Function.Before.Alias.Version
	}
	return ""
}

// liveLayers are the release's own layers: at the sites of the functions that
// use them, or in the tools account.
func liveLayers(plan *release.Plan, manifest release.Manifest) []ledger.Live {
	var live []ledger.Live
	seen := map[ledger.Live]bool{}
	add := func(entry ledger.Live) {
		if entry.Detail != "" && !seen[entry] {
			seen[entry] = true
			live = append(live, entry)
		}
	}
	used := map[string]bool{}
	for _, step := range plan.Steps {
		if step.Kind != release.UpdateFunction {
			continue
		}
		spec, _ := manifest.Function(step.Target) // the plan was made from it
		for _, name := range spec.Layers {
			used[name] = true
			add(liveAt(step.Site, ledger.LiveLayer, name, publishedIn(plan, step.Site.Region, name)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(plan.Layers)) {
		region, name := layerOf(key)
		if arn := plan.Layers[key]; !used[name] {
			site := release.Site{Environment: release.ToolsEnvironment, Account: accountOf(arn), Region: region}
			add(liveAt(site, ledger.LiveLayer, name, arn))
		}
	}
	return live
}

// publishedIn is the ARN of the plan's version of a layer in a region.
func publishedIn(plan *release.Plan, region, layer string) string {
	for key, arn := range plan.Layers {
		if r, name := layerOf(key); r == region && name == layer {
			return arn
		}
	}
	return ""
}

// layerOf takes a [release.LayerKey] apart.
func layerOf(key string) (region, name string) {
	region, ref, _ := strings.Cut(key, "/")
	name, _, _ = strings.Cut(ref, "@")
	return region, name
}

// accountOf is the account in an ARN.
func accountOf(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 4 {
		return parts[4]
	}
	return ""
}

// since is the time of an entry: that of the entry before, if it says the same
// or the release wrote it itself.
func since(entry ledger.Live, before []ledger.Live, now time.Time) time.Time {
	i := slices.IndexFunc(before, func(b ledger.Live) bool {
		return b.Environment == entry.Environment && b.Account == entry.Account && b.Region == entry.Region &&
			b.Kind == entry.Kind && b.Name == entry.Name && b.Detail == entry.Detail
	})
	if i >= 0 && (entry.Since.IsZero() || before[i].Release == entry.Release) {
		return before[i].Since
	}
	return now
}

// liveVersion is the version that was released last to an environment; empty if
// none was. What a later release has left out of its manifest does not count.
func (c *Core) liveVersion(ctx context.Context, app, environment string) (string, error) {
	live, err := c.Ledger.Live(ctx, app, environment)
	if err != nil {
		return "", err
	}
	byRelease := map[string]string{}
	for _, entry := range live {
		byRelease[entry.Release] = entry.Version
	}
	var last release.Release
	for _, id := range slices.Sorted(maps.Keys(byRelease)) {
		if len(byRelease) == 1 {
			return byRelease[id], nil
		}
		rel, err := c.Ledger.Release(ctx, id)
		if err != nil {
			return "", err
		}
		since, _ := rel.DoneIn(environment)
		if before, _ := last.DoneIn(environment); since.After(before) {
			last = rel
		}
	}
	return last.Version, nil
}
