package github

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// summaryLimit is the most characters of a check run's summary (REST API reference).
const summaryLimit = 65535

// CheckRun is a check run of a commit.
type CheckRun struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	HeadSHA    string `json:"head_sha"`
	ExternalID string `json:"external_id"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
	DetailsURL string `json:"details_url"`
	Output     struct {
		Title   string `json:"title"`
		Summary string `json:"summary"`
	} `json:"output"`
	StartedAt   time.Time `json:"started_at"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	// Updates counts how often it was changed after it was created.
	Updates int `json:"-"`
}

// Title is what GitHub shows beside the name.
func (c CheckRun) Title() string { return c.Output.Title }

// CheckRuns are the repository's check runs, oldest first.
func (s *Server) CheckRuns(r *Repository) []CheckRun {
	defer r.lock()()
	var all []CheckRun
	for _, run := range r.checkRuns {
		all = append(all, *run)
	}
	return all
}

// onlyApps refuses whoever is no app (REST API reference, check runs).
func (r *Repository) onlyApps(w http.ResponseWriter, req *http.Request) bool {
	_, credential, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if app := r.server.app; app != nil && app.issued[credential] {
		return true
	}
	refuse(w, http.StatusForbidden, "You must authenticate via a GitHub App.")
	return false
}

func (r *Repository) listCheckRuns(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	found := []*CheckRun{}
	for _, run := range r.checkRuns {
		if run.HeadSHA == req.PathValue("sha") && (query.Get("check_name") == "" || query.Get("check_name") == run.Name) {
			found = append(found, run)
		}
	}
	from, to := page(w, req, len(found))
	reply(w, http.StatusOK, map[string]any{"total_count": len(found), "check_runs": found[from:to]})
}

func (r *Repository) createCheckRun(w http.ResponseWriter, req *http.Request) {
	run := &CheckRun{ID: r.server.newID(), Status: "queued", StartedAt: r.server.clock.Now()}
	if !r.onlyApps(w, req) || !readCheckRun(w, req, run) {
		return
	}
	if r.objects[run.HeadSHA].commit == nil {
		refuse(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+run.HeadSHA)
		return
	}
	r.checkRuns = append(r.checkRuns, run)
	reply(w, http.StatusCreated, run)
}

func (r *Repository) updateCheckRun(w http.ResponseWriter, req *http.Request) {
	if !r.onlyApps(w, req) {
		return
	}
	id, _ := strconv.ParseInt(req.PathValue("run"), 10, 64)
	i := slices.IndexFunc(r.checkRuns, func(run *CheckRun) bool { return run.ID == id })
	if i < 0 {
		notFound(w)
		return
	}
	updated := *r.checkRuns[i]
	if !readCheckRun(w, req, &updated) {
		return
	}
	updated.Updates++
	*r.checkRuns[i] = updated
	reply(w, http.StatusOK, updated)
}

// readCheckRun reads and checks what a request says of a check run; if it is wrong, the answer is written.
func readCheckRun(w http.ResponseWriter, req *http.Request, run *CheckRun) bool {
	if err := json.NewDecoder(req.Body).Decode(run); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	conclusions := []string{"", "action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}
	switch {
	case run.Name == "":
		invalid(w, "CheckRun", "name", "name is missing")
	case !slices.Contains(conclusions, run.Conclusion):
		invalid(w, "CheckRun", "conclusion", run.Conclusion+" is not included in the list")
	case utf8.RuneCountInString(run.Output.Summary) > summaryLimit:
		invalid(w, "CheckRun", "summary", "summary exceeds a maximum length of 65535 characters")
	case run.Output.Title == "" || run.Output.Summary == "":
		invalid(w, "CheckRun", "output", "output needs a title and a summary")
	default:
		return true
	}
	return false
}
