package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
	"github.com/tagboat/tagboat/internal/sim"
)

// plant is a violation that is made on purpose, in a world in which all was well.
type plant struct {
	// want is what the judge says, before its words are filled in; part is in them.
	want, part string
	do         func(*garden)
}

// garden is a world at its end, before it is judged, with a release that succeeded.
type garden struct {
	*world
	ctx context.Context
	rel release.Release
	// fn is a function that the release changed, api the account's own client.
	fn  target
	api *sim.LambdaClient
	// tools is a client in the account of the layers, layer the newest version.
	tools *sim.LambdaClient
	layer sim.LayerVersionState
}

func (g *garden) arn() string {
	return "arn:aws:lambda:" + g.fn.region + ":" + g.fn.account + ":function:" + g.fn.name
}

// found lets the release have found a function as something else, and nobody but it have written that.
func (g *garden) found(former fingerprint) {
	g.writes = map[target][]write{}
	g.baselines = map[touched]baseline{{g.rel.ID, g.fn}: {found: former}}
}

// task is a caller that does something for a release.
func (g *garden) task(what string, rel release.Release) *caller {
	return g.newCaller(g.ctx, what, app.Input{Release: rel.ID, Execution: rel.Execution})
}

// running is a release that has not ended, nor begun to do anything.
func (g *garden) running() release.Release {
	rel := g.rel
	rel.ID, rel.Execution, rel.State, rel.Attempt, rel.Plan = "running", "running", release.Running, 7, release.Pointer{}
	g.records[rel.ID] = rel
	return rel
}

func (g *garden) failed(state release.State, environment release.EnvironmentState) release.Release {
	rel := g.rel
	rel.State, rel.Error, rel.Remedy = state, "it failed", "look at it"
	rel.Environments = []release.Progress{{Name: "dev", State: environment}}
	return rel
}

func (g *garden) write(call string) sim.Call {
	return sim.Call{Service: "lambda", Action: call, Region: g.fn.region, Resource: g.arn()}
}

func (g *garden) put(lease ledger.Lease) {
	key := ledger.Key{Partition: "lease", Sort: lease.Name}
	item, _ := g.table.Get(g.ctx, key) // version 0 if there is none
	item.Key = key
	item.Body, _ = json.Marshal(lease)
	g.must(g.table.Put(g.ctx, item))
}

func (g *garden) must(err error) {
	if err != nil {
		g.fail("the violation cannot be planted: %v", err)
	}
}

func (g *garden) moveAlias(version string, weights map[string]float64) {
	_, err := g.api.UpdateAlias(g.ctx, &lambda.UpdateAliasInput{
		FunctionName: &g.fn.name, Name: aws.String("live"), FunctionVersion: &version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights},
	})
	g.must(err)
}

func (g *garden) publishLayer(content []byte) {
	_, err := g.tools.PublishLayerVersion(g.ctx, &lambda.PublishLayerVersionInput{
		LayerName: aws.String("orders-deps"), Content: &types.LayerVersionContentInput{ZipFile: content},
	})
	g.must(err)
}

func (g *garden) event(answers ...release.Answer) *event {
	e := &event{what: "planted", answers: answers}
	g.events = append(g.events, e)
	return e
}

func started(ids ...string) release.Answer {
	return release.Answer{Status: release.AnswerStarted, Code: "started", Reason: "it is new", Releases: ids}
}

// plants are violations of everything that is judged.
var plants = []plant{
	{"%s makes a call after everything has ended", "", func(g *garden) {
		g.over = true
		g.task("Update", g.rel).alive()
	}},
	{"%s calls %s %s over what somebody else wrote and it has not seen", "", func(g *garden) {
		g.byHand(object{g.fn, false})
		g.watchCollisions(g.task("Update", g.running()), g.write("UpdateFunctionConfiguration"))
		_, err := g.api.UpdateFunctionConfiguration(g.ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &g.fn.name, MemorySize: aws.Int32(256)})
		g.must(err)
		g.writes[g.fn] = append(g.writes[g.fn], write{by: "running"})
		_ = g.clock.Sleep(g.ctx, time.Second)
		delete(g.records, "running")
	}},
	{"%s calls %s of %s too late, which %s", "", func(g *garden) {
		g.watchPerform(g.task("Update", g.rel), g.write("UpdateFunctionConfiguration"))
		g.late[0].found.handler = "former.handler"
		g.judgeLate()
	}},
	{"event %s was not answered although nothing is broken", "", func(g *garden) {
		g.event(release.Answer{Status: release.AnswerIgnored, Code: "x", Reason: "y"}).deliver = func(*caller, *app.Parts) release.Answer {
			return release.Answer{Status: release.AnswerBusy}
		}
		g.redeliver()
	}},
	{"event %s started %v when it came again", "", func(g *garden) {
		g.event(started(g.rel.ID)).deliver = func(*caller, *app.Parts) release.Answer { return started(g.rel.ID) }
		g.redeliver()
	}},
	{"%d releases are recorded after all events came again, want %d", "", func(g *garden) {
		g.event(started(g.rel.ID)).deliver = func(*caller, *app.Parts) release.Answer {
			g.running()
			return release.Answer{Status: release.AnswerDuplicate, Code: "x", Reason: "y", Releases: []string{g.rel.ID}}
		}
		g.redeliver()
		delete(g.records, "running")
	}},
	{"release %s is done in %s without its lease", "", func(g *garden) { g.judgeDone(g.rel, "dev") }},
	{"release %s of %s %s was asked for by nobody", "", func(g *garden) {
		rel := g.rel
		rel.Version = "9.9.9"
		g.judgeDone(rel, "dev")
	}},
	{"release %s is recorded as done in %s, but %s in %s %s", "runs other code", func(g *garden) {
		g.intents["orders "+g.rel.Version] = intent{code: "planted"}
		g.judgeDone(g.rel, "dev")
	}},
	{"release %s is recorded as done in %s, but %s in %s %s", "runs code", func(g *garden) {
		undone := g.running()
		g.found(fingerprint{code: "former"})
		g.baselines[touched{undone.ID, g.fn}] = g.baselines[touched{g.rel.ID, g.fn}]
		rel := g.rel
		rel.Request.Undoes = undone.ID
		g.judgeDone(rel, "dev")
		delete(g.records, undone.ID)
	}},
	{"release %s is recorded as done in %s, but %s in %s %s", "has weights", func(g *garden) {
		g.moveAlias("1", map[string]float64{"2": 0.5})
		g.judgeDone(g.rel, "dev")
	}},
	{"release %s is recorded as done in %s, but %s in %s %s", "uses layer", func(g *garden) {
		want := g.intents["orders "+g.rel.Version]
		want.deps = "other deps"
		g.intents["orders "+g.rel.Version] = want
		g.judgeDone(g.rel, "dev")
	}},
	{"release %s succeeded, but is %s in %s", "", func(g *garden) {
		rel := g.failed(release.Succeeded, release.EnvironmentPending)
		g.judgeEnd(rel)
	}},
	{"release %s succeeded although it was halted", "", func(g *garden) {
		rel := g.rel
		rel.Halted = &release.Halt{By: "olivia"}
		g.judgeEnd(rel)
	}},
	{"release %s ended as %s without a reason", "", func(g *garden) {
		rel := g.failed(release.FailedClean, release.EnvironmentDone)
		rel.Error = ""
		g.judgeEnd(rel)
	}},
	{"release %s ended as %s, but every environment is done", "", func(g *garden) {
		g.judgeEnd(g.failed(release.FailedClean, release.EnvironmentDone))
	}},
	{"release %s waited in vain for a lease that nobody kept", "", func(g *garden) {
		rel := g.failed(release.FailedClean, release.EnvironmentPending)
		rel.Error = "the lease of the environment did not become free in time"
		g.judgeEnd(rel)
	}},
	{"release %s was superseded by %s of the older version %s", "", func(g *garden) {
		by := g.running()
		by.Version = "0.9.0"
		g.records[by.ID] = by
		rel := g.failed(release.Superseded, release.EnvironmentDone)
		rel.Error = `release "running" replaced it while it waited`
		g.judgeEnd(rel)
		delete(g.records, by.ID)
	}},
	{"release %s was superseded, but does not say by which: %q", "", func(g *garden) {
		g.judgeEnd(g.failed(release.Superseded, release.EnvironmentDone))
	}},
	{"release %s ended dirty without a remedy", "", func(g *garden) {
		rel := g.failed(release.FailedDirty, release.EnvironmentDone)
		rel.Remedy = ""
		g.judgeEnd(rel)
	}},
	{"release %s ended as %s with %s open", "", func(g *garden) { g.judgeEnd(g.failed(release.FailedClean, release.EnvironmentOpen)) }},
	{"release %s ended as %s (%s in %s), but %s is not as it was: %s", "", func(g *garden) {
		g.found(fingerprint{code: "former"})
		g.judgeEnd(g.failed(release.FailedClean, release.EnvironmentRolledBack))
	}},
	{"release %s ended as %s (%s in %s), but %s is not as it was: %s", "ended as refused", func(g *garden) {
		g.found(fingerprint{code: "former"})
		g.judgeEnd(g.failed(release.Refused, release.EnvironmentPending))
	}},
	{"release %s ended dirty in %s, but all is as it was, and nothing broke in its rollback: %s", "", func(g *garden) {
		g.found(g.look(g.fn))
		g.judgeEnd(g.failed(release.FailedDirty, release.EnvironmentDirty))
	}},
	{"release %s opens %s, which is frozen since %s", "", func(g *garden) {
		now := g.clock.Now()
		g.freezes = []freeze{{app: "orders", from: now.Add(-time.Hour), until: now.Add(time.Hour)}}
		g.judgeFreeze(g.rel, "dev")
	}},
	{"release %s has not ended: %s since %s, execution %q", "", func(g *garden) { g.running() }},
	{"execution %s has not ended", "", func(g *garden) {
		g.must(g.store.Create(g.ctx, asl.Checkpoint{Execution: asl.Execution{Name: "planted", Status: asl.StatusRunning}}))
	}},
	{"%d uploads of bucket %s are neither completed nor aborted", "", func(g *garden) {
		_, err := g.cloud.Root(toolsAccount).S3(home).CreateMultipartUpload(g.ctx, &s3.CreateMultipartUploadInput{
			Bucket: aws.String(stateBucket), Key: aws.String("half"),
		})
		g.must(err)
	}},
	{"lease %s is still held by %+v, which is %s (dirty %q)", "", func(g *garden) {
		g.put(ledger.Lease{Name: "env/orders/dev", Holder: ledger.Holder{Release: g.rel.ID, Execution: g.rel.Execution}})
	}},
	{"%s still waits for lease %s", "", func(g *garden) {
		g.put(ledger.Lease{Name: "env/orders/dev", Waiters: []ledger.Waiter{{Holder: ledger.Holder{Release: "planted"}}}})
	}},
	{"%s of %s is recorded at version %q of release %s since %s, but is at %q", "", func(g *garden) { g.moveAlias("1", nil) }},
	{"%s in %s was brought by %s, and what is live does not say so", "", func(g *garden) {
		g.doneIn["orders dev"] = append(g.doneIn["orders dev"], release.Release{ID: "planted"})
	}},
	{"%s in %s keeps weights %v", "", func(g *garden) {
		f, _ := g.cloud.Function(g.fn.account, g.fn.region, g.fn.name)
		g.moveAlias(f.Aliases["live"].Version, map[string]float64{"1": 0.1})
	}},
	{"layer %s was published, but no release has recorded it", "", func(g *garden) {
		content, err := zipped(map[string]string{"python/deps/version.txt": "planted"})
		g.must(err)
		g.publishLayer(content)
	}},
	{"layer %s is recorded, but is not there", "", func(g *garden) {
		_, err := g.tools.DeleteLayerVersion(g.ctx, &lambda.DeleteLayerVersionInput{LayerName: aws.String("orders-deps"), VersionNumber: &g.layer.Version})
		g.must(err)
	}},
	{"layer %s has the content %s of %s", "", func(g *garden) { g.publishLayer(g.layer.Content.Bytes()) }},
	{"layer %s is granted to %+v, which no release says", "", func(g *garden) {
		_, err := g.tools.AddLayerVersionPermission(g.ctx, &lambda.AddLayerVersionPermissionInput{
			LayerName: aws.String("orders-deps"), VersionNumber: &g.layer.Version, StatementId: aws.String("planted"),
			Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String("555555555555"),
		})
		g.must(err)
	}},
	{"layer %s was shared with %s by the record, but its grants are %s", "", func(g *garden) {
		_, err := g.tools.RemoveLayerVersionPermission(g.ctx, &lambda.RemoveLayerVersionPermissionInput{
			LayerName: aws.String("orders-deps"), VersionNumber: &g.layer.Version, StatementId: aws.String("tagboat-account-" + partnerAccount),
		})
		g.must(err)
	}},
	{"%s calls %s %s for release %q, which is %s", "Prune", func(g *garden) {
		call := g.write("DeleteFunction")
		g.watchBegin(g.task("Prune", g.running()), call)
		delete(g.records, "running")
	}},
	{"%s deletes layer %s, which is in use", "", func(g *garden) {
		g.watchBegin(g.task("Prune", g.rel), sim.Call{Service: "lambda", Action: "DeleteLayerVersion", Region: home, Resource: g.layer.ARN})
	}},
	{"versions %s and %s of %s in %s are both of %q", "", func(g *garden) {
		for i := range 2 {
			_, err := g.api.UpdateFunctionConfiguration(g.ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &g.fn.name, MemorySize: aws.Int32(int32(128 * (2 + i))),
			})
			g.must(err)
			_ = g.clock.Sleep(g.ctx, time.Minute)
			_, err = g.api.PublishVersion(g.ctx, &lambda.PublishVersionInput{FunctionName: &g.fn.name, Description: aws.String("of " + g.rel.ID)})
			g.must(err)
			_ = g.clock.Sleep(g.ctx, time.Minute)
		}
	}},
	{"event %s got no answer", "", func(g *garden) { g.event() }},
	{"event %s led to the releases %v, want one", "", func(g *garden) { g.event(started(g.rel.ID), started("another")) }},
	{"releases %s and %s are of the same source and attempt", "", func(g *garden) {
		rel := g.rel
		rel.ID, rel.Plan = "planted", release.Pointer{}
		g.records[rel.ID] = rel
	}},
	{"event %s: answer without a reason: %+v", "", func(g *garden) { g.event(release.Answer{Status: release.AnswerIgnored}) }},
	{"event %s: the answer names %v, want one release", "", func(g *garden) { g.event(started()) }},
	{"event %s was answered with release %s, of which there is no record", "", func(g *garden) { g.event(started("nobody")) }},
	{"event %s was recorded with the answer %+v", "", func(g *garden) {
		g.event(release.Answer{Status: release.AnswerBusy, Code: "x", Reason: "y"})
	}},
	{"%s %s raised no event, and nobody released it", "", func(g *garden) { g.lost = []lostEvent{{"orders", "9.9.9", true}} }},
	{"release %s was announced as %s, and it is %s", "", func(g *garden) {
		g.announced[g.rel.ID] = []release.State{release.FailedDirty}
	}},
	{"release %s ended as %s, and that was announced to nobody", "", func(g *garden) { delete(g.announced, g.rel.ID) }},
	{"execution %s did not end within its deadline", "", func(g *garden) {
		g.watchExecution(asl.Execution{Name: "planted", Status: asl.StatusTimedOut})
	}},
	{"%s calls %s %s for release %q, which is %s", "Update", func(g *garden) {
		g.watchBegin(g.task("Update", g.rel), g.write("UpdateFunctionCode"))
	}},
	{"%s calls %s %s for execution %q, but %q acts for the release", "", func(g *garden) {
		c := g.task("Update", g.running())
		c.in.Execution = "another"
		g.watchBegin(c, g.write("UpdateFunctionCode"))
		delete(g.records, "running")
	}},
	{"%s calls %s %s without the lease %s: held by %+v until %s", "", func(g *garden) {
		g.watchBegin(g.task("Update", g.running()), g.write("UpdateFunctionCode"))
		delete(g.records, "running")
	}},
	{"%s calls %s for release %s, which had ended before it began", "", func(g *garden) {
		g.watchAfterEnd(g.task("Update", g.rel), "GetFunction")
	}},
	{"%s changes %s for release %s after %s had begun to", "", func(g *garden) {
		g.turns["env/orders/dev"] = []string{g.rel.ID, "another"}
		g.watchTurns(g.task("Update", g.rel), "env/orders/dev")
	}},
	{"the record of release %s changed after its end: %+v → %+v", "", func(g *garden) {
		was, changed := g.rel, g.rel
		changed.Error = "changed"
		body, _ := json.Marshal(changed) // plain data
		g.watchPut(g.task("Conclude", g.rel), ledger.Item{Key: ledger.Key{Partition: "release/" + g.rel.ID, Sort: "record"}, Body: body})
		g.records[was.ID] = was
	}},
	{"%s tells GitHub about %s after its end (%s)", "", func(g *garden) { g.tellGitHub(`{"state": "success"}`) }},
	{"%s contains the secret %q: %.400s", "the request to", func(g *garden) { g.tellGitHub(plantedVariable) }},
	{"%s contains the secret %q: %.400s", "the log", func(g *garden) {
		slog.New(&watchedLog{c: g.task("Report", g.rel)}).Info("told", "token", githubToken)
	}},
	{"%s contains the secret %q: %.400s", "the document", func(g *garden) {
		g.watchPut(g.task("Update", g.rel), ledger.Item{Key: ledger.Key{Partition: "release/x", Sort: "note"}, Body: []byte(presigned)})
	}},
	{"%s contains the secret %q: %.400s", "the history of", func(g *garden) {
		g.must(g.store.Create(g.ctx, asl.Checkpoint{
			Execution: asl.Execution{Name: "planted", Status: asl.StatusFailed, Cause: webhookSecret},
		}))
	}},
	{"%s contains the secret %q: %.400s", "object", func(g *garden) {
		g.must(g.world.put(g.ctx, stateBucket, "snapshots/planted.json", []byte(plantedVariable)))
	}},
	{"%s contains the secret %q: %.400s", "the event", func(g *garden) {
		g.must(callerAnnouncer{g.task("Report", g.rel)}.Announce(g.ctx, report.ApprovalAsked, report.Event{Error: githubToken}))
	}},
}

func (g *garden) tellGitHub(body string) {
	req, err := http.NewRequestWithContext(g.ctx, http.MethodPost, "https://api.github.com/statuses", bytes.NewReader([]byte(body)))
	g.must(err)
	_ = g.clock.Sleep(g.ctx, time.Hour)
	g.watchRequest(g.task("Report", g.rel), req)
}

// broken are failures of the simulation, and of nothing that it judges.
var broken = []string{
	"manifest: %v", "upload: %v, %v", "upload: %v", "drop: %v", "event of an object: %v", "registry: %v", "straighten %s: %v",
	"the world cannot be built: %v", "the engine does not start: %v", "unfinished executions: %v", "leases: %v", "live: %v",
	"lease %s cannot be read: %v", "results of %s: %v", "layer %s: %v", "record %s: %v", "registry of %s: %v",
	"document %+v cannot be read: %v", "%s: the body of %s cannot be read: %v", "the violation cannot be planted: %v",
}

// peaceful is a scenario in which every release succeeds and nothing breaks.
func peaceful() scenario {
	s := standard()
	s.environments[1].Approval = ""
	s.apps[0].smoke, s.apps[0].alarms = false, false
	return s
}

// grow runs a peaceful world with a violation in it.
func grow(t *testing.T, machine *asl.Machine, p plant) *world {
	w := newWorld(peaceful(), machine)
	w.plant = func() {
		if len(w.violations) > 0 {
			t.Errorf("before anything was planted: %v", w.violations)
			return
		}
		g := &garden{world: w, ctx: context.Background(), fn: target{"111111111111", home, "orders-api"}}
		for _, rel := range w.records {
			if rel.State == release.Succeeded && rel.Created.After(g.rel.Created) {
				g.rel = rel
			}
		}
		versions := w.cloud.LayerVersions(toolsAccount, home, "orders-deps")
		if g.rel.ID == "" || w.ends[release.Succeeded] != len(w.records) || len(versions) == 0 {
			t.Errorf("ends %v with %d layer versions, want releases that succeed and publish", w.ends, len(versions))
			return
		}
		g.layer = versions[len(versions)-1]
		g.api, g.tools = w.cloud.Root(g.fn.account).Lambda(g.fn.region), w.cloud.Root(toolsAccount).Lambda(home)
		_ = w.clock.Sleep(g.ctx, time.Minute)
		p.do(g)
	}
	w.run()
	return w
}

// TestEveryJudgeSeesWhatItIsFor plants a violation of each kind and looks whether it is told;
// and that there is no judge for which nothing was planted.
func TestEveryJudgeSeesWhatItIsFor(t *testing.T) {
	machine, err := app.Machine()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range plants {
		seen[p.want] = true
		w := grow(t, machine, p)
		told := w.fired[p.want]
		if !slices.ContainsFunc(told, func(text string) bool { return strings.Contains(text, p.part) }) {
			t.Errorf("planted: %q (%s)\nwas not told, but only %q", p.want, p.part, w.violations)
		}
		if cannot := w.fired["the violation cannot be planted: %v"]; len(cannot) > 0 {
			t.Errorf("planting %q: %v", p.want, cannot)
		}
	}
	for _, judge := range judges(t) {
		if !seen[judge] && !slices.Contains(broken, judge) {
			t.Errorf("nothing was planted that %q would tell", judge)
		}
	}
}

// judges are all that the simulation can complain of, from its source.
func judges(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "fail" {
				return true
			}
			if text, ok := call.Args[0].(*ast.BasicLit); ok {
				format, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, format)
			}
			return true
		})
	}
	if len(all) < len(broken) {
		t.Fatalf("only %d judges were found in the source", len(all))
	}
	return all
}
