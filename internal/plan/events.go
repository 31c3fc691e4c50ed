package plan

import (
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// MaxEvents is how many history events a release may cost. Step Functions ends
// an execution at 25,000 ("Step Functions service quotas"), and without running
// any Catch; the difference is kept for what nobody can foresee.
const MaxEvents = 20_000

// The history events that a state writes (Step Functions API Reference, HistoryEvent).
const (
	executionEvents = 2 // ExecutionStarted and the end
	taskEvents      = 5 // TaskStateEntered, TaskScheduled, TaskStarted, TaskSucceeded, TaskStateExited
	tokenTaskEvents = 6 // the same, and TaskSubmitted
	choiceEvents    = 2 // entered, exited
	waitEvents      = 2
	passEvents      = 2
	endEvents       = 2 // a Succeed state
	mapEvents       = 4 // MapStateEntered, MapStateStarted, MapStateSucceeded, MapStateExited
	iterationEvents = 2 // MapIterationStarted, MapIterationSucceeded
)

// How much work the tasks have when nothing goes wrong.
const (
	// turnCalls is how many calls a turn makes under the budget of 5 a second, in the time it has.
	turnCalls = 400
	// readCalls, updateCalls and so on are the calls a function costs in a phase.
	readCalls     = 3
	updateCalls   = 8
	rollBackCalls = 10
	shiftCalls    = 2
	// updateWaits are the waits for code, settings, version and the smoke
	// invocation, publishWaits those of a layer.
	updateWaits  = 4
	publishWaits = 1
	// assetWaits are the looks for an asset of a GitHub release that is not there yet: 15 minutes.
	assetWaits = 30
	// PruneTurns is how many turns a release prunes at most. What is left then is
	// for the next one.
	PruneTurns = 10
	// marginPercent is kept for retries, each of which costs three events.
	marginPercent = 10
)

// polls are the times between two looks that are tried, in order. All are far
// from a lease's end (15 minutes), which each look prolongs.
var polls = [...]time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute}

// budget chooses how long sites wait between two looks, so that the whole
// release fits the history of one execution. It depends on the two files
// alone: every plan of a release comes to the same.
func (p *planner) budget() (poll time.Duration, events int) {
	for _, poll = range polls {
		if events = p.events(poll); events <= MaxEvents {
			return poll, events
		}
	}
	p.violation("split the manifest's functions over several apps, or shorten traffic and bake",
		"history of the release: want at most %d events for Step Functions, got %d with a look every %s",
		MaxEvents, events, poll)
	return poll, events
}

// events is what statemachine/release.asl.json costs at most with a poll:
// everything changes, and in the end the widest environment is rolled back.
func (p *planner) events(poll time.Duration) int {
	widest := 0
	for _, env := range p.environments {
		widest = max(widest, p.rollBackEvents(env))
	}
	total := p.successEvents(poll) + widest
	return total + total*marginPercent/100
}

// successEvents is what a release costs that goes through, retries aside.
func (p *planner) successEvents(poll time.Duration) int {
	total := executionEvents + choiceEvents + // Entry
		4*taskEvents + // Admit, ReadManifest, TallyStage, Plan
		choiceEvents + // OnlyPlan
		p.stagingEvents() + p.toolsEvents()
	for _, env := range p.environments {
		total += p.environmentEvents(env, poll)
	}
	return total + choiceEvents + 2*taskEvents + // MoreEnvironments, Finish, ReportEnd
		choiceEvents + p.pruneEvents() + endEvents // Ends, Succeeded
}

// pruneEvents are those of Prune, with the choice after each turn.
func (p *planner) pruneEvents() int {
	turns := 1
	for _, spec := range p.in.Manifest.Layers {
		if spec.Keep > 0 {
			turns = PruneTurns
		}
	}
	for _, spec := range p.in.Manifest.Functions {
		if spec.Keep > 0 {
			turns = PruneTurns
		}
	}
	return turns*(taskEvents+choiceEvents) + (turns-1)*waitEvents
}

func (p *planner) stagingEvents() int {
	total := mapEvents
	for _, artifact := range p.in.Manifest.Artifacts {
		turns := 1
		if artifact.ReleaseAsset != "" {
			turns += assetWaits
		}
		total += iteration(turns)
	}
	sites := len(SnapshotSites(p.in.Registry, p.in.App, p.in.Manifest))
	return total + siteMap(sites, p.turns(readCalls))
}

func (p *planner) toolsEvents() int {
	sites := len(toolsSites(p.in.Registry, p.in.App, p.in.Manifest))
	turns := 1 + publishWaits + len(p.in.Manifest.Layers)*updateCalls/turnCalls
	return 2 * siteMap(sites, turns) // publish, share
}

func (p *planner) environmentEvents(env release.Environment, poll time.Duration) int {
	sites := len(env.Regions)
	again := taskEvents + siteMap(sites, p.turns(readCalls)) + // ReportStart, SnapshotEnvironment
		tokenTaskEvents + taskEvents + choiceEvents // AcquireLease, PlanEnvironment, PlanStands
	total := 2*choiceEvents + passEvents + again // MoreEnvironments, NeedsApproval, SelectEnvironment
	if env.NeedsApproval() {
		total += 2*tokenTaskEvents + taskEvents + again // asked, the lease returned, asked again
	}
	return total +
		siteMap(sites, 1+len(p.in.Manifest.Layers)/turnCalls) + // CheckAccess
		siteMap(sites, updateWaits+p.turns(updateCalls)) +
		siteMap(sites, p.shiftTurns(poll)) +
		siteMap(sites, 1+looks(time.Duration(env.Bake), poll)) +
		2*taskEvents + passEvents // CloseEnvironment, ReportSuccess, NextEnvironment
}

// rollBackEvents are PrepareRollBack, the Map RollBack, and Conclude after it.
func (p *planner) rollBackEvents(env release.Environment) int {
	return taskEvents + siteMap(len(env.Regions), updateWaits+p.turns(rollBackCalls))
}

// turns is how often a task has to run to make so many calls for each function of a site.
func (p *planner) turns(calls int) int {
	return 1 + len(p.in.Manifest.Functions)*calls/turnCalls
}

// shiftTurns is how often a site's traffic is looked at: at the beginning,
// after each poll, and whenever some function's next weight is due.
func (p *planner) shiftTurns(poll time.Duration) int {
	due := map[time.Duration]bool{}
	var longest time.Duration
	for _, f := range p.in.Manifest.Functions {
		if f.Alias == "" {
			continue
		}
		for i := range f.Traffic.Steps() {
			due[time.Duration(i+1)*f.Traffic.Interval] = true
		}
		longest = max(longest, f.Traffic.Duration())
	}
	return p.turns(shiftCalls*(1+len(due))) + len(due) + looks(longest, poll)
}

// looks is how many polls it takes until a time is over.
func looks(d, poll time.Duration) int { return int((d + poll - 1) / poll) }

// siteMap is what a Map over sites and its Tally cost.
func siteMap(sites, turns int) int { return mapEvents + sites*iteration(turns) + taskEvents }

// iteration is a task's turns with the choice after each, the waits between
// them, and the last Pass.
func iteration(turns int) int {
	return iterationEvents + turns*(taskEvents+choiceEvents) + (turns-1)*waitEvents + passEvents
}
