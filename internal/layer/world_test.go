package layer_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

const (
	tools  = "999999999999"
	member = "111111111111"
	other  = "333333333333"
	region = "us-east-1"
	bucket = "staging"
	name   = "orders-deps"
	org    = "o-abc1234567"
)

var (
	site    = release.Site{Environment: release.ToolsEnvironment, Account: tools, Region: region}
	at      = release.Target{Site: site, App: "orders"}
	content = zipOf("requests")
)

// world is a cloud with a staged layer, and the ledger's part that layers need.
type world struct {
	t       *testing.T
	clock   *clock.Virtual
	cloud   *sim.Cloud
	layers  *layer.Layers
	api     layer.API
	object  release.Object
	known   map[string]string
	holder  string // of the lease
	revoked []release.Revocation
	durable map[string]release.Result
	dead    bool
}

var errKilled = errors.New("killed")

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewVirtual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 0), known: map[string]string{}, durable: map[string]release.Result{}}
	w.cloud = sim.New(w.clock)
	w.cloud.Organization(org, member)
	w.api = w.cloud.Root(tools).Lambda(region)
	w.layers = layer.New(layer.Config{
		Lambda: func(_ context.Context, target release.Target, _ release.Phase) (layer.API, error) {
			if target.Account == tools {
				return w.api, nil
			}
			return w.cloud.Root(target.Account).Lambda(target.Region), nil
		},
		Known: w, Lock: w, Revoked: w, Clock: w.clock,
	})
	must(t, w.cloud.CreateBucket(tools, region, bucket, sim.BucketOptions{Versioned: true}))
	w.do(func(ctx context.Context) { w.object = w.put(ctx, content) })
	return w
}

func (w *world) do(f func(context.Context)) { w.clock.Run(func() { f(context.Background()) }) }

func (w *world) put(ctx context.Context, body []byte) release.Object {
	out, err := w.cloud.Root(tools).S3(region).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("deps.zip"), Body: bytes.NewReader(body)})
	must(w.t, err)
	return release.Object{Bucket: bucket, Key: "deps.zip", VersionID: *out.VersionId}
}

// LayerVersion and PutLayerVersion are the ledger's.
func (w *world) LayerVersion(_ context.Context, name, region, digest string) (string, bool, error) {
	arn, ok := w.known[name+region+digest]
	return arn, ok, nil
}

func (w *world) PutLayerVersion(_ context.Context, name, region, digest, arn string) error {
	if w.dead {
		return errKilled
	}
	w.known[name+region+digest] = arn
	return nil
}

// Revocations are the ledger's.
func (w *world) Revocations(context.Context, string) ([]release.Revocation, error) {
	return slices.Clone(w.revoked), nil
}

func (w *world) RevokedBack(_ context.Context, layer string, grant release.Grant) error {
	for i, r := range w.revoked {
		if r.Layer == layer && r.Grant == grant {
			w.revoked[i].Gone = time.Time{}
			return nil
		}
	}
	return release.Errorf(release.NotFound, "not taken back")
}

// Lock and Unlock are the lease's.
func (w *world) Lock(_ context.Context, _, _ string, holder *release.Release) (bool, error) {
	if w.holder == "" {
		w.holder = holder.ID
	}
	return w.holder == holder.ID, nil
}

func (w *world) Unlock(_ context.Context, _, _ string, holder *release.Release) error {
	if !w.dead && w.holder == holder.ID {
		w.holder = ""
	}
	return nil
}

func zipOf(text string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("python/deps.py")
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err) // writing to memory
	}
	return b.Bytes()
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(digest[:])
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) publishStep() release.Step {
	return release.Step{
		ID: release.StepID(release.PublishLayer, site, name), Kind: release.PublishLayer, Site: site,
		Layer: &release.LayerStep{
			Name: name, Digest: "digest", Content: w.object, CodeSHA256: sum(content),
			Runtimes: []string{"python3.13", "python3.12"}, Architectures: []string{"x86_64"}, Description: "requests 2.32.3",
		},
	}
}

func shareStep(grants ...release.Grant) release.Step {
	return release.Step{
		ID: release.StepID(release.ShareLayer, site, name), Kind: release.ShareLayer, Site: site,
		Share: &release.ShareStep{Name: name, Digest: "digest", Grants: grants},
	}
}

func (w *world) work(step release.Step) *release.Work {
	result := w.durable[step.ID]
	alive := func(context.Context) error {
		if w.dead {
			return errKilled
		}
		return nil
	}
	return &release.Work{
		Release: &release.Release{ID: "orders-2"}, Plan: &release.Plan{}, Step: step, Target: at, Result: &result,
		Earlier: func(id string) (release.Result, bool) { r, ok := w.durable[id]; return r, ok },
		Guard:   alive,
		Save: func(ctx context.Context) error {
			if err := alive(ctx); err != nil {
				return err
			}
			w.durable[step.ID] = result
			return nil
		},
		Late: func() time.Time { return time.Time{} },
	}
}

// run takes turns as the task does, and starts again after being killed.
func (w *world) run(ctx context.Context, step release.Step) error {
	w.t.Helper()
	for range 50 {
		work := w.work(step)
		wait, err := w.layers.Apply(ctx, work)
		switch {
		case w.dead:
			w.dead, wait = false, time.Minute
		case err != nil && release.KindOf(err) == release.Transient:
			wait = 2 * time.Second
		case err != nil:
			return err
		case wait == 0:
			w.durable[step.ID] = *work.Result
			return nil
		}
		must(w.t, w.clock.Sleep(ctx, wait))
	}
	w.t.Fatalf("step %s did not end within 50 turns", step.ID)
	return nil
}

func (w *world) versions() []sim.LayerVersionState { return w.cloud.LayerVersions(tools, region, name) }
