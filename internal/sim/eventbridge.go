package sim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// maxEntries is the most entries of one PutEvents. Source: EventBridge API Reference, PutEvents.
const maxEntries = 10

// BusEvent is an event that was put on a bus.
type BusEvent struct {
	Account, Region, Bus string
	Source, DetailType   string
	Detail               json.RawMessage
	Resources            []string
	At                   time.Time
}

// Events are the events that were put on buses, oldest first.
func (c *Cloud) Events() []BusEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.busEvents)
}

// EventBridgeClient calls EventBridge in one region.
type EventBridgeClient struct {
	session *Session
	region  string
}

// EventBridge is the session's client for EventBridge in a region.
func (s *Session) EventBridge(region string) *EventBridgeClient { return &EventBridgeClient{s, region} }

// PutEvents puts events on buses of the caller's account. Entries are refused one by one.
func (c *EventBridgeClient) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	bus := "default"
	if len(in.Entries) > 0 {
		bus = busName(in.Entries[0])
	}
	r := request{
		session: c.session, service: eventsService, action: "PutEvents", region: c.region, permission: "events:PutEvents",
		resource: "arn:aws:events:" + c.region + ":" + c.session.account + ":event-bus/" + bus,
	}
	return do(ctx, r, func() (*eventbridge.PutEventsOutput, error) {
		if n := len(in.Entries); n < 1 || n > maxEntries {
			return nil, apiError("ValidationException", fmt.Sprintf("entries: want 1 to %d, got %d", maxEntries, n))
		}
		out := &eventbridge.PutEventsOutput{}
		for _, e := range in.Entries {
			result := c.put(e)
			if result.ErrorCode != nil {
				out.FailedEntryCount++
			}
			out.Entries = append(out.Entries, result)
		}
		return out, nil
	})
}

// busName reads a bus's name or ARN.
func busName(e types.PutEventsRequestEntry) string {
	name := value(e.EventBusName)
	return cmp.Or(name[strings.LastIndex(name, "/")+1:], "default")
}

func (c *EventBridgeClient) put(e types.PutEventsRequestEntry) types.PutEventsResultEntry {
	switch {
	case value(e.Source) == "" || value(e.DetailType) == "":
		return refusedEntry("InvalidArgument", "Parameter Source and DetailType are required. Reason: missing")
	case strings.HasPrefix(*e.Source, "aws."):
		return refusedEntry("NotAuthorizedForSourceException", "Not authorized for the source.")
	case !isObject(value(e.Detail)):
		return refusedEntry("MalformedDetail", "Detail is malformed.")
	case len(*e.Detail) > maxEvent:
		return refusedEntry("EntryTooLarge", "Total size of the entry is over the limit.")
	}
	cloud := c.session.cloud
	at := cloud.clock.Now()
	if e.Time != nil {
		at = *e.Time
	}
	cloud.busEvents = append(cloud.busEvents, BusEvent{
		Account: c.session.account, Region: c.region, Bus: busName(e), Source: *e.Source, DetailType: *e.DetailType,
		Detail: json.RawMessage(*e.Detail), Resources: slices.Clone(e.Resources), At: at,
	})
	return types.PutEventsResultEntry{EventId: ptr(cloud.uuid())}
}

func refusedEntry(code, message string) types.PutEventsResultEntry {
	return types.PutEventsResultEntry{ErrorCode: ptr(code), ErrorMessage: ptr(message)}
}

func isObject(text string) bool {
	data := bytes.TrimSpace([]byte(text))
	return bytes.HasPrefix(data, []byte("{")) && json.Valid(data)
}
