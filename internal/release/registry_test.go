package release

import (
	"testing"
	"time"
)

func TestAppVersion(t *testing.T) {
	tests := []struct {
		pattern, tag, version string
		ok                    bool
	}{
		{"v{version}", "v1.2.3", "1.2.3", true},
		{"v{version}", "v1", "1", true},
		{"v{version}", "vü", "ü", true},
		{"v{version}", "v", "", false},
		{"v{version}", "1.2.3", "", false},
		{"v{version}", "V1.2.3", "", false},
		{"{version}", "1.2.3", "1.2.3", true},
		{"{version}", "", "", false},
		{"orders/v{version}", "orders/v1.2.3", "1.2.3", true},
		{"orders-v{version}", "v1.2.3", "", false},
		{"v{version}-prod", "v1.2.3-prod", "1.2.3", true},
		{"v{version}-prod", "v1.2.3-dev", "", false},
		{"v{version}-prod", "v-prod", "", false},
		{"aa{version}aa", "aaa", "", false}, // front and end overlap
		{"release", "release", "", false},   // a pattern without a version
	}
	for _, test := range tests {
		app := App{Tags: test.pattern}
		version, ok := app.Version(test.tag)
		if version != test.version || ok != test.ok {
			t.Errorf("pattern %q, tag %q: got %q, %t, want %q, %t", test.pattern, test.tag, version, ok, test.version, test.ok)
		}
		if ok && app.Tag(version) != test.tag {
			t.Errorf("pattern %q: the tag of version %q is %q, want %q", test.pattern, version, app.Tag(version), test.tag)
		}
	}
}

func TestAppMayTouch(t *testing.T) {
	tests := []struct {
		resources []string
		name      string
		may       bool
	}{
		{[]string{"orders-*"}, "orders-api", true},
		{[]string{"orders-*"}, "orders-", true},
		{[]string{"orders-*"}, "orders", false},
		{[]string{"orders-*"}, "my-orders-api", false},
		{[]string{"billing", "orders"}, "orders", true},
		{[]string{"billing", "orders"}, "orders-api", false},
		{[]string{"*"}, "anything", true},
		{[]string{"*-api"}, "orders-api", true},
		{[]string{"[orders"}, "[orders", false}, // a broken pattern touches nothing
		{nil, "orders", false},
	}
	for _, test := range tests {
		if got := (App{Resources: test.resources}).MayTouch(test.name); got != test.may {
			t.Errorf("resources %q, name %q: got %t, want %t", test.resources, test.name, got, test.may)
		}
	}
}

func TestRegistryDefaults(t *testing.T) {
	if got := (App{}).ManifestPath(); got != "tagboat.yaml" {
		t.Errorf("manifest: got %q", got)
	}
	if got := (App{Manifest: "deploy/orders.yaml"}).ManifestPath(); got != "deploy/orders.yaml" {
		t.Errorf("manifest: got %q", got)
	}
	if got := (App{}).StartsOn(); got != TriggerTag {
		t.Errorf("trigger: got %q", got)
	}
	if got := (App{Trigger: TriggerRelease}).StartsOn(); got != TriggerRelease {
		t.Errorf("trigger: got %q", got)
	}
	for approval, needed := range map[string]bool{"": false, ApprovalNone: false, ApprovalRequired: true} {
		if got := (Environment{Approval: approval}).NeedsApproval(); got != needed {
			t.Errorf("approval %q: got %t, want %t", approval, got, needed)
		}
	}
}

func TestAppEnvironmentsAreInTheRegistrysOrder(t *testing.T) {
	registry := Registry{
		Environments: []Environment{{Name: "dev"}, {Name: "test"}, {Name: "prod"}},
		Apps:         []App{{Name: "orders", Environments: []string{"prod", "dev"}}},
	}
	app, ok := registry.App("orders")
	envs := registry.AppEnvironments(app)
	if !ok || len(envs) != 2 || envs[0].Name != "dev" || envs[1].Name != "prod" {
		t.Errorf("got %+v, want dev, then prod", envs)
	}
	if _, ok := registry.App("order"); ok {
		t.Error("an app was found that is not there")
	}
	if env, ok := registry.Environment("test"); !ok || env.Name != "test" {
		t.Errorf("got %+v, want test", env)
	}
}

func TestDurationsAreText(t *testing.T) {
	var d Duration
	if err := d.UnmarshalText([]byte("1h30m")); err != nil || time.Duration(d) != 90*time.Minute {
		t.Errorf("got %v, %v, want 90 minutes", time.Duration(d), err)
	}
	if text, err := d.MarshalText(); err != nil || string(text) != "1h30m0s" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := d.UnmarshalText([]byte("10")); err == nil {
		t.Error("a number without a unit was taken")
	}
}
