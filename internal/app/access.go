package app

import (
	"context"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// LayerAccess reads layer versions with a target's role.
type LayerAccess interface {
	CheckAccess(ctx context.Context, t release.Target, arns []string) error
}

// AccessCheck makes sure, before any function changes, that each target's role
// can read the layer versions that its functions are going to use.
type AccessCheck struct {
	*Core
	Layers LayerAccess
}

// Do checks in.Site.
func (a *AccessCheck) Do(ctx context.Context, in Input) (any, error) {
	scope, err := a.load(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := a.renew(ctx, in, scope.app.Name, in.Site); err != nil {
		return nil, err
	}
	made, err := a.plan(ctx, scope.release, in.Site)
	if err != nil {
		return nil, err
	}
	target, err := scope.target(in.Site)
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, access := range made.Access {
		if access.Site == in.Site && !slices.Contains(arns, access.Layer) {
			arns = append(arns, access.Layer)
		}
	}
	err = a.Layers.CheckAccess(ctx, target, arns)
	if err == nil {
		return Turn{Status: turnDone}, nil
	}
	return a.again(ctx, in, err)
}

// accessTries is the ledger's note of how often the access at a site was checked
// in vain. What AWS could not answer says nothing about the grant: it does not
// count as a denial.
type accessTries struct {
	// Tries are those that an error ended which may pass, Denials those that were
	// denied or found nothing.
	Tries   int `json:"tries"`
	Denials int `json:"denials,omitempty"`
}

// maxDenials is how often access may be denied before it counts, 14 seconds together:
// grants and versions are known everywhere after some seconds.
const maxDenials = 3

// again asks for another turn after an error that may pass.
func (a *AccessCheck) again(ctx context.Context, in Input, cause error) (any, error) {
	key := "access/" + in.Site.String()
	var note accessTries
	if _, err := a.Ledger.ReadNote(ctx, in.Release, key, &note); err != nil {
		return nil, err
	}
	count, most := &note.Tries, maxRetries
	switch release.KindOf(cause) {
	case release.Transient:
	case release.Denied, release.NotFound:
		count, most = &note.Denials, maxDenials
	default:
		most = 0
	}
	if *count++; *count > most {
		return a.failTurn(ctx, in, in.Site.String(), cause)
	}
	if err := a.Ledger.Note(ctx, in.Release, key, note); err != nil {
		return nil, err
	}
	return Turn{Status: turnWait, Seconds: 1 << min(*count, 6)}, nil
}

// AlarmWatch looks at alarms.
type AlarmWatch interface {
	// Watch is an error if an alarm is in ALARM, or was since a time.
	Watch(ctx context.Context, t release.Target, alarms []string, since time.Time) error
}

// Shifting moves traffic and then watches the alarms while the release bakes.
type Shifting struct {
	*SiteWork
	Alarms AlarmWatch
}

// Do works one turn of the shift, or of the bake.
func (s *Shifting) Do(ctx context.Context, in Input) (any, error) {
	if in.Phase == release.PhaseBake {
		return s.bake(ctx, in)
	}
	return s.SiteWork.Do(ctx, in)
}

const bakeNote = "bake/"

// baking is the ledger's note of when a site's bake began.
type baking struct {
	Began time.Time `json:"began"`
}

func (s *Shifting) bake(ctx context.Context, in Input) (any, error) {
	turn, err := s.open(ctx, in)
	if err != nil || len(turn.steps(release.PhaseUpdate)) == 0 { // nothing changed here
		return Turn{Status: turnDone}, err
	}
	stop, err := s.bakeFailedElsewhere(ctx, in)
	if err != nil || stop {
		return Turn{Status: turnStopped}, err
	}
	began, err := s.bakeBegan(ctx, in)
	if err != nil {
		return nil, err
	}
	err = s.watch(ctx, turn, began)
	switch {
	case err != nil && release.KindOf(err) == release.Transient:
		return nil, err
	case err != nil:
		return s.failTurn(ctx, in, in.Site.String(), err)
	}
	left := began.Add(time.Duration(turn.plan.Bake)).Sub(s.Clock.Now())
	if left <= 0 {
		return Turn{Status: turnDone}, nil
	}
	wait := min(left, time.Duration(turn.plan.Poll))
	return Turn{Status: turnWait, Seconds: seconds(wait)}, nil
}

// watch looks at the alarms of what changed at the site. Those that rang since the
// traffic began to shift count: one may have come and gone since the last look.
func (s *Shifting) watch(ctx context.Context, turn *siteTurn, since time.Time) error {
	alarms := turn.alarms()
	if len(alarms) == 0 {
		return nil
	}
	results, err := s.Ledger.Results(ctx, turn.in.Release)
	if err != nil {
		return err
	}
	for _, step := range turn.steps(release.PhaseShift) {
		if began := results[step.ID].Began; !began.IsZero() && began.Before(since) {
			since = began
		}
	}
	return s.Alarms.Watch(ctx, turn.target, alarms, since)
}

// bakeFailedElsewhere tells whether an alarm rang at another site of the environment.
func (s *Shifting) bakeFailedElsewhere(ctx context.Context, in Input) (bool, error) {
	faults, err := s.Ledger.Notes(ctx, in.Release, faultPrefix(release.PhaseBake)+in.Site.Environment+"/")
	return len(faults) > 0, err
}

func (s *Shifting) bakeBegan(ctx context.Context, in Input) (time.Time, error) {
	key := bakeNote + in.Site.String()
	var note baking
	found, err := s.Ledger.ReadNote(ctx, in.Release, key, &note)
	if err != nil || found {
		return note.Began, err
	}
	note.Began = s.Clock.Now()
	return note.Began, s.Ledger.Note(ctx, in.Release, key, note)
}

// alarms are those of the functions that this release changes at the site.
func (t *siteTurn) alarms() []string {
	var alarms []string
	for _, step := range t.steps(release.PhaseUpdate) {
		spec, _ := t.scope.manifest.Function(step.Target) // the plan was made from it
		for _, alarm := range spec.Alarms {
			if !slices.Contains(alarms, alarm) {
				alarms = append(alarms, alarm)
			}
		}
	}
	return alarms
}
