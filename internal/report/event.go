package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// EventSource is the source of Tagboat's events in EventBridge.
const EventSource = "tagboat"

// Happening is the detail-type of an event.
type Happening string

// What is told. The end of a release is sent at least once, and tried for a day;
// what happens before is sent once more if a task is run again, and not at all
// if EventBridge does not take it then: the ledger is the record.
const (
	ApprovalAsked       Happening = "Tagboat Approval Asked"
	EnvironmentStarted  Happening = "Tagboat Environment Started"
	EnvironmentReleased Happening = "Tagboat Environment Released"
	ReleaseEnded        Happening = "Tagboat Release Ended"
)

// Happenings are all detail-types.
var Happenings = []Happening{ApprovalAsked, EnvironmentStarted, EnvironmentReleased, ReleaseEnded}

// Event is the detail of an event. Fields are added, never changed, within a schema.
type Event struct {
	Schema  int    `json:"schema"`
	Release string `json:"release"`
	App     string `json:"app"`
	Version string `json:"version"`
	Attempt int    `json:"attempt"`
	// State is the release's: one of the ends for [ReleaseEnded].
	State release.State `json:"state"`
	// Message says it in a sentence.
	Message string `json:"message"`
	// Notice is the message, with the next step where there is one, in one line
	// without double quotes and backslashes: the input transformer of a rule can
	// put it into any template.
	Notice string `json:"notice"`
	// Environment is the one that the event is about; empty for [ReleaseEnded].
	Environment  string             `json:"environment,omitempty"`
	Environments []EventEnvironment `json:"environments"`
	Source       release.Source     `json:"source"`
	Trigger      string             `json:"trigger"`
	Actor        string             `json:"actor,omitempty"`
	Error        string             `json:"error,omitempty"`
	Remedy       string             `json:"remedy,omitempty"`
	// Link is the execution's address for people; empty without one.
	Link    string    `json:"link,omitempty"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
}

// EventEnvironment is how far the release is in one environment.
type EventEnvironment struct {
	Name  string                   `json:"name"`
	State release.EnvironmentState `json:"state"`
}

// NewEvent tells of a release, and of one of its environments if it is named.
func NewEvent(rel release.Release, happening Happening, environment, link string) Event {
	e := Event{
		Schema: 1, Release: rel.ID, App: rel.App, Version: rel.Version, Attempt: rel.Attempt, State: rel.State, Message: Sentence(rel),
		Environment: environment, Environments: []EventEnvironment{}, Source: rel.Source, Trigger: rel.Request.Trigger, Actor: rel.Request.Actor,
		Error: rel.Error, Remedy: rel.Remedy, Link: link, Created: rel.Created, Ended: rel.Ended,
	}
	for _, progress := range rel.Environments {
		e.Environments = append(e.Environments, EventEnvironment{progress.Name, progress.State})
	}
	switch happening {
	case EnvironmentReleased:
		e.Message = Live(rel, environment)
	case ApprovalAsked:
		e.Message = rel.App + " " + rel.Version + " asks to be released to " + environment + "."
	}
	e.Notice = notice(e, happening, Asked(rel.Environments))
	return e
}

// maxNotice is how long a notice is at most, in characters.
const maxNotice = 1000

// Asked is the fingerprint of the plan that a release which waits for an approval asks about.
func Asked(environments []release.Progress) string {
	for _, progress := range environments {
		if a := progress.Approval; a != nil && progress.State == release.EnvironmentPending && !a.IsAnswered() {
			return a.Fingerprint
		}
	}
	return ""
}

// PlanFlag ties an answer to the plan with a fingerprint, in a command for people.
func PlanFlag(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	return fmt.Sprintf(" --plan %.12s", fingerprint)
}

func notice(e Event, happening Happening, plan string) string {
	text := e.Message
	switch {
	case happening == ApprovalAsked:
		text += " Answer with: tagboat approve " + e.Release + PlanFlag(plan) + " or tagboat reject " + e.Release
	case happening == ReleaseEnded && e.Remedy != "":
		text += " Next: " + e.Remedy
	}
	text = strings.Join(strings.Fields(strings.NewReplacer(`"`, "'", `\`, "/").Replace(text)), " ")
	if runes := []rune(text); len(runes) > maxNotice {
		text = string(runes[:maxNotice-1]) + "…"
	}
	return text
}
