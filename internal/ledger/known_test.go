package ledger_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

var looked = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func TestThousandsOfKnownNamesFitTheItemsOfATable(t *testing.T) {
	fake := &fakeDynamo{}
	l := ledger.New(ledger.NewDynamoTable(fake, "ledger"), clock.NewVirtual(looked, 0))
	const count = 100_000
	names := make(map[string]string, count)
	for n := range count {
		sum := sha256.Sum256(fmt.Append(nil, n))
		names[fmt.Sprintf("service-%d/v%d.%d.0", n%7, n/100, n%100)] = hex.EncodeToString(sum[:6])
	}
	if err := l.AddKnown(t.Context(), "tag/1", names); err != nil {
		t.Fatal(err)
	}
	got, err := l.KnownNames(t.Context(), "tag/1")
	if err != nil || len(got) != count || got["service-3/v0.3.0"] != names["service-3/v0.3.0"] {
		t.Errorf("got %d names (%v), want %d with what they stand for", len(got), err, count)
	}
}

func TestKnownNamesAreAddedToAndKeptForEver(t *testing.T) {
	l := ledger.New(ledger.NewMemoryTable(), clock.NewVirtual(looked, 0))
	for _, names := range []map[string]string{{"v1": "a", "v2": "b"}, {"v2": "c", "v3": "d"}, {}} {
		for range 2 { // it can be repeated
			if err := l.AddKnown(t.Context(), "tag/1", names); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := l.KnownNames(t.Context(), "tag/1")
	if want := "map[v1:a v2:c v3:d]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("known are %v (%v), want %s", got, err, want)
	}
	if other, err := l.KnownNames(t.Context(), "tag/12"); err != nil || len(other) != 0 {
		t.Errorf("of another list %v are known (%v), want none", other, err)
	}
}

func TestOfTwoLooksAtOnceOneIsRecorded(t *testing.T) {
	l := ledger.New(ledger.NewMemoryTable(), clock.NewVirtual(looked, 0))
	record := func(known ledger.Known, etag string) error {
		known.ETag = etag
		return l.PutKnown(t.Context(), "tag/1", known)
	}
	none, found, err := l.Known(t.Context(), "tag/1")
	if err != nil || found {
		t.Fatalf("found is %t (%v) before the first sight", found, err)
	}
	if err := record(none, "first"); err != nil {
		t.Fatal(err)
	}
	if err := record(none, "second"); release.KindOf(err) != release.Conflict {
		t.Errorf("a second first sight: got %v, want a conflict", err)
	}
	first, found, err := l.Known(t.Context(), "tag/1")
	if err != nil || !found || first.ETag != "first" {
		t.Fatalf("read is %+v, %t (%v), want the first", first, found, err)
	}
	if err := record(first, "third"); err != nil {
		t.Fatal(err)
	}
	if err := record(first, "fourth"); release.KindOf(err) != release.Conflict {
		t.Errorf("a look that began before the last one was recorded: got %v, want a conflict", err)
	}
}

func TestTheUploadsAreSeenForTheFirstTimeOnce(t *testing.T) {
	l := ledger.New(ledger.NewMemoryTable(), clock.NewVirtual(looked, 0))
	if err := l.PutUploadsSeen(t.Context(), "uploads", looked); release.KindOf(err) != release.Internal {
		t.Errorf("got %v before the first sight, want an internal error", err)
	}
	for n := range 3 {
		seen, err := l.SeeUploads(t.Context(), "uploads", looked.Add(time.Duration(n)*time.Hour))
		if err != nil || !seen.First.Equal(looked) {
			t.Errorf("first seen is %s (%v), want %s", seen.First, err, looked)
		}
	}
	for _, hours := range []int{2, 1} { // a slow look ends after a later one
		if err := l.PutUploadsSeen(t.Context(), "uploads", looked.Add(time.Duration(hours)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := l.SeeUploads(t.Context(), "uploads", looked)
	if want := looked.Add(2 * time.Hour); err != nil || !seen.Until.Equal(want) {
		t.Errorf("seen until %s (%v), want %s", seen.Until, err, want)
	}
}
