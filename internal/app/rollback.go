package app

import (
	"context"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// RollingBack undoes what a release changed in the environment it holds.
type RollingBack struct{ *SiteWork }

// rollBackPlan is the answer to "prepare": where something may have to be undone.
type rollBackPlan struct {
	Sites []release.Site `json:"sites"`
}

// Do prepares the rollback, or works one turn of it at a site. What is refused is
// tried again by the state machine like what is transient: somebody may be
// mending the permission, and nobody comes after the rollback.
func (r *RollingBack) Do(ctx context.Context, in Input) (any, error) {
	out, err := r.do(ctx, in)
	if err != nil && release.KindOf(err) == release.Denied {
		err = &TaskError{Name: errTransient, Err: err}
	}
	return out, err
}

func (r *RollingBack) do(ctx context.Context, in Input) (any, error) {
	if in.Do == "prepare" {
		return r.prepare(ctx, in)
	}
	turn, err := r.open(ctx, in)
	if err != nil {
		return nil, err
	}
	left, err := r.outlive(ctx, in)
	if err != nil || left > 0 {
		return Turn{Status: turnWait, Seconds: seconds(left)}, err
	}
	turn.undo = true
	// Traffic goes back first: the old version serves again while the rest is
	// restored. What of it cannot be restored does not keep the rest from it, nor
	// what is only waited for in case that it is moved once more.
	shifts := turn.steps(release.PhaseShift)
	answer, err := turn.work(ctx, shifts)
	if err != nil || answer.Status == turnWait && !turn.asBefore(shifts) {
		return answer, err
	}
	return turn.work(ctx, turn.steps(release.PhaseUpdate))
}

// outlive is how long tasks of the dead execution may still be at it. A write that
// one of them was about to make when its release was taken over is seen after
// that, and undone. The clock of the task that took it over may be behind this one's, by
// less than the margin of a lease.
func (r *RollingBack) outlive(ctx context.Context, in Input) (time.Duration, error) {
	var note takeOverNote
	_, err := r.Ledger.ReadNote(ctx, in.Release, takeOverKey, &note)
	return note.At.Add(taskLife + leaseMargin).Sub(r.Clock.Now()), err
}

// prepare records why the release failed and finds the sites that it may have
// changed: every one with a change in its plan, so that a task of a dead
// execution that is about to make its first one there finds itself overtaken
// (see [siteTurn.settled]).
func (r *RollingBack) prepare(ctx context.Context, in Input) (rollBackPlan, error) {
	out := rollBackPlan{Sites: []release.Site{}}
	rel, err := r.acting(ctx, in)
	if err != nil {
		return out, err
	}
	said, err := r.nextSaid(ctx, in)
	if err != nil {
		return out, err
	}
	open, held := rel.Open()
	if !held {
		return out, r.update(ctx, in, func(rel *release.Release) error {
			record(rel, in.Error, said)
			return nil
		})
	}
	plan, err := r.plan(ctx, rel, release.Site{Environment: open.Name})
	if err != nil {
		return out, err
	}
	for _, step := range plan.Steps {
		if step.Change && !slices.Contains(out.Sites, step.Site) {
			out.Sites = append(out.Sites, step.Site)
		}
	}
	return out, r.update(ctx, in, func(rel *release.Release) error {
		record(rel, in.Error, said)
		if now, held := rel.Open(); !held || now.Name != open.Name { // a task that lives on has closed it
			out.Sites = []release.Site{}
			return nil
		}
		rel.State = release.RollingBack
		return nil
	})
}
