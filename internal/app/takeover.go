package app

import (
	"context"
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// takenOver is the answer to "take_over".
type takenOver struct {
	// Finished is true if only the end was not recorded.
	Finished bool    `json:"finished"`
	Error    Failure `json:"error"`
}

// taskLife is how long a task can run: the Lambdas' timeout in template.yaml.
const taskLife = 2 * time.Minute

// takeOverKey is where it is noted when a release was taken over last.
const takeOverKey = "taken_over"

type takeOverNote struct {
	At time.Time `json:"at"`
}

// takeOver makes this execution the one that acts for a release whose execution
// died. From its write on, every task of the dead one refuses to do anything.
func (l *Leasing) takeOver(ctx context.Context, in Input) (takenOver, error) {
	out := takenOver{Error: Failure{Error: errInterrupted, Cause: "its execution ended without recording how"}}
	rel, err := l.Ledger.Update(ctx, in.Release, "", func(rel *release.Release) error {
		if rel.State.Ended() {
			return release.Errorf(release.Conflict, "release %q has ended as %s: there is nothing to recover", rel.ID, rel.State).
				WithRemedy("See how it ended: tagboat show %s", rel.ID)
		}
		if recoveryNumber(rel.Execution) > recoveryNumber(in.Execution) {
			return mayAct(rel, in.Execution)
		}
		rel.Execution = in.Execution
		return nil
	})
	if err != nil {
		return out, err
	}
	if err := l.Ledger.Note(ctx, rel.ID, takeOverKey, takeOverNote{l.Clock.Now()}); err != nil {
		return out, err
	}
	l.wakeReplaced(ctx, in, &rel)
	for _, progress := range rel.Environments {
		if err := l.takeOverLease(ctx, in, &rel, progress); err != nil {
			return out, err
		}
	}
	out.Finished = finished(&rel)
	return out, nil
}

// wakeReplaced lets an execution that was taken for dead and lives end now, and not after days of
// waiting for what nobody answers any more. It can do no harm, so that this may fail.
func (l *Leasing) wakeReplaced(ctx context.Context, in Input, rel *release.Release) {
	cause := fmt.Sprintf("execution %q took release %q over", in.Execution, rel.ID)
	if err := l.wake(ctx, l.Tokens, rel, errInterrupted, cause); err != nil {
		l.Log.WarnContext(ctx, "an execution that was taken over may go on waiting", "release", rel.ID, "error", err)
	}
}

// takeOverLease takes the lease of an environment if the release holds it. One
// that it holds for an environment that is done was not handed on any more.
func (l *Leasing) takeOverLease(ctx context.Context, in Input, rel *release.Release, progress release.Progress) error {
	lease := leaseName(rel.App, progress.Name)
	if err := l.Ledger.TakeOver(ctx, lease, holder(in), leaseTTL); err != nil {
		return err
	}
	if progress.State != release.EnvironmentDone {
		return nil
	}
	if err := l.settleLate(ctx, in, rel, progress.Name); err != nil {
		return err
	}
	return l.handOn(ctx, lease, holder(in))
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
