package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// shifting are looks at a release whose traffic moves in two parts and that then bakes.
func shifting() []report.View {
	look := func(state release.StepState, weight int, after string) report.View {
		v := view(release.Running, release.EnvironmentOpen)
		v.AsOf = noon
		step := report.Step{
			Kind: release.ShiftTraffic, Target: "orders-api", Account: "1", Region: "us-east-1", Environment: "dev",
			State: state, Before: "version 1", After: after, Weight: weight,
		}
		if weight > 0 {
			step.NextAt = noon.Add(time.Minute)
		}
		v.Steps = []report.Step{step}
		return v
	}
	baking := look(release.StepDone, 0, "version 2")
	baking.Environments[0].BakeEnds = noon.Add(10 * time.Minute)
	end := look(release.StepDone, 0, "version 2")
	end.State, end.Environments[0].State = release.Succeeded, release.EnvironmentDone
	return []report.View{
		look(release.StepRunning, 10, "10 % on version 2"), look(release.StepRunning, 10, "10 % on version 2"),
		look(release.StepRunning, 50, "50 % on version 2"), baking, baking, end,
	}
}

func TestPipeIsToldEachWeightAndTheBake(t *testing.T) {
	code, stdout, _ := tagboat(t, scripted(shifting()...), "watch", "r-1")
	want := `  running     dev us-east-1 shift_traffic orders-api: version 1 → 10 % on version 2
  traffic     dev us-east-1 orders-api: 10 %, next part at 2030-01-07 12:01:00Z
orders 1.0.0 is being released to dev.
  traffic     dev us-east-1 orders-api: 50 %, next part at 2030-01-07 12:01:00Z
  done        dev us-east-1 shift_traffic orders-api: version 1 → version 2
  baking      dev until 2030-01-07 12:10:00Z
orders 1.0.0 is live in dev.
`
	if code != 0 || stdout != want {
		t.Errorf("got %d and\n%s\nwant\n%s", code, stdout, want)
	}
}

func TestEventsAreLinesOfJSON(t *testing.T) {
	code, stdout, stderr := tagboat(t, scripted(shifting()...), "release", "--app", "orders", "--tag", "v1.0.0", "--events")
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	var kinds []string
	for i, line := range lines {
		var event happening
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("line %d is %q: %v", i, line, err)
		}
		kinds = append(kinds, string(event.Event))
	}
	if got, want := strings.Join(kinds, " "), "step traffic release traffic step bake release "; got != want {
		t.Errorf("the events are %q, want %q and the release", got, want)
	}
	var last report.View
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.ID != "r-1" || last.State != release.Succeeded {
		t.Errorf("the last line is %q, want the release", lines[len(lines)-1])
	}
	if code != 0 || stderr != "" {
		t.Errorf("got %d and %q", code, stderr)
	}
}

func TestWatchingWhatIsNotThereIsBadInput(t *testing.T) {
	code, stdout, stderr := tagboat(t, scripted(), "watch", "r-2")
	if code != 2 || stdout != "" || strings.Contains(stderr, "goes on") {
		t.Errorf("got %d, %q and %q", code, stdout, stderr)
	}
}
