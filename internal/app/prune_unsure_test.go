package app_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// reads makes a function of the tools account whose code is a staged archive, by reference.
func (w *world) reads(ctx context.Context, o release.Object) error {
	_, err := w.Cloud.Root(demo.Tools).Lambda(demo.Home).CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("reporting"), Runtime: types.RuntimePython313, Handler: aws.String("app.handler"),
		Role: aws.String("arn:aws:iam::" + demo.Tools + ":role/reporting"),
		Code: &types.FunctionCode{
			S3Bucket: &o.Bucket, S3Key: &o.Key, S3ObjectVersion: &o.VersionID, S3ObjectStorageMode: types.S3ObjectStorageModeReference,
		},
	})
	return err
}

// TestAnArchiveWithTheBytesOfAnotherAppsCodeWaits releases while a function of
// another app in the same account has the very code that the first release had:
// that it does not read this app's archive, no listing tells. The archive goes
// with the first release after the function is gone, and its layer's went before.
func TestAnArchiveWithTheBytesOfAnotherAppsCodeWaits(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	code, deps := w.contents(first)
	api := w.Cloud.Root(demo.Dev).Lambda(demo.Home)
	w.in(func(ctx context.Context) {
		_, err := api.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: aws.String("billing-api"), Runtime: types.RuntimePython313, Handler: aws.String("app.handler"),
			Role: aws.String("arn:aws:iam::" + demo.Dev + ":role/billing"), Code: &types.FunctionCode{ZipFile: w.bytes(code.Objects[demo.Home])},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	w.releasedUpTo(2, 3)
	if !w.there(code.Objects[demo.Home]) {
		t.Error("the archive is gone at home, where a function of another app has the same code")
	}
	if w.there(code.Objects[demo.Europe]) || w.there(deps.Objects[demo.Home]) {
		t.Error("archives are there that nobody needs")
	}
	w.in(func(ctx context.Context) {
		if _, err := api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("billing-api")}); err != nil {
			t.Fatal(err)
		}
	})
	w.releasedUpTo(4, 4)
	w.prunedStaged()
}

// bytes are those of a version of an object.
func (w *world) bytes(o release.Object) []byte {
	w.t.Helper()
	for _, object := range w.Cloud.Objects(o.Bucket) {
		if object.Key == o.Key && object.VersionID == o.VersionID {
			return object.Body
		}
	}
	w.t.Fatalf("%+v is not there", o)
	return nil
}

// onRetired calls f once, when the content with a digest is retired at home.
func (w *world) onRetired(digest string, f func()) {
	pruning, done := false, false
	w.onTask = func(k task) fault {
		pruning = pruning || k.function == "Prune"
		return fault{}
	}
	reading := "Get code/orders/" + demo.Home + " " + url.PathEscape(digest)
	w.table.onCall = func(what string, _ bool) mishap {
		if pruning && !done && what == reading {
			done = true
			f()
		}
		return mishap{}
	}
	w.t.Cleanup(func() {
		if !done {
			w.t.Error("nothing was retired")
		}
	})
}

// found tells whether the ledger tells of a content at home.
func (w *world) found(digest string) (found bool) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if _, found, err = w.Local.Core().Ledger.StagedCode(ctx, "orders", demo.Home, digest); err != nil {
			w.t.Fatal(err)
		}
	})
	return found
}

// replaced changes the registry in force.
func (w *world) replaced(pairs ...string) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		text := edited(w.t, quickly(w.t, demo.Registry), pairs...)
		if _, err := w.Local.State.Put(ctx, app.RegistryKey, []byte(text)); err != nil {
			w.t.Fatal(err)
		}
	})
}

// filled adds releases to the ledger that came to nothing, so many that what was
// before is older than the history that is looked at.
func (w *world) filled() {
	w.t.Helper()
	request := w.record(w.good()[0]).Request
	w.read(func(ctx context.Context) {
		for n := range 1000 {
			request.Version, request.Source.Tag = fmt.Sprintf("0.%d.0", n), fmt.Sprintf("v0.%d.0", n)
			rel, _, err := w.Local.Core().Ledger.Create(ctx, request)
			if err == nil {
				_, err = w.Local.Core().Ledger.Update(ctx, rel.ID, "", func(rel *release.Release) error {
					rel.State = release.Refused
					return nil
				})
			}
			if err != nil {
				w.t.Fatal(err)
			}
			_ = w.Clock.Sleep(ctx, time.Second)
		}
	})
}

// wantThere checks whether what was staged for a release is there.
func (w *world) wantThere(id string, want bool) {
	w.t.Helper()
	for name, a := range w.artifacts(id) {
		for region, o := range a.Objects {
			if got := w.there(o); got != want {
				w.t.Errorf("%s of release %s is there in %s: %t, want %t", name, id, region, got, want)
			}
		}
	}
}

// TestWhatALongHistoryHidesIsNotDeleted releases after so many releases that what
// was before is not among those that are looked at.
func TestWhatALongHistoryHidesIsNotDeleted(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	second := w.releasedUpTo(2, 2).ID
	w.filled()
	third := w.releasedUpTo(3, 3).ID
	w.wantThere(second, true) // the way back
	fourth := w.releasedUpTo(4, 4).ID
	w.wantThere(third, true)
	w.releasedUpTo(5, 5)
	w.wantThere(first, true)
	w.wantThere(second, true)
	w.wantThere(third, false)
	w.wantThere(fourth, true)
	w.soundStaged()
}

// TestAWayBackThatIsOutOfSightIsNotDeleted lets the content that prod would be
// rolled back to come again with a release that fails: it is in the history
// that is looked at, and what it is for is not.
func TestAWayBackThatIsOutOfSightIsNotDeleted(t *testing.T) {
	w := pruningWorld(t, 0)
	w.releasedUpTo(1, 1)
	second := w.releasedUpTo(2, 2).ID
	w.filled()
	var denied string
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action == "UpdateFunctionCode" && c.Account == denied {
			return sim.Fault{Before: errDenied}
		}
		return sim.Fault{}
	})
	denied = demo.Prod
	third := w.released("v1.3.0", nth(t, 3))
	wantState(t, third, release.FailedClean)
	denied = demo.Dev
	again := nth(t, 2)
	again["README.md"] = github.Text("# once more\n")
	wantState(t, w.released("v1.3.1", again), release.FailedClean)
	denied = demo.Prod
	wantState(t, w.released("v1.4.0", nth(t, 4)), release.FailedClean)
	w.Cloud.OnCall(nil)
	fifth := w.releasedUpTo(5, 5).ID
	w.wantThere(second, true)
	wantText(t, strings.Join(w.pruneNote(fifth).Problems, "\n"), "staged archives in "+demo.Home, "what prod of app", "would be rolled back to", "last 1000 releases")
	w.releasedUpTo(6, 6) // prod would go back to the fifth now
	w.wantThere(third.ID, false)
	w.wantThere(fifth, true)
	w.soundStaged()
}

// TestWhatRunsWhereNobodyLooksIsNotDeleted takes an account out of the registry, or
// out of its region, while a version of a function there has an archive as its code.
func TestWhatRunsWhereNobodyLooksIsNotDeleted(t *testing.T) {
	for _, test := range []struct {
		name, account string
		registry      []string
	}{
		{"an environment is gone", demo.Dev, []string{`  - name: dev
    account: "111111111111"
    regions: [us-east-1]
    role: tagboat-target
    external_id: tagboat-dev
`, "", "environments: [dev, prod]", "environments: [prod]"}},
		{"an environment has left the region", demo.Prod, []string{`    account: "222222222222"
    regions: [us-east-1, eu-west-1]`, `    account: "222222222222"
    regions: [eu-west-1]`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := pruningWorld(t, 0)
			first := w.releasedUpTo(1, 1).ID
			w.releasedUpTo(2, 2)
			code, deps := w.contents(first)
			w.in(func(ctx context.Context) {
				_, err := w.Cloud.Root(test.account).Lambda(demo.Home).CreateAlias(ctx, &lambda.CreateAliasInput{
					FunctionName: aws.String("orders-api"), Name: aws.String("pinned"), FunctionVersion: second,
				})
				if err != nil {
					t.Fatal(err)
				}
				_ = w.Clock.Sleep(ctx, time.Minute)
			})
			w.releasedUpTo(3, 3)
			w.replaced(test.registry...)
			rel := w.releasedUpTo(4, 4)
			if !w.there(code.Objects[demo.Home]) {
				t.Errorf("the code of a function of account %s is gone", test.account)
			}
			if w.there(deps.Objects[demo.Home]) {
				t.Error("what nobody needed while all functions could be listed is there")
			}
			wantText(t, strings.Join(w.pruneNote(rel.ID).Problems, "\n"), "staged archives in "+demo.Home, test.account, "in the registry for that region no more")
		})
	}
}

// TestFunctionsAreListedOnceMoreBeforeAnythingIsDeleted makes a function that reads
// an archive when it was seen that none does.
func TestFunctionsAreListedOnceMoreBeforeAnythingIsDeleted(t *testing.T) {
	w := pruningWorld(t, 0)
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 2)
	code, deps := w.contents(first)
	w.onRetired(code.CodeSHA256, func() {
		if err := w.reads(t.Context(), code.Objects[demo.Home]); err != nil {
			t.Error(err)
		}
	})
	w.releasedUpTo(3, 3)
	if !w.there(code.Objects[demo.Home]) || !w.found(code.CodeSHA256) {
		t.Errorf("what a function reads is there: %t, and known: %t; want both", w.there(code.Objects[demo.Home]), w.found(code.CodeSHA256))
	}
	if w.there(deps.Objects[demo.Home]) || w.there(code.Objects[demo.Europe]) {
		t.Error("what nobody reads is there")
	}
	w.soundStaged()
}

// retiredContents are those of a first release that are retired after the third,
// in the order in which they are settled.
func (w *world) retiredContents() []release.Artifact {
	w.t.Helper()
	first := w.releasedUpTo(1, 1).ID
	w.releasedUpTo(2, 2)
	code, deps := w.contents(first)
	contents := []release.Artifact{code, deps}
	slices.SortFunc(contents, func(a, b release.Artifact) int { return strings.Compare(a.CodeSHA256, b.CodeSHA256) })
	return contents
}

var errDenied = &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized", Fault: smithy.FaultClient}

// TestADeleteThatFailsKeepsNothingElse denies to delete the first content of a
// region: what is needed is restored, and what is not is deleted.
func TestADeleteThatFailsKeepsNothingElse(t *testing.T) {
	deny := func(w *world, a release.Artifact) {
		w.Cloud.OnCall(func(c sim.Call) sim.Fault {
			if c.Action == "DeleteObject" && c.Region == demo.Home && strings.Contains(c.Resource, a.Objects[demo.Home].Key) {
				return sim.Fault{Before: errDenied}
			}
			return sim.Fault{}
		})
	}
	t.Run("the other is needed", func(t *testing.T) {
		w := pruningWorld(t, 0)
		contents := w.retiredContents()
		deny(w, contents[0])
		w.onRetired(contents[1].CodeSHA256, func() {
			if err := w.reads(t.Context(), contents[1].Objects[demo.Home]); err != nil {
				t.Error(err)
			}
		})
		rel := w.releasedUpTo(3, 3)
		wantText(t, strings.Join(w.pruneNote(rel.ID).Problems, "\n"), "not authorized")
		if !w.found(contents[1].CodeSHA256) {
			t.Error("what is needed is retired still")
		}
		if w.found(contents[0].CodeSHA256) {
			t.Error("what could not be deleted is not retired any more")
		}
	})
	t.Run("nobody needs the other", func(t *testing.T) {
		w := pruningWorld(t, 0)
		contents := w.retiredContents()
		deny(w, contents[0])
		rel := w.releasedUpTo(3, 3)
		wantText(t, strings.Join(w.pruneNote(rel.ID).Problems, "\n"), "not authorized")
		if !w.there(contents[0].Objects[demo.Home]) || w.there(contents[1].Objects[demo.Home]) {
			t.Errorf("there are the contents: %t and %t, want the one that could not be deleted alone",
				w.there(contents[0].Objects[demo.Home]), w.there(contents[1].Objects[demo.Home]))
		}
		w.Cloud.OnCall(nil)
		w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, time.Hour) }) // the retirement is nobody's any more
		w.releasedUpTo(4, 4)
		w.prunedStaged()
	})
}

// TestALookThatFailsRestoresWhatIsRetired denies the second list of functions.
func TestALookThatFailsRestoresWhatIsRetired(t *testing.T) {
	w := pruningWorld(t, 0)
	contents := w.retiredContents()
	retired := false
	w.onRetired(contents[1].CodeSHA256, func() { retired = true })
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if retired && c.Action == "ListFunctions" && c.Region == demo.Home {
			return sim.Fault{Before: errDenied}
		}
		return sim.Fault{}
	})
	rel := w.releasedUpTo(3, 3)
	wantText(t, strings.Join(w.pruneNote(rel.ID).Problems, "\n"), "not authorized")
	for _, a := range contents {
		if !w.there(a.Objects[demo.Home]) || !w.found(a.CodeSHA256) {
			t.Errorf("%s is there: %t, and known: %t; want both", a.Name, w.there(a.Objects[demo.Home]), w.found(a.CodeSHA256))
		}
	}
	w.Cloud.OnCall(nil)
	w.releasedUpTo(4, 4)
	w.prunedStaged()
}

// TestAnEnvironmentThatKeptNoReleaseNeedsNothing prunes where the only release that
// came to prod failed there.
func TestAnEnvironmentThatKeptNoReleaseNeedsNothing(t *testing.T) {
	w := pruningWorld(t, 0)
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action == "UpdateFunctionCode" && c.Account == demo.Prod {
			return sim.Fault{Before: errDenied}
		}
		return sim.Fault{}
	})
	first := w.released("v1.1.0", nth(t, 1))
	wantState(t, first, release.FailedClean)
	w.Cloud.OnCall(nil)
	w.replaced("environments: [dev, prod]", "environments: [dev]")
	rel := w.releasedUpTo(2, 3)
	if code, _ := w.contents(first.ID); w.there(code.Objects[demo.Home]) {
		t.Error("the first release's code is there")
	}
	if note := w.pruneNote(rel.ID); len(note.Problems) > 0 {
		t.Errorf("problems are noted: %q", note.Problems)
	}
	w.soundStaged()
}
