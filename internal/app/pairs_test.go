package app_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
)

// group are first faults after which the same is undone in the same way: when the rollback
// began, the world was the same (see [world.portrait]), and the same tasks then made the same
// changes, in the same order, to the same end. They differ in when they happened, in how they
// are worded, and in what a task of a stopped execution still read. One of them stands for
// all: the faults during the rollback are tried after it.
type group struct {
	first blow
	calls []call // since the rollback began
	size  int
}

type grouping struct {
	groups []*group
	known  map[[sha256.Size]byte]*group
	tried  int
	undone int
	ended  tally
}

// add puts a first fault into its group, if something was rolled back or recovered.
func (g *grouping) add(first blow, o outcome) {
	g.tried++
	if o.undoing < 0 {
		return
	}
	g.undone++
	g.ended.add(o)
	key := sha256.Sum256(fmt.Append(nil, o.portrait, "\n", o.way(), "\n", o.release.State))
	if known := g.known[key]; known != nil {
		known.size++
		return
	}
	made := &group{first: first, calls: o.undone(), size: 1}
	g.known[key] = made
	g.groups = append(g.groups, made)
}

// seconds are all faults during a group's rollback.
func (g *group) seconds() []blow {
	var all []blow
	for _, b := range boundaries() {
		all = append(all, b.blows(g.calls, true)...)
	}
	return all
}

// firsts are all faults of a run without any.
func (s scenario) firsts(t *testing.T) []blow {
	calls := s.run(t).calls
	var all []blow
	for _, b := range boundaries() {
		all = append(all, b.blows(calls, false)...)
	}
	return all
}

// grouped tries first faults, one per run.
func (s scenario) grouped(t *testing.T, firsts []blow) *grouping {
	g := &grouping{known: map[[sha256.Size]byte]*group{}, ended: tally{}}
	for _, first := range firsts {
		t.Run(first.String(), func(t *testing.T) { g.add(first, s.run(t, first)) })
	}
	return g
}

// sampled are some of all, as a seed decides.
func sampled[T any](all []T, some int) []T {
	if exhaustive() || len(all) <= some {
		return all
	}
	random := rand.New(rand.NewPCG(1, uint64(len(all))))
	picked := make([]T, some)
	for i, j := range random.Perm(len(all))[:some] {
		picked[i] = all[j]
	}
	return picked
}

// TestAFaultAndAnotherInTheRollback makes a call fail by which the standard scenario is rolled
// back or recovered, and then each call of that in each way: in the sample of an
// ordinary run, or with TAGBOAT_EXHAUSTIVE=1 all of them.
func TestAFaultAndAnotherInTheRollback(t *testing.T) {
	s := scenarios(t)[0]
	g := s.grouped(t, sampled(s.firsts(t), 40))
	ends := make([]tally, len(g.groups))
	t.Run("pairs", func(t *testing.T) {
		for i, group := range g.groups {
			ends[i] = tally{}
			t.Run(group.first.String(), func(t *testing.T) {
				t.Parallel()
				for _, second := range sampled(group.seconds(), 8) {
					t.Run(second.String(), func(t *testing.T) { ends[i].add(s.run(t, group.first, second)) })
				}
			})
		}
	})
	possible, all := 0, tally{}
	for i, group := range g.groups {
		possible += len(group.seconds())
		for state, n := range ends[i] {
			all[state] += n
		}
	}
	t.Logf("%d first faults tried, of which %d made the release roll back or be recovered (%s), in %d different ways", g.tried, g.undone, g.ended, len(g.groups))
	t.Logf("%d pairs are possible, and of those that were tried ended %s", possible, all)
}
