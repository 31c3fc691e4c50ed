package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/release"
)

// How long the Lambdas run at most (template.yaml), and how often the sweep does.
const (
	taskLimit  = 120 * time.Second
	stageLimit = 600 * time.Second
	sweepEvery = 5 * time.Minute
)

// startEngine makes an engine over the executions that are stored.
func (w *world) startEngine() error {
	var err error
	w.generation++
	generation := w.generation
	w.engine, err = asl.New(asl.Config{
		Machine: w.machine, Clock: w.clock, Store: w.store, Seed: w.s.seed + uint64(generation) + 1,
		Invoke: w.invoke,
		OnEdge: func(e asl.Edge) { w.edges[e]++ },
		OnEnd: func(e asl.Execution) {
			w.watchExecution(e)
			w.clock.Go(func() { w.statusChanged(e.Name) })
		},
	})
	return err
}

// watchExecution looks at the end of an execution.
func (w *world) watchExecution(e asl.Execution) {
	w.log.add("execution", "%s ends: %s %s", e.Name, e.Status, e.Error)
	w.executions++
	if e.Status == asl.StatusTimedOut {
		w.fail("execution %s did not end within its deadline", e.Name)
	}
}

// statusChanged brings the event of an execution's end: at once in a process;
// from Step Functions later, twice or never.
func (w *world) statusChanged(execution string) {
	if w.s.serve {
		_ = w.act(w.process, "ended "+execution, func(c *caller, p *app.Parts) error { return p.Recovery().Ended(c.ctx, execution) })
		return
	}
	if w.d.chance(w.rate(w.s.rates.lostEvents)) {
		w.draw("the event of an execution's end lost")
		w.log.add("execution", "the event of the end of %s is lost", execution)
		return
	}
	for range pick(w.d, 1, 1, 1, 2) {
		_ = w.clock.Sleep(context.Background(), pick(w.d, 0, w.d.between(0, 20*time.Second))) // cannot fail
		for range 3 {                                                                         // asynchronous invocations are tried three times
			err := w.act(context.Background(), "ended "+execution, func(c *caller, p *app.Parts) error { return p.Recovery().Ended(c.ctx, execution) })
			if err == nil {
				break
			}
			_ = w.clock.Sleep(context.Background(), time.Minute) // cannot fail
		}
	}
}

// sweeps runs the sweep on its schedule until the run is over.
func (w *world) sweeps() {
	for !w.over {
		_ = w.clock.Sleep(context.Background(), sweepEvery) // cannot fail
		if w.over || w.process.Err() != nil {
			continue
		}
		_ = w.act(w.process, "sweep", func(c *caller, p *app.Parts) error {
			swept, err := p.Recovery().Sweep(c.ctx)
			if swept != (app.Swept{}) {
				w.log.add(c.String(), "swept %+v (%v)", swept, err)
			}
			return err
		})
	}
}

// act runs a piece of Tagboat that is not a task, which can die as well.
func (w *world) act(ctx context.Context, what string, do func(*caller, *app.Parts) error) error {
	c := w.newCaller(ctx, what, app.Input{})
	defer c.end()
	if !w.s.serve && w.d.chance(w.rate(w.s.rates.kill)) {
		c.doom()
	}
	parts, err := c.parts()
	if err != nil {
		return err
	}
	err = do(c, parts)
	if c.dead {
		return errDead
	}
	return err
}

// taskFailure is how Step Functions names what befell a Lambda.
type taskFailure struct{ name string }

func (f taskFailure) Error() string     { return "the invocation failed: " + f.name }
func (f taskFailure) ErrorName() string { return f.name }

// invoke runs a task for the engine: in its own process, or as Lambda does.
func (w *world) invoke(ctx context.Context, function string, payload json.RawMessage) (json.RawMessage, error) {
	var in app.Input
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	if w.s.serve {
		return w.newCaller(ctx, function, in).run(function, payload)
	}
	if w.d.chance(w.rate(w.s.rates.engine)) {
		w.fault("engine: an invocation throttled")
		w.hurt[in.Release]++
		return nil, taskFailure{"Lambda.TooManyRequestsException"}
	}
	w.invocations++
	if after, again := w.again(w.invocations, in); again {
		w.fault("a task delivered twice")
		w.doubled[in.Release] = w.doubled[in.Release] || in.Phase == release.PhasePublish
		w.clock.Go(func() {
			_ = w.clock.Sleep(context.Background(), after) // cannot fail
			c := w.newCaller(context.Background(), function+" again", in)
			w.log.add(c.String(), "is delivered again: %s", payload)
			_, _ = w.lambda(c, function, payload) // nobody waits for it
		})
	}
	return w.lambda(w.newCaller(context.Background(), function, in), function, payload)
}

// byDice delivers some tasks twice: side by side or up to five minutes later.
func (w *world) byDice(_ int, in app.Input) (after time.Duration, again bool) {
	if !w.d.chance(w.rate(w.s.rates.twice)) {
		return 0, false
	}
	if in.Token != "" {
		w.draw("a task with a token delivered twice")
	}
	return pick(w.d, 0, w.d.between(0, 5*time.Second), w.d.between(0, 5*time.Minute)), true
}

// lambda runs a task as a Lambda: it goes on when its execution is stopped, and
// ends at its time limit or when it crashes.
func (w *world) lambda(c *caller, function string, payload json.RawMessage) (json.RawMessage, error) {
	if w.d.chance(w.rateFor(c, w.s.rates.kill)) {
		c.doom()
	}
	var out json.RawMessage
	var err error
	done := w.clock.NewSignal()
	w.clock.Go(func() {
		out, err = c.run(function, payload)
		done.Fire()
		c.died.Fire()
	})
	limit := taskLimit
	if function == "Stage" {
		limit = stageLimit
	}
	if c.died.Wait(context.Background(), limit) != nil {
		c.w.draw("a task at its time limit")
		c.die("at its time limit")
		return nil, taskFailure{"Sandbox.Timedout"}
	}
	if c.dead {
		return nil, taskFailure{pick(w.d, "Runtime.ExitError", "Lambda.Unknown")}
	}
	return out, err
}

// run carries the task out.
func (c *caller) run(function string, payload json.RawMessage) (json.RawMessage, error) {
	defer c.end()
	parts, err := c.parts()
	if err != nil {
		return nil, err
	}
	out, err := parts.Task(function).Run(c.ctx, payload)
	if err != nil {
		c.w.log.add(c.String(), "%s of %s fails: %v", function, c.in.Release, err)
	}
	return out, err
}

// callerTokens resumes executions, as far as the calls come through.
type callerTokens struct{ c *caller }

// Succeed implements [app.Tokens].
func (t callerTokens) Succeed(ctx context.Context, token string) error {
	return t.c.engineCall(ctx, "SendTaskSuccess", func() error { return t.c.w.engine.SendTaskSuccess(ctx, token, json.RawMessage("{}")) })
}

// Fail implements [app.Tokens].
func (t callerTokens) Fail(ctx context.Context, token, name, cause string) error {
	return t.c.engineCall(ctx, "SendTaskFailure "+name, func() error { return t.c.w.engine.SendTaskFailure(ctx, token, name, cause) })
}

// callerExecutions starts executions, as far as the calls come through.
type callerExecutions struct{ c *caller }

// Start implements [app.Executions].
func (e callerExecutions) Start(ctx context.Context, name string, input json.RawMessage) error {
	return e.c.engineCall(ctx, "StartExecution "+name, func() error { return e.c.w.engine.Start(ctx, name, input) })
}

// Running implements [app.Executions].
func (e callerExecutions) Running(ctx context.Context, name string) (running bool, err error) {
	err = e.c.engineCall(ctx, "DescribeExecution "+name, func() error {
		execution, err := e.c.w.engine.Execution(ctx, name)
		if errors.Is(err, asl.ErrExecutionNotFound) {
			return nil
		}
		running = err == nil && !execution.Status.Ended()
		if err == nil && e.c.stale(execution) {
			running = !running
		}
		return err
	})
	return running, err
}

// staleFor is how long Step Functions may not show that an execution has begun, or ended: what it
// says of one is eventually consistent (API reference, DescribeExecution).
const staleFor = time.Minute

// stale tells whether a caller is told of an execution as it was before its last change.
func (c *caller) stale(execution asl.Execution) bool {
	w := c.w
	changed := execution.Started
	if execution.Status.Ended() {
		changed = execution.Stopped
	}
	if w.s.serve || w.clock.Now().Sub(changed) > staleFor || !w.d.chance(w.rate(min(0.5, 40*w.s.rates.engine))) {
		return false
	}
	w.broke(c)
	w.fault("engine: stale")
	w.log.add(c.String(), "fault: DescribeExecution %s is stale", execution.Name)
	return true
}

// engineCall performs a call to the engine unless a fault comes in between, and
// names its errors as the adapters of Step Functions do.
func (c *caller) engineCall(ctx context.Context, what string, perform func() error) error {
	w := c.w
	may, last := c.alive()
	if !may || ctx.Err() != nil {
		return release.Errorf(release.Transient, "engine: %w", errDead)
	}
	before, lost := last && w.d.chance(0.5), last
	switch fault := c.engineFault(what); fault {
	case "a call lost", "refused":
		before = true
	case "answer lost":
		lost = true
	case "slow":
		if w.clock.Sleep(ctx, w.d.between(time.Second, slowest)) != nil || c.dead {
			return release.Errorf(release.Transient, "engine: %w", errDead)
		}
	}
	if before {
		return c.afterEngine(last, what, release.Errorf(release.Transient, "engine: %w", errLost))
	}
	err := perform()
	w.log.add(c.String(), "%s (%v)", what, err)
	if lost {
		return c.afterEngine(last, what, release.Errorf(release.Transient, "engine: %w", errLost))
	}
	switch {
	case errors.Is(err, asl.ErrTaskTimedOut) || errors.Is(err, asl.ErrInvalidToken):
		return fmt.Errorf("%w: %w", app.ErrTokenGone, err)
	case errors.Is(err, asl.ErrExecutionExists):
		return fmt.Errorf("%w: %w", app.ErrExecutionExists, err)
	}
	return err
}

// engineFault is how a call to Step Functions goes wrong; there are few of them. Once one is
// refused, all are for some minutes.
func (c *caller) engineFault(what string) string {
	w := c.w
	kind := ""
	switch {
	case w.s.serve || w.calm:
	case w.clock.Now().Before(w.engineDenied):
		kind = "refused"
	case w.d.chance(w.rate(12 * w.s.rates.engine)):
		kind = pick(w.d, "a call lost", "answer lost", "slow")
		if w.d.chance(0.1) {
			kind, w.engineDenied = "refused", w.clock.Now().Add(w.d.between(0, 10*time.Minute))
		}
	}
	if kind != "" {
		w.broke(c)
		w.fault("engine: " + kind)
		w.log.add(c.String(), "fault: %s: %s", what, kind)
	}
	return kind
}

func (c *caller) afterEngine(last bool, what string, err error) error {
	if last {
		c.die("at " + what)
	}
	return err
}
