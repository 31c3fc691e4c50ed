package sim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Invocation is one run of a function, for the hook that plays the function.
type Invocation struct {
	Account, Region, Function string
	// Qualifier is what the caller named and Version what runs: "$LATEST" or a number.
	Qualifier, Version string
	Handler            string
	Payload            json.RawMessage
	Environment        map[string]string
	// Code is the function's own archive; nil for an image.
	Code *Archive
	// Image is the image's address; empty for a zip.
	Image string
	// Layers are the layers' archives in the function's order.
	Layers []LayerCode
}

// LayerCode is a layer as a running function sees it.
type LayerCode struct {
	ARN string
	*Archive
}

// InvokeResult is what a run ends with.
type InvokeResult struct {
	Payload json.RawMessage
	// FunctionError is "Unhandled" or "Handled" when the function itself failed; Payload then describes the error.
	FunctionError string
	// Log is the tail of the function's log.
	Log string
}

// OnInvoke sets the hook that plays all functions. Without it, they answer {"statusCode":200}.
func (c *Cloud) OnInvoke(hook func(Invocation) InvokeResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onInvoke = hook
}

// Invoke runs a version, or for an alias one of its two by weight. An alias's or a
// version's callers get ResourceConflictException while that version is Pending; callers
// of $LATEST get what it was before the update in progress.
func (c *LambdaClient) Invoke(ctx context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	t := c.target(in.FunctionName, in.Qualifier)
	var run Invocation
	perform := func() (*lambda.InvokeOutput, error) {
		if err := checkInvoke(in); err != nil {
			return nil, err
		}
		v, err := c.choose(t, in.InvocationType != types.InvocationTypeDryRun)
		if err != nil {
			return nil, err
		}
		run = invocationOf(t, v, in.Payload)
		return &lambda.InvokeOutput{StatusCode: http.StatusOK, ExecutedVersion: ptr(v.name())}, nil
	}
	return doThen(ctx, c.request("Invoke", "InvokeFunction", t.arn()), perform, func(out *lambda.InvokeOutput) {
		c.session.cloud.run(run, in, out)
	})
}

// run plays the function and completes the answer as the invocation type wants it.
func (c *Cloud) run(run Invocation, in *lambda.InvokeInput, out *lambda.InvokeOutput) {
	if in.InvocationType == types.InvocationTypeDryRun {
		out.StatusCode = http.StatusNoContent
		return
	}
	c.mu.Lock()
	hook := c.onInvoke
	c.mu.Unlock()
	result := InvokeResult{Payload: json.RawMessage(`{"statusCode":200}`)}
	if hook != nil {
		result = hook(run)
	}
	if in.InvocationType == types.InvocationTypeEvent {
		out.StatusCode, out.ExecutedVersion = http.StatusAccepted, nil
		return
	}
	out.Payload = result.Payload
	if result.FunctionError != "" {
		out.FunctionError = ptr(result.FunctionError)
	}
	if in.LogType == types.LogTypeTail {
		out.LogResult = ptr(base64.StdEncoding.EncodeToString([]byte(result.Log)))
	}
}

func checkInvoke(in *lambda.InvokeInput) error {
	limit := maxSynchronousEvent
	if in.InvocationType == types.InvocationTypeEvent {
		limit = maxEvent
	}
	if len(in.Payload) > limit {
		return &types.RequestTooLargeException{Message: ptr(fmt.Sprintf("%d byte payload is too large for the %s invocation type (limit %d bytes)", len(in.Payload), in.InvocationType, limit))}
	}
	if len(in.Payload) > 0 && !json.Valid(in.Payload) {
		return &types.InvalidRequestContentException{Message: ptr("Could not parse request body into json"), Type: ptr("User")}
	}
	return nil
}

// choose is the version that answers an invocation; it counts it if asked to.
func (c *LambdaClient) choose(t functionTarget, count bool) (*version, error) {
	f, err := c.function(t)
	if err != nil {
		return nil, err
	}
	v, err := f.resolve(t)
	if err != nil {
		return nil, err
	}
	a := f.aliases[t.qualifier]
	if a != nil {
		v = f.byWeight(a, c.session.cloud.rng.Float64(), v)
	}
	switch v.config.State {
	case types.StatePending:
		return nil, conflict("The operation cannot be performed at this time. The function is currently in the following state: Pending")
	case types.StateFailed:
		return nil, conflict("The operation cannot be performed at this time. The function is currently in the following state: Failed")
	}
	if count {
		v.invocations++
		if a != nil {
			a.invocations[v.name()]++
		}
	}
	if v == f.latest {
		return f.serving, nil
	}
	return v, nil
}

// byWeight is the alias's additional version with its probability, else the main one.
func (f *function) byWeight(a *alias, chance float64, main *version) *version {
	for additional, weight := range a.weights { // there is at most one
		if chance < weight {
			return f.find(additional)
		}
	}
	return main
}

func invocationOf(t functionTarget, v *version, payload []byte) Invocation {
	run := Invocation{
		Account: t.account, Region: t.region, Function: t.name, Qualifier: t.qualifier, Version: v.name(),
		Handler: value(v.config.Handler), Payload: slices.Clone(payload), Environment: maps.Clone(v.environment()),
		Code: v.code.archive, Image: v.code.image,
	}
	for _, l := range v.layers {
		run.Layers = append(run.Layers, LayerCode{ARN: l.arn(), Archive: l.archive})
	}
	return run
}
