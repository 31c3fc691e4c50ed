package ghapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

func TestAListIsReadAgainOnlyIfItChanged(t *testing.T) {
	for name, read := range map[string]func(*ghapi.Client, context.Context, int64, string) (ghapi.TagList, error){
		"tags": (*ghapi.Client).Tags, "releases": (*ghapi.Client).PublishedTags,
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				w.repo.Tag("v1", w.first)
				w.repo.Publish("v1", "one")
				first, err := read(w.client, t.Context(), repoID, "")
				if err != nil || len(first.Tags) != 1 || first.ETag == "" {
					t.Fatalf("got %+v (%v), want one with an ETag", first, err)
				}
				again, err := read(w.client, t.Context(), repoID, first.ETag)
				if err != nil || !again.Unchanged || len(again.Tags) != 0 || again.ETag != first.ETag {
					t.Errorf("got %+v (%v), want unchanged", again, err)
				}
				w.repo.Tag("v2", w.second)
				w.repo.Publish("v2", "two")
				changed, err := read(w.client, t.Context(), repoID, first.ETag)
				if err != nil || changed.Unchanged || len(changed.Tags) != 2 || changed.ETag == first.ETag {
					t.Errorf("got %+v (%v), want two", changed, err)
				}
			})
		})
	}
}

func TestAListOfSeveralPagesHasNoETag(t *testing.T) {
	w := newWorld(t)
	for i := range 250 {
		w.repo.Publish(fmt.Sprintf("v1.%d", i), "")
	}
	listed, err := w.client.PublishedTags(t.Context(), repoID, "")
	if err != nil || len(listed.Tags) != 250 || listed.ETag != "" {
		t.Errorf("got %d releases with the ETag %q (%v), want 250 without", len(listed.Tags), listed.ETag, err)
	}
}

func TestADraftIsNotPublished(t *testing.T) {
	w := newWorld(t)
	w.server.OnRequest(on("/releases", github.Fault{Status: http.StatusOK,
		Body: `[{"tag_name": "v2", "draft": true}, {"tag_name": "v1", "prerelease": true}]`}))
	listed, err := w.client.PublishedTags(t.Context(), repoID, "")
	if err != nil || len(listed.Tags) != 1 || listed.Tags[0].Name != "v1" {
		t.Errorf("got %+v (%v), want v1 alone", listed.Tags, err)
	}
}

func TestAnEndlessListIsNotReadToItsEnd(t *testing.T) {
	w := newWorld(t)
	count := 0
	w.server.OnRequest(func(*http.Request) github.Fault {
		count++
		return github.Fault{Status: http.StatusOK, Body: `[{"ref": "refs/tags/v1"}]`,
			Header: http.Header{"Link": {fmt.Sprintf(`<https://api.github.com/x?page=%d>; rel="next"`, count+1)}}}
	})
	_, err := w.client.Tags(t.Context(), repoID, "")
	expect(t, err, release.Invalid)
	if count > 101 {
		t.Errorf("%d pages were read", count)
	}
}

// hooked is a world whose client is a GitHub App.
func hooked(t *testing.T) *world {
	t.Helper()
	public, private := appKey(t)
	w := newWorld(t)
	w.server.SetApp(12, 34, public)
	w.config.Token, w.config.App = nil, &ghapi.App{ID: 12, PrivateKey: private}
	w.connect(t)
	return w
}

func TestTheAppSeesWhatBecameOfItsDeliveries(t *testing.T) {
	w := hooked(t)
	w.repo.Tag("v1", w.first)
	var sent []string
	for _, code := range []int{http.StatusOK, http.StatusBadGateway, 0} {
		w.server.SetReceiver(func(github.Delivery) int { return code })
		d := w.server.Push(w.repo, "v1")
		w.server.Send(d)
		sent = append([]string{d.GUID}, sent...)
	}
	listed, err := w.client.Deliveries(t.Context(), start.Add(-time.Hour))
	if err != nil || len(listed) != 3 {
		t.Fatalf("got %d deliveries (%v), want 3", len(listed), err)
	}
	for i, d := range listed {
		if d.GUID != sent[i] || d.Arrived() != (i == 2) || d.Event != "push" || d.Repository != repoID || !d.At.Equal(start) {
			t.Errorf("delivery %d is %+v, want the latest first, and only the oldest arrived", i, d)
		}
	}
	if later, err := w.client.Deliveries(t.Context(), start.Add(time.Second)); err != nil || len(later) != 0 {
		t.Errorf("got %+v (%v), want none later", later, err)
	}
}

func TestDeliveriesAreReadPageByPageWithinBounds(t *testing.T) {
	w := hooked(t)
	w.repo.Tag("v1", w.first)
	d := w.server.Push(w.repo, "v1")
	for range 2150 {
		w.server.Send(d)
	}
	listed, err := w.client.Deliveries(t.Context(), start.Add(-time.Hour))
	different := map[int64]bool{}
	for _, d := range listed {
		different[d.ID] = true
	}
	if err != nil || len(listed) != 2000 || len(different) != 2000 {
		t.Errorf("got %d deliveries, %d different (%v), want the latest 2000", len(listed), len(different), err)
	}
}

func TestADeliveryIsMadeAgain(t *testing.T) {
	w := hooked(t)
	w.repo.Tag("v1", w.first)
	d := w.server.Push(w.repo, "v1")
	var got []string
	w.server.SetReceiver(func(d github.Delivery) int {
		got = append(got, d.GUID)
		return http.StatusBadGateway
	})
	w.server.Send(d)
	listed, err := w.client.Deliveries(t.Context(), start.Add(-time.Hour))
	if err != nil || len(listed) != 1 {
		t.Fatalf("got %+v (%v), want one", listed, err)
	}
	w.clock.Run(func() {
		expect(t, w.client.Redeliver(t.Context(), listed[0].ID), "")
		expect(t, w.client.Redeliver(t.Context(), listed[0].ID+1000), release.NotFound)
		_ = w.clock.Sleep(t.Context(), time.Second)
	})
	if !slices.Equal(got, []string{d.GUID, d.GUID}) {
		t.Errorf("delivered were %q, want %q twice", got, d.GUID)
	}
}

func TestOnlyAnAppMayLookAtDeliveries(t *testing.T) {
	w := newWorld(t)
	if w.client.IsApp() || !hooked(t).client.IsApp() {
		t.Error("a token counts as an app, or an app does not")
	}
	_, err := w.client.Deliveries(t.Context(), start)
	expect(t, err, release.Invalid)
	expect(t, w.client.Redeliver(t.Context(), 1), release.Invalid)
	h := hooked(t)
	h.server.OnRequest(on("/app/hook", github.Fault{Status: http.StatusNotFound, Body: `{}`}))
	listed, err := h.client.Deliveries(t.Context(), start)
	if len(listed) != 0 {
		t.Errorf("an app without a webhook has %+v", listed)
	}
	expect(t, err, "")
}
