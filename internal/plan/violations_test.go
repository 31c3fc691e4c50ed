package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// api and worker edit what was found of a function in prod, eu-west-1.
func api(edit func(*release.FunctionState)) func(*plan.Input) {
	return func(in *plan.Input) { change(in, prodEU, "orders-api", edit) }
}

func worker(edit func(*release.FunctionState)) func(*plan.Input) {
	return func(in *plan.Input) { change(in, prodEU, "orders-worker", edit) }
}

const (
	apiEU    = `function "orders-api" in account 222222222222, eu-west-1 (prod)`
	workerEU = `function "orders-worker" in account 222222222222, eu-west-1 (prod)`
	layerEU  = `layer "orders-deps" in account 999999999999, eu-west-1 (tools)`
)

var violations = []struct {
	name    string
	deviate func(*plan.Input)
	want    []string // every line begins so
}{
	{"the function does not exist",
		api(func(f *release.FunctionState) { *f = release.FunctionState{Name: f.Name, Missing: true} }),
		[]string{apiEU + ": want it to exist, got no such function; create it"}},
	{"the function was not looked at",
		func(in *plan.Input) { delete(in.Snapshots[prodEU].Functions, "orders-api") },
		[]string{apiEU + ": want it in the snapshot, got nothing; "}},
	{"$LATEST was not read",
		worker(func(f *release.FunctionState) { f.Latest = nil }),
		[]string{workerEU + ": want $LATEST in the snapshot, got nothing; "}},
	{"the live version was not read",
		api(func(f *release.FunctionState) { f.Live = nil }),
		[]string{apiEU + `: want what its alias "live" points at in the snapshot, got nothing; `}},
	{"a site has no snapshot",
		func(in *plan.Input) { delete(in.Snapshots, prodEU); delete(in.Snapshots, toolsEU) },
		[]string{layerEU + ": want a snapshot", "site in account 222222222222, eu-west-1 (prod): want a snapshot, got none; "}},
	{"the function is a container image",
		worker(func(f *release.FunctionState) { f.Latest.PackageType = "Image" }),
		[]string{workerEU + ": want a zip function for the manifest's code and layers, got a container image; "}},
	{"the function is in another runtime than the layer",
		worker(func(f *release.FunctionState) { f.Latest.Runtime = "python3.11" }),
		[]string{workerEU + `: want a runtime of its layer "orders-deps" (python3.13), got "python3.11"; `}},
	{"the manifest brings the function to another runtime than the layer",
		func(in *plan.Input) { in.Manifest.Functions[1].Runtime = "python3.12" },
		[]string{
			`function "orders-worker" in account 111111111111, us-east-1 (dev): want a runtime of its layer`,
			workerEU + `: want a runtime`, `function "orders-worker" in account 222222222222, us-east-1 (prod): want a runtime`}},
	{"the function is for another processor than the layer",
		worker(func(f *release.FunctionState) { f.Latest.Architectures = []string{"arm64"} }),
		[]string{workerEU + `: want an architecture of its layer "orders-deps" (x86_64), got "arm64"; `}},
	{"six layers",
		worker(func(f *release.FunctionState) {
			for i := range 4 {
				f.Latest.Layers = append(f.Latest.Layers, release.Used{ARN: fmt.Sprintf("%s%d", foreignLayer, i)})
			}
		}),
		[]string{workerEU + ": want at most 5 layers, got 6: orders-deps@"}},
	{"code and layers are too large together",
		func(in *plan.Input) {
			for _, site := range []release.Site{devSite, prodUS} {
				carry := in.Snapshots[site].Functions["orders-worker"]
				carry.Latest.CodeSize = 0
			}
			deps := in.Artifacts["deps"]
			deps.Unzipped = 250<<20 - 7000 - 500
			in.Artifacts["deps"] = deps
			api := in.Artifacts["code"]
			api.Unzipped = 500
			in.Artifacts["code"] = api
		},
		[]string{workerEU + ": want at most 262144000 bytes unzipped with all layers, got at least 262144500 (code 1000, orders-deps@"}},
	{"the function reads its code from its object for ever",
		api(func(f *release.FunctionState) { f.Latest.ObjectReference = true }),
		[]string{apiEU + ": want a function that keeps a copy of its code, got S3ObjectStorageMode REFERENCE, "}},
	{"the function's code is signed",
		api(func(f *release.FunctionState) { f.Latest.Signed = true }),
		[]string{apiEU + ": want code without signing, got a function whose code is signed, "}},
	{"somebody else's shift is under way",
		api(func(f *release.FunctionState) { f.Alias.Weights = map[string]float64{"13": 0.1} }),
		[]string{apiEU + `: want its alias "live" on one version, got a shift under way: version 12, version 13 with 10%; `}},
	{"$LATEST has another role than the live version",
		api(func(f *release.FunctionState) { f.Latest.Role = "other" }),
		[]string{apiEU + `: want the role of the live version "arn:aws:iam::222222222222:role/orders" for Canary10Percent5Minutes, got "other" on $LATEST; `}},
	{"$LATEST has another dead-letter target than the live version",
		api(func(f *release.FunctionState) { f.Live.DeadLetter = "queue" }),
		[]string{apiEU + `: want the dead-letter target of the live version "queue" for Canary10Percent5Minutes, got "" on $LATEST; `}},
	{"the alias is at $LATEST",
		api(func(f *release.FunctionState) { f.Alias.Version, f.Live.Version = "$LATEST", "$LATEST" }),
		[]string{apiEU + `: want its alias "live" at a published version for Canary10Percent5Minutes, got $LATEST; `}},
	{"names outside the app's resources",
		func(in *plan.Input) { in.App.Resources = []string{"billing-*"} },
		[]string{`function "orders-api": want a name that the registry gives to the app "orders" (billing-*), got another; `,
			`function "orders-worker": `, `layer "orders-deps": want a name`}},
	{"sharing beyond the registry",
		func(in *plan.Input) {
			in.App.Sharing = release.Sharing{Accounts: []string{"555555555555"}}
			in.Manifest.Layers[0].Share.Public = true
		},
		[]string{
			`layer "orders-deps": want it shared with accounts only, got the whole organization; `,
			`layer "orders-deps": want it shared with accounts that the registry allows (555555555555), got account 333333333333; `,
			`layer "orders-deps": want it shared with named accounts or the organization, got everyone; `,
		}},
	{"an organization without id",
		func(in *plan.Input) { in.Registry.Organization = "" },
		[]string{`layer "orders-deps": want the organization's id to share it with all of it, got none; `}},
	{"more grants than a policy holds",
		func(in *plan.Input) {
			for i := range 100 {
				account := fmt.Sprintf("%012d", i)
				in.App.Sharing.Accounts = append(in.App.Sharing.Accounts, account)
				in.Manifest.Layers[0].Share.Accounts = append(in.Manifest.Layers[0].Share.Accounts, account)
			}
		},
		[]string{layerEU + ": want a policy of at most 20480 bytes, got about ", `layer "orders-deps" in account 999999999999, us-east-1 (tools): want a policy`}},
	{"a target region that is not a tools region",
		func(in *plan.Input) { in.Registry.Tools.Regions = []string{"us-east-1"} },
		[]string{`region eu-west-1 of environment "prod": want one of the tools account's regions (us-east-1), got another; `}},
	{"artifacts that are not staged in a region",
		func(in *plan.Input) {
			delete(in.Artifacts["code"].Objects, "eu-west-1")
			delete(in.Artifacts["deps"].Objects, "eu-west-1")
		},
		[]string{apiEU + `: want artifact "code" staged in the region, got it in us-east-1; `,
			layerEU + `: want artifact "deps" staged in the region, got it in us-east-1; `}},
	{"an artifact that is not staged at all",
		func(in *plan.Input) { delete(in.Artifacts, "deps") },
		[]string{`layer "orders-deps": want its artifact "deps" among the staged ones, got code; `}},
	{"a layer that is not in the manifest",
		func(in *plan.Input) { in.Manifest.Functions[1].Layers = []string{"orders-deps", "orders-more"} },
		[]string{`function "orders-worker": want its layer "orders-more" in the manifest, got none; `}},
	{"more history than Step Functions keeps",
		func(in *plan.Input) {
			in.Registry.Environments[1].Bake = release.Duration(2000 * time.Hour)
		},
		[]string{"history of the release: want at most 20000 events for Step Functions, got "}},
}

func TestAViolationNamesTheObjectWithWantAndGot(t *testing.T) {
	for _, test := range violations {
		t.Run(test.name, func(t *testing.T) {
			in := input()
			test.deviate(&in)
			_, err := plan.Whole(in)
			if release.KindOf(err) != release.Invalid || release.RemedyOf(err) == "" {
				t.Fatalf("got error %v, want an invalid one with a remedy", err)
			}
			lines := strings.Split(err.Error(), "\n")[1:]
			if len(lines) != len(test.want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(test.want), strings.Join(lines, "\n"))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d:\n got %s\nwant %s…", i, lines[i], want)
				}
			}
		})
	}
}

func TestEveryViolationIsToldAtOnce(t *testing.T) {
	in := input()
	in.App.Resources = []string{"orders-api", "orders-deps"}
	api(func(f *release.FunctionState) { f.Missing = true })(&in)
	worker(func(f *release.FunctionState) {
		f.Latest.Runtime, f.Latest.Architectures = "ruby3.4", []string{"arm64"}
	})(&in)
	_, err := plan.Whole(in)
	if err == nil {
		t.Fatal("got a plan, want violations")
	}
	lines := strings.Split(err.Error(), "\n")
	if want := "release of orders 1.4.0 cannot be planned, 4 violations:"; lines[0] != want || len(lines) != 5 {
		t.Errorf("got\n%s\nwant %q and four lines", err, want)
	}
	if !slices.IsSorted(lines[1:]) {
		t.Errorf("got lines out of order:\n%s", err)
	}
}

func TestWhatIsNoViolation(t *testing.T) {
	tests := []struct {
		name    string
		deviate func(*plan.Input)
	}{
		{"an update is under way", api(func(f *release.FunctionState) { f.Latest.UpdateStatus = "InProgress" })},
		{"a signed function whose code stays", worker(func(f *release.FunctionState) { f.Latest.Signed = true })},
		{"a referenced object where the code stays", worker(func(f *release.FunctionState) { f.Latest.ObjectReference = true })},
		{"an unread $LATEST of a function that is as wanted", func(in *plan.Input) { carryOut(in) }},
		{"five layers", worker(func(f *release.FunctionState) {
			for i := range 3 {
				f.Latest.Layers = append(f.Latest.Layers, release.Used{ARN: fmt.Sprintf("%s%d", foreignLayer, i)})
			}
		})},
		{"a layer for any runtime and architecture", func(in *plan.Input) {
			in.Manifest.Layers[0].Runtimes, in.Manifest.Layers[0].Architectures = nil, nil
			worker(func(f *release.FunctionState) { f.Latest.Runtime = "ruby3.4" })(in)
		}},
		{"another role when traffic moves at once", func(in *plan.Input) {
			in.Manifest.Functions[0].Traffic = release.Traffic{}
			api(func(f *release.FunctionState) { f.Latest.Role = "other" })(in)
		}},
		{"exactly 250 MB", func(in *plan.Input) {
			deps := in.Artifacts["deps"]
			deps.Unzipped = 250<<20 - 7000 - 4000
			in.Artifacts["deps"] = deps
		}},
		{"a region without tools where only settings change", func(in *plan.Input) {
			in.Registry.Tools.Regions = []string{"us-east-1"}
			in.Manifest.Layers = nil
			in.Manifest.Functions = []release.FunctionSpec{{Name: "orders-worker", Handler: "new.handler"}}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := input()
			test.deviate(&in)
			mustWhole(t, in)
		})
	}
}

func TestALayerMustBePublishedBeforeAnEnvironmentIsPlanned(t *testing.T) {
	_, err := plan.Environment(input(), "dev")
	if err == nil || !strings.Contains(err.Error(), `function "orders-api" in account 111111111111, us-east-1 (dev): want its layer "orders-deps@`) {
		t.Errorf("got %v, want the unpublished layer named", err)
	}
	if _, err := plan.Environment(input(), "staging"); release.KindOf(err) != release.Invalid {
		t.Errorf("got %v for an environment that the app does not have, want an invalid input", err)
	}
}

func TestDriftIsWarnedOf(t *testing.T) {
	tests := []struct {
		name    string
		deviate func(*plan.Input)
		want    []string
	}{
		{"nothing drifted", func(*plan.Input) {}, nil},
		{"handler, foreign layer and a variable", api(func(f *release.FunctionState) {
			f.Latest.Handler = "new.handler"
			f.Latest.Layers = f.Latest.Layers[:1]
			f.Latest.Environment = map[string]string{"LOG_LEVEL": "x", "NEW": "y"}
		}), []string{apiEU + `: $LATEST differs from the live version 12 in more than this release changes, which goes live with it: ` +
			`handler "new.handler" (live "main.handler"); layers "" (live "tracing:3"); variables NEW, STAGE`}},
		{"what the release sets itself", api(func(f *release.FunctionState) {
			f.Latest.CodeSHA256 = codeSHA("tried by hand")
			f.Latest.Layers[0].ARN = layerARN("eu-west-1", "orders-deps", 5)
			f.Latest.Environment["LOG_LEVEL"] = "x"
		}), nil},
		{"code that this release leaves", func(in *plan.Input) {
			in.Manifest.Functions[0].Artifact = ""
			api(func(f *release.FunctionState) { f.Latest.CodeSHA256 = codeSHA("tried by hand") })(in)
		}, []string{apiEU + ": $LATEST differs from the live version 12 in more than this release changes, which goes live with it: code "}},
		{"another role when traffic moves at once", func(in *plan.Input) {
			in.Manifest.Functions[0].Traffic = release.Traffic{}
			api(func(f *release.FunctionState) { f.Latest.Role = "other" })(in)
		}, []string{apiEU + `: its alias "live" moves between versions that differ in their role: live "arn:aws:iam::222222222222:role/orders", new "other"`}},
		{"an alias at $LATEST that moves at once", func(in *plan.Input) {
			in.Manifest.Functions[0].Traffic = release.Traffic{}
			api(func(f *release.FunctionState) { f.Alias.Version, f.Live.Version = "$LATEST", "$LATEST" })(in)
		}, []string{apiEU + `: its alias "live" points at $LATEST, so its callers get the update before any smoke test`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := input()
			test.deviate(&in)
			got := mustWhole(t, in).Warnings
			if len(got) != len(test.want) {
				t.Fatalf("got warnings %q, want %q", got, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %s\nwant %s", got[i], want)
				}
			}
		})
	}
}
