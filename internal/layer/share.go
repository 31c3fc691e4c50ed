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
	err = l.grantMissing(ctx, api, w, v)
	switch {
	case isRace(err):
		return time.Second, nil // the next turn sees what is missing now
	case err != nil:
		return 0, err
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
// by an older look at the policy fails by its revision.
func (l *Layers) grantMissing(ctx context.Context, api Sharer, w *release.Work, v version) error {
	p, err := readPolicy(ctx, api, w.Target.Site, v)
	if err != nil {
		return err
	}
	revoked, err := l.cfg.Revoked.Revocations(ctx, v.String())
	if err != nil {
		return err
	}
	for _, grant := range w.Step.Share.Grants {
		if p.has(grant) {
			continue
		}
		if r, taken := release.Revoked(revoked, v.String(), grant); taken {
			w.Result.After = fmt.Sprintf("not shared with %s: taken back by %s", grant, r.By)
			continue
		}
		if other, taken := p.statement(grant.StatementID()); taken {
			return release.Errorf(release.Conflict, "statement %q of layer version %s is not the grant to %s: it has principal %q and condition %v",
				other.Sid, v, grant, other.Principal, other.Condition).
				WithRemedy("Remove the statement (aws lambda remove-layer-version-permission --layer-name %s --version-number %d --statement-id %s --region %s), then release again.",
					v.name, v.number, other.Sid, v.region)
		}
		if p.revision, err = add(ctx, api, w, v, grant, p.revision); err != nil {
			return err
		}
	}
	return nil
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
		return "", release.Errorf(release.Invalid, "share layer version %s with %s: %w", v, grant, err).
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
