//go:build race

package cli

// raceEnabled tells that the detector of races takes its part of the memory.
const raceEnabled = true
