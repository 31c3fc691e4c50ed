package sim

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// callers are those who call one qualifier of a function in other ways than through an
// alias's traffic. What is granted here is kept and told; no call is decided by it.
type callers struct {
	grants   []string // statements of the qualifier's policy, in JSON
	invoke   bool     // there is a configuration for asynchronous invocations
	mappings []types.EventSourceMappingConfiguration
}

// callersOf are those of a qualifier, empty for the unqualified function.
func (f *function) callersOf(qualifier string) *callers {
	if f.callers == nil {
		f.callers = map[string]*callers{}
	}
	if f.callers[qualifier] == nil {
		f.callers[qualifier] = &callers{}
	}
	return f.callers[qualifier]
}

// called finds the function and the callers of the qualifier that a request names, which
// has to exist.
func (c *LambdaClient) called(t functionTarget) (*callers, error) {
	f, err := c.function(t)
	if err != nil {
		return nil, err
	}
	if _, err := f.resolve(t); err != nil {
		return nil, err
	}
	return f.callersOf(t.qualifier), nil
}

// AddPermission lets somebody call a function, or only one version or alias of it.
func (c *LambdaClient) AddPermission(ctx context.Context, in *lambda.AddPermissionInput, _ ...func(*lambda.Options)) (*lambda.AddPermissionOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("AddPermission", "AddPermission", t.arn()), func() (*lambda.AddPermissionOutput, error) {
		if t.qualifier == latestVersion {
			return nil, invalid("We currently do not support adding policies for $LATEST.")
		}
		to, err := c.called(t)
		if err != nil {
			return nil, err
		}
		statement, err := json.Marshal(map[string]any{
			"Sid": value(in.StatementId), "Effect": "Allow", "Principal": value(in.Principal), "Action": value(in.Action), "Resource": t.arn(),
		})
		to.grants = append(to.grants, string(statement))
		return &lambda.AddPermissionOutput{Statement: ptr(string(statement))}, err
	})
}

// GetPolicy tells the policy of a function, or that of one version or alias: each has its own.
func (c *LambdaClient) GetPolicy(ctx context.Context, in *lambda.GetPolicyInput, _ ...func(*lambda.Options)) (*lambda.GetPolicyOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("GetPolicy", "GetPolicy", t.arn()), func() (*lambda.GetPolicyOutput, error) {
		of, err := c.called(t)
		if err != nil {
			return nil, err
		}
		if len(of.grants) == 0 {
			return nil, notFound("The resource you requested does not exist.")
		}
		var statements []json.RawMessage
		for _, statement := range of.grants {
			statements = append(statements, json.RawMessage(statement))
		}
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Id": "default", "Statement": statements})
		return &lambda.GetPolicyOutput{Policy: ptr(string(text))}, err
	})
}

// PutFunctionEventInvokeConfig configures the asynchronous invocations of a qualifier.
func (c *LambdaClient) PutFunctionEventInvokeConfig(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigInput, _ ...func(*lambda.Options)) (*lambda.PutFunctionEventInvokeConfigOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("PutFunctionEventInvokeConfig", "PutFunctionEventInvokeConfig", t.arn()), func() (*lambda.PutFunctionEventInvokeConfigOutput, error) {
		of, err := c.called(t)
		if err != nil {
			return nil, err
		}
		of.invoke = true
		return &lambda.PutFunctionEventInvokeConfigOutput{FunctionArn: ptr(t.arn())}, nil
	})
}

// GetFunctionEventInvokeConfig tells the configuration of a qualifier's asynchronous invocations.
func (c *LambdaClient) GetFunctionEventInvokeConfig(ctx context.Context, in *lambda.GetFunctionEventInvokeConfigInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionEventInvokeConfigOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	return do(ctx, c.request("GetFunctionEventInvokeConfig", "GetFunctionEventInvokeConfig", t.arn()), func() (*lambda.GetFunctionEventInvokeConfigOutput, error) {
		of, err := c.called(t)
		if err != nil {
			return nil, err
		}
		if !of.invoke {
			return nil, notFound("The function %s doesn't have an EventInvokeConfig", t.arn())
		}
		return &lambda.GetFunctionEventInvokeConfigOutput{FunctionArn: ptr(t.arn())}, nil
	})
}

// CreateEventSourceMapping makes a stream or a queue call a qualifier of a function.
func (c *LambdaClient) CreateEventSourceMapping(ctx context.Context, in *lambda.CreateEventSourceMappingInput, _ ...func(*lambda.Options)) (*lambda.CreateEventSourceMappingOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("CreateEventSourceMapping", "CreateEventSourceMapping", t.arn()), func() (*lambda.CreateEventSourceMappingOutput, error) {
		of, err := c.called(t)
		if err != nil {
			return nil, err
		}
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", c.session.cloud.next())
		of.mappings = append(of.mappings, types.EventSourceMappingConfiguration{
			UUID: &id, EventSourceArn: in.EventSourceArn, FunctionArn: ptr(t.arn()), State: ptr("Enabled"),
		})
		return &lambda.CreateEventSourceMappingOutput{UUID: &id, FunctionArn: ptr(t.arn()), State: ptr("Enabled")}, nil
	})
}

// ListEventSourceMappings lists those of exactly the function, version or alias that is
// named; those of a version that was deleted stay.
func (c *LambdaClient) ListEventSourceMappings(ctx context.Context, in *lambda.ListEventSourceMappingsInput, _ ...func(*lambda.Options)) (*lambda.ListEventSourceMappingsOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("ListEventSourceMappings", "ListEventSourceMappings", "*"), func() (*lambda.ListEventSourceMappingsOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		some, next, err := page(f.callersOf(t.qualifier).mappings, in.Marker, in.MaxItems, pageOfMappings)
		return &lambda.ListEventSourceMappingsOutput{EventSourceMappings: some, NextMarker: next}, err
	})
}

// pageOfMappings is the most that one listing tells. Source: Lambda API Reference, ListEventSourceMappings.
const pageOfMappings = 100
