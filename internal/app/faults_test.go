package app_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
	"github.com/tagboat/tagboat/internal/sim"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// exhaustive tells whether every call is tried, and not a sample.
func exhaustive() bool { return os.Getenv("TAGBOAT_EXHAUSTIVE") == "1" }

// boundary is one of the lines across which a release talks to the rest of the
// world; each call across it can go wrong in some ways.
type boundary struct {
	name  string
	kinds []string
	// install makes calls go wrong as the trouble says.
	install func(x *trouble)
	// stride is which part of the calls is tried in an ordinary run.
	stride int
}

// boundaries are all. A slow call takes nearly as long as a task may live; while
// one is slow and taken over, somebody stops the execution, and the task goes on.
func boundaries() []boundary {
	return []boundary{
		{"AWS", []string{
			"throttled", "server error", "timed out", "answer lost", "denied", "slow", "slow and taken over", "killed before", "killed after",
			"stale", codeByHand, aliasByHand,
		}, awsFaults, 211},
		{"update", []string{failsToSettle, settlesLate, neverSettles}, updateFaults, 7},
		{"download", []string{"lost", "answer lost", "slow", "killed before", "killed after"}, downloadFaults, 5},
		{"table", []string{"lost", "answer lost", "denied", "slow", "killed before", "killed after"}, tableFaults, 409},
		{"GitHub", []string{"server error", "rate limited", "refused", "unreachable", "answer lost", "slow", "killed before"}, gitHubFaults, 17},
		{"engine", []string{"lost", "answer lost", "killed before", "killed after"}, engineFaults, 1},
		{"store", []string{"lost", "answer lost"}, storeFaults, 97},
		{"event bus", []string{"lost", "answer lost", "slow", "killed before", "killed after"}, eventBusFaults, 11},
		{"task", []string{
			"killed before", "killed after", "dead before", "dead after", "stopped before", "stopped after", "delivered twice", "delivered again later",
			"with its clock ahead", "with its clock behind", "after the registry has changed",
		}, taskFaults, 61},
	}
}

// worth tells whether a kind of fault says anything new about a call. To whoever reads, an
// answer that was lost is one that never was.
func (c call) worth(kind string) bool {
	switch kind {
	case "answer lost", "killed after":
		return !c.reads
	case "stale":
		return c.reads && strings.Contains(c.what, ":lambda:")
	case codeByHand, aliasByHand:
		return strings.Contains(c.what, ":function:")
	}
	return true
}

// blows are all faults of the calls: one for each call across the boundary and
// each kind of fault that is worth trying.
func (b boundary) blows(calls []call, late bool) []blow {
	var all []blow
	for _, kind := range b.kinds {
		n := 0
		for _, c := range calls {
			if c.boundary != b.name {
				continue
			}
			if n++; c.worth(kind) {
				all = append(all, blow{b.name, kind, n, late})
			}
		}
	}
	return all
}

// Kinds of faults after which an environment can need a hand, or differ from what was there:
// somebody else was at it, or Lambda does not take back what it was.
const (
	codeByHand    = "code changed by hand"
	aliasByHand   = "alias changed by hand"
	failsToSettle = "ends Failed"
	settlesLate   = "stays InProgress for long"
	neverSettles  = "stays InProgress for ever"
)

// Calls are slow for as long as slowly; what hangs is not answered in a task's life. An
// update takes long that takes longer than a step has patience for, and for ever if a
// rollback has not the patience either. Clocks are off by less than the margin of a lease.
const (
	slowly  = 100 * time.Second
	hangs   = 20 * time.Minute
	long    = 40 * time.Minute
	forever = 8 * time.Hour
	off     = 45 * time.Second
)

var readActions = regexp.MustCompile("^(Get|List|Head|Describe|AssumeRole)")

func awsFaults(x *trouble) {
	x.w.Cloud.OnCall(func(c sim.Call) sim.Fault {
		if strings.HasSuffix(c.Principal, ":root") {
			return sim.Fault{} // somebody else
		}
		switch x.next(call{boundary: "AWS", what: c.Action + " " + c.Region + " " + c.Resource, reads: readActions.MatchString(c.Action)}) {
		case "throttled":
			return sim.Fault{Before: sim.Throttled(c.Service)}
		case "server error":
			return sim.Fault{Before: sim.ServerError(c.Service)}
		case "timed out":
			return sim.Fault{Before: sim.Timeout()}
		case "answer lost":
			return sim.Fault{After: sim.Timeout()}
		case "denied":
			return sim.Fault{Before: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized", Fault: smithy.FaultClient}}
		case "slow":
			return sim.Fault{Delay: slowly}
		case "slow and taken over":
			x.w.Clock.Go(x.w.stopAll)
			return sim.Fault{Delay: slowly}
		case "killed before":
			return sim.Fault{Delay: hangs}
		case "killed after":
			return sim.Fault{Hang: hangs}
		case "stale":
			return sim.Fault{Stale: true}
		case codeByHand:
			x.w.meddle(c, x.w.codeByHand)
		case aliasByHand:
			x.w.meddle(c, x.w.aliasByHand)
		}
		return sim.Fault{}
	})
}

// meddle lets somebody else change the function that a call is about, right before it.
func (w *world) meddle(c sim.Call, how func(api *sim.LambdaClient, f sim.FunctionState, name string) error) {
	parts := strings.Split(c.Resource, ":")
	account, region, name := parts[4], parts[3], parts[6]
	f, ok := w.Cloud.Function(account, region, name)
	if !ok {
		w.t.Errorf("there is no function %s", c.Resource)
		return
	}
	key := w.at(account, region) + "/" + name
	w.byHand[key] = w.Clock.Now()
	w.tookHandMade[key] = how(w.Cloud.Root(account).Lambda(region), f, name) == nil // Lambda refuses it while an update is in progress
}

func (w *world) at(account, region string) string {
	for _, site := range demo.Sites() {
		if site.Account == account && site.Region == region {
			return site.String()
		}
	}
	return ""
}

// codeByHand puts other code into $LATEST.
func (w *world) codeByHand(api *sim.LambdaClient, _ sim.FunctionState, name string) error {
	_, err := api.UpdateFunctionCode(context.Background(), &lambda.UpdateFunctionCodeInput{
		FunctionName: &name, ZipFile: zipped(w.t, map[string]string{"app.py": handMade}),
	})
	return err
}

// handMade is the code that somebody else brings.
const handMade = "# by hand, in the middle of a release\n"

// aliasByHand changes nothing but the description of an alias, and with it the revision.
func (w *world) aliasByHand(api *sim.LambdaClient, f sim.FunctionState, name string) error {
	if _, ok := f.Aliases["live"]; !ok {
		return nil
	}
	_, err := api.UpdateAlias(context.Background(), &lambda.UpdateAliasInput{
		FunctionName: &name, Name: aws.String("live"), Description: aws.String("described by hand"),
	})
	if err != nil {
		w.t.Errorf("alias of %s: %v", name, err)
	}
	return errors.New("the code is as it was")
}

// updateFaults are called under the cloud's lock.
func updateFaults(x *trouble) {
	x.w.Cloud.OnSettle(func(u sim.Update) *sim.Failure {
		switch x.next(call{boundary: "update", what: u.Action + " " + u.Account + " " + u.Region + " " + u.Function + " " + u.Version}) {
		case failsToSettle:
			return &sim.Failure{Code: "InternalError", Reason: "an internal error"}
		case settlesLate:
			return &sim.Failure{Late: long}
		case neverSettles:
			return &sim.Failure{Late: forever}
		}
		return nil
	})
}

func downloadFaults(x *trouble) {
	x.w.downloads.onFetch = func(req *http.Request) mishap {
		return mishapOf(x.next(call{boundary: "download", what: req.URL.Path, reads: true}))
	}
}

func storeFaults(x *trouble) {
	x.w.store.onSave = func(what string) mishap {
		return mishapOf(x.next(call{boundary: "store", what: what}))
	}
}

func eventBusFaults(x *trouble) {
	x.w.heard.onAnnounce = func(what string) mishap {
		return mishapOf(x.next(call{boundary: "event bus", what: what}))
	}
}

// stopAll stops every execution. It is called inside of the clock.
func (w *world) stopAll() {
	names, err := w.store.Unfinished(context.Background())
	if err != nil {
		w.t.Error(err)
	}
	for _, name := range names {
		_ = w.Local.Engine.Stop(context.Background(), name, "Stopped", "by a test") // it may have ended
	}
}

func tableFaults(x *trouble) {
	x.w.table.onCall = func(what string, reads bool) mishap {
		return mishapOf(x.next(call{boundary: "table", what: what, reads: reads}))
	}
}

func engineFaults(x *trouble) {
	x.w.onEngine = func(what string, reads bool) mishap {
		return mishapOf(x.next(call{boundary: "engine", what: what, reads: reads}))
	}
}

func mishapOf(kind string) mishap {
	return map[string]mishap{
		"lost":          {before: errTable},
		"answer lost":   {after: errTable},
		"denied":        {before: release.Errorf(release.Denied, "the table may not be used")},
		"slow":          {delay: slowly},
		"killed before": {before: errTable, kill: true},
		"killed after":  {after: errTable, kill: true},
	}[kind]
}

func gitHubFaults(x *trouble) {
	x.w.GitHub.OnRequest(func(req *http.Request) github.Fault {
		switch x.next(call{boundary: "GitHub", what: req.Method + " " + req.URL.Path, reads: req.Method == http.MethodGet}) {
		case "server error":
			return github.Fault{Status: http.StatusBadGateway}
		case "rate limited":
			return github.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"20"}}}
		case "refused":
			return github.Fault{Status: http.StatusForbidden, Body: `{"message": "Resource not accessible by integration"}`}
		case "unreachable":
			return github.Fault{Err: errors.New("dial tcp: connection refused")}
		case "answer lost":
			return github.Fault{LoseAnswer: true}
		case "slow":
			return github.Fault{Delay: slowly}
		case "killed before":
			kill(req.Context())
		}
		return github.Fault{}
	})
}

func taskFaults(x *trouble) {
	x.w.onTask = func(k task) fault {
		if beginsWith(k) {
			x.begin(k.String())
		}
		return map[string]fault{
			"killed before":         {before: retriable},
			"killed after":          {after: retriable},
			"dead before":           {before: final},
			"dead after":            {after: final},
			"stopped before":        {before: final, stop: true},
			"stopped after":         {after: final, stop: true},
			"delivered twice":       {again: true},
			"delivered again later": {again: true, late: 3 * time.Minute},
			"with its clock ahead":  {skew: off},
			"with its clock behind": {skew: -off},

			"after the registry has changed": {do: x.w.changeRegistry},
		}[x.next(call{boundary: "task", what: k.String(), token: k.in.Token != ""})]
	}
}

// changeRegistry takes prod away from the app. What is under way goes on with what it pinned.
func (w *world) changeRegistry() {
	w.putRegistry(edited(w.t, quickly(w.t, demo.Registry), "environments: [dev, prod]", "environments: [dev]"))
}

// putRegistry replaces the registry in force, inside of the clock.
func (w *world) putRegistry(text string) {
	if _, err := w.Cloud.Root(demo.Tools).S3(demo.Home).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(demo.StateBucket), Key: aws.String(app.RegistryKey), Body: strings.NewReader(text),
	}); err != nil {
		w.t.Error(err)
	}
}

// scenario is what happens while calls go wrong.
type scenario struct {
	name  string
	files github.Files
}

func scenarios(t *testing.T) []scenario {
	return []scenario{
		{"a release through dev and prod", quick(t, demo.Handler)},
		{"a release that fails its smoke test in prod", quick(t, demo.Broken)},
	}
}

// quick are the demo's files with a canary of one minute: the looks in its
// middle are all alike. The registry of quickly does the same for the bake.
func quick(t *testing.T, handler string) github.Files {
	t.Helper()
	f := demo.Files(handler, "2.32.3")
	f["tagboat.yaml"] = github.Text(edited(t, demo.Manifest, "Canary10Percent5Minutes", "Canary10Percent1Minutes"))
	return f
}

func quickly(t *testing.T, registry string) string {
	t.Helper()
	return edited(t, registry, "bake: 10m", "bake: 1m")
}

// outcome is how a run ended and what was seen of it.
type outcome struct {
	*trouble
	release release.Release
}

// run plays the scenario in a new world in which some calls fail, and judges its end.
func (s scenario) run(t *testing.T, blows ...blow) outcome {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	w.in(func(ctx context.Context) { _ = w.Clock.Sleep(ctx, time.Minute) }) // everybody knows how the world was made
	before, versions := w.targets(), w.versionsOfAll()
	x := w.trouble(blows...)
	id := ""
	w.in(func(ctx context.Context) { // all of it, so that two runs are alike
		id = w.told(ctx, s.files)
		w.come(ctx)
		x.over = true // while nobody else has a turn: what was detached may go on
	})
	rel := w.record(id)
	if x.struck != len(blows) {
		t.Errorf("%d of the calls that were to fail were made, want %d", x.struck, len(blows))
	}
	w.needsHand = slices.ContainsFunc(blows, blow.needsHand)
	w.quiet()
	w.sound()
	w.asRecorded(rel, before)
	w.publishedAtMost(versions, len(blows))
	w.everybodyKnows(rel)
	if t.Failed() {
		w.transcript(rel)
	}
	return outcome{x, rel}
}

// versionsOfAll counts the versions of each layer and each function.
func (w *world) versionsOfAll() map[string]int {
	counts := map[string]int{}
	for _, region := range []string{demo.Home, demo.Europe} {
		for _, name := range w.Cloud.Layers(demo.Tools, region) {
			counts["layer "+name+" in "+region] = len(w.Cloud.LayerVersions(demo.Tools, region, name))
		}
	}
	for _, site := range demo.Sites() {
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			f, _ := w.Cloud.Function(site.Account, site.Region, name)
			counts[site.String()+"/"+name] = len(f.Published)
		}
	}
	return counts
}

// publishedAtMost checks that a release published a version of each layer, and of each function
// one and one that keeps what was there, and for each fault one more at most.
func (w *world) publishedAtMost(before map[string]int, faults int) {
	w.t.Helper()
	for what, n := range w.versionsOfAll() {
		most := 2
		if strings.HasPrefix(what, "layer ") {
			most = 1
		}
		if more := n - before[what]; more > most+faults {
			w.t.Errorf("%d versions of %s were published after %d faults, want %d at most", more, what, faults, most+faults)
		}
	}
}

// told pushes a tag and gives its release. What Tagboat could not take on, GitHub
// shows, and somebody sends it again. It is called inside of the clock.
func (w *world) told(ctx context.Context, files github.Files) string {
	w.t.Helper()
	w.Repo.Tag("v1.1.0", w.Repo.Commit("main", "v1.1.0", files))
	var answer release.Answer
	for range 2 {
		d := w.GitHub.Push(w.Repo, "v1.1.0")
		answer = w.Hooks.Handle(ctx, webhook.Delivery{Method: "POST", Header: d.Header(), Body: d.Body})
		if answer.Status != release.AnswerBusy {
			break
		}
	}
	if len(answer.Releases) != 1 {
		w.t.Fatalf("the answer is %+v, want a release", answer)
	}
	return answer.Releases[0]
}

// come lets everything come to its end, with a sweep every five minutes. It is
// called inside of the clock.
func (w *world) come(ctx context.Context) {
	w.t.Helper()
	for minute := 1; minute < 1200; minute++ {
		_ = w.Clock.Sleep(ctx, time.Minute)
		_, _ = w.Local.Engine.Resume(ctx) // as serve does, for what could not be stored; tried again
		if minute%5 == 0 {
			_, _ = w.Local.Recovery().Sweep(ctx) // tried again
		}
		w.table.calm = true
		active, err := w.Local.Core().Ledger.Active(ctx)
		w.table.calm = false
		running, errRunning := w.store.Unfinished(ctx)
		if err != nil || errRunning != nil {
			w.t.Fatal(err, errRunning)
		}
		if len(active)+len(running) == 0 {
			return
		}
	}
	w.t.Fatal("it did not come to an end within twenty hours")
}

// quiet fails the test if anything is changed after the end, by tasks that are under way
// still, by deliveries that come late, or by the sweep; or if there is more than one
// sweep's work left, which is to return the lock of a layer.
func (w *world) quiet() {
	w.t.Helper()
	calls := w.calls()
	w.in(func(ctx context.Context) {
		_ = w.Clock.Sleep(ctx, 20*time.Minute)
		first, err := w.Local.Recovery().Sweep(ctx)
		second, errAgain := w.Local.Recovery().Sweep(ctx)
		if err != nil || errAgain != nil || first.Started+first.Recovered > 0 || second != (app.Swept{}) {
			w.t.Errorf("sweeps after the end: %+v, %v, and %+v, %v; want nothing to do", first, err, second, errAgain)
		}
		_ = w.Clock.Sleep(ctx, 5*time.Minute)
	})
	for _, c := range w.writes(calls) {
		w.t.Errorf("changed after the end: %+v", c)
	}
}

// asRecorded checks that every environment is as the release's record says.
func (w *world) asRecorded(rel release.Release, before map[string]string) {
	w.t.Helper()
	for _, environment := range []string{"dev", "prod"} {
		progress, known := rel.Environment(environment)
		was := inEnvironment(before, environment)
		switch {
		case known && progress.State == release.EnvironmentDirty:
			if !w.needsHand || rel.Remedy == "" {
				w.t.Errorf("%s is left dirty: %s; %s", environment, rel.Error, rel.Remedy)
			}
		case known && progress.State == release.EnvironmentDone:
			for key, now := range inEnvironment(w.targets(), environment) {
				if now == was[key] {
					w.t.Errorf("%s is recorded as done and %s is as before", environment, key)
				}
			}
			for _, problem := range w.notAsPlanned(rel, environment) {
				w.t.Errorf("%s is recorded as done and %s", environment, problem)
			}
		default:
			maps.DeleteFunc(was, func(key string, _ string) bool { return !w.byHand[key].IsZero() })
			w.unchanged(was)
		}
		w.keepsWhatOthersDid(rel, environment)
	}
}

// keepsWhatOthersDid checks that what somebody else brought while an environment was changed
// was not overwritten, nor what they did before by a release that did not know of it.
func (w *world) keepsWhatOthersDid(rel release.Release, environment string) {
	w.t.Helper()
	progress, known := rel.Environment(environment)
	for key, at := range w.byHand {
		site, name, _ := cutLast(key, "/")
		if !strings.HasPrefix(key, environment+"/") || !w.tookHandMade[key] {
			continue
		}
		if known && progress.Plan != (release.Pointer{}) && w.beganFrom(w.planAt(progress.Plan), site, name) {
			continue
		}
		for _, s := range demo.Sites() {
			f, ok := w.Cloud.Function(s.Account, s.Region, name)
			if !ok || s.String() != site {
				continue
			}
			if source, _ := f.Latest.Code.ReadFile("app.py"); string(source) != handMade {
				w.t.Errorf("%s was changed by hand at %s, and its code is %q now", key, at, source)
			}
		}
	}
}

// beganFrom tells whether a plan starts from the code that somebody else brought: the release
// knew of it, and replaces it.
func (w *world) beganFrom(made release.Plan, site, name string) bool {
	sum := sha256.Sum256(zipped(w.t, map[string]string{"app.py": handMade}))
	return slices.ContainsFunc(made.Steps, func(step release.Step) bool {
		f := step.Function
		return f != nil && step.Site.String() == site && f.Name == name && f.Before.Latest != nil &&
			f.Before.Latest.CodeSHA256 == base64.StdEncoding.EncodeToString(sum[:])
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// everybodyKnows checks that, after the look that comes each minute, whoever listens was told of
// the end, once at least, and GitHub shows it.
func (w *world) everybodyKnows(rel release.Release) {
	w.t.Helper()
	w.settled(time.Minute)
	told := 0
	for _, h := range w.heard.heard {
		if h.what != report.ReleaseEnded || h.event.Release != rel.ID {
			continue
		}
		told++
		if h.event.State != rel.State {
			w.t.Errorf("the end was announced as %s, and is %s", h.event.State, rel.State)
		}
	}
	if told == 0 {
		w.t.Errorf("release %s ended as %s, and nobody was told", rel.ID, rel.State)
	}
	want := map[release.State]string{release.Succeeded: "success", release.FailedDirty: "error"}[rel.State]
	if want == "" {
		want = "failure"
	}
	if statuses := w.GitHub.CommitStatuses(w.Repo, rel.Source.Commit); len(statuses) == 0 || statuses[len(statuses)-1].State != want {
		w.t.Errorf("release %s ended as %s, and GitHub shows %+v, want %s in the end", rel.ID, rel.State, statuses, want)
	}
	if left := w.untold(); len(left) > 0 {
		w.t.Errorf("still to be told: %+v", left)
	}
}

// transcript logs what happened.
func (w *world) transcript(rel release.Release) {
	w.t.Logf("release %s: %s: %s", rel.ID, rel.State, rel.Error)
	for _, name := range []string{rel.ID, rel.ID + "-r1", rel.ID + "-r2"} {
		events, err := w.Local.Engine.History(w.t.Context(), name)
		if err != nil {
			return
		}
		for _, e := range events {
			if e.State != "" || e.Error != "" {
				w.t.Logf("%s %s %s %s %s", e.Time.Format("15:04:05"), e.Type, e.State, e.Error, e.Cause)
			}
		}
	}
}

// TestOneFaultAtATime makes each call fail in each way, one per run: in the
// sample of an ordinary run, or with TAGBOAT_EXHAUSTIVE=1 every one.
func TestOneFaultAtATime(t *testing.T) {
	for _, s := range scenarios(t) {
		for _, b := range boundaries() {
			t.Run(fmt.Sprintf("%s, %s", s.name, b.name), func(t *testing.T) {
				t.Parallel()
				all := b.blows(s.run(t).calls, false)
				stride := b.stride
				if exhaustive() {
					stride = 1
				}
				ended := tally{}
				for i := 0; i < len(all); i += stride {
					t.Run(all[i].String(), func(t *testing.T) { ended.add(s.run(t, all[i])) })
				}
				t.Logf("%d faults are possible, and of those that were tried ended %s", len(all), ended)
			})
		}
	}
}

// tally counts the ends.
type tally map[release.State]int

func (c tally) add(o outcome) { c[o.release.State]++ }

func (c tally) String() string {
	var parts []string
	total := 0
	for _, state := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[state], state))
		total += c[state]
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}
