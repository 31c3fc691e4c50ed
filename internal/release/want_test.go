package release

import (
	"slices"
	"testing"
)

const (
	own     = "arn:aws:lambda:us-east-1:999999999999:layer:deps:"
	foreign = "arn:aws:lambda:us-east-1:111111111111:layer:deps:3"
	tracing = "arn:aws:lambda:us-east-1:222222222222:layer:tracing:8"
)

func TestReplaceLayers(t *testing.T) {
	deps := OwnLayer{Name: "deps", Account: "999999999999", Region: "us-east-1", Version: own + "5"}
	unpublished := deps
	unpublished.Version = LayerRef("deps", "digest")
	tests := []struct {
		name    string
		current []string
		own     []OwnLayer
		want    []string
	}{
		{"an earlier version is replaced in its place", []string{own + "4", tracing}, []OwnLayer{deps}, []string{own + "5", tracing}},
		{"a layer that is not there is appended", []string{tracing}, []OwnLayer{deps}, []string{tracing, own + "5"}},
		{"a layer of the same name in another account stays", []string{foreign}, []OwnLayer{deps}, []string{foreign, own + "5"}},
		{"a layer whose name only begins alike stays", []string{"arn:aws:lambda:us-east-1:999999999999:layer:deps-dev:4"}, []OwnLayer{deps},
			[]string{"arn:aws:lambda:us-east-1:999999999999:layer:deps-dev:4", own + "5"}},
		{"a version that is not published yet takes the place too", []string{own + "4"}, []OwnLayer{unpublished}, []string{"deps@digest"}},
		{"the same version stays", []string{own + "5", tracing}, []OwnLayer{deps}, []string{own + "5", tracing}},
		{"without own layers nothing changes", []string{tracing}, nil, []string{tracing}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			current := slices.Clone(test.current)
			if got := ReplaceLayers(test.current, test.own); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if !slices.Equal(test.current, current) {
				t.Errorf("the argument became %q", test.current)
			}
		})
	}
}

func TestWantMetBy(t *testing.T) {
	there := Content{
		CodeSHA256: "code", Runtime: "python3.13", Handler: "app.handler", Layers: []Used{{ARN: tracing}, {ARN: own + "5"}},
		Environment: HashVariables(map[string]string{"A": "1", "B": "2"}),
	}
	layers := func(version string) []OwnLayer { return []OwnLayer{{Name: "deps", Version: version}} }
	tests := []struct {
		name string
		want Want
		met  bool
	}{
		{"nothing is wanted", Want{}, true},
		{"everything is as wanted", NewWant(FunctionSpec{Runtime: "python3.13", Handler: "app.handler", Environment: map[string]string{"A": "1"}}, "code", layers(own+"5")), true},
		{"other code", Want{CodeSHA256: "else"}, false},
		{"another runtime", Want{Runtime: "python3.14"}, false},
		{"another handler", Want{Handler: "app.main"}, false},
		{"another version of a layer", Want{Layers: layers(own + "6")}, false},
		{"a layer that is not published yet", Want{Layers: layers(LayerRef("deps", "digest"))}, false},
		{"another value", Want{Environment: HashVariables(map[string]string{"A": "2"})}, false},
		{"a further variable", Want{Environment: HashVariables(map[string]string{"C": ""})}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.want.MetBy(there); got != test.met {
				t.Errorf("got %t, want %t", got, test.met)
			}
		})
	}
}

func TestWantUnchanged(t *testing.T) {
	there, drifted := &Content{CodeSHA256: "code"}, &Content{CodeSHA256: "else"}
	behind := Want{Alias: "live", CodeSHA256: "code"}
	tests := []struct {
		name      string
		want      Want
		found     FunctionState
		unchanged bool
	}{
		{"the live version is as wanted, whatever $LATEST is", behind, FunctionState{Alias: &AliasState{Version: "3"}, Live: there, Latest: drifted}, true},
		{"the live version differs", behind, FunctionState{Alias: &AliasState{Version: "3"}, Live: drifted, Latest: there}, false},
		{"the alias is missing", behind, FunctionState{Latest: there}, false},
		{"the alias is in the middle of a shift", behind, FunctionState{Alias: &AliasState{Version: "3", Weights: map[string]float64{"4": 0.1}}, Live: there}, false},
		{"the alias is at $LATEST", behind, FunctionState{Alias: &AliasState{Version: LatestVersion}, Live: there, Latest: there}, false},
		{"without an alias $LATEST counts", Want{CodeSHA256: "code"}, FunctionState{Latest: there}, true},
		{"$LATEST whose update failed is to be repaired", Want{}, FunctionState{Latest: &Content{UpdateStatus: "Failed"}}, false},
		{"$LATEST was not read", Want{}, FunctionState{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.want.Unchanged(test.found); got != test.unchanged {
				t.Errorf("got %t, want %t", got, test.unchanged)
			}
		})
	}
}
