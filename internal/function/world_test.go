package function_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

const (
	account = "111111111111"
	region  = "us-east-1"
	bucket  = "staging"
	name    = "orders-api"
	alias   = "live"
	runtime = "python3.13"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	site  = release.Site{Environment: "dev", Account: account, Region: region}
	at    = release.Target{Site: site, App: "orders"}

	oldZip, newZip = zipOf("old"), zipOf("new")
)

// world is a cloud with a function that has version 1 behind an alias, its old
// and new layers, and the record of a release that survives crashes.
type world struct {
	t         *testing.T
	clock     *clock.Virtual
	cloud     *sim.Cloud
	functions *function.Functions
	api       function.API
	layers    map[string]string // ARNs by name
	newCode   release.Object
	saves     int // of archives

	plan    release.Plan
	durable map[string]release.Result
	dead    bool  // the task was killed and not started again yet
	guard   error // of the lease
}

var errKilled = errors.New("killed")

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewVirtual(start, 0), layers: map[string]string{}, durable: map[string]release.Result{}}
	w.cloud = sim.New(w.clock)
	w.api = w.cloud.Root(account).Lambda(region)
	w.functions = function.New(function.Config{
		Lambda: func(context.Context, release.Target, release.Phase) (function.API, error) { return w.api, nil },
		Alarms: func(context.Context, release.Target) (function.AlarmsAPI, error) {
			return w.cloud.Root(account).CloudWatch(region), nil
		},
		Archive: archive{w},
		Clock:   w.clock,
	})
	must(t, w.cloud.CreateBucket(account, region, bucket, sim.BucketOptions{Versioned: true}))
	w.do(func(ctx context.Context) {
		w.newCode = w.put(ctx, "new.zip", newZip)
		for _, layer := range []string{"old", "new", "foreign"} {
			w.layers[layer] = w.publishLayer(ctx, layer)
		}
		w.createFunction(ctx)
	})
	return w
}

func (w *world) do(f func(context.Context)) { w.clock.Run(func() { f(context.Background()) }) }

func (w *world) admin() *sim.LambdaClient { return w.cloud.Root(account).Lambda(region) }

// put stages bytes.
func (w *world) put(ctx context.Context, key string, body []byte) release.Object {
	out, err := w.cloud.Root(account).S3(region).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(body),
	})
	must(w.t, err)
	return release.Object{Bucket: bucket, Key: key, VersionID: *out.VersionId}
}

// publishLayer makes a version of a layer; "old" and "new" are two versions of the same.
func (w *world) publishLayer(ctx context.Context, which string) string {
	layer := "deps"
	if which == "foreign" {
		layer = which
	}
	out, err := w.admin().PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
		LayerName: &layer, Content: &types.LayerVersionContentInput{ZipFile: zipOf("layer " + which)},
	})
	must(w.t, err)
	return *out.LayerVersionArn
}

func (w *world) createFunction(ctx context.Context) {
	_, err := w.admin().CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Runtime: runtime, Handler: aws.String("app.handler"), Role: aws.String("arn:aws:iam::" + account + ":role/run"),
		MemorySize: aws.Int32(512), Code: &types.FunctionCode{ZipFile: oldZip}, Publish: true,
		Layers:      []string{w.layers["foreign"], w.layers["old"]},
		Environment: &types.Environment{Variables: map[string]string{"SECRET": "hunter22", "MODE": "before"}},
	})
	must(w.t, err)
	must(w.t, w.clock.Sleep(ctx, time.Minute))
	_, err = w.admin().CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String(name), Name: aws.String(alias), FunctionVersion: aws.String("1")})
	must(w.t, err)
}

// archive is a function.Archive over the staging bucket.
type archive struct{ w *world }

func (a archive) StagedCode(ctx context.Context, _, _, codeSHA256 string) (release.Object, bool, error) {
	for _, o := range a.w.cloud.Objects(bucket) {
		if o.Key == key(codeSHA256) {
			return release.Object{Bucket: bucket, Key: o.Key, VersionID: o.VersionID}, true, nil
		}
	}
	return release.Object{}, false, nil
}

func (a archive) SaveCode(ctx context.Context, _, _, _, codeSHA256, url string) (release.Object, error) {
	out, err := a.w.cloud.HTTP().Get(url)
	if err != nil {
		return release.Object{}, err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil || out.StatusCode != 200 {
		return release.Object{}, release.Errorf(release.Internal, "download: %d %v", out.StatusCode, err)
	}
	a.w.saves++
	client := a.w.cloud.Root(account).S3(region)
	stored, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key(codeSHA256)), Body: bytes.NewReader(body)})
	if err != nil {
		return release.Object{}, err
	}
	return release.Object{Bucket: bucket, Key: key(codeSHA256), VersionID: *stored.VersionId}, nil
}

func key(codeSHA256 string) string { return "code/" + strings.ReplaceAll(codeSHA256, "/", "_") }

// zipOf is an archive with one file.
func zipOf(content string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("app.py")
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err) // writing to memory
	}
	return b.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// observe takes a snapshot of the function.
func (w *world) observe(ctx context.Context, want release.Want) release.FunctionState {
	w.t.Helper()
	states, err := w.functions.Snapshot(ctx, at, []release.Want{want})
	must(w.t, err)
	return states[want.Name]
}

// steps plans the update of the function from a snapshot, and the shift.
func (w *world) steps(ctx context.Context, change func(*release.FunctionStep, *release.ShiftStep)) (update, shift release.Step) {
	w.t.Helper()
	f := &release.FunctionStep{
		Name: name, Alias: alias, Description: "orders 2.0.0",
		Code:   &release.Code{Object: w.newCode, CodeSHA256: sum(newZip)},
		Layers: []string{w.layers["foreign"], release.LayerRef("deps", "digest")},
	}
	s := &release.ShiftStep{Name: name, Alias: alias}
	change(f, s)
	f.Before = w.observe(ctx, release.Want{Name: name, Alias: f.Alias, CodeSHA256: sum(newZip)})
	if f.Before.Alias != nil {
		s.Before = *f.Before.Alias
	}
	w.plan = release.Plan{
		Release: "orders-2", Poll: release.Duration(30 * time.Second),
		Layers: map[string]string{release.LayerKey(region, "deps@digest"): w.layers["new"]},
	}
	update = release.Step{ID: release.StepID(release.UpdateFunction, site, name), Kind: release.UpdateFunction, Site: site, Function: f}
	shift = release.Step{ID: release.StepID(release.ShiftTraffic, site, name), Kind: release.ShiftTraffic, Site: site, Shift: s}
	return update, shift
}

// work is a step with the record that has survived.
func (w *world) work(step release.Step) *release.Work {
	result := w.durable[step.ID]
	return &release.Work{
		Release: &release.Release{ID: "orders-2"}, Plan: &w.plan, Step: step, Target: at, Result: &result,
		Earlier: func(id string) (release.Result, bool) { r, ok := w.durable[id]; return r, ok },
		Guard: func(context.Context) error {
			if w.dead {
				return errKilled
			}
			return w.guard
		},
		Save: func(context.Context) error {
			if w.dead {
				return errKilled
			}
			w.durable[step.ID] = result
			return nil
		},
		Late: func() time.Time { return time.Time{} },
	}
}

type turn func(context.Context, *release.Work) (time.Duration, error)

// run takes turns at a step until it is done or ends with an error, as the task
// does: it records the result after each, tries again what is transient, and
// starts from what was recorded after being killed.
func (w *world) run(ctx context.Context, step release.Step, do turn) error {
	w.t.Helper()
	for range 200 {
		work := w.work(step)
		wait, err := do(ctx, work)
		switch {
		case w.dead:
			w.dead, wait = false, time.Minute
		case release.KindOf(err) == release.Transient && err != nil:
			wait = 2 * time.Second
			w.durable[step.ID] = *work.Result
		case err != nil:
			w.durable[step.ID] = *work.Result
			return err
		default:
			w.durable[step.ID] = *work.Result
			if wait == 0 {
				return nil
			}
		}
		must(w.t, w.clock.Sleep(ctx, wait))
	}
	w.t.Fatalf("step %s did not end within 200 turns", step.ID)
	return nil
}

func (w *world) apply(ctx context.Context, step release.Step) error {
	w.t.Helper()
	return w.run(ctx, step, w.functions.Apply)
}

func (w *world) rollBack(ctx context.Context, step release.Step) error {
	w.t.Helper()
	return w.run(ctx, step, w.functions.RollBack)
}

func (w *world) state() sim.FunctionState {
	w.t.Helper()
	state, ok := w.cloud.Function(account, region, name)
	if !ok {
		w.t.Fatalf("function %q is gone", name)
	}
	return state
}

// calls counts the calls since the record was cleared.
func (w *world) calls() map[string]int {
	counts := map[string]int{}
	for _, call := range w.cloud.Calls() {
		counts[call.Action]++
	}
	return counts
}

func (w *world) clearCalls() {
	w.cloud.RecordCalls(0)
	w.cloud.RecordCalls(1000)
}
