package config

import (
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

// seed adds the good and the bad examples of a file.
func seed(f *testing.F, file string, wrong []bad) {
	for _, test := range good() {
		if test.file == file {
			f.Add([]byte(test.text(f)))
		}
	}
	for _, test := range wrong {
		f.Add([]byte(test.text(f)))
	}
}

func FuzzParseRegistry(f *testing.F) {
	seed(f, "registry.yaml", badRegistries())
	f.Fuzz(func(t *testing.T, text []byte) {
		registry, err := ParseRegistry("registry.yaml", text)
		if err != nil {
			refused(t, err)
			return
		}
		sameRegistry(t, registry)
	})
}

func FuzzParseManifest(f *testing.F) {
	seed(f, "tagboat.yaml", badManifests())
	f.Fuzz(func(t *testing.T, text []byte) {
		manifest, err := ParseManifest("tagboat.yaml", text)
		if err != nil {
			refused(t, err)
			return
		}
		sameManifest(t, manifest)
	})
}

// refused checks that an error is one for the person who wrote the file.
func refused(t *testing.T, err error) {
	t.Helper()
	if kind := release.KindOf(err); kind != release.Invalid {
		t.Errorf("got kind %q, want %q", kind, release.Invalid)
	}
}
