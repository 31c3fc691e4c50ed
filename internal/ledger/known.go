package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// Known is what the last look at a list (the tags of a repository, its published
// releases) left behind. The names themselves are in documents of their own.
type Known struct {
	// First is when the list was seen for the first time.
	First time.Time `json:"first"`
	// ETag is that of the list as it was seen; empty if it has to be read anyway.
	ETag string `json:"etag,omitempty"`
	// Pending is, by app, the name that starts if the next look still sees it.
	Pending map[string]Pending `json:"pending,omitempty"`

	version int64
}

// Pending is a name whose event may still be on its way.
type Pending struct {
	Name string `json:"name"`
	// Object is what it stood for when it was seen.
	Object    string    `json:"object,omitempty"`
	Annotated bool      `json:"annotated,omitempty"`
	Seen      time.Time `json:"seen"`
	// Since is when the app began to wait: newer names may have taken the place of older ones.
	Since time.Time `json:"since"`
}

const (
	knownMark = "mark"
	// Names are spread over 16 documents by the first digit of their digest, so
	// that one of DynamoDB's 400 KB holds a sixteenth of them, compressed.
	knownNames  = "names/"
	knownDigits = 1
)

func knownPartition(list string) string { return "known/" + joined(list) }

// Known reads what the last look at a list left behind; found is false before
// its first sight is complete.
func (l *Ledger) Known(ctx context.Context, list string) (known Known, found bool, err error) {
	known, item, err := load[Known](ctx, l, Key{knownPartition(list), knownMark})
	known.version = item.Version
	return known, item.Version > 0, err
}

// PutKnown records a look. The error is of kind [release.Conflict] if somebody
// else recorded one since this was read.
func (l *Ledger) PutKnown(ctx context.Context, list string, known Known) error {
	key := Key{knownPartition(list), knownMark}
	body, err := encode(key, known)
	if err != nil {
		return err
	}
	return l.table.Put(ctx, Item{Key: key, Version: known.version, Body: body})
}

// KnownNames are the names of a list that are known, with what they stood for.
func (l *Ledger) KnownNames(ctx context.Context, list string) (map[string]string, error) {
	items, err := l.table.Query(ctx, knownPartition(list), knownNames, Page{})
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, item := range items {
		if err := decode(item, &names); err != nil { // adds to what is there
			return nil, err
		}
	}
	return names, nil
}

// AddKnown makes names known, for ever, with what they stand for now. A crash in
// between leaves some of them known: adding them again does no harm.
func (l *Ledger) AddKnown(ctx context.Context, list string, names map[string]string) error {
	parts := map[string]map[string]string{}
	for name, object := range names {
		sum := sha256.Sum256([]byte(name))
		part := hex.EncodeToString(sum[:])[:knownDigits]
		if parts[part] == nil {
			parts[part] = map[string]string{}
		}
		parts[part][name] = object
	}
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		_, err := edit(ctx, l, Key{knownPartition(list), knownNames + part}, func(doc *map[string]string, _ bool) error {
			if *doc == nil {
				*doc = map[string]string{}
			}
			maps.Copy(*doc, parts[part])
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// UploadsSeen is how far the uploads bucket was looked through.
type UploadsSeen struct {
	// First is when it was seen for the first time: what was there then starts nothing.
	First time.Time `json:"first"`
	// Until is when the last complete look began.
	Until time.Time `json:"until"`
}

func uploadsKey(bucket string) Key { return Key{"uploads/" + joined(bucket), knownMark} }

// SeeUploads reads how far the uploads bucket was looked through; the first call
// records now as its first sight.
func (l *Ledger) SeeUploads(ctx context.Context, bucket string, now time.Time) (UploadsSeen, error) {
	return edit(ctx, l, uploadsKey(bucket), func(seen *UploadsSeen, found bool) error {
		if !found {
			*seen = UploadsSeen{First: now, Until: now}
		}
		return nil
	})
}

// PutUploadsSeen records that the bucket was looked through until a time. It never goes back.
func (l *Ledger) PutUploadsSeen(ctx context.Context, bucket string, until time.Time) error {
	_, err := edit(ctx, l, uploadsKey(bucket), func(seen *UploadsSeen, found bool) error {
		if !found {
			return release.Errorf(release.Internal, "bucket %q was looked through before its first sight was recorded", bucket)
		}
		if until.After(seen.Until) {
			seen.Until = until
		}
		return nil
	})
	return err
}
