package ghapi

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// maxDescription is the most that GitHub takes as the description of a
// deployment or a status, in characters.
const maxDescription = 140

// deployTask is GitHub's default task of a deployment.
const deployTask = "deploy"

// releaseKey is where a deployment's payload holds the release's id, by which
// it is found again.
const releaseKey = "release"

// Deployment is what GitHub shows of a release in one environment.
type Deployment struct {
	// Release is the release's id. There is one deployment for it in an environment.
	Release string
	// Commit is what is deployed.
	Commit      string
	Environment string
	// Description is cut to 140 characters.
	Description string
	// Payload is further data for whoever reads the deployment.
	Payload map[string]string
	// Production marks an environment that users meet, Transient one that will go.
	Production bool
	Transient  bool
}

// CreateDeployment creates the deployment of a release in an environment, or
// finds the one that is there: after a lost answer it can be called again. It
// neither merges branches nor waits for statuses, as GitHub does by default.
func (c *Client) CreateDeployment(ctx context.Context, repo int64, d Deployment) (id int64, err error) {
	if err := checkCommit(d.Commit); err != nil {
		return 0, err
	}
	if d.Release == "" || d.Environment == "" {
		return 0, release.Errorf(release.Invalid, "a deployment needs a release and an environment, got %q and %q", d.Release, d.Environment)
	}
	if id, err = c.findDeployment(ctx, repo, d); id != 0 || err != nil {
		return id, err
	}
	payload := maps.Clone(d.Payload)
	if payload == nil {
		payload = map[string]string{}
	}
	payload[releaseKey] = d.Release
	request := github.DeploymentRequest{
		Ref:                   github.String(d.Commit),
		Task:                  github.String(deployTask),
		AutoMerge:             github.Bool(false),
		RequiredContexts:      &[]string{},
		Payload:               payload,
		Environment:           github.String(d.Environment),
		Description:           github.String(cut(d.Description, maxDescription)),
		TransientEnvironment:  github.Bool(d.Transient),
		ProductionEnvironment: github.Bool(d.Production),
	}
	var created github.Deployment
	what := "the deployment to " + quote(d.Environment)
	_, err = c.do(ctx, post(repo, "/deployments", request, what, writeDeployments), &created)
	return created.GetID(), err
}

// findDeployment finds the deployment of a release in an environment; 0 if there is none.
func (c *Client) findDeployment(ctx context.Context, repo int64, d Deployment) (id int64, err error) {
	query := url.Values{
		"sha": {d.Commit}, "environment": {d.Environment}, "task": {deployTask}, "per_page": {"100"},
	}
	k := read(repo, "/deployments?"+query.Encode(), "the deployments to "+quote(d.Environment))
	k.permission = writeDeployments
	err = pages(ctx, c, k, func(deployments []github.Deployment) bool {
		for _, candidate := range deployments {
			if candidate.GetEnvironment() == d.Environment && releaseOf(candidate.Payload) == d.Release {
				id = candidate.GetID()
			}
		}
		return id == 0
	})
	return id, err
}

// releaseOf reads the release's id from a payload, which GitHub may return as an
// object or as a string that holds one.
func releaseOf(payload json.RawMessage) string {
	var text string
	if json.Unmarshal(payload, &text) == nil {
		payload = json.RawMessage(text)
	}
	var ours map[string]any
	if json.Unmarshal(payload, &ours) != nil {
		return "" // somebody else's
	}
	id, _ := ours[releaseKey].(string)
	return id
}

// DeploymentStatus is how a deployment stands.
type DeploymentStatus struct {
	// State is GitHub's: queued, pending, in_progress, success, failure, error, inactive.
	State string
	// Description is cut to 140 characters.
	Description string
	// Log is the address of what happens, Environment that of what runs there; empty is none.
	Log, Environment string
}

// DeploymentStatus adds a status to a deployment.
func (c *Client) DeploymentStatus(ctx context.Context, repo, deployment int64, s DeploymentStatus) error {
	request := github.DeploymentStatusRequest{
		State: github.String(s.State), Description: github.String(cut(s.Description, maxDescription)),
		LogURL: optional(s.Log), EnvironmentURL: optional(s.Environment),
	}
	path := "/deployments/" + strconv.FormatInt(deployment, 10) + "/statuses"
	what := "the status of deployment " + strconv.FormatInt(deployment, 10)
	var created github.DeploymentStatus
	_, err := c.do(ctx, post(repo, path, request, what, writeDeployments), &created)
	return err
}

// CommitStatus sets the status of a commit in a context, which replaces the
// earlier one there. The states are GitHub's: pending, success, failure, error.
// The description is cut to 140 characters; an empty targetURL is none. GitHub
// keeps at most 1,000 statuses per commit and context.
func (c *Client) CommitStatus(ctx context.Context, repo int64, commit, state, contextName, description, targetURL string) error {
	if err := checkCommit(commit); err != nil {
		return err
	}
	request := github.RepoStatus{
		State:       github.String(state),
		Context:     github.String(contextName),
		Description: github.String(cut(description, maxDescription)),
		TargetURL:   optional(targetURL),
	}
	var created github.RepoStatus
	_, err := c.do(ctx, post(repo, "/statuses/"+commit, request, "the status of commit "+commit, writeStatuses), &created)
	return err
}
