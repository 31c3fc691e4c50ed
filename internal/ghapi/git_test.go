package ghapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

func TestResolveTag(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.repo.Tag("v1.0.1", w.first)
		w.repo.Tag("release/v2+build#1", w.second)
		w.repo.Branch("v3", w.first)
		annotated := w.repo.AnnotatedTag("v4", w.second, "four")
		nested := w.repo.AnnotatedTag("v5", annotated, "five")
		w.repo.Tag("v6", w.repo.Tree(w.second))
		w.repo.Tag("v7", w.repo.Blob([]byte("a key")))
		w.repo.AnnotatedTag("v8", w.repo.Tree(w.second), "a tree")
		w.repo.Tag("v9", w.first)
		w.repo.Tag("v9", w.second)
		w.repo.Tag("v10", w.first)
		w.repo.DeleteTag("v10")
		deep := w.second
		for range 9 {
			deep = w.repo.AnnotatedTag("v11", deep, "deeper")
		}
		for _, c := range []struct {
			name string
			tag  string
			want ghapi.Tag
			kind release.Kind
		}{
			{name: "a lightweight tag is its commit", tag: "v1.0.1", want: ghapi.Tag{Commit: w.first}},
			{name: "a tag with odd characters is found", tag: "release/v2+build#1", want: ghapi.Tag{Commit: w.second}},
			{name: "the beginning of a tag's name is no tag", tag: "v1.0", kind: release.NotFound},
			{name: "a branch is no tag", tag: "v3", kind: release.NotFound},
			{name: "an annotated tag is peeled", tag: "v4", want: ghapi.Tag{Commit: w.second, Object: annotated}},
			{name: "an annotated tag of a tag is peeled twice", tag: "v5", want: ghapi.Tag{Commit: w.second, Object: nested}},
			{name: "a tag of a tree is refused", tag: "v6", kind: release.Invalid},
			{name: "a tag of a blob is refused", tag: "v7", kind: release.Invalid},
			{name: "an annotated tag of a tree is refused", tag: "v8", kind: release.Invalid},
			{name: "a moved tag is where it is now", tag: "v9", want: ghapi.Tag{Commit: w.second}},
			{name: "a deleted tag is not found", tag: "v10", kind: release.NotFound},
			{name: "tags nested too deeply are refused", tag: "v11", kind: release.Invalid},
			{name: "a name that climbs out of the path is refused", tag: "../heads/main", kind: release.Invalid},
			{name: "an empty name is refused", tag: "", kind: release.Invalid},
		} {
			t.Run(c.name, func(t *testing.T) {
				got, err := w.client.ResolveTag(t.Context(), repoID, c.tag)
				if !expect(t, err, c.kind) {
					return
				}
				c.want.Name = c.tag
				if got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			})
		}
	})
}

func TestAServerThatAnswersWithALongerRefIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.listen(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, `{"ref":"refs/tags/v1.0.1","object":{"type":"commit","sha":%q}}`, w.first)
	}))
	_, err := w.client.ResolveTag(t.Context(), repoID, "v1.0")
	expect(t, err, release.NotFound)
}

func TestOnAnyBranch(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.repo.Branch("feature/x", w.first)
		side := w.repo.Commit("feature/x", "aside", nil)
		w.repo.Commit("feature/x", "further aside", nil)
		orphan := w.repo.Commit("orphan", "another root", nil)
		w.repo.Branch("trap", w.first)
		w.repo.Tag("trap", side)
		for _, c := range []struct {
			name     string
			commit   string
			branches []string
			want     bool
			kind     release.Kind
		}{
			{name: "the head of a branch is on it", commit: w.second, branches: []string{"main"}, want: true},
			{name: "an ancestor of the head is on the branch", commit: w.first, branches: []string{"main"}, want: true},
			{name: "a commit ahead of the branch is not on it", commit: side, branches: []string{"main"}},
			{name: "a commit of another root is not on the branch", commit: orphan, branches: []string{"main"}},
			{name: "any of several branches will do", commit: side, branches: []string{"main", "feature/x"}, want: true},
			{name: "a missing branch is passed over", commit: w.first, branches: []string{"gone", "main"}, want: true},
			{name: "only missing branches are an error", commit: w.first, branches: []string{"gone", "too"}, kind: release.NotFound},
			{name: "a tag named like a branch does not stand in for it", commit: side, branches: []string{"trap"}},
			{name: "a short sha is refused", commit: w.first[:7], branches: []string{"main"}, kind: release.Invalid},
		} {
			t.Run(c.name, func(t *testing.T) {
				got, err := w.client.OnAnyBranch(t.Context(), repoID, c.commit, c.branches)
				if expect(t, err, c.kind) && got != c.want {
					t.Errorf("got %v, want %v", got, c.want)
				}
			})
		}
	})
}

func TestTagsListsEveryPage(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for i := range 250 {
			w.repo.Tag(fmt.Sprintf("v1.%d", i), w.first)
		}
		object := w.repo.AnnotatedTag("v2", w.second, "two")
		got, err := w.client.Tags(t.Context(), repoID, "")
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]ghapi.TagRef{}
		for _, tag := range got.Tags {
			found[tag.Name] = tag
		}
		if len(got.Tags) != 251 || len(found) != 251 {
			t.Errorf("got %d tags, %d different; want 251", len(got.Tags), len(found))
		}
		if want := (ghapi.TagRef{Name: "v2", Object: object, Annotated: true}); found["v2"] != want {
			t.Errorf("got %+v, want %+v", found["v2"], want)
		}
		if want := (ghapi.TagRef{Name: "v1.249", Object: w.first}); found["v1.249"] != want {
			t.Errorf("got %+v, want %+v", found["v1.249"], want)
		}
	})
}

func TestALinkToAnotherHostIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	for i := range 150 {
		w.repo.Tag(fmt.Sprintf("v1.%d", i), w.first)
	}
	w.listen(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.server.ServeHTTP(rewriting{rw}, req)
	}))
	got, err := w.client.Tags(t.Context(), repoID, "")
	if err != nil || len(got.Tags) != 150 {
		t.Errorf("got %d tags, %v; want 150 from the API itself", len(got.Tags), err)
	}
}

// rewriting answers with links to a host that is not the API.
type rewriting struct{ http.ResponseWriter }

func (r rewriting) WriteHeader(status int) {
	if link := r.Header().Get("Link"); link != "" {
		_, query, _ := strings.Cut(link, "?")
		r.Header().Set("Link", "<http://elsewhere.invalid/repositories/1/git/matching-refs/tags?"+query)
	}
	r.ResponseWriter.WriteHeader(status)
}
