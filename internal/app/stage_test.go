package app

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// TestWhoWatchesSeesAnArtifactComeIn has a staging of ten seconds, of which two
// are worth a note, and another that is over before the first.
func TestWhoWatchesSeesAnArtifactComeIn(t *testing.T) {
	c := clock.NewVirtual(time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC), 0)
	parts := &Parts{Table: ledger.NewMemoryTable(), Clock: c}
	c.Run(func() {
		ctx := t.Context()
		core := parts.Core()
		rel, _, err := core.Ledger.Create(ctx, release.Request{App: "orders", Version: "1.1.0", Attempt: 1, Source: release.Source{Tag: "v1.1.0"}})
		if err != nil {
			t.Fatal(err)
		}
		task := &Staging{Core: core}
		quick, slow := task.progress(ctx, Input{Release: rel.ID, Artifact: "code"}), task.progress(ctx, Input{Release: rel.ID, Artifact: "deps"})
		quick(release.Staging{Artifact: "code", State: release.Fetching, Done: 10})
		if err := core.Ledger.PutArtifact(ctx, rel.ID, release.Artifact{Name: "code", Size: 10}); err != nil {
			t.Fatal(err)
		}
		var seen []int64
		for done := int64(1); done <= 10; done++ {
			_ = c.Sleep(ctx, time.Second)
			slow(release.Staging{Artifact: "deps", State: release.Fetching, Done: done, Total: 10})
			seen = append(seen, shownOf(t, ctx, parts, rel.ID)...)
		}
		if want := []int64{4, 8}; !slices.Equal(slices.Compact(seen), want) {
			t.Errorf("it was seen at %v, want %v", seen, want)
		}
		if err := core.Ledger.PutArtifact(ctx, rel.ID, release.Artifact{Name: "deps", Size: 10}); err != nil {
			t.Fatal(err)
		}
		view, err := parts.View(ctx, rel.ID)
		if err != nil || len(view.Staging) != 2 || view.Staging[1] != (release.Staging{Artifact: "deps", State: release.Staged, Done: 10, Total: 10}) {
			t.Errorf("in the end it is shown as %+v (%v), want staged", view.Staging, err)
		}
	})
}

// shownOf is how far deps is shown to be, if it is.
func shownOf(t *testing.T, ctx context.Context, parts *Parts, id string) (done []int64) {
	view, err := parts.View(ctx, id)
	if err != nil || len(view.Staging) == 0 || view.Staging[0].State != release.Staged {
		t.Fatalf("%+v (%v), want code first, staged without a note", view.Staging, err)
	}
	for _, how := range view.Staging[1:] {
		done = append(done, how.Done)
	}
	return done
}
