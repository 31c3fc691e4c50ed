// Package storetest is what every asl.Store has to pass.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
)

var began = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// Run tests a store. open makes one that is empty.
func Run(t *testing.T, open func(t *testing.T) asl.Store) {
	for name, test := range map[string]func(*testing.T, asl.Store){
		"a created execution is loaded as it was":        loadsWhatWasCreated,
		"a name is created once":                         createsOnce,
		"of many creations at once one wins":             createsOnceConcurrently,
		"what was never created is not found":            findsNothing,
		"a saved checkpoint replaces the one before":     savesCheckpoint,
		"events are appended in order":                   appendsEvents,
		"a checkpoint that is saved twice counts once":   savesTwice,
		"the unfinished are those that run, by name":     listsUnfinished,
		"executions are kept apart":                      keepsApart,
		"what the caller changes later is not stored":    keepsItsOwn,
		"a done context is an error and changes nothing": heedsContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func checkpoint(name string, events ...asl.Event) asl.Checkpoint {
	c := asl.Checkpoint{
		Execution: asl.Execution{
			Name: name, Status: asl.StatusRunning, Input: json.RawMessage(`{"text":"<ü> & \u0000"}`), Started: began, State: "First",
		},
		StateInput: json.RawMessage(`{"number":12345678901234567890}`),
		Events:     events,
	}
	if len(events) > 0 {
		c.LastEvent = events[len(events)-1].ID
	}
	return c
}

func event(id int64, kind asl.EventType) asl.Event {
	return asl.Event{
		ID: id, Previous: id - 1, Type: kind, Time: began.Add(time.Duration(id) * time.Millisecond), State: "First",
		Index: int(id), Length: 3, Input: json.RawMessage(`[1]`), Output: json.RawMessage(`null`), Error: "E", Cause: "because",
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got the error %v, want %v", got, want)
	}
}

// wantSame compares as JSON: how a document is spaced and escaped is the store's choice.
func wantSame(t *testing.T, got, want any) {
	t.Helper()
	if a, b := plain(t, got), plain(t, want); !reflect.DeepEqual(a, b) {
		t.Errorf("got  %+v\nwant %+v", a, b)
	}
}

func plain(t *testing.T, value any) any {
	t.Helper()
	raw, err := json.Marshal(value)
	must(t, err)
	var out any
	must(t, json.Unmarshal(raw, &out))
	return out
}

func loadsWhatWasCreated(t *testing.T, s asl.Store) {
	want := checkpoint("one", event(1, asl.ExecutionStarted))
	want.Resumes = 2
	must(t, s.Create(t.Context(), want))
	got, err := s.Load(t.Context(), "one")
	must(t, err)
	want.Events = nil
	wantSame(t, got, want)
	if !got.Execution.Started.Equal(began) {
		t.Errorf("started %v, want %v", got.Execution.Started, began)
	}
}

func createsOnce(t *testing.T, s asl.Store) {
	must(t, s.Create(t.Context(), checkpoint("one", event(1, asl.ExecutionStarted))))
	other := checkpoint("one", event(1, asl.ExecutionAborted))
	other.Execution.State = "Other"
	wantError(t, s.Create(t.Context(), other), asl.ErrExecutionExists)
	got, err := s.Load(t.Context(), "one")
	must(t, err)
	if got.Execution.State != "First" {
		t.Errorf("the refused creation changed the state to %q", got.Execution.State)
	}
	events, err := s.History(t.Context(), "one")
	must(t, err)
	wantSame(t, events, []asl.Event{event(1, asl.ExecutionStarted)})
}

func createsOnceConcurrently(t *testing.T, s asl.Store) {
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() { errs[i] = s.Create(context.Background(), checkpoint("one", event(1, asl.ExecutionStarted))) })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantError(t, err, asl.ErrExecutionExists)
		}
	}
	if won != 1 {
		t.Errorf("%d creations won, want 1", won)
	}
}

func findsNothing(t *testing.T, s asl.Store) {
	_, err := s.Load(t.Context(), "none")
	wantError(t, err, asl.ErrExecutionNotFound)
	_, err = s.History(t.Context(), "none")
	wantError(t, err, asl.ErrExecutionNotFound)
	wantError(t, s.Save(t.Context(), checkpoint("none", event(1, asl.ExecutionStarted))), asl.ErrExecutionNotFound)
	names, err := s.Unfinished(t.Context())
	must(t, err)
	if len(names) != 0 {
		t.Errorf("an empty store has the unfinished executions %q", names)
	}
}

func savesCheckpoint(t *testing.T, s asl.Store) {
	must(t, s.Create(t.Context(), checkpoint("one", event(1, asl.ExecutionStarted))))
	ended := checkpoint("one", event(2, asl.ExecutionFailed))
	ended.Execution.Status, ended.Execution.Error, ended.Execution.Cause = asl.StatusFailed, "E", "because"
	ended.Execution.Stopped, ended.Execution.Output = began.Add(time.Hour), json.RawMessage(`1`)
	ended.StateInput = nil
	must(t, s.Save(t.Context(), ended))
	got, err := s.Load(t.Context(), "one")
	must(t, err)
	ended.Events = nil
	wantSame(t, got, ended)
}

func appendsEvents(t *testing.T, s asl.Store) {
	want := []asl.Event{event(1, asl.ExecutionStarted)}
	must(t, s.Create(t.Context(), checkpoint("one", want...)))
	for id := int64(2); id < 300; id += 2 {
		next := []asl.Event{event(id, asl.TaskStarted), event(id+1, asl.TaskFailed)}
		must(t, s.Save(t.Context(), checkpoint("one", next...)))
		want = append(want, next...)
	}
	must(t, s.Save(t.Context(), checkpoint("one")))
	got, err := s.History(t.Context(), "one")
	must(t, err)
	wantSame(t, got, want)
}

func savesTwice(t *testing.T, s asl.Store) {
	must(t, s.Create(t.Context(), checkpoint("one", event(1, asl.ExecutionStarted))))
	again := checkpoint("one", event(2, asl.TaskStarted), event(3, asl.TaskFailed))
	must(t, s.Save(t.Context(), again))
	must(t, s.Save(t.Context(), again))
	got, err := s.History(t.Context(), "one")
	must(t, err)
	wantSame(t, got, []asl.Event{event(1, asl.ExecutionStarted), event(2, asl.TaskStarted), event(3, asl.TaskFailed)})
}

func listsUnfinished(t *testing.T, s asl.Store) {
	for _, name := range []string{"c", "a", "b", "d"} {
		must(t, s.Create(t.Context(), checkpoint(name, event(1, asl.ExecutionStarted))))
	}
	ended := checkpoint("a", event(2, asl.ExecutionSucceeded))
	ended.Execution.Status = asl.StatusSucceeded
	must(t, s.Save(t.Context(), ended))
	got, err := s.Unfinished(t.Context())
	must(t, err)
	if want := []string{"b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("unfinished are %q, want %q", got, want)
	}
}

func keepsApart(t *testing.T, s asl.Store) {
	for i, name := range []string{"x", "x-1", "x_1", "x1", "X"} {
		must(t, s.Create(t.Context(), checkpoint(name, event(1, asl.EventType(fmt.Sprint(i))))))
	}
	for i, name := range []string{"x", "x-1", "x_1", "x1", "X"} {
		got, err := s.History(t.Context(), name)
		must(t, err)
		wantSame(t, got, []asl.Event{event(1, asl.EventType(fmt.Sprint(i)))})
	}
}

func keepsItsOwn(t *testing.T, s asl.Store) {
	must(t, s.Create(t.Context(), checkpoint("one", event(1, asl.ExecutionStarted))))
	events, err := s.History(t.Context(), "one")
	must(t, err)
	events[0].Type = "Changed"
	events, err = s.History(t.Context(), "one")
	must(t, err)
	wantSame(t, events, []asl.Event{event(1, asl.ExecutionStarted)})
}

func heedsContext(t *testing.T, s asl.Store) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Create(done, checkpoint("one", event(1, asl.ExecutionStarted))); err == nil {
		t.Error("a creation with a done context succeeded")
	}
	_, err := s.Load(t.Context(), "one")
	wantError(t, err, asl.ErrExecutionNotFound)
}
