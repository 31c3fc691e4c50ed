package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

func TestEveryErrorIsToldWithItsNextStep(t *testing.T) {
	failures := map[string]error{
		"what is no error of ours":          errors.New("unknown command"),
		"a release without a remedy":        outcome(report.View{Release: release.Release{ID: "orders-1", State: release.Superseded, Error: "a newer one came"}}),
		"a release that nobody watched":     unknownEnd("orders-1", errors.New("gone")),
		"a problem that a server sent bare": (&client{}).problem(500, []byte(`{"error":"broken","kind":"internal"}`)),
	}
	for _, kind := range []release.Kind{release.Invalid, release.Denied, release.NotFound, release.Conflict, release.Transient, release.Internal, "new"} {
		failures["an error of kind "+string(kind)] = release.Errorf(kind, "something is wrong")
	}
	for name, err := range failures {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := finish(IO{Stderr: &stderr}, err); code == exitDone {
				t.Errorf("the exit code is %d", code)
			}
			if _, next, found := strings.Cut(stderr.String(), "\n  next: "); !found || strings.TrimSpace(next) == "" {
				t.Errorf("told %q, want a next step", stderr.String())
			}
		})
	}
}
