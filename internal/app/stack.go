package app

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// The outputs of template.yaml by which an installation is found.
const (
	outputTable        = "LedgerTableName"
	outputBucket       = "StateBucketName"
	outputUploads      = "UploadsBucketName"
	outputStateMachine = "StateMachineArn"
)

// StackParts are the parts of an installed stack, used with the caller's own
// credentials: enough to look at releases, order them and answer what they ask.
// The tasks themselves run in the stack.
func StackParts(ctx context.Context, stack, region string, log *slog.Logger) (*Parts, error) {
	clients, err := awsapi.Load(ctx, region)
	if err != nil {
		return nil, err
	}
	outputs, err := stackOutputs(ctx, clients, stack)
	if err != nil {
		return nil, err
	}
	machines := sfn.NewFromConfig(clients.Config(""))
	p := &Parts{
		Clock: clock.System{}, Log: log,
		Table:         ledger.NewDynamoTable(dynamodb.NewFromConfig(clients.Config("")), outputs[outputTable]),
		State:         &artifact.S3Store{S3: clients.S3(""), Bucket: outputs[outputBucket]},
		UploadsBucket: outputs[outputUploads],
		S3:            func(region string) artifact.API { return clients.S3(region) },
		Lambda:        toolsLambda(clients),
		Tokens:        StepFunctionsTokens{machines},
		Executions:    StepFunctionsExecutions{machines, outputs[outputStateMachine]},
		Link:          ConsoleLink(outputs[outputStateMachine]),
	}
	p.Registries = &StoredRegistries{Store: p.State, Key: RegistryKey}
	return p, nil
}

// toolsLambda gives clients in the tools account alone: the roles that target
// accounts grant trust the tasks of the stack, and nobody who calls it.
func toolsLambda(clients *awsapi.Clients) func(context.Context, release.Target, release.Phase) (LambdaClient, error) {
	return func(ctx context.Context, t release.Target, phase release.Phase) (LambdaClient, error) {
		if t.Role != "" {
			return nil, release.Errorf(release.Denied, "the role that account %s grants trusts the tasks of the stack alone", t.Account).
				WithRemedy("Look with credentials of that account: aws lambda list-functions --function-version ALL --region %s", t.Region)
		}
		return clients.Lambda(ctx, t, phase)
	}
}

func stackOutputs(ctx context.Context, clients *awsapi.Clients, stack string) (map[string]string, error) {
	region := clients.Config("").Region
	if region == "" {
		return nil, release.Errorf(release.Invalid, "stack %q: no AWS region is set to look for it in", stack).WithRemedy("Set --region or AWS_REGION.")
	}
	out, err := cloudformation.NewFromConfig(clients.Config("")).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return nil, undescribed(err, stack, region)
	}
	outputs := map[string]string{}
	for _, found := range out.Stacks {
		for _, output := range found.Outputs {
			outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
		}
	}
	for _, want := range []string{outputTable, outputBucket, outputUploads, outputStateMachine} {
		if outputs[want] == "" {
			return nil, release.Errorf(release.Invalid, "stack %q has no output %s: it is not Tagboat's", stack, want).
				WithRemedy("Name the stack of template.yaml: aws cloudformation describe-stacks --stack-name %s", stack)
		}
	}
	return outputs, nil
}

// ofStacks is what CloudFormation's code for a stack that is not there means (DescribeStacks, Errors).
var ofStacks = awserr.Meaning{"ValidationError": release.NotFound}

// undescribed tells why a stack could not be described: the way to AWS, the
// credentials, or the stack.
func undescribed(err error, stack, region string) error {
	kind, remedy := ofStacks.KindOf(err), "Name the stack and the region that Tagboat was deployed to, and use credentials that may describe it."
	switch {
	case awserr.Unsent(err) || awserr.Expired(err):
		kind, remedy = release.Denied, "Give the AWS SDK credentials that may describe the stack: AWS_PROFILE, aws sso login, or whatever else it reads."
	case kind == release.Transient:
		remedy = "AWS did not answer as it should: check the network, a proxy, AWS_ENDPOINT_URL and --region, then try again."
	}
	return release.Errorf(kind, "stack %q in %s: %w", stack, region, awserr.Brief(err)).WithRemedy("%s", remedy)
}
