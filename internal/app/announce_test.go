package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// bus keeps the events that it takes.
type bus struct {
	taken []*eventbridge.PutEventsInput
	// fails and refuses say how a call ends; nil is well.
	fails   error
	refuses *types.PutEventsResultEntry
}

func (b *bus) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	switch {
	case b.fails != nil:
		return nil, b.fails
	case b.refuses != nil:
		return &eventbridge.PutEventsOutput{FailedEntryCount: 1, Entries: []types.PutEventsResultEntry{*b.refuses}}, nil
	}
	b.taken = append(b.taken, in)
	return &eventbridge.PutEventsOutput{Entries: []types.PutEventsResultEntry{{EventId: aws.String("one")}}}, nil
}

// told is a line for each event about a release: its detail-type, environment and the release's state.
func (b *bus) told(t *testing.T, id string) (lines []string) {
	t.Helper()
	for _, in := range b.taken {
		for _, entry := range in.Entries {
			var event report.Event
			if err := json.Unmarshal([]byte(*entry.Detail), &event); err != nil {
				t.Fatal(err)
			}
			if event.Release == id {
				lines = append(lines, strings.TrimPrefix(*entry.DetailType, "Tagboat ")+" "+event.Environment+" "+string(event.State))
			}
		}
	}
	return lines
}

func TestEventBridgeAnnounces(t *testing.T) {
	b := &bus{}
	event := report.NewEvent(release.Release{ID: "orders-1", App: "orders", Version: "1.0.0", State: release.Succeeded}, report.ReleaseEnded, "", "")
	if err := (app.EventBridge{API: b, Bus: "releases"}).Announce(t.Context(), report.ReleaseEnded, event); err != nil {
		t.Fatal(err)
	}
	entry := b.taken[0].Entries[0]
	if *entry.EventBusName != "releases" || *entry.Source != "tagboat" || *entry.DetailType != "Tagboat Release Ended" || !strings.Contains(*entry.Detail, `"release":"orders-1"`) {
		t.Errorf("got %+v", entry)
	}
}

func TestAnEventThatIsNotTakenIsAnError(t *testing.T) {
	for name, b := range map[string]*bus{
		"the call fails":       {fails: errors.New("no route")},
		"the entry is refused": {refuses: &types.PutEventsResultEntry{ErrorCode: aws.String("InternalFailure"), ErrorMessage: aws.String("try again")}},
	} {
		err := app.EventBridge{API: b, Bus: "releases"}.Announce(t.Context(), report.ReleaseEnded, report.Event{})
		if err == nil || release.KindOf(err) != release.Transient || !strings.Contains(err.Error(), `"releases"`) {
			t.Errorf("%s: got %v, want a transient error that names the bus", name, err)
		}
	}
}

// listening lets the world's tasks announce on a bus.
func (w *world) listening() *bus {
	w.t.Helper()
	b := &bus{}
	w.Local.Parts.Announcer = app.EventBridge{API: b, Bus: "releases"}
	w.start(1)
	return b
}

// TestEveryOutcomeIsAnnounced once, when nothing goes wrong with the telling.
func TestEveryOutcomeIsAnnounced(t *testing.T) {
	tests := []struct {
		state    release.State
		registry func(t *testing.T) string
		broken   bool
		// during acts while the release runs.
		during func(w *world, ctx context.Context, id string)
		before []string // what is announced before the end
	}{
		{state: release.Succeeded, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Environment Started prod running", "Environment Released prod running",
		}},
		{state: release.FailedClean, broken: true, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Environment Started prod running",
		}},
		{state: release.FailedClean, during: func(w *world, ctx context.Context, id string) {
			w.whenShifting(ctx, id)
			_ = w.Local.Engine.Stop(ctx, id, "Stopped", "by a test") // a recovery tells the end
		}, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Environment Started prod running",
		}},
		{state: release.FailedDirty, during: makeDirty, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Environment Started prod running",
		}},
		{state: release.Refused, registry: func(t *testing.T) string { return edited(t, demo.Registry, `"orders-*"`, `"others-*"`) }},
		{state: release.Rejected, registry: approving, during: func(w *world, ctx context.Context, id string) {
			w.until(ctx, id, release.WaitingApproval)
			w.approve(ctx, id, "alice", false)
		}, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Approval Asked prod waiting_approval",
		}},
		{state: release.Expired, registry: approving, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Approval Asked prod waiting_approval",
		}},
		{state: release.Superseded, registry: func(t *testing.T) string {
			return edited(t, approving(t), "    drop_manifest:", "    concurrency: supersede\n    drop_manifest:")
		}, during: func(w *world, ctx context.Context, id string) {
			w.until(ctx, id, release.WaitingApproval)
			newer := w.pushed(ctx, "v1.2.0", demo.Files(code(2), "2.32.3"))
			w.until(ctx, newer, release.WaitingApproval)
			w.approve(ctx, newer, "alice", true)
		}, before: []string{
			"Environment Started dev running", "Environment Released dev running", "Approval Asked prod waiting_approval",
		}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%d %s", i, test.state), func(t *testing.T) {
			t.Parallel()
			var options worldOptions
			if test.registry != nil {
				options.registry = test.registry(t)
			}
			w := newWorld(t, options)
			b := w.listening()
			handler := demo.Handler
			if test.broken {
				handler = demo.Broken
			}
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", demo.Files(handler, "2.32.3"))
				if test.during != nil {
					test.during(w, ctx, id)
				}
			})
			w.settle()
			wantState(t, w.record(id), test.state)
			want := append(slices.Clone(test.before), "Release Ended  "+string(test.state))
			if got := b.told(t, id); !slices.Equal(got, want) {
				t.Errorf("announced were\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			w.settled(10 * time.Minute)
			if got := b.told(t, id); len(got) != len(want) {
				t.Errorf("more was announced afterwards: %v", got[len(want):])
			}
		})
	}
}

// makeDirty changes a function by hand in the middle of prod's canary.
func makeDirty(w *world, ctx context.Context, id string) {
	w.whenShifting(ctx, id)
	w.takenByHand(ctx)
}

// TestABusThatTakesNothingFailsNoRelease, and hears of the end once it takes events again.
func TestABusThatTakesNothingFailsNoRelease(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	b := w.listening()
	b.fails = errors.New("no route")
	rel := w.released("v1.1.0", quick(t, demo.Handler))
	wantState(t, rel, release.Succeeded)
	w.settled(10 * time.Minute)
	b.fails = nil
	w.settled(time.Hour)
	if got, want := b.told(t, rel.ID), []string{"Release Ended  succeeded"}; !slices.Equal(got, want) {
		t.Errorf("announced were %q, want %q", got, want)
	}
	if left := w.untold(); len(left) > 0 {
		t.Errorf("there is still to tell: %+v", left)
	}
}

func TestDryRunsAreToldToNobody(t *testing.T) {
	w := newWorld(t, worldOptions{})
	b := w.listening()
	w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "one", demo.Files(demo.Handler, "2.32.3")))
	order := orderOf("v1.1.0", false, false)
	order.DryRun = true
	rel := w.ordered(order)
	wantState(t, rel, release.Succeeded)
	w.settled(10 * time.Minute)
	if len(b.taken) > 0 || len(w.GitHub.Deployments(w.Repo)) > 0 || len(w.GitHub.CommitStatuses(w.Repo, rel.Source.Commit)) > 0 || len(w.untold()) > 0 {
		t.Errorf("a dry run was told: %v", b.told(t, rel.ID))
	}
}
