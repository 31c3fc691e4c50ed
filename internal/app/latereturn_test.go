package app_test

import (
	"context"
	"testing"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

// TestALateReturnLeavesTheLeaseOfAnOpenEnvironment delivers the task that returns a
// lease once more when the environment is open: the release goes on under its lease.
func TestALateReturnLeavesTheLeaseOfAnOpenEnvironment(t *testing.T) {
	w := newWorld(t, worldOptions{})
	delivered := false
	w.onTask = func(k task) fault {
		if k.function != "Update" || delivered {
			return fault{}
		}
		delivered = true
		_, err := w.Local.Leasing().Do(context.Background(), app.Input{
			Release: k.in.Release, Execution: k.in.Execution, Environment: "dev", Do: "return",
		})
		if release.KindOf(err) != release.Conflict {
			t.Errorf("the late return is answered with %v, want a conflict", err)
		}
		return fault{}
	}
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	if !delivered {
		t.Error("nothing was delivered late")
	}
}
