package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

func yamlText(value any) (string, error) {
	text, err := yaml.Marshal(value)
	return string(text), err
}

// now and then runs something at random until the world is calm.
func (w *world) nowAndThen(mean time.Duration, do func()) {
	if mean == 0 {
		return
	}
	w.clock.Go(func() {
		for {
			_ = w.clock.Sleep(context.Background(), w.d.between(0, 2*mean)) // cannot fail
			if w.calm {
				return
			}
			do()
		}
	})
}

// accidents are all that happens besides the releases.
func (w *world) accidents() {
	if !w.s.quiet {
		w.nowAndThen(w.s.rates.stop, w.stopExecution)
		w.nowAndThen(w.s.rates.restart, w.restart)
		w.nowAndThen(w.s.rates.meddle, w.meddle)
		w.nowAndThen(w.s.rates.alarm, w.ring)
		w.nowAndThen(w.s.rates.slowLambda, w.slowDown)
		w.nowAndThen(w.s.busy*2/3, w.retry)
		w.nowAndThen(w.s.busy*3/2, w.reconfigure)
		w.nowAndThen(w.s.busy*3/2, w.halt)
		w.nowAndThen(w.s.busy*2, w.freeze)
		w.nowAndThen(w.s.busy*3/2, w.undo)
	}
	w.clock.Go(w.looks)
	w.clock.Go(w.sweeps)
	w.clock.Go(w.approves)
	w.clock.Go(w.repairs)
}

// restart kills the process in the middle of everything and starts it anew.
func (w *world) restart() {
	w.draw("the process killed")
	w.log.add("operator", "kills the process")
	for _, id := range w.livingIDs() {
		w.living[id].die("with its process")
		w.broke(w.living[id])
	}
	w.kill()
	w.engine.Close()
	_ = w.clock.Sleep(context.Background(), w.d.between(time.Second, 20*time.Minute)) // cannot fail
	w.process, w.kill = context.WithCancel(context.Background())
	if err := w.startEngine(); err != nil {
		w.fail("the engine does not start: %v", err)
		return
	}
	n, err := w.engine.Resume(context.Background())
	w.log.add("operator", "starts the process: %d executions resumed (%v)", n, err)
}

// anyFunction is a function at random.
func (w *world) anyFunction() (target, appSpec) {
	site, a := pick(w.d, w.s.sites()...), pick(w.d, w.s.apps...)
	return target{site.Account, site.Region, pick(w.d, a.functions()...)}, a
}

// meddle changes a function by hand. Refusals are the caller's own business.
func (w *world) meddle() {
	t, _ := w.anyFunction()
	w.meddleWith(t)
}

func (w *world) meddleWith(t target) {
	api, ctx := w.cloud.Root(t.account).Lambda(t.region), context.Background()
	f, _ := w.cloud.Function(t.account, t.region, t.name)
	var err error
	kind := w.d.IntN(4)
	w.draw("somebody else: " + []string{"memory", "variables", "code", "alias"}[kind])
	switch kind {
	case 0:
		_, err = api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: &t.name, MemorySize: aws.Int32(int32(128 * w.d.upTo(8))),
		})
	case 1:
		variables := maps.Clone(f.Latest.Environment)
		variables["LOG_LEVEL"] = fmt.Sprint("level", w.d.IntN(100))
		_, err = api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: &t.name, Environment: &lambdatypes.Environment{Variables: variables},
		})
	case 2:
		var code []byte
		if code, err = zipped(map[string]string{"app.py": fmt.Sprintf("# by hand %d\n", w.d.IntN(100))}); err == nil {
			_, err = api.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &t.name, ZipFile: code})
		}
	case 3:
		if len(f.Published) == 0 || f.Aliases["live"].Version == "" {
			return
		}
		_, err = api.UpdateAlias(ctx, &lambda.UpdateAliasInput{
			FunctionName: &t.name, Name: aws.String("live"), FunctionVersion: aws.String(pick(w.d, f.Published...).Version),
			RoutingConfig: &lambdatypes.AliasRoutingConfiguration{},
		})
	}
	w.log.add("somebody else", "changed %s in %s, %s (%v)", t.name, t.account, t.region, err)
	if err == nil {
		w.byHand(object{t, kind == 3})
	}
}

// ring sets an alarm off for a while.
func (w *world) ring() {
	t, a := w.anyFunction()
	if !a.alarms {
		return
	}
	w.draw("an alarm")
	w.log.add("alarm", "%s-errors rings in %s, %s", a.Name, t.account, t.region)
	w.cloud.SetAlarm(t.account, t.region, a.Name+"-errors", types.StateValueAlarm)
	_ = w.clock.Sleep(context.Background(), w.d.between(10*time.Second, 5*time.Minute)) // cannot fail
	w.cloud.SetAlarm(t.account, t.region, a.Name+"-errors", types.StateValueOk)
}

// slowDown lets updates hang for a while.
func (w *world) slowDown() {
	timing := w.s.timing
	timing.Update, timing.Publish = w.d.between(time.Minute, 40*time.Minute), w.d.between(0, 5*time.Minute)
	w.draw("Lambda: updates InProgress for long")
	w.log.add("lambda", "updates take %s, publications %s", timing.Update, timing.Publish)
	w.setTiming(timing)
	_ = w.clock.Sleep(context.Background(), w.d.between(0, 5*time.Minute)) // cannot fail
	w.setTiming(w.s.timing)
}

// setTiming is how long updates take that begin from now on.
func (w *world) setTiming(timing sim.Timing) {
	w.timing = timing
	w.cloud.SetTiming(timing)
}

// retry asks for another attempt of a release that failed.
func (w *world) retry() {
	var failed []release.Release
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if rel := w.records[id]; rel.State.Ended() && rel.State != release.Succeeded {
			failed = append(failed, rel)
		}
	}
	if len(failed) == 0 {
		return
	}
	rel := pick(w.d, failed...)
	w.draw("another attempt")
	order := app.Order{App: rel.App, Tag: rel.Source.Tag, Retry: true, By: "olivia"}
	if order.Tag == "" {
		order.Version = rel.Version
	}
	_ = w.act(w.process, "retry of "+rel.ID, func(c *caller, p *app.Parts) error {
		answer, err := p.Orders().Place(c.ctx, order)
		w.log.add(c.String(), "answer %s %v (%v)", answer.Status, answer.Releases, err)
		return err
	})
}

// reconfigure changes the registry. Releases under way keep the one they pinned.
func (w *world) reconfigure() {
	registry := w.s.registry()
	registry.Environments = slices.Clone(registry.Environments)
	env, a := &registry.Environments[w.d.IntN(len(registry.Environments))], &registry.Apps[w.d.IntN(len(registry.Apps))]
	kind := pick(w.d, "registry: bake time", "registry: approval", "registry: concurrency", "registry: sharing", "registry: less sharing", newTags)
	switch kind {
	case "registry: bake time":
		env.Bake = release.Duration(w.d.between(0, 5*time.Minute).Truncate(time.Second))
	case "registry: approval":
		env.Approval = map[bool]string{true: "", false: release.ApprovalRequired}[env.NeedsApproval()]
	case "registry: concurrency":
		a.Concurrency = map[bool]string{true: "", false: release.ConcurrencySupersede}[a.Concurrency == release.ConcurrencySupersede]
	case "registry: sharing":
		a.Sharing = release.Sharing{}
	case "registry: less sharing":
		a.Sharing = release.Sharing{Accounts: a.Sharing.Accounts}
	case newTags:
		a.Tags = "release-{version}"
	}
	w.draw(kind)
	if err := w.putYAML(context.Background(), app.RegistryKey, registry); err != nil {
		w.fail("registry: %v", err)
	}
	w.log.add("platform", "changes the %s of %s and %s", kind, env.Name, a.Name)
}

// newTags is a registry under which an app's tags are not its own any more.
const newTags = "registry: tags"

// approves answers those who wait for an approval: sooner or later, and in the
// calm always.
func (w *world) approves() {
	for !w.over && !w.s.absent {
		_ = w.clock.Sleep(context.Background(), w.d.between(time.Minute, 15*time.Minute)) // cannot fail
		for _, id := range w.active() {                                                   // none when it is over
			if w.records[id].State != release.WaitingApproval || !w.calm && w.d.chance(0.3) {
				continue
			}
			yes := w.d.chance(0.8)
			w.draw(map[bool]string{true: "an approval", false: "a rejection"}[yes])
			_ = w.act(w.process, "approval of "+id, func(c *caller, p *app.Parts) error {
				_, err := p.Approvals().Answer(c.ctx, id, app.Decision{By: "olivia"}, yes)
				w.log.add(c.String(), "yes %t (%v)", yes, err)
				return err
			})
		}
	}
}

// repairs puts dirty environments in order, by hand, and clears their leases.
func (w *world) repairs() {
	for !w.over {
		_ = w.clock.Sleep(context.Background(), w.d.between(5*time.Minute, 30*time.Minute)) // cannot fail
		if !w.s.clears || w.over {
			continue
		}
		for _, a := range w.s.apps {
			for _, env := range w.s.environments {
				w.repair(a, env.Name)
			}
		}
	}
}

func (w *world) repair(a appSpec, environment string) {
	name := "env/" + a.Name + "/" + environment
	if w.lease(name).Dirty == "" {
		return
	}
	w.draw("a dirty environment put in order")
	for _, site := range w.s.sites() {
		if site.Environment == environment {
			w.straighten(a, site)
		}
	}
	_ = w.act(w.process, "clear "+name, func(c *caller, p *app.Parts) error {
		next, err := p.Core().Ledger.Clear(c.ctx, name, "put in order", "olivia")
		w.log.add(c.String(), "next is %+v (%v)", next, err)
		if err != nil || next == nil {
			return err
		}
		return p.Tokens.Succeed(c.ctx, next.Token) // if this fails, the sweep tells it
	})
}

// straighten ends what a rollback left in the middle.
func (w *world) straighten(a appSpec, site release.Site) {
	for _, name := range a.functions() {
		f, _ := w.cloud.Function(site.Account, site.Region, name)
		alias, ok := f.Aliases["live"]
		if !ok || len(alias.Weights) == 0 {
			continue
		}
		if _, err := w.cloud.Root(site.Account).Lambda(site.Region).UpdateAlias(context.Background(), &lambda.UpdateAliasInput{
			FunctionName: &name, Name: aws.String("live"), FunctionVersion: &alias.Version,
			RoutingConfig: &lambdatypes.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}},
		}); err != nil {
			w.fail("straighten %s: %v", name, err)
		}
		w.byHand(object{target{site.Account, site.Region, name}, true})
	}
}
