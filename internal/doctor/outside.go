package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// Clients are what [Outside] asks, with the credentials of whoever asks.
type Clients struct {
	Identity interface {
		GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
	}
	Stacks interface {
		DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
	}
	// Buckets is a client in a region; empty is home.
	Buckets func(region string) Buckets
	Tables  interface {
		DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
		DescribeContinuousBackups(context.Context, *dynamodb.DescribeContinuousBackupsInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error)
	}
	Machines interface {
		DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error)
	}
	Lambda interface {
		GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
		Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
	}
	Secrets interface {
		GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	}
	// GitHub makes a client with the credentials of a secret's text, at an API's address.
	GitHub func(secret, address string) (GitHub, error)
}

// Buckets looks at buckets and reads the registry.
type Buckets interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	GetBucketVersioning(context.Context, *s3.GetBucketVersioningInput, ...func(*s3.Options)) (*s3.GetBucketVersioningOutput, error)
	GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error)
}

// GitHub tells what a credential may do in a repository.
type GitHub interface {
	Permissions(ctx context.Context, repo int64) ([]ghapi.Permission, error)
}

// Outside looks at an installation as somebody who uses it.
type Outside struct {
	Clients
	// Stack is the name of the stack.
	Stack string
	// RegistryKey is where the registry is in the state bucket.
	RegistryKey string
}

// The outputs and parameters of template.yaml that are looked at.
const (
	outputTable, outputState, outputUploads, outputMachine = "LedgerTableName", "StateBucketName", "UploadsBucketName", "StateMachineArn"
	parameterWebhookSecret, parameterGitHubSecret          = "WebhookSecretArn", "GitHubSecretArn"
	parameterGitHubAPI                                     = "GitHubApiUrl"
)

// Do looks at the stack, at what it consists of, and asks its doctor function for
// the look from inside.
func (o *Outside) Do(ctx context.Context, q Question) Report {
	report := &Report{}
	account := o.Clients.identity(ctx, report)
	outputs, parameters, found := o.stack(ctx, report)
	if !found {
		return *report
	}
	registry, valid := o.Clients.StoredRegistry(ctx, report, outputs[outputState], o.RegistryKey)
	o.Clients.Bucket(ctx, report, "state bucket", "", outputs[outputState])
	o.Clients.Bucket(ctx, report, "uploads bucket", "", outputs[outputUploads])
	o.Clients.events(ctx, report, outputs[outputUploads], "Deploy the stack again, or switch on Amazon EventBridge in the bucket's properties.")
	o.table(ctx, report, outputs[outputTable])
	o.machine(ctx, report, outputs[outputMachine])
	o.webhookSecret(ctx, report, parameters[parameterWebhookSecret])
	if valid {
		tools(report, registry, account)
		o.Clients.Staging(ctx, report, registry)
		o.gitHub(ctx, report, registry, parameters)
	}
	o.inside(ctx, report, q)
	return *report
}

// Identity tells who asks.
func (c Clients) identity(ctx context.Context, report *Report) (account string) {
	l := report.look("caller", "")
	out, err := c.Identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		l.fail("Set AWS_PROFILE, or log in: aws sso login.", "AWS does not know you: %v", err)
		return ""
	}
	l.ok("you are %s", aws.ToString(out.Arn))
	return aws.ToString(out.Account)
}

// tools tells whether the registry is for the account that was asked.
func tools(report *Report, registry release.Registry, account string) {
	l := report.look("tools account", registry.Tools.Account)
	switch account {
	case "":
		l.skip("nobody knows whose credentials you have")
	case registry.Tools.Account:
		l.ok("the registry names the account of your credentials")
	default:
		l.fail("Let tools.account be the account that Tagboat runs in; or use credentials of that account.",
			"the registry names account %s, your credentials are of %s", registry.Tools.Account, account)
	}
}

func (o *Outside) stack(ctx context.Context, report *Report) (outputs, parameters map[string]string, found bool) {
	l := report.look("stack", o.Stack)
	out, err := o.Stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &o.Stack})
	if err != nil && !awserr.Unsent(err) && !awserr.Expired(err) && (awserr.Meaning{}).KindOf(err) == release.Transient {
		l.fail("AWS did not answer as it should: check the network, a proxy, AWS_ENDPOINT_URL and --region, then look again.",
			"CloudFormation was not reached, and nothing more can be checked: %v", err)
		return nil, nil, false
	}
	if err != nil || len(out.Stacks) == 0 {
		l.fail("Name the stack and the region that Tagboat was deployed to, and use credentials that may describe it.",
			"it cannot be described, and nothing more can be checked: %v", err)
		return nil, nil, false
	}
	stack := out.Stacks[0]
	outputs, parameters = map[string]string{}, map[string]string{}
	for _, output := range stack.Outputs {
		outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
	}
	for _, parameter := range stack.Parameters {
		parameters[aws.ToString(parameter.ParameterKey)] = aws.ToString(parameter.ParameterValue)
	}
	var missing []string
	for _, want := range []string{outputTable, outputState, outputUploads, outputMachine} {
		if outputs[want] == "" {
			missing = append(missing, want)
		}
	}
	if len(missing) > 0 {
		l.fail("Name the stack of template.yaml, once its deployment is done.",
			"it has no output %s (status %s), and nothing more can be checked", strings.Join(missing, ", "), stack.StackStatus)
		return nil, nil, false
	}
	stackStatus(l, stack.StackStatus)
	return outputs, parameters, true
}

func stackStatus(l look, status cfntypes.StackStatus) {
	const events = "aws cloudformation describe-stack-events tells why; deploy again."
	switch status {
	case cfntypes.StackStatusCreateComplete, cfntypes.StackStatusUpdateComplete, cfntypes.StackStatusImportComplete:
		l.ok("its status is %s", status)
	case cfntypes.StackStatusUpdateRollbackComplete, cfntypes.StackStatusImportRollbackComplete:
		l.warn(events, "its status is %s: the last deployment did not succeed, the one before it is in force", status)
	default:
		if strings.HasSuffix(string(status), "_IN_PROGRESS") {
			l.warn("Look again when the deployment is done.", "its status is %s", status)
			return
		}
		l.fail(events, "its status is %s", status)
	}
}

// StoredRegistry reads the registry in force.
func (c Clients) StoredRegistry(ctx context.Context, report *Report, bucket, key string) (release.Registry, bool) {
	address := "s3://" + bucket + "/" + key
	l := report.look("registry", address)
	out, err := c.Buckets("").GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		l.refused(err, "Upload it: aws s3 cp registry.yaml "+address)
		return release.Registry{}, false
	}
	defer out.Body.Close()
	text, err := readAll(out.Body, config.MaxBytes)
	if err != nil {
		l.skip("it could not be read: %v", err)
		return release.Registry{}, false
	}
	return ParsedRegistry(report, address, text)
}

// ParsedRegistry checks the text of a registry.
func ParsedRegistry(report *Report, name string, text []byte) (release.Registry, bool) {
	l := report.look("registry", name)
	registry, err := config.ParseRegistry(name, text)
	if err != nil {
		l.fail("Mend what tagboat validate tells, and upload it again.", "%s", firstProblem(err))
		return registry, false
	}
	l.ok("it is valid (apps: %d, environments: %d)", len(registry.Apps), len(registry.Environments))
	return registry, true
}

// firstProblem is the first of the problems of a file: the others are for validate.
func firstProblem(err error) string {
	var problems *config.Error
	if !errors.As(err, &problems) || len(problems.Problems) == 0 {
		return err.Error()
	}
	more := len(problems.Problems) + problems.More - 1
	if more == 0 {
		return problems.Problems[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", problems.Problems[0], more)
}

// Staging looks at the staging buckets of further regions.
func (c Clients) Staging(ctx context.Context, report *Report, registry release.Registry) {
	for _, region := range registry.Tools.Regions[1:] {
		bucket := registry.Tools.Buckets[region]
		if bucket == "" {
			report.look("staging bucket", region).fail("Deploy iam/region.yaml there, and name its bucket under tools.buckets.",
				"the registry names none for region %s", region)
			continue
		}
		c.Bucket(ctx, report, "staging bucket", region, bucket)
	}
}

// repositories are the repositories of a registry, each once.
func repositories(registry release.Registry) []release.Repository {
	var all []release.Repository
	for _, app := range registry.Apps {
		if !slices.ContainsFunc(all, func(r release.Repository) bool { return r.ID == app.Repository.ID }) {
			all = append(all, app.Repository)
		}
	}
	return all
}
