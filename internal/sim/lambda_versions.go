package sim

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// PublishVersion freezes $LATEST into a version, which is Pending for a while. When
// neither code nor configuration changed since the last version, that one is the answer.
func (c *LambdaClient) PublishVersion(ctx context.Context, in *lambda.PublishVersionInput, _ ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("PublishVersion", "PublishVersion", t.arn()), func() (*lambda.PublishVersionOutput, error) {
		f, err := c.writable(t, in.RevisionId)
		if err != nil {
			return nil, err
		}
		if present := value(f.latest.config.CodeSha256); in.CodeSha256 != nil && *in.CodeSha256 != present {
			return nil, invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", *in.CodeSha256, present)
		}
		v, err := f.publish(c.session.cloud, value(in.Description), "PublishVersion")
		if err != nil {
			return nil, err
		}
		out := lambda.PublishVersionOutput(configOutput(v.describe()))
		return &out, nil
	})
}

// publish makes a version of $LATEST unless the last one is the same; the cloud's lock is held.
func (f *function) publish(c *Cloud, description, action string) (*version, error) {
	print, err := fingerprintOf(f.latest)
	if err != nil {
		return nil, err
	}
	if n := len(f.published); n > 0 && f.published[n-1].fingerprint == print {
		return f.published[n-1], nil
	}
	v := f.latest.clone()
	v.fingerprint = print
	f.published = append(f.published, v)
	number := f.nextNumber()
	v.config.Version = ptr(number)
	v.config.FunctionArn = ptr(f.arn() + ":" + number)
	v.config.RevisionId = ptr(c.uuid())
	if description != "" {
		v.config.Description = ptr(description)
	}
	f.beginPublication(c, v, action)
	f.latest.config.RevisionId = ptr(c.uuid())
	return v, nil
}

// beginPublication makes a new version Pending. One of a $LATEST that failed will fail too.
func (f *function) beginPublication(c *Cloud, v *version, action string) {
	v.settlesAt = c.clock.Now().Add(c.timing.Publish)
	if f.latest.failure == nil {
		v.settlesAt, v.failure = c.failureOf(f, v.name(), action).delayed(v.settlesAt)
	}
	if f.latest.settlesAt.After(v.settlesAt) {
		v.settlesAt = f.latest.settlesAt
	}
	v.config.State, v.config.StateReason = types.StatePending, ptr("The function is being created.")
	v.config.StateReasonCode = types.StateReasonCodeCreating
	v.config.LastUpdateStatus = types.LastUpdateStatusSuccessful
	v.config.LastUpdateStatusReason, v.config.LastUpdateStatusReasonCode = nil, ""
}

// ListVersionsByFunction lists $LATEST and the published versions, at most 50 at once,
// without their states: those only GetFunction tells.
func (c *LambdaClient) ListVersionsByFunction(ctx context.Context, in *lambda.ListVersionsByFunctionInput, _ ...func(*lambda.Options)) (*lambda.ListVersionsByFunctionOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("ListVersionsByFunction", "ListVersionsByFunction", t.arn()), func() (*lambda.ListVersionsByFunctionOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		var all []types.FunctionConfiguration
		for _, v := range append([]*version{f.latest}, f.published...) {
			all = append(all, withoutState(v.describe(), f.arn()+":"+v.name()))
		}
		some, next, err := page(all, in.Marker, in.MaxItems, pageOfVersions)
		return &lambda.ListVersionsByFunctionOutput{Versions: some, NextMarker: next}, err
	})
}

func withoutState(c types.FunctionConfiguration, arn string) types.FunctionConfiguration {
	c.FunctionArn = ptr(arn)
	c.State, c.StateReason, c.StateReasonCode = "", nil, ""
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = "", nil, ""
	return c
}
