package clock

import (
	"context"
	"sync"
	"time"
)

// System is the wall clock with ordinary goroutines. Inside a testing/synctest
// bubble it is the bubble's time.
type System struct{}

var _ Clock = System{}

// Now is time.Now in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// Sleep waits for d or for ctx.
func (System) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Go starts a goroutine.
func (System) Go(f func()) { go f() }

// Run calls f.
func (System) Run(f func()) { f() }

// NewSignal makes a signal that is a channel.
func (System) NewSignal() Signal { return &systemSignal{fired: make(chan struct{})} }

type systemSignal struct {
	once  sync.Once
	fired chan struct{}
}

func (s *systemSignal) Fire() { s.once.Do(func() { close(s.fired) }) }

func (s *systemSignal) Wait(ctx context.Context, timeout time.Duration) error {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-s.fired:
		return nil
	case <-expired:
		return ErrTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
}
