package app_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/tagboat/tagboat/internal/asl"
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
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" {
		code = covered.report()
	}
	os.Exit(code)
}

// unreachable are the catchers of Maps: no iteration fails, since each catches
// whatever States.ALL matches, and what else ends a Map, a result that is too
// large or a wrong path, States.ALL does not match either (developer guide,
// "Handling errors"). They are there for what Step Functions may add.
func unreachable(e asl.Edge) bool {
	maps := []string{
		"StageArtifacts", "TakeSnapshots", "PublishLayers", "ShareLayers", "SnapshotEnvironment", "CheckAccess",
		"UpdateFunctions", "ShiftTraffic", "Bake", "RollBack",
	}
	return e.Kind == asl.EdgeCatch && slices.Contains(maps, e.From)
}

func (c *coverage) report() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	edges := slices.DeleteFunc(machine(new(testing.B)).Edges(), unreachable)
	missing := 0
	for _, edge := range edges {
		if !c.taken[edge] {
			missing++
			fmt.Println("not taken:", edge)
		}
	}
	fmt.Printf("%d of %d edges of the state machine taken\n", len(edges)-missing, len(edges))
	return min(missing, 1)
}
