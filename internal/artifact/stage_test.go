package artifact_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

var (
	layer       = release.LayerSpec{Name: "orders-deps", Artifact: "deps", Runtimes: []string{"python3.13"}}
	bothRegions = map[string]string{home: stateBucket, far: farBucket}
	oneRegion   = map[string]string{home: stateBucket}
	aTree       = map[string]string{"python/requests/__init__.py": "version = 1\n", "bin/run": "#!/bin/sh\n"}
)

// checkStaged checks that what was staged is there, in each bucket, under its digest.
func (w *world) checkStaged(got release.Artifact, buckets map[string]string) []byte {
	w.Helper()
	var body []byte
	for region, bucket := range buckets {
		object, there := got.Objects[region]
		if !there || object.Bucket != bucket || object.Key != artifact.StagedKey("orders", got.SHA256) || object.VersionID == "" {
			w.Fatalf("got object %+v in %s, want it staged in %q", object, region, bucket)
		}
		body = w.object(object)
		if sha256Hex(body) != got.SHA256 || sha256Base64(body) != got.CodeSHA256 || int64(len(body)) != got.Size || object.Size != got.Size {
			w.Errorf("%+v does not describe the %d bytes with sha256 %s", got, len(body), sha256Hex(body))
		}
	}
	if len(got.Objects) != len(buckets) {
		w.Errorf("got %d objects, want %d", len(got.Objects), len(buckets))
	}
	return body
}

func TestADirectoryIsStagedInEveryRegion(t *testing.T) {
	within(t, func(w *world) {
		rel := w.tagged(github.Files{
			"layer/python/a.py": github.Text("a = 1\n"), "layer/bin/run": {Content: []byte("#!/bin/sh\n"), Mode: github.Executable},
			"layer/python/b.py": {Content: []byte("a.py"), Mode: github.Symlink}, "other/c.py": github.Text("c"),
		})
		got, err := w.stager.Stage(w.ctx, rel, artifact.Wanted{
			Name: "deps", Spec: release.ArtifactSpec{Archive: "layer"}, Layers: []release.LayerSpec{layer}, Buckets: bothRegions,
		})
		w.must(err)
		body := w.checkStaged(got, bothRegions)
		reader, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
		w.must(err)
		var names []string
		for _, f := range reader.File {
			names = append(names, f.Name+" "+f.Mode().String())
		}
		want := []string{"bin/run -rwxr-xr-x", "python/a.py -rw-r--r--", "python/b.py Lrwxrwxrwx"}
		if !reflect.DeepEqual(names, want) {
			t.Errorf("got %q, want %q", names, want)
		}
		if got.Name != "deps" || got.TreeDigest == "" || got.Unzipped == 0 || !strings.Contains(got.Origin, "acme/orders") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAReleaseAssetIsStagedAsItIs(t *testing.T) {
	within(t, func(w *world) {
		rel := w.tagged(github.Files{"a": github.Text("a")})
		wanted := artifact.Wanted{Name: "deps", Spec: release.ArtifactSpec{ReleaseAsset: "deps.zip"}, Layers: []release.LayerSpec{layer}, Buckets: oneRegion}
		waits := func(when string) {
			t.Helper()
			_, err := w.stager.Stage(w.ctx, rel, wanted)
			if err == nil || release.KindOf(err) != release.NotFound {
				t.Errorf("%s: got %v, want kind not_found", when, err)
			}
		}
		waits("before the release is published")
		w.repo.Publish("v1.2.3", "")
		waits("before the asset is uploaded")
		w.repo.StartAsset("v1.2.3", "deps.zip")
		waits("while the asset is being uploaded")
		body := zipOf(t, aTree)
		w.repo.UploadAsset("v1.2.3", "deps.zip", body)
		got, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		if staged := w.checkStaged(got, oneRegion); !bytes.Equal(staged, body) {
			t.Error("other bytes were staged than were uploaded")
		}
		wanted.Spec.SHA256 = sha256Hex(body)
		_, err = w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
	})
}

func TestADroppedObjectIsStagedByItsVersion(t *testing.T) {
	within(t, func(w *world) {
		body := zipOf(t, aTree)
		rel := uploaded(w.put("drops/orders/deps/1 2+3%2B.zip", body, nil))
		rel.Request.Artifact = "deps"
		w.put(rel.Source.Key, []byte("later bytes under the same key"), nil)
		got, err := w.stager.Stage(w.ctx, rel, artifact.Wanted{
			Name: "deps", Spec: release.ArtifactSpec{Object: "1 2+3%2B.zip"}, Layers: []release.LayerSpec{layer}, Buckets: bothRegions,
		})
		w.must(err)
		if staged := w.checkStaged(got, bothRegions); !bytes.Equal(staged, body) {
			t.Error("other bytes were staged than were dropped")
		}
		if got.Origin != rel.Source.String() {
			t.Errorf("got origin %q, want %q", got.Origin, rel.Source)
		}
	})
}

// staging is a release whose artifact "deps" is an object beside its manifest.
func (w *world) staging(body []byte) (*release.Release, artifact.Wanted) {
	w.Helper()
	w.put("artifacts/orders/1.2.3/deps.zip", body, nil)
	rel := uploaded(w.put("artifacts/orders/1.2.3/tagboat.yaml", []byte("app: orders"), nil))
	return rel, artifact.Wanted{Name: "deps", Spec: release.ArtifactSpec{Object: "deps.zip"}, Layers: []release.LayerSpec{layer}, Buckets: oneRegion}
}

func TestWhatCannotBeStaged(t *testing.T) {
	tests := []struct {
		name  string
		make  func(w *world) (*release.Release, artifact.Wanted)
		kind  release.Kind
		parts []string
	}{
		{"a directory that the commit does not have", func(w *world) (*release.Release, artifact.Wanted) {
			return w.tagged(github.Files{"src/a.py": github.Text("a")}), artifact.Wanted{Spec: release.ArtifactSpec{Archive: "sources"}, Function: true}
		}, release.Invalid, []string{"sources"}},
		{"a directory of an upload", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			wanted.Spec = release.ArtifactSpec{Archive: "src"}
			return rel, wanted
		}, release.Invalid, []string{`"src"`, "no repository"}},
		{"a release asset of an upload", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			wanted.Spec = release.ArtifactSpec{ReleaseAsset: "deps.zip"}
			return rel, wanted
		}, release.Invalid, []string{`"deps.zip"`, "not from a tag"}},
		{"an object of a tag", func(w *world) (*release.Release, artifact.Wanted) {
			return w.tagged(github.Files{"a": github.Text("a")}), artifact.Wanted{Spec: release.ArtifactSpec{Object: "deps.zip"}}
		}, release.Invalid, []string{`"deps.zip"`, "only an upload"}},
		{"another object of a drop", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			rel.Request.Artifact = "code"
			return rel, wanted
		}, release.Invalid, []string{`"deps.zip"`}},
		{"an object with another sha256", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			wanted.Spec.SHA256 = strings.Repeat("0", 64)
			return rel, wanted
		}, release.Invalid, []string{"sha256 is " + sha256Hex(zipOf(t, aTree)), strings.Repeat("0", 64)}},
		{"an asset with another sha256", func(w *world) (*release.Release, artifact.Wanted) {
			rel := w.tagged(github.Files{"a": github.Text("a")})
			w.repo.Publish("v1.2.3", "")
			w.repo.UploadAsset("v1.2.3", "deps.zip", zipOf(w, aTree))
			return rel, artifact.Wanted{Spec: release.ArtifactSpec{ReleaseAsset: "deps.zip", SHA256: strings.Repeat("0", 64)}}
		}, release.Invalid, []string{"sha256"}},
		{"a version of a drop that is gone", func(w *world) (*release.Release, artifact.Wanted) {
			rel := uploaded(w.put("drops/orders/deps/1.zip", zipOf(w, aTree), nil))
			rel.Request.Artifact = "deps"
			w.remove(rel.Source.Key, &rel.Source.VersionID)
			return rel, artifact.Wanted{Name: "deps", Spec: release.ArtifactSpec{Object: "1.zip"}}
		}, release.Invalid, []string{"drops/orders/deps/1.zip", "gone"}},
		{"what is no zip", func(w *world) (*release.Release, artifact.Wanted) { return w.staging([]byte("not a zip")) }, release.Invalid, []string{"zip"}},
		{"a name that climbs out", func(w *world) (*release.Release, artifact.Wanted) {
			return w.staging(zipOf(w, map[string]string{"python/../../etc/passwd": "x"}))
		}, release.Invalid, []string{"python/../../etc/passwd"}},
		{"nothing under python/", func(w *world) (*release.Release, artifact.Wanted) {
			return w.staging(zipOf(w, map[string]string{"requests/__init__.py": "x"}))
		}, release.Invalid, []string{`layer "orders-deps"`, "python3.13", "requests"}},
		{"a function without files", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, nil))
			wanted.Layers, wanted.Function = nil, true
			return rel, wanted
		}, release.Invalid, []string{"function code"}},
		{"a bucket that keeps no versions", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			wanted.Buckets = map[string]string{home: plainBucket}
			return rel, wanted
		}, release.Invalid, []string{plainBucket, "not versioned"}},
		{"GitHub's failure", func(w *world) (*release.Release, artifact.Wanted) {
			rel := w.tagged(github.Files{"src/a.py": github.Text("a")})
			w.github.OnRequest(func(*http.Request) github.Fault { return github.Fault{Status: http.StatusBadGateway} })
			return rel, artifact.Wanted{Spec: release.ArtifactSpec{Archive: "src"}}
		}, release.Transient, nil},
		{"throttled reads", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			w.fail("GetObject", func(int) sim.Fault { return sim.Fault{Before: sim.Throttled("s3")} })
			return rel, wanted
		}, release.Transient, []string{"deps.zip"}},
		{"throttled lists", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			w.fail("ListObjectVersions", func(int) sim.Fault { return sim.Fault{Before: sim.Throttled("s3")} })
			return rel, wanted
		}, release.Transient, nil},
		{"throttled looks", func(w *world) (*release.Release, artifact.Wanted) {
			rel, wanted := w.staging(zipOf(w, aTree))
			w.fail("HeadObject", func(int) sim.Fault { return sim.Fault{Before: sim.Throttled("s3")} })
			return rel, wanted
		}, release.Transient, []string{"staged/orders/"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				rel, wanted := test.make(w)
				wanted.Name = "deps"
				_, err := w.stager.Stage(w.ctx, rel, wanted)
				wantError(t, err, test.kind, append(test.parts, `artifact "deps"`)...)
				if staged := w.cloud.Objects(stateBucket); len(staged) != 0 {
					t.Errorf("staged %d objects", len(staged))
				}
			})
		})
	}
}

func TestEveryLayerThatDoesNotFitIsNamed(t *testing.T) {
	within(t, func(w *world) {
		rel, wanted := w.staging(zipOf(t, map[string]string{"python/a.py": "x"}))
		node, ruby := layer, layer
		node.Name, node.Runtimes = "orders-node", []string{"nodejs22.x"}
		ruby.Name, ruby.Runtimes = "orders-ruby", []string{"ruby3.4"}
		wanted.Layers = []release.LayerSpec{layer, node, ruby}
		_, err := w.stager.Stage(w.ctx, rel, wanted)
		wantError(t, err, release.Invalid, "orders-node", "orders-ruby")
		if strings.Contains(err.Error(), "orders-deps") {
			t.Errorf("error %q names a layer that fits", err)
		}
		if release.RemedyOf(err) == "" {
			t.Error("there is no remedy")
		}
	})
}

func TestStagingAgainFindsWhatIsThere(t *testing.T) {
	within(t, func(w *world) {
		rel, wanted := w.staging(zipOf(t, aTree))
		first, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		second, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		if !reflect.DeepEqual(first, second) || len(w.cloud.Objects(stateBucket)) != 1 {
			t.Errorf("got %+v and %+v, want the same object", first, second)
		}
		_, err = w.s3(home).DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: aws.String(stateBucket), Key: aws.String(first.Objects[home].Key)})
		w.must(err)
		third, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		w.checkStaged(third, oneRegion)
	})
}

func TestOtherBytesUnderTheDigestAreNotTakenForTheArtifact(t *testing.T) {
	within(t, func(w *world) {
		body := zipOf(t, aTree)
		rel, wanted := w.staging(body)
		for _, planted := range [][]byte{[]byte("x"), make([]byte, len(body))} { // another size, and the same
			_, err := w.stager.State.Put(w.ctx, artifact.StagedKey("orders", sha256Hex(body)), planted)
			w.must(err)
			got, err := w.stager.Stage(w.ctx, rel, wanted)
			w.must(err)
			w.checkStaged(got, oneRegion)
		}
	})
}

func TestFaultsOfTheWrite(t *testing.T) {
	tests := []struct {
		name  string
		fault sim.Fault
	}{
		{"a write that never happened", sim.Fault{Before: sim.ServerError("s3")}},
		{"a write whose answer was lost", sim.Fault{After: sim.Timeout()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				rel, wanted := w.staging(zipOf(t, aTree))
				wanted.Buckets = bothRegions
				w.fail("PutObject", func(n int) sim.Fault {
					if n == 2 { // one region has it already
						return test.fault
					}
					return sim.Fault{}
				})
				_, err := w.stager.Stage(w.ctx, rel, wanted)
				wantError(t, err, release.Transient)
				got, err := w.stager.Stage(w.ctx, rel, wanted)
				w.must(err)
				w.checkStaged(got, bothRegions)
				for _, bucket := range bothRegions {
					if versions := w.cloud.Objects(bucket); len(versions) != 1 {
						t.Errorf("bucket %q has %d versions, want 1", bucket, len(versions))
					}
				}
			})
		})
	}
}

func TestARoleThatCannotListStagesAllTheSame(t *testing.T) {
	within(t, func(w *world) {
		_, err := w.cloud.CreateRole(tools, "stage", sim.Role{Policies: []string{`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
			"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::` + stateBucket + `/staged/*"}]}`}})
		w.must(err)
		session, err := w.cloud.AssumeRole(sim.RoleARN(tools, "stage"), "test")
		w.must(err)
		w.stager.S3 = func(region string) artifact.API { return session.S3(region) }
		rel, wanted := w.staging(zipOf(t, aTree))
		first, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		second, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		if !reflect.DeepEqual(first, second) {
			t.Errorf("got %+v and %+v, want the same object", first, second)
		}
	})
}

// brokenBody breaks off in the middle, or never ends.
type brokenBody struct {
	io.Reader
	closed bool
}

func (b *brokenBody) Close() error { b.closed = true; return nil }

// assets answers every asset with one body.
type assets struct {
	artifact.Repositories
	body *brokenBody
}

func (a assets) ReleaseAsset(context.Context, int64, string, string) (io.ReadCloser, int64, error) {
	return a.body, 0, nil
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBodiesThatDoNotArriveWhole(t *testing.T) {
	tests := []struct {
		name string
		body io.Reader
		kind release.Kind
		part string
	}{
		{"a connection that breaks", io.MultiReader(strings.NewReader("PK"), iotest.ErrReader(io.ErrUnexpectedEOF)), release.Transient, "download"},
		{"a reader that knows better", iotest.ErrReader(release.Errorf(release.Denied, "the link expired")), release.Denied, "expired"},
		{"more than any zip that Lambda takes", zeros{}, release.Invalid, "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				body := &brokenBody{Reader: test.body}
				rel := w.tagged(github.Files{"a": github.Text("a")})
				w.stager.GitHub = assets{body: body}
				_, err := w.stager.Stage(w.ctx, rel, artifact.Wanted{Name: "deps", Spec: release.ArtifactSpec{ReleaseAsset: "deps.zip"}})
				wantError(t, err, test.kind, `"deps"`, test.part)
				if !body.closed {
					t.Error("the body was not closed")
				}
			})
		})
	}
}
