//go:build !unix

package soak

import "time"

// processorTime is not known here, so that nothing is too slow.
func processorTime() time.Duration { return 0 }
