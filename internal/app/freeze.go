package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Freezing is a person's order to let no release to an app, to an environment,
// or to an app in an environment, for a while.
type Freezing struct {
	App         string `json:"app,omitempty"`
	Environment string `json:"environment,omitempty"`
	// Until is a time like 2030-01-07T09:00:00Z, or how long from now, like 36h.
	Until  string `json:"until"`
	Reason string `json:"reason"`
	By     string `json:"by"`
}

// Unfreezing is a person's order to end a freeze before its time.
type Unfreezing struct {
	App         string `json:"app,omitempty"`
	Environment string `json:"environment,omitempty"`
	By          string `json:"by"`
}

// Freezes keeps releases away for a while.
//
// A release of a frozen app, or whose first environment is frozen, is refused at
// admission. One that is under way already goes on in the environment that it has
// opened, rollback included, and ends when it comes to one that is frozen: the
// environments before keep it. One that waits for an approval goes on waiting, and
// can be approved afterwards. What goes back to an earlier release of an
// environment passes, as does what says why it cannot wait
// ([release.Request.DuringFreeze]), and so do dry runs, which change nothing.
type Freezes struct {
	*Core
	Registries Registries
}

// Freeze begins a freeze, or changes one. Both names must be in the registry in
// force: a freeze of something else would keep nobody away.
func (f *Freezes) Freeze(ctx context.Context, order Freezing) (ledger.Freeze, error) {
	if order.App == "" && order.Environment == "" || order.Until == "" || order.Reason == "" || order.By == "" {
		return ledger.Freeze{}, release.Errorf(release.Invalid, "a freeze wants an app or an environment, until, reason and by").
			WithRemedy("Say what is frozen, until when, why, and who says so.")
	}
	now := f.Clock.Now()
	until, err := untilTime(order.Until, now)
	if err != nil {
		return ledger.Freeze{}, err
	}
	if !until.After(now) {
		return ledger.Freeze{}, release.Errorf(release.Invalid, "until is %s, want a time after now, %s", moment(until), moment(now)).
			WithRemedy("For example --until 2h. To end a freeze: tagboat unfreeze")
	}
	if err := f.known(ctx, order); err != nil {
		return ledger.Freeze{}, err
	}
	return f.Ledger.Freeze(ctx, ledger.Freeze{
		App: order.App, Environment: order.Environment, Until: until, Reason: order.Reason, By: order.By,
	})
}

// Lift ends a freeze.
func (f *Freezes) Lift(ctx context.Context, order Unfreezing) (ledger.Freeze, error) {
	if order.App == "" && order.Environment == "" || order.By == "" {
		return ledger.Freeze{}, release.Errorf(release.Invalid, "ending a freeze wants an app or an environment, and by").
			WithRemedy("tagboat freezes tells what is frozen.")
	}
	freeze, err := f.Ledger.Lift(ctx, order.App, order.Environment, order.By)
	if err != nil && release.KindOf(err) == release.NotFound {
		err = release.Errorf(release.NotFound, "%w", err).WithRemedy("tagboat freezes tells what is frozen: app and environment have to be those of the freeze.")
	}
	return freeze, err
}

// untilTime reads a point in time, or a duration from now.
func untilTime(text string, now time.Time) (time.Time, error) {
	if until, err := time.Parse(time.RFC3339, text); err == nil {
		return until.UTC(), nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil {
		return time.Time{}, release.Errorf(release.Invalid, "until is %.40q, want a time like 2030-01-07T09:00:00Z or a duration like 36h", text).
			WithRemedy("For example --until 2h.")
	}
	return now.Add(wait).UTC().Truncate(time.Second), nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (f *Freezes) known(ctx context.Context, order Freezing) error {
	registry, _, err := f.Registries.Current(ctx)
	if err != nil {
		return err
	}
	app, ok := registry.App(order.App)
	if order.App != "" && !ok {
		return release.Errorf(release.Invalid, "app %q is not in the registry; it has %s", order.App, appNames(registry)).
			WithRemedy("Name one of those.")
	}
	if _, ok := registry.Environment(order.Environment); order.Environment != "" && !ok {
		return release.Errorf(release.Invalid, "environment %q is not in the registry; it has %s", order.Environment, environmentNames(registry)).
			WithRemedy("Name one of those.")
	}
	if order.App != "" && order.Environment != "" && !slices.Contains(app.Environments, order.Environment) {
		return release.Errorf(release.Invalid, "app %q is not released to environment %q; it is to %q", order.App, order.Environment, app.Environments).
			WithRemedy("Name one of those, or leave the app out to freeze the environment for all.")
	}
	return nil
}

func environmentNames(registry release.Registry) string {
	names := make([]string, len(registry.Environments))
	for i, env := range registry.Environments {
		names[i] = fmt.Sprintf("%q", env.Name)
	}
	return strings.Join(names, ", ")
}

// refuseFrozen refuses to begin with a frozen environment.
func (c *Core) refuseFrozen(ctx context.Context, rel *release.Release, environment string) error {
	if rel.Request.DryRun || rel.Request.DuringFreeze != "" || rel.Request.Restores != "" {
		return nil
	}
	if progress, ok := rel.Environment(environment); ok && progress.State != release.EnvironmentPending {
		return nil
	}
	freeze, found, err := c.Ledger.Frozen(ctx, rel.App, environment)
	if err != nil || !found {
		return err
	}
	return release.Errorf(release.Denied, "%s is frozen until %s by %s: %s", freeze.What(), moment(freeze.Until), freeze.By, freeze.Reason).
		WithRemedy("Release again afterwards: tagboat release --app %s %s --retry%s. If it cannot wait, add --during-freeze and why.", rel.App, flagOf(rel), forceOf(rel))
}
