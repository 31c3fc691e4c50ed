package cli

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServeLooksForMissedEvents(t *testing.T) {
	newBuckets(t)
	gh := httptest.NewServer(newHub())
	defer gh.Close()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	s := start(t, env, "--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db"))
	defer s.end(t)
	const want = "seen for the first time"
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.stderr.String(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not say that the repository was %s: %s", want, s.stderr)
		}
	}
}
