// Package clock is the time that releases run in.
//
// Everything that waits, retries or expires asks a [Clock], and everything that
// runs concurrently inside a release is started through it. [System] is the
// wall clock and ordinary goroutines. [Virtual] is a cooperative scheduler with
// a clock of its own: one goroutine runs at a time, and when all of them wait,
// time jumps to the first that is due. A canary of five minutes then takes no
// time at all, and one seed decides every interleaving.
package clock

import (
	"context"
	"errors"
	"time"
)

// ErrTimeout is returned by [Signal.Wait] when its time is up.
var ErrTimeout = errors.New("clock: timed out")

// Clock tells the time, waits, and runs work concurrently.
//
// Code that runs in a Clock must not block on anything else for long: under
// [Virtual] a goroutine that waits on a bare channel for another one holds all
// of them up. Use Sleep, a Signal or [Each].
type Clock interface {
	// Now is the current time, in UTC.
	Now() time.Time
	// Sleep waits for d, or until ctx is done and then returns its error.
	// Sleep with d ≤ 0 lets others run.
	Sleep(ctx context.Context, d time.Duration) error
	// Go runs f concurrently.
	Go(f func())
	// Run runs f in the caller's stead and returns when it is done. Whoever
	// comes from outside (main, a test, an HTTP handler) enters the clock with it.
	Run(f func())
	// NewSignal makes a signal that has not fired.
	NewSignal() Signal
}

// Signal is an event that happens once.
type Signal interface {
	// Fire makes every present and future Wait return. Firing again does nothing.
	Fire()
	// Wait returns nil when the signal has fired, ErrTimeout when timeout has
	// passed before (0 is no limit), or ctx's error.
	Wait(ctx context.Context, timeout time.Duration) error
}

// Each runs f(0) … f(n-1), at most limit at once (limit < 1 is no limit), and
// returns when all are done.
func Each(c Clock, n, limit int, f func(i int)) {
	if limit < 1 || limit > n {
		limit = n
	}
	if n == 0 {
		return
	}
	indexes := make(chan int, n)
	for i := range n {
		indexes <- i
	}
	close(indexes)
	workers := make([]Signal, limit)
	for w := range workers {
		workers[w] = c.NewSignal()
		c.Go(func() {
			defer workers[w].Fire()
			for i := range indexes {
				f(i)
			}
		})
	}
	for _, done := range workers {
		_ = done.Wait(context.Background(), 0) // no limit and no cancellation: cannot fail
	}
}
