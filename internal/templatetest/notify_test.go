package templatetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// picks tells whether EventBridge would give an event to a rule: each field of
// the pattern has one of the values, and one of the alternatives of $or matches
// (EventBridge user guide, "Event patterns").
func picks(t *testing.T, pattern any, event object) bool {
	t.Helper()
	for field, want := range pattern.(object) {
		switch want := want.(type) {
		case object:
			inner, _ := event[field].(object)
			if inner == nil || !picks(t, want, inner) {
				return false
			}
		case []any:
			if field == "$or" {
				if !slices.ContainsFunc(want, func(alternative any) bool { return picks(t, alternative, event) }) {
					return false
				}
			} else if !slices.Contains(want, event[field]) {
				return false
			}
		default:
			t.Fatalf("the pattern has %v for %s, want a list", want, field)
		}
	}
	return true
}

var variable = regexp.MustCompile(`<([^>]+)>`)

// sentTo is what a target gets. Values are put into the template as they
// are, as it is when EventBridge escapes nothing: whatever it does, the text has
// to be valid then.
func sentTo(t *testing.T, transformer any, event object) string {
	t.Helper()
	paths := at(transformer, "InputPathsMap").(object)
	return variable.ReplaceAllStringFunc(at(transformer, "InputTemplate").(string), func(match string) string {
		path, known := paths[match[1:len(match)-1]].(string)
		steps := strings.Split(strings.TrimPrefix(path, "$."), ".")
		if !known || !strings.HasPrefix(path, "$.") {
			t.Fatalf("the template has %s, the map %v", match, paths)
		}
		return fmt.Sprint(at(event, steps...))
	})
}

// eventOf is an event as it comes from the bus.
func eventOf(t *testing.T, happening report.Happening, state release.State) object {
	t.Helper()
	rel := release.Release{
		ID: "orders-1", App: "orders", Version: "1.1.0", State: state, Error: "alarm \"orders-api\" rang\nin C:\\code <here>", Remedy: "Look at \"it\".",
	}
	detail, err := json.Marshal(report.NewEvent(rel, happening, "prod", ""))
	if err != nil {
		t.Fatal(err)
	}
	var fields object
	if err := json.Unmarshal(detail, &fields); err != nil {
		t.Fatal(err)
	}
	return object{"source": report.EventSource, "detail-type": string(happening), "detail": fields}
}

func TestTheTopicHearsWhatItIsAskedTo(t *testing.T) {
	rule := at(load(t, mainTemplate), "Resources", "NotifyRule", "Properties")
	failures := []release.State{release.FailedClean, release.FailedDirty, release.Refused, release.Expired}
	for everything, name := range map[bool]string{true: "everything", false: "failures"} {
		t.Run(name, func(t *testing.T) {
			r := newResolver(t, "999999999999", "us-east-1", map[string]any{"NotifiesEverything": everything})
			pattern := r.resolve(at(rule, "EventPattern"))
			for _, happening := range report.Happenings {
				states := []release.State{release.Running}
				if happening == report.ReleaseEnded {
					states = append(failures, release.Succeeded, release.Superseded, release.Rejected)
				}
				for _, state := range states {
					want := everything || happening == report.ApprovalAsked || happening == report.ReleaseEnded && slices.Contains(failures, state)
					if got := picks(t, pattern, eventOf(t, happening, state)); got != want {
						t.Errorf("%s, %s: the topic hears of it: %t, want %t", happening, state, got, want)
					}
				}
			}
			if other := eventOf(t, report.ReleaseEnded, release.FailedDirty); picks(t, pattern, object{"source": "aws.states", "detail-type": other["detail-type"], "detail": other["detail"]}) {
				t.Error("the topic hears of what is not Tagboat's")
			}
		})
	}
}

func TestTheTopicsMessagesAreValidText(t *testing.T) {
	targets := at(load(t, mainTemplate), "Resources", "NotifyRule", "Properties", "Targets").([]any)
	if len(targets) != 1 {
		t.Fatalf("there are %d targets, want one", len(targets))
	}
	for _, happening := range report.Happenings {
		sent := sentTo(t, at(targets[0], "InputTransformer"), eventOf(t, happening, release.FailedClean))
		var text string
		if err := json.Unmarshal([]byte(sent), &text); err != nil {
			t.Errorf("%s: %v\n%s", happening, err, sent)
		}
		if !strings.HasPrefix(text, "orders 1.1.0 ") || !strings.HasSuffix(text, " (tagboat show orders-1)") {
			t.Errorf("%s: the message is %q", happening, text)
		}
	}
}
