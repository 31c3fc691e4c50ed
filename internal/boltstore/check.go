package boltstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
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
func prepare(tx *bbolt.Tx) error {
	if tx.Bucket(bucketFormat) != nil {
		return nil
	}
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

// check reads everything in a file that exists.
func check(path string, tx *bbolt.Tx) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return damaged(path, fmt.Sprintf("it has %d bytes, want %d", info.Size(), tx.Size()))
	}
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
