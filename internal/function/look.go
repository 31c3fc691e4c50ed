package function

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/release"
)

// found is a function's version or $LATEST as GetFunction tells it. The
// variables and the URL stay in memory.
type found struct {
	content   release.Content
	variables map[string]string
	// unreadable says why the variables cannot be read (a customer key that
	// forbids it), in Lambda's words; empty if they can.
	unreadable string
	// url is a presigned URL of the code; it works for ten minutes.
	url string
	// settling is true while an update or the creation is in progress.
	settling bool
	// failure is why the last update or the creation failed, in Lambda's words; empty if it did not.
	failure  string
	modified time.Time
}

// look reads a version of a function with one GetFunction.
func look(ctx context.Context, api Reader, name, version string) (found, error) {
	in := &lambda.GetFunctionInput{FunctionName: &name}
	if version != release.LatestVersion {
		in.Qualifier = &version
	}
	out, err := api.GetFunction(ctx, in)
	if err != nil {
		return found{}, err
	}
	if out.Configuration == nil {
		return found{}, release.Errorf(release.Internal, "GetFunction of %q answered without a configuration", name)
	}
	return newFound(out), nil
}

func newFound(out *lambda.GetFunctionOutput) found {
	c := out.Configuration
	f := found{content: content(c), settling: c.LastUpdateStatus == types.LastUpdateStatusInProgress || c.State == types.StatePending}
	if out.Code != nil {
		f.url = aws.ToString(out.Code.Location)
		// The resolved object is answered for functions that read their code from
		// their object for ever (Lambda API reference, FunctionCodeLocation).
		f.content.ObjectReference = out.Code.ResolvedS3Object != nil
	}
	if c.Environment != nil {
		f.variables = c.Environment.Variables
		if e := c.Environment.Error; e != nil {
			f.unreadable = fmt.Sprintf("%s: %s", aws.ToString(e.ErrorCode), aws.ToString(e.Message))
		}
	}
	switch {
	case c.LastUpdateStatus == types.LastUpdateStatusFailed:
		f.failure = fmt.Sprintf("LastUpdateStatus Failed, %s: %s", c.LastUpdateStatusReasonCode, aws.ToString(c.LastUpdateStatusReason))
	case c.State == types.StateFailed:
		f.failure = fmt.Sprintf("State Failed, %s: %s", c.StateReasonCode, aws.ToString(c.StateReason))
	}
	f.modified, _ = time.Parse("2006-01-02T15:04:05.999-0700", aws.ToString(c.LastModified)) // zero is long ago
	return f
}

func content(c *types.FunctionConfiguration) release.Content {
	content := release.Content{
		Version:      aws.ToString(c.Version),
		PackageType:  string(c.PackageType),
		CodeSHA256:   aws.ToString(c.CodeSha256),
		CodeSize:     c.CodeSize,
		Runtime:      string(c.Runtime),
		Handler:      aws.ToString(c.Handler),
		Role:         aws.ToString(c.Role),
		Signed:       c.SigningJobArn != nil || c.SigningProfileVersionArn != nil,
		UpdateStatus: string(c.LastUpdateStatus),
		RevisionID:   aws.ToString(c.RevisionId),
	}
	for _, layer := range c.Layers {
		content.Layers = append(content.Layers, release.Used{ARN: aws.ToString(layer.Arn), CodeSize: layer.CodeSize})
	}
	if c.Environment != nil {
		content.Environment = release.HashVariables(c.Environment.Variables)
		content.Unreadable = c.Environment.Error != nil
	}
	if c.DeadLetterConfig != nil {
		content.DeadLetter = aws.ToString(c.DeadLetterConfig.TargetArn)
	}
	for _, architecture := range c.Architectures {
		content.Architectures = append(content.Architectures, string(architecture))
	}
	return content
}

const (
	pollMin  = time.Second
	pollSoon = 5 * time.Second
	pollMax  = time.Minute
)

// poll is how long to wait for an update that began at a time: half of what it has taken
// already, up to pollSoon, and of one that takes minutes a tenth, up to pollMax: the looks
// become rarer without counting them.
func poll(now, began time.Time) time.Duration {
	taken := now.Sub(began)
	soon := min(max(taken/2, pollMin), pollSoon)
	return min(max(taken/10, soon), pollMax).Truncate(time.Second)
}

// optional is nil for an empty string: some emulators know no revisions.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
