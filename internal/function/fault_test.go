package function_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// failing makes every update fail.
func failing(reason string) func(sim.Update) *sim.Failure {
	return func(sim.Update) *sim.Failure { return &sim.Failure{Code: "InternalError", Reason: reason} }
}

// withoutStaged are the functions with an archive that has forgotten everything.
func withoutStaged(w *world) *function.Functions {
	return function.New(function.Config{
		Lambda:  func(context.Context, release.Target, release.Phase) (function.API, error) { return w.api, nil },
		Archive: forgetful{archive{w}},
		Clock:   w.clock,
	})
}

type forgetful struct{ archive }

func (forgetful) StagedCode(context.Context, string, string, string) (release.Object, bool, error) {
	return release.Object{}, false, nil
}

// end is what a run ends with, without what may differ between two runs.
type end struct {
	latest    content
	published []content
	aliases   map[string]string
}

type content struct {
	code, handler, runtime string
	layers                 string
	environment            string
}

func outcome(f sim.FunctionState) end {
	e := end{latest: contentOf(f.Latest), aliases: map[string]string{}}
	for _, v := range f.Published {
		e.published = append(e.published, contentOf(v))
	}
	for name, a := range f.Aliases {
		e.aliases[name] = fmt.Sprintf("%s %v", a.Version, a.Weights)
	}
	return e
}

func contentOf(v sim.VersionState) content {
	return content{
		code: v.CodeSha256, handler: *v.Configuration.Handler, runtime: string(v.Configuration.Runtime),
		layers: fmt.Sprint(v.Layers), environment: fmt.Sprint(v.Environment),
	}
}

// faults are what can happen to a call.
var faults = []struct {
	name  string
	fault func(w *world, service string) sim.Fault
	// repeats makes the client repeat a call whose answer was lost, as the SDK does.
	repeats bool
}{
	{"is lost", func(*world, string) sim.Fault { return sim.Fault{Before: sim.Timeout()} }, false},
	{"is done and its answer is lost", func(*world, string) sim.Fault { return sim.Fault{After: sim.Timeout()} }, false},
	{"is done, its answer is lost, and the SDK repeats it", func(*world, string) sim.Fault { return sim.Fault{After: sim.Timeout()} }, true},
	{"is throttled", func(_ *world, service string) sim.Fault { return sim.Fault{Before: sim.Throttled(service)} }, false},
	{"meets a server error", func(_ *world, service string) sim.Fault { return sim.Fault{Before: sim.ServerError(service)} }, false},
	{"does not reach the service", func(*world, string) sim.Fault { return sim.Fault{Before: sim.Unavailable()} }, false},
	{"is signed with a session that has ended", func(_ *world, service string) sim.Fault { return sim.Fault{Before: sim.Expired(service)} }, false},
	{"is not made because the task is killed before", func(w *world, _ string) sim.Fault {
		w.dead = true
		return sim.Fault{Before: errKilled}
	}, false},
	{"is the last thing the task does", func(w *world, _ string) sim.Fault {
		w.dead = true
		return sim.Fault{After: errKilled}
	}, false},
}

// scenarios are ways through the steps, in which each call is made to fail.
var scenarios = []struct {
	name string
	plan func(*release.FunctionStep, *release.ShiftStep)
	run  func(*world, context.Context, release.Step, release.Step) error
}{
	{"update and shift at once", withEverything, releaseIt},
	{"update and canary", func(f *release.FunctionStep, s *release.ShiftStep) {
		withEverything(f, s)
		s.Traffic = release.Traffic{Percent: 10, Interval: time.Minute}
	}, releaseIt},
	{"a new alias", func(f *release.FunctionStep, s *release.ShiftStep) { f.Alias, s.Alias = "fresh", "fresh" }, releaseIt},
	{"a rollback after everything", withEverything, rollItBack},
	{"a rollback of a new alias", func(f *release.FunctionStep, s *release.ShiftStep) { f.Alias, s.Alias = "fresh", "fresh" }, rollItBack},
	{"a rollback without an alias", func(f *release.FunctionStep, s *release.ShiftStep) { withEverything(f, s); f.Alias, f.Smoke = "", nil }, rollItBack},
}

func releaseIt(w *world, ctx context.Context, update, shift release.Step) error {
	if err := w.apply(ctx, update); err != nil || update.Function.Alias == "" {
		return err
	}
	return w.apply(ctx, shift)
}

func rollItBack(w *world, ctx context.Context, update, shift release.Step) error {
	if err := releaseIt(w, ctx, update, shift); err != nil {
		return err
	}
	if err := w.rollBack(ctx, shift); err != nil {
		return err
	}
	return w.rollBack(ctx, update)
}

// TestEveryCallMayFail makes each call of each scenario fail in each way, and
// wants the same end as without a fault.
func TestEveryCallMayFail(t *testing.T) {
	for _, scenario := range scenarios {
		t.Run(scenario.name, func(t *testing.T) {
			calls, want := play(t, scenario.plan, scenario.run, nil, 0, false)
			if len(calls) < 5 {
				t.Fatalf("only %d calls", len(calls))
			}
			for i, call := range calls {
				for _, fault := range faults {
					t.Run(fmt.Sprintf("call %d %s %s", i+1, call.Action, fault.name), func(t *testing.T) {
						_, got := play(t, scenario.plan, scenario.run, fault.fault, i+1, fault.repeats)
						if !reflect.DeepEqual(got, want) {
							t.Errorf("ends with\n%+v, want\n%+v", got, want)
						}
					})
				}
			}
		})
	}
}

// play runs a scenario in a new world in which the n-th call suffers a fault.
func play(t *testing.T, plan func(*release.FunctionStep, *release.ShiftStep), run func(*world, context.Context, release.Step, release.Step) error,
	fault func(*world, string) sim.Fault, n int, repeats bool) ([]sim.Call, end) {
	t.Helper()
	w := newWorld(t)
	if repeats {
		w.api = repeating{w.api}
	}
	w.do(func(ctx context.Context) {
		update, shift := w.steps(ctx, plan)
		w.clearCalls()
		made := 0
		w.cloud.OnCall(func(call sim.Call) sim.Fault {
			if call.Service == "s3" {
				return sim.Fault{}
			}
			if w.dead {
				return sim.Fault{Before: errKilled}
			}
			if made++; fault != nil && made == n {
				return fault(w, call.Service)
			}
			return sim.Fault{}
		})
		must(t, run(w, ctx, update, shift))
	})
	var calls []sim.Call
	for _, call := range w.cloud.Calls() {
		if call.Service != "s3" {
			calls = append(calls, call)
		}
	}
	return calls, outcome(w.state())
}

// TestARollBackAfterAnyCrash kills the task at each call of the release and
// rolls back from there.
func TestARollBackAfterAnyCrash(t *testing.T) {
	for _, scenario := range scenarios[:3] {
		calls, _ := play(t, scenario.plan, scenario.run, nil, 0, false)
		for i, call := range calls {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, killed at call %d %s, done: %t", scenario.name, i+1, call.Action, done), func(t *testing.T) {
					rollBackFrom(t, scenario.plan, i+1, done)
				})
			}
		}
	}
}

func rollBackFrom(t *testing.T, plan func(*release.FunctionStep, *release.ShiftStep), n int, done bool) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, shift := w.steps(ctx, plan)
		made := 0
		w.cloud.OnCall(func(call sim.Call) sim.Fault {
			if call.Service == "s3" {
				return sim.Fault{}
			}
			if made++; made < n {
				return sim.Fault{}
			}
			w.dead = true
			if made == n && done {
				return sim.Fault{After: errKilled}
			}
			return sim.Fault{Before: errKilled}
		})
		for _, step := range []release.Step{update, shift} {
			w.untilKilled(ctx, step)
		}
		w.cloud.OnCall(nil)
		w.dead = false
		must(t, w.rollBack(ctx, shift))
		must(t, w.rollBack(ctx, update))
	})
	assertRestored(t, w)
	if _, there := w.state().Aliases["fresh"]; there {
		t.Error("the alias that the release created is still there")
	}
}

// untilKilled takes turns and does not start again after the kill.
func (w *world) untilKilled(ctx context.Context, step release.Step) {
	for !w.dead {
		work := w.work(step)
		wait, err := w.functions.Apply(ctx, work)
		if w.dead {
			return
		}
		must(w.t, err)
		w.durable[step.ID] = *work.Result
		if wait == 0 {
			return
		}
		must(w.t, w.clock.Sleep(ctx, wait))
	}
}

// repeating is a client that repeats a write whose answer was lost.
type repeating struct{ function.API }

func repeat[O any](call func() (O, error)) (O, error) {
	out, err := call()
	if err != nil && err.Error() != "" && isTimeout(err) {
		return call()
	}
	return out, err
}

func (r repeating) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput, o ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error) {
	return repeat(func() (*lambda.UpdateFunctionCodeOutput, error) { return r.API.UpdateFunctionCode(ctx, in, o...) })
}

func (r repeating) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput, o ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error) {
	return repeat(func() (*lambda.UpdateFunctionConfigurationOutput, error) {
		return r.API.UpdateFunctionConfiguration(ctx, in, o...)
	})
}

func (r repeating) PublishVersion(ctx context.Context, in *lambda.PublishVersionInput, o ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error) {
	return repeat(func() (*lambda.PublishVersionOutput, error) { return r.API.PublishVersion(ctx, in, o...) })
}

func (r repeating) CreateAlias(ctx context.Context, in *lambda.CreateAliasInput, o ...func(*lambda.Options)) (*lambda.CreateAliasOutput, error) {
	return repeat(func() (*lambda.CreateAliasOutput, error) { return r.API.CreateAlias(ctx, in, o...) })
}

func (r repeating) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput, o ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error) {
	return repeat(func() (*lambda.UpdateAliasOutput, error) { return r.API.UpdateAlias(ctx, in, o...) })
}

func isTimeout(err error) bool {
	for ; err != nil; err = unwrap(err) {
		if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
			return true
		}
	}
	return false
}
