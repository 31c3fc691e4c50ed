package cli

import (
	"cmp"
	"net"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/server"
)

// defaultListen is where serve listens: for this machine alone.
const defaultListen = "127.0.0.1:8787"

// settings are those of serve, by flags and environment.
type settings struct {
	// Listen is the address to listen at.
	Listen string
	// Registry is the registry's file, or s3://bucket/key.
	Registry string
	// Bucket is the state bucket.
	Bucket string
	// Uploads is the uploads bucket; empty takes no uploads.
	Uploads string
	// State is the local state file.
	State string
	// EventBus is told what becomes of releases; empty tells nobody.
	EventBus string
	// MaxUnfinished is with how many releases under way no more events are taken.
	MaxUnfinished int
	// Secrets sign webhooks: the current one and, if there is one, the previous.
	Secrets []string
	// Token is asked for; empty asks for none.
	Token string
	// GitHub says how to act at GitHub.
	GitHub ghapi.Config
}

// environment adds what only the environment says, and checks everything that
// can be checked without a look at the world.
func (s *settings) environment(getenv func(string) string) error {
	for _, required := range []struct{ value, flag, variable, what string }{
		{s.Registry, "--registry", "TAGBOAT_REGISTRY", "registry.yaml or s3://tagboat-state/config/registry.yaml"},
		{s.Bucket, "--bucket", "TAGBOAT_BUCKET", "the state bucket"},
	} {
		if required.value == "" {
			return release.Errorf(release.Invalid, "%s is missing: want %s", required.flag, required.what).
				WithRemedy("Set %s or %s.", required.flag, required.variable)
		}
	}
	current := strings.TrimSpace(getenv("TAGBOAT_WEBHOOK_SECRET"))
	if current == "" {
		return release.Errorf(release.Invalid, "TAGBOAT_WEBHOOK_SECRET is not set, or empty: without a secret nobody could be told from GitHub").
			WithRemedy("Set it to the secret of the webhook at GitHub, for example from: openssl rand -hex 32")
	}
	s.Secrets = []string{current, getenv("TAGBOAT_WEBHOOK_SECRET_PREVIOUS")}
	s.Token = strings.TrimSpace(getenv("TAGBOAT_TOKEN"))
	if err := checkListen(s.Listen, s.Token); err != nil {
		return err
	}
	var err error
	s.GitHub, err = githubConfig(getenv)
	return err
}

// checkListen refuses an address that others reach when no token is asked for.
func checkListen(address, token string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return release.Errorf(release.Invalid, "--listen is %q, want host:port", address).WithRemedy("For example --listen %s.", defaultListen)
	}
	if token == "" && !server.IsLoopback(address) {
		return release.Errorf(release.Invalid, "--listen is %q, which others can reach, and TAGBOAT_TOKEN is not set: anybody could release and approve", address).
			WithRemedy("Set TAGBOAT_TOKEN, for example from: openssl rand -hex 32. Or listen at %s.", defaultListen)
	}
	return nil
}

// githubConfig is a GitHub App's or a token's; with neither, only public
// repositories can be read and nothing can be told.
func githubConfig(getenv func(string) string) (ghapi.Config, error) {
	config := ghapi.Config{BaseURL: cmp.Or(getenv("GITHUB_API_URL"), ghapi.DefaultBaseURL)}
	id, key := strings.TrimSpace(getenv("GITHUB_APP_ID")), getenv("GITHUB_APP_PRIVATE_KEY")
	if id == "" && key == "" {
		if token := strings.TrimSpace(getenv("GITHUB_TOKEN")); token != "" {
			config.Token = ghapi.StaticToken(token)
		}
		return config, nil
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || key == "" {
		return config, release.Errorf(release.Invalid, "want GITHUB_APP_ID, a number, and GITHUB_APP_PRIVATE_KEY, its key in PEM; got %q and a key of %d bytes",
			id, len(key)).
			WithRemedy("Set both for a GitHub App, or neither and GITHUB_TOKEN.")
	}
	// Many places that hold variables keep no line breaks.
	config.App = &ghapi.App{ID: number, PrivateKey: []byte(strings.ReplaceAll(key, `\n`, "\n"))}
	return config, nil
}
