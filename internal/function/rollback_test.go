package function_test

import (
	"context"
	"maps"
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

// assertRestored checks that $LATEST and the alias are as the world began.
func assertRestored(t *testing.T, w *world) {
	t.Helper()
	f := w.state()
	if f.Latest.CodeSha256 != sum(oldZip) {
		t.Errorf("code is %s, want the old one", f.Latest.CodeSha256)
	}
	if want := []string{w.layers["foreign"], w.layers["old"]}; !slices.Equal(f.Latest.Layers, want) {
		t.Errorf("layers %q, want %q", f.Latest.Layers, want)
	}
	if want := map[string]string{"SECRET": "hunter22", "MODE": "before"}; !maps.Equal(f.Latest.Environment, want) {
		t.Errorf("environment %q, want %q", f.Latest.Environment, want)
	}
	c := f.Latest.Configuration
	if *c.Handler != "app.handler" || c.Runtime != runtime || *c.MemorySize != 512 || c.LastUpdateStatus != types.LastUpdateStatusSuccessful {
		t.Errorf("handler %q, runtime %q, memory %d, status %s", *c.Handler, c.Runtime, *c.MemorySize, c.LastUpdateStatus)
	}
	if got := f.Aliases[alias]; got.Version != "1" || len(got.Weights) != 0 {
		t.Errorf("alias is at %+v, want version 1 alone", got)
	}
}

func TestARollBackRestoresLatest(t *testing.T) {
	for _, test := range []struct {
		name string
		step func(*release.FunctionStep, *release.ShiftStep)
	}{
		{"code and layers", asPlanned},
		{"everything", withEverything},
		{"without an alias, where the variables' former values are kept in a version", func(f *release.FunctionStep, s *release.ShiftStep) {
			withEverything(f, s)
			f.Alias, f.Smoke = "", nil
		}},
		{"only variables", func(f *release.FunctionStep, _ *release.ShiftStep) {
			f.Code, f.Layers, f.Environment = nil, nil, map[string]string{"MODE": "after"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				update, _ := w.steps(ctx, test.step)
				must(t, w.apply(ctx, update))
				if w.state().Latest.CodeSha256 == sum(oldZip) && update.Function.Code != nil {
					t.Fatal("the update did nothing")
				}
				must(t, w.rollBack(ctx, update))
				assertRestored(t, w)
				must(t, w.rollBack(ctx, update))
			})
			assertRestored(t, w)
		})
	}
}

func TestARollBackOfAStepThatWroteNothingDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, shift := w.steps(ctx, asPlanned)
		w.clearCalls()
		must(t, w.rollBack(ctx, update))
		must(t, w.rollBack(ctx, shift))
		if calls := w.cloud.Calls(); len(calls) != 0 {
			t.Errorf("calls %v, want none", calls)
		}
	})
}

func TestCodeThatIsNotStagedIsTakenFromTheLiveVersion(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, asPlanned)
		must(t, w.apply(ctx, update))
		w.durable[update.ID] = release.Result{Touched: true} // an older record
		w.functions = withoutStaged(w)
		must(t, w.rollBack(ctx, update))
	})
	assertRestored(t, w)
}

func TestWhatCannotBeRestoredIsToldWithTheRemedy(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, func(f *release.FunctionStep, s *release.ShiftStep) { withEverything(f, s); f.Alias = ""; f.Smoke = nil })
		must(t, w.apply(ctx, update))
		saved := w.durable[update.ID].SavedVersion
		_, err := w.admin().DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String(name), Qualifier: aws.String("1")})
		if err == nil {
			t.Fatal("version 1 was deleted though the alias points at it")
		}
		if saved != "1" { // the world's only version is the same as $LATEST
			t.Fatalf("saved version %q, want 1", saved)
		}
		result := w.durable[update.ID]
		result.SavedVersion = ""
		w.durable[update.ID] = result
		err = w.rollBack(ctx, update)
		if release.KindOf(err) != release.NotFound || !strings.Contains(release.RemedyOf(err), `["MODE" "NEW"]`) {
			t.Errorf("got %v (remedy %q)", err, release.RemedyOf(err))
		}
		if strings.Contains(release.RemedyOf(err), "hunter22") {
			t.Error("the remedy shows values")
		}
		if w.state().Latest.CodeSha256 != sum(oldZip) {
			t.Error("the code could have been restored and was not")
		}
	})
}

func TestARollBackThatLambdaDoesNotTakeIsAnError(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		update, _ := w.steps(ctx, asPlanned)
		must(t, w.apply(ctx, update))
		w.cloud.OnSettle(failing("the key is disabled"))
		err := w.rollBack(ctx, update)
		if err == nil || !strings.Contains(err.Error(), "the key is disabled") || !strings.Contains(release.RemedyOf(err), sum(oldZip)) {
			t.Errorf("got %v (remedy %q)", err, release.RemedyOf(err))
		}
		w.cloud.OnSettle(nil)
		must(t, w.rollBack(ctx, update))
	})
	assertRestored(t, w)
}

// TestALookThatComesTooEarlyIsNotBelieved rolls back right after the variables were written, and
// every look shows $LATEST before that write as long as it may: its revision is another than the
// plan found, since a version was published to keep it.
func TestALookThatComesTooEarlyIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		_, err := w.admin().UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), MemorySize: aws.Int32(1024)})
		must(t, err)
		must(t, w.clock.Sleep(ctx, time.Minute))
		update, _ := w.steps(ctx, func(f *release.FunctionStep, _ *release.ShiftStep) {
			f.Code, f.Layers, f.Environment, f.Alias, f.Smoke = nil, nil, map[string]string{"MODE": "after"}, "", nil
		})
		must(t, w.apply(ctx, update))
		if got := w.state().Latest.Environment["MODE"]; got != "after" {
			t.Fatalf("MODE is %q after the update", got)
		}
		result := w.durable[update.ID]
		result.Undoing = w.clock.Now() // as whoever calls it records
		w.durable[update.ID] = result
		w.cloud.OnCall(func(c sim.Call) sim.Fault { return sim.Fault{Stale: strings.HasPrefix(c.Action, "Get")} })
		must(t, w.rollBack(ctx, update))
	})
	if got := w.state().Latest.Environment["MODE"]; got != "before" {
		t.Errorf("MODE is %q after the rollback, want what it was before", got)
	}
}
