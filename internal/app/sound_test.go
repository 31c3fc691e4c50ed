package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// sound checks what must hold whenever nothing is under way, whatever happened.
func (w *world) sound() {
	w.t.Helper()
	for _, problem := range w.problems() {
		w.t.Error(problem)
	}
}

// problems are what is wrong with the world when nothing is under way.
func (w *world) problems() []string {
	w.t.Helper()
	var rels []release.Release
	w.read(func(ctx context.Context) {
		var err error
		if rels, err = w.Local.Core().Ledger.List(ctx, ledger.Filter{DryRuns: true}); err != nil {
			w.t.Fatal(err)
		}
	})
	var problems []string
	dirty := map[string]bool{}
	for _, rel := range rels {
		problems = append(problems, w.problemsOf(rel)...)
		for _, progress := range rel.Environments {
			dirty[fmt.Sprintf("env/%s/%s", rel.App, progress.Name)] = dirty[fmt.Sprintf("env/%s/%s", rel.App, progress.Name)] ||
				progress.State == release.EnvironmentDirty
		}
	}
	for name, lease := range w.leases() {
		if !dirty[name] || lease.Dirty == "" {
			problems = append(problems, fmt.Sprintf("lease %s is held by %+v (dirty %q)", name, lease.Holder, lease.Dirty))
		}
	}
	for name, is := range dirty {
		if _, held := w.leases()[name]; is && !held {
			problems = append(problems, fmt.Sprintf("lease %s of a dirty environment is free", name))
		}
	}
	problems = append(problems, w.wrongAliases(dirty)...)
	return append(problems, w.wrongLive(dirty)...)
}

func (w *world) problemsOf(rel release.Release) []string {
	var problems []string
	if !rel.State.Ended() {
		problems = append(problems, fmt.Sprintf("release %s is %s, not ended", rel.ID, rel.State))
	}
	if rel.State != release.Succeeded && rel.Error == "" {
		problems = append(problems, fmt.Sprintf("release %s is %s and says nothing", rel.ID, rel.State))
	}
	if rel.State == release.Succeeded && rel.Error != "" {
		problems = append(problems, fmt.Sprintf("release %s succeeded and says %q", rel.ID, rel.Error))
	}
	for _, progress := range rel.Environments {
		wrong := progress.State == release.EnvironmentOpen ||
			rel.State == release.Succeeded && progress.State != release.EnvironmentDone && !rel.Request.DryRun ||
			(rel.State == release.FailedDirty) != anyDirty(rel)
		if wrong {
			problems = append(problems, fmt.Sprintf("release %s is %s with environment %s %s", rel.ID, rel.State, progress.Name, progress.State))
		}
	}
	w.read(func(ctx context.Context) {
		results, err := w.Local.Core().Ledger.Results(ctx, rel.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		for id, result := range results {
			if result.LayerVersion != "" && !w.published(result.LayerVersion) {
				problems = append(problems, fmt.Sprintf("step %s recorded %s, which does not exist", id, result.LayerVersion))
			}
		}
	})
	return problems
}

func anyDirty(rel release.Release) bool {
	return slices.ContainsFunc(rel.Environments, func(p release.Progress) bool { return p.State == release.EnvironmentDirty })
}

// published tells whether a layer version exists, granted as the demo's manifest asks.
func (w *world) published(arn string) bool {
	parts := strings.Split(arn, ":")
	for _, v := range w.Cloud.LayerVersions(parts[4], parts[3], parts[6]) {
		if v.ARN == arn {
			return true
		}
	}
	return false
}

// wrongAliases are those in the middle of a shift.
func (w *world) wrongAliases(dirty map[string]bool) []string {
	var problems []string
	for _, site := range demo.Sites() {
		if dirty["env/orders/"+site.Environment] {
			continue
		}
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			f, _ := w.Cloud.Function(site.Account, site.Region, name)
			for alias, state := range f.Aliases {
				if len(state.Weights) != 0 {
					problems = append(problems, fmt.Sprintf("alias %s of %s in %s has weights %v", alias, name, site, state.Weights))
				}
			}
		}
	}
	return problems
}

// wrongLive are the ledger's entries that are not what runs.
func (w *world) wrongLive(dirty map[string]bool) []string {
	var problems []string
	for _, l := range w.live() {
		if l.Kind != ledger.LiveFunction || l.Detail == release.LatestVersion || dirty["env/orders/"+l.Environment] {
			continue
		}
		f, ok := w.Cloud.Function(l.Account, l.Region, l.Name)
		if at := f.Aliases["live"].Version; !ok || at != l.Detail {
			problems = append(problems, fmt.Sprintf("%s in %s, %s runs version %s, and the ledger says %s", l.Name, l.Account, l.Region, at, l.Detail))
		}
	}
	return problems
}
