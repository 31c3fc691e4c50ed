package app_test

import (
	"context"
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
		{"table", []string{"lost", "answer lost", "denied", deniedForLong, "slow", "killed before", "killed after"}, tableFaults, 409},
		{"GitHub", []string{"server error", "rate limited", "refused", "unreachable", "answer lost", "slow", "killed before", "killed after"}, gitHubFaults, 17},
		{"engine", []string{"lost", "answer lost", "denied", deniedForLong, "slow", "killed before", "killed after", "stale"}, engineFaults, 2},
		{"store", []string{"lost", "answer lost"}, storeFaults, 97},
		{"event bus", []string{"lost", "answer lost", "denied", deniedForLong, "slow", "killed before", "killed after"}, eventBusFaults, 11},
		{"task", []string{
			"killed before", "killed after", "dead before", "dead after", "stopped before", "stopped after", "delivered twice", "delivered again later",
			"taken for failed", "taken for dead", "with its clock ahead", "with its clock behind", "after the app left an environment", "after an environment has moved", "after a freeze",
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
		return c.reads && (c.boundary == "engine" || strings.Contains(c.what, ":lambda:"))
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

// deniedForLong is a refusal that stays: everything across the boundary is refused for an hour.
const deniedForLong = "denied for an hour"

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
			return sim.Fault{Before: errAccessDenied}
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
		return x.mishap(call{boundary: "download", what: req.URL.Path, reads: true}, nil)
	}
}

func storeFaults(x *trouble) {
	x.w.store.onSave = func(what string) mishap {
		return x.mishap(call{boundary: "store", what: what}, nil)
	}
}

func eventBusFaults(x *trouble) {
	denied := app.EventBridge{API: &bus{fails: errAccessDenied}}.Announce(context.Background(), report.ReleaseEnded, report.Event{})
	x.w.heard.onAnnounce = func(what string) mishap {
		return x.mishap(call{boundary: "event bus", what: what}, denied)
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
	denied := release.Errorf(release.Denied, "the table may not be used")
	x.w.table.onCall = func(what string, reads bool) mishap {
		return x.mishap(call{boundary: "table", what: what, reads: reads}, denied)
	}
}

func engineFaults(x *trouble) {
	denied := app.StepFunctionsTokens{API: &stepFunctions{err: errAccessDenied}}.Succeed(context.Background(), "a token")
	x.w.onEngine = func(what string, reads bool) mishap {
		return x.mishap(call{boundary: "engine", what: what, reads: reads}, denied)
	}
}

// errAccessDenied is how AWS refuses a call.
var errAccessDenied = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized", Fault: smithy.FaultClient}

// mishap is how a call goes wrong across a boundary whose refusals look like denied.
func (x *trouble) mishap(c call, denied error) mishap {
	kind := x.next(c)
	if kind == deniedForLong {
		x.denied[c.boundary] = x.w.Clock.Now().Add(time.Hour)
	}
	if !x.over && x.w.Clock.Now().Before(x.denied[c.boundary]) {
		kind = "denied"
	}
	return map[string]mishap{
		"lost":          {before: errTable},
		"answer lost":   {after: errTable},
		"denied":        {before: denied},
		"slow":          {delay: slowly},
		"killed before": {before: errTable, kill: true},
		"killed after":  {after: errTable, kill: true},
		"stale":         {stale: true},
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
		case "killed after":
			return github.Fault{Hang: hangs}
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
			"taken for failed":      {again: true, before: retriable}, // it lives on
			"taken for dead":        {again: true, before: final},
			"with its clock ahead":  {skew: off},
			"with its clock behind": {skew: -off},

			"after the app left an environment": {do: x.w.leaveEnvironment},
			"after an environment has moved":    {do: x.w.moveEnvironment},
			"after a freeze":                    {do: x.w.freezeLast},
		}[x.next(call{boundary: "task", what: k.String(), token: k.in.Token != ""})]
	}
}

// leaveEnvironment takes an environment away from the app. What is under way goes on with what it pinned.
func (w *world) leaveEnvironment() {
	stays := map[string]string{"dev": "prod", "prod": "dev"}[w.last]
	w.putRegistry(regexp.MustCompile(`environments: \[.*\]`).ReplaceAllString(w.registry, "environments: ["+stays+"]"))
}

// moveEnvironment gives an environment another account, in which there is nothing.
func (w *world) moveEnvironment() {
	account := map[string]string{"dev": demo.Dev, "prod": demo.Prod}[w.last]
	w.putRegistry(edited(w.t, w.registry, account, "444444444444"))
}

// freezeLast freezes an environment for a day.
func (w *world) freezeLast() {
	w.table.calm = true
	defer func() { w.table.calm = false }()
	w.frozen(context.Background(), "", w.last)
}

// putRegistry replaces the registry in force, inside of the clock.
func (w *world) putRegistry(text string) {
	if _, err := w.Cloud.Root(demo.Tools).S3(demo.Home).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(demo.StateBucket), Key: aws.String(app.RegistryKey), Body: strings.NewReader(text),
	}); err != nil {
		w.t.Error(err)
	}
}

// TestOneFaultAtATime makes each call fail in each way, one per run: in the
// sample of an ordinary run, or with TAGBOAT_EXHAUSTIVE=1 every one.
func TestOneFaultAtATime(t *testing.T) {
	for _, s := range scenarios(t) {
		calls := s.run(t).calls
		for _, b := range boundaries() {
			t.Run(fmt.Sprintf("%s, %s", s.name, b.name), func(t *testing.T) {
				t.Parallel()
				all := b.blows(calls, false)
				stride := b.stride * s.sparse
				if exhaustive() {
					stride = 1
				}
				tried, ended := 0, tally{}
				for i := min(stride, len(all)) / 2; i < len(all); i += stride {
					tried++
					t.Run(all[i].String(), func(t *testing.T) { ended.add(s.run(t, all[i])) })
				}
				t.Logf("%d faults are possible, %d were tried; of their releases ended %s", len(all), tried, ended)
			})
		}
	}
}

// tally counts the ends.
type tally map[release.State]int

func (c tally) add(o outcome) {
	for _, state := range o.ends() {
		c[state]++
	}
}

func (c tally) String() string {
	var parts []string
	total := 0
	for _, state := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[state], state))
		total += c[state]
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}
