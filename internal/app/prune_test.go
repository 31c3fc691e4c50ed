package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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

// keeping is the demo's manifest, shared with nobody else and all at once, of
// which one version is kept.
func keeping(t *testing.T) string {
	t.Helper()
	return edited(t, demo.Manifest,
		"    share: {accounts: [\"333333333333\"], organization: true}\n", "    keep: 1\n",
		"    traffic: Canary10Percent5Minutes\n", "    keep: 1\n",
		"  - name: orders-worker\n", "  - name: orders-worker\n    keep: 1\n")
}

// nth are the files of the n-th release: its own code and its own dependencies.
func nth(t *testing.T, n int) github.Files {
	t.Helper()
	f := demo.Files(code(n), fmt.Sprintf("2.32.%d", n))
	f["tagboat.yaml"] = github.Text(keeping(t))
	return f
}

// releasedUpTo brings the n-th releases from first to last.
func (w *world) releasedUpTo(first, last int) (rel release.Release) {
	w.t.Helper()
	for n := first; n <= last; n++ {
		rel = w.released(fmt.Sprintf("v1.%d.0", n), nth(w.t, n))
		wantState(w.t, rel, release.Succeeded)
	}
	return rel
}

func pruningWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	return newWorld(t, worldOptions{seed: seed, registry: quickly(t, demo.Registry)})
}

// versions are the numbers of a function's published versions.
func (w *world) versions(site release.Site, name string) (numbers []string) {
	w.t.Helper()
	f, err := w.Function(site, name)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range f.Published {
		numbers = append(numbers, v.Version)
	}
	return numbers
}

func (w *world) layerVersions(region string) (numbers []int64) {
	for _, v := range w.Cloud.LayerVersions(demo.Tools, region, "orders-deps") {
		numbers = append(numbers, v.Version)
	}
	return numbers
}

// note is what a release's note says about pruning.
func (w *world) pruneNote(id string) (note struct{ Deleted, Problems []string }) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var text json.RawMessage
		if _, err := w.Local.Core().Ledger.ReadNote(ctx, id, "prune", &text); err != nil || len(text) == 0 {
			return
		}
		if err := json.Unmarshal(text, &note); err != nil {
			w.t.Fatal(err)
		}
	})
	return note
}

// pruned checks that the n-th release is live, that the one before it can be
// rolled back to, and that what older releases made is gone. Version 1 of each
// function was made by somebody else.
func (w *world) pruned(n int) {
	w.t.Helper()
	for _, site := range demo.Sites() {
		for _, name := range []string{"orders-api", "orders-worker"} {
			want := []string{"1", fmt.Sprint(n), fmt.Sprint(n + 1)}
			if got := w.versions(site, name); !slices.Equal(got, want) {
				w.t.Errorf("%s in %s has the versions %v, want %v", name, site, got, want)
			}
		}
	}
	for _, region := range []string{demo.Home, demo.Europe} {
		if got, want := w.layerVersions(region), []int64{int64(n - 1), int64(n)}; !slices.Equal(got, want) {
			w.t.Errorf("the layer has the versions %v in %s, want %v", got, region, want)
		}
	}
	w.prunedStaged()
	w.soundStaged()
}

// soundButForPruned is sound in a world in which layer versions are gone by
// intent: those that are live are there.
func (w *world) soundButForPruned() {
	w.t.Helper()
	for _, problem := range w.problems() {
		if !strings.Contains(problem, ":layer:orders-deps:") || !strings.HasSuffix(problem, ", which does not exist") {
			w.t.Error(problem)
		}
	}
	for _, l := range w.live() {
		if l.Kind != ledger.LiveLayer {
			continue
		}
		there := slices.ContainsFunc(w.Cloud.LayerVersions(demo.Tools, l.Region, l.Name), func(v sim.LayerVersionState) bool { return v.ARN == l.Detail })
		if !there {
			w.t.Errorf("%s is live in %s and does not exist", l.Detail, l.Environment)
		}
	}
}

func TestVersionsBeyondThoseToKeepAreDeleted(t *testing.T) {
	w := pruningWorld(t, 0)
	rel := w.releasedUpTo(1, 3)
	w.pruned(3)
	w.soundButForPruned()
	note := w.pruneNote(rel.ID)
	if len(note.Deleted) != 3*2+2+2*2 || len(note.Problems) > 0 {
		t.Errorf("the note says %q, problems %q; want two functions at three sites, and a layer and two archives in two regions", note.Deleted, note.Problems)
	}

	// The first content again: nobody may be told the version that is gone.
	again := nth(t, 1)
	again["src/app.py"] = nth(t, 4)["src/app.py"]
	wantState(t, w.released("v1.4.0", again), release.Succeeded)
	w.pruned(4)
	w.soundButForPruned()
}

func TestNothingIsDeletedWithoutAskingToKeep(t *testing.T) {
	w := pruningWorld(t, 0)
	for n := 1; n <= 3; n++ {
		f := nth(t, n)
		f["tagboat.yaml"] = github.Text(strings.ReplaceAll(keeping(t), "    keep: 1\n", ""))
		wantState(t, w.released(fmt.Sprintf("v1.%d.0", n), f), release.Succeeded)
	}
	if got := w.versions(demo.Sites()[0], "orders-api"); len(got) != 4 {
		t.Errorf("there are the versions %v, want all four", got)
	}
	if got := w.layerVersions(demo.Home); len(got) != 3 {
		t.Errorf("there are the layer versions %v, want all three", got)
	}
	for _, id := range w.good() {
		for name, a := range w.artifacts(id) {
			if !w.there(a.Objects[demo.Home]) {
				t.Errorf("%s of release %s is gone", name, id)
			}
		}
	}
}

// protection is a reason to keep what would be deleted after the third release:
// version 2 of orders-api in dev, and version 1 of the layer at home.
type protection struct {
	name string
	// prepare is done before the third release.
	prepare func(ctx context.Context, w *world) error
	// function and layer tell what of it is kept.
	function, layer bool
}

var second = aws.String("2")

func protections() []protection {
	api := aws.String("orders-api")
	dev := func(w *world) *sim.LambdaClient { return w.Cloud.Root(demo.Dev).Lambda(demo.Home) }
	return []protection{
		{name: "an alias points at it", function: true, layer: true, prepare: func(ctx context.Context, w *world) error {
			_, err := dev(w).CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: api, Name: aws.String("pinned"), FunctionVersion: second})
			return err
		}},
		{name: "an alias gives it a weight", function: true, layer: true, prepare: func(ctx context.Context, w *world) error {
			_, err := dev(w).CreateAlias(ctx, &lambda.CreateAliasInput{
				FunctionName: api, Name: aws.String("trial"), FunctionVersion: aws.String("1"),
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.1}},
			})
			return err
		}},
		{name: "it has provisioned concurrency", function: true, layer: true, prepare: func(ctx context.Context, w *world) error {
			_, err := dev(w).PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{
				FunctionName: api, Qualifier: second, ProvisionedConcurrentExecutions: aws.Int32(1),
			})
			return err
		}},
		{name: "an event source calls it", function: true, layer: true, prepare: func(ctx context.Context, w *world) error {
			_, err := dev(w).CreateEventSourceMapping(ctx, &lambda.CreateEventSourceMappingInput{
				FunctionName: aws.String("orders-api:2"), EventSourceArn: aws.String("arn:aws:sqs:us-east-1:111111111111:orders"),
			})
			return err
		}},
		{name: "its asynchronous invocations are configured", function: true, layer: true, prepare: func(ctx context.Context, w *world) error {
			_, err := dev(w).PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: api, Qualifier: second})
			return err
		}},
		{name: "somebody may invoke it by its number", function: true, layer: true, prepare: func(ctx context.Context, w *world) error {
			_, err := dev(w).AddPermission(ctx, &lambda.AddPermissionInput{
				FunctionName: api, Qualifier: second, StatementId: aws.String("edge"), Action: aws.String("lambda:InvokeFunction"),
				Principal: aws.String("apigateway.amazonaws.com"),
			})
			return err
		}},
		{name: "a function of the tools account uses it", layer: true, prepare: func(ctx context.Context, w *world) error {
			return w.using(ctx, demo.Tools, "reporting")
		}},
		{name: "a function that is not the app's uses it", layer: true, prepare: func(ctx context.Context, w *world) error {
			return w.using(ctx, demo.Prod, "billing")
		}},
		{name: "it is shared with an account that cannot be seen", layer: true, prepare: func(ctx context.Context, w *world) error {
			return w.share(ctx, demo.Partner, "")
		}},
		{name: "it is shared with the organisation", layer: true, prepare: func(ctx context.Context, w *world) error {
			return w.share(ctx, "*", demo.Organization)
		}},
		{name: "it is public", layer: true, prepare: func(ctx context.Context, w *world) error { return w.share(ctx, "*", "") }},
	}
}

// using makes a function that uses version 1 of the layer at home.
func (w *world) using(ctx context.Context, account, name string) error {
	arn := "arn:aws:lambda:us-east-1:" + demo.Tools + ":layer:orders-deps:1"
	_, err := w.Cloud.Root(account).Lambda(demo.Home).CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: types.RuntimePython313, Handler: aws.String("app.handler"),
		Role: aws.String("arn:aws:iam::" + account + ":role/" + name), Layers: []string{arn},
		Code: &types.FunctionCode{ZipFile: zipped(w.t, map[string]string{"app.py": ""})},
	})
	return err
}

// share shares version 1 of the layer at home.
func (w *world) share(ctx context.Context, principal, organization string) error {
	in := &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String("orders-deps"), VersionNumber: aws.Int64(1), StatementId: aws.String("by-hand"),
		Action: aws.String("lambda:GetLayerVersion"), Principal: &principal,
	}
	if organization != "" {
		in.OrganizationId = &organization
	}
	_, err := w.Cloud.Root(demo.Tools).Lambda(demo.Home).AddLayerVersionPermission(ctx, in)
	return err
}

func TestWhatSomebodyUsesIsNotDeleted(t *testing.T) {
	for _, p := range protections() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			w := pruningWorld(t, 0)
			w.releasedUpTo(1, 2)
			w.in(func(ctx context.Context) {
				if err := p.prepare(ctx, w); err != nil {
					t.Fatal(err)
				}
				_ = w.Clock.Sleep(ctx, time.Minute)
			})
			rel := w.releasedUpTo(3, 3)
			if got := slices.Contains(w.versions(demo.Sites()[0], "orders-api"), "2"); got != p.function {
				t.Errorf("version 2 of the function is there: %t, want %t", got, p.function)
			}
			if got := slices.Contains(w.layerVersions(demo.Home), 1); got != p.layer {
				t.Errorf("version 1 of the layer is there: %t, want %t", got, p.layer)
			}
			if slices.Contains(w.versions(demo.Sites()[0], "orders-worker"), "2") || slices.Contains(w.layerVersions(demo.Europe), 1) {
				t.Error("what nobody uses is there, too")
			}
			if note := w.pruneNote(rel.ID); len(note.Problems) > 0 {
				t.Errorf("problems are noted: %q", note.Problems)
			}
		})
	}
}

// TestAReleaseThatBeginsMeanwhileGoesThrough starts a release of former content
// at random moments while the versions that have it are about to be deleted.
func TestAReleaseThatBeginsMeanwhileGoesThrough(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 11))
			w := pruningWorld(t, seed)
			w.releasedUpTo(1, 2)
			w.Cloud.Interleave(true)
			former := nth(t, 1)
			former["src/app.py"] = nth(t, 4)["src/app.py"]
			third, begun := "", ""
			w.in(func(ctx context.Context) {
				third = w.pushed(ctx, "v1.3.0", nth(t, 3))
				w.until(ctx, third, release.Succeeded)
				for range random.IntN(60) { // turns of the others
					_ = w.Clock.Sleep(ctx, 0)
				}
				begun = w.pushed(ctx, "v1.4.0", former)
			})
			w.settle()
			wantState(t, w.record(third), release.Succeeded)
			wantState(t, w.record(begun), release.Succeeded)
			w.soundButForPruned()
		})
	}
}

// TestAReleaseKeepsWhatItsPlanNames prunes while another release has planned to
// use former content and waits.
func TestAReleaseKeepsWhatItsPlanNames(t *testing.T) {
	w := pruningWorld(t, 0)
	w.releasedUpTo(1, 2)
	former := nth(t, 1)
	former["src/app.py"] = nth(t, 4)["src/app.py"]
	var begun string
	w.onTask = func(k task) fault {
		if k.function == "Prune" && begun == "" {
			ctx := t.Context()
			begun = w.pushed(ctx, "v1.4.0", former)
			w.untilTrue(ctx, begun, "a plan", func(rel release.Release) bool { return rel.Plan != (release.Pointer{}) })
		}
		return fault{}
	}
	wantState(t, w.released("v1.3.0", nth(t, 3)), release.Succeeded)
	w.settle()
	rel := w.record(begun)
	wantState(t, rel, release.Succeeded)
	for _, region := range []string{demo.Home, demo.Europe} {
		if got := w.layerVersions(region); !slices.Equal(got, []int64{1, 3}) {
			t.Errorf("the layer has the versions %v in %s, want 1 with the content that was planned, and nothing published anew", got, region)
		}
	}
	for region, o := range w.artifacts(begun)["deps"].Objects {
		if got := w.versionsOf(o.Bucket, o.Key); !slices.Equal(got, []string{o.VersionID}) {
			t.Errorf("the layer's archive has the versions %v in %s, want the one that was planned with", got, region)
		}
	}
	w.soundStaged()
	w.soundButForPruned()
}

// TestAVersionIsRestoredWhereAReleaseBegins starts a release after it was seen
// that nobody needs a version, and before it is forgotten.
func TestAVersionIsRestoredWhereAReleaseBegins(t *testing.T) {
	w := pruningWorld(t, 0)
	w.releasedUpTo(1, 2)
	former := nth(t, 1)
	former["src/app.py"] = nth(t, 4)["src/app.py"]
	begun, pruning := "", false
	w.onTask = func(k task) fault {
		pruning = pruning || k.function == "Prune"
		return fault{}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if pruning && begun == "" && c.Action == "GetLayerVersionPolicy" {
			begun = "under way"
			begun = w.pushed(t.Context(), "v1.4.0", former)
		}
		return sim.Fault{}
	})
	third := w.releasedUpTo(3, 3)
	w.settle()
	wantState(t, w.record(begun), release.Succeeded)
	for _, line := range w.pruneNote(third.ID).Deleted {
		if strings.Contains(line, ":layer:") {
			t.Errorf("it is noted %q, want no layer version deleted", line)
		}
	}
	// Forgotten, restored, and used: whatever the release saw of that, one version has the content.
	w.read(func(ctx context.Context) {
		for _, region := range []string{demo.Home, demo.Europe} {
			known, err := w.Local.Core().Ledger.PublishedVersions(ctx, "orders-deps", region)
			if err != nil {
				t.Fatal(err)
			}
			for arn, digest := range known {
				found, ok, err := w.Local.Core().Ledger.LayerVersion(ctx, "orders-deps", region, digest)
				exists := slices.ContainsFunc(w.Cloud.LayerVersions(demo.Tools, region, "orders-deps"), func(v sim.LayerVersionState) bool { return v.ARN == arn })
				if err != nil || ok != exists || ok && found != arn {
					t.Errorf("%s exists: %t; it is remembered: %t (%v)", arn, exists, ok, err)
				}
			}
		}
	})
	w.soundButForPruned()
}

// TestPruningThatFailsChangesNothingElse makes single calls of the task fail in
// every way: the release has succeeded, what is needed is there, and the next
// release prunes what was left.
func TestPruningThatFailsChangesNothingElse(t *testing.T) {
	for _, b := range boundaries() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			all := b.blows(pruneWith(t), false)
			stride := max(1, len(all)/10)
			if exhaustive() {
				stride = 1
			}
			for i := 0; i < len(all); i += stride {
				t.Run(all[i].String(), func(t *testing.T) { pruneWith(t, all[i]) })
			}
			t.Logf("every %d. of %d faults tried", stride, len(all))
		})
	}
}

// pruneWith makes calls of the third release's pruning fail, and returns those
// that it made.
func pruneWith(t *testing.T, blows ...blow) []call {
	w := pruningWorld(t, 0)
	w.releasedUpTo(1, 2)
	var x *trouble
	w.onTask = func(k task) fault {
		if k.function != "Prune" {
			return fault{}
		}
		x = w.trouble(blows...)
		return w.onTask(k) // which is the trouble's by now
	}
	rel := w.releasedUpTo(3, 3)
	w.in(func(context.Context) { x.over = true }) // while nobody else has a turn
	if x.struck != len(blows) {
		t.Errorf("%d of the calls that were to fail were made, want %d", x.struck, len(blows))
	}
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, time.Hour) }) // what is under way ends
	w.soundButForPruned()
	w.soundStaged()
	for _, id := range w.good()[:2] { // what is live, and what it would be rolled back to
		for name, a := range w.artifacts(id) {
			for region, o := range a.Objects {
				if !w.there(o) {
					t.Errorf("%s of release %s is gone in %s", name, id, region)
				}
			}
		}
	}
	for _, site := range demo.Sites() {
		if got := w.versions(site, "orders-api"); !slices.Contains(got, "1") || !slices.Contains(got, "3") || !slices.Contains(got, "4") {
			t.Errorf("%s has the versions %v, want 1, 3 and 4 among them", site, got)
		}
	}
	for _, region := range []string{demo.Home, demo.Europe} {
		if got := w.layerVersions(region); !slices.Contains(got, 2) || !slices.Contains(got, 3) {
			t.Errorf("the layer has the versions %v in %s, want 2 and 3 among them", got, region)
		}
	}
	calls := slices.Clone(x.calls)
	w.in(func(ctx context.Context) { // a blow may have changed what is in force
		w.putRegistry(w.registry)
		_, _ = w.Local.Freezes().Lift(ctx, app.Unfreezing{Environment: w.last, By: "alice"}) // nothing may be frozen
	})
	w.releasedUpTo(4, 4)
	w.pruned(4)
	if t.Failed() {
		t.Logf("the notes say %+v", w.pruneNote(rel.ID))
		w.transcript(rel)
	}
	return calls
}

// TestPruningTakesTurns makes each look so slow that one turn is not enough.
func TestPruningTakesTurns(t *testing.T) {
	w := pruningWorld(t, 0)
	w.releasedUpTo(1, 2)
	turns := 0
	w.onTask = func(k task) fault {
		if k.function == "Prune" {
			turns++
			w.Cloud.OnCall(func(sim.Call) sim.Fault { return sim.Fault{Delay: 5 * time.Second} })
		}
		return fault{}
	}
	w.releasedUpTo(3, 3)
	w.pruned(3)
	if turns < 2 {
		t.Errorf("there were %d turns, want more than one", turns)
	}
}

// TestPruningThatNeverEndsIsLeft lets the task die at the same object for ever.
func TestPruningThatNeverEndsIsLeft(t *testing.T) {
	w := pruningWorld(t, 0)
	w.releasedUpTo(1, 2)
	var under bool
	w.onTask = func(k task) fault {
		under = k.function == "Prune"
		return fault{}
	}
	dying := 0
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if under && c.Region == demo.Home && c.Account == demo.Dev && c.Action == "ListAliases" {
			dying++
			return sim.Fault{Before: sim.Timeout()}
		}
		return sim.Fault{}
	})
	rel := w.releasedUpTo(3, 3)
	if got := w.versions(demo.Sites()[0], "orders-api"); !slices.Contains(got, "2") || dying == 0 {
		t.Errorf("dev has the versions %v after %d refusals, want all", got, dying)
	}
	if got := w.versions(demo.Sites()[1], "orders-api"); slices.Contains(got, "2") {
		t.Errorf("prod has the versions %v, want the old one gone all the same", got)
	}
	if note := w.pruneNote(rel.ID); len(note.Problems) != 2 {
		t.Errorf("the note says %q, want a problem of both functions in dev", note.Problems)
	}
}
