// Package boltstore keeps Tagboat's state in one local file: the ledger's
// documents ([Table]) and the executions of the embedded engine ([Executions]).
//
// The file is a bbolt database with these buckets:
//
//	tagboat     format: the name and version of all this
//	documents   PARTITION 0 SORT: a document of the ledger
//	executions  NAME: the last checkpoint
//	running     NAME: empty; executions that have not ended
//	events      NAME 0 ID (8 bytes, big endian): an event of a history
//
// Every write is whole and on disk when the call returns; writes that come at
// the same time share a transaction, and so the wait for the disk. Every value
// but the format begins with a SHA-256 of its place and content: what was damaged on disk is
// reported and never taken for true. [Open] checks the whole file before it
// writes to it, and refuses what is not its own.
package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/release"
)

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = time.Second

// File is an open state file. One process at a time has it open.
type File struct {
	path string
	db   *bbolt.DB
	made bool
	// broken is set by a fault in the middle of a transaction: the database may
	// wait for its own locks for ever then and is not used any more.
	broken atomic.Bool
	queue  queue
}

// Open opens a state file and makes one where there is none. It refuses a file
// that is in use by another process ([release.Conflict]), one that is not a
// state file of this version of Tagboat ([release.Invalid]), and one that is
// damaged ([release.Internal]); it changes none of them. A damaged one may stay
// locked until the process ends.
func Open(path string) (*File, error) { return open(path, 0) }

// Made tells whether the file was not there, or empty, before it was opened.
func (f *File) Made() bool { return f.made }

// open limits the file to a size in bytes; 0 is no limit.
func open(path string, limit int) (*File, error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	made := err != nil || info.Size() == 0
	f, err := openDatabase(path, bbolt.Options{MaxSize: limit})
	if err != nil {
		return nil, err
	}
	f.made = made
	if err := f.prepare(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Inspect tells what [Open] would refuse about a file, and does not change it. A
// file that is not there is not refused.
func Inspect(path string) error { return inspect(path) }

// inspect reads all of an existing file, without a write, and tells what is wrong with it.
func inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failure(path, err)
	case !info.Mode().IsRegular():
		return foreign(path, "it is not a regular file")
	case info.Size() == 0:
		return nil
	}
	if err := inspectWith(path, bbolt.Options{ReadOnly: true}, checkPages); err != nil {
		return err
	}
	return inspectWith(path, bbolt.Options{ReadOnly: true, PreLoadFreelist: true}, check)
}

// inspectWith reads a file in one transaction.
func inspectWith(path string, options bbolt.Options, check func(path string, tx *bbolt.Tx) error) error {
	f, err := openDatabase(path, options)
	if err != nil {
		return err
	}
	err = f.view(func(tx *bbolt.Tx) error { return check(path, tx) })
	return errors.Join(err, f.Close())
}

func openDatabase(path string, options bbolt.Options) (*File, error) {
	f := &File{path: path}
	options.Timeout = lockWait
	err := guarded(func() (err error) {
		f.db, err = bbolt.Open(path, 0o600, &options)
		return err
	})
	if err != nil {
		return nil, failure(path, err)
	}
	return f, nil
}

// Close lets go of the file. Calls after it fail. A file that turned out to be
// damaged while it was open stays locked until the process ends.
func (f *File) Close() error {
	if f.broken.Load() {
		return nil
	}
	return failure(f.path, f.db.Close())
}

// view runs a reading transaction.
func (f *File) view(do func(*bbolt.Tx) error) error {
	return f.transact(func() error { return f.db.View(do) })
}

func (f *File) transact(do func() error) error {
	if f.broken.Load() {
		return damaged(f.path, "an earlier access to it failed")
	}
	err := guarded(do)
	var fault faultError
	if errors.As(err, &fault) {
		f.broken.Store(true)
	}
	return failure(f.path, err)
}

// failure is an error of the database or of the disk in the words of the domain.
// Errors that are already, and those of the stores, stay as they are.
func failure(path string, err error) error {
	var known *release.Error
	var fault faultError
	switch {
	case err == nil, errors.As(err, &known),
		errors.Is(err, asl.ErrExecutionExists), errors.Is(err, asl.ErrExecutionNotFound):
		return err
	case errors.As(err, &fault):
		return damaged(path, fault.Error())
	case errors.Is(err, bolterrors.ErrTimeout):
		return release.Errorf(release.Conflict, "state file %q is in use by another process", path).
			WithRemedy("Stop the other tagboat, or name another file.")
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return foreign(path, err.Error())
	case cannotGrow(err):
		return release.Errorf(release.Transient, "state file %q cannot grow: %w", path, err).
			WithRemedy("Free space on its disk, or lift the limit on the size of files; then it goes on by itself.")
	case strings.HasPrefix(err.Error(), "file size too small "): // bbolt: the end of it is not there, or it was never one
		return foreign(path, err.Error())
	case errors.Is(err, fs.ErrNotExist):
		return release.Errorf(release.Invalid, "state file %q: there is no directory %q", path, filepath.Dir(path)).
			WithRemedy("Make it: mkdir -p %s", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return release.Errorf(release.Denied, "state file %q: %w", path, err).WithRemedy("Check who owns the file and its directory.")
	}
	return release.Errorf(release.Internal, "state file %q: %w", path, err)
}

// cannotGrow tells a full disk. Of a file that could not be made longer, bbolt
// hands on the text of the system's error only.
func cannotGrow(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, bolterrors.ErrMaxSizeReached} {
		if errors.Is(err, full) {
			return true
		}
	}
	return strings.HasPrefix(err.Error(), "file resize error: ")
}

func foreign(path, why string) error {
	return release.Errorf(release.Invalid, "%q is not a state file of this version of tagboat: %s", path, why).
		WithRemedy("Name another file, or none yet; this one was not changed.")
}

func damaged(path, why string) error {
	return release.Errorf(release.Internal, "state file %q is damaged: %s", path, why).
		WithRemedy("Restore a backup of it. Or start anew with another file: what is live then is not known before its next release, " +
			"releases under way stay as they stand, and an old event that comes again is released again. Keep the damaged file: it tells what ran.")
}
