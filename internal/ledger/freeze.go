package ledger

import (
	"context"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

const freezePartition = "freeze"

// Freeze keeps releases away from an app, an environment, or an app in an
// environment, until a time or until somebody lifts it.
type Freeze struct {
	// App is the one that is frozen; empty is every app of the environment.
	App string `json:"app,omitempty"`
	// Environment is the one that is frozen; empty is every environment of the app.
	Environment string    `json:"environment,omitempty"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
	Reason      string    `json:"reason"`
	By          string    `json:"by"`
	// Lifted is who ended it before its time.
	Lifted *Lifted `json:"lifted,omitempty"`
}

// Lifted is who ended a freeze.
type Lifted struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// What names what is frozen.
func (f Freeze) What() string {
	switch {
	case f.App == "":
		return f.Environment
	case f.Environment == "":
		return f.App
	}
	return f.App + " in " + f.Environment
}

// Covers tells whether the freeze is meant for an app in an environment. A
// freeze of one environment does not cover an empty one, which is all of them.
func (f Freeze) Covers(app, environment string) bool {
	return (f.App == "" || f.App == app) && (f.Environment == "" || f.Environment == environment)
}

// holds tells whether the freeze is in force.
func (f Freeze) holds(now time.Time) bool { return f.Lifted == nil && now.Before(f.Until) }

func freezeKey(app, environment string) Key { return Key{freezePartition, joined(app, environment)} }

// Freeze records a freeze, in place of an earlier one of the same; Since is the
// time at which that began if it still holds, else now.
func (l *Ledger) Freeze(ctx context.Context, f Freeze) (Freeze, error) {
	if f.App == "" && f.Environment == "" {
		return f, release.Errorf(release.Invalid, "a freeze is of an app, of an environment or of both, and neither is named")
	}
	return edit(ctx, l, freezeKey(f.App, f.Environment), func(doc *Freeze, _ bool) error {
		now := l.clock.Now()
		f.Since, f.Lifted = now, nil
		if doc.holds(now) {
			f.Since = doc.Since
		}
		*doc = f
		return nil
	})
}

// Lift ends a freeze before its time. The error is of kind [release.NotFound] if
// there is none, unless the same person has just ended it.
func (l *Ledger) Lift(ctx context.Context, app, environment, by string) (Freeze, error) {
	return edit(ctx, l, freezeKey(app, environment), func(doc *Freeze, _ bool) error {
		now := l.clock.Now()
		switch {
		case doc.holds(now):
			doc.Lifted = &Lifted{By: by, At: now}
		case doc.Lifted == nil || doc.Lifted.By != by || !now.Before(doc.Until):
			return release.Errorf(release.NotFound, "%s is not frozen", Freeze{App: app, Environment: environment}.What())
		}
		return nil // lifted by the same: the answer was lost
	})
}

// Freezes reads the freezes in force, by app and environment.
func (l *Ledger) Freezes(ctx context.Context) ([]Freeze, error) {
	items, err := l.table.Query(ctx, freezePartition, "", Page{})
	if err != nil {
		return nil, err
	}
	now, freezes := l.clock.Now(), []Freeze{}
	for _, item := range items {
		var doc Freeze
		if err := decode(item, &doc); err != nil {
			return nil, err
		}
		if doc.holds(now) {
			freezes = append(freezes, doc)
		}
	}
	return freezes, nil
}

// Frozen finds the freeze that keeps an app from an environment: of several, the
// one that ends last.
func (l *Ledger) Frozen(ctx context.Context, app, environment string) (freeze Freeze, found bool, err error) {
	freezes, err := l.Freezes(ctx)
	for _, f := range freezes {
		if f.Covers(app, environment) && (!found || f.Until.After(freeze.Until)) {
			freeze, found = f, true
		}
	}
	return freeze, found, err
}
