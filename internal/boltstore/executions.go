package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
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
	return e.update(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketExecutions).Get([]byte(c.Execution.Name)) != nil {
			return asl.ErrExecutionExists
		}
		return write(tx, c)
	})
}

// Save replaces the checkpoint and appends its events.
func (e *Executions) Save(ctx context.Context, c asl.Checkpoint) error {
	return e.update(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketExecutions).Get([]byte(c.Execution.Name)) == nil {
			return asl.ErrExecutionNotFound
		}
		return write(tx, c)
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

func (e *Executions) update(ctx context.Context, do func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.file.update(do)
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

// write stores a checkpoint with its events and keeps the list of running executions.
func write(tx *bbolt.Tx, c asl.Checkpoint) error {
	events := c.Events
	c.Events = nil
	name := []byte(c.Execution.Name)
	if err := put(tx, bucketExecutions, name, c); err != nil {
		return err
	}
	if err := writeEvents(tx, c.Execution.Name, events); err != nil {
		return err
	}
	if c.Execution.Status.Ended() {
		return tx.Bucket(bucketRunning).Delete(name)
	}
	return put(tx, bucketRunning, name, struct{}{})
}

// writeEvents replaces the history from the first of the events on.
func writeEvents(tx *bbolt.Tx, name string, events []asl.Event) error {
	if len(events) == 0 {
		return nil
	}
	prefix := eventPrefix(name)
	cursor := tx.Bucket(bucketEvents).Cursor()
	first := eventKey(name, events[0].ID)
	for key, _ := cursor.Seek(first); bytes.HasPrefix(key, prefix); key, _ = cursor.Seek(first) {
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	for _, event := range events {
		if err := put(tx, bucketEvents, eventKey(name, event.ID), event); err != nil {
			return err
		}
	}
	return nil
}

func put(tx *bbolt.Tx, bucket, key []byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(key, seal(bucket, key, text))
}

func eventPrefix(name string) []byte { return append([]byte(name), 0) }

func eventKey(name string, id int64) []byte {
	return binary.BigEndian.AppendUint64(eventPrefix(name), uint64(id))
}
