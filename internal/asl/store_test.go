package asl_test

import (
	"testing"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/asl/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) asl.Store { return asl.NewMemoryStore() })
}
