package layer

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// Pruner finds out who uses layer versions, and deletes one.
type Pruner interface {
	ListFunctions(context.Context, *lambda.ListFunctionsInput, ...func(*lambda.Options)) (*lambda.ListFunctionsOutput, error)
	DeleteLayerVersion(context.Context, *lambda.DeleteLayerVersionInput, ...func(*lambda.Options)) (*lambda.DeleteLayerVersionOutput, error)
}

// Older lists the ARNs of a layer's versions beyond the newest keep (at least
// 1), the oldest first.
func (l *Layers) Older(ctx context.Context, target release.Target, name string, keep int) ([]string, error) {
	api, err := l.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return nil, err
	}
	versions, err := listVersions(ctx, api, target.Site, name)
	if err != nil {
		return nil, err
	}
	versions = versions[:max(0, len(versions)-max(keep, 1))]
	arns := make([]string, len(versions))
	for i, v := range versions {
		arns[i] = aws.ToString(v.LayerVersionArn)
	}
	return arns, nil
}

// Attached finds the layer versions that functions of a site's account and
// region use: $LATEST and every published version, whoever made them.
func (l *Layers) Attached(ctx context.Context, target release.Target) (map[string]bool, error) {
	api, err := l.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return nil, err
	}
	attached := map[string]bool{}
	in := &lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll}
	for {
		out, err := api.ListFunctions(ctx, in)
		if err != nil {
			return nil, refused(err, target.Site, "list the functions that use layers")
		}
		for _, f := range out.Functions {
			for _, layer := range f.Layers {
				attached[aws.ToString(layer.Arn)] = true
			}
		}
		if in.Marker = out.NextMarker; aws.ToString(in.Marker) == "" {
			return attached, nil
		}
	}
}

// SharedBeyond tells whether a version is shared with anybody but some accounts.
// A statement that is not understood may mean anybody.
func (l *Layers) SharedBeyond(ctx context.Context, target release.Target, arn string, accounts []string) (bool, error) {
	v, err := parseVersion(arn)
	if err != nil {
		return false, err
	}
	api, err := l.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return false, err
	}
	policy, err := readPolicy(ctx, api, target.Site, v)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(policy.statements, func(s statement) bool {
		grants := s.grants()
		return len(grants) != len(s.Principal) || slices.ContainsFunc(grants, func(g release.Grant) bool {
			return !slices.Contains(accounts, g.Account)
		})
	}), nil
}

// DeleteVersion deletes a version. Functions that use it keep it, and one that is
// gone already counts as deleted (Lambda API reference, DeleteLayerVersion).
func (l *Layers) DeleteVersion(ctx context.Context, target release.Target, arn string) error {
	v, err := parseVersion(arn)
	if err != nil {
		return err
	}
	if v.account != target.Account || v.region != target.Region {
		return release.Errorf(release.Internal, "layer version %s is not of account %s, %s", arn, target.Account, target.Region)
	}
	api, err := l.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return err
	}
	_, err = api.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &v.name, VersionNumber: &v.number})
	if err != nil && !awserr.Is(err, awserr.NotFound) {
		return refused(err, target.Site, "delete layer version %s", arn)
	}
	return nil
}
