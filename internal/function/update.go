package function

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// update is one turn at one function's $LATEST and its new version.
type update struct {
	api     API
	archive Archive
	clock   clock.Clock
	w       *release.Work
	step    *release.FunctionStep
	// before and goal are what the plan found and what it wants.
	before, goal state
}

func (f *Functions) update(ctx context.Context, w *release.Work, phase release.Phase) (*update, error) {
	step := w.Step.Function
	if step == nil || step.Before.Latest == nil {
		return nil, release.Errorf(release.Internal, "step %q does not say what $LATEST was", w.Step.ID)
	}
	u := &update{archive: f.cfg.Archive, clock: f.cfg.Clock, w: w, step: step, before: stateOf(*step.Before.Latest)}
	layers, err := w.Plan.LayerARNs(w.Target.Region, step.Layers)
	if err != nil {
		return nil, err
	}
	u.goal = stateOf(step.Goal(layers))
	u.api, err = f.cfg.Lambda(ctx, w.Target, phase)
	return u, err
}

// apply brings $LATEST to the goal, code first and then the settings, then
// publishes a version if there is an alias, and tries it.
func (u *update) apply(ctx context.Context) (time.Duration, error) {
	if u.w.Result.Version != "" {
		return u.awaitVersion(ctx)
	}
	latest, err := u.look(ctx, release.LatestVersion)
	if err != nil {
		return 0, err
	}
	if latest.settling {
		return poll(u.clock.Now(), latest.modified), nil
	}
	if latest.failure != "" && u.wrote(latest) {
		return 0, u.failed(latest)
	}
	at, err := u.compare(latest)
	if err != nil {
		return 0, err
	}
	return u.advance(ctx, latest, at)
}

// advance does the next write, or none if there is nothing left to do. A
// function whose last update had failed before the release came gets one write
// in any case, which repairs it.
func (u *update) advance(ctx context.Context, latest found, at progress) (time.Duration, error) {
	repair := latest.failure != ""
	switch {
	case !at.codeDone || u.step.Code != nil && repair:
		return u.updateCode(ctx, latest)
	case !at.settingsDone || repair:
		return u.updateSettings(ctx, latest)
	case u.step.Alias != "":
		return u.publish(ctx, latest)
	}
	u.w.Result.After = "$LATEST as planned"
	return 0, nil
}

// wrote tells whether the release has changed $LATEST since the plan was made:
// between the record of the intent and the write there can have been a crash.
func (u *update) wrote(latest found) bool {
	return u.w.Result.Touched && latest.content.RevisionID != u.step.Before.Latest.RevisionID
}

func (u *update) updateCode(ctx context.Context, latest found) (time.Duration, error) {
	object, err := u.newCode(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := u.variables(ctx, latest); err != nil { // better known before the first write than after it
		return 0, err
	}
	if wait, err := u.keepLatest(ctx, latest); wait > 0 || err != nil {
		return wait, err
	}
	return u.putCode(ctx, latest, object, func(at progress) bool { return at.codeDone })
}

// touch comes before a write of $LATEST, which can be as found when the release has touched it
// before: it published that, or its write was refused.
func (u *update) touch(ctx context.Context, latest found) error {
	at, err := u.compare(latest)
	if err == nil && at.codeBefore && at.settingsBefore && u.w.Result.Undoing.IsZero() {
		return u.w.TouchAsFound(ctx)
	}
	return u.w.Touch(ctx)
}

// putCode writes code, leaving the architectures as they are: without them,
// Lambda would not ask for a change of them.
func (u *update) putCode(ctx context.Context, latest found, object release.Object, done func(progress) bool) (time.Duration, error) {
	if err := u.touch(ctx, latest); err != nil {
		return 0, err
	}
	in := &lambda.UpdateFunctionCodeInput{
		FunctionName:    &u.step.Name,
		S3Bucket:        &object.Bucket,
		S3Key:           &object.Key,
		S3ObjectVersion: optional(object.VersionID),
		RevisionId:      optional(latest.content.RevisionID),
	}
	for _, architecture := range latest.content.Architectures {
		in.Architectures = append(in.Architectures, types.Architecture(architecture))
	}
	_, err := u.api.UpdateFunctionCode(ctx, in)
	return u.written(ctx, err, latest, "update the code", done)
}

func (u *update) updateSettings(ctx context.Context, latest found) (time.Duration, error) {
	variables, err := u.variables(ctx, latest)
	if err != nil {
		return 0, err
	}
	if wait, err := u.keepLatest(ctx, latest); wait > 0 || err != nil {
		return wait, err
	}
	return u.putSettings(ctx, latest, u.goal, variables, func(at progress) bool { return at.settingsDone })
}

// putSettings writes those settings that differ. Where none does, the handler is
// written as it is: that repairs a failed update.
func (u *update) putSettings(ctx context.Context, latest found, goal state, variables map[string]string, done func(progress) bool) (time.Duration, error) {
	if err := u.touch(ctx, latest); err != nil {
		return 0, err
	}
	now := stateOf(latest.content)
	in := &lambda.UpdateFunctionConfigurationInput{FunctionName: &u.step.Name, RevisionId: optional(latest.content.RevisionID)}
	if !slices.Equal(now.layers, goal.layers) {
		in.Layers = append([]string{}, goal.layers...) // nil would not empty the list
	}
	if now.runtime != goal.runtime {
		in.Runtime = types.Runtime(goal.runtime)
	}
	if variables != nil {
		in.Environment = &types.Environment{Variables: variables}
	}
	if now.handler != goal.handler || in.Layers == nil && in.Runtime == "" && in.Environment == nil {
		in.Handler = optional(goal.handler)
	}
	_, err := u.api.UpdateFunctionConfiguration(ctx, in)
	return u.written(ctx, redacted(err, variables), latest, "update the configuration", done)
}

// publish makes a version of $LATEST as it is, for the alias.
func (u *update) publish(ctx context.Context, latest found) (time.Duration, error) {
	if err := u.w.Touch(ctx); err != nil {
		return 0, err
	}
	out, err := u.publishVersion(ctx, latest, u.step.Description)
	if err != nil {
		return u.written(ctx, err, latest, "publish a version", again)
	}
	// A crash before this is recorded does no harm: the next turn publishes again and gets the same version.
	u.w.Result.Version, u.w.Result.Wrote = aws.ToString(out.Version), u.clock.Now()
	u.w.Result.After = "version " + u.w.Result.Version
	if err := u.w.Save(ctx); err != nil {
		return 0, err
	}
	if out.State == types.StatePending {
		return pollMin, nil
	}
	if out.State == types.StateFailed {
		return u.awaitVersion(ctx)
	}
	return 0, u.smoke(ctx)
}

func (u *update) publishVersion(ctx context.Context, latest found, description string) (*lambda.PublishVersionOutput, error) {
	return u.api.PublishVersion(ctx, &lambda.PublishVersionInput{
		FunctionName: &u.step.Name,
		CodeSha256:   optional(latest.content.CodeSHA256),
		RevisionId:   optional(latest.content.RevisionID),
		Description:  optional(description),
	})
}

// awaitVersion waits until the published version can be invoked, and tries it.
func (u *update) awaitVersion(ctx context.Context) (time.Duration, error) {
	if u.w.Result.Smoked {
		return 0, nil
	}
	version, err := u.look(ctx, u.w.Result.Version)
	switch {
	case err != nil && awserr.Is(err, awserr.NotFound): // it was published; perhaps not everybody knows yet
		return 0, release.Errorf(release.Transient, "%w", err)
	case err != nil:
		return 0, err
	case version.settling:
		return poll(u.clock.Now(), version.modified), nil
	case version.failure != "":
		return 0, u.failed(version)
	}
	return 0, u.smoke(ctx)
}

// again is for a publication refused for the revision: it is tried again as long
// as $LATEST is on the release's way, because publishing twice is publishing once.
func again(progress) bool { return true }

// written says how to go on after a write of $LATEST. A refusal for the
// revision can be the echo of our own write, whose answer the SDK lost and
// repeated; whether it is, the function tells.
func (u *update) written(ctx context.Context, err error, seen found, attempt string, done func(progress) bool) (time.Duration, error) {
	now, last := u.clock.Now(), u.w.Result.Wrote
	switch {
	case err == nil:
		u.w.Result.Wrote = now
		return pollMin, nil
	case awserr.Is(err, awserr.Conflict):
		return 2 * pollMin, nil // an update is in progress, whose ever it is: look again
	case !awserr.Is(err, awserr.PreconditionFailed):
		u.w.Result.Wrote = now // perhaps
		return 0, u.refused(err, "%s of function %q", attempt, u.step.Name)
	}
	latest, lookErr := u.look(ctx, release.LatestVersion)
	if lookErr != nil {
		return 0, lookErr
	}
	at, compareErr := u.compare(latest)
	if compareErr != nil {
		return 0, compareErr
	}
	if latest.settling || done(at) {
		return pollMin, nil
	}
	if latest.content.RevisionID == seen.content.RevisionID || now.Sub(last) < release.ReadLag {
		return pollMin, nil // a look was late: this one, or the one before the write
	}
	return 0, u.changedByOthers("its RevisionId is %q, and not what it was a moment ago: %w", latest.content.RevisionID, err)
}

func (u *update) look(ctx context.Context, version string) (found, error) {
	f, err := look(ctx, u.api, u.step.Name, version)
	if err != nil {
		return f, u.refused(err, "read %s of function %q", version, u.step.Name)
	}
	return f, nil
}

func (u *update) refused(err error, format string, args ...any) error {
	return refused(err, u.w.Target.Site, format, args...)
}

func (u *update) failed(f found) error {
	return release.Errorf(release.Invalid, "function %q (%s) in account %s, %s did not take the update: %s",
		u.step.Name, f.content.Version, u.w.Target.Account, u.w.Target.Region, f.failure).
		WithRemedy("Mend what Lambda names, then release again.")
}
