package plan_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAPlanReadsAsADiff(t *testing.T) {
	tests := []struct {
		file  string
		plan  func(t *testing.T, in plan.Input) *release.Plan
		color bool
	}{
		{"whole.txt", func(t *testing.T, in plan.Input) *release.Plan {
			change(&in, devSite, "orders-api", func(f *release.FunctionState) { f.Alias, f.Live = nil, nil })
			change(&in, prodEU, "orders-api", func(f *release.FunctionState) { f.Latest.Handler = "by.hand" })
			return mustWhole(t, in)
		}, false},
		{"color.txt", func(t *testing.T, in plan.Input) *release.Plan {
			carryOut(&in)
			change(&in, prodUS, "orders-worker", func(f *release.FunctionState) { f.Latest = oldContent(prodUS, "$LATEST") })
			return mustWhole(t, in)
		}, true},
		{"environment.txt", func(t *testing.T, in plan.Input) *release.Plan {
			carryOut(&in)
			change(&in, prodUS, "orders-worker", func(f *release.FunctionState) { f.Latest = oldContent(prodUS, "$LATEST") })
			return mustEnvironment(t, in, "prod")
		}, false},
		{"nothing.txt", func(t *testing.T, in plan.Input) *release.Plan {
			carryOut(&in)
			return mustWhole(t, in)
		}, false},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			var got bytes.Buffer
			if err := plan.Text(&got, test.plan(t, input()), test.color); err != nil {
				t.Fatal(err)
			}
			compareFile(t, filepath.Join("testdata", test.file), got.Bytes())
		})
	}
}

func compareFile(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got\n%s\nwant\n%s", file, got, want)
	}
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	in := input()
	in.Manifest.Functions[1].Handler = "main\x1b[2Jhandler\n"
	var got strings.Builder
	if err := plan.Text(&got, mustWhole(t, in), false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.String(), "\x1b") || !strings.Contains(got.String(), "main\uFFFD[2Jhandler\uFFFD") {
		t.Errorf("got %q, want control characters replaced", got.String())
	}
}
