package asl

import "time"

// Machine is a state machine that was loaded and checked. It is never changed
// and may be shared.
type Machine struct {
	comment string
	timeout time.Duration // 0: none
	top     *graph
	// all are the states of every graph, in the order of the definition.
	all []*state
}

// graph is a set of states with a start: the machine's own, or a Map's.
type graph struct {
	startAt string
	states  map[string]*state
	order   []*state
}

// The types of states.
const (
	typeTask    = "Task"
	typeChoice  = "Choice"
	typeMap     = "Map"
	typeWait    = "Wait"
	typePass    = "Pass"
	typeSucceed = "Succeed"
	typeFail    = "Fail"
)

// state is one state; which fields mean something depends on its type.
type state struct {
	name    string
	path    string // with the names of the Maps around it: "Deploy/Update"
	kind    string
	comment string
	line    int
	next    string
	end     bool

	inputPath, outputPath selector
	parameters            *template // of a Map: its ItemSelector
	resultSelector        *template
	resultPath            resultPath
	retry                 []retrier
	catch                 []catcher

	task    taskFields
	mapping mapFields
	wait    waitFields
	fail    failFields
	result  *any // of a Pass

	choices       []*rule
	defaultChoice string
}

type taskFields struct {
	waitForToken bool
	timeout      seconds
	heartbeat    seconds
}

type mapFields struct {
	items          *path
	maxConcurrency int
	hasConcurrency bool
	graph          *graph
}

type waitFields struct {
	duration      seconds
	timestamp     time.Time
	timestampPath *path
}

type failFields struct {
	name, cause         string
	namePath, causePath *expression
}

// seconds is a duration that the definition gives as a number or as a path.
type seconds struct {
	set   bool
	fixed int64
	path  *path
}

// terminal tells whether the execution, or the iteration, ends in the state.
func (s *state) terminal() bool {
	return s.end || s.kind == typeSucceed || s.kind == typeFail
}

// targets are the names of the states that may follow.
func (s *state) targets() []string {
	var all []string
	if s.next != "" {
		all = append(all, s.next)
	}
	for _, r := range s.choices {
		all = append(all, r.next)
	}
	if s.defaultChoice != "" {
		all = append(all, s.defaultChoice)
	}
	for _, c := range s.catch {
		all = append(all, c.next)
	}
	return all
}
