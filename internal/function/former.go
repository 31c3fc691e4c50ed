package function

import (
	"context"
	"maps"
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// newCode is the archive of the code that is wanted. Where a release that is
// brought back says nothing about it, it is what the function had then.
func (u *update) newCode(ctx context.Context) (release.Object, error) {
	if u.step.Code != nil {
		return u.step.Code.Object, nil
	}
	object, known, err := u.archive.StagedCode(ctx, u.w.Target.App, u.w.Target.Region, u.goal.code)
	if err != nil {
		return object, u.refused(err, "find the former code of function %q", u.step.Name)
	}
	if known {
		return object, nil
	}
	former, there, err := u.former(ctx)
	if err != nil {
		return object, err
	}
	if there && former.content.CodeSHA256 == u.goal.code {
		return u.stagedCode(ctx, former)
	}
	return object, u.gone("its code")
}

// former is the version that a release which is brought back had live, if it is
// still there. Callers of $LATEST have none.
func (u *update) former(ctx context.Context) (f found, there bool, err error) {
	if u.step.Former == nil || u.step.Former.Version == release.LatestVersion {
		return found{}, false, nil
	}
	f, err = u.look(ctx, u.step.Former.Version)
	if release.KindOf(err) == release.NotFound {
		return found{}, false, nil
	}
	return f, err == nil, err
}

// setsVariables tells whether the step may write variables.
func (u *update) setsVariables() bool {
	return len(u.step.Environment) > 0 || u.step.Former != nil && !maps.Equal(u.before.variables, u.goal.variables)
}

// variables are those to write, nil if they stay: each with a value that hashes
// to what is wanted. It is there already or the step's own; else only the former
// version has it, because values are kept nowhere else.
func (u *update) variables(ctx context.Context, latest found) (map[string]string, error) {
	if !u.setsVariables() || maps.Equal(latest.content.Environment, u.goal.variables) {
		return nil, nil
	}
	variables := map[string]string{}
	missing := u.take(variables, latest.variables, u.step.Environment)
	if len(missing) == 0 {
		return variables, nil
	}
	former, _, err := u.former(ctx)
	if err != nil {
		return nil, err
	}
	if missing = u.take(variables, former.variables); len(missing) > 0 {
		return nil, u.gone("the values of its variables %q", missing)
	}
	return variables, nil
}

// take adds the wanted variables that have their value in one of the sources, and
// answers the names of those that are still missing.
func (u *update) take(variables map[string]string, sources ...map[string]string) (missing []string) {
	for _, name := range slices.Sorted(maps.Keys(u.goal.variables)) {
		for _, source := range sources {
			if value, set := source[name]; set && release.VariableHash(name, value) == u.goal.variables[name] {
				variables[name] = value
			}
		}
		if _, found := variables[name]; !found {
			missing = append(missing, name)
		}
	}
	return missing
}

// gone is the error of what a release that is brought back had, and nobody has any more.
func (u *update) gone(what string, args ...any) error {
	version := release.LatestVersion
	if u.step.Former != nil {
		version = u.step.Former.Version
	}
	why := "version " + version + ", which had that, was deleted"
	if version == release.LatestVersion {
		why = "it has no alias, so that no version kept it"
	}
	return release.Errorf(release.NotFound, "function %q in account %s, %s cannot be brought back to what release %q had there: nobody has "+what+" any more; %s",
		append(append([]any{u.step.Name, u.w.Target.Account, u.w.Target.Region, u.w.Release.Request.Restores}, args...), why)...).
		WithRemedy("Release a new version that mends it.")
}
