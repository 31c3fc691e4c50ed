package function

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// shift is one turn at moving one alias.
type shift struct {
	functions *Functions
	api       API
	clock     clock.Clock
	w         *release.Work
	step      *release.ShiftStep
	// version is the one that gets the traffic.
	version string
}

func (f *Functions) shift(ctx context.Context, w *release.Work, phase release.Phase) (*shift, error) {
	step := w.Step.Shift
	if step == nil {
		return nil, release.Errorf(release.Internal, "step %q does not say what to shift", w.Step.ID)
	}
	update, _ := w.Earlier(release.StepID(release.UpdateFunction, w.Step.Site, step.Name))
	if update.Version == "" {
		return nil, release.Errorf(release.Internal, "no version of function %q was published for alias %q", step.Name, step.Alias)
	}
	api, err := f.cfg.Lambda(ctx, w.Target, phase)
	return &shift{functions: f, api: api, clock: f.cfg.Clock, w: w, step: step, version: update.Version}, err
}

// apply looks at the alarms and at the alias, and takes the next step that is due.
//
// An alias that is not there yet, or stands at $LATEST, has no version that
// could keep a part of the traffic: it moves all at once.
func (s *shift) apply(ctx context.Context) (time.Duration, error) {
	r := s.w.Result
	if err := s.functions.Watch(ctx, s.w.Target, s.step.Alarms, r.Began); err != nil {
		return 0, err
	}
	if r.Began.IsZero() {
		r.Began = s.clock.Now()
	}
	alias, err := s.assume(ctx)
	if err != nil {
		return 0, err
	}
	return s.advance(ctx, alias)
}

// assume is what the next write is based on. The first is based on the plan's
// snapshot, whose revision makes it a conditional write, and saves a look.
func (s *shift) assume(ctx context.Context) (release.AliasState, error) {
	before := s.step.Before
	if !s.w.Result.Touched && (before.Version == "" || before.RevisionID != "") {
		return before, nil
	}
	return s.look(ctx)
}

// look reads the alias; its version is empty if there is none.
func (s *shift) look(ctx context.Context) (release.AliasState, error) {
	alias, err := getAlias(ctx, s.api, s.step.Name, s.step.Alias)
	switch {
	case awserr.Is(err, awserr.NotFound):
		return release.AliasState{}, nil
	case err != nil:
		return alias, s.refused(err, "read")
	}
	return alias, nil
}

// advance takes the alias from where it is to the next step, if that is due.
func (s *shift) advance(ctx context.Context, alias release.AliasState) (time.Duration, error) {
	percent, err := s.position(alias)
	if err != nil {
		return 0, err
	}
	r, now := s.w.Result, s.clock.Now()
	if percent != r.Weight && percent != s.next(r.Weight) {
		if percent < r.Weight && now.Sub(r.WeightSet) < release.ReadLag {
			return pollSoon, nil // the look is from before the last write
		}
		return 0, s.movedByOthers(alias)
	}
	if percent != r.Weight {
		// The write was done and not recorded: the interval begins anew, so that it is never too short.
		r.Weight, r.WeightSet = percent, now
	}
	if percent == 100 {
		return s.ready(ctx)
	}
	if due := r.WeightSet.Add(s.step.Traffic.Interval); percent > 0 && now.Before(due) {
		return s.pause(due.Sub(now)), nil
	}
	return s.set(ctx, alias, s.next(percent))
}

// steps are the parts of the traffic that the version gets before everything.
func (s *shift) steps() []int {
	switch s.step.Before.Version {
	case "", release.LatestVersion, s.version:
		return nil
	}
	return s.step.Traffic.Steps()
}

func (s *shift) next(percent int) int {
	for _, step := range s.steps() {
		if step > percent {
			return step
		}
	}
	return 100
}

// position is the version's percentage of the traffic. An alias that is neither
// as found nor at one of the steps was moved by somebody else.
func (s *shift) position(alias release.AliasState) (int, error) {
	if alias.Version == s.version && len(alias.Weights) == 0 {
		return 100, nil
	}
	if sameTraffic(alias, s.step.Before) {
		return 0, nil
	}
	if alias.Version == s.step.Before.Version && len(alias.Weights) == 1 {
		percent := int(math.Round(alias.Weights[s.version] * 100))
		if slices.Contains(s.steps(), percent) {
			return percent, nil
		}
	}
	return 0, s.movedByOthers(alias)
}

func sameTraffic(a, b release.AliasState) bool {
	return a.Version == b.Version && maps.EqualFunc(a.Weights, b.Weights, func(x, y float64) bool { return math.Abs(x-y) < 1e-6 })
}

// set gives the version its part of the traffic. The routing is written always:
// without it Lambda keeps the former weights.
func (s *shift) set(ctx context.Context, alias release.AliasState, percent int) (time.Duration, error) {
	if err := s.touch(ctx, alias); err != nil {
		return 0, err
	}
	err := s.write(ctx, alias, s.at(percent))
	if awserr.Is(err, awserr.PreconditionFailed) || awserr.Is(err, awserr.Conflict) {
		return s.again(ctx, alias, percent, err)
	}
	if err != nil {
		return 0, s.refused(err, "move")
	}
	return s.reached(ctx, percent)
}

// touch comes before a write, which may be based on an alias that is as found.
func (s *shift) touch(ctx context.Context, alias release.AliasState) error {
	if sameTraffic(alias, s.step.Before) {
		return s.w.TouchAsFound(ctx)
	}
	return s.w.Touch(ctx)
}

// at is the alias with a part of the traffic moved.
func (s *shift) at(percent int) release.AliasState {
	if percent == 100 {
		return release.AliasState{Version: s.version}
	}
	return release.AliasState{Version: s.step.Before.Version, Weights: map[string]float64{s.version: float64(percent) / 100}}
}

// again looks after a refused write. It can be the echo of our own, whose answer
// was lost; or the alias has another revision and the same traffic, because
// something else about it has changed.
func (s *shift) again(ctx context.Context, assumed release.AliasState, percent int, refusal error) (time.Duration, error) {
	now, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case sameTraffic(now, s.at(percent)):
		return s.reached(ctx, percent)
	case !sameTraffic(now, assumed):
		return 0, s.movedByOthers(now)
	}
	if err := s.touch(ctx, now); err != nil { // the first write may have been under way for long
		return 0, err
	}
	err = s.write(ctx, now, s.at(percent))
	switch {
	case awserr.Is(err, awserr.PreconditionFailed) && now.RevisionID == assumed.RevisionID:
		return pollMin, nil // it is the look that is late
	case err != nil:
		return 0, s.refused(err, "move (a second time, after %v)", refusal)
	}
	return s.reached(ctx, percent)
}

func (s *shift) reached(ctx context.Context, percent int) (time.Duration, error) {
	s.w.Result.Weight, s.w.Result.WeightSet = percent, s.clock.Now()
	if percent == 100 {
		return s.ready(ctx)
	}
	s.w.Result.After = strconv.Itoa(percent) + " % on version " + s.version
	return s.pause(s.step.Traffic.Interval), nil
}

// pause is the time to the next look: a part of what remains to the next step.
func (s *shift) pause(remains time.Duration) time.Duration {
	if look := time.Duration(s.w.Plan.Poll); look > 0 {
		return min(look, remains)
	}
	return remains
}

// write creates the alias or changes it, if it still has the revision that was seen.
func (s *shift) write(ctx context.Context, seen, want release.AliasState) error {
	if seen.Version == "" {
		_, err := s.api.CreateAlias(ctx, &lambda.CreateAliasInput{
			FunctionName: &s.step.Name, Name: &s.step.Alias, FunctionVersion: &want.Version,
		})
		return err
	}
	weights := want.Weights
	if weights == nil {
		weights = map[string]float64{}
	}
	_, err := s.api.UpdateAlias(ctx, &lambda.UpdateAliasInput{
		FunctionName:    &s.step.Name,
		Name:            &s.step.Alias,
		FunctionVersion: &want.Version,
		RoutingConfig:   &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights},
		RevisionId:      optional(seen.RevisionID),
	})
	return err
}

// ready ends the shift, once provisioned concurrency is there if the alias has any.
func (s *shift) ready(ctx context.Context) (time.Duration, error) {
	s.w.Result.After = "version " + s.version
	out, err := s.api.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{
		FunctionName: &s.step.Name, Qualifier: &s.step.Alias,
	})
	switch {
	case awserr.Is(err, codeNoProvisioned), awserr.StatusOf(err) == http.StatusNotFound: // emulators have no such API at all
		return 0, nil
	case err != nil:
		return 0, s.refused(err, "read the provisioned concurrency of")
	case out.Status == types.ProvisionedConcurrencyStatusEnumInProgress:
		return pollSoon, nil
	case out.Status == types.ProvisionedConcurrencyStatusEnumFailed:
		return 0, release.Errorf(release.Invalid, "provisioned concurrency of alias %q of function %q in account %s, %s failed: %s",
			s.step.Alias, s.step.Name, s.w.Target.Account, s.w.Target.Region, aws.ToString(out.StatusReason)).
			WithRemedy("Mend what Lambda names, then release again.")
	}
	return 0, nil
}

// rollBack gives the alias back the version and the weights that were found. An
// alias that the release created is deleted.
func (s *shift) rollBack(ctx context.Context) (time.Duration, error) {
	before := s.step.Before
	alias, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	if s.w.Result.Restored = sameTraffic(alias, before); s.w.Result.Restored {
		if wait := tooEarly(s.w, s.clock.Now()); wait > 0 {
			return wait, nil
		}
		s.w.Result.After = "as before"
		return 0, nil
	}
	percent, err := s.position(alias)
	if err == nil && percent > s.next(s.w.Result.Weight) { // the release cannot have come that far
		err = s.movedByOthers(alias)
	}
	if err != nil {
		return 0, s.unrestored(err)
	}
	earlier := s.w.Result.InFlight
	if err := s.touchBack(ctx); err != nil {
		return 0, err
	}
	if before.Version == "" {
		_, err = s.api.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &s.step.Name, Name: &s.step.Alias})
	} else {
		err = s.write(ctx, alias, before)
	}
	switch {
	case awserr.Is(err, awserr.PreconditionFailed) || awserr.Is(err, awserr.Conflict) || awserr.Is(err, awserr.NotFound) && before.Version == "":
		return pollMin, nil // the next turn sees whether it was our own write or whose
	case err != nil:
		return 0, s.unrestored(s.refused(err, "move back"))
	}
	s.w.Result.After, s.w.Result.Restored, s.w.Result.InFlight = "as before", true, earlier
	if before.Version == "" { // no revision refuses a creation that is still on its way
		return tooEarly(s.w, s.clock.Now()), nil
	}
	return max(0, earlier.Sub(s.clock.Now())), nil // of a task that lives on, and looks again when it is refused
}

// touchBack comes before a write of the rollback. One that deletes has no revision that keeps it, when it
// comes late, from what the next release makes: so it is recorded that it is under way.
func (s *shift) touchBack(ctx context.Context) error {
	if s.step.Before.Version == "" {
		return s.w.TouchAsFound(ctx)
	}
	return s.w.Touch(ctx)
}

func (s *shift) unrestored(err error) error {
	if release.KindOf(err) == release.Transient {
		return err
	}
	before := s.step.Before
	failed := release.Errorf(release.KindOf(err), "traffic was not moved back: %w", err)
	if before.Version == "" {
		return failed.WithRemedy("If nothing else uses it, delete alias %q of function %q in account %s, %s: the release created it.",
			s.step.Alias, s.step.Name, s.w.Target.Account, s.w.Target.Region)
	}
	return failed.WithRemedy("Point alias %q of function %q in account %s, %s at %s, as it was before the release.",
		s.step.Alias, s.step.Name, s.w.Target.Account, s.w.Target.Region, split(before))
}

// split is how an alias splits its traffic, in words.
func split(alias release.AliasState) string {
	switch {
	case alias.Version == "":
		return "no version, since it does not exist"
	case len(alias.Weights) == 0:
		return fmt.Sprintf("version %s with all traffic", alias.Version)
	}
	return fmt.Sprintf("version %s with the additional weights %v", alias.Version, alias.Weights)
}

func (s *shift) movedByOthers(alias release.AliasState) error {
	return release.Errorf(release.Conflict, "alias %q of function %q in account %s, %s was changed by somebody else: it is at %s; "+
		"the plan found it at %s, and the release moves it to version %s",
		s.step.Alias, s.step.Name, s.w.Target.Account, s.w.Target.Region, split(alias), split(s.step.Before), s.version).
		WithRemedy("Find out who moves it besides Tagboat (CloudTrail, UpdateAlias20150331), then release again.")
}

func (s *shift) refused(err error, format string, args ...any) error {
	return refused(err, s.w.Target.Site, format+" alias %q of function %q", append(args, s.step.Alias, s.step.Name)...)
}
