package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// costs are what a release is paid for by.
type costs struct {
	transitions, tasks, reads, writes, gets, puts, lambda int
}

// String says what was counted.
func (c costs) String() string {
	return fmt.Sprintf("%d state transitions, %d tasks, DynamoDB %d reads %d writes, S3 %d reads %d writes, %d calls to Lambda's control plane",
		c.transitions, c.tasks, c.reads, c.writes, c.gets, c.puts, c.lambda)
}

// TestWhatAReleaseCosts counts what docs/operations.md puts prices on: a release of
// fifty functions and their layer through dev and prod, with a canary and a bake of ten minutes. Doing it
// for fifty must not cost much more than for two: transitions grow with sites, not with functions.
//
//	go test ./internal/app -run TestWhatAReleaseCosts -v
func TestWhatAReleaseCosts(t *testing.T) {
	two, fifty := costOf(t, 2), costOf(t, 50)
	t.Logf("2 functions:  %s", two)
	t.Logf("50 functions: %s", fifty)
	if fifty.transitions > 2*two.transitions {
		t.Errorf("fifty functions take %d transitions and two take %d, want at most twice as many", fifty.transitions, two.transitions)
	}
	const most = 500 // docs/operations.md says so
	if fifty.transitions > most {
		t.Errorf("there are %d transitions, want at most %d", fifty.transitions, most)
	}
}

func costOf(t *testing.T, functions int) costs {
	t.Helper()
	registry := edited(t, demo.Registry, "regions: [us-east-1, eu-west-1]\n    role", "regions: [us-east-1]\n    role")
	var standing []demo.Function
	manifest := "app: orders\nartifacts: {deps: {archive: layer}, code: {archive: src}}\n" +
		"layers: [{name: orders-deps, artifact: deps, runtimes: [python3.13]}]\nfunctions:\n"
	for i := range functions {
		name := fmt.Sprintf("orders-%02d", i)
		manifest += fmt.Sprintf("  - {name: %s, artifact: code, layers: [orders-deps], alias: live, traffic: Canary10Percent5Minutes}\n", name)
		for _, site := range demo.Sites()[:2] {
			standing = append(standing, demo.Function{Site: site, Name: name, Aliased: true})
		}
	}
	w := newWorld(t, worldOptions{registry: registry, functions: standing})
	var c costs
	w.table.onCall = func(_ string, reads bool) mishap {
		if reads {
			c.reads++
		} else {
			c.writes++
		}
		return mishap{}
	}
	files := github.Files{"tagboat.yaml": github.Text(manifest), "src/app.py": github.Text(demo.Handler), "layer/python/deps.py": github.Text("VERSION = 1\n")}
	answer := w.tag("v1.0.0", files)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	rel := w.record(answer.Releases[0])
	wantState(t, rel, release.Succeeded)
	c.tasks = w.tasks
	for _, call := range w.Cloud.Calls() {
		switch {
		case call.Service == "lambda":
			c.lambda++
		case call.Service == "s3" && (strings.HasPrefix(call.Action, "Get") || strings.HasPrefix(call.Action, "Head")):
			c.gets++
		case call.Service == "s3":
			c.puts++
		}
	}
	w.in(func(ctx context.Context) {
		events, err := w.store.History(ctx, rel.Execution)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			if strings.HasSuffix(string(event.Type), "StateEntered") {
				c.transitions++
			}
		}
	})
	return c
}
