package ghapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// maxNesting is how many tag objects may lie between a tag and its commit.
const maxNesting = 8

// The prefixes of full ref names.
const (
	headPrefix = "refs/heads/"
	tagPrefix  = "refs/tags/"
)

// Tag is a tag and the commit it stands for.
type Tag struct {
	Name string
	// Commit is the sha of the commit, with every annotation peeled off.
	Commit string
	// Object is the sha of the tag object; empty for a lightweight tag.
	Object string
}

// ResolveTag finds the commit of a tag. A tag that is not there is NotFound; one
// that stands for a tree or a blob is Invalid.
func (c *Client) ResolveTag(ctx context.Context, repo int64, tag string) (Tag, error) {
	what := "tag " + quote(tag)
	object, err := c.ref(ctx, repo, tagPrefix, tag, what)
	if err != nil {
		return Tag{}, err
	}
	resolved := Tag{Name: tag}
	if object.GetType() == "tag" {
		resolved.Object = object.GetSHA()
	}
	for range maxNesting {
		if object.GetType() != "tag" {
			break
		}
		if object, err = c.annotated(ctx, repo, object.GetSHA(), what); err != nil {
			return Tag{}, err
		}
	}
	if object.GetType() != "commit" {
		return Tag{}, release.Errorf(release.Invalid, "%s stands for a %s, want a commit", what, object.GetType()).
			WithRemedy("Tag a commit.")
	}
	resolved.Commit = object.GetSHA()
	return resolved, checkCommit(resolved.Commit)
}

// ref finds what exactly the ref of that name points to. Some servers answer
// with a ref that merely begins with the name; that is as good as none.
func (c *Client) ref(ctx context.Context, repo int64, prefix, name, what string) (*github.GitObject, error) {
	escaped, err := segments(what, name)
	if err != nil {
		return nil, err
	}
	var found github.Reference
	path := "/git/ref/" + strings.TrimPrefix(prefix, "refs/") + escaped
	if _, err := c.do(ctx, read(repo, path, what), &found); err != nil {
		return nil, err
	}
	if found.GetRef() != prefix+name || found.Object == nil {
		return nil, release.Errorf(release.NotFound, "%s is not at github: the nearest ref is %q", what, found.GetRef())
	}
	return found.Object, nil
}

// annotated is what a tag object stands for.
func (c *Client) annotated(ctx context.Context, repo int64, sha, what string) (*github.GitObject, error) {
	if err := checkCommit(sha); err != nil {
		return nil, err
	}
	var tag github.Tag
	if _, err := c.do(ctx, read(repo, "/git/tags/"+sha, "the annotation of "+what), &tag); err != nil {
		return nil, err
	}
	return tag.GetObject(), nil
}

// OnAnyBranch tells whether a commit is the head of one of the branches or an
// ancestor of it. A branch that does not exist is passed over; if none exists,
// the error is NotFound.
func (c *Client) OnAnyBranch(ctx context.Context, repo int64, commit string, branches []string) (bool, error) {
	if err := checkCommit(commit); err != nil {
		return false, err
	}
	exist := false
	for _, branch := range branches {
		head, err := c.ref(ctx, repo, headPrefix, branch, "branch "+quote(branch))
		if release.KindOf(err) == release.NotFound {
			continue
		}
		if err != nil {
			return false, err
		}
		exist = true
		on, err := c.descends(ctx, repo, head.GetSHA(), commit)
		if on || err != nil {
			return on, err
		}
	}
	if !exist {
		return false, release.Errorf(release.NotFound, "none of the branches %q exists in repository %d", branches, repo).
			WithRemedy("Correct the app's branches in the registry.")
	}
	return false, nil
}

// descends tells whether head is a commit or descends from it. GitHub answers
// 404 for commits that have no ancestor in common.
func (c *Client) descends(ctx context.Context, repo int64, head, commit string) (bool, error) {
	if head == commit {
		return true, nil
	}
	if err := checkCommit(head); err != nil {
		return false, err
	}
	var comparison github.CommitsComparison
	k := read(repo, "/compare/"+head+"..."+commit+"?per_page=1", "the comparison of commit "+commit)
	_, err := c.do(ctx, k, &comparison)
	if release.KindOf(err) == release.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return comparison.GetStatus() == "behind" || comparison.GetStatus() == "identical", nil
}

// post is a call that changes something at GitHub.
func post(repo int64, path string, body any, what, permission string) call {
	return call{repo: repo, method: http.MethodPost, path: path, body: body, what: what, permission: permission}
}
