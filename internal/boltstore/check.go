package boltstore

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// A meta page of bbolt: a header, then the meta data, whose last eight bytes are
// the FNV-1a of those before (bbolt, internal/common/meta.go).
const (
	pageHeader = 16
	metaSize   = 64
)

// The buckets of the file, and the format that says so.
var (
	bucketFormat     = []byte("tagboat")
	bucketDocuments  = []byte("documents")
	bucketExecutions = []byte("executions")
	bucketRunning    = []byte("running")
	bucketEvents     = []byte("events")

	keyFormat = []byte("format")
	format    = []byte("tagboat state 1")
)

func sealedBuckets() [][]byte {
	return [][]byte{bucketDocuments, bucketExecutions, bucketRunning, bucketEvents}
}

// prepare makes the buckets of a new file.
func (f *File) prepare() error {
	isNew := false
	err := f.view(func(tx *bbolt.Tx) error {
		isNew = tx.Bucket(bucketFormat) == nil
		return nil
	})
	if err != nil || !isNew {
		return err
	}
	return f.update(func(tx *bbolt.Tx) (func() error, error) {
		return func() error { return makeBuckets(tx) }, nil
	})
}

func makeBuckets(tx *bbolt.Tx) error {
	for _, name := range sealedBuckets() {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	bucket, err := tx.CreateBucket(bucketFormat)
	if err != nil {
		return err
	}
	return bucket.Put(keyFormat, format)
}

// check reads everything in a file whose pages are sound.
func check(path string, tx *bbolt.Tx) error {
	if first, _ := tx.Cursor().First(); first == nil {
		return nil // a crash came before prepare
	}
	bucket := tx.Bucket(bucketFormat)
	if bucket == nil {
		return foreign(path, "it is another program's database")
	}
	if got := bucket.Get(keyFormat); !bytes.Equal(got, format) {
		return foreign(path, fmt.Sprintf("its format is %q, want %q", got, format))
	}
	for _, name := range sealedBuckets() {
		if err := checkBucket(path, tx, name); err != nil {
			return err
		}
	}
	// The values are right; what is left are the pages between them.
	var first error
	for err := range tx.Check() {
		first = cmp.Or(first, damaged(path, err.Error()))
	}
	return first
}

// checkEnds makes sure that the file is as long as it says, and that both of
// the two pages at its beginning are whole which take turns in naming the last transaction: bbolt would
// read around a damaged one and, silently, be one transaction behind.
func checkEnds(path string, tx *bbolt.Tx) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return damaged(path, fmt.Sprintf("it has %d bytes, want %d", info.Size(), tx.Size()))
	}
	for page := range int64(2) {
		head := make([]byte, metaSize)
		if _, err := file.ReadAt(head, page*int64(tx.DB().Info().PageSize)+pageHeader); err != nil {
			return err
		}
		h := fnv.New64a()
		h.Write(head[:metaSize-8])
		if h.Sum64() != binary.NativeEndian.Uint64(head[metaSize-8:]) {
			return damaged(path, fmt.Sprintf("page %d at its beginning does not have its checksum", page))
		}
	}
	return nil
}

func checkBucket(path string, tx *bbolt.Tx, name []byte) error {
	bucket := tx.Bucket(name)
	if bucket == nil {
		return damaged(path, fmt.Sprintf("bucket %q is missing", name))
	}
	return bucket.ForEach(func(key, value []byte) error {
		_, err := unseal(path, name, key, value)
		return err
	})
}

// seal puts a checksum of a value and its place in front of it.
func seal(bucket, key, value []byte) []byte {
	sum := checksum(bucket, key, value)
	return append(sum[:], value...)
}

// unseal copies a sealed value without its checksum, if that is right.
func unseal(path string, bucket, key, sealed []byte) ([]byte, error) {
	if len(sealed) < sha256.Size {
		return nil, damaged(path, fmt.Sprintf("entry %q of %q is cut off", key, bucket))
	}
	value := bytes.Clone(sealed[sha256.Size:])
	sum := checksum(bucket, key, value)
	if !bytes.Equal(sum[:], sealed[:sha256.Size]) {
		return nil, damaged(path, fmt.Sprintf("entry %q of %q does not have its checksum", key, bucket))
	}
	return value, nil
}

func checksum(bucket, key, value []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	var length [8]byte
	for _, part := range [][]byte{bucket, key, value} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// faultError is a panic in the database, which takes what it reads for true, or
// a fault in the memory that the file is mapped to.
type faultError struct{ reason any }

func (e faultError) Error() string { return fmt.Sprint(e.reason) }

// guarded makes a [faultError] of a panic and of a fault in mapped memory.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = faultError{reason}
		}
	}()
	return do()
}
