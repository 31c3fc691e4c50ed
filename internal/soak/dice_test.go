package soak

import (
	"math/rand/v2"
	"time"
)

// dice is all that is random in a run. It is only used by whoever has the
// clock's turn, so that its order is the seed's too.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0x50a4))} }

// chance is true with a probability.
func (d dice) chance(p float64) bool { return p > 0 && d.Float64() < p }

// between is a time from least to most.
func (d dice) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(d.Int64N(int64(most-least)))
}

// upTo is a number from 1 to n.
func (d dice) upTo(n int) int { return 1 + d.IntN(n) }

// pick is one of some.
func pick[T any](d dice, some ...T) T { return some[d.IntN(len(some))] }
