package soak

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/sim"
)

// object is what a write of a function is conditional on: $LATEST, or its alias.
type object struct {
	target
	alias bool
}

func objectOf(call sim.Call) (object, bool) {
	t, ok := functionOf(call)
	if call.Action == "GetFunction" && strings.Count(call.Resource, ":") > 6 {
		ok = false // a published version, which nobody changes
	}
	return object{t, strings.HasSuffix(call.Action, "Alias")}, ok
}

// revision is the object's, as the cloud knows it; empty if it is not there.
func (w *world) revision(o object) string {
	f, _ := w.cloud.Function(o.account, o.region, o.name)
	if o.alias {
		return f.Aliases["live"].RevisionID
	}
	return f.Latest.RevisionID
}

// watchCollisions checks that a write which takes effect was made by somebody who
// had seen what others wrote before.
func (w *world) watchCollisions(c *caller, call sim.Call) {
	o, ok := objectOf(call)
	switch {
	case !ok || deletes(call):
		return
	case !isWrite(call):
		w.seen[c.in.Release+o.name+o.account+o.region+call.Action] = w.now()
		w.strike(c, o)
		return
	case call.Action == "PublishVersion" || call.Action == "CreateAlias": // overwrites nothing
		return
	}
	read := "GetFunction"
	if o.alias {
		read = "GetAlias"
	}
	seen, foreign := w.seen[c.in.Release+o.name+o.account+o.region+read], w.foreign[o]
	if foreign == 0 || seen > foreign {
		return
	}
	before, writes := w.revision(o), len(w.writes[o.target])
	w.clock.Go(func() {
		if w.revision(o) != before && len(w.writes[o.target]) == writes+1 {
			w.fail("%s calls %s %s over what somebody else wrote and it has not seen", c, call.Action, call.Resource)
		}
	})
}

// now numbers what happens, since much happens at the same time.
func (w *world) now() int {
	w.moments++
	return w.moments
}

// strike lets somebody else change a function right when a task has looked at it.
func (w *world) strike(c *caller, o object) {
	if slices.Contains([]string{"Update", "Shift", "RollBack"}, c.what) && w.d.chance(w.rate(w.s.rates.strike)) {
		w.clock.Go(func() {
			_ = w.clock.Sleep(context.Background(), time.Duration(w.d.IntN(100))*time.Millisecond) // cannot fail
			w.meddleWith(o.target)
		})
	}
}

// stopExecution stops an execution by hand: if possible, one of which a task is
// changing functions at that moment, since that goes on. No Catch of it runs.
func (w *world) stopExecution() {
	for range 100 {
		for _, id := range w.livingIDs() {
			c := w.living[id]
			if slices.Contains([]string{"Update", "Shift", "RollBack", "Publish", "Lease", "Conclude"}, c.what) && w.d.chance(0.2) {
				w.stop(c.in.Execution)
				return
			}
		}
		_ = w.clock.Sleep(context.Background(), w.d.between(0, 3*time.Second)) // cannot fail
	}
	if names := w.running(); len(names) > 0 {
		w.stop(pick(w.d, names...))
	}
}

func (w *world) stop(execution string) {
	err := w.engine.Stop(context.Background(), execution, "Stopped", "by hand")
	w.hurt[releaseOf(execution)]++
	w.draw("an execution stopped")
	w.log.add("operator", "stops %s (%v)", execution, err)
}

// releaseOf is the release of an execution, which is a recovery or not.
func releaseOf(execution string) string { return recovery.ReplaceAllString(execution, "") }

var recovery = regexp.MustCompile("-r[0-9]+$")

// deletes tells whether a call deletes an old version, which changes nothing for
// who uses a function.
func deletes(call sim.Call) bool {
	return strings.HasPrefix(call.Action, "Delete") && call.Action != "DeleteAlias"
}
