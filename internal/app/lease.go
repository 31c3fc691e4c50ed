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

// takenOver is the answer to "take_over".
type takenOver struct {
	// Finished is true if only the end was not recorded.
	Finished bool    `json:"finished"`
	Error    Failure `json:"error"`
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
	if err != nil {
		return err
	}
	_, app, err := l.registry(ctx, rel)
	if err != nil {
		return err
	}
	lease := leaseName(rel.App, in.Environment)
	held, superseded, err := l.Ledger.Acquire(ctx, lease, holder(in), in.Token, leaseTTL,
		app.Concurrency == release.ConcurrencySupersede)
	if err != nil {
		return err
	}
	for _, waiter := range superseded {
		cause := fmt.Sprintf("release %q replaced it while it waited for %s", rel.ID, lease)
		if err := l.Tokens.Fail(ctx, waiter.Token, errSuperseded, cause); err != nil && !errors.Is(err, ErrTokenGone) {
			return err
		}
	}
	state := release.Running
	if !held {
		state = release.Waiting
	}
	if err := l.setState(ctx, in, state); err != nil {
		return err
	}
	if !held {
		return nil
	}
	return l.Tokens.Succeed(ctx, in.Token)
}

func (l *Leasing) setState(ctx context.Context, in Input, state release.State) error {
	return l.update(ctx, in, func(rel *release.Release) error {
		rel.State = state
		return nil
	})
}

// giveBack returns the lease while a person looks at a changed plan.
func (l *Leasing) giveBack(ctx context.Context, in Input) error {
	rel, err := l.begin(ctx, in)
	if err != nil {
		return err
	}
	return l.handOn(ctx, leaseName(rel.App, in.Environment), holder(in))
}

// handOn returns a lease and resumes the next that waits for it. The new owner
// is written first: if we crash before the token is sent, the sweep sends it.
// A release that does not hold the lease has nothing to return.
func (l *Leasing) handOn(ctx context.Context, lease string, h ledger.Holder) error {
	for {
		next, err := l.Ledger.Return(ctx, lease, h)
		if err != nil || next == nil {
			return err
		}
		err = l.Tokens.Succeed(ctx, next.Token)
		if !errors.Is(err, ErrTokenGone) {
			return err
		}
		h = next.Holder
	}
}

// close makes the environment keep the release. Once it is recorded as done,
// nothing rolls it back; what follows can be done again.
func (l *Leasing) close(ctx context.Context, in Input) error {
	if err := l.update(ctx, in, func(rel *release.Release) error {
		progress, ok := rel.Environment(in.Environment)
		if !ok {
			return release.Errorf(release.Internal, "release %q has no environment %q", rel.ID, in.Environment)
		}
		progress.State = release.EnvironmentDone
		return nil
	}); err != nil {
		return err
	}
	rel, err := l.begin(ctx, in)
	if err != nil {
		return err
	}
	return l.settle(ctx, in, rel, in.Environment)
}

// settle records what is live in an environment that is done and hands its lease on.
func (l *Leasing) settle(ctx context.Context, in Input, rel *release.Release, environment string) error {
	live, err := l.live(ctx, rel, environment)
	if err != nil {
		return err
	}
	if err := l.Ledger.PutLive(ctx, live...); err != nil {
		return err
	}
	return l.handOn(ctx, leaseName(rel.App, environment), holder(in))
}

// live is what runs on the environment's targets now: what this release
// changed, and what it found to be as wanted already.
func (l *Leasing) live(ctx context.Context, rel *release.Release, environment string) ([]ledger.Live, error) {
	plan, err := l.plan(ctx, rel, release.Site{Environment: environment})
	if err != nil {
		return nil, err
	}
	results, err := l.Ledger.Results(ctx, rel.ID)
	if err != nil {
		return nil, err
	}
	var live []ledger.Live
	for _, step := range plan.Steps {
		if step.Kind != release.UpdateFunction {
			continue
		}
		entry := ledger.Live{
			App: rel.App, Environment: environment, Account: step.Site.Account, Region: step.Site.Region,
			Kind: ledger.LiveFunction, Name: step.Target, Version: rel.Version, Commit: rel.Source.Commit,
			Release: rel.ID, Since: l.Clock.Now(), Detail: results[step.ID].Version,
		}
		if !step.Change && step.Function.Before.Alias != nil {
			entry.Detail = step.Function.Before.Alias.Version
		}
		live = append(live, entry)
	}
	return live, nil
}

// takeOver makes this execution the one that acts for a release whose execution
// died. From its write on, every task of the dead one refuses to do anything.
func (l *Leasing) takeOver(ctx context.Context, in Input) (takenOver, error) {
	out := takenOver{Error: Failure{Error: errInterrupted, Cause: "the execution ended without recording how"}}
	rel, err := l.Ledger.Update(ctx, in.Release, "", func(rel *release.Release) error {
		if rel.State.Ended() {
			return release.Errorf(release.Conflict, "release %q has ended as %s: there is nothing to recover", rel.ID, rel.State)
		}
		rel.Execution = in.Execution
		return nil
	})
	if err != nil {
		return out, err
	}
	for _, progress := range rel.Environments {
		lease := leaseName(rel.App, progress.Name)
		if err := l.Ledger.TakeOver(ctx, lease, holder(in), leaseTTL); err != nil {
			return out, err
		}
		if progress.State == release.EnvironmentDone {
			if err := l.settle(ctx, in, &rel, progress.Name); err != nil {
				return out, err
			}
		}
	}
	out.Finished = finished(&rel)
	return out, nil
}

// finished tells whether every environment was done and only the end was not recorded.
func finished(rel *release.Release) bool {
	for _, progress := range rel.Environments {
		if progress.State != release.EnvironmentDone {
			return false
		}
	}
	return len(rel.Environments) > 0
}
