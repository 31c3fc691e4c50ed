package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	// fuzzEdges is after how many edges a machine that runs in circles is stopped.
	fuzzEdges = 300
	// fuzzPatience is how long a run may take before it counts as hung.
	fuzzPatience = time.Minute
)

// FuzzLoad loads any definition and runs it with any input, in virtual time: what
// is refused is refused as invalid; what is loaded has edges to known states only,
// comes to an end, the same one each time, and leaves a history without gaps.
func FuzzLoad(f *testing.F) {
	input := `{"l":[1,2,3],"a":[{"b":"x"}],"b":{"c,d":["é"]},"t":5,"n":1e400,"c":"2030-01-02T03:04:05Z","s":"*x"}`
	for _, definition := range []string{
		edgy,
		mapOf(`,"ItemsPath":"$.l[0:-1]","ItemSelector":{"v.$":"$$.Map.Item.Value"},"ResultPath":"$.a[0]['b']"`),
		task(`,"Retry":[{"ErrorEquals":["E"],"BackoffRate":1.5,"MaxDelaySeconds":60,"JitterStrategy":"FULL"}],"TimeoutSecondsPath":"$.t","OutputPath":null`),
		task(`,"Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":99999999}],"ResultSelector":{"x.$":"$.l[*]"},"ResultPath":"$.a[7]"`),
		one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"t.$":"$$.Task.Token"}},"TimeoutSeconds":9,"HeartbeatSeconds":3`),
		one(`"Type":"Pass","Parameters":{"a.$":"States.Format('{}\\'', States.ArrayGetItem(States.Array(1, $.b['c,d'], null), 0))"}`),
		one(`"Type":"Pass","Parameters":{"a.$":"States.StringToJson(States.JsonToString($.b))","h.$":"States.Hash($.s,'SHA-256')","m.$":"States.MathAdd($.t,-1)","u.$":"States.UUID()"}`),
		one(`"Type":"Pass","Parameters":{"a.$":"$.n","b.$":"States.ArrayContains($.l,$.n)","c.$":"States.MathAdd(9223372036854775807,$.t)"}`),
		choice(`"And":[{"Variable":"$.a","StringMatches":"*\\*"},{"Not":{"Variable":"$.b","TimestampLessThanPath":"$.c"}}]`),
		choice(`"Or":[{"Variable":"$.n","NumericGreaterThanPath":"$.t"},{"Variable":"$.s","StringMatches":"\\**"},{"Variable":"$.l[0]","IsPresent":true}]`),
		one(`"Type":"Wait","Timestamp":"2030-01-02T03:04:05Z"`),
		one(`"Type":"Wait","SecondsPath":"$.t"`),
		`{"StartAt":"A","States":{"A":{"Type":"Pass","ResultPath":"$.a","Next":"B"},"B":{"Type":"Choice","Choices":[{"Variable":"$.no","IsPresent":true,"Next":"C"}],"Default":"A"},"C":{"Type":"Fail","ErrorPath":"$.s","CausePath":"States.JsonToString($)"}}}`,
	} {
		f.Add([]byte(definition), []byte(input))
		f.Add([]byte(definition), []byte(`[{"l":[]},null,"text",-0.5]`))
	}
	whole, err := os.ReadFile("../../statemachine/release.asl.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAll(whole, []byte("f")), []byte(`{"release":"r"}`))
	f.Fuzz(func(t *testing.T, definition, input []byte) {
		m, err := asl.Load(definition, nil)
		if err != nil {
			if release.KindOf(err) != release.Invalid {
				t.Errorf("got an error of the kind %s, want invalid: %v", release.KindOf(err), err)
			}
			return
		}
		edges := checkEdges(t, m)
		m.Lint()
		if !json.Valid(input) {
			return
		}
		hung := time.AfterFunc(fuzzPatience, func() { panic(fmt.Sprintf("the machine %q does not end with input %q", definition, input)) })
		defer hung.Stop()
		first := runOnce(t, m, input, edges)
		if again := runOnce(t, m, input, edges); !reflect.DeepEqual(again, first) {
			t.Errorf("two runs differ:\n%+v\n%+v", first, again)
		}
	})
}

// checkEdges checks that no edge leads to nowhere, and gives them by their text.
func checkEdges(t *testing.T, m *asl.Machine) map[string]bool {
	known := map[string]bool{"": true}
	for _, s := range m.States() {
		known[s] = true
	}
	edges := map[string]bool{}
	for _, e := range m.Edges() {
		edges[e.String()] = true
		if !known[e.From] || !known[e.To] {
			t.Errorf("the edge %s leads to or from nowhere", e)
		}
	}
	return edges
}

// ran is what came of a run.
type ran struct {
	end    asl.Execution
	events []asl.Event
	edges  []string
}

// runOnce runs a machine whose functions answer their payload or fail, as its
// text decides.
func runOnce(t *testing.T, m *asl.Machine, input []byte, known map[string]bool) (r ran) {
	c := clock.NewVirtual(start, 1)
	c.Run(func() {
		var engine *asl.Engine
		engine, err := asl.New(asl.Config{
			Machine: m, Clock: c, Store: asl.NewMemoryStore(), Seed: 7, Invoke: byLength,
			OnEdge: func(e asl.Edge) {
				r.edges = append(r.edges, e.String())
				if !known[e.String()] {
					t.Errorf("took the edge %s, which the machine does not have", e)
				}
				if len(r.edges) == fuzzEdges {
					_ = engine.Stop(context.Background(), "x", "Circle", "it runs in circles")
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		if err := engine.Start(t.Context(), "x", input); err != nil {
			if release.KindOf(err) != release.Invalid {
				t.Errorf("the input %q is refused with %v", input, err)
			}
			return
		}
		if r.end, err = engine.Wait(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if r.events, err = engine.History(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		checkEnd(t, r)
	})
	return r
}

// byLength answers a function's payload, or fails where its length says so.
func byLength(_ context.Context, _ string, payload json.RawMessage) (json.RawMessage, error) {
	switch len(payload) % 4 {
	case 0:
		return nil, named("A", "it failed")
	case 1:
		return json.RawMessage("not JSON"), nil
	}
	return payload, nil
}

// checkEnd checks that the execution has one end, and that its history tells it.
func checkEnd(t *testing.T, r ran) {
	const dataLimit = 262_144
	if !r.end.Status.Ended() || len(r.events) == 0 {
		t.Fatalf("the execution has %s and %d events, want an end", r.end.Status, len(r.events))
	}
	for i, e := range r.events {
		if e.ID != int64(i+1) || e.Previous >= e.ID {
			t.Errorf("event %d has the id %d and follows %d", i+1, e.ID, e.Previous)
		}
		if len(e.Output) > 0 && !json.Valid(e.Output) {
			t.Errorf("event %+v has an output that is not JSON", e)
		}
	}
	ends := map[asl.Status]asl.EventType{
		asl.StatusSucceeded: asl.ExecutionSucceeded, asl.StatusFailed: asl.ExecutionFailed,
		asl.StatusTimedOut: asl.ExecutionTimedOut, asl.StatusAborted: asl.ExecutionAborted,
	}
	if last := r.events[len(r.events)-1].Type; last != ends[r.end.Status] || r.events[0].Type != asl.ExecutionStarted {
		t.Errorf("the execution has %s, and its history goes from %s to %s", r.end.Status, r.events[0].Type, last)
	}
	if r.end.Status == asl.StatusSucceeded && (!json.Valid(r.end.Output) || len(r.end.Output) > dataLimit) {
		t.Errorf("the output of %d bytes is not JSON within the limit: %.200s", len(r.end.Output), r.end.Output)
	}
}
