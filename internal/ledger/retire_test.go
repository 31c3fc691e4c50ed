package ledger_test

import (
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	retiredLayer  = "arn:aws:lambda:us-east-1:999999999999:layer:deps:1"
	replacedLayer = "arn:aws:lambda:us-east-1:999999999999:layer:deps:2"
)

// retiring is a ledger that remembers a version, with how to look at it.
func retiring(t *testing.T) (*ledger.Ledger, *clock.Virtual, func() bool) {
	t.Helper()
	c := clock.NewVirtual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 0)
	l := ledger.New(ledger.NewMemoryTable(), c)
	if err := l.PutLayerVersion(t.Context(), "deps", "us-east-1", "abc", retiredLayer); err != nil {
		t.Fatal(err)
	}
	return l, c, func() bool {
		_, found, err := l.LayerVersion(t.Context(), "deps", "us-east-1", "abc")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

func retire(t *testing.T, l *ledger.Ledger, arn, by string) bool {
	t.Helper()
	ok, err := l.RetireLayerVersion(t.Context(), "deps", "us-east-1", "abc", arn, by)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func restore(t *testing.T, l *ledger.Ledger, by string) {
	t.Helper()
	if err := l.RestoreLayerVersion(t.Context(), "deps", "us-east-1", "abc", retiredLayer, by); err != nil {
		t.Fatal(err)
	}
}

func TestARetiredLayerVersionIsToldToNobody(t *testing.T) {
	l, _, found := retiring(t)
	for range 2 { // the answer may be lost
		if !retire(t, l, retiredLayer, "first") {
			t.Error("it was not retired by the release that may")
		}
	}
	if found() {
		t.Error("it is found")
	}
	known, err := l.PublishedVersions(t.Context(), "deps", "us-east-1")
	if err != nil || known[retiredLayer] != "abc" {
		t.Errorf("the versions are %v (%v), want the retired one among them", known, err)
	}
	if err := l.PutLayerVersion(t.Context(), "deps", "us-east-1", "abc", replacedLayer); err != nil {
		t.Fatal(err)
	}
	if !found() {
		t.Error("the version that was published after it is not found")
	}
}

func TestARetirementBelongsToOneRelease(t *testing.T) {
	l, c, found := retiring(t)
	retire(t, l, retiredLayer, "first")
	if retire(t, l, retiredLayer, "second") {
		t.Error("another release retired it, too")
	}
	if restore(t, l, "second"); found() {
		t.Error("another release restored it")
	}
	c.Run(func() { _ = c.Sleep(t.Context(), time.Hour) })
	if !retire(t, l, retiredLayer, "second") {
		t.Error("a retirement that was left behind is not taken over")
	}
	if restore(t, l, "first"); found() {
		t.Error("the first release restored what is the second's")
	}
	if restore(t, l, "second"); !found() {
		t.Error("it was not restored")
	}
}

func TestADigestWithAnotherVersionIsNotRetired(t *testing.T) {
	l, _, found := retiring(t)
	if retire(t, l, replacedLayer, "first") || !found() {
		t.Error("it was retired by the name of another version")
	}
}

func TestHistoryHasResultsNewestFirst(t *testing.T) {
	l, c, _ := retiring(t)
	site := release.Site{Environment: "dev", Account: "111111111111", Region: "us-east-1"}
	var ids []string
	for _, version := range []string{"1.0.0", "1.1.0"} {
		c.Run(func() { _ = c.Sleep(t.Context(), time.Minute) })
		rel, _, err := l.Create(t.Context(), release.Request{App: "orders", Version: version, Attempt: 1, Source: release.Source{RepositoryID: 1, Tag: version}})
		if err != nil {
			t.Fatal(err)
		}
		results, err := l.SiteResults(t.Context(), rel.ID, release.PhaseUpdate, site)
		if err != nil {
			t.Fatal(err)
		}
		results.Set(release.Result{Step: "update", Version: version})
		if err := results.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rel.ID)
	}
	past, err := l.History(t.Context(), "orders", 10)
	if err != nil || len(past) != 2 {
		t.Fatalf("there are %d releases (%v), want 2", len(past), err)
	}
	if past[0].Release.ID != ids[1] || past[0].Results["update"].Version != "1.1.0" || past[1].Results["update"].Version != "1.0.0" {
		t.Errorf("the history is %+v, want 1.1.0 and then 1.0.0 with their results", past)
	}
}
