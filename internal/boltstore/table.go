package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Table is the ledger's documents in a state file.
type Table struct{ file *File }

var _ ledger.Table = (*Table)(nil)

// Table is the ledger's part of the file.
func (f *File) Table() *Table { return &Table{file: f} }

// headSize is that of a document's version and expiry, in front of its body.
const headSize = 16

// Get reads a document.
func (t *Table) Get(ctx context.Context, key ledger.Key) (item ledger.Item, err error) {
	if err := usable(ctx, key); err != nil {
		return ledger.Item{}, err
	}
	var found bool
	err = t.file.view(func(tx *bbolt.Tx) error {
		item, found, err = t.read(tx, key)
		return err
	})
	if err == nil && !found {
		err = key.Missing()
	}
	return item, err
}

// Put writes a document of the expected version.
func (t *Table) Put(ctx context.Context, item ledger.Item) error {
	if err := usable(ctx, item.Key); err != nil {
		return err
	}
	next := item
	next.Version++
	key := documentKey(item.Key)
	sealed := seal(bucketDocuments, key, encode(next))
	return t.file.update(func(tx *bbolt.Tx) (func() error, error) {
		stored, _, err := t.read(tx, item.Key)
		if err != nil {
			return nil, err
		}
		if stored.Version != item.Version {
			return nil, item.Changed(item.Version, stored.Version)
		}
		return func() error { return tx.Bucket(bucketDocuments).Put(key, sealed) }, nil
	})
}

// Delete removes a document of the expected version.
func (t *Table) Delete(ctx context.Context, key ledger.Key, version int64) error {
	if err := usable(ctx, key); err != nil {
		return err
	}
	return t.file.update(func(tx *bbolt.Tx) (func() error, error) {
		stored, found, err := t.read(tx, key)
		if err == nil && found && stored.Version != version {
			err = key.Changed(version, stored.Version)
		}
		// Deleting what is not there changes nothing.
		return func() error { return tx.Bucket(bucketDocuments).Delete(documentKey(key)) }, err
	})
}

// Query reads documents in the order of their sort keys.
func (t *Table) Query(ctx context.Context, partition, prefix string, page ledger.Page) ([]ledger.Item, error) {
	if err := usable(ctx, ledger.Key{Partition: partition, Sort: "any"}); err != nil {
		return nil, err
	}
	items := []ledger.Item{}
	err := t.file.view(func(tx *bbolt.Tx) error {
		base := documentKey(ledger.Key{Partition: partition})
		cursor := tx.Bucket(bucketDocuments).Cursor()
		key, value, step := start(cursor, base, prefix, page)
		for ; bytes.HasPrefix(key, base); key, value = step() {
			sort := string(key[len(base):])
			if !page.Includes(prefix, sort) {
				if sort == page.After {
					continue
				}
				return nil // beyond the range
			}
			item, err := t.decode(ledger.Key{Partition: partition, Sort: sort}, value)
			if err != nil {
				return err
			}
			items = append(items, item)
			if len(items) == page.Limit {
				return nil
			}
		}
		return nil
	})
	return items, err
}

// beyond is behind every byte of a key in UTF-8.
const beyond = "\xff"

// start moves the cursor to the first key of the page, or the one of page.After,
// and answers it with the step to the next.
func start(cursor *bbolt.Cursor, base []byte, prefix string, page ledger.Page) (key, value []byte, step func() ([]byte, []byte)) {
	if !page.Descending {
		key, value = cursor.Seek(append(base, max(prefix, page.After)...))
		return key, value, cursor.Next
	}
	end := prefix + beyond
	if page.After != "" {
		end = min(end, page.After)
	}
	if key, _ = cursor.Seek(append(base, end...)); key == nil {
		key, value = cursor.Last()
	} else {
		key, value = cursor.Prev()
	}
	return key, value, cursor.Prev
}

func usable(ctx context.Context, key ledger.Key) error {
	if err := ctx.Err(); err != nil {
		return release.Errorf(release.Transient, "document %q: %w", key, err)
	}
	return key.Check()
}

// documentKey has a zero byte between its parts, which neither contains.
func documentKey(key ledger.Key) []byte { return []byte(key.Partition + "\x00" + key.Sort) }

// read answers a version of 0 if there is no such document.
func (t *Table) read(tx *bbolt.Tx, key ledger.Key) (item ledger.Item, found bool, err error) {
	sealed := tx.Bucket(bucketDocuments).Get(documentKey(key))
	if sealed == nil {
		return ledger.Item{}, false, nil
	}
	item, err = t.decode(key, sealed)
	return item, true, err
}

func (t *Table) decode(key ledger.Key, sealed []byte) (ledger.Item, error) {
	value, err := unseal(t.file.path, bucketDocuments, documentKey(key), sealed)
	if err != nil {
		return ledger.Item{}, err
	}
	if len(value) < headSize {
		return ledger.Item{}, damaged(t.file.path, fmt.Sprintf("document %q is cut off", key))
	}
	item := ledger.Item{Key: key, Version: int64(binary.BigEndian.Uint64(value)), Body: value[headSize:]}
	if seconds := int64(binary.BigEndian.Uint64(value[8:])); seconds != 0 {
		item.Expires = time.Unix(seconds, 0).UTC()
	}
	return item, nil
}

func encode(item ledger.Item) []byte {
	var seconds int64
	if !item.Expires.IsZero() {
		seconds = item.Expires.Unix()
	}
	value := make([]byte, headSize, headSize+len(item.Body))
	binary.BigEndian.PutUint64(value, uint64(item.Version))
	binary.BigEndian.PutUint64(value[8:], uint64(seconds))
	return append(value, item.Body...)
}
