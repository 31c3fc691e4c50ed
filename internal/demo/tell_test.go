package demo_test

import (
	"bytes"
	"testing"

	"github.com/tagboat/tagboat/internal/demo"
)

func TestTheStoryComesOutRight(t *testing.T) {
	for seed := range uint64(3) {
		w, err := demo.NewWorld(t.Context(), demo.WorldOptions{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := demo.Tell(t.Context(), w, &out); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		t.Logf("%s", out.String())
	}
}
