package function_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/release"
)

const alarm = "orders-errors"

// traffic is a change of the steps that only sets the shift's traffic.
func traffic(name string) func(*release.FunctionStep, *release.ShiftStep) {
	return func(_ *release.FunctionStep, s *release.ShiftStep) {
		if err := s.Traffic.UnmarshalText([]byte(name)); err != nil {
			panic(err) // names in this file
		}
	}
}

// updated is a world whose function has its new version, and the shift to it.
func updated(ctx context.Context, w *world, change func(*release.FunctionStep, *release.ShiftStep)) release.Step {
	w.t.Helper()
	update, shift := w.steps(ctx, change)
	must(w.t, w.apply(ctx, update))
	return shift
}

// history follows the alias while something runs: "30s 1 map[2:0.1]", …
func (w *world) history(ctx context.Context, done *bool) *[]string {
	began := w.clock.Now()
	var seen []string
	last := ""
	w.clock.Go(func() {
		for !*done {
			a := w.state().Aliases[alias]
			if now := fmt.Sprintf("%s %v", a.Version, a.Weights); now != last {
				last = now
				seen = append(seen, fmt.Sprintf("%s: %s", w.clock.Now().Sub(began).Truncate(10*time.Second), now))
			}
			if err := w.clock.Sleep(ctx, time.Second); err != nil {
				return
			}
		}
	})
	return &seen
}

func TestTrafficMovesInTheStepsOfItsName(t *testing.T) {
	tests := []struct {
		traffic string
		want    []string
	}{
		{"AllAtOnce", []string{"0s: 2 map[]"}},
		{"Canary10Percent5Minutes", []string{"0s: 1 map[2:0.1]", "5m0s: 2 map[]"}},
		{"Linear40PercentEvery2Minutes", []string{"0s: 1 map[2:0.4]", "2m0s: 1 map[2:0.8]", "4m0s: 2 map[]"}},
	}
	for _, test := range tests {
		t.Run(test.traffic, func(t *testing.T) {
			w := newWorld(t)
			var seen *[]string
			w.do(func(ctx context.Context) {
				shift := updated(ctx, w, traffic(test.traffic))
				done := false
				seen = w.history(ctx, &done)
				must(t, w.apply(ctx, shift))
				must(t, w.clock.Sleep(ctx, 2*time.Second))
				done = true
			})
			if !slices.Equal(*seen, test.want) {
				t.Errorf("got %q, want %q", *seen, test.want)
			}
		})
	}
}

func TestACrashNeverShortensAnInterval(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		shift := updated(ctx, w, traffic("Canary10Percent5Minutes"))
		work := w.work(shift)
		_, err := w.functions.Apply(ctx, work) // and it dies before recording what it did
		must(t, err)
		must(t, w.clock.Sleep(ctx, 4*time.Minute))
		restarted := w.clock.Now()
		must(t, w.apply(ctx, shift))
		if took := w.clock.Now().Sub(restarted); took < 5*time.Minute {
			t.Errorf("all traffic moved %s after the weight was first seen, want 5 minutes", took)
		}
	})
}

func TestAnAliasIsCreatedAtTheNewVersion(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		shift := updated(ctx, w, func(f *release.FunctionStep, s *release.ShiftStep) {
			traffic("Canary10Percent5Minutes")(f, s)
			f.Alias, s.Alias = "fresh", "fresh"
		})
		must(t, w.apply(ctx, shift))
		if got := w.state().Aliases["fresh"]; got.Version != "2" || len(got.Weights) != 0 {
			t.Errorf("got %+v, want version 2 alone", got)
		}
		must(t, w.rollBack(ctx, shift))
		if _, there := w.state().Aliases["fresh"]; there {
			t.Error("the rollback left the alias there")
		}
	})
}

func TestAnAliasAtLatestMovesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.moveAlias(ctx, release.LatestVersion, nil)
		shift := updated(ctx, w, traffic("Canary10Percent5Minutes"))
		must(t, w.apply(ctx, shift))
		if got := w.state().Aliases[alias]; got.Version != "2" {
			t.Errorf("got %+v, want version 2", got)
		}
		must(t, w.rollBack(ctx, shift))
		if got := w.state().Aliases[alias]; got.Version != release.LatestVersion {
			t.Errorf("after the rollback: got %+v, want $LATEST", got)
		}
	})
}

func (w *world) moveAlias(ctx context.Context, version string, weights map[string]float64) {
	w.t.Helper()
	_, err := w.admin().UpdateAlias(ctx, &lambda.UpdateAliasInput{
		FunctionName: aws.String(name), Name: aws.String(alias), FunctionVersion: &version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights},
	})
	must(w.t, err)
}

func TestARollBackGivesBackTheWeights(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		_, err := w.admin().UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), Timeout: aws.Int32(9)})
		must(t, err)
		must(t, w.clock.Sleep(ctx, time.Minute))
		_, err = w.admin().PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String(name)})
		must(t, err)
		w.moveAlias(ctx, "1", map[string]float64{"2": 0.3})
		shift := updated(ctx, w, traffic("Canary10Percent5Minutes"))
		must(t, w.apply(ctx, shift))
		if got := w.state().Aliases[alias]; got.Version != "3" || len(got.Weights) != 0 {
			t.Fatalf("got %+v, want version 3 alone", got)
		}
		must(t, w.rollBack(ctx, shift))
		if got := w.state().Aliases[alias]; got.Version != "1" || !maps.Equal(got.Weights, map[string]float64{"2": 0.3}) {
			t.Errorf("got %+v, want version 1 with 0.3 on version 2", got)
		}
	})
}

func TestAnAliasThatSomebodyElseMovesStopsTheShift(t *testing.T) {
	for _, during := range []string{"before the first step", "between two steps"} {
		t.Run(during, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				shift := updated(ctx, w, traffic("Canary10Percent5Minutes"))
				if during == "between two steps" {
					work := w.work(shift)
					_, err := w.functions.Apply(ctx, work)
					must(t, err)
					w.durable[shift.ID] = *work.Result
				}
				w.moveAlias(ctx, "2", map[string]float64{"1": 0.5})
				err := w.apply(ctx, shift)
				if release.KindOf(err) != release.Conflict || !strings.Contains(err.Error(), "somebody else") {
					t.Errorf("got %v", err)
				}
				w.durable[shift.ID] = release.Result{Touched: true}
				if err := w.rollBack(ctx, shift); err == nil || !strings.Contains(release.RemedyOf(err), "at version 1") {
					t.Errorf("rollback: got %v (remedy %q)", err, release.RemedyOf(err))
				}
				if got := w.state().Aliases[alias]; got.Version != "2" || got.Weights["1"] != 0.5 {
					t.Errorf("their alias was overwritten: %+v", got)
				}
			})
		})
	}
}

func TestAShiftThatSomebodyTookBackIsNotBegunAgain(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		shift := updated(ctx, w, traffic("Canary10Percent5Minutes"))
		work := w.work(shift)
		_, err := w.functions.Apply(ctx, work)
		must(t, err)
		w.durable[shift.ID] = *work.Result
		w.moveAlias(ctx, "1", nil)
		if err := w.apply(ctx, shift); release.KindOf(err) != release.Conflict {
			t.Errorf("got %v, want a conflict", err)
		}
	})
}

func TestAnAliasWithTheSameTrafficAndAnotherRevisionIsMoved(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		shift := updated(ctx, w, asPlanned)
		_, err := w.admin().UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: aws.String(name), Name: aws.String(alias), Description: aws.String("described")})
		must(t, err)
		must(t, w.apply(ctx, shift))
		if got := w.state().Aliases[alias]; got.Version != "2" {
			t.Errorf("got %+v, want version 2", got)
		}
	})
}

func TestProvisionedConcurrencyIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		_, err := w.admin().PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{
			FunctionName: aws.String(name), Qualifier: aws.String(alias), ProvisionedConcurrentExecutions: aws.Int32(5),
		})
		must(t, err)
		must(t, w.clock.Sleep(ctx, time.Minute))
		shift := updated(ctx, w, asPlanned)
		began := w.clock.Now()
		must(t, w.apply(ctx, shift))
		if took := w.clock.Now().Sub(began); took < 30*time.Second {
			t.Errorf("done after %s, want the 30 seconds of the allocation", took)
		}
	})
}

func TestAlarms(t *testing.T) {
	set := func(state cwtypes.StateValue) func(*world) {
		return func(w *world) { w.cloud.SetAlarm(account, region, alarm, state) }
	}
	composite := func(state cwtypes.StateValue) func(*world) {
		return func(w *world) { w.cloud.SetCompositeAlarm(account, region, alarm, state) }
	}
	tests := []struct {
		name   string
		before func(*world)
		// during is done one after the other, five seconds apart, in the middle of the canary.
		during []func(*world)
		kind   release.Kind // empty: the shift goes through
		moved  bool         // some traffic moved
	}{
		{"one that is OK lets the traffic move", set("OK"), nil, "", true},
		{"one without data lets the traffic move", set("INSUFFICIENT_DATA"), nil, "", true},
		{"one that rings already refuses the shift", set("ALARM"), nil, release.Conflict, false},
		{"a composite one that rings already refuses the shift", composite("ALARM"), nil, release.Conflict, false},
		{"one that does not exist is a mistake", func(*world) {}, nil, release.Invalid, false},
		{"one that rings stops the shift", set("OK"), []func(*world){set("ALARM")}, release.Conflict, true},
		{"a composite one that rings stops the shift", composite("OK"), []func(*world){composite("ALARM")}, release.Conflict, true},
		{"one that rings between two looks stops the shift", set("OK"), []func(*world){set("ALARM"), set("OK")}, release.Conflict, true},
		{"one that loses its data does not", set("OK"), []func(*world){set("INSUFFICIENT_DATA"), set("OK")}, "", true},
		{"one that rang before the shift does not", func(w *world) { set("ALARM")(w); w.wait(time.Minute); set("OK")(w); w.wait(time.Minute) }, nil, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				test.before(w)
				shift := updated(ctx, w, func(f *release.FunctionStep, s *release.ShiftStep) {
					traffic("Canary10Percent5Minutes")(f, s)
					s.Alarms = []string{alarm}
				})
				w.clock.Go(func() {
					w.wait(95 * time.Second)
					for _, change := range test.during {
						change(w)
						w.wait(5 * time.Second)
					}
				})
				err := w.apply(ctx, shift)
				assertStopped(t, w, err, test.kind, test.moved)
				if test.kind == "" {
					return
				}
				must(t, w.rollBack(ctx, shift))
				if got := w.state().Aliases[alias]; got.Version != "1" || len(got.Weights) != 0 {
					t.Errorf("after the rollback: %+v", got)
				}
			})
		})
	}
}

func assertStopped(t *testing.T, w *world, err error, kind release.Kind, moved bool) {
	t.Helper()
	a := w.state().Aliases[alias]
	if kind == "" {
		must(t, err)
		if a.Version != "2" || len(a.Weights) != 0 {
			t.Errorf("alias at %+v, want version 2 alone", a)
		}
		return
	}
	if err == nil || release.KindOf(err) != kind || !strings.Contains(err.Error(), alarm) || release.RemedyOf(err) == "" {
		t.Errorf("got %v (%s, remedy %q), want kind %s", err, release.KindOf(err), release.RemedyOf(err), kind)
	}
	if a.Version != "1" || len(a.Weights) > 0 != moved {
		t.Errorf("alias at %+v, moved: want %t", a, moved)
	}
}

func (w *world) wait(d time.Duration) {
	if err := w.clock.Sleep(context.Background(), d); err != nil {
		w.t.Error(err)
	}
}

func TestWatchLooksBackToATime(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.cloud.SetAlarm(account, region, alarm, "OK")
		w.wait(time.Minute)
		began := w.clock.Now()
		w.wait(time.Minute)
		w.cloud.SetAlarm(account, region, alarm, "ALARM")
		rang := w.clock.Now()
		w.wait(time.Minute)
		w.cloud.SetAlarm(account, region, alarm, "OK")
		w.wait(time.Minute)
		must(t, w.functions.Watch(ctx, at, []string{alarm}, w.clock.Now()))
		must(t, w.functions.Watch(ctx, at, nil, began))
		err := w.functions.Watch(ctx, at, []string{alarm}, began)
		if release.KindOf(err) != release.Conflict || !strings.Contains(err.Error(), rang.Format(time.RFC3339)) {
			t.Errorf("got %v, want that it rang at %s", err, rang.Format(time.RFC3339))
		}
	})
}

// TestAnAliasThatSomebodyElseMovedFurtherIsLeftAlone has somebody move all traffic to the version
// of the release, which has not moved any yet: a rollback does not take that back.
func TestAnAliasThatSomebodyElseMovedFurtherIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		shift := updated(ctx, w, traffic("Canary10Percent5Minutes"))
		w.moveAlias(ctx, "2", nil)
		if err := w.apply(ctx, shift); release.KindOf(err) != release.Conflict {
			t.Errorf("the shift: %v, want that somebody else moved the alias", err)
		}
		if err := w.rollBack(ctx, shift); release.KindOf(err) != release.Conflict || release.RemedyOf(err) == "" {
			t.Errorf("the rollback: %v (remedy %q), want that somebody else moved the alias", err, release.RemedyOf(err))
		}
		if got := w.state().Aliases[alias]; got.Version != "2" {
			t.Errorf("the alias is at %+v, want version 2 as somebody else left it", got)
		}
	})
}
