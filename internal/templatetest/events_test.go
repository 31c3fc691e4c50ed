package templatetest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

// event reads an event of a function's folder.
func event(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(root + "/functions/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// decode reads an event into what the function takes; every field has to be known.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// sameJSON tells whether a value is written as it was read: nothing of the event was lost.
func sameJSON(t *testing.T, text []byte, v any) {
	t.Helper()
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	decode(t, again, &got)
	decode(t, text, &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read and written again it is\n%s\nand was\n%s", again, text)
	}
}

func TestTaskEventsAreInputsOfTheStateMachine(t *testing.T) {
	payloads := map[string][][]string{}
	for _, task := range tasks(t) {
		folder := strings.TrimSuffix(strings.ToLower(task.function), "function")
		payloads[folder] = append(payloads[folder], task.payload)
	}
	for folder, shapes := range payloads {
		t.Run(folder, func(t *testing.T) {
			text := event(t, folder+"/event.json")
			var in app.Input
			decode(t, text, &in)
			sameJSON(t, text, in)
			var fields map[string]any
			decode(t, text, &fields)
			got := slices.Sorted(maps.Keys(fields))
			if !slices.ContainsFunc(shapes, func(shape []string) bool { return slices.Equal(shape, got) }) {
				t.Errorf("the event has the fields %v, the state machine sends %v", got, shapes)
			}
			if want := webhookRelease(t); in.Release != want {
				t.Errorf("the event is of release %q, the webhook's is %q", in.Release, want)
			}
		})
	}
}

// registry is one that knows the app of the events.
func registry(context.Context) (release.Registry, error) {
	text, err := os.ReadFile(root + "/internal/config/testdata/registry.yaml")
	if err != nil {
		return release.Registry{}, err
	}
	return config.ParseRegistry("registry.yaml", text)
}

// accepted starts releases and keeps what was asked for.
type accepted []release.Request

func (a *accepted) accept(_ context.Context, requests []release.Request) release.Answer {
	*a = append(*a, requests...)
	return release.Answer{Status: release.AnswerStarted, Code: release.CodeStarted}
}

// secret is the one of GitHub's documentation (Validating webhook deliveries).
type secret struct{}

func (secret) Secrets(context.Context, bool) ([][]byte, error) {
	return [][]byte{[]byte("It's a Secret to Everybody")}, nil
}

// webhookRelease is the id of the release that the webhook's event starts.
func webhookRelease(t *testing.T) string {
	t.Helper()
	text := event(t, "webhook/event.json")
	var request events.APIGatewayV2HTTPRequest
	decode(t, text, &request)
	header := http.Header{}
	for name, value := range request.Headers {
		header.Set(name, value)
	}
	var got accepted
	handler := webhook.Handler{Secrets: secret{}, Registry: registry, Accept: got.accept, Log: slog.New(slog.DiscardHandler)}
	answer := handler.Handle(t.Context(), webhook.Delivery{
		Method: request.RequestContext.HTTP.Method, Header: header, Body: []byte(request.Body),
	})
	if answer.Status != release.AnswerStarted || len(got) != 1 {
		t.Fatalf("the event is answered %+v and asks for %d releases, want one started", answer, len(got))
	}
	return got[0].ID()
}

func TestTheWebhookEventStartsTheReleaseOfTheOtherEvents(t *testing.T) {
	if got, want := webhookRelease(t), "orders-1-4-0-"; !strings.HasPrefix(got, want) {
		t.Errorf("it starts %q, want %s…", got, want)
	}
}

func TestTheArtifactEventStartsARelease(t *testing.T) {
	var got accepted
	handler := artifact.Events{
		Bucket: "tagboat-uploads-999999999999-us-east-1", Registry: registry, Accept: got.accept, Log: slog.New(slog.DiscardHandler),
	}
	answer := handler.Handle(t.Context(), event(t, "artifact/event.json"))
	if answer.Status != release.AnswerStarted || len(got) != 1 {
		t.Fatalf("the event is answered %+v and asks for %d releases, want one started", answer, len(got))
	}
	if got[0].App != "orders" || got[0].Version != "1.4.0" || got[0].Trigger != release.TriggeredByUpload {
		t.Errorf("it asks for %+v, want orders 1.4.0 by upload", got[0])
	}
}

func TestTheRecoverEventsAreOnesThatItsRulesSend(t *testing.T) {
	template := load(t, mainTemplate)
	_, properties := functionOf(t, template, "recover")
	var sweep, ended struct {
		DetailType string `json:"detail-type"`
		Source     string
		Detail     struct{ Name, Status, StateMachineArn string }
	}
	for file, into := range map[string]any{"recover/event.json": &sweep, "recover/event-ended.json": &ended} {
		if err := json.Unmarshal(event(t, file), into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if sweep.DetailType != "Scheduled Event" || at(properties, "Events", "Sweep", "Type") != "Schedule" {
		t.Errorf("event.json is %q, want that of the schedule", sweep.DetailType)
	}
	r := newResolver(t, "999999999999", "us-east-1", nil)
	pattern := r.resolve(at(properties, "Events", "Ended", "Properties", "Pattern"))
	for _, check := range []struct {
		got  string
		want []string
	}{
		{ended.Source, texts(at(pattern, "source"))},
		{ended.DetailType, texts(at(pattern, "detail-type"))},
		{ended.Detail.Status, texts(at(pattern, "detail", "status"))},
		{ended.Detail.StateMachineArn, texts(at(pattern, "detail", "stateMachineArn"))},
		{ended.Detail.Name, []string{webhookRelease(t)}},
	} {
		if !slices.Contains(check.want, check.got) {
			t.Errorf("event-ended.json says %q, want one of %q", check.got, check.want)
		}
	}
}

func TestTheMissedEventIsThatOfItsSchedule(t *testing.T) {
	var look struct {
		DetailType string `json:"detail-type"`
		Resources  []string
	}
	if err := json.Unmarshal(event(t, "missed/event.json"), &look); err != nil {
		t.Fatal(err)
	}
	_, properties := functionOf(t, load(t, mainTemplate), "missed")
	if look.DetailType != "Scheduled Event" || at(properties, "Events", "Look", "Type") != "Schedule" ||
		len(look.Resources) != 1 || !strings.Contains(look.Resources[0], "MissedFunctionLook") {
		t.Errorf("event.json is %q of %q, want that of the schedule", look.DetailType, look.Resources)
	}
}

// TestTheReportEventOfTheScheduleIsWhatItSends: an input without a release, which asks for a look at all of them.
func TestTheReportEventOfTheScheduleIsWhatItSends(t *testing.T) {
	_, properties := functionOf(t, load(t, mainTemplate), "report")
	sent, _ := at(properties, "Events", "Watch", "Properties", "Input").(string)
	if at(properties, "Events", "Watch", "Type") != "Schedule" {
		t.Errorf("the template has no schedule for it")
	}
	var want, got app.Input
	decode(t, event(t, "report/event-watch.json"), &want)
	decode(t, []byte(sent), &got)
	if !reflect.DeepEqual(got, want) || got.Do != "watch" {
		t.Errorf("the schedule sends %+v, the event is %+v", got, want)
	}
}
