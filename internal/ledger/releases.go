package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// How long what is known of a dry run is kept at least. Its record counts the
// attempt, until the name of its execution may be used again: an execution can run for
// 30 days, and Step Functions keeps its name for 90 more (API reference,
// StartExecution). What belongs to it goes well before: a table drops what has
// expired in any order, and the next plan of that id would find it.
const (
	keepDryRuns     = 130 * day
	keepDryRunParts = 100 * day
	day             = 24 * time.Hour
)

// expiry is that of a new document: only what belongs to a dry run has one.
func (l *Ledger) expiry(key Key) time.Time {
	id, ofRelease := strings.CutPrefix(key.Partition, releasePartition(""))
	if !ofRelease || !release.IsDryRun(id) {
		return time.Time{}
	}
	return l.clock.Now().Add(keepDryRunParts)
}

func releasePartition(id string) string { return "release/" + joined(id) }

func recordKey(id string) Key { return Key{releasePartition(id), "record"} }

// Create records a release in state [release.Received], unless its id is known:
// then it answers with the record of that one. After a crash between Create and
// the start of the execution the release stays received; whoever finds such a
// duplicate should start the execution, under the same name.
func (l *Ledger) Create(ctx context.Context, req release.Request) (rel release.Release, created bool, err error) {
	id := req.ID()
	rel, found, err := l.find(ctx, id)
	if err != nil || found {
		return rel, false, err
	}
	now := l.clock.Now()
	rel = release.Release{
		ID: id, App: req.App, Version: req.Version, Attempt: req.Attempt, Source: req.Source,
		State: release.Received, Request: req, Created: now, Updated: now,
	}
	var expires time.Time
	if req.DryRun {
		expires = now.Add(keepDryRuns)
	}
	// A crash from here on leaves entries without a record; all readers skip them.
	if err := l.index(ctx, rel, expires); err != nil {
		return release.Release{}, false, err
	}
	existed, err := l.add(ctx, recordKey(id), rel, expires)
	if err != nil {
		return release.Release{}, false, err
	}
	if existed {
		rel, err = l.Release(ctx, id)
		return rel, false, err
	}
	return rel, true, nil
}

// Release reads a release. The error is of kind [release.NotFound] if there is none.
func (l *Ledger) Release(ctx context.Context, id string) (release.Release, error) {
	rel, found, err := l.find(ctx, id)
	if err == nil && !found {
		err = unknown(id)
	}
	return rel, err
}

func (l *Ledger) find(ctx context.Context, id string) (release.Release, bool, error) {
	if id == "" {
		return release.Release{}, false, unknown(id)
	}
	rel, item, err := load[release.Release](ctx, l, recordKey(id))
	return rel, item.Version > 0, err
}

func unknown(id string) error {
	return release.Errorf(release.NotFound, "there is no release %q", id).
		WithRemedy("tagboat releases lists them; --plans those that were only planned, too.")
}

// Update changes the record of a release that has not ended, in the name of the
// execution that may act for it; "" acts in nobody's name and is not checked.
// Change may be called several times, with a fresh copy each, and what it returns as an error is
// answered. The error is of kind [release.Conflict] if another execution took
// the release over or it has ended; but a change that an ended release shows
// already, the times aside, is no error, so that ending can be repeated.
func (l *Ledger) Update(ctx context.Context, id, execution string, change func(*release.Release) error) (release.Release, error) {
	if id == "" {
		return release.Release{}, unknown(id)
	}
	rel, err := edit(ctx, l, recordKey(id), func(rel *release.Release, found bool) error {
		if !found {
			return unknown(id)
		}
		return l.change(rel, execution, change)
	})
	if err == nil && rel.State.Ended() {
		// If this fails, Active finds the entry and removes it.
		_ = l.table.Delete(ctx, activeKey(id), firstVersion)
	}
	return rel, err
}

func (l *Ledger) change(rel *release.Release, execution string, change func(*release.Release) error) error {
	if execution != "" && rel.Execution != execution {
		return release.Errorf(release.Conflict, "release %q was taken over by execution %q; %q may not act for it any more",
			rel.ID, rel.Execution, execution)
	}
	if rel.State.Ended() {
		return changeEnded(rel, change)
	}
	if err := change(rel); err != nil {
		return err
	}
	rel.Updated = l.clock.Now()
	if rel.State.Ended() && rel.Ended.IsZero() {
		rel.Ended = rel.Updated
	}
	return nil
}

// changeEnded refuses every change that an ended release does not show already.
func changeEnded(rel *release.Release, change func(*release.Release) error) error {
	before, err := encode(recordKey(rel.ID), rel)
	if err != nil {
		return err
	}
	var again release.Release
	if err := json.Unmarshal(before, &again); err != nil {
		return release.Errorf(release.Internal, "release %q cannot be copied: %w", rel.ID, err)
	}
	if err := change(&again); err != nil {
		return err
	}
	again.Updated, again.Ended = rel.Updated, rel.Ended
	after, err := encode(recordKey(rel.ID), again)
	if err != nil {
		return err
	}
	if !bytes.Equal(before, after) {
		return release.Errorf(release.Conflict, "release %q has ended: %s", rel.ID, rel.State)
	}
	return nil
}

// LastAttempt finds the release of the same app and source, dry run or not, with
// the highest attempt; the request's own attempt does not matter.
func (l *Ledger) LastAttempt(ctx context.Context, req release.Request) (release.Release, bool, error) {
	page := Page{Descending: true, Limit: 10}
	for {
		items, err := l.table.Query(ctx, attemptsPartition(req), "", page)
		if err != nil || len(items) == 0 {
			return release.Release{}, false, err
		}
		for _, item := range items {
			rel, found, err := l.follow(ctx, item)
			if err != nil || found {
				return rel, found, err
			}
			page.After = item.Sort
		}
	}
}

// attemptsPartition names what all attempts from a source have in common: the id with attempt 0.
func attemptsPartition(req release.Request) string {
	req.Attempt = 0
	return "attempts/" + joined(req.ID())
}

func attemptSort(attempt int) string { return fmt.Sprintf("%09d", attempt) }
