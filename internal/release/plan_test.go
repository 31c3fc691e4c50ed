package release

import (
	"slices"
	"testing"
	"time"
)

func TestLayerDigest(t *testing.T) {
	spec := LayerSpec{Name: "deps", Runtimes: []string{"python3.12", "python3.13"}, Architectures: []string{"x86_64", "arm64"}}
	change := func(edit func(s *LayerSpec)) LayerSpec {
		s := spec
		edit(&s)
		return s
	}
	tests := []struct {
		name string
		tree string
		spec LayerSpec
		same bool
	}{
		{"the order of runtimes and architectures does not matter", "tree", change(func(s *LayerSpec) {
			s.Runtimes, s.Architectures = []string{"python3.13", "python3.12"}, []string{"arm64", "x86_64"}
		}), true},
		{"neither do name, description, sharing and keeping", "tree", change(func(s *LayerSpec) {
			s.Name, s.Description, s.Keep, s.Share = "other", "x", 3, Sharing{Public: true}
		}), true},
		{"another tree is another layer", "tree2", spec, false},
		{"another runtime is another layer", "tree", change(func(s *LayerSpec) { s.Runtimes = []string{"python3.13"} }), false},
		{"another architecture is another layer", "tree", change(func(s *LayerSpec) { s.Architectures = nil }), false},
		{"a runtime is no architecture", "tree", change(func(s *LayerSpec) { s.Runtimes, s.Architectures = s.Architectures, s.Runtimes }), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if same := LayerDigest(test.tree, test.spec) == LayerDigest("tree", spec); same != test.same {
				t.Errorf("got the same %t, want %t", same, test.same)
			}
		})
	}
	if spec.Runtimes[0] != "python3.12" || spec.Architectures[0] != "x86_64" {
		t.Errorf("the argument was sorted: %+v", spec)
	}
}

// aPlan changes a function in dev and another in prod.
func aPlan() Plan {
	step := func(env string) Step {
		site := Site{Environment: env, Account: "111111111111", Region: "us-east-1"}
		return Step{
			ID: StepID(UpdateFunction, site, "api"), Kind: UpdateFunction, Target: "api", Site: site, Change: true, Before: "1", After: "2",
			Function: &FunctionStep{Name: "api", Alias: "live", Before: FunctionState{
				Name: "api", Latest: &Content{Version: LatestVersion, CodeSHA256: "a", RevisionID: "r1", UpdateStatus: "InProgress"},
				Live: &Content{Version: "1", RevisionID: "r2"}, Alias: &AliasState{Version: "1", RevisionID: "r3"},
			}},
		}
	}
	shift := step("dev")
	shift.Kind, shift.Function = ShiftTraffic, nil
	shift.Shift = &ShiftStep{Name: "api", Alias: "live", Before: AliasState{Version: "1", RevisionID: "r3"}}
	return Plan{Schema: PlanSchema, Release: "r", Made: time.Unix(0, 0), Steps: []Step{step("dev"), shift, step("prod")}}
}

func TestPlanFingerprint(t *testing.T) {
	tests := []struct {
		name string
		edit func(p *Plan)
		same bool
	}{
		{"when it was made does not matter", func(p *Plan) { p.Made, p.Release = time.Unix(1, 0), "other" }, true},
		{"neither does another environment", func(p *Plan) { p.Steps[2].After = "3" }, true},
		{"nor that there is one", func(p *Plan) { p.Steps = p.Steps[:2] }, true},
		{"nor revisions, which change by themselves", func(p *Plan) {
			before := &p.Steps[0].Function.Before
			before.Latest.RevisionID, before.Latest.UpdateStatus = "x", "Successful"
			before.Live.RevisionID, before.Alias.RevisionID = "x", "x"
			p.Steps[1].Shift.Before.RevisionID = "x"
		}, true},
		{"what will be matters", func(p *Plan) { p.Steps[0].Function.Handler = "app.main" }, false},
		{"what is there matters", func(p *Plan) { p.Steps[0].Function.Before.Latest.CodeSHA256 = "b" }, false},
		{"where the alias is matters", func(p *Plan) { p.Steps[1].Shift.Before.Version = "2" }, false},
		{"whether there is a change matters", func(p *Plan) { p.Steps[0].Change = false }, false},
		{"a step less matters", func(p *Plan) { p.Steps = p.Steps[1:] }, false},
		{"the order matters", func(p *Plan) { p.Steps[0], p.Steps[1] = p.Steps[1], p.Steps[0] }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			one, other := aPlan(), aPlan()
			test.edit(&other)
			if same := one.Fingerprint("dev") == other.Fingerprint("dev"); same != test.same {
				t.Errorf("got the same %t, want %t", same, test.same)
			}
		})
	}
	p := aPlan()
	p.Fingerprint("dev")
	if p.Steps[0].Function.Before.Latest.RevisionID != "r1" || p.Steps[1].Shift.Before.RevisionID != "r3" {
		t.Error("the fingerprint changed the plan")
	}
}

func TestPlanSitesAndChanges(t *testing.T) {
	p := aPlan()
	p.Steps = append(p.Steps, p.Steps[0]) // a second function at the same site
	dev, prod := p.Steps[0].Site, p.Steps[2].Site
	if got := p.Sites(PhaseUpdate); !slices.Equal(got, []Site{dev, prod}) {
		t.Errorf("update: got %v", got)
	}
	if got := p.Sites(PhaseShift); !slices.Equal(got, []Site{dev}) {
		t.Errorf("shift: got %v", got)
	}
	if got := p.Sites(PhasePublish); got == nil || len(got) != 0 {
		t.Errorf("publish: got %v, want an empty list, as JSON too", got)
	}
	p.Steps[2].Change = false
	if got := p.Sites(PhaseUpdate); !slices.Equal(got, []Site{dev}) {
		t.Errorf("without a change in prod: got %v", got)
	}
	if got := p.Changes(); got != 3 {
		t.Errorf("got %d changes, want 3", got)
	}
}

func TestPlanLayerARNs(t *testing.T) {
	ref := LayerRef("deps", "digest")
	p := Plan{Layers: map[string]string{LayerKey("us-east-1", ref): own + "5"}}
	got, err := p.LayerARNs("us-east-1", []string{tracing, ref})
	if err != nil || !slices.Equal(got, []string{tracing, own + "5"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := p.LayerARNs("eu-west-1", []string{ref}); err == nil {
		t.Error("a layer of another region was taken")
	}
}

func TestGrants(t *testing.T) {
	for _, test := range []struct {
		grant    Grant
		id, text string
	}{
		{Grant{Account: "333333333333"}, "tagboat-account-333333333333", "account 333333333333"},
		{Grant{Organization: "o-abc1234567"}, "tagboat-organization-o-abc1234567", "organization o-abc1234567"},
		{Grant{Public: true}, "tagboat-public", "everyone"},
	} {
		if test.grant.StatementID() != test.id || test.grant.String() != test.text {
			t.Errorf("got %q, %q, want %q, %q", test.grant.StatementID(), test.grant, test.id, test.text)
		}
	}
}

func TestStepsHaveTheirPhases(t *testing.T) {
	for kind, phase := range map[StepKind]Phase{
		PublishLayer: PhasePublish, ShareLayer: PhaseShare, UpdateFunction: PhaseUpdate, ShiftTraffic: PhaseShift, "other": "",
	} {
		if got := kind.Phase(); got != phase {
			t.Errorf("kind %q: got phase %q, want %q", kind, got, phase)
		}
	}
	site := Site{Environment: "dev", Account: "111111111111", Region: "us-east-1"}
	if got, want := StepID(UpdateFunction, site, "api"), "update_function/dev/111111111111/us-east-1/api"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if site.InTools() || !(Site{Environment: ToolsEnvironment}).InTools() {
		t.Error("the tools account's own site is not told apart")
	}
}
