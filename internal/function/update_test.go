package function_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(digest[:])
}

// asPlanned changes nothing of the steps.
func asPlanned(*release.FunctionStep, *release.ShiftStep) {}

// withEverything changes all that can be changed, and tries it.
func withEverything(f *release.FunctionStep, _ *release.ShiftStep) {
	f.Environment = map[string]string{"MODE": "after", "NEW": "value"}
	f.Handler = "app.main"
	f.Runtime = "python3.14"
	f.Smoke = &release.Smoke{Payload: map[string]any{"ping": true}, Expect: map[string]any{"statusCode": 200}}
}

func TestUpdateBringsLatestToThePlanAndPublishesIt(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, withEverything)
		must(t, w.apply(ctx, update))
	})
	f := w.state()
	if len(f.Published) != 2 {
		t.Fatalf("versions: got %d, want 2", len(f.Published))
	}
	for _, v := range []sim.VersionState{f.Latest, f.Published[1]} {
		if v.CodeSha256 != sum(newZip) {
			t.Errorf("%s: code is not the new one", v.Version)
		}
		if want := []string{w.layers["foreign"], w.layers["new"]}; !slices.Equal(v.Layers, want) {
			t.Errorf("%s: layers %q, want %q", v.Version, v.Layers, want)
		}
		if want := map[string]string{"SECRET": "hunter22", "MODE": "after", "NEW": "value"}; !maps.Equal(v.Environment, want) {
			t.Errorf("%s: environment %q, want %q", v.Version, v.Environment, want)
		}
		if c := v.Configuration; *c.Handler != "app.main" || c.Runtime != "python3.14" || *c.MemorySize != 512 {
			t.Errorf("%s: handler %q, runtime %q, memory %d", v.Version, *c.Handler, c.Runtime, *c.MemorySize)
		}
	}
	if got := f.Aliases[alias]; got.Version != "1" || f.Published[1].Invocations != 1 || f.Published[0].Invocations != 0 {
		t.Errorf("alias at %q, version 2 invoked %d times: want it at 1 and one smoke test", got.Version, f.Published[1].Invocations)
	}
	r := w.durable[release.StepID(release.UpdateFunction, site, name)]
	if r.Version != "2" || !r.Smoked || !r.Touched || r.SavedCode == nil {
		t.Errorf("result %+v", r)
	}
}

func TestUpdateWithoutAnAliasPublishesNothing(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, func(f *release.FunctionStep, _ *release.ShiftStep) { f.Alias = "" })
		must(t, w.apply(ctx, update))
	})
	if f := w.state(); f.Latest.CodeSha256 != sum(newZip) || len(f.Published) != 1 {
		t.Errorf("code %s, %d versions: want the new code and 1", f.Latest.CodeSha256, len(f.Published))
	}
}

func TestOnlyWhatIsAskedForChanges(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, func(f *release.FunctionStep, _ *release.ShiftStep) { f.Code = nil })
		before := w.state().Latest
		must(t, w.apply(ctx, update))
		after := w.state().Latest
		if after.CodeSha256 != before.CodeSha256 || !maps.Equal(after.Environment, before.Environment) ||
			*after.Configuration.Handler != *before.Configuration.Handler {
			t.Errorf("more than the layers changed: %+v", after)
		}
		if w.saves != 0 {
			t.Errorf("%d archives were staged for a change of layers, want none", w.saves)
		}
	})
}

func TestASmokeTestJudgesTheAnswer(t *testing.T) {
	type object = map[string]any
	tests := []struct {
		name   string
		expect any
		answer string
		fails  string // empty: it passes
	}{
		{"an answer may have more members than wanted", object{"a": object{"b": 1}}, `{"a":{"b":1,"c":2},"d":3}`, ""},
		{"without an expectation any answer will do", nil, `"whatever"`, ""},
		{"a missing member is named", object{"a": object{"b": 1}}, `{"a":{}}`, `answer.a has no "b", want 1`},
		{"another value is named", object{"a": 1}, `{"a":"1"}`, `answer.a is "1", want 1`},
		{"lists are compared element by element", []any{object{"a": 1}, 2}, `[{"a":1,"b":2},2]`, ""},
		{"a longer list is not a superset", []any{1}, `[1,2]`, `answer is [1,2], want [1]`},
		{"an element that differs is named", []any{1, object{"a": true}}, `[1,{"a":false}]`, `answer[1].a is false, want true`},
		{"null is wanted literally", object{"a": nil}, `{"a":null}`, ""},
		{"an answer that is no JSON fails", object{}, `<html>`, `is not JSON`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.cloud.OnInvoke(func(sim.Invocation) sim.InvokeResult { return sim.InvokeResult{Payload: json.RawMessage(test.answer)} })
			var err error
			w.do(func(ctx context.Context) {
				update, _ := w.steps(ctx, func(f *release.FunctionStep, _ *release.ShiftStep) { f.Smoke = &release.Smoke{Expect: test.expect} })
				err = w.apply(ctx, update)
			})
			if test.fails == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("got %v, want an error with %q", err, test.fails)
			}
			if got := w.state().Aliases[alias]; got.Version != "1" || len(got.Weights) != 0 {
				t.Errorf("alias is at %+v, want no traffic on the new version", got)
			}
		})
	}
}

func TestASmokeTestThatEndsInAFunctionErrorFails(t *testing.T) {
	w := newWorld(t)
	var sent json.RawMessage
	w.cloud.OnInvoke(func(i sim.Invocation) sim.InvokeResult {
		sent = i.Payload
		return sim.InvokeResult{FunctionError: "Unhandled", Payload: json.RawMessage(`{"errorMessage":"no module named requests"}`)}
	})
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, func(f *release.FunctionStep, _ *release.ShiftStep) { f.Smoke = &release.Smoke{} })
		err := w.apply(ctx, update)
		if release.KindOf(err) != release.Invalid || !strings.Contains(err.Error(), "no module named requests") || release.RemedyOf(err) == "" {
			t.Errorf("got %v (remedy %q)", err, release.RemedyOf(err))
		}
	})
	if string(sent) != "{}" {
		t.Errorf("payload %s, want {}", sent)
	}
}

func TestAFailedUpdateEndsTheStepInLambdasWords(t *testing.T) {
	w := newWorld(t)
	w.cloud.OnSettle(func(u sim.Update) *sim.Failure {
		if u.Action != "UpdateFunctionConfiguration" {
			return nil
		}
		return &sim.Failure{Code: "SubnetOutOfIPAddresses", Reason: "the subnet has no addresses left"}
	})
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, asPlanned)
		err := w.apply(ctx, update)
		if release.KindOf(err) != release.Invalid || !strings.Contains(err.Error(), "SubnetOutOfIPAddresses: the subnet has no addresses left") {
			t.Errorf("got %v", err)
		}
		w.cloud.OnSettle(nil)
		must(t, w.rollBack(ctx, update))
	})
	assertRestored(t, w)
}

func TestAFunctionThatHadFailedBeforeIsRepaired(t *testing.T) {
	for _, change := range []struct {
		name string
		step func(*release.FunctionStep, *release.ShiftStep)
	}{
		{"by new code", asPlanned},
		{"by code that it has already", func(f *release.FunctionStep, _ *release.ShiftStep) { f.Code.CodeSHA256 = sum(oldZip) }},
		{"by new layers", func(f *release.FunctionStep, _ *release.ShiftStep) { f.Code = nil }},
		{"by a version of it as it is", func(f *release.FunctionStep, _ *release.ShiftStep) { f.Code, f.Layers = nil, nil }},
	} {
		t.Run(change.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				w.failLatest(ctx)
				update, _ := w.steps(ctx, func(f *release.FunctionStep, s *release.ShiftStep) {
					change.step(f, s)
					if f.Code != nil && f.Code.CodeSHA256 == sum(oldZip) {
						f.Code.Object = w.put(ctx, "old.zip", oldZip)
					}
				})
				if update.Function.Before.Latest.UpdateStatus != "Failed" {
					t.Fatalf("before: %+v", update.Function.Before.Latest)
				}
				must(t, w.apply(ctx, update))
			})
			f := w.state()
			if f.Latest.Configuration.LastUpdateStatus != types.LastUpdateStatusSuccessful || len(f.Published) != 2 {
				t.Errorf("status %s, %d versions", f.Latest.Configuration.LastUpdateStatus, len(f.Published))
			}
		})
	}
}

// failLatest makes an update of somebody else fail.
func (w *world) failLatest(ctx context.Context) {
	w.t.Helper()
	w.cloud.OnSettle(failing("disaster"))
	_, err := w.admin().UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), Timeout: aws.Int32(9)})
	must(w.t, err)
	must(w.t, w.clock.Sleep(ctx, time.Minute))
	w.cloud.OnSettle(nil)
}

func TestAFailureThatIsNotTheReleasesOwnIsRepaired(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(context.Context, *world) release.Step
	}{
		{"it came after the plan and before the first write", func(ctx context.Context, w *world) release.Step {
			update, _ := w.steps(ctx, asPlanned)
			w.failLatest(ctx)
			return update
		}},
		{"it was there before the plan, and the task was killed right before the first write", func(ctx context.Context, w *world) release.Step {
			w.failLatest(ctx)
			update, _ := w.steps(ctx, asPlanned)
			w.durable[update.ID] = release.Result{Touched: true}
			return update
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) { must(t, w.apply(ctx, test.prepare(ctx, w))) })
			if f := w.state(); f.Latest.CodeSha256 != sum(newZip) || f.Latest.Configuration.LastUpdateStatus != types.LastUpdateStatusSuccessful {
				t.Errorf("got %+v", f.Latest)
			}
		})
	}
}

func TestAPublishedVersionThatFailsEndsTheStep(t *testing.T) {
	w := newWorld(t)
	w.cloud.OnSettle(func(u sim.Update) *sim.Failure {
		if u.Action != "PublishVersion" {
			return nil
		}
		return &sim.Failure{Code: "InvalidSubnet", Reason: "the subnet is gone"}
	})
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, asPlanned)
		if err := w.apply(ctx, update); err == nil || !strings.Contains(err.Error(), "the subnet is gone") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatSomebodyElseChangedIsNotOverwritten(t *testing.T) {
	changes := map[string]func(*lambda.UpdateFunctionConfigurationInput){
		"layers":    func(in *lambda.UpdateFunctionConfigurationInput) { in.Layers = []string{} },
		"handler":   func(in *lambda.UpdateFunctionConfigurationInput) { in.Handler = aws.String("mine.handler") },
		"runtime":   func(in *lambda.UpdateFunctionConfigurationInput) { in.Runtime = "python3.12" },
		"variables": func(in *lambda.UpdateFunctionConfigurationInput) { in.Environment = &types.Environment{} },
	}
	for what, change := range changes {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				update, _ := w.steps(ctx, asPlanned)
				in := &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name)}
				change(in)
				_, err := w.admin().UpdateFunctionConfiguration(ctx, in)
				must(t, err)
				theirs := w.state().Latest
				err = w.apply(ctx, update)
				if release.KindOf(err) != release.Conflict || !strings.Contains(err.Error(), "somebody else") {
					t.Errorf("got %v", err)
				}
				w.durable[update.ID] = release.Result{Touched: true}
				err = w.rollBack(ctx, update)
				if release.KindOf(err) != release.Conflict || !strings.Contains(release.RemedyOf(err), "To have it as before") {
					t.Errorf("rollback: got %v (remedy %q)", err, release.RemedyOf(err))
				}
				now := w.state().Latest
				if now.CodeSha256 != theirs.CodeSha256 || !slices.Equal(now.Layers, theirs.Layers) {
					t.Errorf("their state was overwritten: %+v", now)
				}
			})
		})
	}
}

func TestAnUpdateInProgressIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.cloud.SetTiming(sim.Timing{Update: 20 * time.Second, Publish: 20 * time.Second})
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, asPlanned)
		_, err := w.admin().UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), MemorySize: aws.Int32(1024)})
		must(t, err)
		w.clearCalls()
		must(t, w.apply(ctx, update))
	})
	f := w.state() // no time has passed since the step was done
	if f.Latest.CodeSha256 != sum(newZip) || *f.Latest.Configuration.MemorySize != 1024 {
		t.Errorf("code %s, memory %d: want the new code and the other's memory", f.Latest.CodeSha256, *f.Latest.Configuration.MemorySize)
	}
	if state := f.Published[1].Configuration.State; state != types.StateActive {
		t.Errorf("done while the new version is %s", state)
	}
	if looks := w.calls()["GetFunction"]; looks > 36 {
		t.Errorf("%d looks in 80 seconds of waiting, want fewer and fewer", looks)
	}
}

func TestAnUpdateThatTakesMinutesIsLookedAtRarely(t *testing.T) {
	w := newWorld(t)
	var waited time.Duration
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, asPlanned)
		w.cloud.SetTiming(sim.Timing{Update: 20 * time.Minute})
		_, err := w.admin().UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), MemorySize: aws.Int32(1024)})
		must(t, err)
		w.cloud.SetTiming(sim.Timing{})
		w.clearCalls()
		began := w.clock.Now()
		must(t, w.apply(ctx, update))
		waited = w.clock.Now().Sub(began)
	})
	if looks := w.calls()["GetFunction"]; looks < 40 || looks > 60 {
		t.Errorf("%d looks at an update of 20 minutes, want 40 to 60", looks)
	}
	if waited < 20*time.Minute || waited > 22*time.Minute {
		t.Errorf("waited %s for an update of 20 minutes, want a tenth longer at most", waited)
	}
}

func TestALostLeaseWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.guard = release.Errorf(release.Conflict, "the lease is lost")
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, withEverything)
		before := w.state()
		if err := w.apply(ctx, update); err == nil {
			t.Error("got no error, want the lost lease")
		}
		if after := w.state(); after.Latest.RevisionID != before.Latest.RevisionID || len(after.Published) != 1 {
			t.Error("something was written")
		}
	})
}

func TestARefusalDoesNotRepeatValuesOfVariables(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, func(f *release.FunctionStep, _ *release.ShiftStep) {
			f.Environment = map[string]string{"BIG": strings.Repeat("x", 5000)}
		})
		err := w.apply(ctx, update)
		if release.KindOf(err) != release.Invalid || !strings.Contains(err.Error(), "4KB limit") {
			t.Errorf("got %v", err)
		}
		for ; err != nil; err = unwrap(err) {
			if text := err.Error(); strings.Contains(text, "hunter22") || strings.Contains(text, "xxxx") {
				t.Errorf("an error in the chain shows values: %.200s", text)
			}
		}
	})
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

func TestRunningAgainAfterTheEndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, withEverything)
		must(t, w.apply(ctx, update))
		before := w.state()
		must(t, w.apply(ctx, update))
		if n := w.state().Published[1].Invocations; n != 1 {
			t.Errorf("the smoke test ran %d times, want once", n)
		}
		delete(w.durable, update.ID) // as if nothing had ever been recorded
		must(t, w.apply(ctx, update))
		if after := w.state(); !reflect.DeepEqual(outcome(after), outcome(before)) {
			t.Errorf("got %+v, want %+v", outcome(after), outcome(before))
		}
	})
}
