package function

import (
	"context"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tagboat/tagboat/internal/release"
)

// keepLatest keeps $LATEST as it was found, before it is first changed: its
// archive is staged if the code is going to change, and a version is published
// if variables are, because their values must not leave Lambda. It answers a
// wait when it changed the revision by that.
func (u *update) keepLatest(ctx context.Context, latest found) (time.Duration, error) {
	if u.before.code != u.goal.code && u.w.Result.SavedCode == nil && latest.content.CodeSHA256 == u.before.code {
		if err := u.keepCode(ctx, latest); err != nil {
			return 0, err
		}
	}
	if u.variablesKept() {
		return 0, nil
	}
	if err := u.w.Touch(ctx); err != nil {
		return 0, err
	}
	out, err := u.publishVersion(ctx, latest, "$LATEST before release "+u.w.Plan.Release)
	if err != nil {
		return u.written(ctx, err, latest, "publish $LATEST as it is", again)
	}
	u.w.Result.SavedVersion, u.w.Result.Wrote = aws.ToString(out.Version), u.clock.Now()
	return pollMin, u.w.Save(ctx)
}

func (u *update) keepCode(ctx context.Context, latest found) error {
	object, err := u.stagedCode(ctx, latest)
	if err != nil {
		return err
	}
	u.w.Result.SavedCode = &object
	return u.w.Save(ctx)
}

// stagedCode is the staged archive of the code that a version has, staged now
// if it was not before.
func (u *update) stagedCode(ctx context.Context, f found) (release.Object, error) {
	app, region := u.w.Target.App, u.w.Target.Region
	object, known, err := u.archive.StagedCode(ctx, app, region, f.content.CodeSHA256)
	if err == nil && !known {
		object, err = u.archive.SaveCode(ctx, app, region, u.step.Name, f.content.CodeSHA256, f.url)
	}
	if err != nil {
		return object, u.refused(err, "keep the code of function %q", u.step.Name)
	}
	return object, nil
}

// variablesKept tells whether there is nothing to keep, or a version that keeps it.
func (u *update) variablesKept() bool {
	if maps.Equal(u.before.variables, u.goal.variables) || len(u.before.variables) == 0 || u.w.Result.SavedVersion != "" {
		return true
	}
	live := u.step.Before.Live
	return live != nil && live.Version != release.LatestVersion && maps.Equal(live.Environment, u.before.variables)
}
