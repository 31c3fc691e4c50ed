package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// versionARN is a published version of a function, as the definition names it.
var versionARN = regexp.MustCompile(`arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[0-9]+)?`)

// machine looks at the state machine, and whether the functions that its
// definition names are there.
func (o *Outside) machine(ctx context.Context, report *Report, arn string) {
	l := report.look("state machine", arn)
	out, err := o.Machines.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
	switch {
	case err != nil:
		l.refused(err, "Deploy the stack again.")
		return
	case out.Status != sfntypes.StateMachineStatusActive:
		l.fail("Deploy the stack again.", "its status is %s", out.Status)
		return
	}
	l.ok("it is there")
	named := versionARN.FindAllString(aws.ToString(out.Definition), -1)
	slices.Sort(named)
	named = slices.Compact(named)
	if len(named) == 0 {
		report.look("tasks", arn).fail("Deploy the stack again.", "its definition names no function")
		return
	}
	o.tasks(ctx, report.look("tasks", arn), named)
}

// tasks tells in one line that all are there, and of each that is not.
func (o *Outside) tasks(ctx context.Context, l look, named []string) {
	there := 0
	for _, arn := range named {
		_, err := o.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &arn})
		if err == nil {
			there++
			continue
		}
		l.object = arn
		l.refused(err, "Deploy the stack again: it publishes the versions that the definition names.")
		if ctx.Err() != nil {
			return
		}
	}
	if there == len(named) {
		l.ok("the function versions that its definition names are there (%d)", there)
	}
}

// inside asks the stack's doctor function, whose role target accounts trust.
func (o *Outside) inside(ctx context.Context, report *Report, q Question) {
	name := o.Stack + "-doctor"
	l := report.look("inside", name)
	payload, err := json.Marshal(q)
	if err != nil {
		l.skip("the question cannot be written: %v", err)
		return
	}
	out, err := o.Lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name + ":live"), Payload: payload})
	if err != nil {
		l.refused(err, "Deploy the stack again with this version of template.yaml, which has the function.")
		return
	}
	var found Report
	if out.FunctionError != nil {
		l.fail("Look at its log: aws logs tail /aws/lambda/"+name, "it failed: %s", reasonOf(out.Payload))
		return
	}
	if err := json.Unmarshal(out.Payload, &found); err != nil || len(found) == 0 {
		l.fail("Use the command of the stack's version.", "its answer is no report")
		return
	}
	*report = append(*report, found...)
}

// reasonOf is the message of a function's error (Lambda developer guide, errors).
func reasonOf(payload []byte) string {
	var failure struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(payload, &failure); err != nil || failure.Message == "" {
		return fmt.Sprintf("an answer of %d bytes without a message", len(payload))
	}
	return failure.Message
}
