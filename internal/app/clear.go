package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// Clearing is a person's word that an environment which needed a hand is in
// order again.
type Clearing struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Reason      string `json:"reason"`
	By          string `json:"by"`
}

// clearedNote begins the name of the note that says who put an environment in order;
// the environment's follows.
const clearedNote = "cleared/"

// Clear ends the keeping of a dirty environment's lease, on record, and lets the
// next that waits for it go on.
func (l *Leasing) Clear(ctx context.Context, c Clearing) error {
	for _, given := range []struct{ field, text string }{{"app", c.App}, {"environment", c.Environment}, {"reason", c.Reason}, {"by", c.By}} {
		if given.text == "" {
			return release.Errorf(release.Invalid, "clearing a lease: %s is missing", given.field).
				WithRemedy("Say app, environment, why it is in order again, and who says so.")
		}
	}
	name := leaseName(c.App, c.Environment)
	next, err := l.Ledger.Clear(ctx, name, c.Reason, c.By)
	if err != nil {
		return err
	}
	// If we crash here, the same word can be given again: it is recorded then.
	if err := l.recordCleared(ctx, name, c.Environment); err != nil || next == nil {
		return err
	}
	if err := l.waitIsOver(ctx, next.Holder); err != nil {
		return err
	}
	if err := l.Tokens.Succeed(ctx, next.Token); !errors.Is(err, ErrTokenGone) {
		return err
	}
	return nil // the next has ended meanwhile: the sweep passes the lease on
}

// recordCleared keeps with the release who put in order what it had left: the lease forgets
// it with the next.
func (l *Leasing) recordCleared(ctx context.Context, lease, environment string) error {
	doc, err := l.Ledger.Lease(ctx, lease)
	if err != nil || doc.Cleared == nil {
		return err
	}
	return l.Ledger.Note(ctx, doc.Cleared.Release, clearedNote+environment, doc.Cleared)
}

// addCleared adds who put in order what a release left dirty, and why.
func (c *Core) addCleared(ctx context.Context, view *report.View) error {
	notes, err := c.Ledger.Notes(ctx, view.ID, clearedNote)
	if err != nil {
		return err
	}
	for environment, text := range notes {
		var cleared ledger.Cleared
		if err := json.Unmarshal(text, &cleared); err != nil {
			return release.Errorf(release.Internal, "note of who cleared %q of release %q: %w", environment, view.ID, err)
		}
		view.Cleared = append(view.Cleared, report.Cleared{Environment: environment, By: cleared.By, Reason: cleared.Reason, At: cleared.At})
	}
	slices.SortFunc(view.Cleared, func(a, b report.Cleared) int { return cmp.Compare(a.Environment, b.Environment) })
	return nil
}
