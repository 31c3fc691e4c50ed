package sim

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// ListFunctions lists $LATEST of every function of the account and region, or with
// FunctionVersion ALL their published versions too, at most 50 at once and without their
// states.
//
// Source: Lambda API Reference, ListFunctions.
func (c *LambdaClient) ListFunctions(ctx context.Context, in *lambda.ListFunctionsInput, _ ...func(*lambda.Options)) (*lambda.ListFunctionsOutput, error) {
	return do(ctx, c.request("ListFunctions", "ListFunctions", "*"), func() (*lambda.ListFunctionsOutput, error) {
		functions := c.session.cloud.region(c.session.account, c.region).functions
		var all []types.FunctionConfiguration
		for _, name := range slices.Sorted(maps.Keys(functions)) {
			f := functions[name]
			f.settle(c.session.cloud)
			if in.FunctionVersion != types.FunctionVersionAll {
				all = append(all, withoutState(f.latest.describe(), f.arn()))
				continue
			}
			for _, v := range append([]*version{f.latest}, f.published...) {
				all = append(all, withoutState(v.describe(), f.arn()+":"+v.name()))
			}
		}
		some, next, err := page(all, in.Marker, in.MaxItems, pageOfVersions)
		return &lambda.ListFunctionsOutput{Functions: some, NextMarker: next}, err
	})
}
