package ledger

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/release"
)

// Table is a set of small JSON documents with optimistic concurrency.
//
// Every call may be repeated. An error of kind [release.Transient] leaves open
// whether a write was done: a repeated Put then answers with a conflict unless
// the table recognises its own write. Somebody may also have written over it
// by then. So whoever meets a conflict reads again, and finds out.
type Table interface {
	// Get reads a document as the last write left it. The error is of kind
	// [release.NotFound] if there is none.
	Get(ctx context.Context, key Key) (Item, error)
	// Put writes a document whose stored version is item.Version (0: there is
	// none) and gives it the next version, item.Version+1. The error is of kind
	// [release.Conflict] if the stored version is another. The document is
	// durable when Put returns.
	Put(ctx context.Context, item Item) error
	// Delete removes a document of this version. One that is gone already is
	// no error; one of another version is a [release.Conflict].
	Delete(ctx context.Context, key Key, version int64) error
	// Query reads the documents of a partition whose sort key begins with
	// prefix, in the order of the sort key's bytes.
	Query(ctx context.Context, partition, prefix string, page Page) ([]Item, error)
}

// Key identifies a document. Neither part is empty; both are UTF-8 without zero
// bytes and without the last code point, which stands behind all keys in queries.
type Key struct {
	// Partition has at most 2048 bytes and Sort at most 1024 (DynamoDB's limits
	// for partition and sort keys).
	Partition, Sort string
}

// Item is a document with its key.
type Item struct {
	Key
	// Version counts the writes of the document; the first gives it 1. A
	// document that was deleted and written again begins anew.
	Version int64
	Body    json.RawMessage
	// Expires is when the table may drop the document, in seconds; zero is
	// never. When it really does is open: DynamoDB takes days at times, and
	// other tables keep it.
	Expires time.Time
}

// Page is a part of a partition.
type Page struct {
	// Descending is from the last sort key to the first.
	Descending bool
	// Limit is the most documents to answer; 0 is all.
	Limit int
	// After is the sort key behind which to begin, in the direction of reading;
	// there need not be a document of that key. Empty is from the start.
	After string
}

const (
	maxPartition = 2048
	maxSort      = 1024
)

// String names the document in errors.
func (k Key) String() string { return k.Partition + " " + k.Sort }

// Check tells whether the key can be stored by every table.
func (k Key) Check() error {
	switch {
	case k.Partition == "" || k.Sort == "":
		return release.Errorf(release.Invalid, "document %q: want a partition and a sort key", k)
	case len(k.Partition) > maxPartition || len(k.Sort) > maxSort:
		return release.Errorf(release.Invalid, "document %q: its key has %d and %d bytes, want at most %d and %d",
			k, len(k.Partition), len(k.Sort), maxPartition, maxSort)
	case strings.ContainsAny(k.Partition+k.Sort, "\x00"+lastRune) || !utf8.ValidString(k.Partition) || !utf8.ValidString(k.Sort):
		return release.Errorf(release.Invalid, "document %q: its key contains a zero byte or U+10FFFF, or is not UTF-8", k)
	}
	return nil
}

// Missing is the error of a document that is not there.
func (k Key) Missing() error {
	return release.Errorf(release.NotFound, "there is no document %q", k)
}

// Changed is the error of a document that has another version than the expected
// one. A version of 0 stands for no document.
func (k Key) Changed(want, got int64) error {
	return release.Errorf(release.Conflict, "document %q has version %d, want %d: somebody else wrote it", k, got, want)
}

// Includes tells whether a sort key is part of a page of the documents that
// begin with prefix, its limit aside.
func (p Page) Includes(prefix, sort string) bool {
	switch {
	case !strings.HasPrefix(sort, prefix):
		return false
	case p.After == "":
		return true
	case p.Descending:
		return sort < p.After
	default:
		return sort > p.After
	}
}
