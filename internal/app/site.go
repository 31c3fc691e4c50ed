package app

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	// turnBudget is how long a task works before it hands over to the next turn.
	// It leaves a Lambda of two minutes the time to finish the step under way.
	turnBudget = 60 * time.Second
	// shortWait is waited for inside of a turn: a new turn costs nine history events.
	shortWait = 5 * time.Second
	// siteConcurrency is how many steps of a site are under way at once; the
	// request budget of the site limits them further.
	siteConcurrency = 4
	// maxRetries is how many transient errors in a row a step survives: some
	// minutes. A rollback has more patience, since nobody comes after it.
	maxRetries         = 8
	maxRollBackRetries = 20
)

// SiteWork carries out one phase's steps at one site, or undoes them.
type SiteWork struct {
	*Core
	// Steppers carry the steps out, under the registry that the release pinned.
	Steppers func(release.Registry) map[release.StepKind]release.Stepper
}

// siteTurn is one turn of work at a site.
type siteTurn struct {
	*SiteWork
	in       Input
	scope    *scope
	plan     *release.Plan
	target   release.Target
	steppers map[release.StepKind]release.Stepper
	results  map[release.Phase]*ledger.SiteResults
	deadline time.Time
	undo     bool

	mu     sync.Mutex
	wait   time.Duration // the shortest that a step asks for; 0 is none
	failed bool
}

// Do works one turn at the site.
func (w *SiteWork) Do(ctx context.Context, in Input) (any, error) {
	turn, err := w.open(ctx, in)
	if err != nil {
		return nil, err
	}
	return turn.work(ctx, turn.steps(in.Phase))
}

// open reads what governs the site and renews the lease.
func (w *SiteWork) open(ctx context.Context, in Input) (*siteTurn, error) {
	scope, err := w.load(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := w.renew(ctx, in, scope.app.Name, in.Site); err != nil {
		return nil, err
	}
	plan, err := w.plan(ctx, scope.release, in.Site)
	if err != nil {
		return nil, err
	}
	target, err := scope.target(in.Site)
	return &siteTurn{
		SiteWork: w, in: in, scope: scope, plan: plan, target: target, steppers: w.Steppers(scope.registry),
		results: map[release.Phase]*ledger.SiteResults{}, deadline: w.Clock.Now().Add(turnBudget),
	}, err
}

// steps are those of the site and the phase that change something.
func (t *siteTurn) steps(phase release.Phase) []release.Step {
	var steps []release.Step
	for _, step := range t.plan.Steps {
		if step.Change && step.Site == t.in.Site && step.Kind.Phase() == phase {
			steps = append(steps, step)
		}
	}
	return steps
}

// work brings the steps forward until all are done, one failed, here or at
// another site, or the time of the turn is up.
func (t *siteTurn) work(ctx context.Context, steps []release.Step) (Turn, error) {
	for _, step := range steps {
		if err := t.openResults(ctx, step.Kind.Phase()); err != nil {
			return Turn{}, err
		}
	}
	earlier, err := t.Ledger.Results(ctx, t.in.Release)
	if err != nil {
		return Turn{}, err
	}
	if !t.undo && failedElsewhere(earlier, t.in.Site) {
		return Turn{Status: turnStopped}, nil
	}
	clock.Each(t.Clock, len(steps), siteConcurrency, func(i int) { t.bring(ctx, steps[i], earlier) })
	for _, results := range t.results {
		if err := results.Save(ctx); err != nil {
			return Turn{}, err
		}
	}
	return t.answer(), nil
}

// failedElsewhere tells whether a step has failed at another site of the same
// environment: everything there is going to be rolled back, and going on
// would only put more traffic on what is bad.
func failedElsewhere(results map[string]release.Result, site release.Site) bool {
	for id, result := range results {
		if result.State == release.StepFailed && environmentOf(id) == site.Environment && !isAt(id, site) {
			return true
		}
	}
	return false
}

// isAt tells whether a step is one of a site, by its id.
func isAt(stepID string, site release.Site) bool {
	_, rest, _ := strings.Cut(stepID, "/")
	return strings.HasPrefix(rest, site.String()+"/")
}

func (t *siteTurn) openResults(ctx context.Context, phase release.Phase) error {
	if t.results[phase] != nil {
		return nil
	}
	results, err := t.Ledger.SiteResults(ctx, t.in.Release, phase, t.in.Site)
	t.results[phase] = results
	return err
}

// answer ends the iteration at the first failure, since what is under way will be
// rolled back; a rollback itself goes on with all that can still be restored.
func (t *siteTurn) answer() Turn {
	switch {
	case t.failed && (t.wait == 0 || !t.undo):
		return Turn{Status: turnFailed}
	case t.wait > 0:
		return Turn{Status: turnWait, Seconds: seconds(t.wait)}
	}
	return Turn{Status: turnDone}
}

// bring brings one step forward as far as this turn's time allows.
func (t *siteTurn) bring(ctx context.Context, step release.Step, earlier map[string]release.Result) {
	results := t.results[step.Kind.Phase()]
	result := results.Get(step.ID)
	if t.settled(result) {
		if t.undo {
			results.Set(result)
		}
		return
	}
	work, inFlight := t.newWork(step, &result, results, earlier), result.InFlight
	for {
		if t.stop() {
			t.asked(time.Second)
			return
		}
		wait, err := t.turn(ctx, work)
		result.Updated = t.Clock.Now()
		if release.KindOf(err) == release.Transient && result.Touched && (!t.undo || deletes(step)) {
			inFlight = t.late() // a write may have got no answer
		}
		result.InFlight = inFlight
		if err == nil && wait > 0 {
			result.Retries = 0
			err = t.overdue(step, result)
		}
		switch {
		case err != nil:
			wait = t.fail(&result, err)
		case wait == 0:
			t.settle(&result)
		}
		results.Set(result)
		if wait == 0 {
			return
		}
		if wait > shortWait || t.Clock.Now().Add(wait).After(t.deadline) || t.Clock.Sleep(ctx, wait) != nil {
			t.asked(wait)
			return
		}
	}
}

func (t *siteTurn) newWork(step release.Step, result *release.Result, results *ledger.SiteResults,
	earlier map[string]release.Result) *release.Work {
	result.Step = step.ID
	if !t.undo {
		result.State = release.StepRunning
	}
	began := &result.Started
	if t.undo {
		began = &result.Undoing
	}
	// A pause of that length is ours, not the object's: nobody worked at the step.
	if now := t.Clock.Now(); began.IsZero() || now.Sub(result.Updated) > leaseTTL {
		*began = now
	}
	return &release.Work{
		Release: t.scope.release, Plan: t.plan, Step: step, Target: t.target, Result: result,
		Earlier: func(id string) (release.Result, bool) {
			r, ok := earlier[id]
			return r, ok
		},
		Guard: t.guard(t.in, t.scope.app.Name, t.in.Site),
		// What a task of a dead execution records could look like a change that
		// nobody undid.
		Save: func(ctx context.Context) error {
			if _, err := t.begin(ctx, t.in); err != nil {
				return err
			}
			results.Set(*result)
			return results.Save(ctx)
		},
		Late: t.late,
	}
}

// deletes tells whether a rollback of the step deletes an alias, without a revision that keeps
// one that comes late from what is made next. Its other writes have one.
func deletes(step release.Step) bool { return step.Shift != nil && step.Shift.Before.Version == "" }

// late is when what is written now cannot arrive any more.
func (t *siteTurn) late() time.Time { return t.Clock.Now().Add(taskLife + leaseMargin) }

func (t *siteTurn) turn(ctx context.Context, work *release.Work) (time.Duration, error) {
	stepper, ok := t.steppers[work.Step.Kind]
	if !ok {
		return 0, release.Errorf(release.Internal, "no task carries out steps of kind %q", work.Step.Kind)
	}
	if t.undo {
		return stepper.RollBack(ctx, work)
	}
	return stepper.Apply(ctx, work)
}

// stepPatience is how long a step may wait for the world, besides the waits that
// its traffic asks for. Lambda settles an update within minutes.
const stepPatience = 30 * time.Minute

// overdue ends a step whose object never settles.
func (t *siteTurn) overdue(step release.Step, r release.Result) error {
	began, patience := r.Started, stepPatience
	if t.undo {
		began = r.Undoing
	} else if step.Shift != nil {
		patience += step.Shift.Traffic.Duration()
	}
	if t.Clock.Now().Sub(began) < patience {
		return nil
	}
	return release.Errorf(release.Conflict, "%s waits since %s, longer than %s", step.ID, began.Format(time.RFC3339), patience).
		WithRemedy("Look at the function's LastUpdateStatus or, for a rollback, restore it by hand.")
}

// settled tells whether nothing is left to do for the step. What was not
// touched needs no undoing; its result is written all the same, so that a task
// of a dead execution, which has read the results before, cannot record any more
// that it begins to change it (see [ledger.SiteResults.Save]).
func (t *siteTurn) settled(r release.Result) bool {
	if t.undo {
		return !r.Touched || r.State == release.StepRolledBack
	}
	if r.State == release.StepFailed {
		t.mu.Lock()
		t.failed = true
		t.mu.Unlock()
	}
	return r.State == release.StepDone || r.State == release.StepFailed
}

// asBefore tells whether every step is undone, or has been restored, or cannot be.
func (t *siteTurn) asBefore(steps []release.Step) bool {
	return !slices.ContainsFunc(steps, func(step release.Step) bool {
		result := t.results[step.Kind.Phase()].Get(step.ID)
		return !t.settled(result) && result.State != release.StepFailed && !result.Restored
	})
}

func (t *siteTurn) settle(r *release.Result) {
	r.Retries = 0
	if t.undo { // the error stays: it is why
		r.State = release.StepRolledBack
		return
	}
	r.State, r.Error, r.Remedy = release.StepDone, "", ""
}

// fail records an error: transient ones are waited out with growing patience,
// any other ends the step. A rollback also waits for permissions to be mended.
func (t *siteTurn) fail(r *release.Result, err error) (wait time.Duration) {
	kind, patience := release.KindOf(err), maxRetries
	if t.undo {
		patience = maxRollBackRetries
	}
	if (kind == release.Transient || t.undo && kind == release.Denied) && r.Retries < patience {
		r.Retries++
		return min(time.Minute, time.Second<<min(r.Retries, 6))
	}
	r.State, r.Retries = release.StepFailed, 0
	r.Error, r.Remedy = capped(err.Error(), maxStepReason), capped(release.RemedyOf(err), maxStepReason)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
	return 0
}

// stop tells whether to begin nothing more: the turn's time is up or, unless
// undoing, a step has failed and all will be rolled back.
func (t *siteTurn) stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed && !t.undo || !t.Clock.Now().Before(t.deadline)
}

func (t *siteTurn) asked(wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wait == 0 || wait < t.wait {
		t.wait = wait
	}
}
