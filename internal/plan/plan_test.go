package plan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

func mustWhole(t testing.TB, in plan.Input) *release.Plan {
	t.Helper()
	p, err := plan.Whole(in)
	if err != nil {
		t.Fatalf("plan the whole release: %v", err)
	}
	return p
}

func mustEnvironment(t testing.TB, in plan.Input, name string) *release.Plan {
	t.Helper()
	p, err := plan.Environment(in, name)
	if err != nil {
		t.Fatalf("plan environment %q: %v", name, err)
	}
	return p
}

func stepIDs(p *release.Plan) []string {
	ids := make([]string, len(p.Steps))
	for i, step := range p.Steps {
		ids[i] = step.ID
	}
	return ids
}

func findStep(t testing.TB, p *release.Plan, id string) release.Step {
	t.Helper()
	i := slices.Index(stepIDs(p), id)
	if i < 0 {
		t.Fatalf("no step %q among %q", id, stepIDs(p))
	}
	return p.Steps[i]
}

func TestStepsAreInTheOrderInWhichTheyAreCarriedOut(t *testing.T) {
	p := mustWhole(t, input())
	want := []string{
		"publish_layer/_tools/999999999999/us-east-1/orders-deps",
		"share_layer/_tools/999999999999/us-east-1/orders-deps",
		"publish_layer/_tools/999999999999/eu-west-1/orders-deps",
		"share_layer/_tools/999999999999/eu-west-1/orders-deps",
		"update_function/dev/111111111111/us-east-1/orders-api",
		"shift_traffic/dev/111111111111/us-east-1/orders-api",
		"update_function/dev/111111111111/us-east-1/orders-worker",
		"update_function/prod/222222222222/us-east-1/orders-api",
		"shift_traffic/prod/222222222222/us-east-1/orders-api",
		"update_function/prod/222222222222/us-east-1/orders-worker",
		"update_function/prod/222222222222/eu-west-1/orders-api",
		"shift_traffic/prod/222222222222/eu-west-1/orders-api",
		"update_function/prod/222222222222/eu-west-1/orders-worker",
	}
	if got := stepIDs(p); !slices.Equal(got, want) {
		t.Errorf("steps:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if p.Changes() != len(p.Steps) {
		t.Errorf("got %d of %d steps changing something, want all", p.Changes(), len(p.Steps))
	}
	if !slices.Equal(p.Approvals, []string{"prod"}) {
		t.Errorf("got approvals %q, want prod", p.Approvals)
	}
}

func TestTheWholeLayerListStandsInAFunctionsStep(t *testing.T) {
	in := input()
	ref := release.LayerRef("orders-deps", release.LayerDigest("tree-deps", in.Manifest.Layers[0]))
	f := findStep(t, mustWhole(t, in), "update_function/prod/222222222222/eu-west-1/orders-worker").Function
	if want := []string{ref, foreignLayer}; !slices.Equal(f.Layers, want) {
		t.Errorf("got layers %q, want %q", f.Layers, want)
	}
	if f.Code != nil {
		t.Errorf("got code %+v for a function whose manifest leaves its code, want none", f.Code)
	}
}

func TestCodeAndLayersThatLatestHasAlreadyStay(t *testing.T) {
	in := input()
	publish(&in, toolsUS)
	change(&in, devSite, "orders-api", func(f *release.FunctionState) {
		f.Latest.CodeSHA256 = codeSHA("code")
		f.Latest.Layers[0].ARN = layerARN("us-east-1", "orders-deps", 7)
	})
	id := "update_function/dev/111111111111/us-east-1/orders-api"
	step := findStep(t, mustWhole(t, in), id)
	if !step.Change || step.Function.Code != nil || step.Function.Layers != nil {
		t.Errorf("got change %v, code %v, layers %q; want a new version of what $LATEST has", step.Change, step.Function.Code, step.Function.Layers)
	}
	change(&in, devSite, "orders-api", func(f *release.FunctionState) { f.Latest.UpdateStatus = "Failed" })
	step = findStep(t, mustWhole(t, in), id)
	if step.Function.Code == nil || len(step.Function.Layers) != 2 {
		t.Errorf("got code %v and layers %q after a failed update, want both again", step.Function.Code, step.Function.Layers)
	}
}

func TestAReleaseThatIsLiveEverywhereChangesNothing(t *testing.T) {
	in := input()
	carryOut(&in)
	p := mustWhole(t, in)
	for _, step := range p.Steps {
		if step.Change || step.Before != step.After {
			t.Errorf("%s: got change %v from %q to %q, want none", step.ID, step.Change, step.Before, step.After)
		}
	}
	if len(p.Steps) != 13 {
		t.Errorf("got %d steps, want all 13 told as unchanged", len(p.Steps))
	}
}

// Whether a snapshot reads $LATEST of an unchanged function depends on what it
// knew of layers; an approval must not be asked again for that.
func TestWhatTheSnapshotReadOfAnUnchangedFunctionMakesNoDifference(t *testing.T) {
	in := input()
	carryOut(&in)
	before := mustWhole(t, in).Fingerprint("prod")
	change(&in, prodUS, "orders-api", func(f *release.FunctionState) { f.Latest = oldContent(prodUS, release.LatestVersion) })
	if after := mustWhole(t, in).Fingerprint("prod"); after != before {
		t.Errorf("got another fingerprint, want the same")
	}
}

// one deviation of what was found per row
var deviations = []struct {
	name       string
	deviate    func(*plan.Input)
	wantChange string
}{
	{name: "another code is live", wantChange: "update_function/prod/222222222222/us-east-1/orders-api",
		deviate: func(in *plan.Input) {
			change(in, prodUS, "orders-api", func(f *release.FunctionState) {
				f.Live.CodeSHA256 = codeSHA("x")
				f.Latest = oldContent(prodUS, release.LatestVersion)
			})
		}},
	{name: "a variable has another value", wantChange: "update_function/prod/222222222222/us-east-1/orders-api",
		deviate: func(in *plan.Input) {
			change(in, prodUS, "orders-api", func(f *release.FunctionState) {
				f.Live.Environment["LOG_LEVEL"] = "x"
				f.Latest = oldContent(prodUS, release.LatestVersion)
			})
		}},
	{name: "the alias is missing", wantChange: "shift_traffic/dev/111111111111/us-east-1/orders-api",
		deviate: func(in *plan.Input) {
			change(in, devSite, "orders-api", func(f *release.FunctionState) {
				f.Alias, f.Live, f.Latest = nil, nil, newContent(devSite, release.LatestVersion)
			})
		}},
	{name: "an old layer version is used", wantChange: "update_function/prod/222222222222/eu-west-1/orders-worker",
		deviate: func(in *plan.Input) {
			change(in, prodEU, "orders-worker", func(f *release.FunctionState) { f.Latest.Layers[0].ARN = layerARN("eu-west-1", "orders-deps", 6) })
		}},
	{name: "a grant is missing", wantChange: "share_layer/_tools/999999999999/eu-west-1/orders-deps",
		deviate: func(in *plan.Input) {
			for digest, layer := range in.Snapshots[toolsEU].Layers {
				layer.Grants = layer.Grants[1:]
				in.Snapshots[toolsEU].Layers[digest] = layer
			}
		}},
	{name: "the layer is unpublished in a region", wantChange: "publish_layer/_tools/999999999999/eu-west-1/orders-deps",
		deviate: func(in *plan.Input) {
			clear(in.Snapshots[toolsEU].Layers)
			change(in, prodEU, "orders-api", func(f *release.FunctionState) { f.Latest = newContent(prodEU, release.LatestVersion) })
		}},
}

func TestADeviationChangesItsStepAndNoOtherRegion(t *testing.T) {
	for _, test := range deviations {
		t.Run(test.name, func(t *testing.T) {
			in := input()
			carryOut(&in)
			test.deviate(&in)
			p := mustWhole(t, in)
			step := findStep(t, p, test.wantChange)
			if !step.Change || step.Before == step.After {
				t.Errorf("%s: got change %v from %q to %q, want a change", step.ID, step.Change, step.Before, step.After)
			}
			for _, other := range p.Steps {
				if other.Change && other.Site.Region != step.Site.Region {
					t.Errorf("%s changes too", other.ID)
				}
				if !other.Change && other.Before != other.After {
					t.Errorf("%s: got %q to %q without a change", other.ID, other.Before, other.After)
				}
			}
		})
	}
}

func TestGrantsAreTheTargetsAndWhatBothFilesAllow(t *testing.T) {
	tests := []struct {
		name   string
		edit   func(*plan.Input)
		region release.Site
		want   string
	}{
		{"accounts of the region, then what the manifest shares", func(*plan.Input) {}, toolsUS,
			"account 111111111111, account 222222222222, account 333333333333, organization o-abc1234567"},
		{"an environment elsewhere gets nothing", func(*plan.Input) {}, toolsEU,
			"account 222222222222, account 333333333333, organization o-abc1234567"},
		{"the tools account needs no grant", func(in *plan.Input) {
			in.Registry.Environments[1].Account = toolsAccount
			for _, site := range []release.Site{prodUS, prodEU} {
				s := in.Snapshots[site]
				site.Account = toolsAccount
				in.Snapshots[site] = s
			}
			in.Manifest.Layers[0].Share = release.Sharing{}
		}, toolsEU, ""},
		{"everyone when both say so", func(in *plan.Input) {
			in.App.Sharing.Public, in.Manifest.Layers[0].Share = true, release.Sharing{Public: true}
		}, toolsEU, "account 222222222222, everyone"},
		{"not everyone when only the registry allows it", func(in *plan.Input) {
			in.App.Sharing.Public, in.Manifest.Layers[0].Share = true, release.Sharing{}
		}, toolsEU, "account 222222222222"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := input()
			test.edit(&in)
			step := findStep(t, mustWhole(t, in), release.StepID(release.ShareLayer, test.region, "orders-deps"))
			var names []string
			for _, grant := range step.Share.Grants {
				names = append(names, grant.String())
			}
			if got := strings.Join(names, ", "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if len(step.Share.Missing) != len(step.Share.Grants) {
				t.Errorf("got %d missing, want all %d", len(step.Share.Missing), len(step.Share.Grants))
			}
		})
	}
}

func TestALayerThatNoFunctionUsesIsPublishedInEveryToolsRegion(t *testing.T) {
	in := input()
	in.Manifest.Functions = nil
	got := plan.SnapshotSites(in.Registry, in.App, in.Manifest)
	toolsAP := release.Site{Environment: release.ToolsEnvironment, Account: toolsAccount, Region: "ap-south-1"}
	if want := append(slices.Clone(allSites), toolsAP); !slices.Equal(got, want) {
		t.Errorf("got sites %v, want %v", got, want)
	}
	if got := plan.SnapshotSites(in.Registry, in.App, manifest()); !slices.Equal(got, allSites) {
		t.Errorf("got sites %v for a layer that is used, want %v", got, allSites)
	}
}

func TestAnEnvironmentsPlanHasItsStepsAccessAndBake(t *testing.T) {
	in := input()
	publish(&in, toolsUS)
	publish(&in, toolsEU)
	p := mustEnvironment(t, in, "prod")
	for _, step := range p.Steps {
		if step.Site.Environment != "prod" {
			t.Errorf("got step %s, want only prod's", step.ID)
		}
	}
	want := []release.LayerAccess{
		{Site: prodUS, Function: "orders-api", Layer: layerARN("us-east-1", "orders-deps", 7)},
		{Site: prodUS, Function: "orders-worker", Layer: layerARN("us-east-1", "orders-deps", 7)},
		{Site: prodEU, Function: "orders-api", Layer: layerARN("eu-west-1", "orders-deps", 7)},
		{Site: prodEU, Function: "orders-worker", Layer: layerARN("eu-west-1", "orders-deps", 7)},
	}
	if !slices.Equal(p.Access, want) {
		t.Errorf("got access %+v, want %+v", p.Access, want)
	}
	if p.Bake != release.Duration(10*time.Minute) || p.Environment != "prod" {
		t.Errorf("got bake %v in %q, want 10m in prod", time.Duration(p.Bake), p.Environment)
	}
	arns, err := p.LayerARNs("eu-west-1", findStep(t, p, "update_function/prod/222222222222/eu-west-1/orders-worker").Function.Layers)
	if err != nil || arns[0] != layerARN("eu-west-1", "orders-deps", 7) {
		t.Errorf("got layers %q, %v; want the published version first", arns, err)
	}
}

func TestTheFingerprintOutlivesThePublishingOfLayers(t *testing.T) {
	whole := mustWhole(t, input())
	in := input()
	in.Now = in.Now.Add(48 * time.Hour)
	publish(&in, toolsUS)
	publish(&in, toolsEU)
	for _, site := range []release.Site{devSite, prodUS, prodEU} {
		change(&in, site, "orders-api", func(f *release.FunctionState) {
			f.Latest.RevisionID, f.Live.RevisionID, f.Alias.RevisionID = "new", "new", "new"
		})
	}
	for _, env := range []string{"dev", "prod"} {
		p := mustEnvironment(t, in, env)
		if p.Fingerprint(env) != whole.Fingerprint(env) {
			t.Errorf("%s: got another fingerprint after the layers were published, want the same", env)
		}
		if p.Poll != whole.Poll || p.Events != whole.Events {
			t.Errorf("%s: got poll %v and %d events, want %v and %d", env, p.Poll, p.Events, whole.Poll, whole.Events)
		}
	}
	change(&in, prodUS, "orders-worker", func(f *release.FunctionState) { f.Latest.Handler = "other.handler" })
	if mustEnvironment(t, in, "prod").Fingerprint("prod") == whole.Fingerprint("prod") {
		t.Errorf("got the same fingerprint after somebody changed a function, want another")
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	first, err := json.Marshal(mustWhole(t, input()))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := json.Marshal(mustWhole(t, input()))
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(first) {
			t.Fatalf("got\n%s\nwant\n%s", again, first)
		}
	}
}

func TestAPlanSurvivesItsStoredForm(t *testing.T) {
	p := mustWhole(t, input())
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var stored release.Plan
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Fingerprint("prod") != p.Fingerprint("prod") {
		t.Errorf("got another fingerprint from the stored plan, want the same")
	}
}

func TestSnapshotsAreToldWhatToLookAt(t *testing.T) {
	in := input()
	looks, err := plan.Wants(in, nil, prodEU)
	if err != nil {
		t.Fatal(err)
	}
	ref := release.LayerRef("orders-deps", release.LayerDigest("tree-deps", in.Manifest.Layers[0]))
	if len(looks.Functions) != 2 || looks.Functions[0].CodeSHA256 != codeSHA("code") || looks.Functions[0].Layers[0].Version != ref {
		t.Errorf("got %+v, want both functions with the layer %s", looks.Functions, ref)
	}
	arn := layerARN("eu-west-1", "orders-deps", 7)
	looks, err = plan.Wants(in, map[string]string{release.LayerKey("eu-west-1", ref): arn}, prodEU)
	if err != nil || looks.Functions[1].Layers[0].Version != arn {
		t.Errorf("got %+v, %v; want the published layer %s", looks.Functions, err, arn)
	}
	looks, err = plan.Wants(in, nil, toolsEU)
	if err != nil || len(looks.Functions) != 0 || len(looks.Layers) != 1 || looks.Layers[0].CodeSHA256 != codeSHA("deps") {
		t.Errorf("got %+v, %v; want the layer alone", looks, err)
	}
	delete(in.Artifacts, "deps")
	if _, err := plan.Wants(in, nil, toolsEU); release.KindOf(err) != release.Invalid {
		t.Errorf("got error %v without the artifact, want an invalid one", err)
	}
}

func TestAPublishedVersionSaysWhereItComesFrom(t *testing.T) {
	in := input()
	id := "update_function/dev/111111111111/us-east-1/orders-api"
	got := findStep(t, mustWhole(t, in), id).Function.Description
	if want := "orders 1.4.0 (release orders-1-4-0-0123456789abcdef0123-1)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	in.Release.Version = strings.Repeat("é", 300)
	got = findStep(t, mustWhole(t, in), id).Function.Description
	if n := len([]rune(got)); n != 256 {
		t.Errorf("got %d characters, want the 256 that Lambda takes", n)
	}
}

func TestWarningsAreSorted(t *testing.T) {
	in := input()
	for _, site := range []release.Site{prodUS, prodEU, devSite} {
		change(&in, site, "orders-api", func(f *release.FunctionState) { f.Latest.Handler = "by.hand" })
	}
	if got := mustWhole(t, in).Warnings; len(got) != 3 || !slices.IsSorted(got) {
		t.Errorf("got warnings %q, want three in order", got)
	}
}
