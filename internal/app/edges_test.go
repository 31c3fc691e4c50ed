package app_test

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

// coverage collects the edges of the state machine that tests take.
type coverage struct {
	mu    sync.Mutex
	taken map[asl.Edge]bool
}

var covered = &coverage{taken: map[asl.Edge]bool{}}

func (c *coverage) take(e asl.Edge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken[e] = true
}

// TestMain fails a whole run of the tests in which an edge of the state machine
// was not taken.
func TestMain(m *testing.M) {
	code := m.Run()
	whole := true
	for _, name := range []string{"run", "skip", "list"} {
		whole = whole && flag.Lookup("test."+name).Value.String() == ""
	}
	if code == 0 && whole {
		code = covered.report()
	}
	os.Exit(code)
}

func (c *coverage) report() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	edges := machine(new(testing.B)).Edges()
	missing := 0
	for _, edge := range edges {
		if !c.taken[edge] {
			missing++
			fmt.Println("not taken:", edge)
		}
	}
	text := fmt.Sprintf("%d of %d edges of the state machine taken, none exempt\n", len(edges)-missing, len(edges))
	fmt.Print(text)
	if name := os.Getenv("TAGBOAT_FIGURES"); name != "" { // since go test keeps to itself what passes
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return min(missing, 1)
}

// TestWhatNoCatchMatchesIsRecovered lets a task of each Map give an answer that is too large: an
// error that States.ALL does not match (Step Functions developer guide, "Handling errors"), so that
// neither the task's Catch nor one of the Map could. The execution ends, and the recovery finds
// what there is to undo. Nothing else ends an iteration, and so no Map has a Catch.
func TestWhatNoCatchMatchesIsRecovered(t *testing.T) {
	for _, function := range []string{"Stage", "Snapshot", "Publish", "Share", "Access", "Update", "Shift", "RollBack"} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			before, failed := w.targets(), false
			w.onTask = func(k task) fault {
				if failed || k.function != function || k.in.Site.Environment == "dev" || k.in.Do != "" {
					return fault{}
				}
				failed = true
				return fault{after: killed("States.DataLimitExceeded")}
			}
			files := quick(t, demo.Handler)
			if function == "RollBack" {
				files = quick(t, demo.Broken)
			}
			rel := w.released("v1.1.0", files)
			wantState(t, rel, release.FailedClean)
			if !failed || rel.Execution != rel.ID+"-r1" {
				t.Errorf("it was ended by execution %q (a task failed: %t), want the first recovery", rel.Execution, failed)
			}
			w.asRecorded(rel, before)
			w.sound()
		})
	}
}
