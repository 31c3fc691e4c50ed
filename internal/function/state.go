package function

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tagboat/tagboat/internal/release"
)

// state is the part of a function that a release may change. The variables are
// hashed.
type state struct {
	code      string
	layers    []string
	runtime   string
	handler   string
	variables map[string]string
}

func stateOf(c release.Content) state {
	return state{c.CodeSHA256, c.LayerARNs(), c.Runtime, c.Handler, c.Environment}
}

func (s state) sameSettings(other state) bool {
	return slices.Equal(s.layers, other.layers) && s.runtime == other.runtime &&
		s.handler == other.handler && maps.Equal(s.variables, other.variables)
}

// difference names what is not as in other, for people. Values of variables
// are not told.
func (s state) difference(other state) string {
	switch {
	case s.code != other.code:
		return fmt.Sprintf("its code is %s, not %s", s.code, other.code)
	case !slices.Equal(s.layers, other.layers):
		return fmt.Sprintf("its layers are %q, not %q", s.layers, other.layers)
	case s.runtime != other.runtime:
		return fmt.Sprintf("its runtime is %q, not %q", s.runtime, other.runtime)
	case s.handler != other.handler:
		return fmt.Sprintf("its handler is %q, not %q", s.handler, other.handler)
	}
	return fmt.Sprintf("its environment variables %q differ", differing(s.variables, other.variables))
}

// differing are the names of variables that are not equal in both.
func differing(a, b map[string]string) []string {
	names := map[string]bool{}
	for name, hash := range a {
		if other, ok := b[name]; !ok || other != hash {
			names[name] = true
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// progress is how far $LATEST is on the way from what the plan found to what it
// wants. The code and the settings are each at one end or the other, because
// each is written by one call.
type progress struct {
	codeDone, settingsDone     bool // as wanted
	codeBefore, settingsBefore bool // as found
}

// compare finds out how far $LATEST is. What is at neither end was changed by
// somebody else, and is not overwritten.
func (u *update) compare(latest found) (progress, error) {
	now := stateOf(latest.content)
	if latest.unreadable != "" {
		if u.setsVariables() {
			return progress{}, unreadable(u.w.Target.Site, u.step.Name, latest)
		}
		now.variables = u.before.variables // they are not written, whatever they are
	}
	at := progress{
		codeDone: now.code == u.goal.code, settingsDone: now.sameSettings(u.goal),
		codeBefore: now.code == u.before.code, settingsBefore: now.sameSettings(u.before),
	}
	foreign := now
	switch {
	case !at.codeDone && !at.codeBefore:
	case !at.settingsDone && !at.settingsBefore:
		foreign.code = u.before.code // only the settings are to be told
	default:
		return at, nil
	}
	return at, u.changedByOthers("%s", foreign.difference(u.before))
}

func (u *update) changedByOthers(format string, args ...any) error {
	detail := fmt.Errorf(format, args...)
	return release.Errorf(release.Conflict, "function %q in account %s, %s was changed by somebody else since the plan was made: %w",
		u.step.Name, u.w.Target.Account, u.w.Target.Region, detail).
		WithRemedy("Find out who deploys to it besides Tagboat (CloudTrail, UpdateFunctionCode20150331v2 and UpdateFunctionConfiguration20150331v2), then release again.")
}
