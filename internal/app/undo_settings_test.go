package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// modest is a manifest that sets nothing but the code of its functions, and
// callers of orders-worker use $LATEST.
const modest = `app: orders
artifacts:
  deps: {archive: layer}
  code: {archive: src}
layers:
  - {name: orders-deps, artifact: deps, runtimes: [python3.13]}
functions:
  - name: orders-api
    artifact: code
    alias: live
  - name: orders-worker
    artifact: code
`

// settings are all that a release may change of what the callers of the functions
// get, and of $LATEST.
func (w *world) settings(environment string) map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, site := range demo.Sites() {
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			if site.Environment != environment {
				continue
			}
			f, err := w.Function(site, name)
			if err != nil {
				w.t.Fatal(err)
			}
			found[site.String()+"/"+name+"/latest"] = settingsOf(f.Latest)
			if alias, ok := f.Aliases["live"]; ok {
				version, _ := f.Version(alias.Version)
				found[site.String()+"/"+name+"/live"] = settingsOf(version) + fmt.Sprint(alias.Weights)
			}
		}
	}
	return found
}

func settingsOf(v sim.VersionState) string {
	c := v.Configuration
	return fmt.Sprintf("code %s, layers %v, %s %v %v", v.CodeSha256, v.Layers, c.Runtime, value(c.Handler), v.Environment)
}

// inProd gives the variables of functions in prod by hand.
func (w *world) inProd(name string, variables map[string]string) {
	w.t.Helper()
	for _, region := range []string{demo.Home, demo.Europe} {
		w.configure(demo.Prod, region, name, &lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: variables}})
	}
}

// with are files of the n-th code with a manifest.
func with(n int, manifest string) github.Files {
	f := demo.Files(code(n), "2.32.1")
	f["tagboat.yaml"] = github.Text(manifest)
	return f
}

// onlyAPI leaves the function without an alias out.
func onlyAPI(t *testing.T, manifest string) string {
	t.Helper()
	return edited(t, manifest, "  - name: orders-worker\n    artifact: code\n", "")
}

func TestARollBackBringsBackTheSettingsToo(t *testing.T) {
	const api, worker = "  - name: orders-api\n", "  - name: orders-worker\n"
	for _, test := range []struct {
		name     string
		good     string
		bad      func(good string) string
		sameCode bool
	}{
		{name: "a variable is new, and nothing else", sameCode: true, bad: func(good string) string {
			return edited(t, good, api, api+"    environment: {FEATURE: \"on\"}\n", worker, worker+"    environment: {FEATURE: \"on\"}\n")
		}},
		{name: "a variable is new, and so is the code", bad: func(good string) string {
			return edited(t, good, api, api+"    environment: {FEATURE: \"on\"}\n", worker, worker+"    environment: {FEATURE: \"on\"}\n")
		}},
		{name: "a variable that was set by hand has another value", bad: func(good string) string {
			return edited(t, good, api, api+"    environment: {LOG_LEVEL: \"debug\"}\n")
		}},
		{name: "a variable of the manifest has another value", sameCode: true,
			good: edited(t, modest, worker, worker+"    environment: {MODE: calm}\n"), bad: func(good string) string {
				return edited(t, good, "MODE: calm", "MODE: wild")
			}},
		{name: "runtime and handler", sameCode: true, bad: func(good string) string {
			return edited(t, good, api, api+"    runtime: python3.13\n    handler: app.main\n", worker, worker+"    handler: app.main\n")
		}},
		{name: "the first layer", sameCode: true, bad: func(good string) string {
			return edited(t, good, api, api+"    layers: [orders-deps]\n", worker, worker+"    layers: [orders-deps]\n")
		}},
		{name: "code that the manifest did not name", good: edited(t, modest, api+"    artifact: code\n", api+"    handler: app.handler\n"), bad: func(good string) string {
			return edited(t, good, api, api+"    artifact: code\n")
		}},
		{name: "everything", bad: func(good string) string {
			return edited(t, good, api, api+"    layers: [orders-deps]\n    runtime: python3.13\n    handler: app.main\n    environment: {ADDED: b, LOG_LEVEL: debug}\n")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			if test.good == "" {
				test.good = modest
			}
			wantState(t, w.released("v1.0.0", with(1, test.good)), release.Succeeded)
			before := w.settings("prod")
			n := 2
			if test.sameCode {
				n = 1
			}
			wantState(t, w.released("v1.1.0", with(n, test.bad(test.good))), release.Succeeded)
			if fmt.Sprint(w.settings("prod")) == fmt.Sprint(before) {
				t.Fatal("the bad release changed nothing")
			}
			rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
			wantState(t, rel, release.Succeeded)
			equal(t, "prod", w.settings("prod"), before)
			for _, live := range w.live() {
				if live.Environment == "prod" && live.Kind == ledger.LiveFunction && live.Version != "1.0.0" {
					t.Errorf("the ledger has %s %s live in prod, want 1.0.0", live.Name, live.Version)
				}
			}
			w.sound()
		})
	}
}

// TestARollBackTakesBackWhatWasSetByHandSince: all is as the release had it.
func TestARollBackTakesBackWhatWasSetByHandSince(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	wantState(t, w.released("v1.0.0", with(1, onlyAPI(t, modest))), release.Succeeded)
	before := w.settings("prod")
	w.inProd("orders-api", map[string]string{"LOG_LEVEL": "info", "BY_HAND": "secret-of-somebody"})
	wantState(t, w.released("v1.1.0", with(2, onlyAPI(t, modest))), release.Succeeded)
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantState(t, rel, release.Succeeded)
	equal(t, "prod", w.settings("prod"), before)
	plan := w.wholePlan(rel.ID)
	wantText(t, plan.Steps[len(plan.Steps)-2].After, "all else as in version", "BY_HAND removed")
	if text, err := json.Marshal(plan); err != nil || strings.Contains(string(text), "secret-of-somebody") {
		t.Errorf("the value of a variable is in the plan %s (%v)", text, err)
	}
}

// TestARollBackThatFindsAValueNowhereChangesNothing: the version that had it was deleted.
func TestARollBackThatFindsAValueNowhereChangesNothing(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	w.inProd("orders-api", map[string]string{"LOG_LEVEL": "quiet"})
	wantState(t, w.released("v1.0.0", with(1, onlyAPI(t, modest))), release.Succeeded)
	bad := edited(t, onlyAPI(t, modest), "    alias: live\n", "    alias: live\n    environment: {LOG_LEVEL: debug}\n")
	wantState(t, w.released("v1.1.0", with(2, bad)), release.Succeeded)
	f, err := w.Function(demo.Sites()[2], "orders-api")
	if err != nil {
		t.Fatal(err)
	}
	former := f.Published[len(f.Published)-2].Version
	w.admin(demo.Prod, demo.Europe, func(ctx context.Context, api *sim.LambdaClient) error {
		_, err := api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("orders-api"), Qualifier: &former})
		return err
	})
	before := w.settings("prod")
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantState(t, rel, release.FailedClean)
	wantText(t, rel.Error+rel.Remedy, `"orders-api"`, demo.Europe, demo.Prod, "version "+former, "LOG_LEVEL", "Release a new version")
	equal(t, "prod", w.settings("prod"), before)
	w.sound()
}

// TestARollBackWithoutAnAliasIsRefusedIfAValueIsLost: no version keeps what callers of $LATEST had.
func TestARollBackWithoutAnAliasIsRefusedIfAValueIsLost(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	wantState(t, w.released("v1.0.0", with(1, modest)), release.Succeeded)
	bad := edited(t, modest, "  - name: orders-worker\n", "  - name: orders-worker\n    environment: {LOG_LEVEL: debug}\n")
	wantState(t, w.released("v1.1.0", with(2, bad)), release.Succeeded)
	before, calls := w.settings("prod"), w.calls()
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error+rel.Remedy, "orders-worker", demo.Home, "LOG_LEVEL", "no alias", "release a new version")
	equal(t, "prod", w.settings("prod"), before)
	if writes := w.writes(calls); len(writes) > 0 {
		t.Errorf("a refused rollback changed something: %+v", writes)
	}
}

// TestSettingsAreAsBeforeARollBackThatFailed: variables that it had taken away are there again.
func TestSettingsAreAsBeforeARollBackThatFailed(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	good := edited(t, demo.Manifest, "  - name: orders-api\n", "  - name: orders-api\n    environment: {MODE: calm}\n")
	wantState(t, w.released("v1.0.0", with(1, good)), release.Succeeded)
	wantState(t, w.released("v1.1.0", with(1, edited(t, good, "{MODE: calm}", "{MODE: wild, FEATURE: \"on\"}"))), release.Succeeded)
	before := w.settings("prod")
	var id string
	w.in(func(ctx context.Context) {
		answer, err := w.Local.Orders().Undo(ctx, app.Undo{App: "orders", Environment: "prod"})
		if err != nil {
			t.Fatal(err)
		}
		id = answer.Releases[0]
		w.whenShifting(ctx, id)
		w.ring(demo.Prod, demo.Home, "ALARM")
	})
	w.settle()
	wantState(t, w.record(id), release.FailedClean)
	equal(t, "prod", w.settings("prod"), before)
	w.sound()
}

// TestARollBackTellsWhatItLeaves: a function that came with the bad release, and a
// region that did.
func TestARollBackTellsWhatItLeaves(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	wantState(t, w.released("v1.0.0", with(1, onlyAPI(t, modest))), release.Succeeded)
	wantState(t, w.released("v1.1.0", with(2, modest)), release.Succeeded)
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod", DryRun: true})
	wantText(t, fmt.Sprint(w.wholePlan(rel.ID).Warnings), `"orders-worker"`, "stays as it is")
}

// TestARollBackWhereTheReleaseNeverWasIsRefused: nobody knows what there is to go back to.
func TestARollBackWhereTheReleaseNeverWasIsRefused(t *testing.T) {
	small := edited(t, quickly(t, demo.Registry), "    account: \"222222222222\"\n    regions: [us-east-1, eu-west-1]\n",
		"    account: \"222222222222\"\n    regions: [us-east-1]\n")
	w := newWorld(t, worldOptions{registry: small})
	wantState(t, w.released("v1.0.0", with(1, modest)), release.Succeeded)
	w.register(quickly(t, demo.Registry))
	wantState(t, w.released("v1.1.0", with(2, modest)), release.Succeeded)
	before := w.settings("prod")
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error+rel.Remedy, `"orders-api"`, demo.Europe, "that release was not there", "release a new version")
	equal(t, "prod", w.settings("prod"), before)
}

// TestPruningKeepsTheVersionThatARollBackReads: two rollbacks to the same release,
// and a release that pruned in between.
func TestPruningKeepsTheVersionThatARollBackReads(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	keep := edited(t, onlyAPI(t, modest), "    alias: live\n", "    alias: live\n    keep: 1\n")
	loud := edited(t, keep, "    keep: 1\n", "    keep: 1\n    environment: {LOG_LEVEL: debug}\n")
	w.inProd("orders-api", map[string]string{"LOG_LEVEL": "quiet"})
	wantState(t, w.released("v1.0.0", with(1, keep)), release.Succeeded)
	wantState(t, w.released("v1.1.0", with(2, keep)), release.Succeeded)
	before := w.settings("prod")
	for n := 2; n <= 3; n++ {
		wantState(t, w.released(version(n), with(n+1, loud)), release.Succeeded)
		rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod", To: "1.1.0"})
		wantState(t, rel, release.Succeeded)
		equal(t, fmt.Sprint("prod after rollback ", n-1), w.settings("prod"), before)
	}
}

func (w *world) wholePlan(id string) (plan *release.Plan) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		var err error
		if plan, err = w.Local.WholePlan(ctx, id); err != nil {
			w.t.Fatal(err)
		}
	})
	return plan
}

// dropped drops an artifact and waits for its release.
func (w *world) dropped(artifact, version string, contents map[string]string) release.Release {
	w.t.Helper()
	if err := w.Upload(w.t.Context(), "drops/orders/"+artifact+"/"+version+".zip", zipped(w.t, contents), nil); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
	rel := w.record(w.Answers[len(w.Answers)-1].Releases[0])
	wantState(w.t, rel, release.Succeeded)
	return rel
}

// TestARollBackOfADropTakesBackThatArtifactAlone: what was dropped of another one
// before it stays, and so it is when it is rolled back once more.
func TestARollBackOfADropTakesBackThatArtifactAlone(t *testing.T) {
	deps := map[string]string{"python/x.py": "x = 1\n"}
	for _, test := range []struct {
		name  string
		drops func(w *world)
		// bad is the last drop; again tells whether there is one more to go back to.
		bad   func(w *world)
		again bool
	}{
		{"code after layers, to the tag's code", func(w *world) { w.dropped("deps", "2.0.0", deps) },
			func(w *world) { w.dropped("code", "2.0.1", map[string]string{"app.py": code(8)}) }, false},
		{"layers after code, to the tag's layers", func(w *world) { w.dropped("code", "2.0.0", map[string]string{"app.py": code(8)}) },
			func(w *world) { w.dropped("deps", "2.0.1", deps) }, false},
		{"code after layers, to code that was dropped before them", func(w *world) {
			w.dropped("code", "2.0.0", map[string]string{"app.py": code(7)})
			w.dropped("deps", "2.0.0", deps)
		}, func(w *world) { w.dropped("code", "2.0.1", map[string]string{"app.py": code(8)}) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			wantState(t, w.released("v1.1.0", demo.Files(code(1), "2.32.3")), release.Succeeded)
			tag := w.settings("prod")
			test.drops(w)
			before := w.settings("prod")
			featured := edited(t, demo.Manifest, "  - name: orders-api\n", "  - name: orders-api\n    environment: {FEATURE: \"on\"}\n")
			w.in(func(ctx context.Context) {
				if _, err := w.Local.State.Put(ctx, "manifests/orders.yaml", []byte(featured)); err != nil {
					t.Fatal(err)
				}
			})
			test.bad(w)
			if !strings.Contains(fmt.Sprint(w.settings("prod")), "FEATURE:on") {
				t.Fatal("the drop did not set the variable")
			}
			rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
			wantState(t, rel, release.Succeeded)
			equal(t, "prod", w.settings("prod"), before)
			if test.again {
				rel, _ = w.undone(app.Undo{App: "orders", Environment: "prod"})
				wantState(t, rel, release.Succeeded)
				for key, now := range w.settings("prod") {
					layers := before[key][strings.Index(before[key], ", "):]
					if want := tag[key][:strings.Index(tag[key], ", ")] + layers; now != want {
						t.Errorf("%s is %s, want the tag's code and the dropped layers: %s", key, now, want)
					}
				}
			}
			w.sound()
		})
	}
}

// TestHowFarBackDropsAndTagsGo rolls prod back again and again after tags and drops: each time it is as it
// was before what is taken back.
func TestHowFarBackDropsAndTagsGo(t *testing.T) {
	deps := func(n int) map[string]string { return map[string]string{"python/x.py": fmt.Sprintf("x = %d\n", n)} }
	other := map[string]string{"app.py": code(8)}
	tag := func(n int) func(*world) {
		featured := edited(t, demo.Manifest, "  - name: orders-api\n", fmt.Sprintf("  - name: orders-api\n    environment: {FEATURE: \"%d\"}\n", n))
		return func(w *world) {
			wantState(w.t, w.released(version(n), with(n, featured)), release.Succeeded)
		}
	}
	drop := func(artifact, version string, contents map[string]string) func(*world) {
		return func(w *world) { w.dropped(artifact, version, contents) }
	}
	for _, test := range []struct {
		name string
		// came is what comes to prod. back is, for each rollback, how many of these are left then: to is
		// which version it asks for, empty for none.
		came []func(*world)
		to   []string
		back []int
		// refused is what the next rollback says, which asks for the last of to.
		kind    release.Kind
		refused string
	}{
		{"a drop, then the tag", []func(*world){tag(1), tag(2), drop("deps", "2.0.0", deps(1))},
			[]string{"", "", ""}, []int{2, 1}, release.NotFound, "is the first good one"},
		{"a drop with the version of its tag", []func(*world){tag(1), tag(2), drop("deps", bare(2), deps(1))},
			[]string{"", "", ""}, []int{2, 1}, release.NotFound, "is the first good one"},
		{"two drops, the last one first", []func(*world){tag(1), drop("code", "2.0.0", other), drop("deps", "2.0.0", deps(1))},
			[]string{"", "", ""}, []int{2, 1}, release.NotFound, "is the first good one"},
		{"two drops and two tags", []func(*world){tag(1), tag(2), drop("code", "2.0.0", other), drop("deps", "2.0.0", deps(1))},
			[]string{"", "", "", ""}, []int{3, 2, 1}, release.NotFound, "is the first good one"},
		{"from a drop to the tag before its own", []func(*world){tag(1), tag(2), drop("deps", "2.0.0", deps(1))},
			[]string{bare(1), ""}, []int{1}, release.NotFound, "is the first good one"},
		{"from a drop to its tag with the same version", []func(*world){tag(1), tag(2), drop("deps", bare(2), deps(1))},
			[]string{bare(2), bare(2)}, []int{2}, release.Invalid, "is what is live"},
		{"to a drop on an earlier tag", []func(*world){tag(1), drop("deps", "1.1.5", deps(1)), tag(2), drop("deps", "2.0.0", deps(2))},
			[]string{"1.1.5"}, nil, release.Invalid, "brought artifact \"deps\" alone"},
		{"to a drop that was taken back", []func(*world){tag(1), tag(2), drop("deps", "2.0.0", deps(1))},
			[]string{"", "2.0.0"}, []int{2}, release.Invalid, "brought artifact \"deps\" alone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			var was []map[string]string
			for _, come := range test.came {
				come(w)
				was = append(was, w.settings("prod"))
			}
			for i, left := range test.back {
				rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod", To: test.to[i]})
				wantState(t, rel, release.Succeeded)
				equal(t, fmt.Sprintf("prod after rollback %d", i), w.settings("prod"), was[left-1])
			}
			w.refusesUndo(app.Undo{App: "orders", Environment: "prod", To: test.to[len(test.to)-1]}, test.kind, test.refused)
			w.sound()
		})
	}
}
