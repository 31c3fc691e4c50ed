package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/release"
)

// example is the text of a file under testdata.
func example(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edit is the text with the first old replaced, which must be there.
func edit(t testing.TB, text, old, replacement string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the example has no %q to replace", old)
	}
	return strings.Replace(text, old, replacement, 1)
}

func TestTheDocumentedRegistryIsRead(t *testing.T) {
	got, err := ParseRegistry("registry.yaml", []byte(example(t, "registry.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	want := release.Registry{
		Organization: "o-abc1234567",
		Tools: release.Tools{Account: "999999999999", Regions: []string{"us-east-1", "eu-west-1"},
			Buckets: map[string]string{"eu-west-1": "tagboat-staging-999999999999-eu-west-1"}},
		Environments: []release.Environment{
			{Name: "dev", Account: "111111111111", Regions: []string{"us-east-1"}, Role: "tagboat-target", ExternalID: "tagboat-dev"},
			{Name: "prod", Account: "222222222222", Regions: []string{"us-east-1", "eu-west-1"}, Role: "tagboat-target",
				ExternalID: "tagboat-prod", Bake: release.Duration(10 * time.Minute), Approval: "required"},
		},
		Apps: []release.App{{
			Name: "orders", Repository: release.Repository{ID: 186853002, Name: "acme/orders"}, Tags: "v{version}",
			Branches: []string{"main"}, Trigger: "tag", Manifest: "tagboat.yaml", Environments: []string{"dev", "prod"},
			Resources: []string{"orders-*"}, Sharing: release.Sharing{Accounts: []string{"333333333333"}, Organization: true},
			Concurrency: "queue", DropManifest: "manifests/orders.yaml",
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheDocumentedManifestIsRead(t *testing.T) {
	got, err := ParseManifest("tagboat.yaml", []byte(example(t, "tagboat.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	want := release.Manifest{
		App:       "orders",
		Artifacts: map[string]release.ArtifactSpec{"deps": {Archive: "layer"}, "code": {Archive: "src"}},
		Layers: []release.LayerSpec{{
			Name: "orders-deps", Artifact: "deps", Runtimes: []string{"python3.13"}, Architectures: []string{"x86_64"},
			Description: "requests 2.32.3", Share: release.Sharing{Accounts: []string{"333333333333"}, Organization: true}, Keep: 10,
		}},
		Functions: []release.FunctionSpec{{
			Name: "orders-api", Artifact: "code", Layers: []string{"orders-deps"}, Runtime: "python3.13", Alias: "live",
			Traffic: release.Traffic{Percent: 10, Interval: 5 * time.Minute}, Alarms: []string{"orders-api-errors"},
			Smoke: &release.Smoke{Payload: map[string]any{"ping": true}, Expect: map[string]any{"statusCode": 200.0}}, Keep: 5,
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheDocumentedManifestFitsTheDocumentedRegistry(t *testing.T) {
	registry, err := ParseRegistry("registry.yaml", []byte(example(t, "registry.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := ParseManifestFor("tagboat.yaml", []byte(example(t, "tagboat.yaml")), registry, registry.Apps[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(manifest, registry, registry.Apps[0]); err != nil {
		t.Error(err)
	}
}

// edited is a change of one of the examples: old texts, each followed by its replacement.
type edited struct {
	name, file string
	edits      []string
}

// text is the example after the edits.
func (e edited) text(t testing.TB) string {
	t.Helper()
	text := example(t, e.file)
	for i := 0; i < len(e.edits); i += 2 {
		text = edit(t, text, e.edits[i], e.edits[i+1])
	}
	return text
}

// good are changes that keep the examples right.
func good() []edited {
	return []edited{
		{"the documented registry", "registry.yaml", nil},
		{"the documented manifest", "tagboat.yaml", nil},
		{"a bare star means every name", "registry.yaml", []string{`["orders-*"]`, `["*"]`}},
		{"a tag pattern may have text on both sides", "registry.yaml", []string{`"v{version}"`, `"orders/v{version}-final"`}},
		{"an environment may wait a whole day", "registry.yaml", []string{"bake: 10m", "bake: 23h59m60s"}},
		{"two apps may divide an account", "registry.yaml", []string{"apps:\n", "apps:\n" + secondApp(`["orders", "b*-api"]`)}},
		{"two environments may divide an account's regions", "registry.yaml", []string{`"222222222222"`, `"111111111111"`,
			"    regions: [us-east-1, eu-west-1]\n    role", "    regions: [eu-west-1]\n    role"}},
		{"two environments at one place may be of different apps", "registry.yaml", []string{`"222222222222"`, `"111111111111"`,
			"environments: [dev, prod]", "environments: [prod]", "apps:\n", "apps:\n" + secondApp("[billing]")}},
		{"the whole repository is an archive", "tagboat.yaml", []string{"{archive: src}", "{archive: .}"}},
		{"a directory's name may begin with dots", "tagboat.yaml", []string{"{archive: src}", "{archive: .build/..src}"}},
		{"an object may be pinned", "tagboat.yaml", []string{"{archive: src}", "{object: code.zip, sha256: " + strings.Repeat("0a", 32) + "}"}},
		{"an empty list is as good as none", "tagboat.yaml", []string{"[orders-api-errors]", "[]"}},
		{"alarms need no alias, and all at once neither", "tagboat.yaml", []string{"alias: live", "handler: a.b",
			"Canary10Percent5Minutes", "AllAtOnce", "smoke: {payload: {ping: true}, expect: {statusCode: 200}}", ""}},
		{"an alias of YAML stands for its value", "tagboat.yaml", []string{"[python3.13]", "[&r python3.13]", "runtime: python3.13", "runtime: *r"}},
		{"a smoke test may ask for null", "tagboat.yaml", []string{"{statusCode: 200}", "{error: null}"}},
		{"a smoke test's event may be any JSON value", "tagboat.yaml", []string{"{ping: true}", "[1.5, -2e3, text, {deep: [null, false]}]"}},
		{"a date is a text", "tagboat.yaml", []string{"requests 2.32.3", "2026-01-31"}},
	}
}

// secondApp is an app before the example's own, released to dev.
func secondApp(resources string) string {
	return `  - {name: billing, repository: {id: 2, name: acme/billing}, tags: "v{version}", environments: [dev], resources: ` + resources + "}\n"
}

func TestWhatIsUnusualButRightIsAccepted(t *testing.T) {
	for _, test := range good() {
		t.Run(test.name, func(t *testing.T) {
			if err := parseFile(test.file, test.text(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARegistryMayHaveNoAppsYet(t *testing.T) {
	before, _, _ := strings.Cut(example(t, "registry.yaml"), "apps:")
	registry, err := ParseRegistry("registry.yaml", []byte(before+"apps: []\n"))
	if err != nil || len(registry.Apps) != 0 {
		t.Errorf("got %v and %v, want no apps", registry.Apps, err)
	}
}

// parseFile reads a text as the file of that name.
func parseFile(file, text string) error {
	if file == "registry.yaml" {
		_, err := ParseRegistry(file, []byte(text))
		return err
	}
	_, err := ParseManifest(file, []byte(text))
	return err
}

func TestAnErrorHoldsEveryProblemWithItsParts(t *testing.T) {
	text := edit(t, example(t, "registry.yaml"), "approval: required", "aproval: required")
	_, err := ParseRegistry("registry.yaml", []byte(text))
	if got := release.KindOf(err); got != release.Invalid {
		t.Errorf("got kind %q, want %q", got, release.Invalid)
	}
	var problems *Error
	if !errors.As(err, &problems) {
		t.Fatalf("got %T, want a *Error in it", err)
	}
	want := []Problem{{
		File: "registry.yaml", Line: 18, Column: 5, Path: "environments[1].aproval",
		Want: "one of the fields name, account, regions, role, external_id, bake, approval", Got: `"aproval"`, Nearest: "approval",
	}}
	if !reflect.DeepEqual(problems.Problems, want) {
		t.Errorf("got  %+v\nwant %+v", problems.Problems, want)
	}
	if err.Error() != problems.Error() {
		t.Errorf("got the message %q, want %q", err, problems)
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	text := "app: a\nx: 1\n"
	var fields strings.Builder
	for i := range 250 {
		fields.WriteString("y" + strings.Repeat("z", i) + ": 1\n")
	}
	_, err := ParseManifest("tagboat.yaml", []byte(text+fields.String()))
	var problems *Error
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, want a *Error", err)
	}
	if got, want := len(problems.Problems), MaxProblems; got != want {
		t.Errorf("got %d problems, want %d", got, want)
	}
	// 251 unknown fields, and neither a layer nor a function.
	if got, want := problems.More, 252-MaxProblems; got != want {
		t.Errorf("got %d more, want %d", got, want)
	}
	if !strings.HasSuffix(err.Error(), "\nand 152 more problems") {
		t.Errorf("got a message that ends in %q", err.Error()[len(err.Error())-40:])
	}
}

func TestAValueOfTheEnvironmentIsNeverRepeated(t *testing.T) {
	text := edit(t, example(t, "tagboat.yaml"), "    keep: 5", "    environment: {TOKEN_A: 8675309, TOKEN_B: [swordfish], TOKEN_C: !!str swordfish}")
	err := parseFile("tagboat.yaml", text)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Fatalf("got %v, want three problems", err)
	}
	for _, secret := range []string{"8675309", "swordfish"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("got %q, which tells the value", err)
		}
	}
}

func TestWhatWasReadIsWrittenAndReadAlike(t *testing.T) {
	registry, err := ParseRegistry("registry.yaml", []byte(example(t, "registry.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := ParseManifest("tagboat.yaml", []byte(example(t, "tagboat.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	sameRegistry(t, registry)
	sameManifest(t, manifest)
}

// sameRegistry writes a registry and reads it back.
func sameRegistry(t *testing.T, want release.Registry) {
	t.Helper()
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRegistry("again.yaml", text)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v\nfrom\n%s", got, want, text)
	}
}

// sameManifest writes a manifest and reads it back.
func sameManifest(t *testing.T, want release.Manifest) {
	t.Helper()
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseManifest("again.yaml", text)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v\nfrom\n%s", got, want, text)
	}
}
