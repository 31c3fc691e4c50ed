package github

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The states of a release asset: it can be downloaded when it is uploaded.
const (
	assetStarter  = "starter"
	assetUploaded = "uploaded"
)

// published is a GitHub release.
type published struct {
	id     int64
	tag    string
	name   string
	author string
	when   time.Time
	assets []*asset
}

type asset struct {
	id      int64
	name    string
	state   string
	content []byte
	when    time.Time
}

// Publish makes the GitHub release of a tag, without assets.
func (r *Repository) Publish(tag, name string) {
	defer r.lock()()
	r.releases = append(r.releases, &published{
		id: r.server.newID(), tag: tag, name: name,
		author: r.server.sender, when: r.server.clock.Now(),
	})
}

// StartAsset begins the upload of an asset, which cannot be downloaded yet. It
// does nothing if the tag has no release.
func (r *Repository) StartAsset(tag, name string) {
	defer r.lock()()
	r.asset(tag, name)
}

// UploadAsset completes the upload of an asset, or replaces it. It does nothing
// if the tag has no release.
func (r *Repository) UploadAsset(tag, name string, content []byte) {
	defer r.lock()()
	if a := r.asset(tag, name); a != nil {
		a.state, a.content = assetUploaded, content
	}
}

// asset finds an asset or starts it; nil if the tag has no release.
func (r *Repository) asset(tag, name string) *asset {
	release := r.published(tag)
	if release == nil {
		return nil
	}
	for _, a := range release.assets {
		if a.name == name {
			return a
		}
	}
	a := &asset{id: r.server.newID(), name: name, state: assetStarter, when: r.server.clock.Now()}
	release.assets = append(release.assets, a)
	return a
}

func (r *Repository) published(tag string) *published {
	for _, release := range r.releases {
		if release.tag == tag {
			return release
		}
	}
	return nil
}

// listReleases lists the latest first.
func (r *Repository) listReleases(w http.ResponseWriter, req *http.Request) {
	from, to := page(w, req, len(r.releases))
	list := []any{}
	for i := from; i < to; i++ {
		list = append(list, r.describeRelease(baseURL(req), r.releases[len(r.releases)-1-i]))
	}
	replyTagged(w, req, list)
}

// getRelease answers for a tag's release, a release's assets, or one asset.
func (r *Repository) getRelease(w http.ResponseWriter, req *http.Request) {
	rest := req.PathValue("rest")
	if tag, ok := strings.CutPrefix(rest, "tags/"); ok {
		r.getReleaseByTag(w, req, tag)
		return
	}
	if id, ok := strings.CutPrefix(rest, "assets/"); ok {
		r.getAsset(w, req, id)
		return
	}
	if id, ok := strings.CutSuffix(rest, "/assets"); ok {
		r.listAssets(w, req, id)
		return
	}
	notFound(w)
}

func (r *Repository) getReleaseByTag(w http.ResponseWriter, req *http.Request, tag string) {
	release := r.published(tag)
	if release == nil {
		notFound(w)
		return
	}
	reply(w, http.StatusOK, r.describeRelease(baseURL(req), release))
}

func (r *Repository) listAssets(w http.ResponseWriter, req *http.Request, id string) {
	for _, release := range r.releases {
		if strconv.FormatInt(release.id, 10) == id {
			all := r.describeAssets(baseURL(req), release)
			from, to := page(w, req, len(all))
			reply(w, http.StatusOK, all[from:to])
			return
		}
	}
	notFound(w)
}

// getAsset describes an asset, or redirects to its bytes if the caller accepts those.
func (r *Repository) getAsset(w http.ResponseWriter, req *http.Request, id string) {
	release, a := r.assetByID(id)
	switch {
	case a == nil:
		notFound(w)
	case req.Header.Get("Accept") != "application/octet-stream":
		reply(w, http.StatusOK, r.describeAsset(baseURL(req), release, a))
	case a.state != assetUploaded:
		notFound(w)
	default:
		w.Header().Set("Location", fmt.Sprintf("%s/%d/%d?token=%s", filesURL(req, assetPath), r.id, a.id, r.pass(id)))
		w.WriteHeader(http.StatusFound)
	}
}

func (r *Repository) assetByID(id string) (*published, *asset) {
	for _, release := range r.releases {
		for _, a := range release.assets {
			if strconv.FormatInt(a.id, 10) == id {
				return release, a
			}
		}
	}
	return nil, nil
}

// serveAsset answers with an asset's bytes. Its host takes the credential in the URL and refuses any other.
func (s *Server) serveAsset(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, id := s.find(req), req.PathValue("asset")
	if !passes(w, req, r, id) {
		return
	}
	_, a := r.assetByID(id)
	if a == nil {
		notFound(w)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(a.content) // an answer is a buffer: it takes everything
}

func (r *Repository) describeRelease(base string, release *published) map[string]any {
	url := fmt.Sprintf("%s/releases/%d", r.apiURL(base), release.id)
	return map[string]any{
		"id":               release.id,
		"url":              url,
		"assets_url":       url + "/assets",
		"upload_url":       url + "/assets{?name,label}",
		"html_url":         r.htmlURL() + "/releases/tag/" + release.tag,
		"tarball_url":      r.apiURL(base) + "/tarball/" + release.tag,
		"zipball_url":      r.apiURL(base) + "/zipball/" + release.tag,
		"tag_name":         release.tag,
		"target_commitish": defaultBranch,
		"name":             release.name,
		"body":             "",
		"draft":            false,
		"prerelease":       false,
		"author":           user(release.author),
		"created_at":       stamp(release.when),
		"published_at":     stamp(release.when),
		"assets":           r.describeAssets(base, release),
	}
}

func (r *Repository) describeAssets(base string, release *published) []any {
	described := []any{}
	for _, a := range release.assets {
		described = append(described, r.describeAsset(base, release, a))
	}
	return described
}

func (r *Repository) describeAsset(base string, release *published, a *asset) map[string]any {
	return map[string]any{
		"id":                   a.id,
		"url":                  fmt.Sprintf("%s/releases/assets/%d", r.apiURL(base), a.id),
		"browser_download_url": r.htmlURL() + "/releases/download/" + release.tag + "/" + a.name,
		"name":                 a.name,
		"state":                a.state,
		"content_type":         "application/octet-stream",
		"size":                 len(a.content),
		"uploader":             user(release.author),
		"created_at":           stamp(a.when),
		"updated_at":           stamp(a.when),
	}
}
