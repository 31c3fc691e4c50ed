package soak

import (
	"maps"
	"slices"
	"testing"
)

// draw counts what the dice decided.
func (w *world) draw(kind string) { w.drawn[kind]++ }

// fault counts what broke a call, an answer or a task.
func (w *world) fault(kind string) {
	w.faults++
	w.draw("fault: " + kind)
}

// perThousand is how often everything has to have happened in a thousand worlds
// at least, so that what the simulation does not meet is not what it was silent
// about. It is about half of what is usual.
var perThousand = map[string]int{}

// checkDrawn fails if something has hardly happened, or was never thought of.
// A few worlds prove nothing.
func (t *tallies) checkDrawn(test *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(t.drawn)) {
		if _, known := perThousand[kind]; !known {
			test.Errorf("%q happened, and nobody expects it: how often has it to happen?", kind)
		}
	}
	if t.runs < 1000 {
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(perThousand)) {
		if got, want := t.drawn[kind], perThousand[kind]*t.runs/1000; got < want {
			test.Errorf("%q happened %d times in %d worlds, want %d at least", kind, got, t.runs, want)
		}
	}
}
