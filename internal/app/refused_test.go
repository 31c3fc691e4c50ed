package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// refusal is a release that is refused before it changes anything.
type refusal struct {
	name string
	// prepare changes the world before the release.
	prepare func(w *world)
	// registry and manifest are edits of the demo's; files replaces the repository's.
	registry, manifest []string
	files              github.Files
	// upload, if not nil, are objects to upload instead of a tag.
	upload map[string][]byte
	// during sees each task.
	during func(w *world, k task)
	says   []string
}

func TestBadInputIsRefusedBeforeAnythingChanges(t *testing.T) {
	for _, test := range refusals(t) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: edited(t, demo.Registry, test.registry...)})
			if test.prepare != nil {
				test.prepare(w)
			}
			if test.during != nil {
				w.onTask = func(k task) fault { test.during(w, k); return fault{} }
			}
			before, calls := w.targets(), w.calls()
			rel := test.release(w)
			wantState(t, rel, release.Refused)
			wantText(t, rel.Error+"\n"+rel.Remedy, test.says...)
			if rel.Remedy == "" {
				t.Errorf("%q comes without a next step", rel.Error)
			}
			if writes := w.writes(calls); len(writes) > 0 {
				t.Errorf("something was changed: %+v", writes)
			}
			w.unchanged(before)
			w.sound()
		})
	}
}

// release plays it and returns the record of its end.
func (r refusal) release(w *world) release.Release {
	w.t.Helper()
	if r.upload == nil {
		f := r.files
		if f == nil {
			f = files(edited(w.t, demo.Manifest, r.manifest...))
		}
		return w.released("v1.1.0", f)
	}
	for _, name := range []string{"deps.zip", "tagboat.yaml"} {
		if err := w.Upload(w.t.Context(), "artifacts/orders/1.1.0/"+name, r.upload[name], nil); err != nil {
			w.t.Fatal(err)
		}
	}
	answer := w.Answers[len(w.Answers)-1]
	if answer.Status != release.AnswerStarted {
		w.t.Fatalf("got %+v, want started", answer)
	}
	w.settle()
	return w.record(answer.Releases[0])
}

func refusals(t *testing.T) []refusal {
	return append(badManifests(), append(badTargets(), badArtifacts(t)...)...)
}

func badManifests() []refusal {
	without := demo.Files(demo.Handler, "2.32.3")
	delete(without, "tagboat.yaml")
	return []refusal{
		{name: "the manifest is missing", files: without, says: []string{`no manifest "tagboat.yaml"`, `"v1.1.0"`, "Add it to the repository"}},
		{name: "the manifest has an unknown field", manifest: []string{"    alias: live\n    traffic:", "    alias: live\n    trafic:"},
			says: []string{"tagboat.yaml", `"trafic"`, "traffic"}},
		{name: "the manifest names another app", manifest: []string{"app: orders", "app: billing"}, says: []string{`"billing"`, `"orders"`}},
		{name: "a function is outside of the app's resources", manifest: []string{"name: orders-worker", "name: billing-worker"},
			says: []string{`"billing-worker"`, "orders-*"}},
		{name: "a layer is shared beyond the registry", manifest: []string{`accounts: ["333333333333"]`, `accounts: ["444444444444"]`},
			says: []string{`444444444444`, "333333333333"}},
		{name: "a layer is shared with everyone", manifest: []string{`share: {accounts: ["333333333333"], organization: true}`, `share: {public: true}`},
			says: []string{"tagboat.yaml:11", "layers[0].share.public", "everyone"}},
		{name: "the commit is on none of the branches", registry: []string{"branches: [main]", "branches: [stable]"},
			prepare: func(w *world) { w.Repo.Commit("stable", "another", demo.Files(demo.Handler, "1")) },
			says:    []string{`"v1.1.0"`, "stable"}},
	}
}

func badTargets() []refusal {
	return []refusal{
		{name: "a function does not exist", manifest: []string{"name: orders-worker", "name: orders-nobody"},
			says: []string{`orders-nobody`, "want it to exist", demo.Dev, demo.Prod, demo.Europe, "create it"}},
		{name: "a function is an image", prepare: func(w *world) { w.replaceByImage("orders-worker") },
			says: []string{"orders-worker", "image", demo.Dev}},
		{name: "a function has another runtime than the layer", prepare: func(w *world) {
			w.configure(demo.Prod, demo.Europe, "orders-api", &lambda.UpdateFunctionConfigurationInput{Runtime: "python3.12"})
		}, says: []string{"orders-api", "python3.13", "python3.12", demo.Europe}},
		{name: "a function would have six layers", prepare: func(w *world) { w.fillLayers("orders-api") },
			says: []string{"orders-api", "want at most 5 layers, got 6", "remove one"}},
		{name: "a role is refused because of its external id", registry: []string{"external_id: tagboat-prod", "external_id: mistaken"},
			says: []string{"tagboat-target", demo.Prod, "cannot be assumed", "external id"}},
	}
}

func badArtifacts(t *testing.T) []refusal {
	good := zipped(t, map[string]string{"python/x.py": "x = 1\n"})
	upload := func(deps []byte) map[string][]byte {
		return map[string][]byte{"deps.zip": deps, "tagboat.yaml": []byte(demo.Upload)}
	}
	bomb := zipped(t, map[string]string{"python/zeros": strings.Repeat("\x00", 270<<20)})
	return []refusal{
		{name: "the layer has nothing under python", manifest: []string{"deps: {archive: layer}", "deps: {archive: src}"},
			says: []string{`"deps"`, "orders-deps", "python/"}},
		{name: "the archive's directory is not there", manifest: []string{"deps: {archive: layer}", "deps: {archive: vendor}"},
			says: []string{`"deps"`, `vendor`}},
		{name: "a zip bomb", upload: upload(bomb), says: []string{`"deps"`, "262144000"}},
		{name: "a zip with a name that leaves it", upload: upload(zipped(t, map[string]string{"python/../../etc/x.py": ""})),
			says: []string{`"deps"`, "python/../../etc/x.py"}},
		{name: "a corrupt zip", upload: upload(good[:len(good)-30]), says: []string{`"deps"`, "zip"}},
		{name: "a zip of another digest than the manifest's", upload: map[string][]byte{"deps.zip": good,
			"tagboat.yaml": []byte(edited(t, demo.Upload, "deps: {object: deps.zip}", "deps: {object: deps.zip, sha256: "+strings.Repeat("a", 64)+"}"))},
			says: []string{`"deps"`, strings.Repeat("a", 64)}},
		{name: "the manifest's version is gone", upload: upload(good), during: func(w *world, k task) {
			if k.function == "Manifest" {
				w.forget("artifacts/orders/1.1.0/tagboat.yaml")
			}
		}, says: []string{"s3://tagboat-uploads/artifacts/orders/1.1.0/tagboat.yaml"}},
		{name: "an object's version is gone", upload: upload(good), during: func(w *world, k task) {
			if k.function == "Stage" {
				w.forget("artifacts/orders/1.1.0/deps.zip")
			}
		}, says: []string{"s3://tagboat-uploads/artifacts/orders/1.1.0/deps.zip", "Upload the manifest last"}},
	}
}

func zipped(t *testing.T, contents map[string]string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for name, content := range contents {
		entry, err := w.Create(name)
		if err == nil {
			_, err = entry.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// forget deletes every version of an uploaded object. It is called inside of the clock.
func (w *world) forget(key string) {
	for _, object := range w.Cloud.Objects(demo.UploadsBucket) {
		if object.Key != key {
			continue
		}
		if _, err := w.Cloud.Root(demo.Tools).S3(demo.Home).DeleteObject(w.t.Context(), &s3.DeleteObjectInput{
			Bucket: aws.String(demo.UploadsBucket), Key: &key, VersionId: aws.String(object.VersionID),
		}); err != nil {
			w.t.Error(err)
		}
	}
}

// admin is a client with all rights, and waits for what it changed.
func (w *world) admin(account, region string, change func(ctx context.Context, api *sim.LambdaClient) error) {
	w.t.Helper()
	w.in(func(ctx context.Context) {
		if err := change(ctx, w.Cloud.Root(account).Lambda(region)); err != nil {
			w.t.Fatal(err)
		}
		_ = w.Clock.Sleep(ctx, time.Minute)
	})
}

func (w *world) configure(account, region, name string, in *lambda.UpdateFunctionConfigurationInput) {
	w.t.Helper()
	in.FunctionName = &name
	w.admin(account, region, func(ctx context.Context, api *sim.LambdaClient) error {
		_, err := api.UpdateFunctionConfiguration(ctx, in)
		return err
	})
}

func (w *world) replaceByImage(name string) {
	w.t.Helper()
	w.admin(demo.Dev, demo.Home, func(ctx context.Context, api *sim.LambdaClient) error {
		if _, err := api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
			return err
		}
		_, err := api.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: &name, Role: aws.String(sim.RoleARN(demo.Dev, "orders")), PackageType: types.PackageTypeImage,
			Code: &types.FunctionCode{ImageUri: aws.String(demo.Dev + ".dkr.ecr.us-east-1.amazonaws.com/orders@sha256:" + strings.Repeat("a", 64))},
		})
		return err
	})
}

// fillLayers gives a function five layers of its own.
func (w *world) fillLayers(name string) {
	w.t.Helper()
	var arns []string
	w.admin(demo.Dev, demo.Home, func(ctx context.Context, api *sim.LambdaClient) error {
		for i := range 5 {
			out, err := api.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
				LayerName: aws.String(fmt.Sprintf("own-%d", i)),
				Content:   &types.LayerVersionContentInput{ZipFile: zipped(w.t, map[string]string{"python/x.py": fmt.Sprint(i)})},
			})
			if err != nil {
				return err
			}
			arns = append(arns, *out.LayerVersionArn)
		}
		return nil
	})
	w.configure(demo.Dev, demo.Home, name, &lambda.UpdateFunctionConfigurationInput{Layers: arns})
}

func TestOlderVersions(t *testing.T) {
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.2.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	before, calls := w.targets(), w.calls()

	rel := w.released("v1.1.0", demo.Files(demo.Handler+"# older\n", "2.32.3"))
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error, "1.1.0", "older than 1.2.0", "live in dev")
	wantText(t, rel.Remedy, "tagboat release --app orders --tag v1.1.0 --retry --force")
	if writes := w.writes(calls); len(writes) > 0 {
		t.Errorf("something was changed: %+v", writes)
	}
	w.unchanged(before)

	again := w.ordered(orderOf("v1.1.0", true, true))
	wantState(t, again, release.Succeeded)
	if again.Attempt != 2 {
		t.Errorf("attempt is %d, want 2", again.Attempt)
	}
	wantState(t, w.released("v1.1.5", demo.Files(demo.Handler+"# between\n", "2.32.3")), release.Succeeded)
	w.sound()
}

// TestOlderThanLiveIsAskedAgainUnderTheLease lets a newer release overtake one
// that waits for its approval.
func TestOlderThanLiveIsAskedAgainUnderTheLease(t *testing.T) {
	w := newWorld(t, worldOptions{registry: edited(t, demo.Registry, "    bake: 10m\n", "    bake: 10m\n    approval: required\n")})
	var older, newer string
	w.in(func(ctx context.Context) {
		older = w.pushed(ctx, "v1.1.0", demo.Files(demo.Handler, "2.32.3"))
		w.until(ctx, older, release.WaitingApproval)
		newer = w.pushed(ctx, "v1.2.0", demo.Files(demo.Handler+"# newer\n", "2.32.3"))
		w.until(ctx, newer, release.WaitingApproval)
		w.approve(ctx, newer, "alice", true)
		w.until(ctx, newer, release.Succeeded)
		w.approve(ctx, older, "alice", true)
	})
	w.settle()
	rel := w.record(older)
	wantState(t, rel, release.FailedClean)
	wantText(t, rel.Error, "1.1.0", "older than 1.2.0", "live in prod")
	w.sound()
}

// put writes an object of the uploads bucket, inside of the clock.
func put(t *testing.T, api *sim.S3Client, key string, body []byte) {
	t.Helper()
	if _, err := api.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(demo.UploadsBucket), Key: &key, Body: bytes.NewReader(body),
	}); err != nil {
		t.Error(err)
	}
}
