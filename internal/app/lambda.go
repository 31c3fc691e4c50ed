package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

// The environment of the Lambdas, as template.yaml sets it.
const (
	envTable         = "TAGBOAT_TABLE"
	envBucket        = "TAGBOAT_BUCKET"
	envUploads       = "TAGBOAT_UPLOADS_BUCKET"
	envStateMachine  = "TAGBOAT_STATE_MACHINE"
	envWebhookSecret = "TAGBOAT_WEBHOOK_SECRET_ID"
	envGitHubSecret  = "TAGBOAT_GITHUB_SECRET_ID"
	envEventBus      = "TAGBOAT_EVENT_BUS"
)

// Need adds to the parts what a task needs besides the stores.
type Need func(ctx context.Context, p *Parts, clients *awsapi.Clients) error

// NeedTargets gives the clients for target accounts.
func NeedTargets(_ context.Context, p *Parts, clients *awsapi.Clients) error {
	p.Lambda = func(ctx context.Context, t release.Target, phase release.Phase) (LambdaClient, error) {
		return clients.Lambda(ctx, t, phase)
	}
	return nil
}

// NeedRemover gives the client that deletes staged objects.
func NeedRemover(_ context.Context, p *Parts, clients *awsapi.Clients) error {
	p.Remover = func(region string) artifact.Remover { return clients.S3(region) }
	return nil
}

// NeedAlarms gives the client for alarms in target accounts.
func NeedAlarms(_ context.Context, p *Parts, clients *awsapi.Clients) error {
	p.Alarms = func(ctx context.Context, t release.Target) (function.AlarmsAPI, error) {
		return clients.CloudWatch(ctx, t, release.PhaseBake)
	}
	return nil
}

// NeedTokens lets a task resume executions.
func NeedTokens(_ context.Context, p *Parts, clients *awsapi.Clients) error {
	p.Tokens = StepFunctionsTokens{sfn.NewFromConfig(clients.Config(""))}
	return nil
}

// NeedExecutions lets a task start executions and look at them.
func NeedExecutions(_ context.Context, p *Parts, clients *awsapi.Clients) error {
	machine, err := required(envStateMachine)
	p.Executions = StepFunctionsExecutions{sfn.NewFromConfig(clients.Config("")), machine}
	return err
}

// NeedLink gives the addresses of executions.
func NeedLink(_ context.Context, p *Parts, _ *awsapi.Clients) error {
	machine, err := required(envStateMachine)
	p.Link = ConsoleLink(machine)
	return err
}

// NeedAnnouncer lets a task tell the event bus what becomes of releases.
func NeedAnnouncer(_ context.Context, p *Parts, clients *awsapi.Clients) error {
	bus, err := required(envEventBus)
	p.Announcer = EventBridge{eventbridge.NewFromConfig(clients.Config("")), bus}
	return err
}

// lambdaParts wires the parts at the cold start of a Lambda.
func lambdaParts(ctx context.Context, needs []Need) (*Parts, *awsapi.Clients, error) {
	cfg, err := lambdaConfig()
	if err != nil {
		return nil, nil, err
	}
	clients := awsapi.New(cfg)
	table, tableErr := required(envTable)
	bucket, bucketErr := required(envBucket)
	p := &Parts{
		Clock: clock.System{}, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		Table:         ledger.NewDynamoTable(dynamodb.NewFromConfig(clients.Config("")), table),
		State:         &artifact.S3Store{S3: clients.S3(""), Bucket: bucket},
		Parsed:        &Parsed{},
		UploadsBucket: os.Getenv(envUploads),
		S3:            func(region string) artifact.API { return clients.S3(region) },
	}
	p.Registries = &StoredRegistries{Store: p.State, Key: RegistryKey, Parsed: p.Parsed}
	errs := []error{tableErr, bucketErr}
	for _, need := range needs {
		errs = append(errs, need(ctx, p, clients))
	}
	return p, clients, errors.Join(errs...)
}

func required(name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", release.Errorf(release.Invalid, "environment variable %s is not set; template.yaml sets it", name).
			WithRemedy("Deploy the stack again: sam deploy")
	}
	return value, nil
}

// readSecret reads one stage of a secret. Surrounding white space is not part of it.
func readSecret(ctx context.Context, api *secretsmanager.Client, id, stage string) (string, error) {
	out, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &stage})
	if err != nil {
		return "", release.Errorf(release.Transient, "secret %q, stage %s: %w", id, stage, awserr.Brief(err))
	}
	return strings.TrimSpace(aws.ToString(out.SecretString)), nil
}

// RunTask runs one task of the state machine as a Lambda.
func RunTask(build func(*Parts) Task, needs ...Need) {
	run(func(ctx context.Context, p *Parts, _ *awsapi.Clients) (any, error) {
		task := build(p)
		return func(ctx context.Context, payload json.RawMessage) (json.RawMessage, error) {
			out, err := task.Run(ctx, payload)
			return out, lambdaError(ctx, p.Log, err)
		}, nil
	}, needs...)
}

// run serves a Lambda. What it is wired to is read at the cold start.
func run(build func(context.Context, *Parts, *awsapi.Clients) (any, error), needs ...Need) {
	w := &wired{wire: func(ctx context.Context) (lambda.Handler, error) {
		p, clients, err := lambdaParts(ctx, needs)
		if err != nil {
			return nil, err
		}
		handler, err := build(ctx, p, clients)
		return lambda.NewHandler(handler), err
	}}
	_ = w.ready(context.Background()) // the first invocation tries again, and says why
	lambda.Start(w)
}

// wired is a handler that is wired by its first invocation that can: a Lambda lives
// on after a secret could not be read, and the next invocation comes to the same one.
type wired struct {
	wire    func(context.Context) (lambda.Handler, error)
	handler lambda.Handler
}

func (w *wired) ready(ctx context.Context) error {
	if w.handler != nil {
		return nil
	}
	handler, err := w.wire(ctx)
	if err == nil {
		w.handler = handler
	}
	return err
}

// Invoke implements [lambda.Handler]. Until the Lambda can be wired, it answers with
// the reason, where its callers and its log show it.
func (w *wired) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if err := w.ready(ctx); err != nil {
		return nil, lambdaError(ctx, slog.Default(), err)
	}
	return w.handler.Invoke(ctx, payload)
}

// lambdaError names an error as the state machine knows it.
func lambdaError(ctx context.Context, log *slog.Logger, err error) error {
	if err == nil {
		return nil
	}
	var task *TaskError
	if !errors.As(named(err, errFailed), &task) {
		return err
	}
	log.ErrorContext(ctx, "the task failed", "error_name", task.Name, "error", task.Error())
	return messages.InvokeResponse_Error{Type: task.Name, Message: task.Error()}
}

// RunWebhook answers GitHub's deliveries as a Lambda behind an HTTP API or a
// function URL.
func RunWebhook() {
	run(func(ctx context.Context, p *Parts, clients *awsapi.Clients) (any, error) {
		api := secretsmanager.NewFromConfig(clients.Config(""))
		id, err := required(envWebhookSecret)
		return WebhookFunction(p.Webhook(&webhook.CachedSecrets{Clock: p.Clock, Read: func(ctx context.Context) ([]string, error) {
			return webhookSecrets(ctx, api, id)
		}})), err
	}, NeedExecutions)
}

// WebhookFunction is the handler as a Lambda that gets events of the payload
// format 2.0, which HTTP APIs and function URLs both send. What was refused is
// known to nobody but the sender: the log has each answer.
func WebhookFunction(h *webhook.Handler) func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, request events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		d := delivery(request)
		answer := h.Handle(ctx, d)
		h.Log.InfoContext(ctx, "an event was answered", "delivery", capped(d.Header.Get("X-GitHub-Delivery"), maxLogged),
			"status", answer.Status, "code", answer.Code, "reason", answer.Reason, "releases", answer.Releases)
		return response(answer)
	}
}

// maxLogged is how much of a sender's header is logged, signed or not: GitHub's ids are shorter.
const maxLogged = 100

// webhookSecrets are the current secret and, while it is being rotated, the previous.
func webhookSecrets(ctx context.Context, api *secretsmanager.Client, id string) ([]string, error) {
	current, err := readSecret(ctx, api, id, "AWSCURRENT")
	if err != nil {
		return nil, err
	}
	previous, err := readSecret(ctx, api, id, "AWSPREVIOUS")
	var missing *secretstypes.ResourceNotFoundException
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	return []string{current, previous}, nil
}

// delivery takes the transport encoding off: any body may come in base64. What
// is not valid base64 stays as it is and fails the signature.
func delivery(request events.APIGatewayV2HTTPRequest) webhook.Delivery {
	d := webhook.Delivery{Method: request.RequestContext.HTTP.Method, Header: http.Header{}, Body: []byte(request.Body)}
	if request.IsBase64Encoded {
		if decoded, err := base64.StdEncoding.DecodeString(request.Body); err == nil {
			d.Body = decoded
		}
	}
	for name, value := range request.Headers {
		d.Header.Set(name, value)
	}
	return d
}

// retryAfter is what a sender that is asked to come again is told to wait, in seconds.
const retryAfter = "30"

func response(answer release.Answer) (events.APIGatewayV2HTTPResponse, error) {
	text, err := json.Marshal(answer)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("answer: %w", err)
	}
	headers := map[string]string{"Content-Type": "application/json"}
	if answer.Status == release.AnswerBusy {
		headers["Retry-After"] = retryAfter
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: answer.HTTPStatus(), Headers: headers, Body: string(text)}, nil
}

// RunArtifact answers EventBridge's events of the uploads bucket as a Lambda. An
// event that cannot be taken at the moment is an error, so that Lambda tries it
// again and at last puts it into the dead-letter queue.
func RunArtifact() {
	run(func(ctx context.Context, p *Parts, _ *awsapi.Clients) (any, error) {
		handler := p.Events()
		return func(ctx context.Context, event json.RawMessage) (release.Answer, error) {
			answer := handler.Handle(ctx, event)
			p.Log.InfoContext(ctx, "an event was answered", "status", answer.Status, "code", answer.Code, "reason", answer.Reason, "releases", answer.Releases)
			if answer.Status == release.AnswerBusy {
				return answer, lambdaError(ctx, p.Log, release.Errorf(release.Transient, "%s", answer.Reason))
			}
			return answer, nil
		}, nil
	}, NeedExecutions)
}

// RunRecover takes up dead executions, on their status-change events and on a schedule.
func RunRecover() {
	run(func(ctx context.Context, p *Parts, _ *awsapi.Clients) (any, error) {
		recovery := p.Recovery()
		return func(ctx context.Context, event json.RawMessage) (Swept, error) {
			swept, err := recovery.Handle(ctx, event)
			p.Log.InfoContext(ctx, "swept", "started", swept.Started, "recovered", swept.Recovered, "handed_on", swept.HandedOn)
			return swept, lambdaError(ctx, p.Log, err)
		}, nil
	}, NeedExecutions, NeedTokens)
}

// RunMissed looks for events that did not come, on a schedule. What fails in one
// place is counted and logged; the next look tries again.
func RunMissed() {
	run(func(ctx context.Context, p *Parts, _ *awsapi.Clients) (any, error) {
		missed := p.Missed()
		return func(ctx context.Context, _ json.RawMessage) (Found, error) {
			found, err := missed.Look(ctx)
			p.Log.InfoContext(ctx, "looked for missed events", "started", found.Started, "redelivered", found.Redelivered, "failed", found.Failed)
			return found, lambdaError(ctx, p.Log, err)
		}, nil
	}, NeedExecutions, NeedGitHub)
}

// Webhook answers deliveries.
func (p *Parts) Webhook(secrets webhook.Secrets) *webhook.Handler {
	return &webhook.Handler{Secrets: secrets, Registry: p.Registry, Accept: p.Intake().Accept, Log: p.Log}
}

// Events answers the events of the uploads bucket.
func (p *Parts) Events() *artifact.Events {
	return &artifact.Events{Bucket: p.UploadsBucket, Registry: p.Registry, Accept: p.Intake().Accept, Log: p.Log}
}
