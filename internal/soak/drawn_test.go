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
var perThousand = map[string]int{
	"a release halted":                       30,
	"a freeze":                               60,
	"a rollback by hand":                     0,
	"a rollback when nothing breaks":         4,
	"a tag without an event":                 20,
	"an upload without an event":             8,
	"a missed event made up for":             15,
	"an old version deleted":                 4,
	"a task with a token delivered twice":    12,
	"fault: AWS: stale":                      30,
	"registry: less sharing":                 15,
	"Lambda: updates InProgress for long":    150,
	"a dirty environment put in order":       4,
	"a drop":                                 170,
	"a rejection":                            80,
	"a release expired":                      2,
	"a release failed_clean":                 200,
	"a release failed_dirty":                 20,
	"a release received":                     900,
	"a release refused":                      100,
	"a release rejected":                     70,
	"a release rolling_back":                 200,
	"a release running":                      1100,
	"a release succeeded":                    400,
	"a release superseded":                   20,
	"a release waiting":                      150,
	"a release waiting_approval":             300,
	"a tag":                                  400,
	"a task at its time limit":               100,
	"a task or its like killed":              200,
	"an alarm":                               200,
	"an approval":                            200,
	"an execution stopped":                   180,
	"an upload":                              170,
	"another attempt":                        130,
	"answer: duplicate":                      2900,
	"answer: ignored":                        500,
	"answer: rejected":                       0,
	"answer: started":                        700,
	"clocks that are off":                    100,
	"fault: AWS: answer lost":                300,
	"fault: AWS: failed":                     170,
	"fault: AWS: hung":                       180,
	"fault: AWS: late":                       20,
	"fault: AWS: refused":                    50,
	"fault: AWS: slow":                       300,
	"fault: AWS: throttled":                  200,
	"fault: AWS: timed out":                  170,
	"fault: GitHub: 403":                     30,
	"fault: GitHub: 404":                     10,
	"fault: GitHub: 429":                     30,
	"fault: GitHub: 500":                     20,
	"fault: GitHub: 502":                     30,
	"fault: GitHub: answer lost":             30,
	"fault: GitHub: slow":                    50,
	"fault: GitHub: timed out":               20,
	"fault: Lambda: an update ends Failed":   40,
	"fault: a task delivered twice":          300,
	"fault: download: answer lost":           7,
	"fault: download: failed":                8,
	"fault: download: timed out":             8,
	"fault: engine: a call lost":             110,
	"fault: engine: an invocation throttled": 200,
	"fault: engine: answer lost":             100,
	"fault: engine: refused":                 100,
	"fault: engine: slow":                    70,
	"fault: engine: stale":                   5,
	"fault: table: refused":                  40,
	"fault: table: answer lost":              400,
	"fault: table: slow":                     400,
	"fault: table: throttled":                400,
	"registry: approval":                     40,
	"registry: bake time":                    40,
	"registry: concurrency":                  25,
	"registry: sharing":                      25,
	"registry: tags":                         25,
	"somebody else: alias":                   190,
	"somebody else: code":                    180,
	"somebody else: memory":                  190,
	"somebody else: variables":               180,
	"the event of an execution's end lost":   180,
	"the process killed":                     140,
}

// perTenThousand is the same for what is too rare to be counted on in fewer worlds.
var perTenThousand = map[string]int{"a rollback by hand": 5, "a release expired": 50}

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
		if got, want := t.drawn[kind], max(perThousand[kind]*t.runs/1000, t.runs/10_000*perTenThousand[kind]); got < want {
			test.Errorf("%q happened %d times in %d worlds, want %d at least", kind, got, t.runs, want)
		}
	}
}
