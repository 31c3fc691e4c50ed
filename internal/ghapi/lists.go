package ghapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// maxListPages is how many pages of a list are read: a look at a repository must
// not use up the rate limit of all.
const maxListPages = 100

// TagRef is a tag as it is listed, not peeled.
type TagRef struct {
	Name string
	// Object is the sha that the tag points to: a commit's, or a tag object's if
	// Annotated. A list of releases does not tell it.
	Object    string
	Annotated bool
}

// TagList is a list as GitHub has it.
type TagList struct {
	Tags []TagRef
	// ETag stands for this list at the next look; empty if it has several pages,
	// since a page's says nothing of the others.
	ETag string
	// Unchanged tells that the list is the one that the given ETag stands for: Tags is empty.
	Unchanged bool
}

// Tags lists every tag of a repository, in GitHub's order. With the ETag of an
// earlier list, one that has not changed costs nothing of the rate limit
// (GitHub, "Best practices for using the REST API").
func (c *Client) Tags(ctx context.Context, repo int64, etag string) (TagList, error) {
	k := read(repo, "/git/matching-refs/tags?"+url.Values{"per_page": {"100"}}.Encode(), "the list of tags")
	return list(ctx, c, k, etag, func(ref github.Reference) (TagRef, bool) {
		name, ok := strings.CutPrefix(ref.GetRef(), tagPrefix)
		return TagRef{Name: name, Object: ref.GetObject().GetSHA(), Annotated: ref.GetObject().GetType() == "tag"}, ok
	})
}

// PublishedTags lists the tags that have a published release, in GitHub's order, as [Client.Tags] does.
func (c *Client) PublishedTags(ctx context.Context, repo int64, etag string) (TagList, error) {
	k := read(repo, "/releases?"+url.Values{"per_page": {"100"}}.Encode(), "the list of releases")
	return list(ctx, c, k, etag, func(found github.RepositoryRelease) (TagRef, bool) {
		return TagRef{Name: found.GetTagName()}, !found.GetDraft() && found.GetTagName() != ""
	})
}

// list reads a list whose first page has not the ETag that is given.
func list[T any](ctx context.Context, c *Client, k call, etag string, pick func(T) (TagRef, bool)) (TagList, error) {
	k.etag = etag
	resp, err := c.open(ctx, k)
	if err != nil {
		return TagList{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return TagList{ETag: etag, Unchanged: true}, nil
	}
	var listed TagList
	visit := func(items []T) {
		for _, item := range items {
			if tag, ok := pick(item); ok {
				listed.Tags = append(listed.Tags, tag)
			}
		}
	}
	var first []T
	if err := decode(resp.Body, k, &first); err != nil {
		return TagList{}, err
	}
	visit(first)
	next := nextPage(resp)
	if next == "" {
		listed.ETag = resp.Header.Get("ETag")
		return listed, nil
	}
	path, _, _ := strings.Cut(k.path, "?")
	k.etag, k.path = "", path+"?"+next
	count := 1
	err = pages(ctx, c, k, func(items []T) bool {
		visit(items)
		count++
		return count <= maxListPages
	})
	if err == nil && count > maxListPages {
		err = release.Errorf(release.Invalid, "%s has more than %d pages", k.what, maxListPages).
			WithRemedy("Delete what is not needed any more: Tagboat does not look for missed events in longer lists.")
	}
	return listed, err
}
