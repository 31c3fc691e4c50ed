package config

import (
	"regexp"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

// shareAll is how the example shares its layer.
const shareAll = `share: {accounts: ["333333333333"], organization: true}`

// forbidden are manifests, by edits of the examples, that the registry forbids.
func forbidden() []struct {
	name            string
	registry, edits []string
	want            string
} {
	return []struct {
		name            string
		registry, edits []string
		want            string
	}{
		{"another app's manifest", nil, []string{"app: orders", "app: billing"},
			`tagboat.yaml:1:6: app: want the app "orders", as whose manifest the registry names this file, got "billing"`},
		{"a layer and a function outside the resources", []string{`["orders-*"]`, `["orders-x-*"]`}, nil,
			`tagboat.yaml:9:11: layers[0].name: want a name that the registry lets app "orders" touch ("orders-x-*"), got "orders-deps"
tagboat.yaml:17:11: functions[0].name: want a name that the registry lets app "orders" touch ("orders-x-*"), got "orders-api"`},
		{"an account beyond the limit", nil, []string{shareAll, `share: {accounts: ["333333333333", "444444444444"]}`},
			`tagboat.yaml:14:40: layers[0].share.accounts[1]: want an account that the registry lets app "orders" share with ("333333333333"), got "444444444444"`},
		{"everyone", nil, []string{shareAll, "share: {public: true}"},
			`tagboat.yaml:14:21: layers[0].share.public: want sharing that the registry lets app "orders" ask for, got sharing with everyone`},
		{"sharing by an app that may not share", []string{`sharing: {accounts: ["333333333333"], organization: true, public: false}`, ""}, nil,
			`tagboat.yaml:14:24: layers[0].share.accounts[0]: want an account that the registry lets app "orders" share with (none), got "333333333333"
tagboat.yaml:14:55: layers[0].share.organization: want sharing that the registry lets app "orders" ask for, got sharing with the whole organisation`},
	}
}

// registryOf is the example registry after edits.
func registryOf(t *testing.T, edits []string) release.Registry {
	t.Helper()
	registry, err := ParseRegistry("registry.yaml", []byte(edited{file: "registry.yaml", edits: edits}.text(t)))
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func TestWhatTheRegistryForbidsIsToldWithItsPlace(t *testing.T) {
	for _, test := range forbidden() {
		t.Run(test.name, func(t *testing.T) {
			registry := registryOf(t, test.registry)
			text := edited{file: "tagboat.yaml", edits: test.edits}.text(t)
			_, err := ParseManifestFor("tagboat.yaml", []byte(text), registry, registry.Apps[0])
			if err == nil {
				t.Fatalf("got no error, want\n%s", test.want)
			}
			if got := err.Error(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if got := release.KindOf(err); got != release.Denied {
				t.Errorf("got kind %q, want %q", got, release.Denied)
			}
		})
	}
}

func TestWhatTheRegistryForbidsIsToldWithoutTheTextToo(t *testing.T) {
	positions := regexp.MustCompile(`(?m)^tagboat\.yaml:[0-9]+:[0-9]+: `)
	for _, test := range forbidden() {
		t.Run(test.name, func(t *testing.T) {
			registry := registryOf(t, test.registry)
			manifest, err := ParseManifest("tagboat.yaml", []byte(edited{file: "tagboat.yaml", edits: test.edits}.text(t)))
			if err != nil {
				t.Fatal(err)
			}
			err = Check(manifest, registry, registry.Apps[0])
			if err == nil {
				t.Fatal("got no error")
			}
			if got, want := err.Error(), positions.ReplaceAllString(test.want, ""); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAWrongManifestIsToldTogetherWithWhatTheRegistryForbids(t *testing.T) {
	registry := registryOf(t, nil)
	text := edited{file: "tagboat.yaml", edits: []string{"app: orders", "app: billing", "keep: 5", "keeep: 5"}}.text(t)
	_, err := ParseManifestFor("tagboat.yaml", []byte(text), registry, registry.Apps[0])
	want := `tagboat.yaml:1:6: app: want the app "orders", as whose manifest the registry names this file, got "billing"
tagboat.yaml:27:5: functions[0].keeep: want one of the fields name, artifact, layers, runtime, handler, environment, alias, traffic, alarms, smoke, keep, got "keeep"; did you mean "keep"?`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if got := release.KindOf(err); got != release.Invalid {
		t.Errorf("got kind %q, want %q", got, release.Invalid)
	}
}

func TestAManifestThatIsNoYAMLIsInvalidWhateverTheRegistrySays(t *testing.T) {
	registry := registryOf(t, nil)
	_, err := ParseManifestFor("tagboat.yaml", []byte("app: ["), registry, registry.Apps[0])
	if got := release.KindOf(err); got != release.Invalid {
		t.Errorf("got %v of kind %q, want %q", err, got, release.Invalid)
	}
}
