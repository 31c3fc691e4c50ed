package plan

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// definition is as much of the States Language as it takes to count events.
type definition struct {
	StartAt string
	States  map[string]struct {
		Type, Next, Default, Resource, ItemsPath string
		End                                      bool
		Choices                                  []struct{ Next string }
		ItemProcessor                            *definition
	}
}

// walker counts the history events of a way through the definition.
type walker struct {
	t *testing.T
	// items and turns are of each Map, by its name.
	items, turns map[string]int
	// chosen is the next choice to take at a state, first to last: -1 is the default.
	chosen map[string][]int
}

// walk counts until a state has no next, or until stop.
func (w *walker) walk(d *definition, start, stop string) int {
	total := 0
	for name := start; name != stop; {
		state, found := d.States[name]
		if !found {
			w.t.Fatalf("no state %q", name)
		}
		next := state.Next
		switch state.Type {
		case "Task":
			total += 5
			if strings.HasSuffix(state.Resource, ".waitForTaskToken") {
				total++
			}
		case "Choice":
			total += 2
			next = state.Default
			if take := w.chosen[name]; len(take) > 0 {
				w.chosen[name] = take[1:]
				if take[0] >= 0 {
					next = state.Choices[take[0]].Next
				}
			}
		case "Map":
			total += 4 + w.items[name]*w.iteration(state.ItemProcessor, w.turns[name])
		default:
			total += 2
		}
		if state.End || state.Type == "Succeed" {
			return total
		}
		name = next
	}
	return total
}

func (w *walker) iteration(d *definition, turns int) int {
	finished := d.States[d.StartAt].Next
	w.chosen[finished] = nil
	for range turns - 1 {
		w.chosen[finished] = append(w.chosen[finished], 0)
	}
	return 2 + w.walk(d, d.StartAt, "")
}

func readDefinition(t *testing.T) *definition {
	t.Helper()
	text, err := os.ReadFile("../../statemachine/release.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	var d definition
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// small is an app with one function and one layer in two sites of one environment.
func small() *planner {
	registry := release.Registry{
		Tools: release.Tools{Account: "9", Regions: []string{"us-east-1", "eu-west-1"}},
		Environments: []release.Environment{{
			Name: "prod", Account: "1", Regions: []string{"us-east-1", "eu-west-1"},
			Bake: release.Duration(10 * time.Minute), Approval: release.ApprovalRequired,
		}},
		Apps: []release.App{{Name: "orders", Environments: []string{"prod"}, Resources: []string{"*"}}},
	}
	return newPlanner(Input{
		Release: &release.Release{}, Registry: registry, App: registry.Apps[0],
		Manifest: release.Manifest{
			Artifacts: map[string]release.ArtifactSpec{"code": {Archive: "src"}, "deps": {ReleaseAsset: "deps.zip"}},
			Layers:    []release.LayerSpec{{Name: "deps", Artifact: "deps", Keep: 3}},
			Functions: []release.FunctionSpec{{
				Name: "api", Alias: "live", Artifact: "code", Layers: []string{"deps"},
				Traffic: release.Traffic{Percent: 10, Interval: 5 * time.Minute},
			}},
		},
	})
}

func TestTheCountIsThatOfTheDefinition(t *testing.T) {
	d := readDefinition(t)
	w := &walker{
		t: t,
		items: map[string]int{
			"StageArtifacts": 2, "TakeSnapshots": 4, "PublishLayers": 2, "ShareLayers": 2, "SnapshotEnvironment": 2,
			"CheckAccess": 2, "UpdateFunctions": 2, "ShiftTraffic": 2, "Bake": 2, "RollBack": 2,
		},
		turns: map[string]int{
			"StageArtifacts": 1, "TakeSnapshots": 1, "PublishLayers": 2, "ShareLayers": 2, "SnapshotEnvironment": 1,
			"CheckAccess": 1, "UpdateFunctions": 5, "RollBack": 5,
			"ShiftTraffic": 1 + 1 + 5, // at once, when the weight is due, each minute
			"Bake":         1 + 10,
		},
		chosen: map[string][]int{
			"MoreEnvironments": {0, -1},
			"NeedsApproval":    {0},
			"PlanStands":       {1, -1}, // asked again once
			"Ends":             {0},
			"PruneFinished":    {0, 0, 0, 0, 0, 0, 0, 0, 0, -1}, // ten turns
		},
	}
	want := executionEvents + w.walk(d, d.StartAt, "") +
		assetWaits*(taskEvents+choiceEvents+waitEvents) // the artifact that may be late
	p := small()
	if got := p.successEvents(time.Minute); got != want {
		t.Errorf("got %d events for a release that goes through, want %d as the definition has it", got, want)
	}
	if got, want := p.rollBackEvents(p.environments[0]), w.walk(d, "PrepareRollBack", "ReportEnd"); got != want {
		t.Errorf("got %d events for a rollback, want %d as the definition has it", got, want)
	}
	if got, least := p.events(time.Minute), want; got <= least {
		t.Errorf("got %d events in all, want more than %d: a rollback and a margin", got, least)
	}
}

func TestSitesLookLessOftenWhereTheHistoryWouldBeTooLong(t *testing.T) {
	tests := []struct {
		name      string
		bake      time.Duration
		want      time.Duration
		violation bool
	}{
		{"a short bake", 10 * time.Minute, 30 * time.Second, false},
		{"three days", 72 * time.Hour, 5 * time.Minute, false},
		{"between", 14 * time.Hour, time.Minute, false},
		{"a month", 720 * time.Hour, 5 * time.Minute, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := small()
			p.environments[0].Bake = release.Duration(test.bake)
			poll, events := p.budget()
			if poll != test.want || (events > MaxEvents) != test.violation || (len(p.violations) > 0) != test.violation {
				t.Errorf("got a look every %s with %d events and violations %q, want every %s (violation: %v)",
					poll, events, p.violations, test.want, test.violation)
			}
		})
	}
}
