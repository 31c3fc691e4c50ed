package soak

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/statemachine"
)

var (
	seeds   = flag.Uint64("seeds", 1000, "how many seeds to run; make simulation runs 10000")
	first   = flag.Uint64("first", 1, "the first seed")
	oneSeed = flag.Uint64("seed", 0, "run this seed alone and print its transcript")
	within  = flag.Duration("within", 0, "fail if the seeds take more of two cores that do nothing else; 0 is no limit")
	grep    = flag.String("grep", "", "print only lines of the transcript that contain this")
)

// manySeeds is from where on somebody has the time for everything.
const manySeeds = 10_000

// patience is how long everything may take to end once nothing breaks any more:
// the two days that a lease is waited for, the week for an approval aside.
const patience = 60 * time.Hour

// patience is longer where nobody answers: a question ends after a week.
func (w *world) patience() time.Duration {
	if w.s.absent {
		return patience + 9*24*time.Hour
	}
	return patience
}

// run simulates a scenario from its first event to its judgement.
func run(s scenario, machine *asl.Machine) *world {
	w := newWorld(s, machine)
	w.run()
	return w
}

func (w *world) run() {
	w.clock.Run(func() {
		if err := w.build(context.Background()); err != nil {
			w.fail("the world cannot be built: %v", err)
			return
		}
		w.firstLook()
		w.schedule()
		w.accidents()
		_ = w.clock.Sleep(context.Background(), w.s.busy) // cannot fail
		w.calm = true
		w.log.add("world", "nothing breaks any more")
		w.settle()
		w.lastLooks()
		w.lastUndos()
		w.lastReports()
		w.redeliver()
		w.settle()
		if w.plant != nil {
			w.plant()
		}
		w.over = true
		w.judge()
		w.engine.Close()
	})
}

// settle waits until everything has ended.
func (w *world) settle() {
	for until := w.clock.Now().Add(w.patience()); w.clock.Now().Before(until); {
		_ = w.clock.Sleep(context.Background(), 7*time.Minute) // cannot fail
		if w.process.Err() == nil && w.sending == 0 && len(w.active()) == 0 && len(w.running()) == 0 && len(w.living) == 0 && !w.owed() {
			return
		}
	}
}

// owed tells whether a lease is held by a release that has ended clean: the next
// sweep hands it on.
func (w *world) owed() bool {
	for _, a := range w.s.apps {
		for _, env := range w.s.environments {
			if l := w.lease("env/" + a.Name + "/" + env.Name); l.Holder.Release != "" && l.Dirty == "" {
				return true
			}
		}
	}
	return false
}

// story tells what was wrong and what happened before the first thing that was;
// with -seed, all of it.
func (w *world) story() string {
	first := slices.IndexFunc(w.log.entries, func(e entry) bool { return e.who == violation })
	before := &transcript{entries: w.log.entries[:first+1]}
	quiet := func(line string) bool {
		return !strings.Contains(line, " put ") && !strings.Contains(line, "DescribeExecution")
	}
	return fmt.Sprintf("%s\n  %s\nUntil then (all of it: go test ./internal/soak -run TestSoak -seed %d):\n%s",
		w.s, strings.Join(w.violations, "\n  "), w.s.seed, before.tail(60, quiet))
}

// tallies add up over many runs.
type tallies struct {
	mu                            sync.Mutex
	runs, releases, calls, faults int
	virtual                       time.Duration
	drawn                         map[string]int
	sizes                         map[string]int
	edges                         map[asl.Edge]int
	failed                        []uint64
}

func newTallies() *tallies {
	return &tallies{drawn: map[string]int{}, sizes: map[string]int{}, edges: map[asl.Edge]int{}}
}

func (t *tallies) add(w *world) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs++
	t.releases += len(w.records)
	t.calls += w.calls
	t.faults += w.faults
	t.virtual += w.clock.Now().Sub(began)
	t.sizes[sizeOf(w.s.seed).name]++
	for kind, n := range w.drawn {
		t.drawn[kind] += n
	}
	for edge, n := range w.edges {
		t.edges[edge] += n
	}
	if len(w.violations) > 0 {
		t.failed = append(t.failed, w.s.seed)
	}
}

// TestSoak runs many seeds side by side.
func TestSoak(t *testing.T) {
	machine, err := app.Machine()
	if err != nil {
		t.Fatal(err)
	}
	if *oneSeed != 0 {
		showSeed(t, run(newScenario(*oneSeed), machine))
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1600)) // many small worlds, each soon forgotten
	before := round()
	began, spent := time.Now(), processorTime()
	sum := newTallies()
	next := make(chan uint64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := range next {
				w := run(newScenario(seed), machine)
				sum.add(w)
				if len(w.violations) > 0 {
					t.Error(w.story())
				}
			}
		})
	}
	for seed := *first; seed < *first+*seeds; seed++ {
		next <- seed
	}
	close(next)
	workers.Wait()
	took := time.Since(began)
	spent = processorTime() - spent
	sum.print(machine, took)
	sum.checkDrawn(t)
	checkTime(t, took, spent, (before+round())/2)
}

// perSeed is what a seed may cost at most, in rounds of work that is like a world's. It costs 18 of
// them where nothing else is at work, and this is a third more. In seconds, machines differ by half and more,
// and one machine does from hour to hour.
const perSeed = 25

// round is the processor time that such a round takes now: the state machine's definition read and
// written, by everybody at once.
func round() time.Duration {
	const rounds = 200
	began := processorTime()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for range rounds {
				var definition any
				if err := json.Unmarshal(statemachine.Definition, &definition); err != nil {
					panic(err)
				}
				if _, err := json.Marshal(definition); err != nil {
					panic(err)
				}
			}
		})
	}
	workers.Wait()
	return (processorTime() - began) / time.Duration(rounds*runtime.GOMAXPROCS(0))
}

// checkTime fails if the seeds took too long by the clock, and not only because the machine is slow
// or others were at work.
func checkTime(t *testing.T, took, spent, round time.Duration) {
	each := spent / time.Duration(*seeds)
	cost := float64(each) / float64(max(round, 1))
	fmt.Printf("%s by the clock, %s of processor time; a seed took %s, as long as %.1f rounds of JSON\n",
		took.Round(time.Second), spent.Round(time.Second), each.Round(10*time.Microsecond), cost)
	if *within > 0 && took > *within && cost > perSeed {
		t.Errorf("the seeds took %s, want %s, and that is not the machine: a seed took as long as %.1f rounds of JSON, want %d at most; "+
			"make what is simulated cheaper (-cpuprofile), or fewer large worlds (sizeOf)", took.Round(time.Second), *within, cost, perSeed)
	}
}

func (t *tallies) print(machine *asl.Machine, took time.Duration) {
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) } // a log would be shown of failures only
	perMinute := func(n int) int { return int(float64(n) / took.Minutes()) }
	say("%d seeds in %s (%d a minute): %d releases (%d a minute), %d calls to AWS, %d faults (%.1f a seed), %s of virtual time; worlds %v",
		t.runs, took.Round(time.Millisecond), perMinute(t.runs), t.releases, perMinute(t.releases), t.calls,
		t.faults, float64(t.faults)/float64(t.runs), t.virtual.Round(time.Hour), t.sizes)
	for _, kind := range slices.Sorted(maps.Keys(t.drawn)) {
		say("  %7d  %s", t.drawn[kind], kind)
	}
	all := machine.Edges()
	var missing []string
	for _, edge := range all {
		if t.edges[edge] == 0 {
			missing = append(missing, edge.String())
		}
	}
	say("  %d of %d edges of the state machine taken", len(all)-len(missing), len(all))
	if len(missing) > 0 {
		say("  not taken: %s", strings.Join(missing, "; "))
	}
	if len(t.failed) > 0 {
		slices.Sort(t.failed)
		say("  failing seeds: %v", t.failed)
	}
}

func showSeed(t *testing.T, w *world) {
	fmt.Println(w.s)
	fmt.Println(w.log.tail(0, func(line string) bool { return strings.Contains(line, *grep) }))
	fmt.Printf("ends %v\n", w.ends)
	for _, v := range w.violations {
		t.Errorf("seed %d: %s", w.s.seed, v)
	}
}

// found are seeds that found something once, by what it was. What a seed decides
// changes with the code, so that each bug has a test of its own where it was.
var found = map[uint64]string{
	// app.TestAnEarlierAttemptDoesNotReplaceTheToken
	34: "an approval's token was replaced by that of an earlier attempt",
	// app.TestALeaseThatWasGivenBackIsNotTakenByALateTask
	89: "a lease that was returned for an approval was acquired by a task delivered late",
	// ledger.TestALeaseForOneCallIsNotKeptByADirtyRelease
	122: "the lock of a layer was kept for ever by a release that ended dirty",
	// ledger.TestAStaleTaskCannotOverwriteTheResultsOfANewerOne
	223: "a step wrote without a record of its intent after its results were overtaken",
	// app.TestATaskThatIsDeliveredLateChangesNothing
	256: "an admission that was delivered late made a question unanswerable",
	// app.TestALateCloseDoesNotRecordWhatWasReplaced
	372: "the end of an environment, delivered late, recorded as live what was replaced",
	// release.TestNothingIsWrittenBeforeTheIntentIsRecorded
	689: "a step wrote without a record of its intent after the table had failed once",
	// layer.TestNobodyElsePublishesBeforeALostPublicationIsFoundAgain
	802:  "a layer was published twice after another had hidden the first",
	837:  "as 372, with two releases that take turns",
	2341: "as 34, in dev",
	// app.TestAnEnvironmentIsNotDoneBeforeWhatIsLiveIsKnown
	4907: "an environment was done, but what is live there was not recorded",
	// function.TestAnAliasThatSomebodyElseMovedFurtherIsLeftAlone
	20465: "a rollback took back what somebody else had moved",
	// app.TestAPlanThatIsDeliveredLateTakesNoQuestionBack
	34800: "a plan that was delivered late made a question unanswerable",
	// function.TestALookThatComesTooEarlyIsNotBelieved
	37890: "a rollback believed a look from before the write that it was to undo",
	// app.TestALateReportIsNotSent
	20141: "GitHub was told of a success after the end",
	// app.TestAPlanOfTwoDeliveriesStandsOnce
	31769: "an environment that was done was opened again by a plan delivered late",
	// no defect: the judge did not know what ledger.RetireLayerVersion says
	20775: "a layer version whose deletion was throttled was published anew",
}

// TestFoundSeeds runs the seeds that found something.
func TestFoundSeeds(t *testing.T) {
	machine, err := app.Machine()
	if err != nil {
		t.Fatal(err)
	}
	for seed, what := range found {
		if w := run(newScenario(seed), machine); len(w.violations) > 0 {
			t.Errorf("%s\nOnce it was this: %s", w.story(), what)
		}
	}
}

// TestOneSeedIsOneHistory runs a few seeds twice.
func TestOneSeedIsOneHistory(t *testing.T) {
	machine, err := app.Machine()
	if err != nil {
		t.Fatal(err)
	}
	for seed := uint64(1); seed <= 8; seed++ {
		one, other := run(newScenario(seed), machine), run(newScenario(seed), machine)
		if one.log.digest() != other.log.digest() {
			t.Errorf("seed %d: two runs have two histories", seed)
		}
	}
}
