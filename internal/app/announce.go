package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// Announcer tells others what becomes of releases.
type Announcer interface {
	// Announce may be called again after a failure: others may hear it twice.
	Announce(ctx context.Context, happening report.Happening, event report.Event) error
}

// EventBridgeAPI is what is used of EventBridge.
type EventBridgeAPI interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// EventBridge announces on an event bus.
type EventBridge struct {
	API EventBridgeAPI
	// Bus is its name or ARN.
	Bus string
}

var _ Announcer = EventBridge{}

// Announce sends one event. An entry that EventBridge refused is an error,
// although the call succeeds then (EventBridge API reference, PutEvents).
func (b EventBridge) Announce(ctx context.Context, happening report.Happening, event report.Event) error {
	detail, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("event of release %q: %w", event.Release, err)
	}
	out, err := b.API.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &b.Bus, Source: aws.String(report.EventSource), DetailType: aws.String(string(happening)), Detail: aws.String(string(detail)),
	}}})
	if err != nil {
		return release.Errorf(release.Transient, "event bus %q: %w", b.Bus, awserr.Brief(err))
	}
	for _, entry := range out.Entries {
		if entry.ErrorCode != nil {
			return release.Errorf(release.Transient, "event bus %q did not take the event: %s: %s", b.Bus, *entry.ErrorCode, aws.ToString(entry.ErrorMessage))
		}
	}
	return nil
}

// Herald tells what happens to releases. That it cannot be told fails none.
type Herald struct {
	// Announcer is nil if there is nobody to tell.
	Announcer Announcer
	// Link is the address of an execution for people; nil if there is none.
	Link  func(execution string) string
	Log   *slog.Logger
	Clock clock.Clock
}

// tellings is how often it is tried to tell something.
const tellings = 4

// tell announces what happened. The result is false if somebody listens and could not be told.
func (h Herald) tell(ctx context.Context, rel *release.Release, happening report.Happening, environment string) bool {
	if h.Announcer == nil || rel.Request.DryRun {
		return true
	}
	event := report.NewEvent(*rel, happening, environment, h.link(rel))
	err := h.Announcer.Announce(ctx, happening, event)
	for n := 1; n < tellings && err != nil && release.KindOf(err) == release.Transient; n++ {
		if h.Clock.Sleep(ctx, time.Second<<n) != nil {
			break
		}
		err = h.Announcer.Announce(ctx, happening, event)
	}
	if err != nil {
		h.Log.WarnContext(ctx, "an event was not sent", "release", rel.ID, "happening", happening, "environment", environment, "error", err)
	}
	return err == nil
}

// link is the address of a release's execution; empty if there is none.
func (h Herald) link(rel *release.Release) string {
	if h.Link == nil {
		return ""
	}
	return h.Link(rel.Execution)
}
