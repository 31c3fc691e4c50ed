package ghapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ghapi"
)

// manifest is as much of github/app-manifest.json as is looked at. An unknown
// field is one that GitHub may not know either ("Registering a GitHub App from a manifest").
type manifest struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	Description string `json:"description"`
	Public      bool   `json:"public"`
	Hook        struct {
		URL    string `json:"url"`
		Active bool   `json:"active"`
	} `json:"hook_attributes"`
	Redirect    string            `json:"redirect_url"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
}

func parseManifest(t *testing.T, text string) (m manifest) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// granted tells how many permissions are held and missing of an App with these.
func granted(t *testing.T, key []byte, permissions map[string]string) (held, missing int) {
	t.Helper()
	text, err := json.Marshal(permissions)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id": 1, "permissions": %s}`, text)
	}))
	defer server.Close()
	client, err := ghapi.New(ghapi.Config{BaseURL: server.URL, App: &ghapi.App{ID: 3, PrivateKey: key}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.Permissions(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		if p.State == ghapi.Held {
			held++
		} else {
			missing++
		}
	}
	return held, missing
}

// TestTheAppsManifestHasThePermissionsThatAreNeeded and none that is not: without
// any of them something is missing, and none is higher than it has to be.
func TestTheAppsManifestHasThePermissionsThatAreNeeded(t *testing.T) {
	m := parseManifest(t, readFile(t, "github/app-manifest.json"))
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	if _, missing := granted(t, key, m.Permissions); missing > 0 {
		t.Errorf("%d permissions are missing with %v", missing, m.Permissions)
	}
	for name, level := range m.Permissions {
		if name == "metadata" { // GitHub gives it with any other
			continue
		}
		less := maps.Clone(m.Permissions)
		delete(less, name)
		if level == "write" {
			less[name] = "read"
		}
		if _, missing := granted(t, key, less); missing != 1 {
			t.Errorf("with %s %q instead of %q %d permissions are missing, want 1", name, less[name], level, missing)
		}
	}
	if m.Public || !m.Hook.Active || m.Permissions["metadata"] != "read" {
		t.Errorf("the manifest is %+v", m)
	}
}

// TestThePageSendsTheManifest: the page that registers the App has the same one.
func TestThePageSendsTheManifest(t *testing.T) {
	page := readFile(t, "github/new-app.html")
	embedded := regexp.MustCompile(`(?s)<script type="application/json" id="manifest">(.*?)</script>`).FindStringSubmatch(page)
	if embedded == nil {
		t.Fatal("github/new-app.html has no manifest")
	}
	if got, want := parseManifest(t, embedded[1]), parseManifest(t, readFile(t, "github/app-manifest.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("the page has %+v, want %+v", got, want)
	}
	for _, want := range []string{`method="post"`, `name="manifest"`, "/settings/apps/new?state=", "'/organizations/'"} {
		if !strings.Contains(page, want) {
			t.Errorf("github/new-app.html does not have %s, as GitHub's flow wants", want)
		}
	}
}
