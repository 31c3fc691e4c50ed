package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

var noon = time.Date(2030, time.January, 7, 12, 0, 0, 0, time.UTC)

// underWay is a release in the middle of its second environment.
func underWay() report.View {
	v := view(release.Running, release.EnvironmentDone, release.EnvironmentOpen)
	v.Environments[1].Name = "prod"
	v.AsOf, v.Created = noon, noon.Add(-192*time.Second)
	step := func(kind release.StepKind, environment, region, target string, state release.StepState) report.Step {
		return report.Step{Kind: kind, Environment: environment, Region: region, Target: target, State: state, Before: "version 1", After: "version 2"}
	}
	shift := step(release.ShiftTraffic, "prod", "us-east-1", "orders-api:live", release.StepRunning)
	shift.Weight, shift.NextAt = 10, noon.Add(252*time.Second)
	update := step(release.UpdateFunction, "prod", "eu-west-1", "orders-api", release.StepRunning)
	update.Since = noon.Add(-7 * time.Second)
	failed := step(release.UpdateFunction, "prod", "eu-west-1", "orders-worker", release.StepFailed)
	failed.Error = "the smoke test failed: want 200\nmore"
	layer := step(release.PublishLayer, "", "us-east-1", "orders-deps", release.StepDone)
	layer.After = "arn:aws:lambda:us-east-1:999999999999:layer:orders-deps:3"
	v.Steps = []report.Step{
		layer, step(release.UpdateFunction, "dev", "us-east-1", "orders-api", release.StepUnchanged), shift, update, failed,
		step(release.ShiftTraffic, "prod", "eu-west-1", "orders-api:live", release.StepPending),
	}
	return v
}

func TestFrame(t *testing.T) {
	staging := view(release.Running)
	staging.Staging = []release.Staging{
		{Artifact: "code", State: release.Staged, Done: 1200, Total: 1200},
		{Artifact: "deps", State: release.Storing, Region: "eu-west-1", Done: 12_000_000, Total: 24_000_000},
		{Artifact: "more", State: release.Fetching, Done: 3_000_000},
	}
	baking := view(release.Running, release.EnvironmentOpen)
	baking.Environments[0].BakeEnds = noon.Add(380 * time.Second)
	tests := []struct {
		name string
		view report.View
		s    sight
		want string
	}{
		{"in an environment", underWay(), sight{width: 102, height: 24, now: noon}, `
orders 1.0.0 is being released to prod.  3m12s
  + tools us-east-1 publish layer   orders-deps     version 1 → orders-deps:3
  > prod  us-east-1 shift traffic   orders-api:live [##------------------]  10 %, next part in 4m12s
  > prod  eu-west-1 update function orders-api      for 7s
  ! prod  eu-west-1 update function orders-worker   the smoke test failed: want 200
  . prod  eu-west-1 shift traffic   orders-api:live
  = 1 object as wanted already`},
		{"narrow and low", underWay(), sight{width: 60, height: 6, now: noon}, `
orders 1.0.0 is being released to prod.  3m12s
  > prod  us-east-1 shift traffic   orders-api:live [#----…
  > prod  eu-west-1 update function orders-api      for 7s
  ! prod  eu-west-1 update function orders-worker   the sm…
  … 3 more: 1 to come, 1 done`},
		{"staging", staging, sight{width: 80, height: 24, now: noon}, `
orders 1.0.0 is under way.
  + artifact code: staged 1.2 kB
  > artifact deps: storing in eu-west-1 [#########---------] 12.0 MB of 24.0 MB
  > artifact more: fetching 3.0 MB`},
		{"baking, and nobody answers", baking, sight{width: 80, height: 24, now: noon, silent: 14 * time.Second}, `
orders 1.0.0 is being released to dev.
  ~ dev bakes: its alarms are watched, 6m20s left
  no answer since 14s; the release goes on`},
		{"with colours", staging, sight{width: 40, height: 3, now: noon, color: true}, "\norders 1.0.0 is under way.\n" +
			"\x1b[2m  … 3 more: 2 under way, 1 done\x1b[0m"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := "\n" + strings.Join(frame(test.view, test.s), "\n")
			if got != test.want {
				t.Errorf("got%s\nwant%s", got, test.want)
			}
			for _, line := range strings.Split(got, "\n") {
				if w := widthOf(bare(line)); w > test.s.width {
					t.Errorf("%q takes %d columns of %d", line, w, test.s.width)
				}
			}
		})
	}
}

func TestWhatOthersWroteCannotActOnTheTerminal(t *testing.T) {
	v := underWay()
	v.Steps[4].Error, v.Steps[2].Target = "\x1b[2J gone", "日本\x07語"
	for _, line := range frame(v, sight{width: 200, height: 24, now: noon}) {
		if strings.ContainsAny(line, "\x1b\x07\n\r") {
			t.Errorf("%q would act on it", line)
		}
	}
	if got := widthOf("日本語é"); got != 7 {
		t.Errorf("three wide characters and an é take %d columns, want 7", got)
	}
	if got := cut("日本語", 4); got != "日…" {
		t.Errorf("cut to 4 columns it is %q", got)
	}
}

// TestDisplayIsDrawnOver draws three frames, the second in a window half as wide.
func TestDisplayIsDrawnOver(t *testing.T) {
	var out bytes.Buffer
	width := 100
	d := &display{out: &out, size: func() (int, int) { return width, 24 }, clock: fast{}, seen: newWitness()}
	d.show(underWay())
	if got := out.String(); strings.Contains(got, "A\r") || !strings.HasPrefix(got, "\rorders 1.0.0 is being released to prod.\x1b[K\n\rorders 1.0.0 is") {
		t.Errorf("the first frame is %q, want the sentence to stay above it", got)
	}
	first := len(d.drawn)
	out.Reset()
	width = 50
	d.tick()
	if got := out.String(); first != 7 || !strings.HasPrefix(got, "\x1b[12A\r") || !strings.HasSuffix(got, "\x1b[K\n\x1b[J") {
		t.Errorf("after %d lines, five of them wrapped, the second frame is %q", first, got)
	}
	end := underWay()
	end.State = release.Succeeded
	out.Reset()
	d.show(end)
	if got := out.String(); !strings.HasPrefix(got, "\x1b[7A\r") || strings.Contains(got, "3m12s") {
		t.Errorf("the last frame is %q", got)
	}
}
