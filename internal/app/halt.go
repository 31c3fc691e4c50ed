package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/tagboat/tagboat/internal/release"
)

// Halting is a person's order to stop a release.
type Halting struct {
	Reason string `json:"reason"`
	By     string `json:"by"`
}

// Halts stops releases on their way.
//
// The order is recorded in the release's record, which every task reads when it
// begins and before each write. The next that does so fails, and the release goes
// the way of every failure: the environment that it has open is rolled back,
// those that it has finished keep it. One that waits for a lease or an approval
// is resumed at once; one that watches its traffic or bakes notices at its next
// look ([release.Plan.Poll], 30 seconds for most, five minutes at most).
//
// It ends as [release.FailedClean] or, if it had changed nothing anywhere, as
// [release.Refused].
type Halts struct {
	*Core
	Tokens Tokens
}

// Halt stops a release. Whoever comes first is recorded; doing it again does no
// harm, and resumes what a crash left waiting. The error is of kind
// [release.Conflict] if nothing is left to stop.
func (h *Halts) Halt(ctx context.Context, id string, order Halting) (release.Release, error) {
	if order.Reason == "" || order.By == "" {
		return release.Release{}, release.Errorf(release.Invalid, "halting release %q: reason or by is missing", id).
			WithRemedy("Say why, and who says so.")
	}
	rel, err := h.Ledger.Update(ctx, id, "", func(rel *release.Release) error {
		if rel.Halted != nil {
			return nil
		}
		if err := mayHalt(rel); err != nil {
			return err
		}
		rel.Halted = &release.Halt{By: order.By, Reason: order.Reason, At: h.Clock.Now()}
		if rel.Error == "" { // else it fails already, and that is why
			err := halted(rel)
			rel.Error, rel.Remedy = capped(err.Error(), maxReason), release.RemedyOf(err)
		}
		return nil
	})
	if err != nil || rel.State.Ended() {
		return rel, err
	}
	// If we crash here, the sweep resumes it.
	return rel, h.resume(ctx, &rel)
}

// mayHalt refuses what would have no effect.
func mayHalt(rel *release.Release) error {
	switch {
	case rel.State.Ended():
		remedy := "See how it ended: tagboat show " + rel.ID
		if rel.State == release.Succeeded {
			remedy = fmt.Sprintf("To go back: tagboat rollback --app %s --environment ENVIRONMENT", rel.App)
		}
		return release.Errorf(release.Conflict, "release %q cannot be halted, it has ended: %s", rel.ID, rel.State).WithRemedy("%s", remedy)
	case rel.State == release.RollingBack:
		return release.Errorf(release.Conflict, "release %q is being rolled back already: %s", rel.ID, rel.Error).
			WithRemedy("Look at it with: tagboat show %s", rel.ID)
	case finished(rel):
		return release.Errorf(release.Conflict, "release %q cannot be halted, it is live in every environment", rel.ID).
			WithRemedy("To go back: tagboat rollback --app %s --environment ENVIRONMENT", rel.App)
	case rel.Request.DryRun:
		return release.Errorf(release.Conflict, "release %q is only planned: it changes nothing, and ends by itself", rel.ID).
			WithRemedy("Look at it with: tagboat show %s", rel.ID)
	}
	return nil
}

// halted is the error of everything that a halted release still tries, its
// rollback aside; nil if it was not halted.
func halted(rel *release.Release) error {
	if rel.Halted == nil || rel.State == release.RollingBack {
		return nil
	}
	return &TaskError{Name: errHalted, Err: release.Errorf(release.Conflict, "halted by %s: %s", rel.Halted.By, rel.Halted.Reason).
		WithRemedy("Release it again with --retry, or release a newer version.")}
}

// resume wakes a halted release where it waits for a person or a lease. One that
// got its answer or its lease meanwhile notices by itself.
func (h *Halts) resume(ctx context.Context, rel *release.Release) error {
	return h.wake(ctx, h.Tokens, rel, errHalted, fmt.Sprintf("halted by %s: %s", rel.Halted.By, rel.Halted.Reason))
}

// wake fails what a release waits for: a person, or a lease.
func (c *Core) wake(ctx context.Context, with Tokens, rel *release.Release, name, cause string) error {
	var tokens []string
	if progress := waitingFor(rel); progress != nil {
		tokens = append(tokens, progress.Approval.Token)
	}
	leases, err := c.Ledger.Leases(ctx)
	if err != nil {
		return err
	}
	for _, lease := range leases {
		if lease.Holder.Release == rel.ID && lease.Token != "" {
			tokens = append(tokens, lease.Token)
		}
		for _, waiter := range lease.Waiters {
			if waiter.Release == rel.ID {
				tokens = append(tokens, waiter.Token)
			}
		}
	}
	var errs []error
	for _, token := range tokens {
		err := with.Fail(ctx, token, name, cause)
		if err != nil && !errors.Is(err, ErrTokenGone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
