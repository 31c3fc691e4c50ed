package github

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (r *Repository) getRepository(w http.ResponseWriter, req *http.Request) {
	reply(w, http.StatusOK, r.describeRepository(baseURL(req)))
}

// getRef answers for exactly one ref, never for those that begin with its name.
func (r *Repository) getRef(w http.ResponseWriter, req *http.Request) {
	full := "refs/" + req.PathValue("ref")
	if r.refs[full].sha == "" {
		notFound(w)
		return
	}
	reply(w, http.StatusOK, r.describeRef(baseURL(req), full))
}

// listRefs answers with every ref that begins with a name, in order.
func (r *Repository) listRefs(w http.ResponseWriter, req *http.Request) {
	prefix := "refs/" + req.PathValue("ref")
	var names []string
	for _, full := range slices.Sorted(maps.Keys(r.refs)) {
		if strings.HasPrefix(full, prefix) && r.refs[full].sha != "" {
			names = append(names, full)
		}
	}
	from, to := page(w, req, len(names))
	list := []any{}
	for _, full := range names[from:to] {
		list = append(list, r.describeRef(baseURL(req), full))
	}
	replyTagged(w, req, list)
}

func (r *Repository) describeRef(base, full string) map[string]any {
	return map[string]any{
		"ref":    full,
		"url":    r.apiURL(base) + "/git/" + full,
		"object": r.describe(base, r.refs[full].sha),
	}
}

// getTag answers with a tag object.
func (r *Repository) getTag(w http.ResponseWriter, req *http.Request) {
	sha := req.PathValue("sha")
	t := r.objects[sha].tag
	if t == nil {
		notFound(w)
		return
	}
	base := baseURL(req)
	reply(w, http.StatusOK, map[string]any{
		"tag":     t.name,
		"sha":     sha,
		"url":     r.apiURL(base) + "/git/tags/" + sha,
		"message": t.message,
		"tagger":  signature(t.tagger, t.when),
		"object":  r.describe(base, t.target),
	})
}

// compare tells how head stands to base.
func (r *Repository) compare(w http.ResponseWriter, req *http.Request) {
	base, head, ok := strings.Cut(req.PathValue("basehead"), "...")
	baseSHA, baseCommit := r.peel(r.resolve(base))
	headSHA, headCommit := r.peel(r.resolve(head))
	if !ok || baseCommit == nil || headCommit == nil {
		notFound(w)
		return
	}
	ofBase, ofHead := r.history(baseSHA), r.history(headSHA)
	ahead, behind := missing(ofHead, ofBase), missing(ofBase, ofHead)
	if ahead == len(ofHead) {
		refuse(w, http.StatusNotFound, "No common ancestor between "+base+" and "+head+".")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"status":        relation(ahead, behind),
		"ahead_by":      ahead,
		"behind_by":     behind,
		"total_commits": ahead,
		"commits":       []any{},
		"files":         []any{},
	})
}

// missing counts what is in some and not in others.
func missing(some, others map[string]bool) int {
	n := 0
	for sha := range some {
		if !others[sha] {
			n++
		}
	}
	return n
}

func relation(ahead, behind int) string {
	switch {
	case ahead == 0 && behind == 0:
		return "identical"
	case ahead == 0:
		return "behind"
	case behind == 0:
		return "ahead"
	}
	return "diverged"
}
