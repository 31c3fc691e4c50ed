package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// course is a way through the state machine.
type course struct {
	name  string
	files github.Files
	// approve approves what is asked, again after the plan changed; stop ends the
	// execution in the middle of prod's canary.
	approve, stop bool
}

func courses(t *testing.T) []course {
	return []course{
		{name: "approved twice", files: quick(t, demo.Handler), approve: true},
		{name: "rolled back", files: quick(t, demo.Broken)},
		{name: "taken over", files: quick(t, demo.Handler), stop: true},
	}
}

// run plays the course to its end. What goes wrong on the way is not its business.
func (c course) run(w *world) release.Release {
	w.t.Helper()
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", c.files)
		w.Clock.Go(func() {
			answered := time.Time{}
			for range 4000 {
				rel, err := w.Local.Core().Ledger.Release(ctx, id)
				if err != nil || rel.State.Ended() {
					return
				}
				if prod, ok := rel.Environment("prod"); c.approve && ok && rel.State == release.WaitingApproval && prod.Approval.Asked.After(answered) {
					c.changePlan(w, ctx, answered.IsZero())
					answered = prod.Approval.Asked
					_, _ = w.Local.Approvals().Answer(ctx, id, app.Decision{By: "alice"}, true) // asked again if it came too late
				}
				if c.stop && w.shifting(demo.Sites()[1], "orders-api") {
					_ = w.Local.Engine.Stop(ctx, id, "Stopped", "by a test")
					return
				}
				_ = w.Clock.Sleep(ctx, 5*time.Second)
			}
		})
	})
	w.settle()
	return w.record(id)
}

// changePlan sets a variable in prod, once, so that the plan is another one.
func (c course) changePlan(w *world, ctx context.Context, first bool) {
	if !first {
		return
	}
	name := "orders-api"
	if _, err := w.Cloud.Root(demo.Prod).Lambda(demo.Home).UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &name, Environment: &types.Environment{Variables: map[string]string{"LOG_LEVEL": "debug"}},
	}); err != nil {
		w.t.Error(err)
	}
	_ = w.Clock.Sleep(ctx, 10*time.Minute)
}

func newCourseWorld(t *testing.T, c course) *world {
	t.Helper()
	registry := demo.Registry
	if c.approve {
		registry = approving(t)
	}
	return newWorld(t, worldOptions{registry: quickly(t, registry)})
}

// key says what a task is to do, without the site, and how often it came before.
func (k task) key(seen map[string]int) string {
	environment := k.in.Environment
	if environment == "" {
		environment = k.in.Site.Environment
	}
	key := fmt.Sprint(k.function, " ", k.in.Do, " ", k.in.Phase, " ", environment)
	seen[key]++
	return fmt.Sprint(key, " ", min(seen[key], 2))
}

// TestEveryTaskIsKilled kills each task every other time, and the state machine
// runs it again.
func TestEveryTaskIsKilled(t *testing.T) {
	for _, c := range courses(t) {
		for name, f := range map[string]fault{"before it ran": {before: retriable}, "after it ran": {after: retriable}} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				t.Parallel()
				w := newCourseWorld(t, c)
				runs := map[string]int{}
				w.onTask = func(k task) fault {
					if runs[k.String()]++; runs[k.String()]%2 == 0 {
						return fault{}
					}
					return f
				}
				rel := c.run(w)
				want := release.FailedClean
				if c.approve {
					want = release.Succeeded
				}
				wantState(t, rel, want)
				w.sound()
			})
		}
	}
}

// TestEveryTaskDies lets each kind of task end for good, one per run and as often as
// it is tried again: the Catch of its state brings the release to an end all the same.
func TestEveryTaskDies(t *testing.T) {
	for _, c := range courses(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newCourseWorld(t, c)
			var keys []string
			known, seen := map[string]bool{}, map[string]int{}
			w.onTask = func(k task) fault {
				if key := k.key(seen); !known[key] {
					known[key] = true
					keys = append(keys, key)
				}
				return fault{}
			}
			c.run(w)
			for _, key := range keys {
				t.Run(key, func(t *testing.T) { dies(t, c, key) })
			}
		})
	}
}

// lives is how often a task is run that dies each time of what the state machine
// knows no name for, at most (the Retry of States.TaskFailed in release.asl.json).
const lives = 4

func dies(t *testing.T, c course, key string) {
	w := newCourseWorld(t, c)
	seen, victim, deaths, rollBackDies := map[string]int{}, "", 0, false
	w.onTask = func(k task) fault {
		if victim == "" && k.key(seen) == key {
			victim = k.String()
			rollBackDies = k.function == "RollBack"
		}
		if k.String() != victim || deaths == lives {
			return fault{}
		}
		deaths++
		return fault{before: final}
	}
	rel := c.run(w)
	if rel.State == release.FailedDirty && !rollBackDies {
		t.Errorf("the release is dirty: %s; %s", rel.Error, rel.Remedy)
	}
	w.sound()
}

// TestTurnsWait makes every kind of work wait so long that it takes another turn.
func TestTurnsWait(t *testing.T) {
	for _, test := range []struct {
		name string
		// slow tells which calls are refused, for as long as a turn takes.
		slow  func(c sim.Call) bool
		files github.Files
	}{
		{"publishing", func(c sim.Call) bool { return c.Action == "PublishLayerVersion" }, nil},
		{"sharing", func(c sim.Call) bool { return c.Action == "AddLayerVersionPermission" }, nil},
		{"checking the access", func(c sim.Call) bool { return c.Action == "GetLayerVersionByArn" }, nil},
		{"updating", func(c sim.Call) bool { return c.Action == "UpdateFunctionCode" }, nil},
		{"rolling back", func(c sim.Call) bool {
			return c.Action == "UpdateFunctionCode" && strings.Contains(c.Principal, string(release.PhaseRollBack))
		}, demo.Files(demo.Broken, "2.32.3")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			refusals := map[string]int{}
			w.Cloud.OnCall(func(c sim.Call) sim.Fault {
				if !test.slow(c) || refusals[c.Resource] >= 5 {
					return sim.Fault{}
				}
				refusals[c.Resource]++
				return sim.Fault{Before: sim.Throttled(c.Service)}
			})
			f := test.files
			if f == nil {
				f = demo.Files(demo.Handler, "2.32.3")
			}
			before := w.targets()
			rel := w.released("v1.1.0", f)
			want := release.Succeeded
			if test.files != nil {
				want = release.FailedClean
			}
			wantState(t, rel, want)
			w.asRecorded(rel, before)
			w.sound()
		})
	}
}

// TestASnapshotOfManyFunctionsTakesSeveralTurns looks at more functions than the
// time of a turn allows.
func TestASnapshotOfManyFunctionsTakesSeveralTurns(t *testing.T) {
	const many = 50
	manifest := "app: orders\nartifacts:\n  code: {archive: src}\nfunctions:\n"
	for i := range many {
		manifest += fmt.Sprintf("  - {name: orders-%02d, artifact: code}\n", i)
	}
	w := newWorld(t, worldOptions{registry: edited(t, demo.Registry, "environments: [dev, prod]", "environments: [dev]")})
	for i := range many {
		w.copyFunction(fmt.Sprintf("orders-%02d", i))
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action == "GetFunction" {
			return sim.Fault{Delay: 25 * time.Second}
		}
		return sim.Fault{}
	})
	calls := w.calls()
	wantState(t, w.released("v1.1.0", files(manifest)), release.Succeeded)
	for i := range many {
		f, err := w.Function(demo.Sites()[0], fmt.Sprintf("orders-%02d", i))
		if err != nil || f.Latest.Configuration.CodeSize == 0 {
			t.Fatal(err)
		}
	}
	if n := len(w.writes(calls)); n != many {
		t.Errorf("%d writes, want one for each of %d functions", n, many)
	}
	w.sound()
}

func (w *world) copyFunction(name string) {
	w.t.Helper()
	role, handler := sim.RoleARN(demo.Dev, "orders"), "app.handler"
	w.admin(demo.Dev, demo.Home, func(ctx context.Context, api *sim.LambdaClient) error {
		_, err := api.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: &name, Role: &role, Handler: &handler, Runtime: "python3.13",
			Code: &types.FunctionCode{ZipFile: zipped(w.t, map[string]string{"app.py": "# " + name})},
		})
		return err
	})
}

// TestOnlyTheEndWasNotRecorded kills the execution when all is live.
func TestOnlyTheEndWasNotRecorded(t *testing.T) {
	w := newWorld(t, worldOptions{})
	died := false
	w.onTask = func(k task) fault {
		if k.in.Do != "finish" || died {
			return fault{}
		}
		died = true
		return fault{before: final, stop: true}
	}
	before := w.targets()
	rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
	wantState(t, rel, release.Succeeded)
	if rel.Execution != rel.ID+"-r1" {
		t.Errorf("execution is %q, want a recovery", rel.Execution)
	}
	w.asRecorded(rel, before)
	w.sound()
}
