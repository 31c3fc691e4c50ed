package ledgertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ledger"
)

func sortKeys(t *testing.T, table ledger.Table, partition, prefix string, page ledger.Page) []string {
	t.Helper()
	items, err := table.Query(t.Context(), partition, prefix, page)
	if err != nil {
		t.Fatalf("query %q %q %+v: %v", partition, prefix, page, err)
	}
	keys := []string{}
	for _, item := range items {
		if item.Partition != partition || item.Version != 1 || string(item.Body) != fmt.Sprintf("%q", item.Sort) {
			t.Errorf("query %q: got %q version %d: %s", partition, item.Key, item.Version, item.Body)
		}
		keys = append(keys, item.Sort)
	}
	return keys
}

func fill(t *testing.T, table ledger.Table, partition string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		mustPut(t, table, item(partition, key, 0, fmt.Sprintf("%q", key)))
	}
}

func queryOrder(t *testing.T, table ledger.Table) {
	fill(t, table, "p", "b", "é", "a", "B", "a/b", "a b", "日", "10", "9")
	fill(t, table, "p2", "a")
	fill(t, table, "o", "z")
	want := []string{"10", "9", "B", "a", "a b", "a/b", "b", "é", "日"}
	if got := sortKeys(t, table, "p", "", ledger.Page{}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	slices.Reverse(want)
	if got := sortKeys(t, table, "p", "", ledger.Page{Descending: true}); !slices.Equal(got, want) {
		t.Errorf("descending: got %q, want %q", got, want)
	}
}

func queryPages(t *testing.T, table ledger.Table) {
	fill(t, table, "p", "a", "b/1", "b/2", "b/3", "b0", "c")
	tests := []struct {
		prefix string
		page   ledger.Page
		want   string
	}{
		{"", ledger.Page{Limit: 2}, "a b/1"},
		{"", ledger.Page{Limit: 2, Descending: true}, "c b0"},
		{"", ledger.Page{Limit: 9}, "a b/1 b/2 b/3 b0 c"},
		{"b/", ledger.Page{}, "b/1 b/2 b/3"},
		{"b/", ledger.Page{Descending: true}, "b/3 b/2 b/1"},
		{"b/", ledger.Page{Descending: true, Limit: 1}, "b/3"},
		{"b/2", ledger.Page{}, "b/2"},
		{"d", ledger.Page{}, ""},
		{"", ledger.Page{After: "b/2"}, "b/3 b0 c"},
		{"", ledger.Page{After: "b/2", Limit: 1}, "b/3"},
		{"", ledger.Page{After: "b/2", Descending: true}, "b/1 a"},
		{"", ledger.Page{After: "b/2", Descending: true, Limit: 1}, "b/1"},
		{"", ledger.Page{After: "b/25"}, "b/3 b0 c"},
		{"", ledger.Page{After: "b/25", Descending: true, Limit: 2}, "b/2 b/1"},
		{"", ledger.Page{After: "c"}, ""},
		{"", ledger.Page{After: "a", Descending: true}, ""},
		{"b/", ledger.Page{After: "b/1"}, "b/2 b/3"},
		{"b/", ledger.Page{After: "b/1", Limit: 1}, "b/2"},
		{"b/", ledger.Page{After: "b/3", Descending: true}, "b/2 b/1"},
		{"b/", ledger.Page{After: "b/3", Descending: true, Limit: 1}, "b/2"},
		{"b/", ledger.Page{After: "a"}, "b/1 b/2 b/3"},
		{"b/", ledger.Page{After: "c"}, ""},
		{"b/", ledger.Page{After: "c", Descending: true}, "b/3 b/2 b/1"},
		{"b/", ledger.Page{After: "a", Descending: true}, ""},
	}
	for _, test := range tests {
		got := strings.Join(sortKeys(t, table, "p", test.prefix, test.page), " ")
		if got != test.want {
			t.Errorf("prefix %q, page %+v: got %q, want %q", test.prefix, test.page, got, test.want)
		}
	}
}

func queryLarge(t *testing.T, table ledger.Table) {
	const n = 120
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("k%03d", i))
	}
	fill(t, table, "p", want...)
	if got := sortKeys(t, table, "p", "k", ledger.Page{}); !slices.Equal(got, want) {
		t.Errorf("all at once: got %d documents, want %d", len(got), n)
	}
	for _, descending := range []bool{false, true} {
		page := ledger.Page{Limit: 7, Descending: descending}
		got := []string{}
		for {
			keys := sortKeys(t, table, "p", "", page)
			if len(keys) == 0 {
				break
			}
			got = append(got, keys...)
			page.After = keys[len(keys)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages, descending %v: got %q, want %q", descending, got, want)
		}
		slices.Reverse(want)
	}
}
