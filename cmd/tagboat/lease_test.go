package main

import (
	"sync/atomic"

	"github.com/aws/smithy-go"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/sim"
)

// spoiled serves the demo's world, in which prod's role loses the right to
// update code with the first smoke test there: what fails then cannot be
// restored. Of everything that is asked for, one call restores it.
func spoiled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: spoiled")
	}
	w, err := newWorld(demo.WorldOptions{})
	ts.Check(err)
	var lost atomic.Bool
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Account != demo.Prod {
			return sim.Fault{}
		}
		if c.Action == "Invoke" {
			lost.Store(true)
		}
		if c.Action == "UpdateFunctionCode" && lost.Load() {
			return sim.Fault{Before: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "the role may not update code any more"}}
		}
		return sim.Fault{}
	})
	serve(ts, w, "")
}
