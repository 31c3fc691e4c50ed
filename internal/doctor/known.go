package doctor

import (
	"context"
	"maps"
	"slices"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// known are the functions that are named by manifests or were released, and one
// staged object of each app for each site.
func (i *Inside) known(ctx context.Context, report *Report, q Question) ([]use, []staged) {
	var uses []use
	for _, m := range q.Manifests {
		app, known := i.Registry.App(m.App)
		if !known {
			report.look("manifest", m.App).fail("Add the app to the registry, or mend its name in the manifest.", "the registry has no app %q", m.App)
			continue
		}
		for _, env := range i.Registry.AppEnvironments(app) {
			for _, region := range env.Regions {
				for _, f := range m.Functions {
					uses = append(uses, use{targetOf(env, region, app), f.Name, f.Alias, true})
				}
			}
		}
	}
	released, objects := i.released(ctx, report)
	for _, u := range released {
		if !slices.ContainsFunc(uses, func(other use) bool { return other.name == u.name && other.target.Site == u.target.Site }) {
			uses = append(uses, u)
		}
	}
	if len(uses) == 0 {
		report.look("function", "").skip("no manifest names any, and %s", i.noneReleased())
	}
	return uses, objects
}

// noneReleased is why no release tells of a function.
func (i *Inside) noneReleased() string {
	if i.Ledger == nil {
		return "without a stack it is not looked up what was released: add --manifest"
	}
	return "nothing was released yet"
}

func (i *Inside) released(ctx context.Context, report *Report) (uses []use, objects []staged) {
	if i.Ledger == nil {
		return nil, nil
	}
	live, err := i.Ledger.Live(ctx, "", "")
	if err != nil {
		report.look("ledger", "").fail("Look at the log of the function.", "it cannot be read: %v", err)
		return nil, nil
	}
	asked := map[string]bool{}
	for _, entry := range live {
		env, there := i.Registry.Environment(entry.Environment)
		app, known := i.Registry.App(entry.App)
		if entry.Kind != ledger.LiveFunction || !there || !known || env.Account != entry.Account {
			continue // of the tools account, or the registry has let go of it
		}
		u := use{target: targetOf(env, entry.Region, app), name: entry.Name}
		uses = append(uses, u)
		if key := app.Name + " " + u.target.Site.String(); !asked[key] {
			asked[key] = true
			objects = append(objects, i.stagedFor(ctx, report, entry.Release, u.target)...)
		}
	}
	return uses, objects
}

// stagedFor is an object that a release staged for a site.
func (i *Inside) stagedFor(ctx context.Context, report *Report, releaseID string, t release.Target) []staged {
	artifacts, err := i.Ledger.Artifacts(ctx, releaseID)
	for _, name := range slices.Sorted(maps.Keys(artifacts)) {
		if object, ok := artifacts[name].Objects[t.Region]; ok {
			return []staged{{t, object}}
		}
	}
	l := report.look("staged code", t.App+" at "+t.Site.String())
	if err != nil {
		l.skip("the ledger could not be asked: %v", err)
	} else {
		l.skip("its last release staged nothing there")
	}
	return nil
}

func targetOf(env release.Environment, region string, app release.App) release.Target {
	return release.Target{
		Site: release.Site{Environment: env.Name, Account: env.Account, Region: region}, Role: env.Role, ExternalID: env.ExternalID,
		Resources: app.Resources, App: app.Name,
	}
}
