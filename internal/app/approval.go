package app

import (
	"context"
	"errors"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// Asking puts a plan before a person.
type Asking struct {
	*Core
	Herald Herald
	Tokens Tokens
}

// Do records the question and the token that the answer resumes. A retry
// replaces the token; what was answered to the same question is delivered by the new one.
func (a *Asking) Do(ctx context.Context, in Input) (any, error) {
	rel, err := a.begin(ctx, in)
	if err != nil {
		return nil, err
	}
	progress, ok := rel.Environment(in.Environment)
	if !ok {
		return nil, release.Errorf(release.Internal, "release %q has no environment %q", rel.ID, in.Environment)
	}
	fingerprint, err := a.fingerprint(ctx, rel, *progress)
	if err != nil {
		return nil, err
	}
	var given release.Approval
	err = a.update(ctx, in, func(rel *release.Release) error {
		given = release.Approval{}
		progress, _ := rel.Environment(in.Environment) // found above
		if progress.Approval != nil && progress.Approval.Token == in.Token {
			return nil // delivered again: the question is put, and perhaps answered
		}
		if progress.Approval != nil && progress.Approval.Attempt > in.attempt() {
			return release.Errorf(release.Conflict, "release %q has asked again since, for %q: this attempt is late", rel.ID, in.Environment).
				WithRemedy("Answer the question that it asks now: tagboat show %s", rel.ID)
		}
		if err := halted(rel); err != nil {
			return err // from here on, whoever halts it finds its token
		}
		if was := progress.Approval; was != nil && rel.State == release.WaitingApproval && was.Fingerprint == fingerprint && was.IsAnswered() {
			was.Token, was.Attempt = in.Token, in.attempt()
			given = *was
			return nil
		}
		progress.Approval = &release.Approval{Fingerprint: fingerprint, Asked: a.Clock.Now(), Token: in.Token, Attempt: in.attempt()}
		rel.State = release.WaitingApproval
		return nil
	})
	if err != nil {
		return nil, err
	}
	if given.IsAnswered() {
		if err := deliver(ctx, a.Tokens, given); !errors.Is(err, ErrTokenGone) {
			return struct{}{}, err
		}
		return struct{}{}, nil
	}
	rel.State, progress.Approval = release.WaitingApproval, &release.Approval{Fingerprint: fingerprint}
	a.Herald.tell(ctx, rel, report.ApprovalAsked, in.Environment)
	return struct{}{}, nil
}

// fingerprint is that of the newest plan for the environment: the one made
// under the lease, or the whole release's.
func (a *Asking) fingerprint(ctx context.Context, rel *release.Release, progress release.Progress) (string, error) {
	site := release.Site{Environment: progress.Name}
	if progress.Plan == (release.Pointer{}) {
		site = release.Site{Environment: release.ToolsEnvironment}
	}
	plan, err := a.plan(ctx, rel, site)
	if err != nil {
		return "", err
	}
	return plan.Fingerprint(progress.Name), nil
}

// Approvals takes the answers.
type Approvals struct {
	*Core
	Tokens Tokens
}

// Decision is a person's answer to a release that asks for an approval.
type Decision struct {
	By string `json:"by"`
	// Reason is kept in the release's record; it may be empty.
	Reason string `json:"reason,omitempty"`
	// Plan is the beginning of the fingerprint of the plan that the answer is for. Empty is for
	// whatever the release asks about.
	Plan string `json:"plan,omitempty"`
}

// Answer approves or rejects what a release asks. The sender of a release cannot approve it.
func (a *Approvals) Answer(ctx context.Context, id string, d Decision, approve bool) (release.Release, error) {
	by := d.By
	if by == "" {
		return release.Release{}, release.Errorf(release.Invalid, "approval of release %q: nobody is named as the approver", id).
			WithRemedy(`Say who approves: {"by": "<name>"}.`)
	}
	if approve {
		if err := a.mayApprove(ctx, id); err != nil {
			return release.Release{}, err
		}
	}
	var given release.Release
	rel, err := a.Ledger.Update(ctx, id, "", func(rel *release.Release) error {
		if err := mayAnswer(rel, d, approve); err != nil {
			return err
		}
		approval := waitingFor(rel).Approval
		if approval.IsAnswered() { // the same: it stands, and is delivered once more
			given = *rel
			return errGiven
		}
		approval.Approved, approval.Rejected, approval.By, approval.Answered = approve, !approve, by, a.Clock.Now()
		approval.Reason = d.Reason
		return nil
	})
	if errors.Is(err, errGiven) {
		rel, err = given, nil
	}
	if err != nil {
		return rel, err
	}
	// If we crash here, the same answer can be given again: it is delivered then.
	err = deliver(ctx, a.Tokens, *waitingFor(&rel).Approval)
	if errors.Is(err, ErrTokenGone) {
		err = release.Errorf(release.Conflict, "release %q does not wait for this answer any more: %w", id, err).
			WithRemedy("Look at it with: tagboat show %s. If it still waits for an approval, answer again.", id)
	}
	return rel, err
}

// deliver resumes the execution that waits for an answer.
func deliver(ctx context.Context, tokens Tokens, answer release.Approval) error {
	if answer.Approved {
		return tokens.Succeed(ctx, answer.Token)
	}
	return tokens.Fail(ctx, answer.Token, errRejected, rejection(answer.By, answer.Reason))
}

// errGiven leaves a record as it is that has the answer already. A record that is written again and again
// would look to the sweep like that of a release which goes on.
var errGiven = errors.New("the answer was given already")

// rejection is the error of a release that was rejected.
func rejection(by, reason string) string {
	if reason == "" {
		return "rejected by " + by
	}
	return "rejected by " + by + ": " + reason
}

// mayApprove refuses to approve what would end at once because of a freeze.
func (a *Approvals) mayApprove(ctx context.Context, id string) error {
	rel, err := a.Ledger.Release(ctx, id)
	if err != nil {
		return err
	}
	progress := waitingFor(&rel)
	if progress == nil {
		return nil
	}
	err = a.refuseFrozen(ctx, &rel, progress.Name)
	if err != nil && release.KindOf(err) == release.Denied {
		return release.Errorf(release.Denied, "%w", err).WithRemedy("It goes on waiting: approve it afterwards.")
	}
	return err
}

func mayAnswer(rel *release.Release, d Decision, approve bool) error {
	progress := waitingFor(rel)
	if progress == nil {
		return release.Errorf(release.Conflict, "release %q is %s, not waiting for an approval", rel.ID, rel.State).
			WithRemedy("Look at it with: tagboat show %s", rel.ID)
	}
	if rel.Halted != nil {
		return release.Errorf(release.Conflict, "release %q was halted by %s: %s", rel.ID, rel.Halted.By, rel.Halted.Reason).
			WithRemedy("It ends by itself. To release it after all, afterwards: tagboat release --app %s %s --retry", rel.App, flagOf(rel))
	}
	if asked := progress.Approval.Fingerprint; !strings.HasPrefix(asked, d.Plan) {
		return release.Errorf(release.Conflict, "release %q asks about plan %.12s of environment %q, not about %.12q", rel.ID, asked, progress.Name, d.Plan).
			WithRemedy("Look at what it asks now: tagboat show %s", rel.ID)
	}
	if approve && strings.EqualFold(d.By, rel.Request.Actor) { // GitHub's logins don't tell case apart
		return release.Errorf(release.Denied, "release %q was sent by %q, who cannot approve it", rel.ID, d.By).
			WithRemedy("Ask somebody else.")
	}
	if given := progress.Approval; given.Approved && !approve || given.Rejected && approve {
		return release.Errorf(release.Conflict, "release %q was answered by %q already", rel.ID, given.By).
			WithRemedy("See what became of it: tagboat show %s. To stop it: tagboat halt %s --reason TEXT", rel.ID, rel.ID)
	}
	return nil
}

// waitingFor is the environment for which a release waits for an approval, nil
// if it does not. An answer that was recorded but not delivered may be given again.
func waitingFor(rel *release.Release) *release.Progress {
	if rel.State != release.WaitingApproval {
		return nil
	}
	for i := range rel.Environments {
		if p := &rel.Environments[i]; p.Approval != nil && p.State == release.EnvironmentPending {
			return p
		}
	}
	return nil
}
