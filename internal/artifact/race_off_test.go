//go:build !race

package artifact_test

// raceDetector tells whether the race detector is on: it multiplies memory.
const raceDetector = false
