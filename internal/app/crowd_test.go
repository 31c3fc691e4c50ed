package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// turns notes which releases change each environment of each app, in the order of
// their tasks.
type turns map[string][]string

// of tells whether a task may change its site, and which environment of which app that is.
func (turns) of(k task) (string, bool) {
	changes := k.function == "Update" || k.function == "Shift" || k.function == "RollBack" && k.in.Do == ""
	app, _, _ := strings.Cut(k.in.Release, "-1-") // all versions are 1.n.0
	return app + " in " + k.in.Site.Environment, changes
}

func (n turns) see(k task) {
	if where, changes := n.of(k); changes {
		if seen := n[where]; len(seen) == 0 || seen[len(seen)-1] != k.in.Release {
			n[where] = append(seen, k.in.Release)
		}
	}
}

// inTurn fails the test where a release came back after another had begun.
func (n turns) inTurn(t *testing.T) {
	t.Helper()
	for where, ids := range n {
		seen := map[string]bool{}
		for _, id := range ids {
			if seen[id] {
				t.Errorf("%s was changed by %s and another in turns", where, id)
			}
			seen[id] = true
		}
	}
}

// crowd is a world with a table whose calls take their time, so that many write the same
// lease and are refused, in which 200 tags are pushed at once, the first of which has
// dev for a minute; the others come there by chance, in any order.
func crowd(t *testing.T, seed uint64, concurrency string) (w *world, seen turns, ids []string) {
	t.Helper()
	registry := edited(t, demo.Registry, "environments: [dev, prod]", "environments: [dev]",
		"    drop_manifest:", "    concurrency: "+concurrency+"\n    drop_manifest:")
	w, seen = newWorld(t, worldOptions{seed: seed, registry: registry}), turns{}
	random := rand.New(rand.NewPCG(seed, 200))
	w.table.onCall = func(string, bool) mishap { // as a table elsewhere: who reads does not write at once
		return mishap{delay: time.Duration(1+random.IntN(20)) * time.Millisecond}
	}
	w.onTask = func(k task) fault {
		if k.function == "Manifest" {
			_ = w.Clock.Sleep(t.Context(), time.Duration(random.IntN(10_000))*time.Millisecond)
		}
		if k.function == "Update" && k.in.Release == ids[0] {
			_ = w.Clock.Sleep(t.Context(), time.Minute)
		}
		seen.see(k)
		return fault{}
	}
	w.in(func(ctx context.Context) {
		for n := 1; n <= 200; n++ {
			ids = append(ids, w.pushed(ctx, version(n), small(n)))
			if n == 1 {
				w.untilTrue(ctx, ids[0], "in dev", func(rel release.Release) bool { _, open := rel.Open(); return open })
			}
			_ = w.Clock.Sleep(ctx, time.Millisecond)
		}
	})
	w.settle()
	return w, seen, ids
}

// small is one function without a canary.
func small(n int) github.Files {
	return github.Files{
		"src/app.py": github.Text(code(n)),
		"tagboat.yaml": github.Text(`app: orders
artifacts:
  code: {archive: src}
functions:
  - {name: orders-api, artifact: code, alias: live}
`),
	}
}

// TestTwoHundredTagsAtOnceQueue and each is released, in the order of arrival,
// one at a time.
func TestTwoHundredTagsAtOnceQueue(t *testing.T) {
	t.Parallel()
	w, seen, ids := crowd(t, 1, "queue")
	for _, id := range ids {
		wantState(t, w.record(id), release.Succeeded)
	}
	if got := seen["orders in dev"]; !slices.Equal(got, ids) {
		t.Errorf("dev was changed by %d releases in the order %v\nwant that of their arrival: %v", len(got), got, ids)
	}
	w.wantLive("200")
	w.sound()
}

// TestTwoHundredTagsAtOnceSupersede those that wait, and never the one that has
// the environment.
func TestTwoHundredTagsAtOnceSupersede(t *testing.T) {
	t.Parallel()
	w, seen, ids := crowd(t, 2, "supersede")
	last := len(ids) - 1
	for i, id := range ids {
		want := release.Superseded
		if i == 0 || i == last {
			want = release.Succeeded
		}
		wantState(t, w.record(id), want)
	}
	if got, want := seen["orders in dev"], []string{ids[0], ids[last]}; !slices.Equal(got, want) {
		t.Errorf("dev was changed by %v, want the first and the last: %v", got, want)
	}
	w.wantLive("200")
	w.sound()
}

// wantLive checks the code that the callers in dev get.
func (w *world) wantLive(n string) {
	w.t.Helper()
	f, err := w.Function(demo.Sites()[0], "orders-api")
	if err != nil {
		w.t.Fatal(err)
	}
	v, _ := f.Version(f.Aliases["live"].Version)
	if source, _ := v.Code.ReadFile("app.py"); !strings.HasSuffix(string(source), "# "+n+"\n") {
		w.t.Errorf("dev runs %q, want release %s", source, n)
	}
}

const manyApps = 50

func appName(i int) string { return fmt.Sprintf("orders-%02d", i) }

// manyRegistry has fifty apps of one repository: every second also goes to prod.
func manyRegistry(t *testing.T) string {
	t.Helper()
	head, _, _ := strings.Cut(edited(t, demo.Registry, "bake: 10m", "bake: 1m"), "apps:")
	var text strings.Builder
	text.WriteString(head + "apps:\n")
	for i := range manyApps {
		environments := "[dev]"
		if i%2 == 0 {
			environments = "[dev, prod]"
		}
		fmt.Fprintf(&text, "  - {name: %[1]s, repository: {id: %[2]d, name: acme/orders}, tags: \"%[1]s-v{version}\", manifest: %[1]s.yaml, "+
			"environments: %[3]s, resources: [%[1]s]}\n", appName(i), demo.RepositoryID, environments)
	}
	return text.String()
}

// create makes the function of an app at a site, with version 1 behind its alias.
func (w *world) create(ctx context.Context, site release.Site, name string) {
	w.t.Helper()
	api := w.Cloud.Root(site.Account).Lambda(site.Region)
	_, err := api.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Code: &types.FunctionCode{ZipFile: zipped(w.t, map[string]string{"app.py": "# by hand\n"})},
		Role: aws.String("arn:aws:iam::" + site.Account + ":role/orders"), Handler: aws.String("app.handler"), Runtime: types.Runtime("python3.13"),
	})
	if err == nil {
		_, err = api.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name})
	}
	_ = w.Clock.Sleep(ctx, time.Minute)
	if err == nil {
		_, err = api.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String("live"), FunctionVersion: aws.String("1")})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestFiftyAppsAtOnce releases two versions of each at the same time. One app has
// code that fails in prod.
func TestFiftyAppsAtOnce(t *testing.T) {
	t.Parallel()
	w, seen := newWorld(t, worldOptions{seed: 1, registry: manyRegistry(t)}), turns{}
	w.onTask = func(k task) fault {
		seen.see(k)
		return fault{}
	}
	const broken = 6
	var ids []string
	w.in(func(ctx context.Context) {
		for _, site := range demo.Sites() {
			for i := range manyApps {
				w.Clock.Go(func() { w.create(ctx, site, appName(i)) })
			}
		}
		_ = w.Clock.Sleep(ctx, 2*time.Minute)
		for n := 1; n <= 2; n++ {
			for i := range manyApps {
				source := code(n)
				if i == broken && n == 2 {
					source = demo.Broken
				}
				ids = append(ids, w.pushed(ctx, appName(i)+"-"+version(n), github.Files{"src/app.py": github.Text(source), appName(i) + ".yaml": github.Text(
					"app: " + appName(i) + "\nartifacts:\n  code: {archive: src}\nfunctions:\n" +
						"  - {name: " + appName(i) + ", artifact: code, alias: live, smoke: {payload: {ping: true}}}\n")}))
			}
			_ = w.Clock.Sleep(ctx, time.Second)
		}
	})
	w.settle()
	seen.inTurn(t)
	if len(seen) != manyApps+manyApps/2 {
		t.Errorf("%d environments of apps were changed, want %d", len(seen), manyApps+manyApps/2)
	}
	for at, id := range ids {
		want := release.Succeeded
		if at == manyApps+broken {
			want = release.FailedClean
		}
		wantState(t, w.record(id), want)
	}
	var last time.Time
	for _, id := range ids {
		if ended := w.record(id).Ended; ended.After(last) {
			last = ended
		}
	}
	if took := last.Sub(w.record(ids[0]).Created); took > 30*time.Minute {
		t.Errorf("all took %s: some waited for other apps", took)
	}
	w.sound()
}
