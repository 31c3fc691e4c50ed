package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// deliveries keep the first task of each kind and release, to deliver it again.
type deliveries struct {
	w     *world
	first map[string]task
}

func newDeliveries(w *world) *deliveries {
	d := &deliveries{w: w, first: map[string]task{}}
	w.onTask = func(k task) fault {
		if _, known := d.first[k.in.Release+" "+k.String()]; !known {
			d.first[k.in.Release+" "+k.String()] = k
		}
		return fault{}
	}
	return d
}

// again delivers a task once more, in the clock. What it answers interests nobody.
func (d *deliveries) again(ctx context.Context, id, name string) {
	d.w.t.Helper()
	k, ok := d.first[id+" "+name]
	if !ok {
		d.w.t.Fatalf("release %s had no task %q, but %v", id, name, d.first)
	}
	payload, err := json.Marshal(k.in)
	if err != nil {
		d.w.t.Fatal(err)
	}
	_, _ = d.w.Local.Task(k.function).Run(ctx, payload)
}

// asked waits for the n-th question about prod.
func (w *world) asked(ctx context.Context, id string, n int) {
	w.t.Helper()
	var last release.Approval
	w.untilTrue(ctx, id, fmt.Sprintf("asking for the %d. time", n), func(rel release.Release) bool {
		prod, ok := rel.Environment("prod")
		if ok && rel.State == release.WaitingApproval && prod.Approval.Token != last.Token {
			last = *prod.Approval
			n--
		}
		return n == 0
	})
}

// TestARollbackWaitsForATaskThatLivesOn lets the state machine give up on the first task that changes
// prod, whose first write is on its way for long: it is undone, or comes before the release has ended.
func TestARollbackWaitsForATaskThatLivesOn(t *testing.T) {
	for function, action := range map[string]string{"Update": "UpdateFunctionCode", "Shift": "UpdateAlias"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			site := demo.Sites()[1]
			before, given, held := w.targets(), false, false
			w.onTask = func(k task) fault {
				switch {
				case k.in.Do == "prepare": // when the other is at its write
					return fault{do: func() { _ = w.Clock.Sleep(context.Background(), 5*time.Second) }}
				case k.function == function && k.in.Site == site && !given:
					given = true
					return fault{again: true, before: final}
				}
				return fault{}
			}
			w.Cloud.OnCall(func(c sim.Call) sim.Fault {
				if c.Action != action || !strings.Contains(c.Resource, site.Region+":"+site.Account) || held {
					return sim.Fault{}
				}
				held = true
				return sim.Fault{Delay: slowly}
			})
			rel := w.released("v1.1.0", quick(t, demo.Handler))
			wantState(t, rel, release.FailedClean)
			w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
			if !given || !held {
				t.Errorf("given up on a task: %t, its write held up: %t; want both", given, held)
			}
			w.asRecorded(rel, before)
			w.sound()
		})
	}
}

// TestARollbackWaitsForAWriteThatWasGivenUp lets the first write at prod, after some that are throttled,
// time out and arrive later, when its step has failed of what came next, and the rollback has found
// everything as before.
func TestARollbackWaitsForAWriteThatWasGivenUp(t *testing.T) {
	for _, test := range []struct {
		action    string
		throttled int
	}{{"UpdateFunctionCode", 0}, {"UpdateAlias", 0}, {"UpdateFunctionCode", 7}, {"UpdateAlias", 7}} {
		t.Run(fmt.Sprintf("%s, throttled %d times", test.action, test.throttled), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			site, writes := demo.Sites()[1], 0
			before := w.targets()
			w.Cloud.OnCall(func(c sim.Call) sim.Fault {
				if c.Action != test.action || !strings.Contains(c.Resource, site.Region+":"+site.Account+":function:orders-api") {
					return sim.Fault{}
				}
				switch writes++; {
				case writes <= test.throttled:
					return sim.Fault{Before: sim.Throttled("lambda")}
				case writes == test.throttled+1:
					return sim.Fault{Before: sim.Timeout(), Late: slowly}
				case writes == test.throttled+2:
					return sim.Fault{Before: errAccessDenied}
				}
				return sim.Fault{}
			})
			rel := w.released("v1.1.0", quick(t, demo.Handler))
			wantState(t, rel, release.FailedClean)
			w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
			if writes < test.throttled+3 {
				t.Errorf("%d times %s, want that the late one was taken back", writes, test.action)
			}
			w.asRecorded(rel, before)
			w.sound()
		})
	}
}

// TestARollbackWaitsForALaterTaskThatLivesOn lets a task write at prod what leaves the function as
// found, and the state machine give up on the next one, whose write is on its way for long.
func TestARollbackWaitsForALaterTaskThatLivesOn(t *testing.T) {
	const wholeTurn = 65 * time.Second // a task begins nothing after that
	refused := sim.Fault{Before: &types.PreconditionFailedException{Message: aws.String("The Revision Id is another one.")}, Delay: wholeTurn}
	for name, test := range map[string]struct {
		function string
		first    string // the action of the first task
		times    int
		comes    sim.Fault // what comes of it
		held     string    // the action that is on its way for long
		before   map[string]string
	}{
		"$LATEST was published": {"Update", "PublishVersion", 1, sim.Fault{Delay: wholeTurn}, "UpdateFunctionCode", map[string]string{"MODE": "calm"}},
		"code was refused":      {"Update", "UpdateFunctionCode", 1, refused, "UpdateFunctionCode", nil},
		"an alias was refused":  {"Shift", "UpdateAlias", 2, refused, "UpdateAlias", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			files := quick(t, demo.Handler)
			if test.before != nil {
				w.inProd("orders-api", test.before)
				const api = "  - name: orders-api\n"
				files["tagboat.yaml"] = github.Text(edited(t, string(files["tagboat.yaml"].Content), api, api+"    environment: {MODE: wild}\n"))
			}
			before, site, firsts, given, held := w.targets(), demo.Sites()[1], 0, false, false
			w.onTask = func(k task) fault {
				switch {
				case k.in.Do == "prepare": // when the other is at its write
					return fault{do: func() { _ = w.Clock.Sleep(context.Background(), 5*time.Second) }}
				case k.function == test.function && k.in.Site == site && firsts == test.times && !given:
					given = true
					return fault{again: true, before: final}
				}
				return fault{}
			}
			w.Cloud.OnCall(func(c sim.Call) sim.Fault {
				switch {
				case !strings.Contains(c.Resource, site.Region+":"+site.Account+":function:orders-api"):
				case c.Action == test.first && firsts < test.times:
					if firsts++; firsts > 1 {
						return sim.Fault{Before: test.comes.Before}
					}
					return test.comes
				case c.Action == test.held && given && !held:
					held = true
					return sim.Fault{Delay: slowly}
				}
				return sim.Fault{}
			})
			rel := w.released("v1.1.0", files)
			wantState(t, rel, release.FailedClean)
			w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
			if !given || !held {
				t.Errorf("given up on a task: %t, its write held up: %t; want both", given, held)
			}
			w.asRecorded(rel, before)
			w.sound()
		})
	}
}

// TestARollbackWaitsForAWriteBasedOnWhatSomebodyElseDid lets somebody describe an alias at prod by hand right
// before it is moved, and the state machine give up on the task whose next write, based on that, is on
// its way for long.
func TestARollbackWaitsForAWriteBasedOnWhatSomebodyElseDid(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	before, site, writes, given := w.targets(), demo.Sites()[1], 0, false
	w.onTask = func(k task) fault {
		switch {
		case k.in.Do == "prepare": // when the other is at its write
			return fault{do: func() { _ = w.Clock.Sleep(context.Background(), 5*time.Second) }}
		case k.function == "Shift" && k.in.Site == site && !given:
			given = true
			return fault{again: true, before: final}
		}
		return fault{}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action != "UpdateAlias" || !strings.Contains(c.Resource, site.Region+":"+site.Account+":function:orders-api") {
			return sim.Fault{}
		}
		switch writes++; writes {
		case 1:
			f, _ := w.Cloud.Function(site.Account, site.Region, "orders-api")
			_ = w.aliasByHand(w.Cloud.Root(site.Account).Lambda(site.Region), f, "orders-api") // the second write
		case 3:
			return sim.Fault{Delay: slowly}
		}
		return sim.Fault{}
	})
	rel := w.released("v1.1.0", quick(t, demo.Handler))
	wantState(t, rel, release.FailedClean)
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
	if !given || writes < 3 {
		t.Errorf("given up on a task: %t, %d writes; want both, by hand and twice by the task", given, writes)
	}
	w.asRecorded(rel, before)
	w.sound()
}

// TestAnAliasThatIsMadeOrDeletedLateHarmsNobody lets what makes an alias time out, and arrive when that
// is undone; or what undoes it, and arrive when the next release has made it again.
func TestAnAliasThatIsMadeOrDeletedLateHarmsNobody(t *testing.T) {
	for action, next := range map[string]bool{"CreateAlias": false, "DeleteAlias": true} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			w.Cloud.OnCall(failsAtWorker(action))
			var older, newer string
			w.in(func(ctx context.Context) {
				older = w.pushed(ctx, "v1.1.0", fresh(t, demo.Handler))
				if next {
					newer = w.pushed(ctx, "v1.2.0", fresh(t, demo.Handler+"\n# newer\n"))
				}
			})
			w.settle()
			w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, 10*time.Minute) })
			wantState(t, w.record(older), release.FailedClean)
			if next {
				wantState(t, w.record(newer), release.Succeeded)
			}
			site := demo.Sites()[1]
			f, _ := w.Cloud.Function(site.Account, site.Region, "orders-api")
			if alias, ok := f.Aliases["fresh"]; ok != next || next && alias.Version != f.Published[len(f.Published)-1].Version {
				t.Errorf("at prod alias fresh is %+v (%t) after the last of %d versions", alias, ok, len(f.Published))
			}
			if held := w.leases(); len(held) > 0 {
				t.Errorf("leases are held: %+v", held)
			}
		})
	}
}

// fresh are the demo's files with an alias of orders-api that is not there yet.
func fresh(t *testing.T, handler string) github.Files {
	t.Helper()
	const api = "  - name: orders-api\n    artifact: code\n    layers: [orders-deps]\n    alias: "
	f := demo.Files(handler, "2.32.3")
	f["tagboat.yaml"] = github.Text(edited(t, demo.Manifest, api+"live\n    traffic: Canary10Percent5Minutes", api+"fresh"))
	return f
}

// failsAtWorker lets the first move of orders-worker's alias at prod be refused, and the first call of an
// action there for orders-api time out and arrive later.
func failsAtWorker(action string) func(sim.Call) sim.Fault {
	site, refused, late := demo.Sites()[1], false, false
	return func(c sim.Call) sim.Fault {
		at := site.Region + ":" + site.Account + ":function:"
		switch {
		case c.Action == "UpdateAlias" && strings.Contains(c.Resource, at+"orders-worker") && !refused:
			refused = true
			return sim.Fault{Before: errAccessDenied, Delay: 10 * time.Second}
		case c.Action == action && strings.Contains(c.Resource, at+"orders-api") && !late:
			late = true
			return sim.Fault{Before: sim.Timeout(), Late: slowly}
		}
		return sim.Fault{}
	}
}

// TestAnEnvironmentThatIsClosedMeanwhileIsNotRolledBack lets the state machine give up on the task that
// closes prod, which does it when the rollback has begun, and dies before it records what is live.
func TestAnEnvironmentThatIsClosedMeanwhileIsNotRolledBack(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	before, given, preparing, held, died := w.targets(), false, false, 0, false
	w.onTask = func(k task) fault {
		switch {
		case k.String() == "Lease close prod" && !given:
			given = true
			return fault{again: true, before: final}
		case k.in.Do == "prepare":
			preparing = true
		}
		return fault{}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		switch {
		case !given || c.Action != "GetObject" || held == 2:
		case strings.HasSuffix(c.Resource, "/manifest.json") && held == 0: // of what closes
			held++
			return sim.Fault{Delay: 10 * time.Second}
		case strings.HasSuffix(c.Resource, "/plan-prod.json") && preparing:
			held++
			return sim.Fault{Delay: 30 * time.Second}
		}
		return sim.Fault{}
	})
	w.table.onCall = func(what string, _ bool) mishap {
		if !given || died || !strings.HasPrefix(what, "Put live") {
			return mishap{}
		}
		died = true
		return mishap{before: errTable, kill: true}
	}
	rel := w.released("v1.1.0", atOnce(t, demo.Handler))
	if held != 2 || !died {
		t.Errorf("%d reads were held up, and it died: %t; want one of what closes, one of what prepares", held, died)
	}
	wantState(t, rel, release.Succeeded)
	w.asRecorded(rel, before)
	for _, l := range w.live() {
		if l.Release != rel.ID {
			t.Errorf("%s in %s is recorded as of %s, want %s", l.Name, l.Environment, l.Release, rel.ID)
		}
	}
	w.sound()
}

// TestATaskThatIsDeliveredLateChangesNothing delivers tasks of a release once more
// while it waits for an answer.
func TestATaskThatIsDeliveredLateChangesNothing(t *testing.T) {
	for name, late := range map[string]string{
		"the admission does not take back the question": "Admit",
		"the plan does not open what is done":           "Plan dev",
		"nor does its close":                            "Lease close dev",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
			d := newDeliveries(w)
			var id string
			w.in(func(ctx context.Context) {
				id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
				w.asked(ctx, id, 1)
				d.again(ctx, id, late)
				rel := w.now(ctx, id)
				if dev, _ := rel.Environment("dev"); rel.State != release.WaitingApproval || dev.State != release.EnvironmentDone {
					t.Errorf("the release is %s, %s in dev; want it to wait as before", rel.State, dev.State)
				}
				w.approve(ctx, id, "alice", true)
			})
			w.settle()
			wantState(t, w.record(id), release.Succeeded)
			w.sound()
		})
	}
}

// plannedTwice is a world in which each task that plans for an environment is delivered twice, and
// in which each plan for it is stored 100 s later than the one before; it counts them.
func plannedTwice(t *testing.T, environment string) (w *world, plans *int) {
	w, plans = newWorld(t, worldOptions{registry: quickly(t, approving(t))}), new(int)
	w.onTask = func(k task) fault { return fault{again: k.String() == "Plan "+environment} }
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if c.Action != "PutObject" || !strings.HasSuffix(c.Resource, "/plan-"+environment+".json") {
			return sim.Fault{}
		}
		*plans++
		return sim.Fault{Delay: time.Duration(*plans-1) * 100 * time.Second}
	})
	return w, plans
}

// TestAPlanThatIsDeliveredLateTakesNoQuestionBack lets a plan for prod begin twice, which asks once
// more since somebody has changed prod; the second is stored when that question is open.
func TestAPlanThatIsDeliveredLateTakesNoQuestionBack(t *testing.T) {
	w, plans := plannedTwice(t, "prod")
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, id, 1)
		rel := w.now(ctx, id)
		prod, _ := rel.Environment("prod")
		first := prod.Approval.Token
		site := demo.Sites()[1]
		if err := w.codeByHand(w.Cloud.Root(site.Account).Lambda(site.Region), sim.FunctionState{}, "orders-api"); err != nil {
			t.Fatal(err)
		}
		_ = w.Clock.Sleep(ctx, time.Hour)
		w.approve(ctx, id, "alice", true)
		w.untilTrue(ctx, id, "asking again", func(rel release.Release) bool {
			prod, _ := rel.Environment("prod")
			return rel.State == release.WaitingApproval && prod.Approval.Token != first
		})
		_ = w.Clock.Sleep(ctx, 2*time.Minute)
		if rel := w.now(ctx, id); *plans != 2 || rel.State != release.WaitingApproval {
			t.Errorf("after %d plans the release is %s, want 2, and that it waits as before", *plans, rel.State)
		}
		w.onTask = nil
		w.Cloud.OnCall(nil)
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

// TestAPlanOfTwoDeliveriesStandsOnce lets a plan for dev begin twice; the second is
// stored when dev is done by the first.
func TestAPlanOfTwoDeliveriesStandsOnce(t *testing.T) {
	w, plans := plannedTwice(t, "dev")
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, id, 1)
		_ = w.Clock.Sleep(ctx, 2*time.Minute)
		rel := w.now(ctx, id)
		if dev, _ := rel.Environment("dev"); *plans != 2 || dev.State != release.EnvironmentDone || rel.State != release.WaitingApproval {
			t.Errorf("after %d plans the release is %s, %s in dev; want 2, and that it waits as before", *plans, rel.State, dev.State)
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

// TestALeaseThatWasGivenBackIsNotTakenByALateTask delivers the acquisition again
// while the changed plan is looked at by a person.
func TestALeaseThatWasGivenBackIsNotTakenByALateTask(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	d := newDeliveries(w)
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, id, 1)
		course{}.changePlan(w, ctx, true)
		w.approve(ctx, id, "alice", true)
		w.untilTrue(ctx, id, "waiting again", func(rel release.Release) bool {
			prod, _ := rel.Environment("prod")
			return rel.State == release.WaitingApproval && prod.Approval.Answered.IsZero()
		})
		d.again(ctx, id, "Lease acquire prod")
		leases, err := w.Local.Core().Ledger.Leases(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leases {
			if l.Name == "env/orders/prod" && l.Holder != (ledger.Holder{}) {
				t.Errorf("the lease of prod is held by %+v, want it free while a person decides", l.Holder)
			}
		}
		w.approve(ctx, id, "alice", true)
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
	w.sound()
}

// TestALateCloseDoesNotRecordWhatWasReplaced lets another release take its turn
// in dev before the first one's is closed again.
func TestALateCloseDoesNotRecordWhatWasReplaced(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	d := newDeliveries(w)
	var older, newer string
	w.in(func(ctx context.Context) {
		older = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, older, 1)
		newer = w.pushed(ctx, "v1.2.0", quick(t, demo.Handler+"\n# newer\n"))
		w.asked(ctx, newer, 1)
		d.again(ctx, older, "Lease close dev")
		live, err := w.Local.Core().Ledger.Live(ctx, "orders", "dev")
		if err != nil || len(live) == 0 {
			t.Fatalf("live in dev: %v, %v", live, err)
		}
		for _, l := range live {
			if l.Release != newer {
				t.Errorf("%s in dev is recorded as of %s, want %s", l.Name, l.Release, newer)
			}
		}
		w.approve(ctx, newer, "alice", true)
		w.approve(ctx, older, "alice", false)
	})
	w.settle()
	wantState(t, w.record(newer), release.Succeeded)
	wantState(t, w.record(older), release.Rejected)
	w.sound()
}

// TestALateReportIsNotSent delivers the reports of a release again after its end.
func TestALateReportIsNotSent(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	d := newDeliveries(w)
	rel := w.released("v1.1.0", quick(t, demo.Broken))
	wantState(t, rel, release.FailedClean)
	before := fmt.Sprintf("%+v", w.GitHub.Deployments(w.Repo))
	w.in(func(ctx context.Context) {
		for _, name := range []string{"Report start dev", "Report success dev", "Report start prod"} {
			d.again(ctx, rel.ID, name)
		}
	})
	if after := fmt.Sprintf("%+v", w.GitHub.Deployments(w.Repo)); after != before {
		t.Errorf("GitHub was told something after the end: %s, before %s", after, before)
	}
}

// TestAnEnvironmentIsNotDoneBeforeWhatIsLiveIsKnown lets everything fail that is
// read to close dev.
func TestAnEnvironmentIsNotDoneBeforeWhatIsLiveIsKnown(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	closing := false
	w.onTask = func(k task) fault {
		closing = k.in.Do == "close"
		return fault{}
	}
	w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if closing && c.Action == "GetObject" {
			return sim.Fault{Before: sim.ServerError(c.Service)}
		}
		return sim.Fault{}
	})
	before := w.targets()
	rel := w.released("v1.1.0", quick(t, demo.Handler))
	wantState(t, rel, release.FailedClean)
	w.unchanged(before)
	w.sound()
}

// TestAnEarlierAttemptDoesNotReplaceTheToken lets the first attempt of a task that waits come
// once more when the second waits already, with a token for which nobody waits.
func TestAnEarlierAttemptDoesNotReplaceTheToken(t *testing.T) {
	for name, registry := range map[string]string{"Approval ask prod": approving(t), "Lease acquire dev": demo.Registry} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, registry)})
			id, first := "", task{}
			w.onTask = func(k task) fault {
				if k.in.Release == id && k.String() == name && first.function == "" {
					first = k
					return fault{after: retriable}
				}
				return fault{}
			}
			w.in(func(ctx context.Context) {
				if name == "Lease acquire dev" {
					older := w.pushed(ctx, "v1.0.0", quick(t, demo.Handler))
					w.untilTrue(ctx, older, "in dev", func(rel release.Release) bool { _, open := rel.Open(); return open })
				}
				id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler+"\n# newer\n"))
				state := map[string]release.State{"Approval ask prod": release.WaitingApproval, "Lease acquire dev": release.Waiting}[name]
				w.until(ctx, id, state)
				_ = w.Clock.Sleep(ctx, 15*time.Second) // the second attempt has come
				payload, err := json.Marshal(first.in)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Local.Task(first.function).Run(ctx, payload); err == nil {
					t.Error("the first attempt was taken after the second")
				} else {
					wantText(t, err.Error(), "this attempt is late")
				}
				if rel := w.now(ctx, id); rel.Error != "" || rel.Remedy != "" {
					t.Errorf("the record says %q, %q; want nothing of a task that is late", rel.Error, rel.Remedy)
				}
				if state == release.WaitingApproval {
					w.approve(ctx, id, "alice", true)
				}
			})
			w.settle()
			rel := w.record(id)
			wantState(t, rel, release.Succeeded)
			if took := rel.Ended.Sub(rel.Created); took > time.Hour {
				t.Errorf("it took %s", took)
			}
			w.sound()
		})
	}
}

// TestARedrivenExecutionFailsAtItsFirstTask runs every task of an execution again after its
// release has ended, or was taken over: whichever is the first of a redriven one, it fails and
// changes nothing.
func TestARedrivenExecutionFailsAtItsFirstTask(t *testing.T) {
	for name, c := range map[string]course{
		"a release that was rolled back": {files: quick(t, demo.Broken)},
		"a release that was taken over":  {files: quick(t, demo.Handler), stop: true},
		"a release that succeeded":       {files: quick(t, demo.Handler)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			d := newDeliveries(w)
			rel := c.run(w)
			before, calls, tried := w.targets(), w.calls(), 0
			w.in(func(ctx context.Context) {
				for what, k := range d.first {
					if k.in.Execution != rel.ID || k.function == "Report" || k.function == "Prune" {
						continue // which tell how it ended, and delete what is old
					}
					payload, err := json.Marshal(k.in)
					if err != nil {
						t.Fatal(err)
					}
					tried++
					if _, err := w.Local.Task(k.function).Run(ctx, payload); err == nil && k.function != "Conclude" {
						t.Errorf("%s went on", what)
					}
				}
			})
			if tried < 10 {
				t.Errorf("%d tasks were tried, want them all", tried)
			}
			if again := fmt.Sprintf("%+v", w.record(rel.ID)); again != fmt.Sprintf("%+v", rel) {
				t.Errorf("the record changed: %s", again)
			}
			for _, call := range w.writes(calls) {
				t.Errorf("changed: %+v", call)
			}
			w.unchanged(before)
			w.sound()
		})
	}
}

// TestATaskThatIsDeliveredLateIsNoReason delivers every task of a release once more
// while it waits for an answer: what they fail with is not what the release ends with.
func TestATaskThatIsDeliveredLateIsNoReason(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, approving(t))})
	d := newDeliveries(w)
	var id string
	w.in(func(ctx context.Context) {
		id = w.pushed(ctx, "v1.1.0", quick(t, demo.Handler))
		w.asked(ctx, id, 1)
		for _, what := range slices.Sorted(maps.Keys(d.first)) {
			name := strings.TrimPrefix(what, id+" ")
			d.again(ctx, id, name)
			if rel := w.now(ctx, id); rel.Error != "" {
				t.Errorf("%s: the record says %q, want nothing", name, rel.Error)
			}
		}
		w.approve(ctx, id, "alice", false)
	})
	w.settle()
	rel := w.record(id)
	wantState(t, rel, release.Rejected)
	wantText(t, rel.Error, "rejected by alice")
	w.sound()
}

// TestAStoppedCloseDoesNotReplaceWhatIsLiveSince stops an execution while its task that closes dev
// hangs, after dev was recorded as done: its recovery hands the lease on, the next release comes to
// its end in dev, and then the task goes on.
func TestAStoppedCloseDoesNotReplaceWhatIsLiveSince(t *testing.T) {
	for name, hangs := range map[string]struct {
		call string
		nth  int // of such calls since dev is done
	}{
		"what is live is read late":      {"Get live ", 1},
		"who has the lease is read late": {"Get lease ", 2},
		"what is live is written late":   {"Put live ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			w.detached = true
			var older, newer string
			stopped, calls := false, 0
			w.table.onCall = func(what string, _ bool) mishap {
				if stopped || !w.closed(older, "dev") || !strings.HasPrefix(what, hangs.call) {
					return mishap{}
				}
				if calls++; calls < hangs.nth {
					return mishap{}
				}
				stopped = true
				w.Clock.Go(func() { _ = w.Local.Engine.Stop(context.Background(), older, "Stopped", "by a test") })
				return mishap{delay: 110 * time.Second}
			}
			w.in(func(ctx context.Context) {
				older = w.pushed(ctx, "v1.1.0", atOnce(t, demo.Handler))
				w.untilTrue(ctx, older, "in dev", func(rel release.Release) bool { _, open := rel.Open(); return open })
				newer = w.pushed(ctx, "v1.2.0", atOnce(t, demo.Handler+"\n# newer\n"))
				began := w.Clock.Now()
				w.untilDone(ctx, newer, "dev")
				if took := w.Clock.Now().Sub(began); took > 100*time.Second {
					t.Errorf("%s was done in dev after %s: the task of %s is not late", newer, took, older)
				}
			})
			w.settle()
			if !stopped {
				t.Error("nothing hung")
			}
			wantState(t, w.record(older), release.FailedClean)
			wantState(t, w.record(newer), release.Succeeded)
			for _, l := range w.live() {
				if l.Release != newer {
					t.Errorf("%s in %s is recorded as %s of %s, want that of %s", l.Name, l.Environment, l.Version, l.Release, newer)
				}
			}
			w.sound()
		})
	}
}

// untilDone waits, in the clock, until a release is recorded as done in an environment.
func (w *world) untilDone(ctx context.Context, id, environment string) {
	w.t.Helper()
	w.untilTrue(ctx, id, "done in "+environment, func(rel release.Release) bool {
		progress, ok := rel.Environment(environment)
		return ok && progress.State == release.EnvironmentDone
	})
}

// closed tells, while a call of the table is made, whether a release is recorded as done in an environment.
func (w *world) closed(id, environment string) bool {
	item, err := w.table.Table.Get(w.t.Context(), ledger.Key{Partition: "release/" + id, Sort: "record"})
	var rel release.Release
	if err != nil || json.Unmarshal(item.Body, &rel) != nil {
		return false
	}
	progress, ok := rel.Environment(environment)
	return ok && progress.State == release.EnvironmentDone
}

// atOnce are the demo's files without a canary.
func atOnce(t *testing.T, handler string) github.Files {
	t.Helper()
	f := demo.Files(handler, "2.32.3")
	f["tagboat.yaml"] = github.Text(edited(t, demo.Manifest, "Canary10Percent5Minutes", "AllAtOnce"))
	return f
}
