package ghapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/go-github/v62/github"
)

// MaxSummary is the most that GitHub takes as the summary of a check run, in
// characters (REST API reference, check runs).
const MaxSummary = 65_535

// maxTitle is as much of a title as GitHub's pages show.
const maxTitle = 255

// CheckRun is what GitHub shows of a release at its commit, in full.
type CheckRun struct {
	// ID is GitHub's; 0 if it is not known.
	ID int64
	// Release is the release's id, by which its check run is found again.
	Release string
	// Name tells the app's check runs at a commit apart.
	Name   string
	Commit string
	// Conclusion is success, failure, cancelled or timed_out; empty while it goes on.
	Conclusion string
	// Title is cut to 255 characters, and Summary, in Markdown, to 65,535.
	Title, Summary string
	// Link is the address of details; empty is none.
	Link               string
	Started, Completed time.Time
}

// PutCheckRun creates the check run of a release, or brings the one that is there
// up to date. It can be called again after a lost answer. Only a GitHub App may
// write check runs: see [Client.IsApp].
func (c *Client) PutCheckRun(ctx context.Context, repo int64, run CheckRun) (id int64, err error) {
	if err := checkCommit(run.Commit); err != nil {
		return 0, err
	}
	if run.ID == 0 {
		if run.ID, err = c.findCheckRun(ctx, repo, run); err != nil {
			return 0, err
		}
	}
	k := post(repo, "/check-runs", run.create(), "the check run of release "+quote(run.Release), writeChecks)
	if run.ID != 0 {
		k.method, k.path, k.body = http.MethodPatch, "/check-runs/"+strconv.FormatInt(run.ID, 10), run.update()
	}
	var put github.CheckRun
	_, err = c.do(ctx, k, &put)
	return put.GetID(), err
}

// findCheckRun finds the check run of a release; 0 if there is none.
func (c *Client) findCheckRun(ctx context.Context, repo int64, run CheckRun) (id int64, err error) {
	query := url.Values{"check_name": {run.Name}, "filter": {"all"}, "per_page": {"100"}}
	k := read(repo, "/commits/"+run.Commit+"/check-runs?"+query.Encode(), "the check runs of commit "+run.Commit)
	k.permission = writeChecks
	var found github.ListCheckRunsResults
	if _, err := c.do(ctx, k, &found); err != nil {
		return 0, err
	}
	for _, candidate := range found.CheckRuns {
		if candidate.GetExternalID() == run.Release && candidate.GetName() == run.Name {
			return candidate.GetID(), nil
		}
	}
	return 0, nil
}

func (r CheckRun) status() string {
	if r.Conclusion == "" {
		return "in_progress"
	}
	return "completed"
}

func (r CheckRun) output() *github.CheckRunOutput {
	return &github.CheckRunOutput{Title: github.String(cut(r.Title, maxTitle)), Summary: github.String(cut(r.Summary, MaxSummary))}
}

func (r CheckRun) create() github.CreateCheckRunOptions {
	return github.CreateCheckRunOptions{
		Name: r.Name, HeadSHA: r.Commit, ExternalID: github.String(r.Release), Status: github.String(r.status()), Output: r.output(),
		DetailsURL: optional(r.Link), Conclusion: optional(r.Conclusion), StartedAt: moment(r.Started), CompletedAt: moment(r.Completed),
	}
}

func (r CheckRun) update() github.UpdateCheckRunOptions {
	return github.UpdateCheckRunOptions{
		Name: r.Name, ExternalID: github.String(r.Release), Status: github.String(r.status()), Output: r.output(),
		DetailsURL: optional(r.Link), Conclusion: optional(r.Conclusion), CompletedAt: moment(r.Completed),
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func moment(t time.Time) *github.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &github.Timestamp{Time: t.UTC()}
}
