// Package soak is the simulation that looks for what breaks: several
// applications are released at once, by many events in any order, in an AWS and a
// GitHub in memory of which any call can fail in any way, while executions are
// stopped, tasks and whole processes die, and somebody else changes the same
// functions. When everything has ended, the simulated world is looked at: what
// the ledger says has to be what is there.
//
// One seed decides everything, the clock and every interleaving included. A
// failure prints its seed and, in virtual time, what happened:
//
//	go test ./internal/soak -run Soak -seed 4711
//
// `make simulation` runs ten thousand seeds; more, or others, are run with
//
//	go test ./internal/soak -run Soak -first 10001 -seeds 50000
//
// All of it is in the package's tests, so that nothing that is shipped carries
// the simulator.
package soak
