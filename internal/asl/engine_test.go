package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

func wantElapsed(t *testing.T, c clock.Clock, began time.Time, want time.Duration) {
	t.Helper()
	if got := c.Now().Sub(began); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}

func TestWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		fields, input string
		want          time.Duration
	}{
		"Seconds":                {`"Seconds":90`, `{}`, 90 * time.Second},
		"SecondsPath":            {`"SecondsPath":"$.s"`, `{"s":3600}`, time.Hour},
		"Timestamp":              {`"Timestamp":"2030-01-02T03:05:05Z"`, `{}`, time.Minute},
		"Timestamp in the past":  {`"Timestamp":"2020-01-02T03:05:05Z"`, `{}`, 0},
		"TimestampPath":          {`"TimestampPath":"$.t"`, `{"t":"2030-01-02T04:05:05.5+01:00"}`, time.Minute + 500*time.Millisecond},
		"SecondsPath of nothing": {`"SecondsPath":"$.s"`, `{"s":0}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, one(`"Type":"Wait",`+tt.fields), nil)
				if x := w.run(tt.input); x.Status != asl.StatusSucceeded || x.Stopped.Sub(x.Started) != tt.want {
					t.Errorf("%s after %v, want SUCCEEDED after %v", x.Status, x.Stopped.Sub(x.Started), tt.want)
				}
				w.wantHistory(`ExecutionStarted WaitStateEntered WaitStateExited ExecutionSucceeded`)
			})
		})
	}
}

func TestRetries(t *testing.T) {
	for name, tt := range map[string]struct {
		fail   int
		errors string
		retry  string
		calls  int
		want   time.Duration
		failed bool
	}{
		"the defaults are 3 retries after 1, 2 and 4 s": {3, "E", `{"ErrorEquals":["E"]}`, 4, 7 * time.Second, false},
		"and then it fails":                             {4, "E", `{"ErrorEquals":["E"]}`, 4, 7 * time.Second, true},
		"the interval grows by the rate":                {3, "E", `{"ErrorEquals":["E"],"IntervalSeconds":3,"BackoffRate":1.5}`, 4, 14250 * time.Millisecond, false},
		"but not over the longest":                      {5, "E", `{"ErrorEquals":["E"],"IntervalSeconds":2,"MaxDelaySeconds":5,"MaxAttempts":5}`, 6, 21 * time.Second, false},
		"0 attempts are none":                           {1, "E", `{"ErrorEquals":["E"],"MaxAttempts":0}`, 1, 0, true},
		"another error is not retried":                  {1, "F", `{"ErrorEquals":["E"]}`, 1, 0, true},
		"States.ALL retries every error":                {1, "F", `{"ErrorEquals":["E"]},{"ErrorEquals":["States.ALL"],"IntervalSeconds":5}`, 2, 5 * time.Second, false},
		"States.TaskFailed retries a task's":            {1, "F", `{"ErrorEquals":["States.TaskFailed"]}`, 2, time.Second, false},
		"the first retrier that matches counts":         {2, "E", `{"ErrorEquals":["E"],"MaxAttempts":1},{"ErrorEquals":["States.ALL"]}`, 2, time.Second, true},
		"Lambda.Unknown is a name like any other":       {1, "Lambda.Unknown", `{"ErrorEquals":["Lambda.Unknown"]}`, 2, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, task(`,"OutputPath":"$.Payload","Retry":[`+tt.retry+`]`), map[string]function{"f": failing(tt.fail, tt.errors)})
				x := w.run(`{}`)
				if (x.Status == asl.StatusFailed) != tt.failed || len(w.calls) != tt.calls {
					t.Errorf("%s after %d calls, want failed %v after %d", x.Status, len(w.calls), tt.failed, tt.calls)
				}
				if got := x.Stopped.Sub(x.Started); got != tt.want {
					t.Errorf("it took %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestAStateThatIsTriedAgainIsToldOnce(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, task(`,"Retry":[{"ErrorEquals":["Down"],"IntervalSeconds":7,"BackoffRate":1,"MaxAttempts":5}]`),
			map[string]function{"f": failing(4, "Down")})
		w.run(`{}`)
		for _, want := range []string{`is tried again" execution=x state=S error=Down`, "wait=7s", `is done" execution=x state=S retries=4`} {
			if n := strings.Count(w.logged.String(), want); n != 1 {
				t.Errorf("%q is in the log %d times, want once: %s", want, n, &w.logged)
			}
		}
	})
}

func TestJitterStaysBelowTheDelayAndVaries(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, task(`,"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":10,"MaxAttempts":1,"JitterStrategy":"FULL"}]`), nil)
		seen := map[time.Duration]bool{}
		for i := range 50 {
			w.functions = map[string]function{"f": failing(1, "E")}
			name := fmt.Sprint("x", i)
			w.start(name, `{}`)
			x := w.wait(name)
			took := x.Stopped.Sub(x.Started)
			if took < 0 || took >= 10*time.Second {
				t.Errorf("the delay was %v, want 0 to 10s", took)
			}
			seen[took] = true
		}
		if len(seen) < 40 {
			t.Errorf("50 delays took %d values", len(seen))
		}
	})
}

func TestRetryCountIsInTheContext(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		var got []string
		w := newWorld(t, c, one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload.$":"$$.State.RetryCount"},"Retry":[{"ErrorEquals":["E"]}]`),
			map[string]function{"f": func(_ context.Context, p json.RawMessage) (any, error) {
				if got = append(got, string(p)); len(got) < 3 {
					return nil, named("E", "")
				}
				return nil, nil
			}})
		wantOutput(t, w.run(`{}`), `{"ExecutedVersion":"$LATEST","Payload":null,"StatusCode":200}`)
		if strings.Join(got, " ") != "0 1 2" {
			t.Errorf("the counts were %q, want 0 1 2", got)
		}
	})
}

func TestCatches(t *testing.T) {
	const rest = `},"End":{"Type":"Pass","End":true}}}`
	for name, tt := range map[string]struct{ catch, errorName, want string }{
		"the whole output":      {`{"ErrorEquals":["E"],"Next":"End"}`, "E", `{"Error":"E","Cause":"{\"errorMessage\":\"failed\",\"errorType\":\"E\"}"}`},
		"the ResultPath":        {`{"ErrorEquals":["States.ALL"],"ResultPath":"$.error.e","Next":"End"}`, "E", `{"a":1,"error":{"e":{"Error":"E","Cause":"{\"errorMessage\":\"failed\",\"errorType\":\"E\"}"}}}`},
		"nothing":               {`{"ErrorEquals":["States.TaskFailed"],"ResultPath":null,"Next":"End"}`, "E", `{"a":1}`},
		"the first that covers": {`{"ErrorEquals":["F"],"Next":"S"},{"ErrorEquals":["G","E"],"ResultPath":null,"Next":"End"},{"ErrorEquals":["States.ALL"],"Next":"End"}`, "E", `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				definition := strings.Replace(task(`,"OutputPath":"$.none","Catch":[`+tt.catch+`]`), `}}`, rest, 1)
				definition = definition[:strings.LastIndex(definition, rest)] + rest
				w := newWorld(t, c, definition, map[string]function{"f": failing(9, tt.errorName)})
				wantOutput(t, w.run(`{"a":1}`), tt.want)
				w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskFailed TaskStateExited PassStateEntered PassStateExited ExecutionSucceeded`)
			})
		})
	}
}

const timed = `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},
	"TimeoutSecondsPath":"$.t","Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"Wrong"},{"ErrorEquals":["States.Timeout"],"Next":"Right"}],"Next":"Wrong"},
	"Right":{"Type":"Succeed"},"Wrong":{"Type":"Fail"}}}`

func TestTaskTimesOut(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, timed, map[string]function{"f": hang(c)})
		began := c.Now()
		wantOutput(t, w.run(`{"t":30}`), `{"Error":"States.Timeout","Cause":""}`)
		wantElapsed(t, c, began, 30*time.Second)
		w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskTimedOut TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded`)
	})
}

func TestTimedOutFunctionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told time.Time
		w := newWorld(t, clock.System{}, timed, map[string]function{"f": func(ctx context.Context, _ json.RawMessage) (any, error) {
			<-ctx.Done()
			told = time.Now()
			return nil, ctx.Err()
		}})
		x := w.run(`{"t":30}`)
		synctest.Wait()
		if want := x.Started.Add(30 * time.Second); !told.Equal(want) {
			t.Errorf("the function was told at %v, want %v", told, want)
		}
	})
}

func TestTimedOutTaskIsNotWaitedFor(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, timed, map[string]function{"f": func(context.Context, json.RawMessage) (any, error) {
			return nil, c.Sleep(context.Background(), time.Hour)
		}})
		began := c.Now()
		w.run(`{"t":30}`)
		wantElapsed(t, c, began, 30*time.Second)
		_ = c.Sleep(t.Context(), time.Hour) // the function has to end
	})
}

func TestMachineTimesOutWithoutCatch(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		definition := strings.Replace(task(`,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"}]`), `{"StartAt"`, `{"TimeoutSeconds":60,"StartAt"`, 1)
		w := newWorld(t, c, definition, map[string]function{"f": hang(c)})
		x := w.run(`{}`)
		if x.Status != asl.StatusTimedOut || x.Error != "States.Timeout" || x.Stopped.Sub(x.Started) != time.Minute {
			t.Errorf("got %s (%s) after %v, want TIMED_OUT after 1m", x.Status, x.Error, x.Stopped.Sub(x.Started))
		}
		w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted ExecutionTimedOut`)
	})
}

func TestStopAborts(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, task(`,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"}]`), map[string]function{"f": hang(c)})
		w.start("x", `{}`)
		_ = c.Sleep(t.Context(), time.Second)
		for range 2 {
			if err := w.engine.Stop(t.Context(), "x", "Why", "because"); err != nil {
				t.Fatal(err)
			}
		}
		if x := w.wait("x"); x.Status != asl.StatusAborted || x.Error != "Why" || x.Cause != "because" {
			t.Errorf("got %s (%s: %s), want ABORTED (Why: because)", x.Status, x.Error, x.Cause)
		}
		w.wantHistory(`ExecutionStarted TaskStateEntered TaskScheduled TaskStarted ExecutionAborted`)
		if len(w.ends) != 1 {
			t.Errorf("the end was told %d times, want once", len(w.ends))
		}
		if err := w.engine.Stop(t.Context(), "none", "", ""); !errors.Is(err, asl.ErrExecutionNotFound) {
			t.Errorf("stopping nothing: got %v, want ErrExecutionNotFound", err)
		}
	})
}

func TestStart(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, one(`"Type":"Wait","Seconds":60`), nil)
		w.start("x", `{"a":1,"b":2}`)
		w.start("x", ` {"b": 2, "a": 1.0} `)
		start := func(name, input string) error { return w.engine.Start(t.Context(), name, json.RawMessage(input)) }
		if err := start("x", `{}`); !errors.Is(err, asl.ErrExecutionExists) {
			t.Errorf("another input: got %v, want ErrExecutionExists", err)
		}
		wantOutput(t, w.wait("x"), `{"a":1,"b":2}`)
		if err := start("x", `{"a":1,"b":2}`); !errors.Is(err, asl.ErrExecutionExists) {
			t.Errorf("after the end: got %v, want ErrExecutionExists", err)
		}
		for _, name := range []string{"", "a b", "ä", strings.Repeat("x", 81)} {
			if err := start(name, `{}`); err == nil {
				t.Errorf("the name %q was taken", name)
			}
		}
		if err := start("y", `{`); err == nil {
			t.Error("an input that is not JSON was taken")
		}
	})
}

func TestManyStartsAtOnceAreOneExecution(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, task(``), map[string]function{"f": echo})
		errs := make([]error, 8)
		clock.Each(c, len(errs), 0, func(i int) { errs[i] = w.engine.Start(t.Context(), "x", json.RawMessage(`{}`)) })
		for _, err := range errs {
			if err != nil && !errors.Is(err, asl.ErrExecutionExists) {
				t.Error(err)
			}
		}
		w.wait("x")
		if len(w.calls) != 1 || len(w.ends) != 1 {
			t.Errorf("%d calls and %d ends, want one of each", len(w.calls), len(w.ends))
		}
	})
}

func TestDoneIsForThoseOutsideOfTheClock(t *testing.T) {
	c := clock.NewVirtual(start, 1)
	w := newWorld(t, c, one(`"Type":"Wait","Seconds":60`), nil)
	w.start("x", `{}`)
	select {
	case <-w.engine.Done("x"):
	case <-time.After(5 * time.Second):
		t.Fatal("it never ended")
	}
	<-w.engine.Done("none")
	if x := w.wait("x"); x.Status != asl.StatusSucceeded || len(w.ends) != 1 {
		t.Errorf("got %s, told %d times", x.Status, len(w.ends))
	}
}

func mapOver(fields, item string) string {
	return one(`"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{` + item + `,"End":true}}}` + fields)
}

func TestMapConcurrency(t *testing.T) {
	for _, tt := range []struct {
		limit string
		want  time.Duration
	}{{`0`, time.Second}, {`1`, 10 * time.Second}, {`3`, 4 * time.Second}, {`20`, time.Second}} {
		t.Run("MaxConcurrency "+tt.limit, func(t *testing.T) {
			both(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, mapOver(`,"MaxConcurrency":`+tt.limit, `"Type":"Wait","Seconds":1`), nil)
				x := w.run(`[0,1,2,3,4,5,6,7,8,9]`)
				wantOutput(t, x, `[0,1,2,3,4,5,6,7,8,9]`)
				if got := x.Stopped.Sub(x.Started); got != tt.want {
					t.Errorf("it took %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestInlineMapRunsFortyAtOnceAtMost(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, mapOver(``, `"Type":"Wait","Seconds":1`), nil)
		x := w.run("[" + strings.Repeat("0,", 80) + "0]")
		if got := x.Stopped.Sub(x.Started); got != 3*time.Second {
			t.Errorf("81 iterations took %v, want 3s", got)
		}
	})
}

func TestMapAbandonsSiblings(t *testing.T) {
	both(t, func(t *testing.T, c clock.Clock) {
		var mu sync.Mutex
		var ended, late []string
		w := newWorld(t, c, `{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{
				"I":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload.$":"$"},"Next":"J"},
				"J":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"late","Payload.$":"$"},"End":true}}},
			"Catch":[{"ErrorEquals":["E"],"Next":"W"}],"End":true},"W":{"Type":"Wait","Seconds":60,"End":true}}}`,
			map[string]function{
				"f": func(ctx context.Context, p json.RawMessage) (any, error) {
					if string(p) == "1" {
						_ = c.Sleep(ctx, time.Second)
						return nil, named("E", "one failed")
					}
					err := c.Sleep(ctx, 30*time.Second)
					mu.Lock()
					defer mu.Unlock()
					ended = append(ended, fmt.Sprint(string(p), " ", err))
					return nil, err
				},
				"late": func(_ context.Context, p json.RawMessage) (any, error) {
					late = append(late, string(p))
					return nil, nil
				},
			})
		x := w.run(`[0,1,2]`)
		if x.Status != asl.StatusSucceeded || x.Stopped.Sub(x.Started) != 61*time.Second {
			t.Errorf("got %s after %v, want SUCCEEDED after 61s", x.Status, x.Stopped.Sub(x.Started))
		}
		mu.Lock()
		defer mu.Unlock()
		if len(late) != 0 || len(ended) != 2 {
			t.Errorf("later states ran for %q; the siblings ended with %q", late, ended)
		}
		got := strings.Join(w.history("x"), " ")
		const want = "TaskFailed MapIterationFailed TaskStateAborted MapIterationAborted TaskStateAborted MapIterationAborted MapStateFailed MapStateExited WaitStateEntered WaitStateExited ExecutionSucceeded"
		if !strings.HasSuffix(got, want) {
			t.Errorf("the history is\n%s\nwant it to end with\n%s", got, want)
		}
	})
}

func TestMapIsRetriedAsAWhole(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, mapOver(`,"Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}]`, `"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},"ResultPath":null`),
			map[string]function{"f": failing(1, "E")})
		wantOutput(t, w.run(`[7]`), `[7]`)
		w.wantHistory(`ExecutionStarted MapStateEntered
			MapStateStarted MapIterationStarted TaskStateEntered TaskScheduled TaskStarted TaskFailed MapIterationFailed
			MapStateStarted MapIterationStarted TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited MapIterationSucceeded
			MapStateSucceeded MapStateExited ExecutionSucceeded`)
	})
}

func TestNestedMaps(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		inner := `"Type":"Map","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"v.$":"$","i.$":"$$.Map.Item.Index"},"End":true}}}`
		w := newWorld(t, c, mapOver(``, inner), nil)
		wantOutput(t, w.run(`[["a"],["b","c"]]`), `[[{"v":"a","i":0}],[{"v":"b","i":0},{"v":"c","i":1}]]`)
	})
}

func TestEveryEdgeIsReported(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, edgy, nil)
		taken := map[string]bool{}
		for i, tt := range []struct {
			fails []string
			input string
		}{{[]string{"A", "B"}, `[null,1]`}, {[]string{"A", "A", "A", "A"}, `[]`}} {
			fails := tt.fails
			w.functions = map[string]function{"f": func(context.Context, json.RawMessage) (any, error) {
				if len(fails) == 0 {
					return nil, nil
				}
				name := fails[0]
				fails = fails[1:]
				return nil, named(name, "")
			}}
			w.start(fmt.Sprint("x", i), tt.input)
			w.wait(fmt.Sprint("x", i))
		}
		for _, e := range w.edges {
			taken[e] = true
		}
		for _, e := range load(t, edgy).Edges() {
			if !taken[e.String()] {
				t.Errorf("the edge %s was not reported", e)
			}
		}
	})
}

func TestSystemClockLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, clock.System{}, mapOver(``, `"Type":"Wait","Seconds":1`), nil)
		for i := range 20 {
			w.start(fmt.Sprint("x", i), `[1,2,3]`)
		}
		w.start("stopped", `[1]`)
		if err := w.engine.Stop(t.Context(), "stopped", "", ""); err != nil {
			t.Error(err)
		}
		for i := range 20 {
			<-w.engine.Done(fmt.Sprint("x", i))
		}
		// The bubble fails the test if a goroutine stays behind.
	})
}
