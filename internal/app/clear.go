package app

import (
	"context"
	"errors"

	"github.com/tagboat/tagboat/internal/release"
)

// Clearing is a person's word that an environment which needed a hand is in
// order again.
type Clearing struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Reason      string `json:"reason"`
	By          string `json:"by"`
}

// Clear ends the keeping of a dirty environment's lease, on record, and lets the
// next that waits for it go on.
func (l *Leasing) Clear(ctx context.Context, c Clearing) error {
	for _, given := range []struct{ field, text string }{{"app", c.App}, {"environment", c.Environment}, {"reason", c.Reason}, {"by", c.By}} {
		if given.text == "" {
			return release.Errorf(release.Invalid, "clearing a lease: %s is missing", given.field).
				WithRemedy("Say app, environment, why it is in order again, and who says so.")
		}
	}
	next, err := l.Ledger.Clear(ctx, leaseName(c.App, c.Environment), c.Reason, c.By)
	if err != nil || next == nil {
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
