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
// up to date. It can be called again after a lost answer. Two callers at the same
// time may both create one: without an ID, all that are there are brought up to
// date. Only a GitHub App may write check runs: see [Client.IsApp].
func (c *Client) PutCheckRun(ctx context.Context, repo int64, run CheckRun) (id int64, err error) {
	if err := checkCommit(run.Commit); err != nil {
		return 0, err
	}
	if run.ID != 0 {
		return c.updateCheckRun(ctx, repo, run)
	}
	found, err := c.findCheckRuns(ctx, repo, run)
	if err != nil {
		return 0, err
	}
	for _, run.ID = range found {
		if id, err = c.updateCheckRun(ctx, repo, run); err != nil {
			return 0, err
		}
	}
	if id != 0 {
		return id, nil
	}
	var created github.CheckRun
	_, err = c.do(ctx, post(repo, "/check-runs", run.create(), "the check run of release "+quote(run.Release), writeChecks), &created)
	return created.GetID(), err
}

func (c *Client) updateCheckRun(ctx context.Context, repo int64, run CheckRun) (id int64, err error) {
	k := post(repo, "/check-runs/"+strconv.FormatInt(run.ID, 10), run.update(), "the check run of release "+quote(run.Release), writeChecks)
	k.method = http.MethodPatch
	var updated github.CheckRun
	_, err = c.do(ctx, k, &updated)
	return updated.GetID(), err
}

// findCheckRuns finds the check runs of a release, by name and external id.
func (c *Client) findCheckRuns(ctx context.Context, repo int64, run CheckRun) (ids []int64, err error) {
	query := url.Values{"check_name": {run.Name}, "filter": {"all"}, "per_page": {"100"}}
	k := read(repo, "/commits/"+run.Commit+"/check-runs?"+query.Encode(), "the check runs of commit "+run.Commit)
	k.permission = writeChecks
	err = pages(ctx, c, k, func(found github.ListCheckRunsResults) bool {
		for _, candidate := range found.CheckRuns {
			if candidate.GetExternalID() == run.Release && candidate.GetName() == run.Name {
				ids = append(ids, candidate.GetID())
			}
		}
		return true
	})
	return ids, err
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
