package release

import (
	"slices"
	"testing"
	"time"
)

func TestTraffic(t *testing.T) {
	tests := []struct {
		text     string
		traffic  Traffic
		name     string // as it is written back
		steps    []int
		duration time.Duration
	}{
		{"AllAtOnce", Traffic{}, "AllAtOnce", nil, 0},
		{"Canary10Percent5Minutes", Traffic{Percent: 10, Interval: 5 * time.Minute}, "Canary10Percent5Minutes", []int{10}, 5 * time.Minute},
		{"Canary99Percent1Minute", Traffic{Percent: 99, Interval: time.Minute}, "Canary99Percent1Minutes", []int{99}, time.Minute},
		{"Linear10PercentEvery1Minute", Traffic{Percent: 10, Linear: true, Interval: time.Minute}, "Linear10PercentEvery1Minute",
			[]int{10, 20, 30, 40, 50, 60, 70, 80, 90}, 9 * time.Minute},
		{"Linear30PercentEvery2Minutes", Traffic{Percent: 30, Linear: true, Interval: 2 * time.Minute}, "Linear30PercentEvery2Minutes",
			[]int{30, 60, 90}, 6 * time.Minute},
		{"Linear50PercentEvery10Minutes", Traffic{Percent: 50, Linear: true, Interval: 10 * time.Minute}, "Linear50PercentEvery10Minutes",
			[]int{50}, 10 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got := Traffic{Percent: 1, Linear: true, Interval: 1} // whatever was there is replaced
			if err := got.UnmarshalText([]byte(test.text)); err != nil || got != test.traffic {
				t.Fatalf("got %+v, %v, want %+v", got, err, test.traffic)
			}
			if got.String() != test.name || !slices.Equal(got.Steps(), test.steps) || got.Duration() != test.duration {
				t.Errorf("got %s, steps %v, %v, want %s, %v, %v", got, got.Steps(), got.Duration(), test.name, test.steps, test.duration)
			}
			var again Traffic
			text, err := got.MarshalText()
			if err != nil || again.UnmarshalText(text) != nil || again != got {
				t.Errorf("%q is read as %+v, want %+v", text, again, got)
			}
		})
	}
}

func TestTrafficThatIsNone(t *testing.T) {
	for _, text := range []string{
		"", "allatonce", "Canary0Percent5Minutes", "Canary100Percent5Minutes", "Canary10Percent0Minutes", "Canary10Percent",
		"Canary10Percent5Hours", "Canary010Percent5Minutes", "Canary10Percent99999Minutes", "Linear10Percent5Minutes",
		"Canary10PercentEvery5Minutes", "Linear10PercentEvery5Minutes ", "Canary-1Percent5Minutes",
	} {
		var traffic Traffic
		if err := traffic.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v, want an error", text, traffic)
		}
		if !traffic.AllAtOnce() {
			t.Errorf("%q leaves %+v behind", text, traffic)
		}
	}
}

func TestManifestFindsByName(t *testing.T) {
	m := Manifest{Layers: []LayerSpec{{Name: "deps"}}, Functions: []FunctionSpec{{Name: "api"}}}
	if layer, ok := m.Layer("deps"); !ok || layer.Name != "deps" {
		t.Errorf("got %+v", layer)
	}
	if function, ok := m.Function("api"); !ok || function.Name != "api" {
		t.Errorf("got %+v", function)
	}
	_, layer := m.Layer("api")
	_, function := m.Function("deps")
	if layer || function {
		t.Error("something was found that is not there")
	}
}
