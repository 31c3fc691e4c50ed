package ghapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// locate completes the path of a call that is relative to its repository.
func (c *Client) locate(k call) call {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, known := c.found[k.repo]
	if !known {
		place = byID(k.repo)
	}
	k.path = place + k.path
	return k
}

func byID(repo int64) string { return fmt.Sprintf("repositories/%d", repo) }

// byName is the documented path of a repository; empty if its name is not known.
func (c *Client) byName(repo int64) string {
	if c.name == nil {
		return ""
	}
	name, err := segments("repository", c.name(repo))
	if err != nil || strings.Count(name, "/") != 1 {
		return ""
	}
	return "repos/" + name
}

// look tells what a 404 means: the object is missing in the repository (then it
// is the error given), or the repository is missing or hidden, which GitHub
// answers in the same way, or the repository is only found by its name. Then
// there is no error, and the call is to be made again.
func (c *Client) look(ctx context.Context, repo int64, missing error) error {
	c.mu.Lock()
	_, known := c.found[repo]
	c.mu.Unlock()
	if known {
		return missing
	}
	for _, place := range []string{byID(repo), c.byName(repo)} {
		reached, err := c.reaches(ctx, repo, place)
		if err != nil {
			return err
		}
		if !reached {
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.found[repo] = place
		if place == byID(repo) {
			return missing
		}
		return nil
	}
	return hidden(repo)
}

// reaches tells whether a repository is at a path.
func (c *Client) reaches(ctx context.Context, repo int64, place string) (bool, error) {
	if place == "" {
		return false, nil
	}
	k := call{repo: repo, method: http.MethodGet, path: place, what: fmt.Sprintf("repository %d", repo), permission: readContents}
	resp, err := c.once(ctx, k)
	if release.KindOf(err) == release.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var found github.Repository
	if err := decode(resp.Body, k, &found); err != nil {
		return false, err
	}
	return found.GetID() == repo, nil
}
