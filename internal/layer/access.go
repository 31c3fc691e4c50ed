package layer

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// CheckAccess reads layer versions as the target's role does when a function is
// going to use them, and returns what is in the way of each: the wrong region,
// a missing grant, a deleted version. It changes nothing.
//
// An answer without any content counts as access: emulators give it for versions
// of other accounts, and AWS refuses with an error instead.
func (l *Layers) CheckAccess(ctx context.Context, target release.Target, arns []string) []error {
	api, err := l.cfg.Lambda(ctx, target, release.PhaseAccess)
	if err != nil {
		return []error{err}
	}
	var problems []error
	for _, arn := range arns {
		if err := checkAccess(ctx, api, target, arn); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

func checkAccess(ctx context.Context, api Reader, target release.Target, arn string) error {
	v, err := parseVersion(arn)
	if err != nil {
		return err
	}
	if v.region != target.Region {
		return release.Errorf(release.Invalid, "layer version %s is in %s and cannot be used by functions in %s (account %s)",
			arn, v.region, target.Region, target.Account).
			WithRemedy("Publish the layer in %s too, and use that version there.", target.Region)
	}
	_, err = api.GetLayerVersionByArn(ctx, &lambda.GetLayerVersionByArnInput{Arn: &arn})
	switch {
	case err == nil:
		return nil
	case awserr.Is(err, awserr.NotFound):
		return release.Errorf(release.NotFound, "layer version %s does not exist (read by account %s in %s): %w", arn, target.Account, target.Region, awserr.Brief(err)).
			WithRemedy("Publish the layer again, and use that version.")
	case general.KindOf(err) == release.Denied && !awserr.FromSTS(err):
		return release.Errorf(release.Denied, "account %s may not read layer version %s in %s: %w", target.Account, arn, target.Region, awserr.Brief(err)).
			WithRemedy("%s", accessRemedy(v, target))
	}
	return refused(err, target.Site, "read layer version %s", arn)
}

// accessRemedy names the two halves of the permission: the version's policy,
// and the caller's own.
func accessRemedy(v version, target release.Target) string {
	own := "let the role that the account grants Tagboat call lambda:GetLayerVersion (iam/target-account.yaml)"
	if v.account == target.Account {
		return fmt.Sprintf("In account %s, %s.", target.Account, own)
	}
	return fmt.Sprintf("Share version %d of layer %s (account %s, %s) with account %s, unless tagboat unshared tells that somebody took it back; if it is shared already, %s.",
		v.number, v.name, v.account, v.region, target.Account, own)
}
