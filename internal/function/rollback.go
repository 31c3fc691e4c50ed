package function

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// restoreLooks is how often a turn looks at the function after a write of the
// rollback, so that it sees whether Lambda took it.
const restoreLooks = 8

// maxRepairs is how often a turn writes once more what Lambda accepted and then did
// not carry out: nobody comes after a rollback.
const maxRepairs = 2

// rollBack brings $LATEST back to what the plan found: the code first, then the
// settings, as two looks and two writes of the same kind as the update's. What
// somebody else changed meanwhile is left alone. Published versions stay.
func (u *update) rollBack(ctx context.Context) (time.Duration, error) {
	latest, err := u.look(ctx, release.LatestVersion)
	if err != nil {
		return 0, err
	}
	if latest.settling {
		return poll(u.clock.Now(), latest.modified), nil
	}
	at, err := u.compare(latest)
	if err != nil {
		return 0, u.unrestored(err)
	}
	switch {
	case !at.codeBefore:
		return u.restoring(ctx, func() (time.Duration, error) { return u.restoreCode(ctx, latest) })
	case !at.settingsBefore, latest.failure != "" && u.wrote(latest) && u.step.Before.Latest.UpdateStatus != latest.content.UpdateStatus:
		return u.restoring(ctx, func() (time.Duration, error) { return u.restoreSettings(ctx, latest) })
	}
	if wait := tooEarly(u.w, u.clock.Now()); wait > 0 { // whatever its revision: publishing a version changes that, too
		return wait, nil
	}
	u.w.Result.After = "$LATEST as before"
	return 0, nil
}

// tooEarly is how long to wait until a look is believed that shows nothing of the
// release's writes, of which one was at hand: it may have come too early to see them, and
// one may still be on its way, from a task that lives on or given up.
func tooEarly(w *release.Work, now time.Time) time.Duration {
	return max(0, w.Result.Undoing.Add(release.ReadLag).Sub(now), w.Result.InFlight.Sub(now))
}

// restoring writes, and waits inside of the turn for what Lambda makes of it:
// a failure seen by a later turn could as well be that of the update.
func (u *update) restoring(ctx context.Context, write func() (time.Duration, error)) (time.Duration, error) {
	wait, err := write()
	repairs := 0
	for range restoreLooks {
		if err != nil {
			return 0, u.unrestored(err)
		}
		if err = u.clock.Sleep(ctx, wait); err != nil {
			return 0, release.Errorf(release.Transient, "roll back function %q: %w", u.step.Name, err)
		}
		var latest found
		latest, err = u.look(ctx, release.LatestVersion)
		switch {
		case err != nil:
		case latest.settling:
			wait = poll(u.clock.Now(), latest.modified)
		case latest.failure != "" && repairs < maxRepairs:
			repairs++
			wait, err = u.restoreSettings(ctx, latest)
		case latest.failure != "":
			err = u.failed(latest)
		default:
			return u.rollBack(ctx)
		}
	}
	return pollSoon, u.unrestored(err)
}

// restoreCode writes the code that was found. It is in the archive, where it was
// staged before it was changed; or a published version still has it.
func (u *update) restoreCode(ctx context.Context, latest found) (time.Duration, error) {
	object, err := u.formerCode(ctx)
	if err != nil {
		return 0, err
	}
	return u.putCode(ctx, latest, object, func(at progress) bool { return at.codeBefore })
}

func (u *update) formerCode(ctx context.Context) (release.Object, error) {
	if u.w.Result.SavedCode != nil {
		return *u.w.Result.SavedCode, nil
	}
	object, known, err := u.archive.StagedCode(ctx, u.w.Target.App, u.w.Target.Region, u.before.code)
	if err != nil {
		return object, u.refused(err, "find the former code of function %q", u.step.Name)
	}
	if known {
		return object, nil
	}
	for _, version := range u.formerVersions() {
		f, err := u.look(ctx, version)
		if err == nil && f.content.CodeSHA256 == u.before.code {
			return u.stagedCode(ctx, f)
		}
		if err != nil && release.KindOf(err) != release.NotFound {
			return object, err
		}
	}
	return object, release.Errorf(release.NotFound, "code %s of function %q is neither staged nor in a version", u.before.code, u.step.Name).
		WithRemedy("Update the code of %s by hand to the archive with the sha256 (base64) %s.", u.where(), u.before.code)
}

// restoreSettings writes layers, runtime, handler and variables as they were found.
func (u *update) restoreSettings(ctx context.Context, latest found) (time.Duration, error) {
	var variables map[string]string
	if u.setsVariables() && !maps.Equal(latest.content.Environment, u.before.variables) {
		var err error
		if variables, err = u.formerVariables(ctx); err != nil {
			return 0, err
		}
	}
	return u.putSettings(ctx, latest, u.before, variables, func(at progress) bool { return at.settingsBefore })
}

// formerVariables reads the values from a version whose variables hash to what was found.
func (u *update) formerVariables(ctx context.Context) (map[string]string, error) {
	if len(u.before.variables) == 0 {
		return map[string]string{}, nil
	}
	for _, version := range u.formerVersions() {
		f, err := u.look(ctx, version)
		if err == nil && maps.Equal(f.content.Environment, u.before.variables) {
			return f.variables, nil
		}
		if err != nil && release.KindOf(err) != release.NotFound {
			return nil, err
		}
	}
	names := differing(u.before.variables, u.goal.variables)
	return nil, release.Errorf(release.NotFound, "no version of function %q keeps the former values of %q", u.step.Name, names).
		WithRemedy("Set the environment variables %q of %s by hand to what they were.", names, u.where())
}

// formerVersions are those that may keep what $LATEST was.
func (u *update) formerVersions() []string {
	var versions []string
	if u.w.Result.SavedVersion != "" {
		versions = append(versions, u.w.Result.SavedVersion)
	}
	if live := u.step.Before.Live; live != nil && live.Version != release.LatestVersion {
		versions = append(versions, live.Version)
	}
	return versions
}

// unrestored adds to an error of a rollback, if it is one to end with, how to
// do by hand what the rollback could not do.
func (u *update) unrestored(err error) error {
	if err == nil || release.KindOf(err) == release.Transient {
		return err
	}
	remedy := fmt.Sprintf("Look at %s. To have it as before the release: code %s, layers %q, runtime %q, handler %q.",
		u.where(), u.before.code, u.before.layers, u.before.runtime, u.before.handler)
	if names := differing(u.before.variables, u.goal.variables); len(names) > 0 {
		remedy += fmt.Sprintf(" Set its environment variables %q to what they were.", names)
	}
	if code := u.w.Result.SavedCode; code != nil {
		remedy += fmt.Sprintf(" That code is s3://%s/%s (version %s).", code.Bucket, code.Key, code.VersionID)
	}
	return release.Errorf(release.KindOf(err), "$LATEST of function %q was not restored: %w", u.step.Name, err).
		WithRemedy("%s", remedy)
}

func (u *update) where() string {
	return fmt.Sprintf("function %s in account %s, %s", u.step.Name, u.w.Target.Account, u.w.Target.Region)
}
