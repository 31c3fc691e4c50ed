package app_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
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
}

// grouping is what came of the first faults.
type grouping struct {
	groups []group
	known  map[[sha256.Size]byte]bool
	tried  int
	ended  tally
}

// add puts a first fault into its group, if something was rolled back or recovered.
func (g *grouping) add(first blow, o outcome) {
	g.tried++
	if o.undoing < 0 {
		return
	}
	g.ended.add(o)
	key := sha256.Sum256(fmt.Append(nil, o.portrait, "\n", o.way(), "\n", o.ends()))
	if !g.known[key] {
		g.known[key] = true
		g.groups = append(g.groups, group{first, o.undone()})
	}
}

// seconds are all faults during a group's rollback.
func (g group) seconds() []blow {
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
	g := &grouping{known: map[[sha256.Size]byte]bool{}, ended: tally{}}
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
// ordinary run, or with TAGBOAT_EXHAUSTIVE=1 all of them. TAGBOAT_WAYS, a regular expression, keeps to
// the first faults that it matches, to spread the hours over processes or machines.
func TestAFaultAndAnotherInTheRollback(t *testing.T) {
	s := scenarios(t)[0]
	g := s.grouped(t, sampled(s.firsts(t), 40))
	ways := regexp.MustCompile(os.Getenv("TAGBOAT_WAYS"))
	possible, ends := 0, make([]tally, len(g.groups))
	for i, group := range g.groups {
		possible += len(group.seconds())
		ends[i] = tally{}
	}
	t.Logf("%d first faults tried, after which something was rolled back or recovered %s; in %d different ways, with %d faults during them",
		g.tried, g.ended, len(g.groups), possible)
	t.Run("pairs", func(t *testing.T) {
		for i, group := range g.groups {
			if !ways.MatchString(group.first.String()) {
				continue
			}
			t.Run(group.first.String(), func(t *testing.T) {
				t.Parallel()
				for _, second := range sampled(group.seconds(), 8) {
					t.Run(second.String(), func(t *testing.T) { ends[i].add(s.run(t, group.first, second)) })
				}
			})
		}
	})
	all := tally{}
	for _, ended := range ends {
		for state, n := range ended {
			all[state] += n
		}
	}
	t.Logf("of the pairs that were tried ended %s", all)
}

// TestWhatADeadExecutionWritesLateIsUndone lets each change of an alias take nearly as long as a
// task lives, while its execution is stopped and taken over by a task whose clock is behind: the
// rollback waits for it, and no traffic stays half shifted.
func TestWhatADeadExecutionWritesLateIsUndone(t *testing.T) {
	t.Parallel()
	s := scenarios(t)[0]
	n, tried := 0, 0
	for _, c := range s.run(t).calls {
		if c.boundary != "AWS" {
			continue
		}
		if n++; !strings.HasPrefix(c.what, "UpdateAlias ") {
			continue
		}
		tried++
		t.Run(c.what, func(t *testing.T) {
			s.run(t, blow{"AWS", "slow and taken over", n, false}, blow{"task", "with its clock behind", 1, true})
		})
	}
	if tried == 0 {
		t.Error("no alias was changed")
	}
}
