package app

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	smallRegistry = `
tools: {account: "999999999999", regions: [us-east-1]}
environments: [{name: dev, account: "111111111111", regions: [us-east-1], role: tagboat-target, external_id: tagboat-dev}]
apps:
  - {name: orders, repository: {id: 1, name: acme/orders}, tags: "v{version}", environments: [dev], resources: ["orders-*"]}
`
	wrongRegistry = "apps: nonsense"
)

func TestWhatWasParsedBeforeIsWhatParsingAnswers(t *testing.T) {
	parsed := &Parsed{}
	for range 2 {
		for _, text := range []string{smallRegistry, strings.ReplaceAll(smallRegistry, "orders", "billing"), wrongRegistry} {
			want, wantErr := config.ParseRegistry("registry.yaml", []byte(text))
			got, err := parsed.registry("registry.yaml", []byte(text))
			if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
				t.Errorf("registry(%.40q…): got %+v, %v; want %+v, %v", text, got, err, want, wantErr)
			}
		}
		for _, want := range []*release.Plan{{Schema: 1}, {Schema: 1, Environment: "dev"}} {
			text, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parsed.plan(text); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("plan(%s): got %+v, %v; want %+v", text, got, err, want)
			}
		}
	}
	if got, want := len(parsed.known), 4; got != want {
		t.Errorf("%d documents are remembered, want the %d that are right", got, want)
	}
}

func TestWhatIsParsedTwiceIsReadOnce(t *testing.T) {
	parsed := &Parsed{}
	text := []byte(`{"schema":1}`)
	one, err := parsed.plan(text)
	other, otherErr := parsed.plan(bytes.Clone(text))
	if err != nil || otherErr != nil || one != other {
		t.Errorf("plan: got %p, %v and %p, %v; want the same plan", one, err, other, otherErr)
	}
}

func TestWhatIsRememberedStaysSmall(t *testing.T) {
	parsed := &Parsed{}
	text := []byte(`{"schema":1}` + strings.Repeat(" ", maxParsed/4))
	for i := range 20 {
		if _, err := parsed.plan(append(text, strings.Repeat("\n", i)...)); err != nil {
			t.Fatal(err)
		}
		if len(parsed.known) > 4 || parsed.size > maxParsed {
			t.Fatalf("%d documents of %d bytes are remembered, want %d bytes at most", len(parsed.known), parsed.size, maxParsed)
		}
	}
}
