package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Tokens resume executions that wait.
type Tokens interface {
	// Succeed resumes the execution. ErrTokenGone: nobody waits for the token any more.
	Succeed(ctx context.Context, token string) error
	// Fail resumes it with an error.
	Fail(ctx context.Context, token, name, cause string) error
}

// ErrTokenGone says that an execution waits for its token no more: it timed
// out, was stopped, or has been resumed.
var ErrTokenGone = errors.New("the task's token is gone")

// Leasing acquires, returns and takes over the leases of environments.
type Leasing struct {
	*Core
	Tokens Tokens
}

// Do does what in.Do says.
func (l *Leasing) Do(ctx context.Context, in Input) (any, error) {
	switch in.Do {
	case "acquire":
		return struct{}{}, l.acquire(ctx, in)
	case "return":
		return struct{}{}, l.giveBack(ctx, in)
	case "close":
		return struct{}{}, l.close(ctx, in)
	case "take_over":
		return l.takeOver(ctx, in)
	}
	return nil, release.Errorf(release.Internal, "lease task: unknown operation %q", in.Do)
}

// acquire takes the lease and resumes the execution at once, or leaves the
// token for whoever returns the lease.
func (l *Leasing) acquire(ctx context.Context, in Input) error {
	rel, err := l.begin(ctx, in)
	if err != nil || tooLate(rel, in.Environment) {
		return err
	}
	if err := l.refuseFrozen(ctx, rel, in.Environment); err != nil {
		return refused(err)
	}
	_, app, err := l.registry(ctx, rel)
	if err != nil {
		return err
	}
	held, err := l.queue(ctx, in, rel, app.Concurrency == release.ConcurrencySupersede)
	if errors.Is(err, errTooLate) {
		return nil
	}
	if err != nil {
		return err
	}
	state := release.Running
	if !held {
		state = release.Waiting
	}
	if err := l.update(ctx, in, func(rel *release.Release) error {
		if !tooLate(rel, in.Environment) {
			rel.State = state
		}
		return halted(rel) // from here on, whoever halts it finds its token
	}); err != nil || !held {
		return err
	}
	return l.Tokens.Succeed(ctx, in.Token)
}

// errTooLate is for a task that acquires a lease while another delivery of it has gone on.
var errTooLate = errors.New("the release has gone on")

// tooLate tells whether a task that acquires a lease was delivered again after
// the release had gone on: it must not take what was given back since.
func tooLate(rel *release.Release, environment string) bool {
	progress, ok := rel.Environment(environment)
	return !ok || rel.State == release.RollingBack || progress.State != release.EnvironmentPending || asks(rel, progress)
}

// asks tells whether the release waits for a person's answer about an environment.
func asks(rel *release.Release, progress *release.Progress) bool {
	return rel.State == release.WaitingApproval && progress.Approval != nil && progress.Approval.Answered.IsZero()
}

// queue takes the lease or waits for it. A release that supersedes tells those
// in whose place it waits; if we crash before that, the sweep tells them.
func (l *Leasing) queue(ctx context.Context, in Input, rel *release.Release, supersede bool) (held bool, err error) {
	lease := leaseName(rel.App, in.Environment)
	held, superseded, err := l.Ledger.Acquire(ctx, lease, holder(in), ledger.Ask{
		Call: ledger.Call{Token: in.Token, Attempt: in.attempt()}, TTL: leaseTTL, Supersede: supersede,
		Still: func(rel *release.Release) error {
			if tooLate(rel, in.Environment) {
				return errTooLate
			}
			return mayAct(rel, in.Execution)
		},
	})
	if errors.Is(err, ledger.ErrSuperseded) {
		return false, &TaskError{Name: errSuperseded, Err: err}
	}
	if err != nil {
		return false, err
	}
	for _, waiter := range superseded {
		if err := l.tellSuperseded(ctx, waiter.Token, rel.ID, lease); err != nil {
			return false, err
		}
	}
	if supersede {
		err = l.supersedeAsking(ctx, rel, in.Environment)
	}
	return held, err
}

func (l *Leasing) tellSuperseded(ctx context.Context, token, by, lease string) error {
	err := l.Tokens.Fail(ctx, token, errSuperseded, fmt.Sprintf("release %q replaced it while it waited for %s", by, lease))
	if errors.Is(err, ErrTokenGone) {
		return nil
	}
	return err
}

// supersedeAsking tells those who still wait for their approval of an environment and are
// replaced by a release that has got its own.
func (l *Leasing) supersedeAsking(ctx context.Context, rel *release.Release, environment string) error {
	active, err := l.Ledger.Active(ctx)
	if err != nil {
		return err
	}
	for _, other := range active {
		progress := waitingFor(&other)
		if other.App != rel.App || progress == nil || progress.Name != environment || !rel.Replaces(&other) {
			continue
		}
		if err := l.tellSuperseded(ctx, progress.Approval.Token, rel.ID, leaseName(rel.App, environment)); err != nil {
			return err
		}
	}
	return nil
}

// giveBack returns the lease while a person looks at a changed plan. What is delivered
// late, when that person has answered, returns neither the lease that was acquired since
// nor the place in its queue: the ledger compares the attempts. Where the state machine
// does not tell them, only an environment that is open is safe from it.
func (l *Leasing) giveBack(ctx context.Context, in Input) error {
	rel, err := l.begin(ctx, in)
	if err != nil {
		return err
	}
	if progress, ok := rel.Environment(in.Environment); ok && progress.State != release.EnvironmentPending {
		return release.Errorf(release.Conflict, "release %q works in environment %q: its lease is not returned", rel.ID, in.Environment).
			WithRemedy("Nothing is to be done: an earlier task was delivered once more.")
	}
	return l.handOnBy(ctx, leaseName(rel.App, in.Environment), holder(in), in.attempt())
}

// handOn returns a lease and resumes the next that waits for it. The new owner
// is written first: if we crash before the token is sent, the sweep sends it.
// A release that does not hold the lease has nothing to return.
//
// A token that is gone was sent before, or its execution ended: a release that
// has not ended returns the lease in the end, or its recovery does. Only one that
// has ended is passed over.
func (l *Leasing) handOn(ctx context.Context, lease string, h ledger.Holder) error {
	return l.handOnBy(ctx, lease, h, 0)
}

// handOnBy is handOn by an attempt that may be late, see [ledger.Ledger.ReturnBy].
func (l *Leasing) handOnBy(ctx context.Context, lease string, h ledger.Holder, attempt int64) error {
	for {
		next, err := l.Ledger.ReturnBy(ctx, lease, h, attempt)
		if err != nil || next == nil {
			return err
		}
		if err := l.waitIsOver(ctx, next.Holder); err != nil {
			return err
		}
		err = l.Tokens.Succeed(ctx, next.Token)
		if !errors.Is(err, ErrTokenGone) {
			return err
		}
		owner, err := l.Ledger.Release(ctx, next.Release)
		if err != nil || !owner.State.Ended() {
			return err
		}
		h, attempt = next.Holder, 0
	}
}

// waitIsOver records that a release which waited for a lease runs again. One that
// has ended or was taken over meanwhile is left as it is.
func (l *Leasing) waitIsOver(ctx context.Context, h ledger.Holder) error {
	_, err := l.Ledger.Update(ctx, h.Release, h.Execution, func(rel *release.Release) error {
		if rel.State == release.Waiting {
			rel.State = release.Running
		}
		return nil
	})
	if kind := release.KindOf(err); err != nil && kind != release.Conflict && kind != release.NotFound {
		return err
	}
	return nil
}

// letGo hands on what a release that has ended still holds, or keeps it for the
// person who puts a dirty environment in order.
func (l *Leasing) letGo(ctx context.Context, lease string, h ledger.Holder, rel release.Release) error {
	for _, progress := range rel.Environments {
		if progress.State != release.EnvironmentDirty || leaseName(rel.App, progress.Name) != lease {
			continue
		}
		err := l.Ledger.MarkDirty(ctx, lease, h, rel.Remedy)
		if release.KindOf(err) == release.Conflict { // somebody cleared it already
			return nil
		}
		return err
	}
	return l.handOn(ctx, lease, h)
}

// close makes the environment keep the release. Once it is recorded as done,
// nothing rolls it back; what follows can be done again. So what is live is found
// out before: if that fails, the environment is rolled back like any other.
func (l *Leasing) close(ctx context.Context, in Input) error {
	rel, err := l.begin(ctx, in)
	if err != nil {
		return err
	}
	live, err := l.live(ctx, rel, in.Environment)
	if err != nil {
		return err
	}
	if err := l.update(ctx, in, func(rel *release.Release) error {
		if rel.State == release.RollingBack {
			return release.Errorf(release.Conflict, "release %q is being rolled back in %s", rel.ID, in.Environment).
				WithRemedy("Wait for its end: tagboat show %s", rel.ID)
		}
		if err := halted(rel); err != nil {
			return err
		}
		progress, _ := rel.Environment(in.Environment) // it has a plan
		if progress.State != release.EnvironmentDone {
			progress.State, progress.Done = release.EnvironmentDone, l.Clock.Now()
		}
		return nil
	}); err != nil {
		return err
	}
	lease := leaseName(rel.App, in.Environment)
	if err := l.settle(ctx, in, lease, live); err != nil {
		return err
	}
	return l.handOn(ctx, lease, holder(in))
}

// settle records what is live in an environment that is done. Where that was done before, others
// may be live there since: the ledger asks who holds the lease at each write, for this task may
// have hung in between.
func (l *Leasing) settle(ctx context.Context, in Input, lease string, live []ledger.Live) error {
	err := l.Ledger.Renew(ctx, lease, holder(in), leaseTTL)
	if err == nil {
		err = l.Ledger.PutLive(ctx, lease, holder(in), live...)
	}
	if err != nil && release.KindOf(err) != release.Conflict {
		return err
	}
	return nil
}

// settleLate does the same for an environment that is done while its lease is still held: whoever
// closed it did not come that far. What neither time nor a person will mend keeps nobody waiting.
func (l *Leasing) settleLate(ctx context.Context, in Input, rel *release.Release, environment string) error {
	err := l.trySettleLate(ctx, in, rel, environment)
	kind := release.KindOf(err)
	if err == nil || kind == release.Transient || kind == release.Denied || ctx.Err() != nil {
		return err
	}
	l.Log.ErrorContext(ctx, "what is live is not recorded", "release", rel.ID, "environment", environment, "error", err,
		"next", "Release it once more with --force, so that tagboat status tells what runs there.")
	return nil
}

func (l *Leasing) trySettleLate(ctx context.Context, in Input, rel *release.Release, environment string) error {
	lease := leaseName(rel.App, environment)
	err := l.Ledger.Renew(ctx, lease, holder(in), leaseTTL)
	if err != nil && release.KindOf(err) == release.Conflict {
		return nil
	}
	if err != nil {
		return err
	}
	live, err := l.live(ctx, rel, environment)
	if err != nil {
		return err
	}
	return l.settle(ctx, in, lease, live)
}
