package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// versionsOf are the version-ids of an object.
func (w *world) versionsOf(bucket, key string) (ids []string) {
	for _, o := range w.Cloud.Objects(bucket) {
		if o.Key == key {
			ids = append(ids, o.VersionID)
		}
	}
	return ids
}

func (w *world) there(o release.Object) bool {
	return slices.Contains(w.versionsOf(o.Bucket, o.Key), o.VersionID)
}

func (w *world) artifacts(id string) (artifacts map[string]release.Artifact) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if artifacts, err = w.Local.Core().Ledger.Artifacts(ctx, id); err != nil {
			w.t.Fatal(err)
		}
	})
	return artifacts
}

// good are the ids of the releases that succeeded, the newest first.
func (w *world) good() (ids []string) {
	w.t.Helper()
	for _, id := range w.releases() {
		if w.record(id).State == release.Succeeded {
			ids = append(ids, id)
		}
	}
	return ids
}

// prunedStaged checks that what the last two releases staged is there, that
// nothing is left of what only older ones did, and that nothing is just hidden.
func (w *world) prunedStaged() {
	w.t.Helper()
	needed := map[string]bool{}
	for i, id := range w.good() {
		for name, a := range w.artifacts(id) {
			if i < 2 {
				needed[a.SHA256] = true
			}
			for _, o := range a.Objects {
				if left := w.versionsOf(o.Bucket, o.Key); i < 2 && !w.there(o) || !needed[a.SHA256] && len(left) > 0 {
					w.t.Errorf("of %s of release %s there are the versions %q, needed: %t", name, id, left, needed[a.SHA256])
				}
			}
		}
	}
	for _, bucket := range []string{demo.StateBucket, demo.EuropeBucket} {
		for _, o := range w.Cloud.Objects(bucket) {
			if o.DeleteMarker {
				w.t.Errorf("%s/%s is hidden behind a delete marker", bucket, o.Key)
			}
		}
	}
}

// soundStaged checks that what is live can be brought back from where it is
// staged, and that the ledger tells nobody of an archive that is gone.
func (w *world) soundStaged() {
	w.t.Helper()
	for _, l := range w.live() {
		for name, a := range w.artifacts(l.Release) {
			for region, o := range a.Objects {
				if !w.there(o) {
					w.t.Errorf("%s of release %s, which is live in %s, is gone in %s", name, l.Release, l.Environment, region)
				}
			}
		}
	}
	for _, id := range w.releases() {
		for name, a := range w.artifacts(id) {
			for region := range a.Objects {
				w.read(func(ctx context.Context) {
					object, found, err := w.Local.Core().Ledger.StagedCode(ctx, "orders", region, a.CodeSHA256)
					if err != nil || found && !w.there(object) {
						w.t.Errorf("the ledger tells of %+v, %s of release %s, which is gone (%v)", object, name, id, err)
					}
				})
			}
		}
	}
}

// releases are the ids of all, good or not.
func (w *world) releases() (ids []string) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		rels, err := w.Local.Core().Ledger.List(ctx, ledger.Filter{App: "orders"})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, rel := range rels {
			ids = append(ids, rel.ID)
		}
	})
	return ids
}

// contents are the archives of the first release at home: its code and its dependencies.
func (w *world) contents(id string) (code, deps release.Artifact) {
	w.t.Helper()
	artifacts := w.artifacts(id)
	return artifacts["code"], artifacts["deps"]
}

// stagedProtection is a reason to keep an archive of the first release, which
// would be deleted after the third.
type stagedProtection struct {
	name string
	// prepare is done before the third release, and can change its files.
	prepare func(ctx context.Context, w *world, first string, files github.Files) error
	// code and deps tell what of it is kept.
	code, deps bool
}

func stagedProtections(t *testing.T) []stagedProtection {
	manifest := func(files github.Files, pairs ...string) {
		files["tagboat.yaml"] = github.Text(edited(t, keeping(t), pairs...))
	}
	return []stagedProtection{
		{name: "nothing", prepare: func(context.Context, *world, string, github.Files) error { return nil }},
		{name: "a function reads it by reference", code: true, prepare: func(ctx context.Context, w *world, first string, _ github.Files) error {
			code, _ := w.artifactsIn(ctx, first)
			return w.reads(ctx, code.Objects[demo.Home])
		}},
		{name: "a version of a function has it as its code", code: true, prepare: func(ctx context.Context, w *world, _ string, _ github.Files) error {
			_, err := w.Cloud.Root(demo.Dev).Lambda(demo.Home).CreateAlias(ctx, &lambda.CreateAliasInput{
				FunctionName: aws.String("orders-api"), Name: aws.String("pinned"), FunctionVersion: second,
			})
			return err
		}},
		{name: "three contents are to be kept", deps: true, prepare: func(_ context.Context, _ *world, _ string, files github.Files) error {
			manifest(files, "    keep: 1\n", "    keep: 3\n") // the first is the layer's
			return nil
		}},
		{name: "something else that is made of it keeps everything", deps: true, prepare: func(_ context.Context, _ *world, _ string, files github.Files) error {
			manifest(files, "functions:\n", "  - {name: orders-more, artifact: deps, runtimes: [python3.13]}\nfunctions:\n")
			return nil
		}},
		{name: "a release that needs a hand has it in its plan", code: true, deps: true, prepare: func(ctx context.Context, w *world, first string, _ github.Files) error {
			holder := ledger.Holder{Release: first, Execution: first}
			book := w.Local.Core().Ledger
			if _, _, err := book.Acquire(ctx, "env/orders/former", holder, ledger.Ask{TTL: time.Hour}); err != nil {
				return err
			}
			return book.MarkDirty(ctx, "env/orders/former", holder, "an alias is not as it was")
		}},
		{name: "it is not known what it was staged for", code: true, prepare: func(ctx context.Context, w *world, first string, _ github.Files) error {
			code, _ := w.artifactsIn(ctx, first)
			return w.forgetPurposes(ctx, code.CodeSHA256)
		}},
	}
}

// artifactsIn is contents for callers inside of the clock.
func (w *world) artifactsIn(ctx context.Context, id string) (code, deps release.Artifact) {
	w.t.Helper()
	artifacts, err := w.Local.Core().Ledger.Artifacts(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return artifacts["code"], artifacts["deps"]
}

// forgetPurposes takes out of the ledger's documents what a content is staged for.
func (w *world) forgetPurposes(ctx context.Context, digest string) error {
	for partition := range w.table.partitions {
		if !strings.HasPrefix(partition, "code/orders/") {
			continue
		}
		items, err := w.table.Table.Query(ctx, partition, "", ledger.Page{})
		if err != nil {
			return err
		}
		for _, item := range items {
			var doc map[string]any
			if err := json.Unmarshal(item.Body, &doc); err != nil {
				return err
			}
			if doc["key"] != artifact.StagedKeyOf("orders", digest) {
				continue
			}
			delete(doc, "for")
			if item.Body, err = json.Marshal(doc); err != nil {
				return err
			}
			if err := w.table.Table.Put(ctx, item); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestStagedArchivesThatSomebodyNeedsAreNotDeleted(t *testing.T) {
	for _, p := range stagedProtections(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			w := pruningWorld(t, 0)
			first := w.releasedUpTo(1, 1).ID
			w.releasedUpTo(2, 2)
			code, deps := w.contents(first)
			elsewhere := artifact.StagedKey("billing", code.SHA256)
			files := nth(t, 3)
			w.in(func(ctx context.Context) {
				if err := p.prepare(ctx, w, first, files); err != nil {
					t.Fatal(err)
				}
				_, err := w.Cloud.Root(demo.Tools).S3(demo.Home).PutObject(ctx, &s3.PutObjectInput{
					Bucket: aws.String(demo.StateBucket), Key: &elsewhere, Body: strings.NewReader("another app's"),
				})
				if err != nil {
					t.Fatal(err)
				}
				_ = w.Clock.Sleep(ctx, time.Minute)
			})
			documents := w.documents(first)
			rel := w.released("v1.3.0", files)
			wantState(t, rel, release.Succeeded)
			if got := w.there(code.Objects[demo.Home]); got != p.code {
				t.Errorf("the first release's code is there: %t, want %t", got, p.code)
			}
			if got := w.there(deps.Objects[demo.Home]); got != p.deps {
				t.Errorf("the first release's dependencies are there: %t, want %t", got, p.deps)
			}
			if len(w.versionsOf(demo.StateBucket, elsewhere)) != 1 {
				t.Error("what another app staged is gone")
			}
			if got := w.documents(first); !slices.Equal(got, documents) {
				t.Errorf("the record has the documents %q, want %q", got, documents)
			}
			if note := w.pruneNote(rel.ID); len(note.Problems) > 0 {
				t.Errorf("problems are noted: %q", note.Problems)
			}
			w.soundStaged()
		})
	}
}

// documents are the record of a release in the state bucket.
func (w *world) documents(id string) (keys []string) {
	for _, o := range w.Cloud.Objects(demo.StateBucket) {
		if strings.HasPrefix(o.Key, "releases/"+id+"/") {
			keys = append(keys, o.Key+" "+o.VersionID)
		}
	}
	return keys
}

// TestARollBackFindsWhatIsKept goes back without GitHub, as far as archives are
// kept, and further with it.
func TestARollBackFindsWhatIsKept(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 3)
	code, _ := w.contents(first)
	if w.there(code.Objects[demo.Europe]) {
		t.Fatal("the first release's code is there")
	}
	w.GitHub.OnRequest(func(r *http.Request) github.Fault {
		if r.Method == http.MethodGet {
			return github.Fault{Err: errors.New("dial tcp: connection refused")}
		}
		return github.Fault{}
	})
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod", By: "carol"})
	wantState(t, rel, release.Succeeded)
	w.GitHub.OnRequest(nil)
	rel, _ = w.undone(app.Undo{App: "orders", Environment: "prod", To: "1.1.0", By: "carol"})
	wantState(t, rel, release.Succeeded)
	again, _ := w.contents(rel.ID)
	if again.CodeSHA256 != code.CodeSHA256 || !w.there(again.Objects[demo.Europe]) {
		t.Errorf("it runs %+v, want the code of the first release, staged again", again)
	}
	// Two environments have gone different ways: what each would go back to stays.
	w.releasedUpTo(4, 4)
	w.soundStaged()
	rel, _ = w.undone(app.Undo{App: "orders", Environment: "prod", By: "carol"})
	wantState(t, rel, release.Succeeded)
	w.soundStaged()
}

// TestAReleaseMayBeginAtEachMomentOfPruning starts a release of former content at
// one call after the other of the task that deletes what it would find staged.
func TestAReleaseMayBeginAtEachMomentOfPruning(t *testing.T) {
	calls := beginAt(t, -1)
	if calls < 50 {
		t.Fatalf("pruning makes %d calls, want more", calls)
	}
	stride := calls / 12
	if exhaustive() {
		stride = 1
	}
	for n := 0; n < calls; n += stride {
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			t.Parallel()
			beginAt(t, n)
		})
	}
}

// beginAt begins the release at the n-th call of pruning, and says how many calls that makes.
func beginAt(t *testing.T, n int) (calls int) {
	w := pruningWorld(t, uint64(n+1))
	w.releasedUpTo(1, 2)
	w.Cloud.Interleave(true)
	former := nth(t, 1)
	former["README.md"] = github.Text("# once more\n")
	begun, pruning := "", false
	w.onTask = func(k task) fault {
		pruning = k.function == "Prune" && begun == ""
		return fault{}
	}
	call := func() {
		if !pruning || begun != "" {
			return
		}
		if calls++; calls == n+1 {
			begun = "under way"
			begun = w.pushed(t.Context(), "v1.4.0", former)
		}
	}
	w.Cloud.OnCall(func(sim.Call) sim.Fault { call(); return sim.Fault{} })
	w.table.onCall = func(string, bool) mishap { call(); return mishap{} }
	w.releasedUpTo(3, 3)
	w.settle()
	w.Cloud.OnCall(nil)
	w.table.onCall = nil
	if n >= 0 {
		wantState(t, w.record(begun), release.Succeeded)
	}
	w.soundStaged()
	w.soundButForPruned()
	return calls
}

// holding lets whoever looks for an archive in a bucket have the answer late: it
// is as it was when it was asked for.
func (w *world) holding(late time.Duration, when func() bool) {
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action == "HeadObject" && when() {
			return sim.Fault{Hang: late}
		}
		return sim.Fault{}
	})
}

// TestWhatAReleaseFoundStagedIsRestored prunes while a release has found former
// content in the bucket and has not said so yet.
func TestWhatAReleaseFoundStagedIsRestored(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 2)
	code, deps := w.contents(first)
	former := nth(t, 1)
	former["README.md"] = github.Text("# once more\n")
	begun := ""
	w.onTask = func(k task) fault {
		if k.function == "Prune" && begun == "" {
			w.holding(2*time.Minute, func() bool { return begun != "" })
			begun = w.pushed(t.Context(), "v1.4.0", former)
			_ = w.Clock.Sleep(t.Context(), 30*time.Second) // it has looked by now
		}
		return fault{}
	}
	third := w.releasedUpTo(3, 3)
	w.settle()
	wantState(t, w.record(begun), release.Succeeded)
	for _, line := range w.pruneNote(third.ID).Deleted {
		if strings.Contains(line, "staged") {
			t.Errorf("it is noted %q, want nothing staged deleted", line)
		}
	}
	if !w.there(code.Objects[demo.Home]) || !w.there(deps.Objects[demo.Europe]) {
		t.Error("what the release found is gone")
	}
	w.soundStaged()
}

// TestWhatIsRetiredIsStagedAnew begins a release of former content when it is
// settled that nobody needs what is staged of it, and it is not deleted yet.
func TestWhatIsRetiredIsStagedAnew(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 2)
	former := nth(t, 1)
	former["README.md"] = github.Text("# once more\n")
	begun := ""
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action != "DeleteObject" || begun != "" {
			return sim.Fault{}
		}
		begun = "under way"
		begun = w.pushed(t.Context(), "v1.4.0", former)
		return sim.Fault{Delay: 30 * time.Second}
	})
	w.releasedUpTo(3, 3)
	w.settle()
	wantState(t, w.record(begun), release.Succeeded)
	for name, a := range w.artifacts(begun) {
		o, former := a.Objects[demo.Home], w.artifacts(first)[name].Objects[demo.Home]
		if o == former || !w.there(o) || w.there(former) {
			t.Errorf("%s is %+v, want another version than %+v, which is gone", name, o, former)
		}
		if o, former := a.Objects[demo.Europe], w.artifacts(first)[name].Objects[demo.Europe]; o != former || !w.there(o) {
			t.Errorf("%s is %+v in the region that comes later, want %+v, which was found there in time", name, o, former)
		}
	}
	w.soundStaged()
	w.soundButForPruned()
}

// TestWhatComesTooLateRevivesNothing lets a task that had found former content go
// on after its release was halted and the content deleted.
func TestWhatComesTooLateRevivesNothing(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 2)
	code, _ := w.contents(first)
	w.detached = true
	w.in(func(ctx context.Context) { // all of it, since time does not wait for a test
		held := true
		w.holding(8*time.Minute, func() bool { return held })
		former := nth(t, 1)
		former["README.md"] = github.Text("# once more\n")
		halted := w.pushed(ctx, "v1.2.1", former)
		_ = w.Clock.Sleep(ctx, 30*time.Second)
		held = false
		w.stop(ctx, halted)
		w.until(ctx, halted, release.FailedClean)
		w.until(ctx, w.pushed(ctx, "v1.3.0", nth(t, 3)), release.Succeeded)
		_ = w.Clock.Sleep(ctx, time.Minute)
		if w.there(code.Objects[demo.Home]) {
			t.Error("the first release's code is there")
		}
		if a, err := w.Local.Core().Ledger.Artifacts(ctx, halted); err != nil || len(a) > 0 {
			t.Fatalf("the halted release has staged %v already (%v)", a, err)
		}
		_ = w.Clock.Sleep(ctx, 20*time.Minute)
	})
	w.soundStaged()
	w.releasedUpTo(4, 4)
	w.prunedStaged()
}

// TestADryRunThatStagesIsWaitedFor prunes while a plan that was only asked for
// has not been made.
func TestADryRunThatStagesIsWaitedFor(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 2)
	code, _ := w.contents(first)
	asked := false
	w.onTask = func(k task) fault {
		if k.function == "Prune" && !asked {
			asked = true
			request := w.recorded(t.Context(), first).Request
			request.DryRun, request.Attempt = true, 2
			if _, _, err := w.Local.Core().Ledger.Create(t.Context(), request); err != nil {
				t.Error(err)
			}
		}
		return fault{}
	}
	w.releasedUpTo(3, 3)
	if !w.there(code.Objects[demo.Home]) {
		t.Error("what it may have found is gone")
	}
	w.settle()
	w.releasedUpTo(4, 4)
	w.prunedStaged()
}

// recorded is record for callers inside of the clock.
func (w *world) recorded(ctx context.Context, id string) release.Release {
	w.t.Helper()
	rel := w.now(ctx, id)
	return rel
}
