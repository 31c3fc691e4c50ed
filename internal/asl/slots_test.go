package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

// busy is a function that takes a minute, and who ran it when.
type busy struct {
	clock clock.Clock

	mu            sync.Mutex
	running, most int
}

func (b *busy) work(ctx context.Context, _ json.RawMessage) (any, error) {
	b.mu.Lock()
	b.running++
	b.most = max(b.most, b.running)
	b.mu.Unlock()
	err := b.clock.Sleep(ctx, time.Minute)
	b.mu.Lock()
	b.running--
	b.mu.Unlock()
	return "ok", err
}

// limited is a world where two functions run at once, and f is busy.
func limited(t *testing.T, c clock.Clock, definition string) (*world, *busy) {
	b := &busy{clock: c}
	w := newWorld(t, c, definition, map[string]function{"f": b.work})
	w.limit = 2
	w.open()
	return w, b
}

// two is a machine of two tasks, one after the other.
const two = `{"StartAt":"A","States":{
	"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":90,"ResultPath":null,
		"Parameters":{"FunctionName":"f","Payload.$":"$"},"Next":"B"},
	"B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":90,"Parameters":{"FunctionName":"f","Payload.$":"$"},"End":true}}}`

func TestNoMoreFunctionsRunAtOnceThanTheLimit(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w, b := limited(t, c, two)
		for i := range 10 {
			w.start(fmt.Sprint("x", i), `{}`)
		}
		if n := w.engine.Running(); n != 10 {
			t.Errorf("%d executions run, want 10", n)
		}
		for i := range 10 {
			// Waiting for a slot is no part of the task's 90 seconds.
			if x := w.wait(fmt.Sprint("x", i)); x.Status != asl.StatusSucceeded {
				t.Errorf("execution %d ends %s: %s", i, x.Status, x.Error)
			}
		}
		if b.most != 2 {
			t.Errorf("%d functions ran at once, want 2", b.most)
		}
		if n := w.engine.Running(); n != 0 {
			t.Errorf("%d executions run, want none", n)
		}
	})
}

func TestWhoBeganFirstHasTheNextSlot(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w, _ := limited(t, c, two)
		for i := range 8 {
			w.start(fmt.Sprint("x", i), `{}`)
			_ = c.Sleep(t.Context(), time.Second)
		}
		for i := range 8 {
			w.wait(fmt.Sprint("x", i))
		}
		for i, end := range w.ends {
			if want := fmt.Sprint("x", i); end.Name != want {
				t.Errorf("end %d is that of %s, want %s", i, end.Name, want)
			}
		}
	})
}

func TestASlotIsGivenBackHoweverAnExecutionEnds(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w, b := limited(t, c, two)
		for i := range 4 {
			w.start(fmt.Sprint("x", i), `{}`)
		}
		_ = c.Sleep(t.Context(), time.Second)
		for i := range 4 { // two of them have a slot, two wait for one
			if err := w.engine.Stop(t.Context(), fmt.Sprint("x", i), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		w.start("y", `{}`)
		w.start("z", `{}`)
		for _, name := range []string{"y", "z"} {
			wantOutput(t, w.wait(name), `{"ExecutedVersion":"$LATEST","Payload":"ok","StatusCode":200}`)
		}
		if b.most != 2 {
			t.Errorf("%d functions ran at once, want 2", b.most)
		}
	})
}

func TestAnExecutionThatWaitsForATokenHoldsNoSlot(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		var tokens []string
		w := newWorld(t, c, one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
			"Parameters":{"FunctionName":"f","Payload.$":"$$.Task.Token"}`), map[string]function{
			"f": func(_ context.Context, payload json.RawMessage) (any, error) {
				tokens = append(tokens, string(payload))
				return nil, nil
			},
		})
		w.limit = 2
		w.open()
		for i := range 10 {
			w.start(fmt.Sprint("x", i), `{}`)
		}
		_ = c.Sleep(t.Context(), time.Second)
		if len(tokens) != 10 {
			t.Errorf("%d of 10 executions have come to wait for their token", len(tokens))
		}
	})
}
