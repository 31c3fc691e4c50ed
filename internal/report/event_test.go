package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

var update = flag.Bool("update", false, "write the JSON Schema of events afresh")

const (
	schemaFile = "../../schemas/event.schema.json"
	eventsPage = "../../docs/events.md"
)

// meanings say what each field of an event means; the schema and the page have them.
var meanings = map[string]string{
	"schema":       "1. Within a schema fields are added, never changed or left out.",
	"release":      "Its id, for tagboat show.",
	"app":          "Its name in the registry.",
	"version":      "What is released.",
	"attempt":      "1 for what an event started; retries and rollbacks take the next.",
	"state":        "How the release stands; of an ended one, its end.",
	"message":      "All of it in a sentence.",
	"notice":       "The message and the next step in one line without double quotes and backslashes, for the template of an input transformer; at most 1,000 characters.",
	"environment":  "The one that the event is about; missing where a release ended.",
	"environments": "How far the release is in each of its environments, in their order.",
	"source":       "Where it comes from: repository, tag and commit, or bucket, key and version-id of an upload.",
	"trigger":      "What started it: push, create, release, upload, drop, manual, rollback or schedule.",
	"actor":        "Who sent it, as far as is known.",
	"error":        "Why it failed; missing where it did not. May have several lines.",
	"remedy":       "What to do about it.",
	"link":         "The execution in the AWS console; missing with tagboat serve.",
	"created":      "When it was asked for, in RFC 3339.",
	"ended":        "When it ended; missing before.",
}

// eventSchema is the JSON Schema of an event's detail, made from the type.
func eventSchema(t *testing.T) []byte {
	t.Helper()
	schema := schemaOf(t, reflect.TypeFor[report.Event](), meanings)
	schema["$schema"], schema["title"] = "https://json-schema.org/draft/2020-12/schema", "detail of Tagboat's events"
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func schemaOf(t *testing.T, typ reflect.Type, meanings map[string]string) map[string]any {
	t.Helper()
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case typ == reflect.TypeFor[release.State]():
		states := []release.State{
			release.Received, release.Running, release.Waiting, release.WaitingApproval, release.RollingBack, release.Succeeded,
			release.FailedClean, release.FailedDirty, release.Refused, release.Superseded, release.Rejected, release.Expired,
		}
		return map[string]any{"type": "string", "enum": states}
	case typ == reflect.TypeFor[release.EnvironmentState]():
		states := []release.EnvironmentState{
			release.EnvironmentPending, release.EnvironmentOpen, release.EnvironmentDone, release.EnvironmentRolledBack, release.EnvironmentDirty,
		}
		return map[string]any{"type": "string", "enum": states}
	}
	switch typ.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t, typ.Elem(), nil)}
	case reflect.Struct:
		return structSchema(t, typ, meanings)
	}
	t.Fatalf("the schema of events does not know %s", typ)
	return nil
}

func structSchema(t *testing.T, typ reflect.Type, meanings map[string]string) map[string]any {
	t.Helper()
	properties, required := map[string]any{}, []string{}
	for field := range fieldsOf(typ) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		property := schemaOf(t, field.Type, nil)
		if meanings != nil {
			if meanings[name] == "" {
				t.Errorf("nobody says what the field %q of an event means", name)
			}
			property["description"] = meanings[name]
		}
		properties[name] = property
		if options == "" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func fieldsOf(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range typ.NumField() {
			if !yield(typ.Field(i)) {
				return
			}
		}
	}
}

func TestTheSchemaOfEventsIsThatOfTheType(t *testing.T) {
	made := eventSchema(t)
	if *update {
		if err := os.WriteFile(schemaFile, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if written := read(t, schemaFile); !bytes.Equal(written, made) {
		t.Error("schemas/event.schema.json is not that of report.Event: go test ./internal/report -update")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// valid checks a detail against the schema file.
func valid(t *testing.T, detail []byte) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, schemaFile)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("event.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(detail))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, detail)
	}
}

func TestEventsAreAsTheSchemaSays(t *testing.T) {
	for _, state := range []release.State{release.Running, release.WaitingApproval, release.FailedDirty, release.Succeeded} {
		for _, happening := range report.Happenings {
			rel := orders(state, release.Progress{Name: "prod", State: release.EnvironmentOpen})
			detail, err := json.Marshal(report.NewEvent(rel, happening, "prod", "https://example.com"))
			if err != nil {
				t.Fatal(err)
			}
			valid(t, detail)
		}
	}
}

// TestThePageOfEventsIsTrue: it has each detail-type and each field with its
// meaning, and its example is an event.
func TestThePageOfEventsIsTrue(t *testing.T) {
	page := string(read(t, eventsPage))
	for _, happening := range report.Happenings {
		if !strings.Contains(page, "`"+string(happening)+"`") {
			t.Errorf("docs/events.md does not have %q", happening)
		}
	}
	for field := range fieldsOf(reflect.TypeFor[report.Event]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if line := "| `" + name + "` | " + meanings[name] + " |"; !strings.Contains(page, line) {
			t.Errorf("docs/events.md does not have the line\n%s", line)
		}
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(page)
	if example == nil {
		t.Fatal("docs/events.md has no example")
	}
	var event struct {
		Source     string
		DetailType report.Happening `json:"detail-type"`
		Detail     json.RawMessage
	}
	if err := json.Unmarshal([]byte(example[1]), &event); err != nil {
		t.Fatal(err)
	}
	if event.Source != report.EventSource || event.DetailType != report.ReleaseEnded {
		t.Errorf("the example is %q of %q", event.DetailType, event.Source)
	}
	valid(t, event.Detail)
	var typed report.Event
	decoder := json.NewDecoder(bytes.NewReader(event.Detail))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&typed); err != nil {
		t.Errorf("the example is no event: %v", err)
	}
}

func TestANoticeFitsAnyTemplate(t *testing.T) {
	rel := orders(release.FailedClean)
	rel.Error, rel.Remedy = `function "api" in C:\code failed`, "Look at\n\"the log\"."
	if got, want := report.NewEvent(rel, report.ReleaseEnded, "", "").Notice,
		"orders 1.1.0 failed and was rolled back: function 'api' in C:/code failed Next: Look at 'the log'."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := report.NewEvent(rel, report.ApprovalAsked, "prod", "").Notice; !strings.Contains(got, "tagboat approve orders-1") {
		t.Errorf("%q does not say how to answer", got)
	}
	rel.Error = strings.Repeat("é", 5000)
	if got := []rune(report.NewEvent(rel, report.ReleaseEnded, "", "").Notice); len(got) != 1000 || got[999] != '…' {
		t.Errorf("a long notice has %d characters", len(got))
	}
}
