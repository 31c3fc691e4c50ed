package soak

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// world is one run of the simulation.
type world struct {
	s     scenario
	d     dice
	clock *clock.Virtual
	cloud *sim.Cloud
	hub   *github.Server
	repos map[string]*github.Repository
	table *ledger.MemoryTable
	store *watchedStore

	parsed     app.Parsed
	machine    *asl.Machine
	engine     *asl.Engine
	generation int
	// process is the life of the one process; without serve it never ends.
	process context.Context
	kill    context.CancelFunc

	callers []*caller
	living  map[int]*caller
	calm    bool // nothing breaks any more
	// engineDenied is until when everybody's calls to Step Functions are refused.
	engineDenied time.Time
	// plant makes a violation on purpose before everything is judged; nil makes none.
	plant func()
	over  bool // nothing is to be done any more

	// again tells whether the n-th invocation of a task is delivered again, and when.
	again func(n int, in app.Input) (after time.Duration, again bool)

	calls, faults, executions int
	invocations               int
	edges                     map[asl.Edge]int
	timing                    sim.Timing     // of updates that begin now
	settleFailures            map[target]int // updates that end Failed or come too late, by function
	drawn                     map[string]int // what happened, by kind
	log                       *transcript
	watch
}

func newWorld(s scenario, machine *asl.Machine) *world {
	c := clock.NewVirtual(began, s.seed+1)
	w := &world{
		s: s, d: newDice(s.seed + 7), clock: c, cloud: sim.New(c), hub: github.New(c), repos: map[string]*github.Repository{},
		table: ledger.NewMemoryTable(), machine: machine, living: map[int]*caller{}, edges: map[asl.Edge]int{},
		settleFailures: map[target]int{}, drawn: map[string]int{}, log: &transcript{began: began, now: c.Now}, watch: newWatch(),
	}
	w.again = w.byDice
	if s.skew > 0 {
		w.draw("clocks that are off")
	}
	w.store = &watchedStore{MemoryStore: asl.NewMemoryStore(), w: w}
	w.cloud.RecordCalls(0)
	w.process, w.kill = context.WithCancel(context.Background())
	return w
}

// build makes the accounts, the repositories and the functions, before anything breaks.
func (w *world) build(ctx context.Context) error {
	w.setTiming(sim.Timing{})
	w.cloud.Organization(organization, toolsAccount)
	if err := w.buildTools(ctx); err != nil {
		return err
	}
	for _, env := range w.s.environments {
		w.cloud.Organization(organization, env.Account)
		if _, err := w.cloud.CreateRole(env.Account, targetRole, sim.Role{
			Trust: []string{sim.RoleARN(toolsAccount, taskRole)}, ExternalID: env.ExternalID, Policies: []string{targetPolicy()},
		}); err != nil {
			return err
		}
	}
	for _, a := range w.s.apps {
		if err := w.buildApp(ctx, a); err != nil {
			return err
		}
	}
	w.hub.SetSecret(webhookSecret)
	w.hub.SetToken(githubToken)
	w.setTiming(w.s.timing)
	w.cloud.OnInvoke(runPython)
	w.cloud.OnCall(w.onCall)
	w.cloud.OnSettle(w.onSettle)
	w.cloud.OnEvent(func(event json.RawMessage) { w.objectCreated(event) })
	return w.startEngine()
}

func (w *world) buildTools(ctx context.Context) error {
	var readers []string
	for _, env := range w.s.environments {
		readers = append(readers, sim.RoleARN(env.Account, targetRole))
	}
	readStaged := policy(map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"AWS": readers},
		"Action": []string{"s3:GetObject", "s3:GetObjectVersion"}, "Resource": "arn:aws:s3:::tagboat-*/staged/*",
	})
	for _, b := range []struct {
		region, name string
		options      sim.BucketOptions
	}{
		{home, stateBucket, sim.BucketOptions{Versioned: true, Policy: readStaged}},
		{europe, europeBucket, sim.BucketOptions{Versioned: true, Policy: readStaged}},
		{home, uploadsBucket, sim.BucketOptions{Versioned: true, EventBridge: true}},
	} {
		if err := w.cloud.CreateBucket(toolsAccount, b.region, b.name, b.options); err != nil {
			return err
		}
	}
	if _, err := w.cloud.CreateRole(toolsAccount, taskRole, sim.Role{
		Trust: []string{"arn:aws:iam::" + toolsAccount + ":root"},
		Policies: []string{policy(
			map[string]any{"Effect": "Allow", "Action": "s3:*", "Resource": []string{"arn:aws:s3:::tagboat-*"}},
			map[string]any{"Effect": "Allow", "Action": "lambda:*", "Resource": "arn:aws:lambda:*:" + toolsAccount + ":layer:*"},
			map[string]any{"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"},
			map[string]any{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/" + targetRole},
		)},
	}); err != nil {
		return err
	}
	return w.putYAML(ctx, app.RegistryKey, w.s.registry())
}

// putYAML writes a file of the platform team's into the state bucket.
func (w *world) putYAML(ctx context.Context, key string, value any) error {
	text, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	return w.put(ctx, stateBucket, key, text)
}

func (w *world) put(ctx context.Context, bucket, key string, body []byte) error {
	_, err := w.cloud.Root(toolsAccount).S3(home).PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: map[string]string{"actor": "ci"},
	})
	return err
}

func targetPolicy() string {
	var statements []map[string]any
	allow := func(actions []string, resources ...string) {
		if len(actions) > 0 {
			statements = append(statements, map[string]any{"Effect": "Allow", "Action": actions, "Resource": resources})
		}
	}
	for _, phase := range []release.Phase{
		release.PhaseSnapshot, release.PhaseAccess, release.PhaseUpdate, release.PhaseShift, release.PhaseBake, release.PhaseRollBack,
		release.PhasePrune,
	} {
		p := awsapi.PhasePermissions(phase)
		allow(p.Functions, "arn:aws:lambda:*:*:function:*")
		allow(p.Versions, "arn:aws:lambda:*:*:function:*:*")
		allow(p.Layers, "arn:aws:lambda:*:*:layer:*")
		allow(p.Staged, "arn:aws:s3:::tagboat-*/staged/*")
		allow(p.Any, "*")
	}
	return policy(statements...)
}

func policy(statements ...map[string]any) string {
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements}) // plain data always marshals
	return string(text)
}

// buildApp makes an application's repository, and its functions as somebody
// deployed them by hand.
func (w *world) buildApp(ctx context.Context, a appSpec) error {
	w.repos[a.Name] = w.hub.AddRepository(a.Repository.ID, a.Repository.Name)
	if err := w.putYAML(ctx, a.DropManifest, a.manifest(false)); err != nil {
		return err
	}
	for _, site := range w.s.sites() {
		for _, name := range a.functions() {
			if err := w.createFunction(ctx, a, site, name); err != nil {
				return err
			}
		}
		if a.alarms {
			w.cloud.SetAlarm(site.Account, site.Region, a.Name+"-errors", types.StateValueOk)
		}
	}
	return nil
}

// sites are the targets of every app.
func (s scenario) sites() []release.Site {
	var sites []release.Site
	for _, env := range s.environments {
		for _, region := range env.Regions {
			sites = append(sites, release.Site{Environment: env.Name, Account: env.Account, Region: region})
		}
	}
	return sites
}

func (w *world) createFunction(ctx context.Context, a appSpec, site release.Site, name string) error {
	code, err := zipped(map[string]string{"app.py": "def handler(event, context):\n    return \"by hand\"\n"})
	if err != nil {
		return err
	}
	variables := map[string]string{"LOG_LEVEL": "info"}
	if a.keepsSecret {
		variables["API_KEY"] = plantedVariable
		if w.d.chance(0.04) { // so that nothing fits in addition
			variables["API_KEY"] += strings.Repeat("x", 4020)
		}
	}
	if site.Environment == "dev" {
		variables["PAYMENTS_URL"] = "https://dev.example"
	}
	api := w.cloud.Root(site.Account).Lambda(site.Region)
	if _, err := api.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Code: &lambdatypes.FunctionCode{ZipFile: code}, Role: aws.String("arn:aws:iam::" + site.Account + ":role/app"),
		Handler: aws.String("app.handler"), Runtime: "python3.13", Architectures: []lambdatypes.Architecture{"x86_64"},
		Environment: &lambdatypes.Environment{Variables: variables},
	}); err != nil {
		return err
	}
	alias := a.alias(name)
	if alias == "" || alias == "live" && name == a.Name+"-api" && !a.apiAlias {
		return nil
	}
	out, err := api.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name})
	if err != nil {
		return err
	}
	_, err = api.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: out.Version})
	return err
}

// zipped makes a zip of files.
func zipped(files map[string]string) ([]byte, error) {
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(0o644)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write([]byte(files[name])); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return buffer.Bytes(), err
}

// runPython plays the functions: code that wants a variable fails without it.
func runPython(run sim.Invocation) sim.InvokeResult {
	source, err := run.Code.ReadFile("app.py")
	_, has := run.Environment["PAYMENTS_URL"]
	if err != nil || strings.Contains(string(source), "PAYMENTS_URL") && !has {
		return sim.InvokeResult{Payload: json.RawMessage(`{"errorType":"KeyError"}`), FunctionError: "Unhandled"}
	}
	return sim.InvokeResult{Payload: json.RawMessage(`{"statusCode":200,"body":"ok"}`)}
}

// watchedStore keeps the executions and looks at what is written of them.
type watchedStore struct {
	*asl.MemoryStore
	w *world
}

// Create implements [asl.Store].
func (s *watchedStore) Create(ctx context.Context, c asl.Checkpoint) error {
	s.search(c)
	return s.MemoryStore.Create(ctx, c)
}

// Save implements [asl.Store].
func (s *watchedStore) Save(ctx context.Context, c asl.Checkpoint) error {
	s.search(c)
	return s.MemoryStore.Save(ctx, c)
}

// search looks for secrets in all that a checkpoint holds but names and times.
func (s *watchedStore) search(c asl.Checkpoint) {
	where := "the history of " + c.Execution.Name
	for _, text := range [][]byte{c.Execution.Input, c.Execution.Output, c.StateInput, []byte(c.Execution.Error), []byte(c.Execution.Cause)} {
		s.w.searchSecrets(where, text)
	}
	for _, e := range c.Events {
		s.w.searchSecrets(where, e.Input)
		s.w.searchSecrets(where, e.Output)
		s.w.searchSecrets(where, []byte(e.Error+e.Cause))
	}
}

// violation is who says in a transcript what must not be.
const violation = "VIOLATION"

// fail notes what must not be.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.fired[format] = append(w.fired[format], text)
	w.log.add(violation, "%s", text)
	if len(w.violations) < 20 {
		w.violations = append(w.violations, text)
	}
}
