package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	tools, dev   = "999999999999", "111111111111"
	home         = "us-east-1"
	machineARN   = "arn:aws:states:us-east-1:999999999999:stateMachine:tagboat-release"
	planVersion  = "arn:aws:lambda:us-east-1:999999999999:function:tagboat-plan:3"
	registryText = `
tools: {account: "999999999999", regions: [us-east-1, eu-west-1], buckets: {eu-west-1: tagboat-eu}}
environments:
  - {name: dev, account: "111111111111", regions: [us-east-1], role: tagboat-target, external_id: tagboat-dev}
apps:
  - {name: orders, repository: {id: 186853002, name: acme/orders}, tags: "v{version}", environments: [dev], resources: ["orders-*"]}
`
)

// installation is a stack and what it consists of, as the services describe it.
// It is in order; a test spoils something, or refuses the caller an operation.
type installation struct {
	account   string
	status    cfntypes.StackStatus
	outputs   map[string]string
	registry  string
	versioned map[string]s3types.BucketVersioningStatus
	events    bool
	table     dbtypes.TableStatus
	recovery  dbtypes.PointInTimeRecoveryStatus
	machine   sfntypes.StateMachineStatus
	functions map[string]bool
	secrets   map[string]string
	inside    doctor.Report
	failure   string // of the doctor function
	held      []ghapi.Permission
	github    error
	errs      map[string]error // by operation
	asked     doctor.Question
}

func good() *installation {
	const on = s3types.BucketVersioningStatusEnabled
	return &installation{
		account: tools, status: cfntypes.StackStatusUpdateComplete,
		outputs: map[string]string{
			"LedgerTableName": "ledger", "StateBucketName": "state", "UploadsBucketName": "uploads", "StateMachineArn": machineARN,
		},
		registry: registryText, versioned: map[string]s3types.BucketVersioningStatus{"state": on, "uploads": on, "tagboat-eu": on}, events: true,
		table: dbtypes.TableStatusActive, recovery: dbtypes.PointInTimeRecoveryStatusEnabled, machine: sfntypes.StateMachineStatusActive,
		functions: map[string]bool{planVersion: true},
		secrets:   map[string]string{"webhook": strings.Repeat("0123456789abcdef", 4), "github": "a-token"},
		inside:    doctor.Report{{Check: "role", State: doctor.OK, Detail: "it can be assumed"}},
		held:      []ghapi.Permission{{Name: "Contents: read", State: ghapi.Held}, {Name: "Deployments: write", State: ghapi.Held}},
		errs:      map[string]error{},
	}
}

func code(c string) error { return &smithy.GenericAPIError{Code: c, Message: "as AWS words it"} }

func (i *installation) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: &i.account, Arn: aws.String("arn:aws:iam::" + i.account + ":user/jane")}, i.errs["GetCallerIdentity"]
}

func (i *installation) DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	if err := i.errs["DescribeStacks"]; err != nil {
		return nil, err
	}
	stack := cfntypes.Stack{StackStatus: i.status}
	for key, value := range i.outputs {
		stack.Outputs = append(stack.Outputs, cfntypes.Output{OutputKey: aws.String(key), OutputValue: aws.String(value)})
	}
	for key, value := range map[string]string{"WebhookSecretArn": "webhook", "GitHubSecretArn": "github"} {
		stack.Parameters = append(stack.Parameters, cfntypes.Parameter{ParameterKey: aws.String(key), ParameterValue: aws.String(value)})
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []cfntypes.Stack{stack}}, nil
}

func (i *installation) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if err := i.errs["GetObject"]; err != nil {
		return nil, err
	}
	if *in.Bucket != "state" || *in.Key != "config/registry.yaml" || i.registry == "" {
		return nil, code("NoSuchKey")
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(i.registry))}, nil
}

func (i *installation) GetBucketVersioning(_ context.Context, in *s3.GetBucketVersioningInput, _ ...func(*s3.Options)) (*s3.GetBucketVersioningOutput, error) {
	status, there := i.versioned[*in.Bucket]
	if !there {
		return nil, code("NoSuchBucket")
	}
	return &s3.GetBucketVersioningOutput{Status: status}, i.errs["GetBucketVersioning"]
}

func (i *installation) GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	out := &s3.GetBucketNotificationConfigurationOutput{}
	if i.events {
		out.EventBridgeConfiguration = &s3types.EventBridgeConfiguration{}
	}
	return out, i.errs["GetBucketNotificationConfiguration"]
}

func (i *installation) DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	return &dynamodb.DescribeTableOutput{Table: &dbtypes.TableDescription{TableStatus: i.table}}, i.errs["DescribeTable"]
}

func (i *installation) DescribeContinuousBackups(context.Context, *dynamodb.DescribeContinuousBackupsInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error) {
	return &dynamodb.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &dbtypes.ContinuousBackupsDescription{
		PointInTimeRecoveryDescription: &dbtypes.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: i.recovery},
	}}, i.errs["DescribeContinuousBackups"]
}

func (i *installation) DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error) {
	definition := `{"States":{"Plan":{"Resource":"` + planVersion + `"}}}`
	return &sfn.DescribeStateMachineOutput{Status: i.machine, Definition: &definition}, i.errs["DescribeStateMachine"]
}

func (i *installation) GetFunction(_ context.Context, in *lambda.GetFunctionInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error) {
	if !i.functions[*in.FunctionName] {
		return nil, code("ResourceNotFoundException")
	}
	return &lambda.GetFunctionOutput{}, i.errs["GetFunction"]
}

func (i *installation) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	if err := i.errs["Invoke"]; err != nil {
		return nil, err
	}
	if *in.FunctionName != "tagboat-doctor:live" {
		return nil, code("ResourceNotFoundException")
	}
	if i.failure != "" {
		return &lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: []byte(`{"errorMessage": "` + i.failure + `"}`)}, nil
	}
	if err := json.Unmarshal(in.Payload, &i.asked); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(i.inside)
	return &lambda.InvokeOutput{Payload: payload}, err
}

func (i *installation) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	text, there := i.secrets[*in.SecretId]
	if !there {
		return nil, code("ResourceNotFoundException")
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &text}, i.errs["GetSecretValue"]
}

func (i *installation) Permissions(context.Context, int64) ([]ghapi.Permission, error) {
	return i.held, i.github
}

func (i *installation) clients() doctor.Clients {
	return doctor.Clients{
		Identity: i, Stacks: i, Buckets: func(string) doctor.Buckets { return i }, Tables: i, Machines: i, Lambda: i, Secrets: i,
		GitHub: func(string, string) (doctor.GitHub, error) { return i, nil },
	}
}

func (i *installation) look(t *testing.T) doctor.Report {
	t.Helper()
	o := &doctor.Outside{Clients: i.clients(), Stack: "tagboat", RegistryKey: "config/registry.yaml"}
	return o.Do(t.Context(), doctor.Question{})
}

func TestAnInstallationInOrderIsOK(t *testing.T) {
	report := good().look(t)
	checks := map[string]bool{}
	for _, f := range report {
		checks[f.Check] = true
		if f.State != doctor.OK || f.Remedy != "" {
			t.Errorf("%+v, want ok", f)
		}
	}
	for _, want := range []string{"caller", "stack", "registry", "tools account", "state bucket", "uploads bucket", "staging bucket", "uploads events",
		"ledger", "state machine", "tasks", "webhook secret", "github", "role"} {
		if !checks[want] {
			t.Errorf("nothing is told of the %s", want)
		}
	}
}

// Each thing that is not in order is told, with what to do; everything else stays ok.
func TestWhatIsNotInOrderIsTold(t *testing.T) {
	transient, denied := errors.New("connection reset"), code("AccessDeniedException")
	for name, c := range map[string]struct {
		spoil  func(*installation)
		check  string
		state  doctor.State
		detail string
	}{
		"credentials that AWS does not know": {func(i *installation) { i.errs["GetCallerIdentity"] = code("ExpiredToken") }, "caller", doctor.Failed, "does not know you"},
		"a way to AWS that is broken":        {func(i *installation) { i.errs["DescribeStacks"] = code("ServiceUnavailable") }, "stack", doctor.Failed, "CloudFormation was not reached"},
		"a stack that cannot be described":   {func(i *installation) { i.errs["DescribeStacks"] = code("ValidationError") }, "stack", doctor.Failed, "nothing more can be checked"},
		"a session that ended meanwhile":     {func(i *installation) { i.errs["DescribeStacks"] = code("ExpiredToken") }, "stack", doctor.Failed, "nothing more can be checked"},
		"a stack of something else":          {func(i *installation) { delete(i.outputs, "LedgerTableName") }, "stack", doctor.Failed, "no output LedgerTableName"},
		"a deployment that was rolled back":  {func(i *installation) { i.status = cfntypes.StackStatusUpdateRollbackComplete }, "stack", doctor.Warning, "did not succeed"},
		"a deployment under way":             {func(i *installation) { i.status = cfntypes.StackStatusUpdateInProgress }, "stack", doctor.Warning, "UPDATE_IN_PROGRESS"},
		"a stack that failed":                {func(i *installation) { i.status = cfntypes.StackStatusUpdateRollbackFailed }, "stack", doctor.Failed, "UPDATE_ROLLBACK_FAILED"},
		"no registry":                        {func(i *installation) { i.registry = "" }, "registry", doctor.Failed, "not there"},
		"a registry that is wrong":           {func(i *installation) { i.registry = "apps: []\n" }, "registry", doctor.Failed, "config/registry.yaml:"},
		"a registry that may not be read":    {func(i *installation) { i.errs["GetObject"] = denied }, "registry", doctor.NotChecked, "you may not"},
		"a registry for another account":     {func(i *installation) { i.account = dev }, "tools account", doctor.Failed, "names account 999999999999"},
		"a state bucket without versions":    {func(i *installation) { i.versioned["state"] = "" }, "state bucket", doctor.Failed, "not versioned"},
		"a state bucket that is gone":        {func(i *installation) { delete(i.versioned, "state") }, "state bucket", doctor.Failed, "not there"},
		"versions that are suspended":        {func(i *installation) { i.versioned["uploads"] = s3types.BucketVersioningStatusSuspended }, "uploads bucket", doctor.Failed, "not versioned"},
		"a staging bucket that is gone":      {func(i *installation) { delete(i.versioned, "tagboat-eu") }, "staging bucket", doctor.Failed, "not there"},
		"uploads that nobody hears of":       {func(i *installation) { i.events = false }, "uploads events", doctor.Failed, "no events"},
		"events that may not be looked at":   {func(i *installation) { i.errs["GetBucketNotificationConfiguration"] = denied }, "uploads events", doctor.NotChecked, "you may not"},
		"a table that is gone":               {func(i *installation) { i.errs["DescribeTable"] = code("ResourceNotFoundException") }, "ledger", doctor.Failed, "not there"},
		"a table that is being deleted":      {func(i *installation) { i.table = dbtypes.TableStatusDeleting }, "ledger", doctor.Failed, "DELETING"},
		"a table without backups":            {func(i *installation) { i.recovery = dbtypes.PointInTimeRecoveryStatusDisabled }, "ledger", doctor.Warning, "cannot be restored"},
		"backups that cannot be asked for":   {func(i *installation) { i.errs["DescribeContinuousBackups"] = transient }, "ledger", doctor.NotChecked, "connection reset"},
		"a state machine that is gone":       {func(i *installation) { i.errs["DescribeStateMachine"] = code("StateMachineDoesNotExist") }, "state machine", doctor.Failed, "not there"},
		"a state machine that is deleted":    {func(i *installation) { i.machine = sfntypes.StateMachineStatusDeleting }, "state machine", doctor.Failed, "DELETING"},
		"a task's version that is gone":      {func(i *installation) { delete(i.functions, planVersion) }, "tasks", doctor.Failed, "not there"},
		"a secret that is gone":              {func(i *installation) { delete(i.secrets, "webhook") }, "webhook secret", doctor.Failed, "not there"},
		"an empty secret":                    {func(i *installation) { i.secrets["webhook"] = " \n" }, "webhook secret", doctor.Failed, "empty"},
		"a placeholder for a secret":         {func(i *installation) { i.secrets["webhook"] = "ChangeMe" }, "webhook secret", doctor.Failed, "placeholder"},
		"a secret with a line break":         {func(i *installation) { i.secrets["webhook"] += "\n" }, "webhook secret", doctor.Warning, "line break"},
		"a secret with a space":              {func(i *installation) { i.secrets["webhook"] = " " + i.secrets["webhook"] }, "webhook secret", doctor.Warning, "white space"},
		"a short secret":                     {func(i *installation) { i.secrets["webhook"] = "0123456789" }, "webhook secret", doctor.Warning, "10 characters"},
		"a GitHub credential that is gone":   {func(i *installation) { delete(i.secrets, "github") }, "github", doctor.Failed, "not there"},
		"a GitHub credential that is empty":  {func(i *installation) { i.secrets["github"] = "\n" }, "github", doctor.Failed, "empty"},
		"a permission that is missing":       {func(i *installation) { i.held[1].State = ghapi.Missing }, "github", doctor.Failed, "lacks Deployments: write"},
		"a permission that nobody knows":     {func(i *installation) { i.held[1].State = ghapi.Unknown }, "github", doctor.NotChecked, "Deployments: write"},
		"a repository that cannot be seen":   {func(i *installation) { i.github = release.Errorf(release.NotFound, "hidden").WithRemedy("Install it.") }, "github", doctor.Failed, "hidden"},
		"GitHub out of reach":                {func(i *installation) { i.github = release.Errorf(release.Transient, "no route") }, "github", doctor.NotChecked, "no route"},
		"no doctor function":                 {func(i *installation) { i.errs["Invoke"] = code("ResourceNotFoundException") }, "inside", doctor.Failed, "not there"},
		"a doctor that may not be asked":     {func(i *installation) { i.errs["Invoke"] = denied }, "inside", doctor.NotChecked, "you may not"},
		"a doctor that fails":                {func(i *installation) { i.failure = "no registry" }, "inside", doctor.Failed, "no registry"},
		"a doctor that has nothing to say":   {func(i *installation) { i.inside = nil }, "inside", doctor.Failed, "no report"},
		"a role that cannot be assumed": {func(i *installation) {
			i.inside = doctor.Report{{Check: "role", State: doctor.Failed, Detail: "refused", Remedy: "Deploy."}}
		},
			"role", doctor.Failed, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			i := good()
			c.spoil(i)
			found := false
			for _, f := range i.look(t) {
				switch {
				case f.Check == c.check && f.State == c.state && strings.Contains(f.Detail, c.detail):
					found = true
					if f.Remedy == "" && f.State != doctor.NotChecked {
						t.Errorf("%+v has no remedy", f)
					}
				case f.Check != c.check && f.State != doctor.OK && f.State != doctor.NotChecked:
					t.Errorf("%+v as well", f)
				}
			}
			if !found {
				t.Errorf("no finding %s of the %s with %q in %+v", c.state, c.check, c.detail, i.look(t))
			}
		})
	}
}

// The functions of manifests are asked for from inside.
func TestTheQuestionReachesTheDoctorFunction(t *testing.T) {
	i := good()
	o := &doctor.Outside{Clients: i.clients(), Stack: "tagboat", RegistryKey: "config/registry.yaml"}
	o.Do(t.Context(), doctor.Question{Manifests: []release.Manifest{{App: "orders"}}})
	if len(i.asked.Manifests) != 1 || i.asked.Manifests[0].App != "orders" {
		t.Errorf("asked was %+v, want the manifest of orders", i.asked)
	}
}

// What is told of a secret does not contain it.
func TestNoFindingTellsASecret(t *testing.T) {
	for _, secret := range []string{"hunter2", "hunter2hunter2hunter2hunter2hunter2\n", " hunter2"} {
		i := good()
		i.secrets["webhook"], i.secrets["github"] = secret, secret
		for _, f := range i.look(t) {
			if strings.Contains(f.Detail+f.Remedy+f.Object, "hunter2") {
				t.Errorf("%+v tells the secret", f)
			}
		}
	}
}
