package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// function is what stands behind a FunctionName.
type function func(ctx context.Context, payload json.RawMessage) (any, error)

// world is an engine with the functions that its tasks call.
type world struct {
	t         *testing.T
	clock     clock.Clock
	store     asl.Store
	engine    *asl.Engine
	functions map[string]function
	machine   *asl.Machine
	limit     int // of functions at once; 0 is none

	mu    sync.Mutex
	edges []string
	ends  []asl.Execution
	calls []string

	logged strings.Builder
}

// both runs a test on each clock; in both, waiting takes no time.
func both(t *testing.T, test func(t *testing.T, c clock.Clock)) {
	t.Run("system", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, clock.System{}) })
	})
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("virtual seed %d", seed), func(t *testing.T) {
			c := clock.NewVirtual(start, seed)
			c.Run(func() { test(t, c) })
		})
	}
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, test func(t *testing.T, c clock.Clock)) {
	c := clock.NewVirtual(start, 0)
	c.Run(func() { test(t, c) })
}

func load(t testing.TB, definition string) *asl.Machine {
	t.Helper()
	m, err := asl.Load([]byte(definition), nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newWorld(t *testing.T, c clock.Clock, definition string, functions map[string]function) *world {
	t.Helper()
	w := &world{t: t, clock: c, store: asl.NewMemoryStore(), functions: functions, machine: load(t, definition)}
	w.open()
	return w
}

// open makes a new engine on the world's store, as after a restart.
func (w *world) open() {
	w.t.Helper()
	engine, err := asl.New(asl.Config{
		Machine: w.machine, Clock: w.clock, Store: w.store, Seed: 7, Invoke: w.invoke, Concurrency: w.limit,
		Logger: slog.New(slog.NewTextHandler(&w.logged, nil)),
		OnEnd:  func(x asl.Execution) { w.mu.Lock(); defer w.mu.Unlock(); w.ends = append(w.ends, x) },
		OnEdge: func(e asl.Edge) { w.mu.Lock(); defer w.mu.Unlock(); w.edges = append(w.edges, e.String()) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = engine
	w.t.Cleanup(engine.Close)
}

func (w *world) invoke(ctx context.Context, name string, payload json.RawMessage) (json.RawMessage, error) {
	w.mu.Lock()
	f, ok := w.functions[name]
	w.calls = append(w.calls, name)
	w.mu.Unlock()
	if !ok {
		return nil, named("Lambda.ResourceNotFoundException", "no function "+name)
	}
	out, err := f(ctx, payload)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// run starts an execution, waits for its end and checks that it was told once.
func (w *world) run(input string) asl.Execution {
	w.t.Helper()
	w.start("x", input)
	return w.wait("x")
}

func (w *world) start(name, input string) {
	w.t.Helper()
	if err := w.engine.Start(w.t.Context(), name, json.RawMessage(input)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wait(name string) asl.Execution {
	w.t.Helper()
	x, err := w.engine.Wait(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// history is the types of the events.
func (w *world) history(name string) []string {
	w.t.Helper()
	events, err := w.engine.History(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	types := make([]string, len(events))
	for i, e := range events {
		types[i] = string(e.Type)
		if e.ID != int64(i+1) {
			w.t.Errorf("event %d has the id %d", i+1, e.ID)
		}
	}
	return types
}

func (w *world) wantHistory(want string) {
	w.t.Helper()
	if got := strings.Join(w.history("x"), " "); got != strings.Join(strings.Fields(want), " ") {
		w.t.Errorf("the history is\n%s\nwant\n%s", got, strings.Join(strings.Fields(want), " "))
	}
}

func wantOutput(t *testing.T, x asl.Execution, want string) {
	t.Helper()
	if x.Status != asl.StatusSucceeded {
		t.Errorf("the execution has %s (%s: %s), want SUCCEEDED", x.Status, x.Error, x.Cause)
		return
	}
	wantJSON(t, string(x.Output), want)
}

func wantJSON(t *testing.T, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got), &a); err != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func wantFailure(t *testing.T, x asl.Execution, name, cause string) {
	t.Helper()
	if x.Status != asl.StatusFailed || x.Error != name || !strings.Contains(x.Cause, cause) {
		t.Errorf("the execution has %s (%s: %s), want FAILED (%s: …%s…)", x.Status, x.Error, x.Cause, name, cause)
	}
}

type taskError struct{ name, text string }

func (e taskError) Error() string     { return e.text }
func (e taskError) ErrorName() string { return e.name }

func named(name, text string) error { return taskError{name, text} }

// echo answers with its payload.
func echo(_ context.Context, payload json.RawMessage) (any, error) { return payload, nil }

// failing fails n times by a name and then answers "ok".
func failing(n int, name string) function {
	return func(context.Context, json.RawMessage) (any, error) {
		if n--; n >= 0 {
			return nil, named(name, "failed")
		}
		return "ok", nil
	}
}

// hang ends with its context.
func hang(c clock.Clock) function {
	return func(ctx context.Context, _ json.RawMessage) (any, error) {
		return nil, c.NewSignal().Wait(ctx, 0)
	}
}

// one is a machine of one state S with the given fields, and an end E to lead to.
func one(fields string) string {
	return `{"StartAt":"S","States":{"S":{` + fields + `,"End":true}}}`
}

// task is a machine of one task that calls f with its input.
func task(fields string) string {
	return one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload.$":"$"}` + fields)
}
