package app_test

import (
	"flag"
	"fmt"
	"os"
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
	fmt.Printf("%d of %d edges of the state machine taken\n", len(edges)-missing, len(edges))
	return min(missing, 1)
}
