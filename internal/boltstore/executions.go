package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/tagboat/tagboat/internal/asl"
)

// Executions is the embedded engine's executions in a state file.
type Executions struct{ file *File }

var _ asl.Store = (*Executions)(nil)

// Executions is the engine's part of the file.
func (f *File) Executions() *Executions { return &Executions{file: f} }

// Create writes the first checkpoint of an execution.
func (e *Executions) Create(ctx context.Context, c asl.Checkpoint) error {
	return e.store(ctx, c, func(exists bool) error {
		if exists {
			return asl.ErrExecutionExists
		}
		return nil
	})
}

// Save replaces the checkpoint and appends its events.
func (e *Executions) Save(ctx context.Context, c asl.Checkpoint) error {
	return e.store(ctx, c, func(exists bool) error {
		if !exists {
			return asl.ErrExecutionNotFound
		}
		return nil
	})
}

func (e *Executions) store(ctx context.Context, c asl.Checkpoint, judge func(exists bool) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := entriesOf(c)
	if err != nil {
		return err
	}
	name := []byte(c.Execution.Name)
	return e.file.update(func(tx *bbolt.Tx) (func() error, error) {
		exists := tx.Bucket(bucketExecutions).Get(name) != nil
		return func() error { return write(tx, c, entries) }, judge(exists)
	})
}

// Load reads the last checkpoint.
func (e *Executions) Load(ctx context.Context, name string) (c asl.Checkpoint, err error) {
	err = e.view(ctx, func(tx *bbolt.Tx) error {
		value, err := e.checkpoint(tx, name)
		if err != nil {
			return err
		}
		return e.decode(name, value, &c)
	})
	return c, err
}

// Unfinished are the names of the executions that are running, sorted.
func (e *Executions) Unfinished(ctx context.Context) ([]string, error) {
	var names []string
	err := e.view(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketRunning).ForEach(func(key, value []byte) error {
			names = append(names, string(key))
			_, err := unseal(e.file.path, bucketRunning, key, value)
			return err
		})
	})
	return names, err
}

// History reads the events of an execution.
func (e *Executions) History(ctx context.Context, name string) ([]asl.Event, error) {
	var events []asl.Event
	err := e.view(ctx, func(tx *bbolt.Tx) error {
		if _, err := e.checkpoint(tx, name); err != nil {
			return err
		}
		prefix := eventPrefix(name)
		cursor := tx.Bucket(bucketEvents).Cursor()
		for key, sealed := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, sealed = cursor.Next() {
			value, err := unseal(e.file.path, bucketEvents, key, sealed)
			if err != nil {
				return err
			}
			var event asl.Event
			if err := e.decode(name, value, &event); err != nil {
				return err
			}
			events = append(events, event)
		}
		return nil
	})
	return events, err
}

func (e *Executions) view(ctx context.Context, do func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.file.view(do)
}

func (e *Executions) checkpoint(tx *bbolt.Tx, name string) ([]byte, error) {
	sealed := tx.Bucket(bucketExecutions).Get([]byte(name))
	if sealed == nil {
		return nil, asl.ErrExecutionNotFound
	}
	return unseal(e.file.path, bucketExecutions, []byte(name), sealed)
}

func (e *Executions) decode(name string, value []byte, into any) error {
	if err := json.Unmarshal(value, into); err != nil {
		return damaged(e.file.path, fmt.Sprintf("execution %q: %v", name, err))
	}
	return nil
}

// entry is what is put at a key of a bucket.
type entry struct{ bucket, key, sealed []byte }

func newEntry(bucket, key []byte, value any) (entry, error) {
	text, err := json.Marshal(value)
	return entry{bucket, key, seal(bucket, key, text)}, err
}

// entriesOf are a checkpoint's entries: itself, its events, and that it runs.
func entriesOf(c asl.Checkpoint) ([]entry, error) {
	events := c.Events
	c.Events = nil
	name := []byte(c.Execution.Name)
	checkpoint, err := newEntry(bucketExecutions, name, c)
	entries := []entry{checkpoint}
	for _, event := range events {
		made, failed := newEntry(bucketEvents, eventKey(c.Execution.Name, event.ID), event)
		entries, err = append(entries, made), errors.Join(err, failed)
	}
	if !c.Execution.Status.Ended() {
		running, failed := newEntry(bucketRunning, name, struct{}{})
		entries, err = append(entries, running), errors.Join(err, failed)
	}
	return entries, err
}

// write stores a checkpoint with its events and keeps the list of running executions.
func write(tx *bbolt.Tx, c asl.Checkpoint, entries []entry) error {
	if err := cutEvents(tx, c); err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.Bucket(e.bucket).Put(e.key, e.sealed); err != nil {
			return err
		}
	}
	if c.Execution.Status.Ended() {
		return tx.Bucket(bucketRunning).Delete([]byte(c.Execution.Name))
	}
	return nil
}

// cutEvents removes the history from the first of the checkpoint's events on.
func cutEvents(tx *bbolt.Tx, c asl.Checkpoint) error {
	if len(c.Events) == 0 {
		return nil
	}
	prefix := eventPrefix(c.Execution.Name)
	cursor := tx.Bucket(bucketEvents).Cursor()
	first := eventKey(c.Execution.Name, c.Events[0].ID)
	for key, _ := cursor.Seek(first); bytes.HasPrefix(key, prefix); key, _ = cursor.Seek(first) {
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func eventPrefix(name string) []byte { return append([]byte(name), 0) }

func eventKey(name string, id int64) []byte {
	return binary.BigEndian.AppendUint64(eventPrefix(name), uint64(id))
}
