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

// Uses is what functions of an account and region use.
type Uses struct {
	// Layers are ARNs of layer versions, Codes the digests of code as Lambda writes them.
	Layers, Codes map[string]bool
}

// Uses finds what the functions of a site's account and region use: $LATEST and
// every published version, whoever made them.
func (l *Layers) Uses(ctx context.Context, target release.Target) (Uses, error) {
	uses := Uses{Layers: map[string]bool{}, Codes: map[string]bool{}}
	api, err := l.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return uses, err
	}
	in := &lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll}
	for {
		out, err := api.ListFunctions(ctx, in)
		if err != nil {
			return uses, refused(err, target.Site, "list the functions and what they use")
		}
		for _, f := range out.Functions {
			uses.Codes[aws.ToString(f.CodeSha256)] = true
			for _, layer := range f.Layers {
				uses.Layers[aws.ToString(layer.Arn)] = true
			}
		}
		if in.Marker = out.NextMarker; aws.ToString(in.Marker) == "" {
			return uses, nil
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
		return len(grants) == 0 || len(grants) != len(s.Principal) || slices.ContainsFunc(grants, func(g release.Grant) bool {
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
