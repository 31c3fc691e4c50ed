package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

const (
	// settleAfter is how long after a release's end it is told once more. Whoever
	// read it as it was before has stopped writing by then: a Lambda lives two minutes.
	settleAfter = 3 * time.Minute
	// giveUpAfter is how long after its end a release is tried to be told.
	giveUpAfter = 24 * time.Hour
	// maxPatience is the longest time between two tries.
	maxPatience = time.Hour
	// lookBudget is how long one look takes, and lookLimit how many releases it
	// tells: each costs up to two writes, and GitHub takes 80 a minute that create
	// content (REST API, "Rate limits", secondary).
	lookBudget = time.Minute
	lookLimit  = 30
)

// toldNote is the note of what was told of a release.
const toldNote = "told"

// told is what was told of a release. Whoever writes it late makes others tell it
// once more, never less.
type told struct {
	// Status and Check are digests of the commit status and the check run.
	Status string `json:"status,omitempty"`
	Check  string `json:"check,omitempty"`
	// Gap is true if something could not be told, so that deployments may be missing or stand still.
	Gap bool `json:"gap,omitempty"`
	// Announced is true once the release's end was on the event bus.
	Announced bool `json:"announced,omitempty"`
	// Failures counts those in a row, and Next is when to try again.
	Failures int       `json:"failures,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	// Record is a digest of the record that was told, At when that was.
	Record string    `json:"record,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

func digestOf(parts ...string) string {
	text, _ := json.Marshal(parts) // strings always marshal
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

func recordDigest(rel *release.Release) string {
	text, _ := json.Marshal(rel) // it was read from JSON
	return digestOf(string(text))
}

// told reads what was told of a release. If that cannot be read, nothing was:
// telling twice does no harm.
func (r *Reporting) told(ctx context.Context, id string) (t told) {
	if _, err := r.Ledger.ReadNote(ctx, id, toldNote, &t); err != nil {
		r.Log.WarnContext(ctx, "what was told of a release cannot be read", "release", id, "error", err)
	}
	return t
}

func (r *Reporting) remember(ctx context.Context, id string, before, after told) {
	if before == after {
		return
	}
	if now := r.told(ctx, id); now != before { // somebody else told something meanwhile
		after.Gap, after.Announced = after.Gap || now.Gap, after.Announced || now.Announced
	}
	after.At = r.Clock.Now()
	if err := r.Ledger.Note(ctx, id, toldNote, after); err != nil {
		r.Log.WarnContext(ctx, "what was told of a release cannot be kept", "release", id, "error", err)
	}
}

// untold is a release with what was told of it.
type untold struct {
	release release.Release
	told    told
}

// Watch tells what is new of every release: what it waits for, how far its steps
// are, and once more how it ended. It runs on a schedule, beside the releases,
// and so it delays and fails none. The first trouble that may pass ends a look;
// the next one goes on with those that were told longest ago.
func (r *Reporting) Watch(ctx context.Context) {
	list, err := r.untold(ctx)
	if err != nil {
		r.Log.WarnContext(ctx, "nobody was told", "do", doWatch, "error", err)
		return
	}
	end, news := r.Clock.Now().Add(lookBudget), 0
	for _, u := range list {
		if !r.due(u) {
			continue
		}
		if news == lookLimit || r.Clock.Now().After(end) {
			return
		}
		isNew, err := r.catchUp(ctx, u)
		if isNew {
			news++
		}
		if err != nil {
			r.Log.WarnContext(ctx, "GitHub or the event bus was not told", "release", u.release.ID, "do", doWatch, "error", err)
			if release.KindOf(err) == release.Transient {
				return
			}
		}
	}
}

// untold lists the releases with what was told of each, the longest ago first.
func (r *Reporting) untold(ctx context.Context) ([]untold, error) {
	rels, err := r.Ledger.Untold(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]untold, len(rels))
	for i, rel := range rels {
		list[i] = untold{rel, r.told(ctx, rel.ID)}
	}
	slices.SortStableFunc(list, func(a, b untold) int { return a.told.At.Compare(b.told.At) })
	return list, nil
}

// due tells whether something of a release may be new. One that was not admitted
// yet is not looked at, nor one that has just ended: its last task tells that. Of
// one that waits, the record says all there is.
func (r *Reporting) due(u untold) bool {
	now := r.Clock.Now()
	switch {
	case u.release.State == release.Received, now.Before(u.told.Next):
		return false
	case u.release.State.Ended():
		return now.Sub(u.release.Ended) >= settleAfter
	case u.release.State == release.Waiting, u.release.State == release.WaitingApproval:
		return u.told.Failures > 0 || recordDigest(&u.release) != u.told.Record
	}
	return true
}

// catchUp tells what is new of one release and, if it has ended, all of it for the last time.
func (r *Reporting) catchUp(ctx context.Context, u untold) (isNew bool, err error) {
	rel, after := &u.release, u.told
	after.Record = recordDigest(rel)
	err = r.show(ctx, rel, &after, rel.State.Ended())
	if rel.State.Ended() {
		err = errors.Join(err, r.settle(ctx, rel, &after))
	}
	if over := r.Clock.Now().Sub(rel.Ended) >= giveUpAfter; rel.State.Ended() && (err == nil || over) {
		err = errors.Join(err, r.Ledger.Told(ctx, rel.ID))
	}
	if err == nil {
		after.Failures, after.Next = 0, time.Time{}
	} else {
		after.Gap = true
		after.Next = r.Clock.Now().Add(min(maxPatience, time.Minute<<min(after.Failures, 10)))
		after.Failures++
	}
	r.remember(ctx, rel.ID, u.told, after)
	isNew = rel.State.Ended() || after.Status != u.told.Status || after.Check != u.told.Check || err != nil
	return isNew, err
}

// settle tells of an ended release what its last task could not: what became of
// its environments, and that it ended.
func (r *Reporting) settle(ctx context.Context, rel *release.Release, told *told) error {
	var errs []error
	if told.Gap && atGitHub(rel) {
		for _, progress := range rel.Environments {
			errs = append(errs, r.environmentEnded(ctx, rel, progress))
		}
	}
	if !told.Announced {
		if told.Announced = r.Herald.tell(ctx, rel, report.ReleaseEnded, ""); !told.Announced {
			errs = append(errs, release.Errorf(release.Transient, "the end of release %q was not announced", rel.ID))
		}
	}
	return errors.Join(errs...)
}
