// Package demo shows Tagboat at work without any account: the real state
// machine, the real tasks and real zips, on an AWS and a GitHub in memory that
// enforce the services' rules. `tagboat demo` tells the story; tests use the
// same [World].
package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// The world's accounts, regions, buckets and secrets.
const (
	Tools   = "999999999999"
	Dev     = "111111111111"
	Prod    = "222222222222"
	Partner = "333333333333"

	Home   = "us-east-1"
	Europe = "eu-west-1"

	Organization  = "o-abc1234567"
	StateBucket   = "tagboat-state"
	EuropeBucket  = "tagboat-staging-999999999999-eu-west-1"
	UploadsBucket = "tagboat-uploads"

	// Secret signs the webhooks, Token reads the repositories. Both open nothing
	// but this world.
	Secret = "demo-webhook-secret"
	Token  = "demo-github-token"

	// RepositoryID is that of acme/orders.
	RepositoryID   = 186853002
	RepositoryName = "acme/orders"

	taskRole   = "tagboat-tasks"
	targetRole = "tagboat-target"
)

// Registry is the world's registry.yaml.
//
//go:embed registry.yaml
var Registry string

// began is when the world begins: a fixed time, so that each run prints the same.
var began = time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC)

// World is a tools account with Tagboat in it, two target accounts with
// functions, a partner's account, and a repository.
type World struct {
	Clock  *clock.Virtual
	Cloud  *sim.Cloud
	GitHub *github.Server
	Repo   *github.Repository
	Local  *app.Local
	Hooks  *webhook.Handler
	Events *artifact.Events
	// Answers are those to the events of uploads, in order.
	Answers []release.Answer
}

// WorldOptions choose how a world runs.
type WorldOptions struct {
	// Seed decides the interleaving; 0 is first come, first served.
	Seed uint64
	Log  *slog.Logger
	// Registry replaces [Registry] if it is not empty. Accounts, roles, buckets and external ids are this world's.
	Registry string
	// Functions replace those of acme/orders, if there are any.
	Functions []Function
	// Store keeps the executions, Table the ledger; nil is in memory.
	Store asl.Store
	Table ledger.Table
	// OnEdge is told each edge of the state machine that is taken.
	OnEdge func(asl.Edge)
}

// Function is one that an account has before Tagboat comes: at version 1, behind the alias live if it has one.
type Function struct {
	Site    release.Site
	Name    string
	Aliased bool
}

// ordersFunctions are those of acme/orders.
func ordersFunctions() []Function {
	var functions []Function
	for _, site := range Sites() {
		for _, name := range []string{"orders-api", "orders-worker"} {
			functions = append(functions, Function{Site: site, Name: name, Aliased: true})
		}
	}
	return functions
}

// NewWorld builds the world.
func NewWorld(ctx context.Context, o WorldOptions) (*World, error) {
	c := clock.NewVirtual(began, o.Seed)
	w := &World{Clock: c, Cloud: sim.New(c), GitHub: github.New(c)}
	var err error
	c.Run(func() { err = w.build(ctx, o) })
	return w, err
}

func (w *World) build(ctx context.Context, o WorldOptions) error {
	if o.Registry == "" {
		o.Registry = Registry
	}
	if len(o.Functions) == 0 {
		o.Functions = ordersFunctions()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Table == nil {
		o.Table = ledger.NewMemoryTable()
	}
	if o.Store == nil {
		o.Store = asl.NewMemoryStore()
	}
	w.Cloud.Organization(Organization, Tools, Dev, Prod)
	if err := w.buildTools(ctx, o.Registry); err != nil {
		return err
	}
	if err := w.buildTargets(ctx, o.Functions); err != nil {
		return err
	}
	w.GitHub.SetSecret(Secret)
	w.GitHub.SetToken(Token)
	w.Repo = w.GitHub.AddRepository(RepositoryID, RepositoryName)
	return w.install(ctx, o)
}

// buildTools makes what template.yaml and iam/region.yaml make in AWS.
func (w *World) buildTools(ctx context.Context, registry string) error {
	readStaged := document(map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"AWS": []string{sim.RoleARN(Dev, targetRole), sim.RoleARN(Prod, targetRole)}},
		"Action": []string{"s3:GetObject", "s3:GetObjectVersion"}, "Resource": "arn:aws:s3:::tagboat-*/staged/*",
	})
	for _, bucket := range []struct {
		region, name string
		options      sim.BucketOptions
	}{
		{Home, StateBucket, sim.BucketOptions{Versioned: true, Policy: readStaged}},
		{Europe, EuropeBucket, sim.BucketOptions{Versioned: true, Policy: readStaged}},
		{Home, UploadsBucket, sim.BucketOptions{Versioned: true, EventBridge: true}},
	} {
		if err := w.Cloud.CreateBucket(Tools, bucket.region, bucket.name, bucket.options); err != nil {
			return err
		}
	}
	_, err := w.Cloud.CreateRole(Tools, taskRole, sim.Role{
		Trust: []string{"arn:aws:iam::" + Tools + ":root"},
		Policies: []string{document(
			map[string]any{"Effect": "Allow", "Action": "s3:*", "Resource": []string{"arn:aws:s3:::tagboat-*"}},
			map[string]any{"Effect": "Allow", "Action": "lambda:*", "Resource": "arn:aws:lambda:*:" + Tools + ":layer:*"},
			map[string]any{"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"},
			map[string]any{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/" + targetRole},
		)},
	})
	if err != nil {
		return err
	}
	if err := w.put(ctx, Tools, Home, StateBucket, "manifests/orders.yaml", []byte(Manifest), nil); err != nil {
		return err
	}
	return w.put(ctx, Tools, Home, StateBucket, app.RegistryKey, []byte(registry), nil)
}

// buildTargets makes what iam/target-account.yaml makes, and the functions and
// alarms that the accounts have already.
func (w *World) buildTargets(ctx context.Context, functions []Function) error {
	for _, target := range []struct{ account, externalID string }{{Dev, "tagboat-dev"}, {Prod, "tagboat-prod"}} {
		_, err := w.Cloud.CreateRole(target.account, targetRole, sim.Role{
			Trust: []string{sim.RoleARN(Tools, taskRole)}, ExternalID: target.externalID,
			Policies: []string{targetPolicy(target.account, functions)},
		})
		if err != nil {
			return err
		}
	}
	for _, f := range functions {
		if err := w.createFunction(ctx, f); err != nil {
			return err
		}
	}
	for _, site := range Sites() {
		w.Cloud.SetAlarm(site.Account, site.Region, "orders-api-errors", types.StateValueOk)
	}
	w.Cloud.OnInvoke(runPython)
	return nil
}

// Sites are the targets of the app.
func Sites() []release.Site {
	return []release.Site{
		{Environment: "dev", Account: Dev, Region: Home},
		{Environment: "prod", Account: Prod, Region: Home},
		{Environment: "prod", Account: Prod, Region: Europe},
	}
}

// targetPolicy grants what the phases need on the account's functions that are released.
func targetPolicy(account string, functions []Function) string {
	var released, versions []string
	for _, f := range functions {
		name := f.Name
		if strings.HasPrefix(name, "orders-") { // all of acme/orders, as its resources say
			name = "orders-*"
		}
		if arn := "arn:aws:lambda:*:" + account + ":function:" + name; f.Site.Account == account && !slices.Contains(released, arn) {
			released, versions = append(released, arn, arn+":*"), append(versions, arn+":*")
		}
	}
	var statements []map[string]any
	allow := func(actions []string, resources ...string) {
		if len(actions) > 0 && len(resources) > 0 {
			statements = append(statements, map[string]any{"Effect": "Allow", "Action": actions, "Resource": resources})
		}
	}
	for _, phase := range []release.Phase{
		release.PhaseSnapshot, release.PhaseAccess, release.PhaseUpdate, release.PhaseShift, release.PhaseBake, release.PhaseRollBack,
		release.PhasePrune,
	} {
		p := awsapi.PhasePermissions(phase)
		allow(p.Functions, released...)
		allow(p.Versions, versions...)
		allow(p.Layers, "arn:aws:lambda:*:*:layer:*")
		allow(p.Staged, "arn:aws:s3:::tagboat-*/staged/*")
		allow(p.Any, "*")
	}
	return document(statements...)
}

func document(statements ...map[string]any) string {
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements}) // plain data always marshals
	return string(text)
}

// install wires Tagboat to the world.
func (w *World) install(ctx context.Context, o WorldOptions) error {
	session, err := w.Cloud.AssumeRole(sim.RoleARN(Tools, taskRole), "tagboat")
	if err != nil {
		return err
	}
	gh, err := ghapi.New(ghapi.Config{
		BaseURL: ghapi.DefaultBaseURL, Token: ghapi.StaticToken(Token), HTTP: w.GitHub.Client(), Clock: w.Clock,
	})
	if err != nil {
		return err
	}
	state := &artifact.S3Store{S3: session.S3(Home), Bucket: StateBucket}
	parts := &app.Parts{
		Table: o.Table, Clock: w.Clock, Log: o.Log, State: state,
		Registries:    &app.StoredRegistries{Store: state, Key: app.RegistryKey},
		UploadsBucket: UploadsBucket,
		S3: func(region string) artifact.API {
			if region == "" {
				region = Home
			}
			return session.S3(region)
		},
		Remover: func(region string) artifact.Remover { return session.S3(region) },
		Lambda: func(ctx context.Context, t release.Target, phase release.Phase) (app.LambdaClient, error) {
			narrowed, err := w.assume(ctx, session, t, phase)
			if err != nil {
				return nil, err
			}
			return narrowed.Lambda(t.Region), nil
		},
		Alarms: func(ctx context.Context, t release.Target) (function.AlarmsAPI, error) {
			narrowed, err := w.assume(ctx, session, t, release.PhaseBake)
			if err != nil {
				return nil, err
			}
			return narrowed.CloudWatch(t.Region), nil
		},
		GitHub: gh, HTTP: w.Cloud.HTTP(),
	}
	if w.Local, err = app.NewLocal(parts, app.LocalOptions{Store: o.Store, Seed: o.Seed + 1, OnEdge: o.OnEdge}); err != nil {
		return err
	}
	w.Hooks = parts.Webhook(&webhook.CachedSecrets{
		Clock: w.Clock, Read: func(context.Context) ([]string, error) { return []string{Secret}, nil },
	})
	w.Events = parts.Events()
	w.Cloud.OnEvent(func(event json.RawMessage) {
		w.Answers = append(w.Answers, w.Events.Handle(context.WithoutCancel(ctx), event))
	})
	return nil
}

// assume takes the target's role as awsapi does: with its external id, and
// narrowed to the phase.
func (w *World) assume(ctx context.Context, from *sim.Session, t release.Target, phase release.Phase) (*sim.Session, error) {
	if t.Role == "" {
		return from, nil
	}
	policy, err := awsapi.SessionPolicy(t, phase)
	if err != nil {
		return nil, err
	}
	arn, session := awsapi.RoleARN(t), "tagboat-"+string(phase)
	out, err := from.STS().AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &arn, RoleSessionName: &session, ExternalId: &t.ExternalID, Policy: &policy,
	})
	if err != nil {
		return nil, release.Errorf(release.Denied, "role %s cannot be assumed: %w", arn, err).
			WithRemedy("Its trust policy has to name Tagboat's task roles and the external id of the registry.")
	}
	return w.Cloud.WithCredentials(*out.Credentials.AccessKeyId)
}

// Deliver sends a webhook delivery as GitHub does.
func (w *World) Deliver(ctx context.Context, d github.Delivery) (answer release.Answer) {
	w.Clock.Run(func() {
		answer = w.Hooks.Handle(ctx, webhook.Delivery{Method: "POST", Header: d.Header(), Body: d.Body})
	})
	return answer
}

// Upload puts an object into the uploads bucket, as a CI does.
func (w *World) Upload(ctx context.Context, key string, body []byte, metadata map[string]string) (err error) {
	w.Clock.Run(func() { err = w.put(ctx, Tools, Home, UploadsBucket, key, body, metadata) })
	return err
}

// Settle waits until no execution runs any more.
func (w *World) Settle(ctx context.Context) error {
	for {
		var active []release.Release
		var err error
		w.Clock.Run(func() { active, err = w.Local.Core().Ledger.Active(ctx) })
		if err != nil || len(active) == 0 {
			return err
		}
		for _, rel := range active {
			name := rel.Execution
			if name == "" {
				name = rel.ID
			}
			<-w.Local.Engine.Done(name)
		}
	}
}

// Release reads a release's record.
func (w *World) Release(ctx context.Context, id string) (rel release.Release, err error) {
	w.Clock.Run(func() { rel, err = w.Local.Core().Ledger.Release(ctx, id) })
	return rel, err
}

// Function is a function as it is now.
func (w *World) Function(site release.Site, name string) (sim.FunctionState, error) {
	state, ok := w.Cloud.Function(site.Account, site.Region, name)
	if !ok {
		return state, fmt.Errorf("function %q is not in %s", name, site)
	}
	return state, nil
}

// runPython plays a Python function just as far as the demo's code goes: it
// fails where the code wants a variable that the function does not have.
func runPython(run sim.Invocation) sim.InvokeResult {
	source, err := run.Code.ReadFile("app.py")
	if err != nil {
		return failed("Runtime.ImportModuleError", "Unable to import module 'app'")
	}
	rest := string(source)
	for {
		_, after, found := strings.Cut(rest, `os.environ["`)
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, `"]`)
		if _, ok := run.Environment[name]; !ok {
			return failed("KeyError", fmt.Sprintf("'%s'", name))
		}
		rest = tail
	}
	return sim.InvokeResult{Payload: json.RawMessage(`{"statusCode":200,"body":"ok"}`)}
}

func failed(kind, message string) sim.InvokeResult {
	text, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // strings always marshal
	return sim.InvokeResult{Payload: text, FunctionError: "Unhandled", Log: kind + ": " + message}
}
