package webhook_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
)

// TestTheAppHearsOfTheEventsThatAreHandled, and of no others: github/app-manifest.json.
func TestTheAppHearsOfTheEventsThatAreHandled(t *testing.T) {
	text, err := os.ReadFile("../../github/app-manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Events []string `json:"default_events"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"push", "create", "release", "delete", "check_run", "deployment", "status", "pull_request"} {
		answer := newWorld(t).handler.Handle(t.Context(), signed(event, `{}`))
		if handled := answer.Code != release.CodeEvent; handled != slices.Contains(manifest.Events, event) {
			t.Errorf("%s: answered %s, but the manifest asks for %v", event, answer.Code, manifest.Events)
		}
	}
}
