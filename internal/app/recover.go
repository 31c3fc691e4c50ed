package app

import (
	"cmp"
	"context"
	"encoding/json"
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

// recoverySuffix ends the name of a recovery execution; no release's id ends like that.
var recoverySuffix = regexp.MustCompile(`-r([0-9]+)$`)

// maxRecoveries is how many recoveries a release can have: their names fit the
// 80 characters of an execution's name.
const maxRecoveries = 999

// maxPrompt is how many recoveries follow at once, on the event of the end before. Those after
// them come with the sweep: what keeps failing would use them all up within minutes.
const maxPrompt = 5

// recoveryNumber counts the executions of a release: 0 is the first, or none.
func recoveryNumber(execution string) int {
	match := recoverySuffix.FindStringSubmatch(execution)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1]) // digits by the pattern
	return n
}

// statusChange is the event of an execution's end (Step Functions developer
// guide: EventBridge).
type statusChange struct {
	DetailType string `json:"detail-type"`
	Detail     struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"detail"`
}

// Handle handles an event of EventBridge: the end of an execution, or any other,
// the schedule's, which asks for a sweep. That an execution began is no end: a
// rule that lets such events through must not take a release from one that runs.
func (r *Recovery) Handle(ctx context.Context, event json.RawMessage) (Swept, error) {
	var change statusChange
	if err := json.Unmarshal(event, &change); err != nil {
		return Swept{}, release.Errorf(release.Invalid, "the event is not EventBridge's: %w", err).
			WithRemedy("Send it what EventBridge sends, or nothing for a sweep.")
	}
	switch {
	case change.DetailType != "Step Functions Execution Status Change":
		return r.Sweep(ctx)
	case change.Detail.Status == "RUNNING":
		return Swept{}, nil
	}
	return Swept{}, r.Ended(ctx, change.Detail.Name)
}

// Ended handles the end of an execution. One that ended before it could say
// that it acts for its release counts, too.
func (r *Recovery) Ended(ctx context.Context, execution string) error {
	rel, err := r.Ledger.Release(ctx, recoverySuffix.ReplaceAllString(execution, ""))
	if err != nil && release.KindOf(err) == release.NotFound {
		return nil // not one of ours
	}
	acting := rel.Execution == execution || rel.Execution == "" && execution == rel.ID
	if err != nil || rel.State.Ended() || !acting || recoveryNumber(execution) >= maxPrompt {
		return err
	}
	_, err = r.recover(ctx, rel)
	return err
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
		started, err := startOnce(ctx, r.Executions, rel.ID, startInput{Release: rel.ID})
		if started {
			swept.Started++
		}
		if started || err != nil {
			return err
		}
		rel.Execution = rel.ID // it ran, and ended before it could say so
	}
	running, err := r.Executions.Running(ctx, rel.Execution)
	if err != nil {
		return err
	}
	if running {
		return r.sweepHalted(ctx, rel)
	}
	// It may have ended since it was read. And Step Functions may not know yet what has just
	// been started: DescribeExecution is eventually consistent (its API reference). The clock that
	// the record is from may be behind this one, by less than the margin of a lease.
	now, err := r.Ledger.Release(ctx, rel.ID)
	if err != nil || now.State.Ended() || r.Clock.Now().Sub(now.Updated) < sweepAge+leaseMargin {
		return err
	}
	now.Execution = cmp.Or(now.Execution, rel.Execution)
	started, err := r.recover(ctx, now)
	if started {
		swept.Recovered++
	}
	return err
}

// sweepHalted resumes a release that was halted while it waited by somebody who
// crashed before telling it.
func (r *Recovery) sweepHalted(ctx context.Context, rel release.Release) error {
	if rel.Halted == nil || rel.State == release.RollingBack || r.Clock.Now().Sub(rel.Halted.At) < sweepAge {
		return nil
	}
	halts := &Halts{Core: r.Core, Tokens: r.Leases.Tokens}
	return halts.resume(ctx, &rel)
}

// recover starts an execution that takes the release over. The name of one that
// ended before it took over is not used again; started is false if one runs already.
func (r *Recovery) recover(ctx context.Context, rel release.Release) (started bool, err error) {
	for n := recoveryNumber(rel.Execution) + 1; n <= maxRecoveries; n++ {
		name := fmt.Sprintf("%s-r%d", rel.ID, n)
		started, err := startOnce(ctx, r.Executions, name, startInput{Release: rel.ID, Recover: true})
		if started || err != nil {
			return started, err
		}
		if running, err := r.Executions.Running(ctx, name); running || err != nil {
			return false, err
		}
	}
	return false, release.Errorf(release.Internal, "release %q was recovered %d times and did not come to an end", rel.ID, maxRecoveries)
}

// startOnce starts an execution; started is false if there is, or was, one of
// that name.
func startOnce(ctx context.Context, executions Executions, name string, input startInput) (started bool, err error) {
	text, err := json.Marshal(input)
	if err != nil {
		return false, fmt.Errorf("input of execution %q: %w", name, err)
	}
	err = executions.Start(ctx, name, text)
	if errors.Is(err, ErrExecutionExists) {
		return false, nil
	}
	return err == nil, err
}

// sweepLease tells those who were to be told by somebody who crashed before:
// waiters that were superseded, and an owner that the lease was handed to. It
// hands on what an ended release left behind.
func (r *Recovery) sweepLease(ctx context.Context, lease ledger.Lease, swept *Swept) error {
	for _, waiter := range lease.Superseded {
		if r.Clock.Now().Sub(waiter.At) < sweepAge {
			continue
		}
		if err := r.Leases.tellSuperseded(ctx, waiter.Token, waiter.By, lease.Name); err != nil {
			return err
		}
	}
	if lease.Dirty != "" || lease.Holder.Release == "" {
		return nil
	}
	owner, err := r.Ledger.Release(ctx, lease.Holder.Release)
	if err != nil {
		return err
	}
	if owner.State.Ended() {
		swept.HandedOn++
		return r.Leases.letGo(ctx, lease.Name, lease.Holder, owner)
	}
	if lease.Token == "" || r.Clock.Now().Sub(lease.Since) < sweepAge {
		return nil
	}
	err = r.Leases.Tokens.Succeed(ctx, lease.Token)
	if errors.Is(err, ErrTokenGone) {
		return nil // it was told
	}
	if err == nil {
		swept.HandedOn++
	}
	return err
}
