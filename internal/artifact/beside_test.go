package artifact_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
)

func TestTheNewestVersionNotAfterTheManifestIsPinned(t *testing.T) {
	const folder = "artifacts/orders/1.2.3/"
	// Each step uploads d (deps.zip), m (its manifest) or a neighbour n, deletes d
	// (x), or removes the last version of d for good (!); a second passes after each.
	tests := []struct {
		name, steps string
		want        int // which upload of d, from 1; 0 is none
	}{
		{"the one that is there", "dm", 1},
		{"the last before the manifest", "ddm", 2},
		{"not one that came later", "dmd", 1},
		{"not one that came later, however many", "ddmddd", 2},
		{"not that of a longer name", "ndnmn", 1},
		{"it was deleted afterwards", "dmx", 1},
		{"it came back before the manifest", "dxdm", 2},
		{"it was deleted before the manifest", "dxm", 0},
		{"it was deleted before the manifest and came back afterwards", "dxmd", 0},
		{"it came only afterwards", "md", 0},
		{"it never came", "nm", 0},
		{"its last version was removed", "ddm!", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				var deps []release.Source
				var bodies [][]byte
				var manifest release.Source
				for i, step := range test.steps {
					body := zipOf(t, map[string]string{"python/a.py": fmt.Sprint(i)})
					switch step {
					case 'd':
						deps, bodies = append(deps, w.put(folder+"deps.zip", body, nil)), append(bodies, body)
					case 'n':
						w.put(folder+"deps.zip.sig", body, nil)
						w.put(folder+"deps.zi", body, nil)
					case 'm':
						manifest = w.put(folder+"tagboat.yaml", []byte("app: orders"), nil)
					case 'x':
						w.remove(folder+"deps.zip", nil)
					case '!':
						w.remove(folder+"deps.zip", &deps[len(deps)-1].VersionID)
					}
					w.sleep(time.Second)
				}
				got, err := w.stager.Stage(w.ctx, uploaded(manifest), artifact.Wanted{
					Name: "deps", Spec: release.ArtifactSpec{Object: "deps.zip"}, Buckets: oneRegion,
				})
				if test.want == 0 {
					wantError(t, err, release.Invalid, "s3://"+uploadsBucket+"/"+folder+"deps.zip", "was not there")
					return
				}
				w.must(err)
				if got.SHA256 != sha256Hex(bodies[test.want-1]) || got.Origin != deps[test.want-1].String() {
					t.Errorf("got %s, want upload %d, %s", got.Origin, test.want, deps[test.want-1])
				}
			})
		})
	}
}

func TestAManifestThatIsGonePinsNothing(t *testing.T) {
	within(t, func(w *world) {
		rel, wanted := w.staging(zipOf(t, aTree))
		w.remove(rel.Source.Key, &rel.Source.VersionID)
		_, err := w.stager.Stage(w.ctx, rel, wanted)
		wantError(t, err, release.Invalid, "tagboat.yaml", "gone")
	})
}

func TestAnObjectMayBeInAFolderBesideTheManifest(t *testing.T) {
	within(t, func(w *world) {
		body := zipOf(t, aTree)
		w.put("artifacts/orders/1+2 %2B/layers/deps.zip", body, nil)
		rel := uploaded(w.put("artifacts/orders/1+2 %2B/tagboat.yaml", []byte("app: orders"), nil))
		got, err := w.stager.Stage(w.ctx, rel, artifact.Wanted{
			Name: "deps", Spec: release.ArtifactSpec{Object: "layers/deps.zip", SHA256: sha256Hex(body)}, Buckets: oneRegion,
		})
		w.must(err)
		w.checkStaged(got, oneRegion)
	})
}

func TestTheVersionIsFoundOnALaterPage(t *testing.T) {
	within(t, func(w *world) {
		body := zipOf(t, aTree)
		rel, wanted := w.staging(body)
		for i := range 2100 { // a page has a thousand
			w.sleep(time.Second)
			w.put("artifacts/orders/1.2.3/deps.zip", fmt.Append(nil, i), nil)
		}
		got, err := w.stager.Stage(w.ctx, rel, wanted)
		w.must(err)
		if got.SHA256 != sha256Hex(body) {
			t.Errorf("got %s, want the first version", got.Origin)
		}
	})
}
