package asl_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

// BenchmarkState is what the engine itself adds to a state: a machine that goes
// round a task that does nothing and a Choice, 500 times an execution.
func BenchmarkState(b *testing.B) {
	const rounds = 500
	m := load(b, `{"StartAt":"T","States":{
		"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload":{"release.$":"$.release","execution.$":"$$.Execution.Name"}},
			"TimeoutSeconds":60,"Retry":[{"ErrorEquals":["E"]}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"E"}],"ResultPath":null,"Next":"I"},
		"I":{"Type":"Pass","Parameters":{"release.$":"$.release","n.$":"States.MathAdd($.n, 1)"},"Next":"C"},
		"C":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericLessThan":`+strconv.Itoa(rounds)+`,"Next":"T"}],"Default":"E"},
		"E":{"Type":"Succeed"}}}`)
	engine, err := asl.New(asl.Config{
		Machine: m, Clock: clock.System{}, Store: asl.NewMemoryStore(),
		Invoke: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"status":"done"}`), nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	b.ReportAllocs()
	executions := 0
	for b.Loop() {
		executions++
		name := strconv.Itoa(executions)
		if err := engine.Start(b.Context(), name, json.RawMessage(`{"release":"orders-1-2-3","n":0}`)); err != nil {
			b.Fatal(err)
		}
		<-engine.Done(name)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(executions*(3*rounds+1)), "ns/state")
}
