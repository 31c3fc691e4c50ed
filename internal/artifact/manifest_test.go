package artifact_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

var orders = release.App{Name: "orders", DropManifest: "manifests/orders.yaml"}

func TestManifestOfATag(t *testing.T) {
	within(t, func(w *world) {
		rel := w.tagged(github.Files{"tagboat.yaml": github.Text("app: orders\n"), "deploy/orders.yaml": github.Text("app: other\n")})
		w.repo.Commit("main", "later", github.Files{"tagboat.yaml": github.Text("app: later\n")})
		for path, want := range map[string]string{"": "app: orders\n", "deploy/orders.yaml": "app: other\n"} {
			got, err := w.stager.Manifest(w.ctx, rel, release.App{Name: "orders", Manifest: path})
			w.must(err)
			if string(got.Text) != want || path != "" && got.Name != path {
				t.Errorf("manifest %q: got %q named %q, want %q", path, got.Text, got.Name, want)
			}
		}
	})
}

func TestATagWithoutAManifestIsInvalid(t *testing.T) {
	within(t, func(w *world) {
		rel := w.tagged(github.Files{"README.md": github.Text("x")})
		_, err := w.stager.Manifest(w.ctx, rel, orders)
		wantError(t, err, release.Invalid, "acme/orders", `"tagboat.yaml"`, `"v1.2.3"`)
		if release.RemedyOf(err) == "" {
			t.Error("there is no remedy")
		}
	})
}

func TestManifestOfAnUploadIsThePinnedVersion(t *testing.T) {
	within(t, func(w *world) {
		key := "artifacts/orders/1.2.3+4/tagboat.yaml"
		source := w.put(key, []byte("first"), map[string]string{"Commit": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "Actor": "jane"})
		w.put(key, []byte("second"), nil)
		got, err := w.stager.Manifest(w.ctx, uploaded(source), orders)
		w.must(err)
		want := artifact.Manifest{Name: key, Text: []byte("first"), Commit: "6113728f27ae82c7b1a177c8d03f9e96e0adf246", Actor: "jane"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestMetadataIsOneShortLine(t *testing.T) {
	tests := []struct{ name, actor, want string }{
		{"a name", "jane", "jane"},
		{"a name with a space", " Jane Doe ", "Jane Doe"},
		{"a name that S3 encoded", "=?UTF-8?B?SsO8cmdlbg==?=", "Jürgen"},
		{"what only looks encoded", "=?UTF-8?X?zz?=", "=?UTF-8?X?zz?="},
		{"an escape sequence", "ja\x1b[2Jne", "ja[2Jne"},
		{"lines", "jane\r\nroot", "janeroot"},
		{"writing backwards", "jane\u202e", "jane"},
		{"a long text", strings.Repeat("ü", 2000), strings.Repeat("ü", 100)},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				source := w.put("artifacts/orders/1/tagboat.yaml", []byte("app: orders"), map[string]string{"actor": test.actor})
				got, err := w.stager.Manifest(w.ctx, uploaded(source), orders)
				w.must(err)
				if got.Actor != test.want {
					t.Errorf("got %q, want %q", got.Actor, test.want)
				}
			})
		})
	}
}

func TestUploadedManifestsThatCannotBeRead(t *testing.T) {
	tests := []struct {
		name   string
		source func(w *world) release.Source
		part   string
	}{
		{"the version is gone", func(w *world) release.Source {
			source := w.put("artifacts/orders/1/tagboat.yaml", []byte("x"), nil)
			w.remove(source.Key, &source.VersionID)
			return source
		}, "gone"},
		{"it is too large", func(w *world) release.Source {
			return w.put("artifacts/orders/1/tagboat.yaml", make([]byte, 1<<20+1), nil)
		}, "larger"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				_, err := w.stager.Manifest(w.ctx, uploaded(test.source(w)), orders)
				wantError(t, err, release.Invalid, "artifacts/orders/1/tagboat.yaml", test.part)
			})
		})
	}
}

func TestAnUploadThatWasOnlyMarkedDeletedCanBeReleased(t *testing.T) {
	within(t, func(w *world) {
		source := w.put("artifacts/orders/1/tagboat.yaml", []byte("x"), nil)
		w.remove(source.Key, nil)
		_, err := w.stager.Manifest(w.ctx, uploaded(source), orders)
		w.must(err)
	})
}

func TestManifestOfADropIsInTheStateBucket(t *testing.T) {
	within(t, func(w *world) {
		_, err := w.stager.State.Put(w.ctx, orders.DropManifest, []byte("app: orders\n"))
		w.must(err)
		rel := uploaded(w.put("drops/orders/deps/1.2.3.zip", []byte("zip"), map[string]string{"actor": "ci"}))
		rel.Request.Artifact = "deps"
		w.put(rel.Source.Key, []byte("a later drop"), map[string]string{"actor": "somebody else"})
		got, err := w.stager.Manifest(w.ctx, rel, orders)
		w.must(err)
		if got.Name != orders.DropManifest || string(got.Text) != "app: orders\n" || got.Actor != "ci" {
			t.Errorf("got %+v", got)
		}
		w.remove(rel.Source.Key, &rel.Source.VersionID)
		_, err = w.stager.Manifest(w.ctx, rel, orders)
		wantError(t, err, release.Invalid, "drops/orders/deps/1.2.3.zip", "gone")
	})
}

func TestADropWithoutItsManifestIsInvalid(t *testing.T) {
	within(t, func(w *world) {
		rel := uploaded(w.put("drops/orders/deps/1.2.3.zip", []byte("zip"), nil))
		rel.Request.Artifact = "deps"
		_, err := w.stager.Manifest(w.ctx, rel, orders)
		wantError(t, err, release.Invalid, `"orders"`, "s3://"+stateBucket+"/manifests/orders.yaml")
	})
}

func TestHeadFindsTheNewestVersion(t *testing.T) {
	within(t, func(w *world) {
		w.put("artifacts/orders/1/tagboat.yaml", []byte("first"), nil)
		want := w.put("artifacts/orders/1/tagboat.yaml", []byte("second"), nil)
		got, err := w.stager.Head(w.ctx, uploadsBucket, want.Key)
		w.must(err)
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		_, err = w.stager.Head(w.ctx, uploadsBucket, "artifacts/orders/2/tagboat.yaml")
		wantError(t, err, release.NotFound, "artifacts/orders/2/tagboat.yaml")
		_, err = w.stager.State.Put(w.ctx, "x", 1)
		w.must(err)
		_, err = (&artifact.S3Store{S3: w.s3(home), Bucket: plainBucket}).Put(w.ctx, "x", 1)
		wantError(t, err, release.Invalid, "not versioned")
		_, err = w.stager.Head(w.ctx, plainBucket, "x")
		wantError(t, err, release.Invalid, "not versioned")
	})
}

func TestOnlyDropped(t *testing.T) {
	manifest := release.Manifest{
		App:       "orders",
		Artifacts: map[string]release.ArtifactSpec{"deps": {Object: "deps.zip"}, "code": {Object: "code.zip"}},
		Layers:    []release.LayerSpec{{Name: "l-deps", Artifact: "deps"}, {Name: "l-code", Artifact: "code"}},
		Functions: []release.FunctionSpec{
			{Name: "both", Artifact: "code", Layers: []string{"l-deps", "l-code"}, Alias: "live"},
			{Name: "code-only", Artifact: "code"},
			{Name: "layer-only", Layers: []string{"l-deps"}},
			{Name: "settings-only", Handler: "app.main"},
			{Name: "deps-as-code", Artifact: "deps", Layers: []string{"l-code"}},
		},
	}
	tests := []struct {
		name, artifact string
		want           release.Manifest
	}{
		{"a layer's artifact brings the layer to the functions that use it, and leaves their code", "deps", release.Manifest{
			App: "orders", Artifacts: map[string]release.ArtifactSpec{"deps": {Object: "deps.zip"}},
			Layers: []release.LayerSpec{{Name: "l-deps", Artifact: "deps"}},
			Functions: []release.FunctionSpec{
				{Name: "both", Layers: []string{"l-deps"}, Alias: "live"},
				{Name: "layer-only", Layers: []string{"l-deps"}},
				{Name: "deps-as-code", Artifact: "deps"},
			},
		}},
		{"a function's artifact changes the functions that run it", "code", release.Manifest{
			App: "orders", Artifacts: map[string]release.ArtifactSpec{"code": {Object: "code.zip"}},
			Layers: []release.LayerSpec{{Name: "l-code", Artifact: "code"}},
			Functions: []release.FunctionSpec{
				{Name: "both", Artifact: "code", Layers: []string{"l-code"}, Alias: "live"},
				{Name: "code-only", Artifact: "code"},
				{Name: "deps-as-code", Layers: []string{"l-code"}},
			},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := artifact.OnlyDropped(manifest, test.artifact)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
	if len(manifest.Functions[0].Layers) != 2 || len(manifest.Artifacts) != 2 {
		t.Errorf("the argument became %+v", manifest)
	}
	_, err := artifact.OnlyDropped(manifest, "other")
	wantError(t, err, release.Invalid, `"orders"`, `"other"`)
}
