package plan_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// wide is a release of 100 functions to 25 environments of 4 regions: 10,000 functions at 100 sites.
func wide() plan.Input {
	in := input()
	regions := []string{"us-east-1", "us-west-2", "eu-west-1", "ap-south-1"}
	in.Registry.Tools.Regions = regions
	in.Registry.Environments, in.App.Environments = nil, nil
	for i := range 25 {
		env := release.Environment{Name: fmt.Sprintf("env-%02d", i), Account: fmt.Sprintf("1000000000%02d", i), Regions: regions}
		in.Registry.Environments = append(in.Registry.Environments, env)
		in.App.Environments = append(in.App.Environments, env.Name)
	}
	in.Artifacts["code"], in.Artifacts["deps"] = artifact("code", 4000, regions...), artifact("deps", 10_000, regions...)
	spec := in.Manifest.Functions[0]
	in.Manifest.Functions = nil
	for i := range 100 {
		spec.Name = fmt.Sprintf("orders-%03d", i)
		in.Manifest.Functions = append(in.Manifest.Functions, spec)
	}
	in.Snapshots = map[release.Site]release.Snapshot{}
	for _, site := range plan.SnapshotSites(in.Registry, in.App, in.Manifest) {
		s := release.Snapshot{Site: site}
		if !site.InTools() {
			s.Functions = map[string]release.FunctionState{}
			for _, f := range in.Manifest.Functions {
				s.Functions[f.Name] = release.FunctionState{
					Name: f.Name, Latest: oldContent(site, release.LatestVersion), Live: oldContent(site, "12"),
					Alias: &release.AliasState{Version: "12"},
				}
			}
		}
		in.Snapshots[site] = s
	}
	return in
}

func TestTenThousandFunctionsFitOneExecution(t *testing.T) {
	p := mustWhole(t, wide())
	updates := 0
	for _, step := range p.Steps {
		if step.Kind == release.UpdateFunction && step.Change {
			updates++
		}
	}
	if updates != 10_000 || p.Events > plan.MaxEvents || p.Events < plan.MaxEvents/4 {
		t.Errorf("got %d updates with %d events, want 10,000 within %d", updates, p.Events, plan.MaxEvents)
	}
	if err := plan.Text(io.Discard, p, false); err != nil {
		t.Error(err)
	}
	if !slices.Equal(stepIDs(p)[:2], []string{
		"publish_layer/_tools/999999999999/us-east-1/orders-deps", "share_layer/_tools/999999999999/us-east-1/orders-deps",
	}) {
		t.Errorf("got first steps %q, want the layer's", stepIDs(p)[:2])
	}
}

func BenchmarkPlan10000Functions(b *testing.B) {
	in := wide()
	b.ReportAllocs()
	for b.Loop() {
		mustWhole(b, in)
	}
}
