package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// atFunctions counts the calls that name one function, by function and site.
func atFunctions(calls []sim.Call) map[string][]string {
	counted := map[string][]string{}
	for _, call := range calls {
		if _, name, found := strings.Cut(call.Resource, ":function:"); found && call.Service == "lambda" {
			name, _, _ = strings.Cut(name, ":")
			key := call.Account + "/" + call.Region + "/" + name
			counted[key] = append(counted[key], call.Action)
		}
	}
	return counted
}

func TestAFunctionThatIsAsWantedCostsTwoReads(t *testing.T) {
	w := newWorld(t, worldOptions{registry: edited(t, demo.Registry, "    bake: 10m\n", "")})
	f := demo.Files(demo.Handler, "2.32.3")
	wantState(t, w.released("v1.1.0", f), release.Succeeded)
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 2*time.Minute) })
	liveBefore, calls := w.live(), w.calls()

	f["README.md"] = github.Text("# another\n")
	rel := w.released("v1.1.1", f)
	wantState(t, rel, release.Succeeded)
	if writes := w.writes(calls); len(writes) > 0 {
		t.Errorf("something was changed: %+v", writes)
	}
	counted := atFunctions(w.Cloud.Calls()[calls:])
	if len(counted) != 6 {
		t.Errorf("%d functions were looked at, want 6", len(counted))
	}
	for function, actions := range counted {
		if len(actions) > 2 {
			t.Errorf("%s cost %v, want 2 reads at most", function, actions)
		}
	}
	for i, l := range w.live() {
		if l.Version != "1.1.1" || l.Release != rel.ID || !l.Since.Equal(liveBefore[i].Since) || l.Detail != liveBefore[i].Detail {
			t.Errorf("live: %+v, was %+v; want the new version since the same time", l, liveBefore[i])
		}
	}
	w.sound()
}

// TestAChangedFunctionCostsFourWrites and, at the first site, five looks; those
// that follow a write are waits for it.
func TestAChangedFunctionCostsFourWrites(t *testing.T) {
	w := newWorld(t, worldOptions{registry: edited(t, demo.Registry, "    bake: 10m\n", "")})
	w.Cloud.SetTiming(sim.Timing{})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	calls := w.calls()
	wantState(t, w.released("v1.2.0", demo.Files(code(2), "2.32.4")), release.Succeeded)
	for function, actions := range atFunctions(w.Cloud.Calls()[calls:]) {
		if !strings.HasSuffix(function, "orders-worker") {
			continue // the canary is a wait as well
		}
		reads := func(a string) bool { return strings.HasPrefix(a, "Get") }
		writes := slices.DeleteFunc(slices.Clone(actions), reads)
		if len(writes) != 4 {
			t.Errorf("%s was written %v, want code, configuration, version and alias", function, writes)
		}
		looks := 0
		for i, action := range actions {
			if reads(action) && (i == 0 || reads(actions[i-1]) || action != "GetFunction") {
				looks++
			}
		}
		if strings.HasPrefix(function, demo.Dev) && looks > 5 {
			t.Errorf("%s was looked at %d times besides waits, want 5 at most: %v", function, looks, actions)
		}
	}
}

func TestTheSameTreeIsPublishedOnce(t *testing.T) {
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	before := w.live()
	wantState(t, w.released("v1.2.0", demo.Files(code(2), "2.32.3")), release.Succeeded)
	for _, region := range []string{demo.Home, demo.Europe} {
		if n := len(w.Cloud.LayerVersions(demo.Tools, region, "orders-deps")); n != 1 {
			t.Errorf("%s has %d versions of orders-deps, want 1", region, n)
		}
	}
	for i, l := range w.live() {
		same := l.Since.Equal(before[i].Since)
		if same != (l.Kind == ledger.LiveLayer) {
			t.Errorf("live: %+v, was %+v; want a new time for functions alone", l, before[i])
		}
	}
	w.sound()
}

func TestDuplicateEventsAreOneRelease(t *testing.T) {
	w := newWorld(t, worldOptions{})
	rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
	wantState(t, rel, release.Succeeded)
	calls := w.calls()
	for _, d := range []github.Delivery{w.GitHub.Push(w.Repo, "v1.1.0"), w.GitHub.Create(w.Repo, "v1.1.0")} {
		answer := w.Deliver(t.Context(), d)
		if answer.Status != release.AnswerDuplicate || !slices.Equal(answer.Releases, []string{rel.ID}) {
			t.Errorf("got %+v, want a duplicate of %s", answer, rel.ID)
		}
	}
	w.settle()
	if writes := w.writes(calls); len(writes) > 0 {
		t.Errorf("a duplicate changed something: %+v", writes)
	}
}

func TestATagThatMovedIsRejected(t *testing.T) {
	t.Run("after it was released", func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		answer := w.tag("v1.1.0", demo.Files(code(2), "2.32.3"))
		if answer.Code != release.CodeTagMoved || answer.HTTPStatus() != http.StatusOK || !slices.Equal(answer.Releases, []string{rel.ID}) {
			t.Errorf("got %+v, want tag_moved", answer)
		}
	})
	t.Run("and nobody saw it before", func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "one", demo.Files(demo.Handler, "2.32.3")))
		w.GitHub.Push(w.Repo, "v1.1.0") // lost
		if answer := w.tag("v1.1.0", demo.Files(code(2), "2.32.3")); answer.Code != release.CodeTagMoved {
			t.Errorf("got %+v, want tag_moved", answer)
		}
	})
	t.Run("between the event and admission", func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		w.onTask = func(k task) fault {
			if k.function == "Admit" {
				w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "two", demo.Files(code(2), "2.32.3")))
			}
			return fault{}
		}
		rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		wantState(t, rel, release.Refused)
		wantText(t, rel.Error, `"v1.1.0"`, "moved")
	})
	t.Run("before a retry", func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		wantState(t, w.released("v1.1.0", demo.Files(demo.Broken, "2.32.3")), release.FailedClean)
		w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "two", demo.Files(demo.Handler, "2.32.3")))
		rel := w.ordered(orderOf("v1.1.0", true, false))
		wantState(t, rel, release.Refused)
		wantText(t, rel.Error, "moved")
	})
}

func TestUploadsAreTakenOnceByVersion(t *testing.T) {
	w := newWorld(t, worldOptions{})
	upload := func(name, body string) release.Answer {
		if err := w.Upload(t.Context(), "artifacts/orders/1.1.0/"+name, []byte(body), map[string]string{"actor": "ci", "commit": strings.Repeat("c", 40)}); err != nil {
			t.Fatal(err)
		}
		return w.Answers[len(w.Answers)-1]
	}
	deps := string(zipped(t, map[string]string{"python/x.py": "x = 1\n"}))
	upload("deps.zip", deps)
	first := upload("tagboat.yaml", demo.Upload)
	w.settle()
	rel := w.record(first.Releases[0])
	wantState(t, rel, release.Succeeded)
	if rel.Request.Actor != "ci" || rel.Source.Commit != strings.Repeat("c", 40) {
		t.Errorf("actor %q and commit %q are not those of the upload", rel.Request.Actor, rel.Source.Commit)
	}
	if same := upload("tagboat.yaml", demo.Upload); same.Code != release.CodeDuplicate || same.Releases[0] != rel.ID {
		t.Errorf("the same bytes again: %+v, want a duplicate", same)
	}
	if other := upload("tagboat.yaml", demo.Upload+"# other\n"); other.Code != release.CodeVersionExists || other.Releases[0] != rel.ID {
		t.Errorf("other bytes: %+v, want version_exists", other)
	}
	again := w.ordered(app.Order{App: "orders", Version: "1.1.0", Retry: true, Force: true, By: "carol"})
	wantState(t, again, release.Succeeded)
	if again.Source.VersionID != rel.Source.VersionID || again.Attempt != 2 {
		t.Errorf("the retry is attempt %d of %s, want 2 of the first upload", again.Attempt, again.Source)
	}
	w.sound()
}

// TestAnOrderThatStartsNothingBindsNoVersion orders what was never released: other
// bytes may still be uploaded as that version.
func TestAnOrderThatStartsNothingBindsNoVersion(t *testing.T) {
	for name, order := range map[string]app.Order{
		"a retry that is refused": {App: "orders", Version: "1.1.0", Retry: true, By: "carol"},
		"a retry as a dry run":    {App: "orders", Version: "1.1.0", Retry: true, DryRun: true, By: "carol"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.Cloud.OnEvent(nil)
			put(t, w.Cloud.Root(demo.Tools).S3(demo.Home), "artifacts/orders/1.1.0/tagboat.yaml", []byte("app: orders\n"))
			w.in(func(ctx context.Context) {
				answer, err := w.Local.Orders().Place(ctx, order)
				if (err == nil) != order.DryRun {
					t.Fatalf("got %+v, %v", answer, err)
				}
			})
			w.settle()
			var answer release.Answer
			w.Cloud.OnEvent(func(event json.RawMessage) { answer = w.Events.Handle(context.WithoutCancel(t.Context()), event) })
			if err := w.Upload(t.Context(), "artifacts/orders/1.1.0/tagboat.yaml", []byte(demo.Upload), nil); err != nil {
				t.Fatal(err)
			}
			if answer.Status != release.AnswerStarted {
				t.Errorf("the upload is answered with %+v, want it started", answer)
			}
			w.settle()
		})
	}
}

// TestAnUploadTakesWhatWasThereWithItsManifest uploads an object once more while
// the release is on its way.
func TestAnUploadTakesWhatWasThereWithItsManifest(t *testing.T) {
	w := newWorld(t, worldOptions{})
	first := zipped(t, map[string]string{"python/x.py": "x = 1\n"})
	w.onTask = func(k task) fault {
		if k.function == "Stage" {
			_ = w.Clock.Sleep(t.Context(), time.Second)
			api := w.Cloud.Root(demo.Tools).S3(demo.Home)
			put(t, api, "artifacts/orders/1.1.0/deps.zip", zipped(t, map[string]string{"python/x.py": "x = 2\n"}))
		}
		return fault{}
	}
	r := refusal{upload: map[string][]byte{"deps.zip": first, "tagboat.yaml": []byte(demo.Upload)}}
	wantState(t, r.release(w), release.Succeeded)
	layer := w.Cloud.LayerVersions(demo.Tools, demo.Home, "orders-deps")[0]
	if content, err := layer.Content.ReadFile("python/x.py"); err != nil || string(content) != "x = 1\n" {
		t.Errorf("the layer has %q (%v), want what was uploaded before the manifest", content, err)
	}
}

// TestEachArtifactHasVersionsOfItsOwn drops two artifacts that one function uses, each with
// versions of its own, around a release of everything.
func TestEachArtifactHasVersionsOfItsOwn(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	for i, test := range []struct{ artifact, version, older string }{
		{"deps", "2.0.0", ""},
		{"code", "1.2.0", ""},
		{"deps", "1.9.0", "2.0.0"},
		{"code", "1.1.0", "1.2.0"},
		{"code", "1.3.0", ""},
		{"", "3.0.0", ""},
		{"deps", "2.5.0", "3.0.0"},
		{"deps", "3.1.0", ""},
		{"code", "3.0.1", ""},
	} {
		contents := map[string]string{"app.py": code(i)}
		if test.artifact == "deps" {
			contents = map[string]string{"python/x.py": fmt.Sprintf("x = %d\n", i)}
		}
		var rel release.Release
		if test.artifact == "" {
			rel = w.released("v"+test.version, demo.Files(demo.Handler, "2.32.3"))
		} else {
			if err := w.Upload(t.Context(), "drops/orders/"+test.artifact+"/"+test.version+".zip", zipped(t, contents), nil); err != nil {
				t.Fatal(err)
			}
			w.settle()
			rel = w.record(w.Answers[len(w.Answers)-1].Releases[0])
		}
		if test.older == "" {
			wantState(t, rel, release.Succeeded)
			continue
		}
		wantState(t, rel, release.Refused)
		wantText(t, rel.Error, test.version, "older than "+test.older)
	}
	w.sound()
}

func TestDropsReplaceOneArtifact(t *testing.T) {
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	before := w.targets()
	drop := func(artifact, version string, contents map[string]string) release.Answer {
		key := "drops/orders/" + artifact + "/" + version + ".zip"
		if err := w.Upload(t.Context(), key, zipped(t, contents), nil); err != nil {
			t.Fatal(err)
		}
		w.settle()
		return w.Answers[len(w.Answers)-1]
	}
	deps := drop("deps", "2.0.0", map[string]string{"python/x.py": "x = 1\n"})
	wantState(t, w.record(deps.Releases[0]), release.Succeeded)
	for key, now := range w.targets() {
		code := func(s string) string { return s[strings.Index(s, "code "):strings.Index(s, ", layers")] }
		if code(now) != code(before[key]) {
			t.Errorf("the code of %s changed", key)
		}
		if !strings.Contains(now, "orders-deps:2") {
			t.Errorf("%s does not use the new layer: %s", key, now)
		}
	}
	if code := drop("code", "2.0.0", map[string]string{"app.py": code(2)}); code.Status != release.AnswerStarted {
		t.Errorf("another artifact of the same version: %+v, want started", code)
	}
	if other := drop("deps", "2.0.0", map[string]string{"python/x.py": "x = 2\n"}); other.Code != release.CodeVersionExists {
		t.Errorf("other bytes of the same version: %+v, want version_exists", other)
	}
	none := drop("nothing", "2.0.0", map[string]string{"x": ""})
	rel := w.record(none.Releases[0])
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error, `"nothing"`, "drop manifest")
	w.sound()
}

// TestADropThatIsDeletedOnItsWayIsGone deletes a drop for good between the task that reads
// its manifest and the one that stages it.
func TestADropThatIsDeletedOnItsWayIsGone(t *testing.T) {
	w := newWorld(t, worldOptions{})
	before := w.targets()
	w.onTask = func(k task) fault {
		if k.function == "Stage" {
			w.onTask = nil
			dropped := w.Cloud.Objects(demo.UploadsBucket)[0]
			if _, err := w.Cloud.Root(demo.Tools).S3(demo.Home).DeleteObject(t.Context(), &s3.DeleteObjectInput{
				Bucket: aws.String(demo.UploadsBucket), Key: &dropped.Key, VersionId: &dropped.VersionID,
			}); err != nil {
				t.Error(err)
			}
		}
		return fault{}
	}
	if err := w.Upload(t.Context(), "drops/orders/deps/2.0.0.zip", zipped(t, map[string]string{"python/x.py": "x = 1\n"}), nil); err != nil {
		t.Fatal(err)
	}
	w.settle()
	rel := w.record(w.Answers[0].Releases[0])
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error, "drops/orders/deps/2.0.0.zip", "is gone: it was deleted")
	w.asRecorded(rel, before)
	w.sound()
}

func TestAReleaseAssetIsWaitedFor(t *testing.T) {
	manifest := edited(t, demo.Manifest, "deps: {archive: layer}", "deps: {release_asset: deps.zip}")
	deps := zipped(t, map[string]string{"python/x.py": "x = 1\n"})
	for _, test := range []struct {
		name  string
		after time.Duration
		state release.State
	}{
		{"it arrives after ten minutes", 10 * time.Minute, release.Succeeded},
		{"it never arrives", time.Hour, release.Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", files(manifest))
				w.Repo.Publish("v1.1.0", "the first")
				_ = w.Clock.Sleep(ctx, test.after)
				w.Repo.UploadAsset("v1.1.0", "deps.zip", deps)
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, test.state)
			if test.state == release.Refused {
				wantText(t, rel.Error, `"deps"`, "deps.zip")
			}
			w.sound()
		})
	}
}

func TestADryRunPlansAndChangesNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "one", demo.Files(demo.Handler, "2.32.3")))
	before, calls := w.targets(), w.calls()
	dry := app.Order{App: "orders", Tag: "v1.1.0", DryRun: true, By: "carol"}
	rel := w.ordered(dry)
	wantState(t, rel, release.Succeeded)
	if again := w.ordered(dry); again.ID == rel.ID {
		t.Error("the second dry run is the first")
	}
	if writes := w.writes(calls); len(writes) > 0 {
		t.Errorf("a dry run changed something: %+v", writes)
	}
	w.unchanged(before)
	if live := w.live(); len(live) > 0 {
		t.Errorf("a dry run is live: %+v", live)
	}
	w.in(func(ctx context.Context) {
		plan, err := w.Local.WholePlan(ctx, rel.ID)
		if err != nil || plan.Changes() == 0 {
			t.Errorf("the plan: %+v, %v; want changes", plan, err)
		}
	})
	if answer := w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.1.0")); answer.Status != release.AnswerStarted {
		t.Errorf("the event after dry runs: %+v, want started", answer)
	}
	w.settle()
	w.sound()
}

// TestAPlanMonthsLaterIsAnother plans a tag again, after what was left of the first plan may be
// gone and before Step Functions has forgotten the name of its execution (StartExecution: 90 days).
func TestAPlanMonthsLaterIsAnother(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "one", demo.Files(demo.Handler, "2.32.3")))
	dry := app.Order{App: "orders", Tag: "v1.1.0", DryRun: true, By: "carol"}
	first := w.ordered(dry)
	w.in(func(ctx context.Context) {
		_ = w.Clock.Sleep(ctx, 89*24*time.Hour)
		if err := w.table.drop(ctx); err != nil {
			t.Fatal(err)
		}
	})
	rel := w.ordered(dry)
	wantState(t, rel, release.Succeeded)
	if rel.ID == first.ID {
		t.Errorf("the plan is %s, which is over", rel.ID)
	}
	w.sound()
}

// TestADryRunDoesNotWait plans while another release holds everything.
func TestADryRunDoesNotWait(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.in(func(ctx context.Context) {
		w.canary(ctx)
		answer, err := w.Local.Orders().Place(ctx, app.Order{App: "orders", Tag: "v1.1.0", DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		began := w.Clock.Now()
		w.until(ctx, answer.Releases[0], release.Succeeded)
		if took := w.Clock.Now().Sub(began); took > time.Minute {
			t.Errorf("the dry run took %s", took)
		}
	})
	w.settle()
	w.sound()
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	tests := []struct {
		name  string
		order app.Order
		kind  release.Kind
		says  string
	}{
		{"an app that is not in the registry", app.Order{App: "billing", Tag: "v1.1.0"}, release.Invalid, `"orders"`},
		{"neither tag nor version", app.Order{App: "orders"}, release.Invalid, "want either"},
		{"both", app.Order{App: "orders", Tag: "v1.1.0", Version: "1.1.0"}, release.Invalid, "want either"},
		{"a tag of another pattern", app.Order{App: "orders", Tag: "release-1"}, release.Invalid, `"v{version}"`},
		{"an upload that is not there", app.Order{App: "orders", Version: "9.9.9"}, release.NotFound, "artifacts/orders/9.9.9/tagboat.yaml"},
		{"a retry of what never was", app.Order{App: "orders", Tag: "v9.9.9", Retry: true}, release.Invalid, "nothing to retry"},
		{"a retry of what succeeded", app.Order{App: "orders", Tag: "v1.1.0", Retry: true}, release.Invalid, "succeeded"},
	}
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.in(func(ctx context.Context) {
				answer, err := w.Local.Orders().Place(ctx, test.order)
				if err == nil || release.KindOf(err) != test.kind {
					t.Fatalf("got %+v, %v; want an error of kind %s", answer, err, test.kind)
				}
				wantText(t, err.Error(), test.says)
			})
		})
	}
}

// TestATagThatIsPushedAfterItWasAskedFor does as the refusal says: its event is the
// duplicate of the release that was refused, and another attempt releases it.
func TestATagThatIsPushedAfterItWasAskedFor(t *testing.T) {
	w := newWorld(t, worldOptions{})
	refused := w.ordered(orderOf("v1.1.0", false, false))
	wantState(t, refused, release.Refused)
	wantText(t, refused.Error, `repository acme/orders has no tag "v1.1.0"`)
	wantText(t, refused.Remedy, "git push origin v1.1.0 and then: tagboat release --app orders --tag v1.1.0 --retry")
	if answer := w.tag("v1.1.0", demo.Files(demo.Handler, "2.32.3")); answer.Status != release.AnswerDuplicate {
		t.Errorf("the push of the tag: got %+v, want a duplicate", answer)
	}
	wantState(t, w.ordered(orderOf("v1.1.0", true, false)), release.Succeeded)
	w.sound()
}

// TestARegistryThatIsNotThere is told with where it belongs.
func TestARegistryThatIsNotThere(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.in(func(ctx context.Context) {
		registries := &app.StoredRegistries{Store: w.Local.State, Key: "config/none.yaml"}
		_, _, err := registries.Current(ctx)
		if release.KindOf(err) != release.NotFound {
			t.Fatalf("got %v, want that it is not there", err)
		}
		wantText(t, err.Error(), "no registry is in force: read s3://tagboat-state/config/none.yaml: it is not there")
		wantText(t, release.RemedyOf(err), "aws s3 cp registry.yaml s3://tagboat-state/config/none.yaml")
	})
}

// TestOneTagReleasesSeveralApps gives the worker to an app of its own.
func TestOneTagReleasesSeveralApps(t *testing.T) {
	registry := edited(t, demo.Registry, `resources: ["orders-*"]`, `resources: ["orders-api", "orders-deps"]`) + `
  - name: worker
    repository: {id: 186853002, name: acme/orders}
    tags: "v{version}"
    manifest: worker.yaml
    environments: [dev, prod]
    resources: ["orders-worker"]
`
	w := newWorld(t, worldOptions{registry: registry})
	f := files(demo.Manifest[:strings.Index(demo.Manifest, "  - name: orders-worker")])
	f["worker.yaml"] = github.Text("app: worker\nartifacts:\n  code: {archive: src}\nfunctions:\n  - {name: orders-worker, artifact: code, alias: live}\n")
	answer := w.tag("v1.1.0", f)
	if answer.Status != release.AnswerStarted || len(answer.Releases) != 2 {
		t.Fatalf("got %+v, want two releases", answer)
	}
	w.settle()
	for _, id := range answer.Releases {
		wantState(t, w.record(id), release.Succeeded)
		wantText(t, answer.Reason, id)
	}
	w.sound()
}

func TestAFunctionWithoutAnAlias(t *testing.T) {
	manifest := edited(t, demo.Manifest, "  - name: orders-worker\n    artifact: code\n    layers: [orders-deps]\n    alias: live", "  - name: orders-worker\n    artifact: code\n    layers: [orders-deps]")
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.1.0", files(manifest)), release.Succeeded)
	before := w.targets()
	f := files(manifest)
	f["src/app.py"] = github.Text(demo.Broken)
	rel := w.released("v1.2.0", f)
	wantState(t, rel, release.FailedClean)
	w.asRecorded(rel, before)
	w.sound()
}

func TestTheRegistryOfARelease(t *testing.T) {
	t.Run("is the one that it was admitted under", func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		w.onTask = func(k task) fault {
			if k.function == "Manifest" {
				if _, err := w.Local.State.Put(t.Context(), app.RegistryKey, []byte(edited(t, demo.Registry, "environments: [dev, prod]", "environments: [dev]"))); err != nil {
					t.Error(err)
				}
			}
			return fault{}
		}
		rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		wantState(t, rel, release.Succeeded)
		if len(rel.Environments) != 2 {
			t.Errorf("it went through %+v, want dev and prod", rel.Environments)
		}
	})
	t.Run("may be broken meanwhile", func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		w.onTask = func(k task) fault {
			if k.function == "Manifest" {
				_, _ = w.Local.State.Put(t.Context(), app.RegistryKey, []byte("nonsense"))
			}
			return fault{}
		}
		wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	})
}

func TestNothingSecretIsKept(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	var id, token string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		rel := w.until(ctx, id, release.WaitingApproval)
		prod, _ := rel.Environment("prod")
		token = prod.Approval.Token
		view, err := w.Local.View(ctx, id)
		if err != nil || strings.Contains(fmt.Sprintf("%+v", view.Environments[1].Approval), token) {
			t.Errorf("the view shows the token that approves (%v)", err)
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.Succeeded)
	prod, _ := rel.Environment("prod")
	if prod.Approval.Token != "" {
		t.Error("the record keeps the token after the end")
	}
	secrets := []string{demo.Secret, demo.Token, "payments.dev.example", "X-Amz-Signature"}
	events, err := w.Local.Engine.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		for _, e := range events {
			if strings.Contains(string(e.Input)+string(e.Output)+e.Cause, secret) {
				t.Errorf("%q is in the history: %+v", secret, e)
			}
		}
		for _, object := range w.Cloud.Objects(demo.StateBucket) {
			if strings.HasPrefix(object.Key, "releases/") && strings.Contains(string(object.Body), secret) {
				t.Errorf("%q is in %s", secret, object.Key)
			}
		}
	}
}

// TestALongErrorIsCut makes every function of a large app a violation.
func TestALongErrorIsCut(t *testing.T) {
	manifest := "app: orders\nartifacts:\n  code: {archive: src}\nfunctions:\n"
	for i := range 400 {
		manifest += fmt.Sprintf("  - {name: orders-%04d, artifact: code, alias: live}\n", i)
	}
	w := newWorld(t, worldOptions{})
	rel := w.released("v1.1.0", files(manifest))
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error, "orders-0000", "(cut)")
	if len(rel.Error) > 8<<10 {
		t.Errorf("the error has %d bytes", len(rel.Error))
	}
}
