package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// sweepAge is how old something must be before the sweep takes it for forgotten.
const sweepAge = time.Minute

// Recovery finds releases whose execution ended without recording an end, and
// leases whose owner was never told. It runs on the status-change event of an
// execution and, since such events are best-effort (Step Functions developer
// guide), on a schedule.
type Recovery struct {
	*Core
	Executions Executions
	Leases     *Leasing
}

// Swept counts what a sweep did.
type Swept struct {
	Started   int `json:"started"`
	Recovered int `json:"recovered"`
	HandedOn  int `json:"handed_on"`
}

var recoverySuffix = regexp.MustCompile(`-r([0-9]+)$`)

// Ended handles the end of an execution.
func (r *Recovery) Ended(ctx context.Context, execution string) error {
	rel, err := r.Ledger.Release(ctx, recoverySuffix.ReplaceAllString(execution, ""))
	if release.KindOf(err) == release.NotFound && err != nil {
		return nil // not one of ours
	}
	if err != nil || rel.State.Ended() || rel.Execution != execution {
		return err
	}
	return r.recover(ctx, rel)
}

// Sweep looks at every release that has not ended and at every lease.
func (r *Recovery) Sweep(ctx context.Context) (Swept, error) {
	var swept Swept
	active, err := r.Ledger.Active(ctx)
	if err != nil {
		return swept, err
	}
	var errs []error
	for _, rel := range active {
		errs = append(errs, r.sweepRelease(ctx, rel, &swept))
	}
	leases, err := r.Ledger.Leases(ctx)
	errs = append(errs, err)
	for _, lease := range leases {
		errs = append(errs, r.sweepLease(ctx, lease, &swept))
	}
	return swept, errors.Join(errs...)
}

func (r *Recovery) sweepRelease(ctx context.Context, rel release.Release, swept *Swept) error {
	if rel.Execution == "" {
		if r.Clock.Now().Sub(rel.Created) < sweepAge {
			return nil
		}
		swept.Started++
		return start(ctx, r.Executions, rel.ID, startInput{Release: rel.ID})
	}
	running, err := r.Executions.Running(ctx, rel.Execution)
	if err != nil || running {
		return err
	}
	swept.Recovered++
	return r.recover(ctx, rel)
}

// recover starts an execution that takes the release over.
func (r *Recovery) recover(ctx context.Context, rel release.Release) error {
	return start(ctx, r.Executions, nextRecovery(rel), startInput{Release: rel.ID, Recover: true})
}

// nextRecovery numbers the recoveries of a release: if one dies too, the next takes over.
func nextRecovery(rel release.Release) string {
	n := 0
	if match := recoverySuffix.FindStringSubmatch(rel.Execution); match != nil && rel.Execution != rel.ID {
		n, _ = strconv.Atoi(match[1]) // digits by the pattern
	}
	return fmt.Sprintf("%s-r%d", rel.ID, n+1)
}

// sweepLease tells an owner that was written but never told, and hands on what
// an ended release left behind.
func (r *Recovery) sweepLease(ctx context.Context, lease ledger.Lease, swept *Swept) error {
	if lease.Dirty != "" || lease.Holder.Release == "" {
		return nil
	}
	owner, err := r.Ledger.Release(ctx, lease.Holder.Release)
	if err != nil {
		return err
	}
	switch {
	case owner.State.Ended():
	case lease.Token != "" && r.Clock.Now().Sub(lease.Since) > sweepAge:
		err := r.Leases.Tokens.Succeed(ctx, lease.Token)
		if !errors.Is(err, ErrTokenGone) {
			swept.HandedOn++
			return err
		}
		if owner.State != release.Waiting {
			return nil // it was told, and works
		}
	default:
		return nil
	}
	swept.HandedOn++
	return r.Leases.handOn(ctx, lease.Name, lease.Holder)
}
