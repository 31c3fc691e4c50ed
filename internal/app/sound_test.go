package app_test

import (
	"context"
	"encoding/json"
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
	problems = append(problems, w.wrongGrants(rels)...)
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
	pending := func(p release.Progress) bool { return p.State != release.EnvironmentDone }
	if rel.State != release.Succeeded && len(rel.Environments) > 0 && !slices.ContainsFunc(rel.Environments, pending) {
		problems = append(problems, fmt.Sprintf("release %s is %s with every environment done", rel.ID, rel.State))
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

// published tells whether a layer version exists.
func (w *world) published(arn string) bool {
	parts := strings.Split(arn, ":")
	for _, v := range w.Cloud.LayerVersions(parts[4], parts[3], parts[6]) {
		if v.ARN == arn {
			return true
		}
	}
	return false
}

// wrongGrants are those of the layer versions that releases have to do with: what was recorded
// as shared has to be granted, and nothing that none of them plans to share.
func (w *world) wrongGrants(rels []release.Release) []string {
	w.t.Helper()
	granted, planned := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, rel := range rels {
		if rel.Plan == (release.Pointer{}) {
			continue
		}
		made, results := w.planAt(rel.Plan), w.results(rel.ID)
		for _, step := range made.Steps {
			if step.Share == nil {
				continue
			}
			arn := step.Share.Layer
			if arn == "" {
				arn = results[release.StepID(release.PublishLayer, step.Site, step.Share.Name)].LayerVersion
			}
			if planned[arn] == nil {
				granted[arn], planned[arn] = map[string]bool{}, map[string]bool{}
			}
			for _, grant := range step.Share.Grants {
				planned[arn][grant.String()] = true
				if results[step.ID].State == release.StepDone || !step.Change && !rel.Request.DryRun {
					granted[arn][grant.String()] = true
				}
			}
		}
	}
	taken := map[string]bool{}
	for _, r := range w.revocations() {
		taken[r.Layer+" "+r.Grant.String()] = true
	}
	var problems []string
	for arn := range planned {
		there := w.grantsOf(arn)
		for who := range there {
			if !planned[arn][who] {
				problems = append(problems, fmt.Sprintf("layer %s is granted to %s, which no release says", arn, who))
			}
		}
		for who := range granted[arn] {
			if !there[who] && !taken[arn+" "+who] && w.published(arn) {
				problems = append(problems, fmt.Sprintf("layer %s was shared with %s, and is not", arn, who))
			}
		}
	}
	return problems
}

// grantsOf are those of a layer version, in the words of a plan.
func (w *world) grantsOf(arn string) map[string]bool {
	grants := map[string]bool{}
	parts := strings.Split(arn, ":")
	if len(parts) < 7 {
		return grants
	}
	for _, v := range w.Cloud.LayerVersions(parts[4], parts[3], parts[6]) {
		if v.ARN != arn {
			continue
		}
		for _, g := range v.Grants {
			grant := release.Grant{Account: g.Principal}
			if g.Principal == "*" {
				grant = release.Grant{Organization: g.OrganizationID, Public: g.OrganizationID == ""}
			}
			grants[grant.String()] = true
		}
	}
	return grants
}

// planAt reads a plan that a release pinned.
func (w *world) planAt(at release.Pointer) (made release.Plan) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var text []byte
		err := w.Local.Core().Documents.Get(ctx, at, &text)
		if err == nil {
			err = json.Unmarshal(text, &made)
		}
		if err != nil {
			w.t.Errorf("plan %+v: %v", at, err)
		}
	})
	return made
}

func (w *world) results(id string) (results map[string]release.Result) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if results, err = w.Local.Core().Ledger.Results(ctx, id); err != nil {
			w.t.Error(err)
		}
	})
	return results
}

// notAsPlanned are the functions of an environment that is done which are not what the
// release brings, as far as it is the last that was there.
func (w *world) notAsPlanned(rel release.Release, environment string) []string {
	w.t.Helper()
	progress, _ := rel.Environment(environment) // it is done
	made, results := w.planAt(progress.Plan), w.results(rel.ID)
	own := map[string]bool{}
	for _, l := range w.live() {
		own[l.Name+l.Account+l.Region] = l.Release == rel.ID
	}
	var problems []string
	for _, step := range made.Steps {
		at := step.Site.String() + "/" + step.Target
		if step.Function == nil || !step.Change || !own[step.Function.Name+step.Site.Account+step.Site.Region] || !w.byHand[at].IsZero() {
			continue
		}
		f, _ := w.Cloud.Function(step.Site.Account, step.Site.Region, step.Function.Name)
		version, ok := f.Latest, true
		if alias := step.Function.Alias; alias != "" {
			if version, ok = f.Version(f.Aliases[alias].Version); !ok || version.Version != results[step.ID].Version {
				problems = append(problems, fmt.Sprintf("%s runs version %q, and the release published %q", at, version.Version, results[step.ID].Version))
			}
		}
		if code := step.Function.Code; code != nil && version.CodeSha256 != code.CodeSHA256 {
			problems = append(problems, fmt.Sprintf("%s runs code %s, and the release brings %s", at, version.CodeSha256, code.CodeSHA256))
		}
		arns, err := made.LayerARNs(step.Site.Region, step.Function.Layers)
		if err != nil || step.Function.Layers != nil && !slices.Equal(arns, version.Layers) {
			problems = append(problems, fmt.Sprintf("%s uses layers %v, and the release brings %v (%v)", at, version.Layers, arns, err))
		}
	}
	return problems
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
