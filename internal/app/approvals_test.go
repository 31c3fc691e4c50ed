package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// approving is the demo's registry with an approval before prod.
func approving(t *testing.T) string {
	return edited(t, demo.Registry, "    bake: 10m\n", "    bake: 10m\n    approval: required\n")
}

// approve answers inside of the clock.
func (w *world) approve(ctx context.Context, id, by string, approve bool) {
	w.t.Helper()
	if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: by}, approve); err != nil {
		w.t.Fatal(err)
	}
}

func orderOf(tag string, retry, force bool) app.Order {
	return app.Order{App: "orders", Tag: tag, Retry: retry, Force: force, By: "carol"}
}

// ordered places an order and waits for the release's end.
func (w *world) ordered(order app.Order) release.Release {
	w.t.Helper()
	var answer release.Answer
	w.in(func(ctx context.Context) {
		var err error
		if answer, err = w.Local.Orders().Place(ctx, order); err != nil {
			w.t.Fatal(err)
		}
	})
	if answer.Status != release.AnswerStarted {
		w.t.Fatalf("order %+v: got %+v, want started", order, answer)
	}
	w.settle()
	return w.record(answer.Releases[0])
}

func TestApprovals(t *testing.T) {
	tests := []struct {
		name string
		// answer is called while the release waits; who sent it is "octocat".
		answer func(w *world, ctx context.Context, id string)
		state  release.State
		says   string
	}{
		{"approved by somebody else", func(w *world, ctx context.Context, id string) {
			w.approve(ctx, id, "alice", true)
		}, release.Succeeded, ""},
		{"rejected", func(w *world, ctx context.Context, id string) {
			w.approve(ctx, id, "alice", false)
		}, release.Rejected, "rejected by alice"},
		{"the sender cannot approve, in whatever case", func(w *world, ctx context.Context, id string) {
			actor := w.until(ctx, id, release.WaitingApproval).Request.Actor
			for _, by := range []string{actor, "OCTOCAT"} {
				if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: by}, true); release.KindOf(err) != release.Denied || err == nil {
					w.t.Errorf("%s sent and approved the release: %v", by, err)
				}
			}
			w.approve(ctx, id, actor, false)
		}, release.Rejected, "rejected by"},
		{"nobody answers", func(*world, context.Context, string) {}, release.Expired, "nobody approved"},
		{"an approval is not turned into a rejection", func(w *world, ctx context.Context, id string) {
			w.approve(ctx, id, "alice", true)
			if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: "bob"}, false); release.KindOf(err) != release.Conflict || err == nil {
				w.t.Errorf("the second answer was taken: %v", err)
			}
		}, release.Succeeded, ""},
		{"an answer by nobody is not one", func(w *world, ctx context.Context, id string) {
			if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{}, true); release.KindOf(err) != release.Invalid || err == nil {
				w.t.Errorf("nobody approved: %v", err)
			}
		}, release.Expired, "nobody approved"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: approving(t)})
			w.GitHub.SetSender("octocat")
			before := w.targets()
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
				w.until(ctx, id, release.WaitingApproval)
				test.answer(w, ctx, id)
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, test.state)
			wantText(t, rel.Error, test.says)
			w.sound()
			w.asRecorded(rel, before)
			if dev, _ := rel.Environment("dev"); dev.State != release.EnvironmentDone {
				t.Errorf("dev is %s, want done", dev.State)
			}
		})
	}
}

func TestARejectionTellsItsReason(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		w.until(ctx, id, release.WaitingApproval)
		if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: "alice", Reason: "not before the sale"}, false); err != nil {
			t.Fatal(err)
		}
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.Rejected)
	if want := "rejected by alice: not before the sale"; rel.Error != want {
		t.Errorf("the release says %q, want %q", rel.Error, want)
	}
	if prod, _ := rel.Environment("prod"); prod.Approval.Reason != "not before the sale" || prod.Approval.By != "alice" {
		t.Errorf("the answer on record is %+v", prod.Approval)
	}
	statuses := w.GitHub.CommitStatuses(w.Repo, rel.Source.Commit)
	if want, got := "orders 1.1.0 was rejected by alice: not before the sale", statuses[len(statuses)-1]; got.Description != want || got.State != "failure" {
		t.Errorf("GitHub was told %+v, want %q", got, want)
	}
}

func TestAnApprovalIsAskedForAgainWhenThePlanChanged(t *testing.T) {
	w := newWorld(t, worldOptions{registry: approving(t)})
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		first := w.until(ctx, id, release.WaitingApproval)
		api := w.Cloud.Root(demo.Prod).Lambda(demo.Home)
		name := "orders-api"
		if _, err := api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: &name, Environment: &types.Environment{Variables: map[string]string{"LOG_LEVEL": "debug"}},
		}); err != nil {
			t.Fatal(err)
		}
		_ = w.Clock.Sleep(ctx, time.Hour)
		w.approve(ctx, id, "alice", true)
		asked := func(rel release.Release) *release.Approval {
			prod, _ := rel.Environment("prod")
			return prod.Approval
		}
		second := w.untilTrue(ctx, id, "asked again", func(rel release.Release) bool {
			return rel.State == release.WaitingApproval && asked(rel).Asked.After(asked(first).Asked)
		})
		if asked(second).Fingerprint == asked(first).Fingerprint {
			t.Error("the second question is about the same plan")
		}
		if asked(second).Approved {
			t.Error("the second question is answered already")
		}
		if lease, held := leaseOf(w, ctx, "env/orders/prod"); held {
			t.Errorf("the lease is held while a person looks: %+v", lease)
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	f, err := w.Function(demo.Sites()[1], "orders-api")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Latest.Environment["LOG_LEVEL"]; got != "debug" {
		t.Errorf("LOG_LEVEL is %q, want debug as somebody set it", got)
	}
	w.sound()
}

// TestAnAnswerIsDeliveredToTheQuestionThatIsAskedAgain lets what follows an answer not be stored, as when the
// process is killed: the question is asked again when the release is taken up, and is answered already.
func TestAnAnswerIsDeliveredToTheQuestionThatIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		approve bool
		next    string
		state   release.State
	}{{true, "AcquireLease", release.Succeeded}, {false, "PrepareRollBack", release.Rejected}} {
		t.Run(string(test.state), func(t *testing.T) {
			w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
			lost := false
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
				w.asked(ctx, id, 1)
				w.store.onSave = func(what string) mishap {
					if lost || what != "Save "+test.next {
						return mishap{}
					}
					lost = true
					return mishap{before: errTable}
				}
				w.approve(ctx, id, "alice", test.approve)
				_ = w.Clock.Sleep(ctx, time.Minute)
				if rel := w.now(ctx, id); !lost || rel.State != release.WaitingApproval {
					t.Errorf("a step was lost: %t, and the release is %s; want it to wait", lost, rel.State)
				}
				if _, err := w.Local.Engine.Resume(ctx); err != nil {
					t.Error(err)
				}
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, test.state)
			if prod, _ := rel.Environment("prod"); prod.Approval.By != "alice" {
				t.Errorf("it was answered by %q, want alice", prod.Approval.By)
			}
			w.sound()
		})
	}
}

// TestAnAnswerIsForThePlanThatWasShown answers a question when the release has gone on to another.
func TestAnAnswerIsForThePlanThatWasShown(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	w.in(func(ctx context.Context) {
		id := w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
		w.asked(ctx, id, 1)
		asks := func() string {
			rel := w.now(ctx, id)
			return report.Asked(rel.Environments)
		}
		shown := asks()
		course{}.changePlan(w, ctx, true)
		if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: "alice", Plan: shown[:12]}, true); err != nil {
			t.Fatal(err)
		}
		w.untilTrue(ctx, id, "asking again", func(rel release.Release) bool {
			return rel.State == release.WaitingApproval && asks() != "" && asks() != shown
		})
		for _, approve := range []bool{true, false} {
			_, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: "alice", Plan: shown[:12]}, approve)
			if err == nil || release.KindOf(err) != release.Conflict {
				t.Errorf("an answer about the first plan: %v, want a conflict", err)
			} else {
				wantText(t, err.Error(), "asks about plan", asks()[:12], fmt.Sprintf(`of environment "prod", not about %q`, shown[:12]))
			}
		}
		if _, err := w.Local.Approvals().Answer(ctx, id, app.Decision{By: "alice", Plan: asks()[:12]}, true); err != nil {
			t.Error(err)
		}
	})
	w.settle()
	w.sound()
}
