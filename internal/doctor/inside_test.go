package doctor_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/policy"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

const bucket = "tagboat-state-999999999999-us-east-1"

// world is a stack's account and a target account that has released once.
type world struct {
	*testing.T
	ctx    context.Context
	cloud  *sim.Cloud
	self   *sim.Session // the doctor function
	ledger *ledger.Ledger
	layer  string
	staged release.Object
}

// within runs a test in a world that is in order.
func within(t *testing.T, test func(w *world)) {
	t.Helper()
	c := clock.NewVirtual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), 1)
	c.Run(func() {
		w := &world{T: t, ctx: t.Context(), cloud: sim.New(c), ledger: ledger.New(ledger.NewMemoryTable(), c)}
		w.cloud.SetTiming(sim.Timing{})
		w.trust("tagboat-dev", w.doctorRole())
		w.bucket(bucket, dev)
		w.function()
		w.released("r1")
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) doctorRole() string {
	arn, err := w.cloud.CreateRole(tools, "tagboat-doctor", sim.Role{Policies: []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/tagboat-target"}]}`,
	}})
	w.must(err)
	w.self, err = w.cloud.AssumeRole(arn, "function")
	w.must(err)
	return arn
}

// trust makes the target role as tagboat policy prints it.
func (w *world) trust(externalID string, trusted ...string) {
	w.target(externalID, []string{"orders-*"}, trusted...)
}

func (w *world) target(externalID string, functions []string, trusted ...string) {
	w.Helper()
	permissions, err := json.Marshal(w.permissions(functions))
	w.must(err)
	_, err = w.cloud.CreateRole(dev, "tagboat-target", sim.Role{Trust: trusted, ExternalID: externalID, Policies: []string{string(permissions)}})
	w.must(err)
}

// permissions are those of policy target; the simulator knows no regions in patterns but *.
func (w *world) permissions(functions []string) policy.Document {
	place := policy.Place{Stack: "tagboat", Account: tools, Region: home}
	return policy.Target{Tools: place, Account: dev, Functions: functions}.Permissions()
}

// bucket has a staged object that an account may read.
func (w *world) bucket(name, reader string) {
	w.Helper()
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + reader + `:root"},
		"Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::` + name + `/staged/*"}]}`
	w.must(w.cloud.CreateBucket(tools, home, name, sim.BucketOptions{Versioned: true, Policy: document}))
	key := "staged/orders/ab.zip"
	out, err := w.cloud.Root(tools).S3(home).PutObject(w.ctx, &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader("zip")})
	w.must(err)
	w.staged = release.Object{Bucket: name, Key: key, VersionID: *out.VersionId}
}

func zipped(t *testing.T, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = f.Write([]byte("x = 1\n"))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// function makes orders-api with a layer of the tools account, shared with dev.
func (w *world) function() {
	w.Helper()
	layers := w.cloud.Root(tools).Lambda(home)
	published, err := layers.PublishLayerVersion(w.ctx, &lambda.PublishLayerVersionInput{
		LayerName: aws.String("orders-deps"), Content: &lambdatypes.LayerVersionContentInput{ZipFile: zipped(w.T, "python/deps.py")},
	})
	w.must(err)
	w.layer = *published.LayerVersionArn
	_, err = layers.AddLayerVersionPermission(w.ctx, &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String("orders-deps"), VersionNumber: aws.Int64(published.Version), StatementId: aws.String("dev"),
		Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String(dev),
	})
	w.must(err)
	_, err = w.cloud.Root(dev).Lambda(home).CreateFunction(w.ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("orders-api"), Role: aws.String("arn:aws:iam::" + dev + ":role/orders"), Runtime: lambdatypes.RuntimePython313,
		Handler: aws.String("app.handler"), Code: &lambdatypes.FunctionCode{ZipFile: zipped(w.T, "app.py")}, Layers: []string{w.layer},
	})
	w.must(err)
	w.alias("live")
}

func (w *world) alias(name string) {
	w.Helper()
	api := w.cloud.Root(dev).Lambda(home)
	v, err := api.PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: aws.String("orders-api")})
	w.must(err)
	_, err = api.CreateAlias(w.ctx, &lambda.CreateAliasInput{FunctionName: aws.String("orders-api"), Name: &name, FunctionVersion: v.Version})
	w.must(err)
}

func (w *world) released(id string) {
	w.Helper()
	w.must(w.ledger.PutLive(w.ctx, "env/orders/dev", ledger.Holder{}, ledger.Live{
		App: "orders", Environment: "dev", Account: dev, Region: home, Kind: ledger.LiveFunction, Name: "orders-api", Release: id,
	}))
	w.must(w.ledger.PutArtifact(w.ctx, id, release.Artifact{Name: "code", Objects: map[string]release.Object{home: w.staged}}))
}

func (w *world) assume(t release.Target, phase release.Phase) (*sim.Session, error) {
	limit, err := awsapi.SessionPolicy(t, phase)
	if err != nil {
		return nil, err
	}
	out, err := w.self.STS().AssumeRole(w.ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(awsapi.RoleARN(t)), RoleSessionName: aws.String("doctor"), ExternalId: &t.ExternalID, Policy: &limit,
	})
	if err != nil {
		return nil, err
	}
	return w.cloud.WithCredentials(*out.Credentials.AccessKeyId)
}

func (w *world) inside() *doctor.Inside {
	w.Helper()
	registry, err := config.ParseRegistry("registry.yaml", []byte(registryText))
	w.must(err)
	functions := func(t release.Target, phase release.Phase) (*sim.LambdaClient, error) {
		session, err := w.assume(t, phase)
		if err != nil {
			return nil, err
		}
		return session.Lambda(t.Region), nil
	}
	return &doctor.Inside{
		Registry: registry, Ledger: w.ledger, Roles: w.self.STS(),
		Functions: func(_ context.Context, t release.Target, phase release.Phase) (doctor.Functions, error) {
			return functions(t, phase)
		},
		Objects: func(_ context.Context, t release.Target, phase release.Phase) (doctor.Objects, error) {
			session, err := w.assume(t, phase)
			if err != nil {
				return nil, err
			}
			return session.S3(t.Region), nil
		},
		Layers: layer.New(layer.Config{Lambda: func(_ context.Context, t release.Target, phase release.Phase) (layer.API, error) {
			return functions(t, phase)
		}}).CheckAccess,
	}
}

func ask(functions ...release.FunctionSpec) doctor.Question {
	return doctor.Question{Manifests: []release.Manifest{{App: "orders", Functions: functions}}}
}

var api = release.FunctionSpec{Name: "orders-api", Alias: "live"}

func TestTargetsInOrderAreOK(t *testing.T) {
	within(t, func(w *world) {
		report := w.inside().Do(w.ctx, ask(api))
		for _, f := range report {
			if f.State != doctor.OK {
				w.Errorf("%+v, want ok", f)
			}
		}
		got := map[string]int{}
		for _, f := range report {
			got[f.Check]++
		}
		if want := map[string]int{"role": 2, "function": 2, "layer": 1, "staged code": 1}; !maps.Equal(got, want) {
			w.Errorf("findings are %v, want %v", got, want)
		}
	})
}

func has(report doctor.Report, check string, state doctor.State, detail string) bool {
	for _, f := range report {
		if f.Check == check && f.State == state && strings.Contains(f.Detail, detail) {
			return true
		}
	}
	return false
}

func TestWhatIsNotInOrderInsideIsTold(t *testing.T) {
	root := func(w *world) *sim.LambdaClient { return w.cloud.Root(dev).Lambda(home) }
	for name, c := range map[string]struct {
		spoil    func(w *world)
		question doctor.Question
		check    string
		state    doctor.State
		detail   string
	}{
		"a role with another external id": {func(w *world) { w.trust("other", w.self.ARN(), sim.RoleARN(tools, "tagboat-doctor")) }, ask(api),
			"role", doctor.Failed, "cannot be assumed"},
		"a role that trusts others": {func(w *world) { w.trust("tagboat-dev", sim.RoleARN(tools, "tagboat-plan")) }, ask(api),
			"role", doctor.Failed, "cannot be assumed"},
		"what hangs on such a role": {func(w *world) { w.trust("other", sim.RoleARN(tools, "tagboat-doctor")) }, ask(api),
			"function", doctor.NotChecked, "cannot be assumed"},
		"a role that asks for no external id": {func(w *world) { w.trust("", sim.RoleARN(tools, "tagboat-doctor")) }, ask(api),
			"role", doctor.Failed, "without one"},
		"AWS out of reach": {func(w *world) { w.fault("sts", "AssumeRole") }, ask(api), "role", doctor.NotChecked, "could not be asked"},
		"a function that is not there": {func(w *world) {
			_, err := root(w).DeleteFunction(w.ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("orders-api")})
			w.must(err)
		}, ask(api), "function", doctor.Failed, "not there"},
		"a function that the role does not name": {func(w *world) {
			w.target("tagboat-dev", []string{"orders-other"}, sim.RoleARN(tools, "tagboat-doctor"))
		}, ask(api), "function", doctor.Failed, "may not see it"},
		"a function that cannot be asked for": {func(w *world) { w.fault("lambda", "GetFunction") }, ask(api),
			"function", doctor.NotChecked, "could not be asked"},
		"an alias that is not there": {func(*world) {}, ask(release.FunctionSpec{Name: "orders-api", Alias: "blue"}),
			"function", doctor.Warning, `no alias "blue"`},
		"a layer that is not shared any more": {func(w *world) {
			_, err := w.cloud.Root(tools).Lambda(home).RemoveLayerVersionPermission(w.ctx, &lambda.RemoveLayerVersionPermissionInput{
				LayerName: aws.String("orders-deps"), VersionNumber: aws.Int64(1), StatementId: aws.String("dev"),
			})
			w.must(err)
		}, ask(api), "layer", doctor.Failed, "cannot be read"},
		"a layer that cannot be asked for": {func(w *world) { w.fault("lambda", "GetLayerVersion") }, ask(api),
			"layer", doctor.NotChecked, "could not be asked"},
		"a bucket that does not let the account in": {func(w *world) {
			w.bucket("tagboat-state-999999999999-eu-west-1", tools)
			w.released("r2")
		}, ask(api), "staged code", doctor.Failed, "may not read"},
		"a release that staged nothing": {func(w *world) {
			w.must(w.ledger.PutLive(w.ctx, "env/orders/dev", ledger.Holder{}, ledger.Live{
				App: "orders", Environment: "dev", Account: dev, Region: home, Kind: ledger.LiveFunction, Name: "orders-api", Release: "r2",
			}))
		}, ask(api), "staged code", doctor.NotChecked, "staged nothing"},
		"a manifest of an app that there is not": {func(*world) {}, doctor.Question{Manifests: []release.Manifest{{App: "ordres"}}},
			"manifest", doctor.Failed, `no app "ordres"`},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(w *world) {
				c.spoil(w)
				report := w.inside().Do(w.ctx, c.question)
				if !has(report, c.check, c.state, c.detail) {
					w.Errorf("no finding %s of the %s with %q in %+v", c.state, c.check, c.detail, report)
				}
				for _, f := range report {
					if f.State == doctor.OK && f.Check == c.check && c.state == doctor.Failed && c.check != "role" {
						w.Errorf("%+v is told as well", f)
					}
					if (f.State == doctor.Failed || f.State == doctor.Warning) && f.Remedy == "" {
						w.Errorf("%+v has no remedy", f)
					}
				}
			})
		})
	}
}

// fault makes an operation unreachable.
func (w *world) fault(service, action string) {
	w.cloud.OnCall(func(c sim.Call) sim.Fault {
		if strings.EqualFold(c.Service, service) && strings.HasPrefix(c.Action, action) {
			return sim.Fault{Before: errors.New("connection reset")}
		}
		return sim.Fault{}
	})
}

// What there is no time for is not taken for good.
func TestWhatThereIsNoTimeForIsNotChecked(t *testing.T) {
	within(t, func(w *world) {
		inside := w.inside()
		ctx, cancel := context.WithCancel(w.ctx)
		roles := inside.Roles
		inside.Roles = assuming(func(in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
			defer cancel() // after the first
			return roles.AssumeRole(w.ctx, in)
		})
		report := inside.Do(ctx, ask(api))
		if !has(report, "function", doctor.NotChecked, "time was over") {
			w.Errorf("%+v, want the function not checked", report)
		}
	})
}

type assuming func(*sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error)

func (a assuming) AssumeRole(_ context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	return a(in)
}

// The looks leave everything as it was.
func TestTheLooksChangeNothing(t *testing.T) {
	within(t, func(w *world) {
		w.cloud.RecordCalls(1000)
		before := len(w.cloud.Calls())
		w.inside().Do(w.ctx, ask(api))
		for _, c := range w.cloud.Calls()[before:] {
			switch c.Action {
			case "AssumeRole", "GetFunction", "GetAlias", "GetLayerVersion", "GetLayerVersionByArn", "HeadObject":
			default:
				w.Errorf("%s %s was called", c.Service, c.Action)
			}
		}
	})
}
