// Package ledger remembers releases: every one with its outcome, what came of
// each step, what is live on every target, which content was published as which
// layer version, and which release may change what (leases).
//
// A [Ledger] keeps everything as small JSON documents in a [Table]: in memory,
// in a local file (package boltstore) or in DynamoDB ([DynamoTable]). There are no transactions over
// several documents. Where two belong together, the one that is found by
// listing is written first and the one that decides second, so that a crash
// between the two leaves an entry that reading skips.
//
// The documents, as partition and sort key (names are escaped as in a URL's path):
//
//	release/ID          record                        the release
//	release/ID          result/PHASE/ENV/ACCOUNT/REGION  results of steps, by step id
//	release/ID          artifact/NAME                 a staged artifact
//	release/ID          note/NAME                     anything small about the release
//	releases            TIME/ID                       index of all releases
//	releases/APP        TIME/ID                       index of an app's releases
//	attempts/SOURCE     NUMBER                        index of the attempts from one source
//	active              ID                            releases that have not ended
//	untold              ID                            releases whose end may not have been told
//	lease               NAME                          a lease with its queue
//	freeze              APP/ENV                       a freeze; APP or ENV is empty for all of them
//	live                APP/ENV/ACCOUNT/REGION        what is live at a site
//	revoked             ARN/STATEMENT                 a grant of a layer version that was taken back
//	layer/NAME/REGION   DIGEST                        a published layer version
//	code/APP/REGION     SHA256                        the staged copies of a content
//	claim/APP           VERSION                       the source that a version belongs to
//	known/LIST          mark                          the last look at a repository's tags or releases
//	known/LIST          names/DIGIT                   names that are known there, by their digest
//	uploads/BUCKET      mark                          how far the uploads bucket was looked through
package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// Ledger is the memory of releases. Its methods can be called concurrently, by
// several processes too, and repeated after any error.
type Ledger struct {
	table Table
	clock clock.Clock
}

// New makes a ledger over a table.
func New(table Table, c clock.Clock) *Ledger { return &Ledger{table: table, clock: c} }

// How often a change is tried while others write the same document, and how
// long it waits in between. Each try that fails is one of somebody else's that
// succeeded.
const (
	maxTries = 100
	minPause = 2 * time.Millisecond
	maxPause = 100 * time.Millisecond
)

// edit reads a document, changes it and writes it back; again from the start
// where somebody else wrote it in between. A document that change leaves as it
// was is not written. Change gets a zero value if there is none.
func edit[T any](ctx context.Context, l *Ledger, key Key, change func(doc *T, found bool) error) (T, error) {
	pause := minPause
	for range maxTries {
		doc, err := tryEdit(ctx, l, key, change)
		if err == nil || !isStale(err) {
			return doc, err
		}
		if err := l.clock.Sleep(ctx, pause); err != nil {
			return doc, release.Errorf(release.Transient, "writing document %q: %w", key, err)
		}
		pause = min(2*pause, maxPause)
	}
	var none T
	return none, release.Errorf(release.Transient, "document %q was written by others %d times in a row", key, maxTries)
}

// staleError marks a conflict of the table as one that another try may solve,
// unlike those that a change itself reports.
type staleError struct{ error }

func isStale(err error) bool {
	_, stale := err.(staleError)
	return stale
}

func tryEdit[T any](ctx context.Context, l *Ledger, key Key, change func(doc *T, found bool) error) (T, error) {
	var none T
	doc, item, err := load[T](ctx, l, key)
	if err != nil {
		return none, err
	}
	before, err := encode(key, doc)
	if err != nil {
		return none, err
	}
	if err := change(&doc, item.Version > 0); err != nil {
		return none, err
	}
	if item.Body, err = encode(key, doc); err != nil {
		return none, err
	}
	if bytes.Equal(before, item.Body) {
		return doc, nil
	}
	err = l.table.Put(ctx, item)
	if release.KindOf(err) == release.Conflict {
		return none, staleError{err}
	}
	return doc, err
}

// load reads a document; item.Version is 0 if there is none, which is then as one to write.
func load[T any](ctx context.Context, l *Ledger, key Key) (doc T, item Item, err error) {
	item, err = l.table.Get(ctx, key)
	if release.KindOf(err) == release.NotFound {
		return doc, Item{Key: key, Expires: l.expiry(key)}, nil
	}
	if err != nil {
		return doc, Item{}, err
	}
	err = decode(item, &doc)
	return doc, item, err
}

// set writes a document whatever was there.
func set[T any](ctx context.Context, l *Ledger, key Key, value T) error {
	_, err := edit(ctx, l, key, func(doc *T, _ bool) error {
		*doc = value
		return nil
	})
	return err
}

// add writes a document unless there is one; existed tells.
func (l *Ledger) add(ctx context.Context, key Key, value any, expires time.Time) (existed bool, err error) {
	body, err := encode(key, value)
	if err != nil {
		return false, err
	}
	err = l.table.Put(ctx, Item{Key: key, Body: body, Expires: expires})
	if release.KindOf(err) == release.Conflict {
		return true, nil
	}
	return false, err
}

func encode(key Key, value any) (json.RawMessage, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, release.Errorf(release.Internal, "document %q cannot be written as JSON: %w", key, err)
	}
	return body, nil
}

func decode(item Item, value any) error {
	if err := json.Unmarshal(item.Body, value); err != nil {
		return release.Errorf(release.Internal, "document %q is damaged: %w", item.Key, err)
	}
	return nil
}

// joined makes a part of a key of names that may contain the separator.
func joined(names ...string) string {
	escaped := make([]string, len(names))
	for i, name := range names {
		escaped[i] = url.PathEscape(name)
	}
	return strings.Join(escaped, "/")
}
