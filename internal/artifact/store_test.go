package artifact_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

func TestDocumentsArePinned(t *testing.T) {
	within(t, func(w *world) {
		type document struct{ Text string }
		store := w.stager.State
		first, err := store.Put(w.ctx, "a/b.json", document{"first"})
		w.must(err)
		_, err = store.Put(w.ctx, "a/b.json", document{"second"})
		w.must(err)
		var got document
		w.must(store.Get(w.ctx, first, &got))
		if got.Text != "first" {
			t.Errorf("got %q, want what was first stored", got.Text)
		}
		text, _, err := store.Latest(w.ctx, "a/b.json")
		w.must(err)
		if string(text) != `{"Text":"second"}` {
			t.Errorf("got %q, want what was last stored", text)
		}
	})
}

func TestBytesAreStoredAsTheyAre(t *testing.T) {
	within(t, func(w *world) {
		pointer, err := w.stager.State.Put(w.ctx, "registry.yaml", []byte("apps: []\n"))
		w.must(err)
		var got []byte
		w.must(w.stager.State.Get(w.ctx, pointer, &got))
		if string(got) != "apps: []\n" {
			t.Errorf("got %q", got)
		}
		latest, pinned, err := w.stager.State.Latest(w.ctx, "registry.yaml")
		w.must(err)
		if string(latest) != "apps: []\n" || pinned != pointer {
			t.Errorf("got %q at %+v, want it at %+v", latest, pinned, pointer)
		}
	})
}

func TestDocumentsThatCannotBeHad(t *testing.T) {
	tests := []struct {
		name  string
		get   func(ctx context.Context, store *artifact.S3Store, there release.Pointer) error
		kind  release.Kind
		parts []string
	}{
		{"no key", func(ctx context.Context, s *artifact.S3Store, _ release.Pointer) error {
			return s.Get(ctx, release.Pointer{}, new(any))
		}, release.Internal, []string{"not pinned", stateBucket}},
		{"no version", func(ctx context.Context, s *artifact.S3Store, there release.Pointer) error {
			return s.Get(ctx, release.Pointer{Key: there.Key}, new(any))
		}, release.Internal, []string{"not pinned", "there.json"}},
		{"a version that is gone", func(ctx context.Context, s *artifact.S3Store, there release.Pointer) error {
			return s.Get(ctx, release.Pointer{Key: there.Key, VersionID: "gone"}, new(any))
		}, release.NotFound, []string{"s3://" + stateBucket + "/there.json"}},
		{"a key that is not there", func(ctx context.Context, s *artifact.S3Store, _ release.Pointer) error {
			_, _, err := s.Latest(ctx, "missing.json")
			return err
		}, release.NotFound, []string{"s3://" + stateBucket + "/missing.json"}},
		{"what is no JSON", func(ctx context.Context, s *artifact.S3Store, there release.Pointer) error {
			return s.Get(ctx, there, new(any))
		}, release.Internal, []string{"s3://" + stateBucket + "/there.json"}},
		{"a bucket that is not there", func(ctx context.Context, s *artifact.S3Store, there release.Pointer) error {
			_, _, err := (&artifact.S3Store{S3: s.S3, Bucket: "nowhere"}).Latest(ctx, there.Key)
			return err
		}, release.NotFound, []string{"s3://nowhere/there.json"}},
		{"what JSON cannot hold", func(ctx context.Context, s *artifact.S3Store, _ release.Pointer) error {
			_, err := s.Put(ctx, "odd.json", func() {})
			return err
		}, release.Internal, []string{`"odd.json"`}},
		{"a document in a bucket without versions", func(ctx context.Context, s *artifact.S3Store, _ release.Pointer) error {
			_, err := (&artifact.S3Store{S3: s.S3, Bucket: plainBucket}).Put(ctx, "a.json", 1)
			return err
		}, release.Invalid, []string{"not versioned", plainBucket}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				there, err := w.stager.State.Put(w.ctx, "there.json", []byte("no json"))
				w.must(err)
				wantError(t, test.get(w.ctx, w.stager.State, there), test.kind, test.parts...)
			})
		})
	}
}

func TestFailuresOfS3HaveTheirKinds(t *testing.T) {
	tests := []struct {
		name string
		err  error
		kind release.Kind
	}{
		{"throttling", sim.Throttled("s3"), release.Transient},
		{"a failure of S3", sim.ServerError("s3"), release.Transient},
		{"a connection that was given up", sim.Timeout(), release.Transient},
		{"a context that was cancelled", context.Canceled, release.Transient},
		{"a deadline", context.DeadlineExceeded, release.Transient},
		{"a refused role", &smithy.GenericAPIError{Code: "AccessDenied"}, release.Denied},
		{"a delete marker", &smithy.GenericAPIError{Code: "MethodNotAllowed"}, release.NotFound},
		{"a bucket elsewhere", &smithy.GenericAPIError{Code: "PermanentRedirect"}, release.Internal},
		{"anything else", errors.New("odd"), release.Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				w.fail("GetObject", func(int) sim.Fault { return sim.Fault{Before: test.err} })
				_, _, err := w.stager.State.Latest(w.ctx, "a.json")
				wantError(t, err, test.kind, "s3://"+stateBucket+"/a.json")
				if test.kind == release.Denied && !strings.Contains(release.RemedyOf(err), "policy") {
					t.Errorf("got remedy %q, want one that names policies", release.RemedyOf(err))
				}
			})
		})
	}
}
