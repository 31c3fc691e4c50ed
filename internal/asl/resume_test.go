package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

const long = `{"StartAt":"A","TimeoutSeconds":100,"States":{
	"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"a"},"ResultSelector":{"n.$":"$.Payload"},"Next":"B"},
	"B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"b","Payload.$":"$.n"},"End":true}}}`

func TestResume(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		calls := map[string]int{}
		w := newWorld(t, c, long, nil)
		w.functions = map[string]function{
			"a": func(context.Context, json.RawMessage) (any, error) { calls["a"]++; return 42, nil },
			"b": func(ctx context.Context, p json.RawMessage) (any, error) {
				if calls["b"]++; calls["b"] == 1 {
					return nil, c.NewSignal().Wait(ctx, 0)
				}
				return p, nil
			},
		}
		w.start("x", `{}`)
		_ = c.Sleep(t.Context(), 10*time.Second)
		done := w.engine.Done("x")
		w.engine.Close()
		<-done
		if err := w.engine.Start(t.Context(), "y", nil); !errors.Is(err, asl.ErrClosed) {
			t.Errorf("starting on a closed engine: got %v, want ErrClosed", err)
		}
		if x, err := w.engine.Execution(t.Context(), "x"); err != nil || x.Status != asl.StatusRunning || x.State != "B" {
			t.Errorf("after Close: %+v, %v; want RUNNING in B", x, err)
		}
		if len(w.ends) != 0 {
			t.Error("closing told an end")
		}

		w.open()
		wantResumed(t, w, 1)
		x := w.wait("x")
		wantOutput(t, x, `{"ExecutedVersion":"$LATEST","Payload":42,"StatusCode":200}`)
		if calls["a"] != 1 || calls["b"] != 2 {
			t.Errorf("the calls were %v, want a once and b twice", calls)
		}
		w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited
			TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited ExecutionSucceeded`)
		wantResumed(t, w, 0)
	})
}

func wantResumed(t *testing.T, w *world, want int) {
	t.Helper()
	if n, err := w.engine.Resume(t.Context()); n != want || err != nil {
		t.Fatalf("resumed %d, %v; want %d", n, err, want)
	}
}

func TestTimeoutCountsFromTheFirstStart(t *testing.T) {
	for name, tt := range map[string]struct{ down, want time.Duration }{
		"there is some time left": {60 * time.Second, 100 * time.Second},
		"the time has run out":    {200 * time.Second, 210 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, long, map[string]function{"a": hang(c)})
				w.start("x", `{}`)
				_ = c.Sleep(t.Context(), 10*time.Second)
				w.engine.Close()
				_ = c.Sleep(t.Context(), tt.down)
				w.open()
				wantResumed(t, w, 1)
				x := w.wait("x")
				if x.Status != asl.StatusTimedOut || x.Stopped.Sub(x.Started) != tt.want {
					t.Errorf("got %s after %v, want TIMED_OUT after %v", x.Status, x.Stopped.Sub(x.Started), tt.want)
				}
			})
		})
	}
}

func TestTokenIsNewAfterResume(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(``), map[string]function{"f": m.receive})
		w.start("x", `{}`)
		old := m.wait(t)
		_ = c.Sleep(t.Context(), time.Second)
		w.engine.Close()
		w.open()
		wantResumed(t, w, 1)
		_ = c.Sleep(t.Context(), time.Second)
		if err := w.engine.SendTaskSuccess(t.Context(), old, json.RawMessage(`1`)); !errors.Is(err, asl.ErrInvalidToken) {
			t.Errorf("the old token: got %v, want ErrInvalidToken", err)
		}
		if err := w.engine.SendTaskSuccess(t.Context(), m.tokens[1], json.RawMessage(`2`)); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, w.wait("x"), `2`)
	})
}

func TestResumeTellsWhatItCannotTakeUp(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, one(`"Type":"Wait","Seconds":60`), nil)
		w.start("x", `{}`)
		w.engine.Close()
		w.machine = load(t, strings.ReplaceAll(one(`"Type":"Pass"`), `"S"`, `"Renamed"`))
		w.open()
		n, err := w.engine.Resume(t.Context())
		if n != 0 || err == nil || !strings.Contains(err.Error(), `the state "S"`) {
			t.Errorf("resumed %d, %v; want an error about the state", n, err)
		}
		if err := w.engine.Stop(t.Context(), "x", "", ""); err == nil {
			t.Error("an execution that does not run was stopped")
		}
	})
}

// brittleStore fails its writes from the n-th on, before or after they are done.
type brittleStore struct {
	asl.Store
	left  atomic.Int64
	after bool
}

var errDisk = errors.New("the disk is full")

func (s *brittleStore) write(ctx context.Context, c asl.Checkpoint, write func(context.Context, asl.Checkpoint) error) error {
	if s.left.Add(-1) >= 0 {
		return write(ctx, c)
	}
	if s.after {
		if err := write(ctx, c); err != nil {
			return err
		}
	}
	return errDisk
}

func (s *brittleStore) Create(ctx context.Context, c asl.Checkpoint) error {
	return s.write(ctx, c, s.Store.Create)
}

func (s *brittleStore) Save(ctx context.Context, c asl.Checkpoint) error {
	return s.write(ctx, c, s.Store.Save)
}

func TestStoreFails(t *testing.T) {
	for name, after := range map[string]bool{"the write is lost": false, "only the answer is lost": true} {
		for writes := range int64(3) {
			t.Run(name+" after "+string('0'+rune(writes)), func(t *testing.T) {
				both(t, func(t *testing.T, c clock.Clock) { storeFails(t, c, writes, after) })
			})
		}
	}
}

// storeFails lets one write fail, and checks that nothing goes on and that a
// later engine brings the execution to its end.
func storeFails(t *testing.T, c clock.Clock, writes int64, after bool) {
	w := newWorld(t, c, long, map[string]function{"a": echo, "b": echo})
	brittle := &brittleStore{Store: w.store, after: after}
	brittle.left.Store(writes)
	w.store = brittle
	w.open()
	err := w.engine.Start(t.Context(), "x", nil)
	if (err != nil) != (writes == 0) || err != nil && !errors.Is(err, errDisk) {
		t.Fatalf("starting: %v", err)
	}
	_, _ = w.engine.Wait(t.Context(), "x") // it may not be there
	if got, want := len(w.calls), int(writes); got != want {
		t.Errorf("%d functions were called, want %d: one for each state that was recorded", got, want)
	}
	if len(w.ends) != 0 {
		t.Error("an end was told that is not stored")
	}
	brittle.left.Store(1000)
	if _, err := w.engine.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	x, err := w.engine.Wait(t.Context(), "x")
	if writes == 0 && !after {
		if !errors.Is(err, asl.ErrExecutionNotFound) {
			t.Errorf("got %v, want ErrExecutionNotFound", err)
		}
		return
	}
	if err != nil || x.Status != asl.StatusSucceeded {
		t.Errorf("got %s, %v; want SUCCEEDED", x.Status, err)
	}
	w.history("x")
}
