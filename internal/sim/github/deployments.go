package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// GitHub's limits on deployments and statuses (REST API reference).
const (
	descriptionLimit = 140
	statusLimit      = 1000 // per commit and context
)

// Deployment is a deployment as it was asked for, with its statuses, oldest first.
type Deployment struct {
	ID          int64
	SHA         string
	Ref         string
	Task        string
	Environment string
	Description string
	Payload     json.RawMessage
	Production  bool
	Transient   bool
	Created     time.Time
	Statuses    []DeploymentStatus
}

// DeploymentStatus is one status of a deployment.
type DeploymentStatus struct {
	State       string `json:"state"`
	Description string `json:"description"`
	LogURL      string `json:"log_url"`
	// EnvironmentURL is the address of what runs there.
	EnvironmentURL string `json:"environment_url"`
	Environment    string `json:"environment"`
	Created        time.Time
}

// CommitStatus is one status of a commit.
type CommitStatus struct {
	SHA         string
	State       string `json:"state"`
	Context     string `json:"context"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`
	Created     time.Time
}

// Deployments are the repository's deployments, oldest first.
func (s *Server) Deployments(r *Repository) []Deployment {
	defer r.lock()()
	var all []Deployment
	for _, d := range r.deployments {
		copied := *d
		copied.Statuses = slices.Clone(d.Statuses)
		all = append(all, copied)
	}
	return all
}

// CommitStatuses are the statuses of a commit, oldest first.
func (s *Server) CommitStatuses(r *Repository, sha string) []CommitStatus {
	defer r.lock()()
	return r.statusesOf(sha)
}

func (r *Repository) statusesOf(sha string) []CommitStatus {
	var found []CommitStatus
	for _, status := range r.statuses {
		if status.SHA == sha {
			found = append(found, status)
		}
	}
	return found
}

// listDeployments lists the newest first.
func (r *Repository) listDeployments(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	wanted := func(key, value string) bool { return !query.Has(key) || query.Get(key) == value }
	var found []*Deployment
	for _, d := range slices.Backward(r.deployments) {
		if wanted("sha", d.SHA) && wanted("ref", d.Ref) && wanted("task", d.Task) && wanted("environment", d.Environment) {
			found = append(found, d)
		}
	}
	from, to := page(w, req, len(found))
	list := []any{}
	for _, d := range found[from:to] {
		list = append(list, r.describeDeployment(baseURL(req), d))
	}
	reply(w, http.StatusOK, list)
}

func (r *Repository) getDeployment(w http.ResponseWriter, req *http.Request) {
	if d := r.deployment(req.PathValue("deployment")); d != nil {
		reply(w, http.StatusOK, r.describeDeployment(baseURL(req), d))
		return
	}
	notFound(w)
}

func (r *Repository) deployment(id string) *Deployment {
	for _, d := range r.deployments {
		if strconv.FormatInt(d.ID, 10) == id {
			return d
		}
	}
	return nil
}

// deploymentRequest is the body of a request for a deployment. What is absent
// has GitHub's defaults: merge the default branch, demand every status.
type deploymentRequest struct {
	Ref         string          `json:"ref"`
	Task        string          `json:"task"`
	AutoMerge   *bool           `json:"auto_merge"`
	Required    *[]string       `json:"required_contexts"`
	Payload     json.RawMessage `json:"payload"`
	Environment string          `json:"environment"`
	Description string          `json:"description"`
	Transient   bool            `json:"transient_environment"`
	Production  *bool           `json:"production_environment"`
}

func (r *Repository) createDeployment(w http.ResponseWriter, req *http.Request) {
	asked := deploymentRequest{Task: "deploy", Environment: "production"}
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	sha, c := r.peel(r.resolve(asked.Ref))
	switch {
	case c == nil:
		refuse(w, http.StatusUnprocessableEntity, "No ref found for: "+asked.Ref)
		return
	case utf8.RuneCountInString(asked.Description) > descriptionLimit:
		invalid(w, "Deployment", "description", "description is too long (maximum is 140 characters)")
		return
	}
	if conflict := r.conflict(asked, sha); conflict != "" {
		refuse(w, http.StatusConflict, conflict)
		return
	}
	d := &Deployment{
		ID: r.server.newID(), SHA: sha, Ref: asked.Ref, Task: asked.Task,
		Environment: asked.Environment, Description: asked.Description, Payload: asked.Payload,
		Transient: asked.Transient, Production: asked.Environment == "production",
		Created: r.server.clock.Now(),
	}
	if asked.Production != nil {
		d.Production = *asked.Production
	}
	if d.Payload == nil {
		d.Payload = json.RawMessage(`{}`)
	}
	r.deployments = append(r.deployments, d)
	reply(w, http.StatusCreated, r.describeDeployment(baseURL(req), d))
}

// conflict is why GitHub refuses a deployment that did not opt out of merging
// and of statuses; empty if it doesn't.
func (r *Repository) conflict(asked deploymentRequest, sha string) string {
	head := r.refs[heads+defaultBranch].sha
	if (asked.AutoMerge == nil || *asked.AutoMerge) && head != "" && !r.history(sha)[head] {
		return fmt.Sprintf("Conflict merging %s into %s.", defaultBranch, asked.Ref)
	}
	latest := map[string]string{}
	for _, status := range r.statusesOf(sha) {
		latest[status.Context] = status.State
	}
	if asked.Required != nil {
		chosen := map[string]string{}
		for _, name := range *asked.Required {
			chosen[name] = latest[name]
		}
		latest = chosen
	}
	for _, state := range latest {
		if state != "success" {
			return fmt.Sprintf("Conflict: Commit status checks failed for %s.", asked.Ref)
		}
	}
	return ""
}

func (r *Repository) describeDeployment(base string, d *Deployment) map[string]any {
	url := fmt.Sprintf("%s/deployments/%d", r.apiURL(base), d.ID)
	return map[string]any{
		"id": d.ID, "url": url, "statuses_url": url + "/statuses", "repository_url": r.apiURL(base),
		"sha": d.SHA, "ref": d.Ref, "task": d.Task, "payload": d.Payload,
		"environment": d.Environment, "original_environment": d.Environment, "description": d.Description,
		"transient_environment": d.Transient, "production_environment": d.Production,
		"created_at": stamp(d.Created), "updated_at": stamp(d.Created),
	}
}

var deploymentStates = []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}

func (r *Repository) createDeploymentStatus(w http.ResponseWriter, req *http.Request) {
	d := r.deployment(req.PathValue("number"))
	if d == nil {
		notFound(w)
		return
	}
	status := DeploymentStatus{Environment: d.Environment}
	if err := json.NewDecoder(req.Body).Decode(&status); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if !acceptable(w, "DeploymentStatus", deploymentStates, status.State, status.Description) {
		return
	}
	status.Created = r.server.clock.Now()
	d.Statuses = append(d.Statuses, status)
	reply(w, http.StatusCreated, map[string]any{
		"id": r.server.newID(), "state": status.State, "description": status.Description,
		"log_url": status.LogURL, "target_url": status.LogURL, "environment_url": status.EnvironmentURL, "environment": status.Environment,
		"created_at": stamp(status.Created),
	})
}

// acceptable checks a status's state and description; if they are wrong, the answer is written.
func acceptable(w http.ResponseWriter, resource string, states []string, state, description string) bool {
	switch {
	case !slices.Contains(states, state):
		invalid(w, resource, "state", fmt.Sprintf("%q is not included in the list", state))
	case utf8.RuneCountInString(description) > descriptionLimit:
		invalid(w, resource, "description", "description is too long (maximum is 140 characters)")
	default:
		return true
	}
	return false
}

var commitStates = []string{"error", "failure", "pending", "success"}

func (r *Repository) createStatus(w http.ResponseWriter, req *http.Request) {
	status := CommitStatus{SHA: req.PathValue("sha"), Context: "default"}
	if err := json.NewDecoder(req.Body).Decode(&status); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if r.objects[status.SHA].commit == nil {
		refuse(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+status.SHA)
		return
	}
	if !acceptable(w, "Status", commitStates, status.State, status.Description) {
		return
	}
	same := 0
	for _, other := range r.statusesOf(status.SHA) {
		if other.Context == status.Context {
			same++
		}
	}
	if same >= statusLimit {
		invalid(w, "Status", "base", "This SHA and context has reached the maximum number of statuses.")
		return
	}
	status.Created = r.server.clock.Now()
	r.statuses = append(r.statuses, status)
	reply(w, http.StatusCreated, map[string]any{
		"id": r.server.newID(), "state": status.State, "context": status.Context,
		"description": status.Description, "target_url": status.TargetURL, "created_at": stamp(status.Created),
	})
}
