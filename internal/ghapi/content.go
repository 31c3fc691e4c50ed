package ghapi

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tagboat/tagboat/internal/release"
)

// MaxFile is the size of the largest file that File reads.
const MaxFile = 1 << 20

func quote(name string) string { return strconv.Quote(name) }

// File reads one file at a commit, of at most [MaxFile] bytes. GitHub follows a
// symlink to a file; any other symlink, a directory or a submodule is Invalid.
func (c *Client) File(ctx context.Context, repo int64, commit, path string) ([]byte, error) {
	what := "file " + quote(path) + " at commit " + commit
	escaped, err := segments("file", path)
	if err != nil {
		return nil, err
	}
	if err := checkCommit(commit); err != nil {
		return nil, err
	}
	k := read(repo, "/contents/"+escaped+"?"+url.Values{"ref": {commit}}.Encode(), what)
	k.accept = mediaRaw
	resp, err := c.open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // an unknown type is raw
	if media == "application/json" {
		return described(resp.Body, k)
	}
	return readAll(resp.Body, MaxFile, k)
}

// described reads an answer in JSON, which GitHub gives for what has no bytes:
// a directory (a list), a submodule, a symlink to nowhere. A file comes this way
// only from servers that do not know raw answers.
func described(body io.Reader, k call) ([]byte, error) {
	content, err := readAll(body, maxJSON, k)
	if err != nil {
		return nil, err
	}
	var entry github.RepositoryContent
	if strings.HasPrefix(strings.TrimSpace(string(content)), "[") || json.Unmarshal(content, &entry) != nil {
		return nil, release.Errorf(release.Invalid, "%s is a directory, want a file", k.what)
	}
	text, err := entry.GetContent()
	if entry.GetType() != "file" || err != nil {
		return nil, release.Errorf(release.Invalid, "%s is a %s, want a file of at most %d bytes", k.what, entry.GetType(), MaxFile)
	}
	if len(text) > MaxFile {
		return nil, release.Errorf(release.Invalid, "%s has %d bytes, want at most %d", k.what, len(text), MaxFile)
	}
	return []byte(text), nil
}

// Tarball streams the archive of a commit: a gzipped tar whose entries are in
// one directory, and whose pax global header names the commit. The caller
// closes it, and bounds what is read.
func (c *Client) Tarball(ctx context.Context, repo int64, commit string) (io.ReadCloser, error) {
	if err := checkCommit(commit); err != nil {
		return nil, err
	}
	k := read(repo, "/tarball/"+commit, "the archive of commit "+commit)
	k.binary = true
	resp, err := c.open(ctx, k)
	if err != nil {
		return nil, err
	}
	return stream{resp.Body, k}, nil
}

// ReleaseAsset streams an asset of a tag's GitHub release and tells its size.
// It is NotFound as long as the release, the asset or the end of its upload is
// missing: assets may arrive after the release is published.
func (c *Client) ReleaseAsset(ctx context.Context, repo int64, tag, name string) (io.ReadCloser, int64, error) {
	asset, err := c.findAsset(ctx, repo, tag, name)
	if err != nil {
		return nil, 0, err
	}
	what := "release asset " + quote(name) + " of tag " + quote(tag)
	if asset.GetState() != "uploaded" {
		return nil, 0, release.Errorf(release.NotFound, "%s is not uploaded yet: its state is %q", what, asset.GetState()).
			WithRemedy("Wait for the upload, or upload the asset again.")
	}
	k := read(repo, "/releases/assets/"+strconv.FormatInt(asset.GetID(), 10), what)
	k.accept, k.binary = mediaBinary, true
	resp, err := c.open(ctx, k)
	if err != nil {
		return nil, 0, err
	}
	return stream{resp.Body, k}, int64(asset.GetSize()), nil
}

// findAsset looks among the assets that a release is described with, and then
// through their list: the description of a release need not hold all.
func (c *Client) findAsset(ctx context.Context, repo int64, tag, name string) (*github.ReleaseAsset, error) {
	escaped, err := segments("tag", tag)
	if err != nil {
		return nil, err
	}
	var found github.RepositoryRelease
	if _, err := c.do(ctx, read(repo, "/releases/tags/"+escaped, "the release of tag "+quote(tag)), &found); err != nil {
		return nil, err
	}
	if asset := pick(found.Assets, name); asset != nil {
		return asset, nil
	}
	var asset *github.ReleaseAsset
	path := "/releases/" + strconv.FormatInt(found.GetID(), 10) + "/assets?per_page=100"
	k := read(repo, path, "the assets of the release of tag "+quote(tag))
	err = pages(ctx, c, k, func(assets []*github.ReleaseAsset) bool {
		asset = pick(assets, name)
		return asset == nil
	})
	if err == nil && asset == nil {
		err = release.Errorf(release.NotFound, "the release of tag %q has no asset %q", tag, name).
			WithRemedy("Upload the asset to the release.")
	}
	return asset, err
}

func pick(assets []*github.ReleaseAsset, name string) *github.ReleaseAsset {
	for _, asset := range assets {
		if asset.GetName() == name {
			return asset
		}
	}
	return nil
}
