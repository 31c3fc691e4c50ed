package layer

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// getLayerVersion is the only action that can be granted on a layer version.
const getLayerVersion = "lambda:GetLayerVersion"

// share adds the grants that are missing. It asks the policy and not the plan
// what is missing, so that it can be run again.
func (l *Layers) share(ctx context.Context, w *release.Work) (time.Duration, error) {
	arn, err := sharedVersion(w)
	if err != nil {
		return 0, err
	}
	v, err := parseVersion(arn)
	if err != nil {
		return 0, err
	}
	api, err := l.cfg.Lambda(ctx, w.Target, release.PhaseShare)
	if err != nil {
		return 0, err
	}
	wait, err := l.grantMissing(ctx, api, w, v)
	switch {
	case isRace(err):
		return time.Second, nil // the next turn sees what is missing now
	case err != nil || wait > 0:
		return wait, err
	}
	w.Result.LayerVersion = arn
	return 0, nil
}

// sharedVersion is the version to share: one that was there when the plan was
// made, or the one that the release has published.
func sharedVersion(w *release.Work) (string, error) {
	if w.Step.Share.Layer != "" {
		return w.Step.Share.Layer, nil
	}
	published, ok := w.Earlier(release.StepID(release.PublishLayer, w.Step.Site, w.Step.Share.Name))
	if !ok || published.LayerVersion == "" {
		return "", release.Errorf(release.Internal, "layer %q was not published in %s", w.Step.Share.Name, w.Step.Site)
	}
	return published.LayerVersion, nil
}

// grantMissing reads the policy and adds what it lacks, one statement a call.
//
// What a person took back since the plan was made is not granted again. That is
// asked after the policy was read: who takes a grant back records it first, so
// that whoever reads the policy without the grant finds the record, and a grant
// by an older look at the policy fails by its revision. A version without a policy
// has no revision: AWS carries such a first grant out whatever came between, also
// long after, when the SDK repeats a call whose answer was lost. So the record is
// asked once more after it.
func (l *Layers) grantMissing(ctx context.Context, api Sharer, w *release.Work, v version) (wait time.Duration, err error) {
	p, err := readPolicy(ctx, api, w.Target.Site, v)
	if err != nil {
		return 0, err
	}
	revoked, err := l.cfg.Revoked.Revocations(ctx, v.String())
	if err != nil {
		return 0, err
	}
	for _, grant := range w.Step.Share.Grants {
		r, taken := release.Revoked(revoked, v.String(), grant)
		own, found := p.statement(grant.StatementID())
		switch {
		case p.has(grant) && taken && found && w.Result.Touched:
			return l.backAgain(ctx, v, r)
		case p.has(grant):
			continue
		case taken:
			w.Result.After = fmt.Sprintf("not shared with %s: taken back by %s", grant, r.By)
			continue
		case found:
			return 0, release.Errorf(release.Conflict, "statement %q of layer version %s is not the grant to %s: it has principal %q and condition %v",
				own.Sid, v, grant, own.Principal, own.Condition).
				WithRemedy("Remove the statement (aws lambda remove-layer-version-permission --layer-name %s --version-number %d --statement-id %s --region %s), then release again.",
					v.name, v.number, own.Sid, v.region)
		}
		unguarded := p.revision == ""
		if p.revision, err = add(ctx, api, w, v, grant, p.revision); err != nil {
			return 0, err
		}
		if !unguarded {
			continue
		}
		if revoked, err = l.cfg.Revoked.Revocations(ctx, v.String()); err != nil {
			return 0, err
		}
		if _, taken := release.Revoked(revoked, v.String(), grant); taken {
			return settled, nil // the next turn sees whether it is there
		}
	}
	return 0, nil
}

const (
	// settled is how long after a write every read shows it.
	settled = release.ReadLag + time.Second
	// unsharing is how long a person's order to take a grant back may be under way.
	unsharing = time.Minute
)

// backAgain decides on a grant that is there although a person took it back. While
// that is under way, and while a read may be from before its end, it waits. After
// that, a grant of this step has undone it, and no task may remove one: the record
// is to say that it is there, and the step to fail.
func (l *Layers) backAgain(ctx context.Context, v version, r release.Revocation) (time.Duration, error) {
	until := r.Gone.Add(settled)
	if r.Gone.IsZero() {
		until = r.At.Add(unsharing)
	}
	if wait := until.Sub(l.cfg.Clock.Now()); wait > 0 {
		return min(wait, settled), nil
	}
	err := l.cfg.Revoked.RevokedBack(ctx, r.Layer, r.Grant)
	switch {
	case release.KindOf(err) == release.NotFound:
		return time.Second, nil // somebody lets it be shared again: so it may be there
	case err != nil:
		return 0, err
	}
	return 0, release.Errorf(release.Conflict, "layer version %s is shared with %s although %s took it back (%s): this release granted it at the same time",
		v, r.Grant, r.By, r.Reason).
		WithRemedy("Take it back again (tagboat unshare %s %s --reason TEXT), then release again.", v, r.Grant.Flag())
}

// add adds one grant to the policy of a revision and returns the next revision.
func add(ctx context.Context, api Sharer, w *release.Work, v version, grant release.Grant, revision string) (string, error) {
	if err := w.Touch(ctx); err != nil {
		return "", err
	}
	action, id, who := getLayerVersion, grant.StatementID(), "*"
	if grant.Account != "" {
		who = grant.Account
	}
	out, err := api.AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
		LayerName:      &v.name,
		VersionNumber:  &v.number,
		StatementId:    &id,
		Action:         &action,
		Principal:      &who,
		OrganizationId: optional(grant.Organization),
		RevisionId:     optional(revision),
	})
	if awserr.Is(err, codePolicyLength) {
		return "", release.Errorf(release.Invalid, "share layer version %s with %s: %w", v, grant, awserr.Brief(err)).
			WithRemedy("Share it with the organisation (share: {organization: true}) instead of with each account: one statement covers them all.")
	}
	if err != nil {
		return "", refused(err, w.Target.Site, "share layer version %s with %s", v, grant)
	}
	return aws.ToString(out.RevisionId), nil
}

// isRace tells whether the policy was changed since it was read, possibly by a
// write of our own whose answer was lost.
func isRace(err error) bool {
	return awserr.Is(err, awserr.PreconditionFailed) || awserr.Is(err, awserr.Conflict)
}
