package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// happening is one thing that was found changed at a look at a release. With
// --events it is a line of JSON; docs/json.md has its fields.
type happening struct {
	// Time is that of the look, by the server's clock.
	Time    time.Time `json:"time"`
	Event   eventKind `json:"event"`
	Release string    `json:"release"`
	// State and Message are those of the release.
	State   release.State `json:"state,omitempty"`
	Message string        `json:"message,omitempty"`
	// Environment bakes until BakeEnds.
	Environment string    `json:"environment,omitempty"`
	BakeEnds    time.Time `json:"bake_ends,omitzero"`
	// Step came into a state, or to a weight.
	Step *report.Step `json:"step,omitempty"`
	// Staging is how far an artifact is.
	Staging *release.Staging `json:"staging,omitempty"`
}

// eventKind is what a happening is about.
type eventKind string

const (
	releaseChanged eventKind = "release"
	stagingMoved   eventKind = "staging"
	stepChanged    eventKind = "step"
	trafficMoved   eventKind = "traffic"
	bakeBegan      eventKind = "bake"
)

// witness remembers the last look at a release.
type witness struct {
	state   release.State
	said    string
	steps   map[string]report.Step
	staging map[string]release.Staging
	bakes   map[string]bool
}

func newWitness() *witness {
	return &witness{steps: map[string]report.Step{}, staging: map[string]release.Staging{}, bakes: map[string]bool{}}
}

// see tells what is different from the look before, each thing once.
func (w *witness) see(view report.View) []happening {
	var all []happening
	tell := func(h happening) {
		h.Time, h.Release = view.AsOf, view.ID
		all = append(all, h)
	}
	for _, how := range view.Staging {
		if w.staging[how.Artifact] != how {
			w.staging[how.Artifact] = how
			tell(happening{Event: stagingMoved, Staging: &how})
		}
	}
	for _, step := range view.Steps {
		w.step(step, tell)
	}
	for _, progress := range view.Environments {
		if !progress.BakeEnds.IsZero() && !w.bakes[progress.Name] {
			w.bakes[progress.Name] = true
			tell(happening{Event: bakeBegan, Environment: progress.Name, BakeEnds: progress.BakeEnds})
		}
	}
	if sentence := report.Sentence(view.Release); sentence != w.said || view.State != w.state {
		w.said, w.state = sentence, view.State
		tell(happening{Event: releaseChanged, State: view.State, Message: sentence})
	}
	return all
}

// step tells a step's new state and its new weight. What has not begun and what
// stays as it is are not worth a line at the first look.
func (w *witness) step(step report.Step, tell func(happening)) {
	before, known := w.steps[step.Key()]
	w.steps[step.Key()] = step
	quiet := step.State == release.StepPending || step.State == release.StepUnchanged
	if before.State != step.State && (known || !quiet) {
		tell(happening{Event: stepChanged, Step: &step})
	}
	if step.Weight > 0 && step.Weight != before.Weight {
		tell(happening{Event: trafficMoved, Step: &step})
	}
}

// line is a happening in words, for a pipe; empty if it is not worth a line there:
// how far an artifact is, and how a release failed, which is told as the error.
func (h happening) line() string {
	switch h.Event {
	case stepChanged:
		return stepLine(*h.Step)
	case trafficMoved:
		line := fmt.Sprintf("  %-11s %s %s %s: %d %%", "traffic", environmentOf(*h.Step), h.Step.Region, h.Step.Target, h.Step.Weight)
		if next := h.Step.NextAt; !next.IsZero() {
			line += ", next part at " + moment(next)
		}
		return line
	case bakeBegan:
		return fmt.Sprintf("  %-11s %s until %s", "baking", h.Environment, moment(h.BakeEnds))
	case releaseChanged:
		return h.sentence()
	}
	return ""
}

// sentence says how a release stands and, where it asks, what to do.
func (h happening) sentence() string {
	switch {
	case h.State.Ended() && h.State != release.Succeeded:
		return ""
	case h.State == release.WaitingApproval:
		return fmt.Sprintf("%s\n  next: %s", h.Message, answers(h.Release, ""))
	}
	return h.Message
}

func stepLine(step report.Step) string {
	line := fmt.Sprintf("  %-11s %s %s %s %s: %s → %s", step.State, environmentOf(step), step.Region, step.Kind, step.Target, step.Before, step.After)
	if step.Error != "" {
		line += ": " + step.Error
	}
	return line
}

// environmentOf is the environment of a step.
func environmentOf(step report.Step) string {
	if step.Environment == "" {
		return "tools"
	}
	return step.Environment
}

// watcher shows a release that is looked at again and again.
type watcher interface {
	// show is told each look.
	show(report.View)
	// tick is told that a second has passed without one.
	tick()
}

// lines prints what has changed, a line for each: what a pipe gets.
type lines struct {
	out  io.Writer
	seen *witness
	last string // sentences are told once, whatever the state
}

var _ watcher = (*lines)(nil)

func (l *lines) show(view report.View) {
	for _, h := range l.seen.see(view) {
		line := h.line()
		if line == "" || h.Event == releaseChanged && line == l.last {
			continue
		}
		if h.Event == releaseChanged {
			l.last = line
		}
		fmt.Fprintln(l.out, readable(line))
	}
}

func (l *lines) tick() {}

// events prints what has changed as JSON Lines.
type events struct {
	out  io.Writer
	seen *witness
}

var _ watcher = (*events)(nil)

func (e *events) show(view report.View) {
	encoder := json.NewEncoder(e.out)
	encoder.SetEscapeHTML(false)
	for _, h := range e.seen.see(view) {
		_ = encoder.Encode(h) // a pipe that is closed ends the process, or is noticed at the end
	}
}

func (e *events) tick() {}

// silence shows nothing.
type silence struct{}

var _ watcher = silence{}

func (silence) show(report.View) {}
func (silence) tick()            {}
