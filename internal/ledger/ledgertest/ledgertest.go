// Package ledgertest checks that a [ledger.Table] keeps its contract, whatever
// it is made of. [Run] is the suite; [Flaky] makes a table fail in the two ways
// in which a remote one does.
package ledgertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Run checks the tables that open makes, an empty one for each test.
func Run(t *testing.T, open func(t *testing.T) ledger.Table) {
	tests := []struct {
		name string
		run  func(t *testing.T, table ledger.Table)
	}{
		{"a document that was put is read as it was", readBack},
		{"a document that is not there is not found", notFound},
		{"a document is created only once", createOnce},
		{"a document is only replaced in the expected version", replaceExpected},
		{"a document that does not exist cannot be replaced", replaceMissing},
		{"a document is only deleted in the expected version", deleteExpected},
		{"deleting what is gone is no error", deleteGone},
		{"a deleted document can be created again", createAgain},
		{"keys with any characters are kept apart", strangeKeys},
		{"a key that cannot be stored is invalid", badKeys},
		{"what a caller does with a body does not change the document", bodiesAreCopies},
		{"a long document is read as it was", longBody},
		{"a partition is read in the order of its sort keys' bytes", queryOrder},
		{"a page has the asked part of a partition", queryPages},
		{"pages of a large partition follow each other without gaps", queryLarge},
		{"of writers at the same time exactly one wins each version", concurrentWriters},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func item(partition, sort string, version int64, body string) ledger.Item {
	key := ledger.Key{Partition: partition, Sort: sort}
	return ledger.Item{Key: key, Version: version, Body: json.RawMessage(body)}
}

func mustPut(t *testing.T, table ledger.Table, items ...ledger.Item) {
	t.Helper()
	for _, item := range items {
		if err := table.Put(t.Context(), item); err != nil {
			t.Fatalf("putting %q: %v", item.Key, err)
		}
	}
}

func wantKind(t *testing.T, err error, want release.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of kind %s", want)
	}
	if got := release.KindOf(err); got != want {
		t.Fatalf("error of kind %s, want %s: %v", got, want, err)
	}
}

func wantItem(t *testing.T, table ledger.Table, want ledger.Item) {
	t.Helper()
	got, err := table.Get(t.Context(), want.Key)
	if err != nil {
		t.Fatalf("getting %q: %v", want.Key, err)
	}
	if got.Key != want.Key || got.Version != want.Version || string(got.Body) != string(want.Body) || !got.Expires.Equal(want.Expires) {
		t.Errorf("got %q version %d expires %s: %.200s\nwant %q version %d expires %s: %.200s",
			got.Key, got.Version, got.Expires, got.Body, want.Key, want.Version, want.Expires, want.Body)
	}
}

func readBack(t *testing.T, table ledger.Table) {
	put := item("p", "s", 0, `{"text":"é \u0001 <&>","n":12345678901234567890}`)
	put.Expires = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	mustPut(t, table, put, item("p", "other", 0, `"x"`))
	put.Version = 1
	wantItem(t, table, put)
	wantItem(t, table, item("p", "other", 1, `"x"`))
}

func notFound(t *testing.T, table ledger.Table) {
	mustPut(t, table, item("p", "s", 0, `1`))
	for _, key := range []ledger.Key{{Partition: "p", Sort: "t"}, {Partition: "q", Sort: "s"}} {
		_, err := table.Get(t.Context(), key)
		wantKind(t, err, release.NotFound)
	}
	items, err := table.Query(t.Context(), "q", "", ledger.Page{})
	if err != nil || len(items) != 0 {
		t.Errorf("an empty partition has %d documents, error %v", len(items), err)
	}
}

func createOnce(t *testing.T, table ledger.Table) {
	mustPut(t, table, item("p", "s", 0, `"first"`))
	wantKind(t, table.Put(t.Context(), item("p", "s", 0, `"second"`)), release.Conflict)
	wantItem(t, table, item("p", "s", 1, `"first"`))
}

func replaceExpected(t *testing.T, table ledger.Table) {
	mustPut(t, table, item("p", "s", 0, `"a"`), item("p", "s", 1, `"b"`), item("p", "s", 2, `"c"`))
	wantItem(t, table, item("p", "s", 3, `"c"`))
	for _, version := range []int64{1, 2, 4} {
		wantKind(t, table.Put(t.Context(), item("p", "s", version, `"d"`)), release.Conflict)
	}
	wantItem(t, table, item("p", "s", 3, `"c"`))
}

func replaceMissing(t *testing.T, table ledger.Table) {
	wantKind(t, table.Put(t.Context(), item("p", "s", 1, `1`)), release.Conflict)
	_, err := table.Get(t.Context(), ledger.Key{Partition: "p", Sort: "s"})
	wantKind(t, err, release.NotFound)
}

func deleteExpected(t *testing.T, table ledger.Table) {
	mustPut(t, table, item("p", "s", 0, `"a"`), item("p", "s", 1, `"b"`), item("p", "t", 0, `"kept"`))
	key := ledger.Key{Partition: "p", Sort: "s"}
	wantKind(t, table.Delete(t.Context(), key, 1), release.Conflict)
	wantItem(t, table, item("p", "s", 2, `"b"`))
	if err := table.Delete(t.Context(), key, 2); err != nil {
		t.Fatal(err)
	}
	_, err := table.Get(t.Context(), key)
	wantKind(t, err, release.NotFound)
	wantItem(t, table, item("p", "t", 1, `"kept"`))
}

func deleteGone(t *testing.T, table ledger.Table) {
	if err := table.Delete(t.Context(), ledger.Key{Partition: "p", Sort: "s"}, 1); err != nil {
		t.Errorf("deleting what never was: %v", err)
	}
}

func createAgain(t *testing.T, table ledger.Table) {
	mustPut(t, table, item("p", "s", 0, `"a"`))
	if err := table.Delete(t.Context(), ledger.Key{Partition: "p", Sort: "s"}, 1); err != nil {
		t.Fatal(err)
	}
	mustPut(t, table, item("p", "s", 0, `"b"`))
	wantItem(t, table, item("p", "s", 1, `"b"`))
}

func strangeKeys(t *testing.T, table ledger.Table) {
	keys := []ledger.Key{
		{Partition: "a", Sort: "b/c"}, {Partition: "a/b", Sort: "c"}, {Partition: "a b", Sort: "c"},
		{Partition: "a", Sort: "b c"}, {Partition: "ä", Sort: "日本"}, {Partition: "a", Sort: `"%_*\`},
		{Partition: "a", Sort: "B/C"}, {Partition: strings.Repeat("p", 2048), Sort: strings.Repeat("s", 1024)},
	}
	for i, key := range keys {
		mustPut(t, table, ledger.Item{Key: key, Body: fmt.Appendf(nil, "%d", i)})
	}
	for i, key := range keys {
		wantItem(t, table, ledger.Item{Key: key, Version: 1, Body: fmt.Appendf(nil, "%d", i)})
	}
}

func badKeys(t *testing.T, table ledger.Table) {
	for _, key := range []ledger.Key{
		{}, {Partition: "p"}, {Sort: "s"}, {Partition: "p\x00", Sort: "s"}, {Partition: "p", Sort: "s\x00"},
		{Partition: strings.Repeat("p", 2049), Sort: "s"}, {Partition: "p", Sort: strings.Repeat("s", 1025)},
	} {
		wantKind(t, table.Put(t.Context(), ledger.Item{Key: key, Body: json.RawMessage(`1`)}), release.Invalid)
		_, err := table.Get(t.Context(), key)
		wantKind(t, err, release.Invalid)
		wantKind(t, table.Delete(t.Context(), key, 1), release.Invalid)
	}
}

func bodiesAreCopies(t *testing.T, table ledger.Table) {
	put := item("p", "s", 0, `"true"`)
	mustPut(t, table, put)
	put.Body[1] = 'X'
	got, err := table.Get(t.Context(), put.Key)
	if err != nil {
		t.Fatal(err)
	}
	got.Body[1] = 'Y'
	wantItem(t, table, item("p", "s", 1, `"true"`))
}

// longBody is larger than an item of DynamoDB may be.
func longBody(t *testing.T, table ledger.Table) {
	long := `["` + strings.Repeat("a step and what came of it, ", 40_000) + `"]`
	mustPut(t, table, item("p", "s", 0, long), item("p", "s", 1, long+" "))
	wantItem(t, table, item("p", "s", 2, long+" "))
	items, err := table.Query(t.Context(), "p", "", ledger.Page{})
	if err != nil || len(items) != 1 || string(items[0].Body) != long+" " {
		t.Errorf("query: %d documents, error %v; want the long one", len(items), err)
	}
}

// concurrentWriters counts up a number from several goroutines.
func concurrentWriters(t *testing.T, table ledger.Table) {
	const writers, each = 6, 10
	key := ledger.Key{Partition: "p", Sort: "n"}
	mustPut(t, table, ledger.Item{Key: key, Body: json.RawMessage(`0`)})
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done := 0; done < each; {
				won, err := countUp(t, table, key)
				if err != nil {
					t.Error(err)
					return
				}
				if won {
					done++
				}
			}
		})
	}
	all.Wait()
	wantItem(t, table, ledger.Item{Key: key, Version: 1 + writers*each, Body: fmt.Appendf(nil, "%d", writers*each)})
}

func countUp(t *testing.T, table ledger.Table, key ledger.Key) (won bool, err error) {
	item, err := table.Get(t.Context(), key)
	if err != nil {
		return false, err
	}
	var n int
	if err := json.Unmarshal(item.Body, &n); err != nil {
		return false, err
	}
	item.Body = fmt.Appendf(nil, "%d", n+1)
	switch err := table.Put(t.Context(), item); {
	case err == nil:
		return true, nil
	case release.KindOf(err) == release.Conflict:
		return false, nil
	default:
		return false, err
	}
}
