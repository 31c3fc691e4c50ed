package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// undone asks for a rollback and waits for its end.
func (w *world) undone(undo app.Undo) (release.Release, release.Answer) {
	w.t.Helper()
	var answer release.Answer
	w.in(func(ctx context.Context) {
		var err error
		if answer, err = w.Local.Orders().Undo(ctx, undo); err != nil {
			w.t.Fatal(err)
		}
	})
	if answer.Status != release.AnswerStarted {
		w.t.Fatalf("rollback %+v: got %+v, want started", undo, answer)
	}
	w.settle()
	return w.record(answer.Releases[0]), answer
}

func (w *world) refusesUndo(undo app.Undo, kind release.Kind, says ...string) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		answer, err := w.Local.Orders().Undo(ctx, undo)
		if err == nil || release.KindOf(err) != kind {
			w.t.Errorf("rollback %+v: got %+v, %v; want an error of kind %v", undo, answer, err, kind)
			return
		}
		wantText(w.t, err.Error()+" "+release.RemedyOf(err), says...)
	})
}

// codes are the digests of the code that callers get, by target.
func (w *world) codes(environment string) map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, site := range demo.Sites() {
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			f, err := w.Function(site, name)
			if err != nil {
				w.t.Fatal(err)
			}
			if alias, ok := f.Aliases["live"]; ok && site.Environment == environment {
				version, _ := f.Version(alias.Version)
				found[site.String()+"/"+name] = fmt.Sprint(version.CodeSha256, version.Layers, alias.Weights)
			}
		}
	}
	return found
}

// three releases three versions with other code and layers, and answers what ran
// in prod after each.
func (w *world) three() (ran []map[string]string) {
	w.t.Helper()
	for n := 1; n <= 3; n++ {
		wantState(w.t, w.released(version(n), demo.Files(code(n), fmt.Sprintf("2.32.%d", n))), release.Succeeded)
		ran = append(ran, w.codes("prod"))
	}
	return ran
}

func bare(n int) string { return version(n)[1:] }

func TestARollBackGoesBackOneGoodReleaseAtATime(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	prod := app.Undo{App: "orders", Environment: "prod", By: "carol"}
	w.refusesUndo(prod, release.NotFound, "no good release in prod")
	w.register(demo.Registry)
	ran, dev := w.three(), w.codes("dev")
	w.register(approving(t)) // what was good before is not asked for again
	w.GitHub.OnRequest(func(r *http.Request) github.Fault {
		if r.Method == http.MethodGet {
			return github.Fault{Err: errors.New("dial tcp: connection refused")}
		}
		return github.Fault{}
	})

	rel, answer := w.undone(prod)
	wantState(t, rel, release.Succeeded)
	wantText(t, answer.Reason, "from "+bare(3)+" to "+bare(2)+" in prod")
	equal(t, "prod after the first", w.codes("prod"), ran[1])
	equal(t, "dev after the first", w.codes("dev"), dev)
	if rel.Request.Actor != "carol" || rel.Source.Commit == "" || rel.Attempt != 2 {
		t.Errorf("the record is %+v", rel)
	}
	for _, live := range w.live() {
		if live.Environment == "prod" && live.Version != bare(2) {
			t.Errorf("the ledger has %s %s live in prod, want %s", live.Name, live.Version, bare(2))
		}
	}

	second, _ := w.undone(prod)
	wantState(t, second, release.Succeeded)
	equal(t, "prod after the second", w.codes("prod"), ran[0])
	w.refusesUndo(prod, release.NotFound, "is the first good one")

	prod.To = bare(3)
	forward, _ := w.undone(prod)
	wantState(t, forward, release.Succeeded)
	equal(t, "prod after going forward", w.codes("prod"), ran[2])
	w.refusesUndo(prod, release.Invalid, "is what is live in prod")
	w.GitHub.OnRequest(nil)
	w.sound()
}

func equal(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestARollBackPassesOverWhatWasNotGood(t *testing.T) {
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.0.0", demo.Files(code(1), "2.32.1")), release.Succeeded)
	ran := w.codes("prod")
	wantState(t, w.released("v1.1.0", demo.Files(demo.Broken, "2.32.2")), release.FailedClean) // in prod alone
	wantState(t, w.released("v1.2.0", demo.Files(code(2), "2.32.2")), release.Succeeded)
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantState(t, rel, release.Succeeded)
	if rel.Version != "1.0.0" {
		t.Errorf("prod went back to %s, want 1.0.0", rel.Version)
	}
	equal(t, "prod", w.codes("prod"), ran)
	w.sound()
}

func TestARollBackThatIsPlannedChangesNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.three()
	before, calls := w.targets(), w.calls()
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod", DryRun: true})
	wantState(t, rel, release.Succeeded)
	if writes := w.writes(calls); len(writes) > 0 {
		t.Errorf("a dry run changed something: %+v", writes)
	}
	w.unchanged(before)
	w.in(func(ctx context.Context) {
		plan, err := w.Local.WholePlan(ctx, rel.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Steps) == 0 {
			t.Error("the plan is empty")
		}
		for _, step := range plan.Steps {
			if step.Site.Environment == "dev" {
				t.Errorf("the plan touches dev: %+v", step)
			}
		}
	})
}

func TestWhatCannotBeRolledBackIsToldAtOnce(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.three()
	w.refusesUndo(app.Undo{App: "orders", Environment: "staging"}, release.Denied, `"staging"`, `"dev"`)
	w.refusesUndo(app.Undo{App: "order", Environment: "prod"}, release.Denied, `"order"`)
	w.refusesUndo(app.Undo{App: "orders"}, release.Invalid, "environment is missing")
	w.refusesUndo(app.Undo{App: "orders", Environment: "prod", To: "9.9.9"}, release.NotFound, "9.9.9", bare(1), bare(2))
	var first release.Answer
	w.in(func(ctx context.Context) {
		var err error
		if first, err = w.Local.Orders().Undo(ctx, app.Undo{App: "orders", Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
	})
	w.refusesUndo(app.Undo{App: "orders", Environment: "prod"}, release.Conflict, first.Releases[0], "is still")
	w.settle()
}

// TestOrdersAtTheSameTimeAreEachCarriedOut: all have read which attempt is next
// before any of them takes it.
func TestOrdersAtTheSameTimeAreEachCarriedOut(t *testing.T) {
	undo := func(environment, by string) func(context.Context, *app.Orders) (release.Answer, error) {
		return func(ctx context.Context, o *app.Orders) (release.Answer, error) {
			return o.Undo(ctx, app.Undo{App: "orders", Environment: environment, To: bare(1), By: by})
		}
	}
	retry := func(ctx context.Context, o *app.Orders) (release.Answer, error) {
		return o.Place(ctx, app.Order{App: "orders", Tag: version(1), Retry: true, Force: true, By: "carol"})
	}
	for _, test := range []struct {
		name   string
		orders []func(context.Context, *app.Orders) (release.Answer, error)
		// started is how many releases there are, refused how many orders wait for the end of one.
		started, refused int
		live             map[string]string
	}{
		{"rollbacks of two environments", []func(context.Context, *app.Orders) (release.Answer, error){undo("dev", "carol"), undo("prod", "carol")},
			2, 0, map[string]string{"dev": bare(1), "prod": bare(1)}},
		{"the same rollback twice", []func(context.Context, *app.Orders) (release.Answer, error){undo("prod", "carol"), undo("prod", "carol")},
			1, 0, map[string]string{"dev": bare(2), "prod": bare(1)}},
		{"the same rollback by two", []func(context.Context, *app.Orders) (release.Answer, error){undo("prod", "carol"), undo("prod", "alice")},
			1, 1, map[string]string{"dev": bare(2), "prod": bare(1)}},
		{"the version once more, and a rollback to it", []func(context.Context, *app.Orders) (release.Answer, error){retry, undo("prod", "carol")},
			1, 1, map[string]string{"prod": bare(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			for n := 1; n <= 2; n++ {
				wantState(t, w.released(version(n), demo.Files(code(n), "2.32.1")), release.Succeeded)
			}
			w.table.onCall = func(what string, _ bool) mishap {
				if strings.HasPrefix(what, "Put attempts/") {
					return mishap{delay: time.Second}
				}
				return mishap{}
			}
			answers, errs := make([]release.Answer, len(test.orders)), make([]error, len(test.orders))
			w.in(func(ctx context.Context) {
				clock.Each(w.Clock, len(test.orders), len(test.orders), func(i int) {
					answers[i], errs[i] = test.orders[i](ctx, w.Local.Orders())
				})
			})
			started, refused := map[string]bool{}, 0
			for i, err := range errs {
				switch {
				case err == nil:
					started[answers[i].Releases[0]] = true
				case release.KindOf(err) == release.Conflict && release.RemedyOf(err) != "":
					refused++
				default:
					t.Errorf("order %d: %v", i, err)
				}
			}
			if len(started) != test.started || refused != test.refused {
				t.Errorf("got releases %v and %d refusals, want %d and %d: %+v %v", started, refused, test.started, test.refused, answers, errs)
			}
			w.settle()
			for _, live := range w.live() {
				if want := test.live[live.Environment]; want != "" && live.Version != want {
					t.Errorf("%s of %s is at %s, want %s", live.Name, live.Environment, live.Version, want)
				}
			}
			w.sound()
		})
	}
}

// TestARollBackIsUndoneWhenItFails: a rollback is a release like any other.
func TestARollBackIsUndoneWhenItFails(t *testing.T) {
	w := newWorld(t, worldOptions{})
	ran := w.three()
	w.in(func(ctx context.Context) {
		answer, err := w.Local.Orders().Undo(ctx, app.Undo{App: "orders", Environment: "prod"})
		if err != nil {
			t.Fatal(err)
		}
		w.whenShifting(ctx, answer.Releases[0])
		w.ring(demo.Prod, demo.Home, "ALARM")
	})
	w.settle()
	equal(t, "prod", w.codes("prod"), ran[2])
	w.sound()
}

// TestWhatIsStagedNoMoreComesFromItsSource: the copy of an earlier release may have been removed.
func TestWhatIsStagedNoMoreComesFromItsSource(t *testing.T) {
	w := newWorld(t, worldOptions{})
	ran := w.three()
	w.in(func(ctx context.Context) {
		rels, err := w.Local.Core().Ledger.List(ctx, ledger.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, rel := range rels {
			w.removeStaged(ctx, rel.ID)
		}
	})
	rel, _ := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantState(t, rel, release.Succeeded)
	equal(t, "prod", w.codes("prod"), ran[1])
}

// removeStaged deletes every copy of what a release staged.
func (w *world) removeStaged(ctx context.Context, id string) {
	w.t.Helper()
	artifacts, err := w.Local.Core().Ledger.Artifacts(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, artifact := range artifacts {
		for region, object := range artifact.Objects {
			if _, err := w.Cloud.Root(demo.Tools).S3(region).DeleteObject(ctx, &s3.DeleteObjectInput{
				Bucket: &object.Bucket, Key: &object.Key, VersionId: &object.VersionID,
			}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// TestARollBackIsFromWhatCameLastAndNotFromWhatWasCreatedLast: a release that waited
// for its approval came after a rollback that was ordered later.
func TestARollBackIsFromWhatCameLastAndNotFromWhatWasCreatedLast(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var ran []map[string]string
	for n := range 2 {
		wantState(t, w.released(version(n), demo.Files(code(n), fmt.Sprintf("2.32.%d", n))), release.Succeeded)
		ran = append(ran, w.codes("prod"))
	}
	w.register(approving(t))
	prod := app.Undo{App: "orders", Environment: "prod"}
	w.in(func(ctx context.Context) {
		id := w.pushed(ctx, version(2), demo.Files(code(2), "2.32.2"))
		w.until(ctx, id, release.WaitingApproval)
		answer, err := w.Local.Orders().Undo(ctx, prod)
		if err != nil {
			t.Fatal(err)
		}
		w.until(ctx, answer.Releases[0], release.Succeeded)
		w.approve(ctx, id, "alice", true)
		w.untilTrue(ctx, id, "asking again", func(rel release.Release) bool {
			p, _ := rel.Environment("prod")
			return rel.State == release.WaitingApproval && p.Approval.Answered.IsZero()
		})
		w.approve(ctx, id, "alice", true)
		w.until(ctx, id, release.Succeeded)
	})
	w.settle()

	w.refusesUndo(app.Undo{App: "orders", Environment: "prod", To: bare(2)}, release.Invalid, "is what is live in prod")
	rel, answer := w.undone(prod)
	wantState(t, rel, release.Succeeded)
	wantText(t, answer.Reason, "from "+bare(2)+" to "+bare(0))
	equal(t, "prod", w.codes("prod"), ran[0])
	w.sound()
}

// TestWhatIsLiveCountsMoreThanClocks: the task that closed prod had one that was ahead.
func TestWhatIsLiveCountsMoreThanClocks(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.onTask = func(k task) fault {
		if k.in.Do == "close" && k.in.Environment == "prod" && strings.Contains(k.in.Release, "1-0-0") {
			return fault{skew: 2 * time.Hour}
		}
		return fault{}
	}
	for n := range 2 {
		wantState(t, w.released(version(n), demo.Files(code(n), "2.32.1")), release.Succeeded)
	}
	_, answer := w.undone(app.Undo{App: "orders", Environment: "prod"})
	wantText(t, answer.Reason, "from "+bare(1)+" to "+bare(0))
}

// register puts another registry in force.
func (w *world) register(registry string) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		if _, err := w.Local.State.Put(ctx, app.RegistryKey, []byte(registry)); err != nil {
			w.t.Fatal(err)
		}
	})
}
