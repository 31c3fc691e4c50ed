package sim

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// provisioned is the provisioned concurrency of an alias or a published version.
type provisioned struct {
	requested int32
	modified  time.Time
	readyAt   time.Time // zero: READY
}

// begin starts the allocation afresh, as a new request or another version behind the
// alias does; c.mu is held.
func (p *provisioned) begin(c *Cloud) {
	p.modified = c.clock.Now()
	p.readyAt = p.modified.Add(c.timing.Provision)
}

func (p *provisioned) settle(now time.Time) {
	if !now.Before(p.readyAt) {
		p.readyAt = time.Time{}
	}
}

// describe is the answer of both operations.
func (p *provisioned) describe() lambda.GetProvisionedConcurrencyConfigOutput {
	out := lambda.GetProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: ptr(p.requested),
		AllocatedProvisionedConcurrentExecutions: ptr(int32(0)),
		AvailableProvisionedConcurrentExecutions: ptr(int32(0)),
		LastModified:                             ptr(lambdaTime(p.modified)),
		Status:                                   types.ProvisionedConcurrencyStatusEnumInProgress,
	}
	if p.readyAt.IsZero() {
		out.AllocatedProvisionedConcurrentExecutions = ptr(p.requested)
		out.AvailableProvisionedConcurrentExecutions = ptr(p.requested)
		out.Status = types.ProvisionedConcurrencyStatusEnumReady
	}
	return out
}

// PutProvisionedConcurrencyConfig asks for provisioned concurrency on an alias without
// weights or on a published version. It is IN_PROGRESS for a while, then READY.
func (c *LambdaClient) PutProvisionedConcurrencyConfig(ctx context.Context, in *lambda.PutProvisionedConcurrencyConfigInput, _ ...func(*lambda.Options)) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("PutProvisionedConcurrencyConfig", "PutProvisionedConcurrencyConfig", t.arn()), func() (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		v, err := f.resolve(t)
		if err != nil {
			return nil, err
		}
		if v == f.latest {
			return nil, invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
		}
		if a, ok := f.aliases[t.qualifier]; ok && len(a.weights) > 0 {
			return nil, invalid("Alias with weights can not be used with Provisioned Concurrency")
		}
		p := &provisioned{requested: value(in.ProvisionedConcurrentExecutions)}
		p.begin(c.session.cloud)
		f.provisioned[t.qualifier] = p
		out := lambda.PutProvisionedConcurrencyConfigOutput(p.describe())
		return &out, nil
	})
}

// GetProvisionedConcurrencyConfig tells how far the provisioned concurrency is.
func (c *LambdaClient) GetProvisionedConcurrencyConfig(ctx context.Context, in *lambda.GetProvisionedConcurrencyConfigInput, _ ...func(*lambda.Options)) (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("GetProvisionedConcurrencyConfig", "GetProvisionedConcurrencyConfig", t.arn()), func() (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		if _, err := f.resolve(t); err != nil {
			return nil, err
		}
		p, ok := f.provisioned[t.qualifier]
		if !ok {
			return nil, &types.ProvisionedConcurrencyConfigNotFoundException{
				Message: ptr("No Provisioned Concurrency Config found for this function"), Type: ptr("User"),
			}
		}
		return ptr(p.describe()), nil
	})
}
