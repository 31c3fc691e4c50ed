package plan_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	toolsAccount = "999999999999"
	devAccount   = "111111111111"
	prodAccount  = "222222222222"
	otherAccount = "333333333333"
	foreignLayer = "arn:aws:lambda:us-east-1:444444444444:layer:tracing:3"
)

var (
	devSite  = release.Site{Environment: "dev", Account: devAccount, Region: "us-east-1"}
	prodUS   = release.Site{Environment: "prod", Account: prodAccount, Region: "us-east-1"}
	prodEU   = release.Site{Environment: "prod", Account: prodAccount, Region: "eu-west-1"}
	toolsUS  = release.Site{Environment: release.ToolsEnvironment, Account: toolsAccount, Region: "us-east-1"}
	toolsEU  = release.Site{Environment: release.ToolsEnvironment, Account: toolsAccount, Region: "eu-west-1"}
	allSites = []release.Site{devSite, prodUS, prodEU, toolsUS, toolsEU}
)

// codeSHA makes the digest that Lambda would answer for some code.
func codeSHA(code string) string {
	sum := sha256.Sum256([]byte(code))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func artifact(name string, unzipped int64, regions ...string) release.Artifact {
	sum := sha256.Sum256([]byte(name))
	objects := map[string]release.Object{}
	for _, region := range regions {
		objects[region] = release.Object{Bucket: "staging-" + region, Key: "staged/" + name + ".zip", VersionID: "v1"}
	}
	return release.Artifact{
		Name: name, SHA256: hex.EncodeToString(sum[:]), CodeSHA256: codeSHA(name),
		TreeDigest: "tree-" + name, Size: unzipped / 2, Unzipped: unzipped, Objects: objects,
	}
}

func layerARN(region, name string, version int) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:layer:%s:%d", region, toolsAccount, name, version)
}

// oldContent is what functions run before the release.
func oldContent(site release.Site, version string) *release.Content {
	return &release.Content{
		Version: version, PackageType: "Zip", CodeSHA256: codeSHA("old"), CodeSize: 1000,
		Layers: []release.Used{
			{ARN: layerARN(site.Region, "orders-deps", 6), CodeSize: 5000},
			{ARN: foreignLayer, CodeSize: 7000},
		},
		Runtime: "python3.13", Handler: "main.handler", Architectures: []string{"x86_64"},
		Environment: release.HashVariables(map[string]string{"STAGE": site.Environment}),
		Role:        "arn:aws:iam::" + site.Account + ":role/orders", UpdateStatus: "Successful", RevisionID: "r-" + version,
	}
}

// input is a release of a layer and two functions to dev and prod: orders-api
// behind an alias gets new code and the layer, orders-worker only the layer.
func input() plan.Input {
	in := plan.Input{
		Release:  &release.Release{ID: "orders-1-4-0-0123456789abcdef0123-1", App: "orders", Version: "1.4.0"},
		Registry: registry(),
		App:      registry().Apps[0],
		Manifest: manifest(),
		Artifacts: map[string]release.Artifact{
			"deps": artifact("deps", 10_000, "us-east-1", "eu-west-1"),
			"code": artifact("code", 4_000, "us-east-1", "eu-west-1"),
		},
		Snapshots: map[release.Site]release.Snapshot{},
		Now:       time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	for _, site := range allSites {
		in.Snapshots[site] = snapshot(site)
	}
	return in
}

func registry() release.Registry {
	return release.Registry{
		Organization: "o-abc1234567",
		Tools: release.Tools{
			Account: toolsAccount, Regions: []string{"us-east-1", "eu-west-1", "ap-south-1"},
			Buckets: map[string]string{"eu-west-1": "tagboat-eu", "ap-south-1": "tagboat-ap"},
		},
		Environments: []release.Environment{
			{Name: "dev", Account: devAccount, Regions: []string{"us-east-1"}},
			{Name: "prod", Account: prodAccount, Regions: []string{"us-east-1", "eu-west-1"},
				Bake: release.Duration(10 * time.Minute), Approval: release.ApprovalRequired},
		},
		Apps: []release.App{{
			Name: "orders", Environments: []string{"dev", "prod"}, Resources: []string{"orders-*"},
			Sharing: release.Sharing{Accounts: []string{otherAccount}, Organization: true},
		}},
	}
}

func manifest() release.Manifest {
	return release.Manifest{
		App:       "orders",
		Artifacts: map[string]release.ArtifactSpec{"deps": {Archive: "layer"}, "code": {Archive: "src"}},
		Layers: []release.LayerSpec{{
			Name: "orders-deps", Artifact: "deps", Runtimes: []string{"python3.13"}, Architectures: []string{"x86_64"},
			Share: release.Sharing{Accounts: []string{otherAccount}, Organization: true},
		}},
		Functions: []release.FunctionSpec{
			{
				Name: "orders-api", Artifact: "code", Layers: []string{"orders-deps"}, Alias: "live",
				Environment: map[string]string{"LOG_LEVEL": "info"},
				Traffic:     release.Traffic{Percent: 10, Interval: 5 * time.Minute},
				Alarms:      []string{"orders-api-errors"}, Smoke: &release.Smoke{},
			},
			{Name: "orders-worker", Layers: []string{"orders-deps"}},
		},
	}
}

func snapshot(site release.Site) release.Snapshot {
	s := release.Snapshot{Site: site, Taken: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)}
	if site.InTools() {
		return s
	}
	s.Functions = map[string]release.FunctionState{
		"orders-api": {
			Name: "orders-api", Latest: oldContent(site, release.LatestVersion), Live: oldContent(site, "12"),
			Alias: &release.AliasState{Version: "12", RevisionID: "a1"},
		},
		"orders-worker": {Name: "orders-worker", Latest: oldContent(site, release.LatestVersion)},
	}
	return s
}

// change edits what was found of a function.
func change(in *plan.Input, site release.Site, name string, edit func(*release.FunctionState)) {
	state := in.Snapshots[site].Functions[name]
	edit(&state)
	in.Snapshots[site].Functions[name] = state
}

// publish makes the release's layer exist in a region, shared with nobody.
func publish(in *plan.Input, site release.Site) {
	digest := release.LayerDigest("tree-deps", in.Manifest.Layers[0])
	s := in.Snapshots[site]
	s.Layers = map[string]release.LayerState{
		digest: {ARN: layerARN(site.Region, "orders-deps", 7), Version: 7, Digest: digest},
	}
	in.Snapshots[site] = s
}

// carryOut makes the world as the release wants it.
func carryOut(in *plan.Input) {
	for _, site := range []release.Site{toolsUS, toolsEU} {
		publish(in, site)
		for digest, layer := range in.Snapshots[site].Layers {
			layer.Grants = []release.Grant{
				{Organization: "o-abc1234567"}, {Account: otherAccount}, {Account: prodAccount},
			}
			if site == toolsUS {
				layer.Grants = append(layer.Grants, release.Grant{Account: devAccount})
			}
			in.Snapshots[site].Layers[digest] = layer
		}
	}
	for _, site := range []release.Site{devSite, prodUS, prodEU} {
		change(in, site, "orders-api", func(f *release.FunctionState) {
			f.Live = newContent(site, "13")
			f.Live.CodeSHA256 = codeSHA("code")
			f.Live.Environment["LOG_LEVEL"] = release.VariableHash("LOG_LEVEL", "info")
			f.Latest = nil
			f.Alias = &release.AliasState{Version: "13", RevisionID: "a2"}
		})
		change(in, site, "orders-worker", func(f *release.FunctionState) { f.Latest = newContent(site, release.LatestVersion) })
	}
}

func newContent(site release.Site, version string) *release.Content {
	content := oldContent(site, version)
	content.Layers[0].ARN = layerARN(site.Region, "orders-deps", 7)
	return content
}
