package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

// waiting is a task that waits for its token, which the function f gets.
func waiting(fields string) string {
	return one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"token.$":"$$.Task.Token"}}` + fields)
}

// mailbox keeps the tokens that its function was given.
type mailbox struct {
	arrived clock.Signal
	tokens  []string
}

func (m *mailbox) receive(_ context.Context, payload json.RawMessage) (any, error) {
	m.tokens = append(m.tokens, tokenOf(payload))
	m.arrived.Fire()
	return nil, nil
}

func (m *mailbox) wait(t *testing.T) string {
	t.Helper()
	if err := m.arrived.Wait(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	return m.tokens[0]
}

func tokenOf(payload json.RawMessage) string {
	var p struct{ Token string }
	_ = json.Unmarshal(payload, &p) // an empty token shows in the test
	return p.Token
}

func newMailbox(c clock.Clock) *mailbox { return &mailbox{arrived: c.NewSignal()} }

func TestTokenIsAnswered(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(`,"ResultPath":"$.r"`), map[string]function{"f": m.receive})
		w.start("x", `{"a":1}`)
		token := m.wait(t)
		_ = c.Sleep(t.Context(), time.Hour)
		if err := w.engine.SendTaskSuccess(t.Context(), token, json.RawMessage(`{"yes":true}`)); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, w.wait("x"), `{"a":1,"r":{"yes":true}}`)
		w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded`)
		if err := w.engine.SendTaskSuccess(t.Context(), token, json.RawMessage(`1`)); !errors.Is(err, asl.ErrTaskTimedOut) {
			t.Errorf("a second answer: got %v, want ErrTaskTimedOut", err)
		}
	})
}

func TestTokenMayComeBeforeTheFunctionReturns(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		var w *world
		var cut error
		returned := c.NewSignal()
		w = newWorld(t, c, waiting(``), map[string]function{"f": func(ctx context.Context, p json.RawMessage) (any, error) {
			if err := w.engine.SendTaskSuccess(ctx, tokenOf(p), json.RawMessage(`5`)); err != nil {
				return nil, err
			}
			defer returned.Fire()
			cut = c.Sleep(ctx, time.Second)
			return nil, errors.New("too late to fail")
		}})
		wantOutput(t, w.run(`{}`), `5`)
		w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded`)
		if err := returned.Wait(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if cut != nil {
			t.Errorf("the function was cut short: %v", cut)
		}
	})
}

func TestTokenTaskFails(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(``), map[string]function{"f": m.receive})
		w.start("x", `{}`)
		if err := w.engine.SendTaskFailure(t.Context(), m.wait(t), "Rejected", "no"); err != nil {
			t.Fatal(err)
		}
		wantFailure(t, w.wait("x"), "Rejected", "no")

		broken := newWorld(t, c, waiting(``), map[string]function{"f": failing(1, "E")})
		wantFailure(t, broken.run(`{}`), "E", "failed")
		broken.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskFailed ExecutionFailed`)
	})
}

func TestHeartbeats(t *testing.T) {
	const fields = `,"TimeoutSeconds":600,"HeartbeatSeconds":60,"ResultPath":null`
	both(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(fields+`,"Retry":[{"ErrorEquals":["States.HeartbeatTimeout"],"MaxAttempts":0}]`), map[string]function{"f": m.receive})
		w.start("x", `{}`)
		began, token := c.Now(), m.wait(t)
		for range 3 {
			_ = c.Sleep(t.Context(), 50*time.Second)
			if err := w.engine.SendTaskHeartbeat(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		wantFailure(t, w.wait("x"), "States.Timeout", "")
		wantElapsed(t, c, began, 210*time.Second)
		if err := w.engine.SendTaskHeartbeat(t.Context(), token); !errors.Is(err, asl.ErrTaskTimedOut) {
			t.Errorf("a heartbeat after the end: got %v, want ErrTaskTimedOut", err)
		}
	})
}

func TestHeartbeatsDoNotProlongTheTimeout(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(`,"TimeoutSeconds":100,"HeartbeatSeconds":60`), map[string]function{"f": m.receive})
		w.start("x", `{}`)
		began, token := c.Now(), m.wait(t)
		_ = c.Sleep(t.Context(), 50*time.Second)
		if err := w.engine.SendTaskHeartbeat(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		wantFailure(t, w.wait("x"), "States.Timeout", "")
		wantElapsed(t, c, began, 100*time.Second)
	})
}

func TestHeartbeatTimeoutHasANameOfItsOwnInRetry(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(`,"TimeoutSeconds":100,"HeartbeatSeconds":10,"Retry":[{"ErrorEquals":["States.HeartbeatTimeout"],"MaxAttempts":2}]`), map[string]function{"f": m.receive})
		wantFailure(t, w.run(`{}`), "States.Timeout", "")
		if len(m.tokens) != 3 || m.tokens[0] == m.tokens[1] {
			t.Errorf("the tasks had the tokens %q, want three that differ", m.tokens)
		}
	})
}

func TestTokensThatAreNone(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		m := newMailbox(c)
		w := newWorld(t, c, waiting(`,"TimeoutSeconds":60,"Retry":[{"ErrorEquals":["States.Timeout"],"IntervalSeconds":60}]`), map[string]function{"f": m.receive})
		w.start("x", `{}`)
		token := m.wait(t)
		for _, bad := range []string{"", "x", token + "0", token[:len(token)-1], "eHg." + token} {
			if err := w.engine.SendTaskSuccess(t.Context(), bad, json.RawMessage(`1`)); !errors.Is(err, asl.ErrInvalidToken) {
				t.Errorf("the token %q: got %v, want ErrInvalidToken", bad, err)
			}
		}
		for _, bad := range []string{``, `{`, `"` + strings.Repeat("x", 262_144) + `"`} {
			if err := w.engine.SendTaskSuccess(t.Context(), token, json.RawMessage(bad)); !errors.Is(err, asl.ErrInvalidOutput) {
				t.Errorf("an output of %d bytes: got %v, want ErrInvalidOutput", len(bad), err)
			}
		}
		_ = c.Sleep(t.Context(), 90*time.Second)
		if err := w.engine.SendTaskFailure(t.Context(), token, "E", ""); !errors.Is(err, asl.ErrTaskTimedOut) {
			t.Errorf("after the timeout: got %v, want ErrTaskTimedOut", err)
		}
	})
}
