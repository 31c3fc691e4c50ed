package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

// TestWhoWatchesSeesTheTrafficMoveAndTheBakeEnd looks at a release every ten
// seconds, and compares what it is told with what happens.
func TestWhoWatchesSeesTheTrafficMoveAndTheBakeEnd(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var id string
	var shift string // one that moves in parts: a new alias moves at once
	var next, ends, moved time.Time
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		for {
			view, err := w.Local.View(ctx, id)
			if err != nil || view.State.Ended() {
				return
			}
			for _, step := range view.Steps {
				if step.Environment != "prod" || step.Kind != release.ShiftTraffic {
					continue
				}
				switch {
				case step.Weight == 10:
					shift, next = step.Key(), step.NextAt
				case step.State == release.StepDone && step.Key() == shift:
					moved = step.Since
				}
			}
			if prod, ok := view.Environment("prod"); ok && !prod.BakeEnds.IsZero() {
				ends = prod.BakeEnds
			}
			if !view.AsOf.Equal(w.Clock.Now()) {
				t.Fatalf("the view is of %s, want now", view.AsOf)
			}
			_ = w.Clock.Sleep(ctx, 10*time.Second)
		}
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.Succeeded)
	if late := moved.Sub(next); next.IsZero() || late < 0 || late > time.Minute {
		t.Errorf("all traffic was said to move at %s, and did at %s", next, moved)
	}
	if late := rel.Ended.Sub(ends); ends.IsZero() || late < 0 || late > time.Minute {
		t.Errorf("the bake was said to end at %s, and the release ended at %s", ends, rel.Ended)
	}
	if slices.ContainsFunc(rel.Environments, func(p release.Progress) bool { return !p.BakeEnds.IsZero() }) {
		t.Errorf("what is only worked out was recorded: %+v", rel.Environments)
	}
}
