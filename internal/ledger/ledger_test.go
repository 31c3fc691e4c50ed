package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// book is a ledger whose time stands still but for pass, over a table that can fail.
type book struct {
	*ledger.Ledger
	table *ledgertest.Flaky
	time  *clock.Virtual
}

func newBook() *book {
	b := &book{table: &ledgertest.Flaky{Table: ledger.NewMemoryTable()}, time: clock.NewVirtual(start, 0)}
	b.Ledger = ledger.New(b.table, b.time)
	return b
}

func (b *book) pass(d time.Duration) {
	b.time.Run(func() { _ = b.time.Sleep(context.Background(), d) })
}

func request(app, version string) release.Request {
	return release.Request{
		App: app, Version: version, Attempt: 1, Trigger: release.TriggeredByPush,
		Source: release.Source{RepositoryID: 7, Repository: "acme/" + app, Tag: "v" + version},
	}
}

func (b *book) create(t *testing.T, req release.Request) release.Release {
	t.Helper()
	rel, created, err := b.Create(t.Context(), req)
	if err != nil || !created {
		t.Fatalf("creating %s %s: created %v, error %v", req.App, req.Version, created, err)
	}
	return rel
}

func (b *book) end(t *testing.T, id string, state release.State) {
	t.Helper()
	if _, err := b.Update(t.Context(), id, "", func(rel *release.Release) error {
		rel.State = state
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func ids(t *testing.T) func([]release.Release, error) []string {
	return func(rels []release.Release, err error) []string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, rel := range rels {
			got = append(got, rel.ID)
		}
		return got
	}
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want)
	if g != w {
		t.Errorf("%s: got %s\nwant %s", what, g, w)
	}
}

func wantKind(t *testing.T, err error, want release.Kind, parts ...string) {
	t.Helper()
	if err == nil || release.KindOf(err) != want {
		t.Fatalf("error of kind %s, want %s: %v", release.KindOf(err), want, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestACreatedReleaseIsRecordedAsReceived(t *testing.T) {
	b := newBook()
	req := request("orders", "1.0.0")
	rel := b.create(t, req)
	got, err := b.Release(t.Context(), req.ID())
	ok(t, err)
	want(t, "read", got, rel)
	want(t, "record", got, release.Release{
		ID: req.ID(), App: "orders", Version: "1.0.0", Attempt: 1, Source: req.Source,
		State: release.Received, Request: req, Created: start, Updated: start,
	})
}

func TestADuplicateRequestGetsTheRecordOfTheFirst(t *testing.T) {
	b := newBook()
	first := b.create(t, request("orders", "1.0.0"))
	b.end(t, first.ID, release.Succeeded)
	b.pass(time.Minute)
	again := request("orders", "1.0.0")
	again.Trigger, again.Delivery = release.TriggeredByCreate, "other"
	rel, created, err := b.Create(t.Context(), again)
	ok(t, err)
	if created || rel.State != release.Succeeded || rel.Request.Trigger != release.TriggeredByPush {
		t.Errorf("created %v, got %+v", created, rel)
	}
	want(t, "list", ids(t)(b.List(t.Context(), ledger.Filter{})), []string{first.ID})
	want(t, "active", ids(t)(b.Active(t.Context())), []string{})
}

func TestOfSimultaneousRequestsForOneReleaseOneCreatesIt(t *testing.T) {
	l := ledger.New(ledger.NewMemoryTable(), clock.System{})
	var created, all = make(chan bool, 20), sync.WaitGroup{}
	for range cap(created) {
		all.Go(func() {
			_, won, err := l.Create(context.Background(), request("orders", "1.0.0"))
			if err != nil {
				t.Error(err)
			}
			created <- won
		})
	}
	all.Wait()
	close(created)
	winners := 0
	for won := range created {
		if won {
			winners++
		}
	}
	want(t, "winners", winners, 1)
	want(t, "listed", len(ids(t)(l.List(t.Context(), ledger.Filter{}))), 1)
}

func TestAnUnknownReleaseIsNotFound(t *testing.T) {
	b := newBook()
	for _, id := range []string{"", "nonesuch", "a/b"} {
		_, err := b.Release(t.Context(), id)
		wantKind(t, err, release.NotFound, id)
		_, err = b.Update(t.Context(), id, "", func(*release.Release) error { return nil })
		wantKind(t, err, release.NotFound, id)
	}
}

func TestOnlyTheExecutionOfAReleaseChangesIt(t *testing.T) {
	b := newBook()
	id := b.create(t, request("orders", "1.0.0")).ID
	take := func(execution string) func(*release.Release) error {
		return func(rel *release.Release) error {
			rel.Execution = execution
			return nil
		}
	}
	_, err := b.Update(t.Context(), id, "", take("first"))
	ok(t, err)
	b.pass(time.Second)
	rel, err := b.Update(t.Context(), id, "first", func(rel *release.Release) error {
		rel.State = release.Running
		return nil
	})
	ok(t, err)
	if rel.State != release.Running || !rel.Updated.Equal(start.Add(time.Second)) {
		t.Errorf("got %+v", rel)
	}
	_, err = b.Update(t.Context(), id, "", take("second"))
	ok(t, err)
	_, err = b.Update(t.Context(), id, "first", take("first"))
	wantKind(t, err, release.Conflict, id, "taken over", `"second"`)
}

func TestAChangeThatFailsChangesNothing(t *testing.T) {
	b := newBook()
	rel := b.create(t, request("orders", "1.0.0"))
	boom := errors.New("boom")
	_, err := b.Update(t.Context(), rel.ID, "", func(rel *release.Release) error {
		rel.State = release.Succeeded
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got error %v, want %v", err, boom)
	}
	got, err := b.Release(t.Context(), rel.ID)
	ok(t, err)
	want(t, "release", got, rel)
}

func TestAReleaseThatHasEndedStaysAsItIs(t *testing.T) {
	b := newBook()
	id := b.create(t, request("orders", "1.0.0")).ID
	finish := func(rel *release.Release) error {
		rel.State, rel.Error = release.FailedClean, "smoke test failed"
		return nil
	}
	ended, err := b.Update(t.Context(), id, "", finish)
	ok(t, err)
	if !ended.Ended.Equal(start) {
		t.Errorf("ended at %s, want %s", ended.Ended, start)
	}
	b.pass(time.Hour)
	again, err := b.Update(t.Context(), id, "", finish)
	ok(t, err)
	want(t, "ended again", again, ended)
	_, err = b.Update(t.Context(), id, "", func(rel *release.Release) error {
		rel.State = release.Succeeded
		return nil
	})
	wantKind(t, err, release.Conflict, id, "failed_clean")
}

func TestConcurrentChangesOfAReleaseAllCount(t *testing.T) {
	l := ledger.New(ledger.NewMemoryTable(), clock.System{})
	rel, _, err := l.Create(t.Context(), request("orders", "1.0.0"))
	ok(t, err)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := l.Update(context.Background(), rel.ID, "", func(rel *release.Release) error {
				rel.Environments = append(rel.Environments, release.Progress{Name: "one more"})
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	rel, err = l.Release(t.Context(), rel.ID)
	ok(t, err)
	want(t, "changes", len(rel.Environments), 20)
}

func TestReleasesAreListedNewestFirst(t *testing.T) {
	b := newBook()
	var orders, all []string
	for i := range 12 {
		app := "orders"
		if i%3 == 0 {
			app = "billing"
		}
		id := b.create(t, request(app, fmt.Sprintf("1.0.%d", i))).ID
		all = append([]string{id}, all...)
		if app == "orders" {
			orders = append([]string{id}, orders...)
		}
		b.pass(time.Second)
	}
	dry := request("orders", "2.0.0")
	dry.DryRun = true
	plan := b.create(t, dry).ID

	tests := []struct {
		name   string
		filter ledger.Filter
		want   []string
	}{
		{"all", ledger.Filter{}, all},
		{"one app", ledger.Filter{App: "orders"}, orders},
		{"the newest", ledger.Filter{Limit: 5}, all[:5]},
		{"those before a time", ledger.Filter{Before: start.Add(7 * time.Second), Limit: 3}, all[5:8]},
		{"dry runs too", ledger.Filter{App: "orders", DryRuns: true, Limit: 2}, []string{plan, orders[0]}},
		{"the newest that is no dry run", ledger.Filter{Limit: 1}, all[:1]},
		{"an app without releases", ledger.Filter{App: "nonesuch"}, []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want(t, "list", ids(t)(b.List(t.Context(), test.filter)), test.want)
		})
	}
}

func TestAReleaseIsActiveUntilItEnds(t *testing.T) {
	b := newBook()
	first, second := b.create(t, request("orders", "1.0.0")).ID, b.create(t, request("orders", "1.0.1")).ID
	want(t, "both", len(ids(t)(b.Active(t.Context()))), 2)
	b.end(t, first, release.Refused)
	want(t, "one", ids(t)(b.Active(t.Context())), []string{second})
}

func TestAnEndWhoseIndexEntryWasNotRemovedIsRepairedByReading(t *testing.T) {
	b := newBook()
	id := b.create(t, request("orders", "1.0.0")).ID
	b.table.Fail(3, ledgertest.Lost) // after the read and the write of the record
	b.end(t, id, release.Succeeded)
	if b.table.Pending() {
		t.Fatal("the removal did not fail")
	}
	want(t, "active", ids(t)(b.Active(t.Context())), []string{})
	items, err := b.table.Query(t.Context(), "active", "", ledger.Page{})
	ok(t, err)
	want(t, "entries", len(items), 0)
}

func TestTheLastAttemptFromASourceIsFound(t *testing.T) {
	b := newBook()
	req := request("orders", "1.0.0")
	_, found, err := b.LastAttempt(t.Context(), req)
	ok(t, err)
	want(t, "found", found, false)
	for attempt := 1; attempt <= 11; attempt++ {
		req.Attempt = attempt
		b.create(t, req)
	}
	dry := req
	dry.Attempt, dry.DryRun = 40, true
	b.create(t, dry)
	other := request("orders", "1.0.1")
	other.Attempt = 30
	b.create(t, other)

	last, found, err := b.LastAttempt(t.Context(), request("orders", "1.0.0"))
	ok(t, err)
	if !found || last.Attempt != 11 || last.Version != "1.0.0" || last.Request.DryRun {
		t.Errorf("found %v: %+v", found, last)
	}
}

// What belongs to a dry run does not stay for ever, and goes before its record does: a
// release of the same id would take it for its own.
func TestADryRunIsForgottenAsAWhole(t *testing.T) {
	const day = 24 * time.Hour
	b := newBook()
	for _, dryRun := range []bool{true, false} {
		req := request("orders", "1.0.0")
		req.DryRun = dryRun
		id := b.create(t, req).ID
		ok(t, b.PutArtifact(t.Context(), id, release.Artifact{Name: "code"}))
		for range 2 {
			ok(t, b.Note(t.Context(), id, "seen", b.time.Now()))
			b.pass(time.Hour)
		}
		results, err := b.SiteResults(t.Context(), id, release.PhaseSnapshot, release.Site{Environment: "dev"})
		ok(t, err)
		results.Set(release.Result{Step: "one"})
		ok(t, results.Save(t.Context()))
		items, err := b.table.Query(t.Context(), "release/"+id, "", ledger.Page{})
		ok(t, err)
		want(t, "documents", len(items), 4)
		for _, item := range items {
			kept := item.Expires.Sub(b.time.Now())
			switch {
			case !dryRun:
				want(t, "expiry of "+item.Key.String(), item.Expires, time.Time{})
			case item.Sort == "record" && kept < 120*day: // 30 that an execution may run, and 90 that its name is taken
				t.Errorf("%s is kept for %s, want 120 days at least", item.Key, kept)
			case item.Sort != "record" && (kept < 90*day || kept > 110*day):
				t.Errorf("%s is kept for %s, want some 100 days", item.Key, kept)
			}
		}
	}
}

func TestADamagedDocumentIsReported(t *testing.T) {
	b := newBook()
	id := b.create(t, request("orders", "1.0.0")).ID
	items, err := b.table.Query(t.Context(), "release/"+id, "", ledger.Page{})
	ok(t, err)
	i := slices.IndexFunc(items, func(item ledger.Item) bool { return item.Sort == "record" })
	items[i].Body = json.RawMessage(`{"id":`)
	ok(t, b.table.Put(t.Context(), items[i]))
	_, err = b.Release(t.Context(), id)
	wantKind(t, err, release.Internal, "damaged", id)
}
