package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

func TestResultsOfAllPhasesAndSitesAreReadTogether(t *testing.T) {
	b := newBook()
	sites := []release.Site{{Environment: "dev", Account: "1", Region: "r"}, {Environment: "prod", Account: "2", Region: "r"}}
	for _, phase := range []release.Phase{release.PhaseUpdate, release.PhaseShift} {
		for _, site := range sites {
			results, err := b.SiteResults(t.Context(), "rel", phase, site)
			ok(t, err)
			id := string(phase) + "/" + site.String()
			want(t, "before", results.Get(id), release.Result{Step: id, State: release.StepPending})
			results.Set(release.Result{Step: id, State: release.StepRunning})
			ok(t, results.Save(t.Context()))
			results.Set(release.Result{Step: id, State: release.StepDone, Version: "3"})
			ok(t, results.Save(t.Context()))
			ok(t, results.Save(t.Context()))
		}
	}
	all, err := b.Results(t.Context(), "rel")
	ok(t, err)
	want(t, "results", len(all), 4)
	for id, result := range all {
		want(t, "result", result, release.Result{Step: id, State: release.StepDone, Version: "3"})
	}
	again, err := b.SiteResults(t.Context(), "rel", release.PhaseShift, sites[0])
	ok(t, err)
	want(t, "read by the next turn", again.Get("shift/dev/1/r").Version, "3")
}

func TestAStaleTaskCannotOverwriteTheResultsOfANewerOne(t *testing.T) {
	b := newBook()
	site := release.Site{Environment: "dev", Account: "1", Region: "r"}
	stale, err := b.SiteResults(t.Context(), "rel", release.PhaseUpdate, site)
	ok(t, err)
	newer, err := b.SiteResults(t.Context(), "rel", release.PhaseUpdate, site)
	ok(t, err)
	newer.Set(release.Result{Step: "s", State: release.StepDone})
	ok(t, newer.Save(t.Context()))
	stale.Set(release.Result{Step: "s", State: release.StepRunning})
	wantKind(t, stale.Save(t.Context()), release.Transient, "another run")
	all, err := b.Results(t.Context(), "rel")
	ok(t, err)
	want(t, "state", all["s"].State, release.StepDone)
}

func TestASaveWhoseAnswerWasLostCanBeRepeated(t *testing.T) {
	b := newBook()
	results, err := b.SiteResults(t.Context(), "rel", release.PhaseUpdate, release.Site{Environment: "dev", Account: "1", Region: "r"})
	ok(t, err)
	for _, step := range []string{"one", "two"} {
		results.Set(release.Result{Step: step, State: release.StepDone})
		b.table.Fail(1, ledgertest.Unanswered)
		wantKind(t, results.Save(t.Context()), release.Transient)
		ok(t, results.Save(t.Context()))
	}
	all, err := b.Results(t.Context(), "rel")
	ok(t, err)
	want(t, "results", len(all), 2)
}

func TestResultsThatAreSavedSideBySideAreAllThere(t *testing.T) {
	site := release.Site{Environment: "dev", Account: "1", Region: "r"}
	save := func(results *ledger.SiteResults, i int) {
		results.Set(release.Result{Step: fmt.Sprint(i)})
		if err := results.Save(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Run("by goroutines", func(t *testing.T) {
		l := ledger.New(ledger.NewMemoryTable(), clock.System{})
		results, err := l.SiteResults(t.Context(), "rel", release.PhaseUpdate, site)
		ok(t, err)
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() { save(results, i) })
		}
		all.Wait()
		stored, err := l.Results(t.Context(), "rel")
		ok(t, err)
		want(t, "results", len(stored), 30)
	})
	t.Run("in virtual time, with few writes", func(t *testing.T) {
		b := newBook()
		slow := &slowTable{Table: b.table, clock: b.time}
		results, err := ledger.New(slow, b.time).SiteResults(t.Context(), "rel", release.PhaseUpdate, site)
		ok(t, err)
		b.time.Run(func() { clock.Each(b.time, 30, 0, func(i int) { save(results, i) }) })
		stored, err := b.Results(t.Context(), "rel")
		ok(t, err)
		want(t, "results", len(stored), 30)
		if slow.puts > 2 {
			t.Errorf("%d writes for what was saved at the same time, want 2", slow.puts)
		}
	})
}

// slowTable takes virtual time for each write.
type slowTable struct {
	ledger.Table
	clock clock.Clock
	puts  int
}

func (s *slowTable) Put(ctx context.Context, item ledger.Item) error {
	s.puts++
	if err := s.clock.Sleep(ctx, time.Second); err != nil {
		return err
	}
	return s.Table.Put(ctx, item)
}

func TestWhatIsStagedForAReleaseIsReadBack(t *testing.T) {
	b := newBook()
	ok(t, b.PutArtifact(t.Context(), "rel", release.Artifact{Name: "code", SHA256: "first"}))
	ok(t, b.PutArtifact(t.Context(), "rel", release.Artifact{Name: "code", SHA256: "late"}))
	ok(t, b.PutArtifact(t.Context(), "rel", release.Artifact{Name: "deps/all", SHA256: "d"}))
	ok(t, b.PutArtifact(t.Context(), "rel2", release.Artifact{Name: "other"}))
	artifacts, err := b.Artifacts(t.Context(), "rel")
	ok(t, err)
	want(t, "artifacts", artifacts, map[string]release.Artifact{
		"code": {Name: "code", SHA256: "first"}, "deps/all": {Name: "deps/all", SHA256: "d"},
	})

	var note map[string]int
	found, err := b.ReadNote(t.Context(), "rel", "snapshot/dev", &note)
	ok(t, err)
	want(t, "found", found, false)
	ok(t, b.Note(t.Context(), "rel", "snapshot/dev", map[string]int{"n": 1}))
	ok(t, b.Note(t.Context(), "rel", "snapshot/prod", map[string]int{"n": 2}))
	ok(t, b.Note(t.Context(), "rel", "snapshot/dev", map[string]int{"n": 3}))
	found, err = b.ReadNote(t.Context(), "rel", "snapshot/dev", &note)
	ok(t, err)
	want(t, "found", found, true)
	want(t, "note", note, map[string]int{"n": 3})
	notes, err := b.Notes(t.Context(), "rel", "snapshot/")
	ok(t, err)
	want(t, "notes", notes, map[string]json.RawMessage{"dev": json.RawMessage(`{"n":3}`), "prod": json.RawMessage(`{"n":2}`)})
}

func TestKnownContentsAreFoundWhereTheyWerePut(t *testing.T) {
	b := newBook()
	_, found, err := b.LayerVersion(t.Context(), "deps", "r1", "d")
	ok(t, err)
	want(t, "layer before", found, false)
	ok(t, b.PutLayerVersion(t.Context(), "deps", "r1", "d", "arn:1"))
	arn, found, err := b.LayerVersion(t.Context(), "deps", "r1", "d")
	ok(t, err)
	want(t, "layer", fmt.Sprint(arn, found), "arn:1true")
	_, found, err = b.LayerVersion(t.Context(), "deps", "r2", "d")
	ok(t, err)
	want(t, "layer elsewhere", found, false)

	object := release.Object{Bucket: "b", Key: "k", VersionID: "v"}
	_, found, err = b.StagedCode(t.Context(), "orders", "r1", "a+b/c=")
	ok(t, err)
	want(t, "code before", found, false)
	ok(t, b.PutStagedCode(t.Context(), "orders", "r1", "a+b/c=", object, "artifact/code"))
	got, found, err := b.StagedCode(t.Context(), "orders", "r1", "a+b/c=")
	ok(t, err)
	want(t, "code", found, true)
	want(t, "code", got, object)
}

func TestAVersionBelongsToTheSourceThatClaimedItFirst(t *testing.T) {
	b := newBook()
	first := release.Source{Bucket: "b", Key: "artifacts/orders/1/tagboat.yaml", VersionID: "1", ETag: "x"}
	other := first
	other.VersionID, other.ETag = "2", "y"
	for range 2 {
		existing, claimed, err := b.Claim(t.Context(), "orders", "1", first)
		ok(t, err)
		want(t, "claimed", claimed, true)
		want(t, "existing", existing, first)
	}
	existing, claimed, err := b.Claim(t.Context(), "orders", "1", other)
	ok(t, err)
	want(t, "claimed by another", claimed, false)
	want(t, "existing", existing, first)
	_, claimed, err = b.Claim(t.Context(), "billing", "1", other)
	ok(t, err)
	want(t, "claimed for another app", claimed, true)
}

func live(app, environment, name, version string, since time.Time) ledger.Live {
	return ledger.Live{App: app, Environment: environment, Account: "1", Region: "r", Kind: ledger.LiveFunction,
		Name: name, Version: version, Since: since}
}

func TestWhatIsLiveIsWhatWasPutLast(t *testing.T) {
	b := newBook()
	ok(t, b.PutLive(t.Context(), env, ledger.Holder{}, live("orders", "prod", "b", "1.0.0", start), live("orders", "prod", "a", "1.0.0", start),
		live("orders", "dev", "a", "1.1.0", start), live("orders-2", "prod", "x", "9.0.0", start)))
	ok(t, b.PutLive(t.Context(), env, ledger.Holder{}, live("orders", "prod", "a", "1.1.0", start.Add(time.Hour))))
	names := func(targets []ledger.Live, err error) string {
		t.Helper()
		ok(t, err)
		var texts []string
		for _, l := range targets {
			texts = append(texts, fmt.Sprintf("%s/%s/%s@%s", l.App, l.Environment, l.Name, l.Version))
		}
		return strings.Join(texts, " ")
	}
	want(t, "all", names(b.Live(t.Context(), "", "")),
		"orders/dev/a@1.1.0 orders/prod/a@1.1.0 orders/prod/b@1.0.0 orders-2/prod/x@9.0.0")
	want(t, "an app", names(b.Live(t.Context(), "orders", "")), "orders/dev/a@1.1.0 orders/prod/a@1.1.0 orders/prod/b@1.0.0")
	want(t, "an environment", names(b.Live(t.Context(), "", "prod")), "orders/prod/a@1.1.0 orders/prod/b@1.0.0 orders-2/prod/x@9.0.0")
	want(t, "both", names(b.Live(t.Context(), "orders", "dev")), "orders/dev/a@1.1.0")
}

// TestWhatIsLiveIsRecordedByWhoHasTheLease lets somebody else get the lease before the write.
func TestWhatIsLiveIsRecordedByWhoHasTheLease(t *testing.T) {
	l := newLeases(t)
	l.acquire(l.a, "ta", false)
	l.acquire(l.b, "tb", false)
	ok(t, l.PutLive(t.Context(), env, l.a, live("orders", "prod", "a", "1.0.0", start)))
	l.pass(2 * ttl)
	ok(t, l.PutLive(t.Context(), env, l.a, live("orders", "prod", "a", "1.0.1", start)))
	l.giveBack(l.a)
	wantKind(t, l.PutLive(t.Context(), env, l.a, live("orders", "prod", "a", "1.0.2", start)), release.Conflict, l.a.Release, l.b.Release)
	recorded, err := l.Live(t.Context(), "orders", "prod")
	ok(t, err)
	want(t, "recorded", recorded, []ledger.Live{live("orders", "prod", "a", "1.0.1", start)})
}
