package clock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// both runs a test on each clock; the wall clock in a bubble, so that it takes no time.
func both(t *testing.T, test func(t *testing.T, c clock.Clock)) {
	t.Run("system", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, clock.System{}) })
	})
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("virtual seed %d", seed), func(t *testing.T) {
			c := clock.NewVirtual(start, seed)
			c.Run(func() { test(t, c) })
		})
	}
}

func TestSleepTakesItsTime(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		began := c.Now()
		if err := c.Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(began); got != time.Hour {
			t.Errorf("slept %v, want 1h", got)
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		ctx, cancel := context.WithCancel(t.Context())
		c.Go(func() {
			_ = c.Sleep(context.Background(), time.Minute)
			cancel()
		})
		began := c.Now()
		if err := c.Sleep(ctx, 2*time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("Sleep of a cancelled context: got %v", err)
		}
		if got := c.Now().Sub(began); got != time.Minute {
			t.Errorf("the cancelled sleep took %v, want 1m", got)
		}
	})
}

func TestSignalWakesEveryWaiter(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		s := c.NewSignal()
		c.Go(func() {
			_ = c.Sleep(context.Background(), time.Second)
			s.Fire()
			s.Fire()
		})
		woken := make([]error, 5)
		began := c.Now()
		clock.Each(c, len(woken), 0, func(i int) { woken[i] = s.Wait(t.Context(), time.Minute) })
		for i, err := range woken {
			if err != nil {
				t.Errorf("waiter %d: %v", i, err)
			}
		}
		if got := c.Now().Sub(began); got != time.Second {
			t.Errorf("waited %v, want 1s", got)
		}
		if err := s.Wait(t.Context(), 0); err != nil {
			t.Errorf("a wait after the signal: %v", err)
		}
	})
}

func TestSignalTimesOut(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		began := c.Now()
		err := c.NewSignal().Wait(t.Context(), time.Minute)
		if !errors.Is(err, clock.ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if got := c.Now().Sub(began); got != time.Minute {
			t.Errorf("timed out after %v, want 1m", got)
		}
	})
}

func TestEachKeepsItsLimit(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		began := c.Now()
		clock.Each(c, 10, 3, func(int) { _ = c.Sleep(context.Background(), time.Second) })
		if got := c.Now().Sub(began); got != 4*time.Second {
			t.Errorf("10 sleeps, 3 at once, took %v; want 4s", got)
		}
		clock.Each(c, 0, 3, func(int) { t.Error("called for nothing") })
	})
}

func TestVirtualOrderIsDecidedByTheSeed(t *testing.T) {
	order := func(seed uint64) (got []int) {
		c := clock.NewVirtual(start, seed)
		c.Run(func() {
			clock.Each(c, 8, 0, func(i int) {
				for range 3 {
					_ = c.Sleep(context.Background(), 0)
					got = append(got, i)
				}
			})
		})
		return got
	}
	if !slices.Equal(order(7), order(7)) {
		t.Error("one seed gave two orders")
	}
	if slices.Equal(order(7), order(8)) && slices.Equal(order(8), order(9)) {
		t.Error("three seeds gave one order")
	}
}
