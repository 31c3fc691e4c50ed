package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// TokenAPI is what [StepFunctionsTokens] needs of Step Functions.
type TokenAPI interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
	SendTaskFailure(context.Context, *sfn.SendTaskFailureInput, ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error)
}

// StepFunctionsTokens resumes executions of Step Functions.
type StepFunctionsTokens struct{ API TokenAPI }

var _ Tokens = StepFunctionsTokens{}

// Succeed implements [Tokens].
func (t StepFunctionsTokens) Succeed(ctx context.Context, token string) error {
	_, err := t.API.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String("{}")})
	return goneToken(err)
}

// maxCause is the longest cause that Step Functions takes, in characters (API
// reference, SendTaskFailure).
const maxCause = 32768

// Fail implements [Tokens].
func (t StepFunctionsTokens) Fail(ctx context.Context, token, name, cause string) error {
	cause = capped(cause, maxCause)
	_, err := t.API.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: &token, Error: &name, Cause: &cause})
	return goneToken(err)
}

func goneToken(err error) error {
	var timedOut *types.TaskTimedOut
	var invalid *types.InvalidToken
	var missing *types.TaskDoesNotExist
	switch {
	case err == nil:
		return nil
	case errors.As(err, &timedOut), errors.As(err, &invalid), errors.As(err, &missing):
		return fmt.Errorf("%w: %w", ErrTokenGone, err)
	}
	return release.Errorf(release.Transient, "resuming an execution: %w", awserr.Brief(err))
}

// ExecutionAPI is what [StepFunctionsExecutions] needs of Step Functions.
type ExecutionAPI interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
}

// StepFunctionsExecutions starts executions of a state machine.
type StepFunctionsExecutions struct {
	API ExecutionAPI
	// StateMachine is its ARN.
	StateMachine string
}

var _ Executions = StepFunctionsExecutions{}

// Start implements [Executions].
func (e StepFunctionsExecutions) Start(ctx context.Context, name string, input json.RawMessage) error {
	_, err := e.API.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &e.StateMachine, Name: &name, Input: aws.String(string(input)),
	})
	var exists *types.ExecutionAlreadyExists
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exists):
		return fmt.Errorf("%w: %w", ErrExecutionExists, err)
	}
	return release.Errorf(release.Transient, "starting execution %q: %w", name, awserr.Brief(err))
}

// Running implements [Executions].
func (e StepFunctionsExecutions) Running(ctx context.Context, name string) (bool, error) {
	arn := executionARN(e.StateMachine, name)
	out, err := e.API.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	var missing *types.ExecutionDoesNotExist
	switch {
	case errors.As(err, &missing):
		return false, nil
	case err != nil:
		return false, release.Errorf(release.Transient, "looking at execution %q: %w", name, awserr.Brief(err))
	}
	return out.Status == types.ExecutionStatusRunning, nil
}

// executionARN names an execution of a state machine, whose ARN is
// arn:<partition>:states:<region>:<account>:stateMachine:<name>, perhaps with a version.
func executionARN(stateMachine, name string) string {
	parts := strings.Split(stateMachine, ":")
	if len(parts) < 7 {
		return stateMachine + ":" + name
	}
	return strings.Join(append(parts[:5:5], "execution", parts[6], name), ":")
}

// ConsoleLink is the address of an execution in the AWS console.
func ConsoleLink(stateMachine string) func(execution string) string {
	return func(execution string) string {
		parts := strings.Split(stateMachine, ":")
		if len(parts) < 7 || execution == "" {
			return ""
		}
		return report.Console(parts[3], "states") + "#/v2/executions/details/" + url.PathEscape(executionARN(stateMachine, execution))
	}
}
