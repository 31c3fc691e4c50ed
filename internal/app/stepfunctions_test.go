package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
)

const stateMachine = "arn:aws:states:us-east-1:999999999999:stateMachine:tagboat"

// stepFunctions answers as the service does, with an error if it has one.
type stepFunctions struct {
	err     error
	status  types.ExecutionStatus
	started []string
	cause   string
	asked   string
}

func (s *stepFunctions) SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	return &sfn.SendTaskSuccessOutput{}, s.err
}

func (s *stepFunctions) SendTaskFailure(_ context.Context, in *sfn.SendTaskFailureInput, _ ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error) {
	s.cause = *in.Cause
	return &sfn.SendTaskFailureOutput{}, s.err
}

func (s *stepFunctions) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	s.started = append(s.started, *in.StateMachineArn+" "+*in.Name+" "+*in.Input)
	return &sfn.StartExecutionOutput{}, s.err
}

func (s *stepFunctions) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	s.asked = *in.ExecutionArn
	return &sfn.DescribeExecutionOutput{Status: s.status}, s.err
}

func TestStepFunctionsTokens(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		gone bool
	}{
		{"taken", nil, false},
		{"timed out", &types.TaskTimedOut{}, true},
		{"not a token", &types.InvalidToken{}, true},
		{"of no task", &types.TaskDoesNotExist{}, true},
		{"throttled", errors.New("slow down"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			tokens := app.StepFunctionsTokens{API: &stepFunctions{err: test.err}}
			for _, err := range []error{tokens.Succeed(t.Context(), "token"), tokens.Fail(t.Context(), "token", "Name", "cause")} {
				if errors.Is(err, app.ErrTokenGone) != test.gone {
					t.Errorf("got %v, want gone %t", err, test.gone)
				}
				if test.err != nil && !test.gone && release.KindOf(err) != release.Transient {
					t.Errorf("got %v of kind %s, want transient", err, release.KindOf(err))
				}
			}
		})
	}
}

func TestACauseFitsStepFunctions(t *testing.T) {
	api := &stepFunctions{}
	if err := (app.StepFunctionsTokens{API: api}).Fail(t.Context(), "token", "Name", strings.Repeat("ä", 40_000)); err != nil {
		t.Fatal(err)
	}
	if len(api.cause) > 32768 || !utf8.ValidString(api.cause) {
		t.Errorf("the cause has %d bytes, valid %t", len(api.cause), utf8.ValidString(api.cause))
	}
}

func TestStepFunctionsExecutions(t *testing.T) {
	api := &stepFunctions{status: types.ExecutionStatusRunning}
	executions := app.StepFunctionsExecutions{API: api, StateMachine: stateMachine}
	if err := executions.Start(t.Context(), "one", json.RawMessage(`{"release":"one"}`)); err != nil || api.started[0] != stateMachine+` one {"release":"one"}` {
		t.Errorf("started %q, %v", api.started, err)
	}
	if running, err := executions.Running(t.Context(), "one"); !running || err != nil || api.asked != "arn:aws:states:us-east-1:999999999999:execution:tagboat:one" {
		t.Errorf("got %t, %v about %s", running, err, api.asked)
	}
	api.err = &types.ExecutionAlreadyExists{}
	if err := executions.Start(t.Context(), "one", nil); !errors.Is(err, app.ErrExecutionExists) {
		t.Errorf("got %v, want that it exists", err)
	}
	api.err = &types.ExecutionDoesNotExist{}
	if running, err := executions.Running(t.Context(), "one"); running || err != nil {
		t.Errorf("got %t, %v; want not running", running, err)
	}
	api.err = errors.New("slow down")
	if _, err := executions.Running(t.Context(), "one"); release.KindOf(err) != release.Transient || err == nil {
		t.Errorf("got %v, want a transient error", err)
	}
}

func TestConsoleLink(t *testing.T) {
	want := "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/arn:aws:states:us-east-1:999999999999:execution:tagboat:one"
	for _, machine := range []string{stateMachine, stateMachine + ":live"} {
		if got := app.ConsoleLink(machine)("one"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := app.ConsoleLink(stateMachine)(""); got != "" {
		t.Errorf("got %s for no execution", got)
	}
}
