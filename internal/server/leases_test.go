package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/server"
)

// dirty makes the record of a release that left prod in disorder.
func (s *served) dirty() release.Release {
	s.t.Helper()
	var rel release.Release
	var err error
	s.Clock.Run(func() {
		l := s.Local.Core().Ledger
		rel, _, err = l.Create(s.t.Context(), release.Request{App: "orders", Version: "0.9.0", Attempt: 1,
			Source: release.Source{RepositoryID: 1, Tag: "v0.9.0"}})
		if err != nil {
			return
		}
		holder := ledger.Holder{Release: rel.ID, Execution: rel.ID}
		if _, _, err = l.Acquire(s.t.Context(), "env/orders/prod", holder, ledger.Ask{TTL: time.Hour}); err != nil {
			return
		}
		if err = l.MarkDirty(s.t.Context(), "env/orders/prod", holder, "alias live was not restored"); err != nil {
			return
		}
		rel, err = l.Update(s.t.Context(), rel.ID, "", func(r *release.Release) error {
			r.State = release.FailedDirty
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return rel
}

func TestADirtyEnvironmentBlocksUntilSomebodyClearsIt(t *testing.T) {
	s := serve(t, "", nil)
	rel := s.dirty()
	s.tag("v1.0.0")
	s.Deliver(t.Context(), s.GitHub.Push(s.Repo, "v1.0.0"))
	leases := into[[]server.Lease](t, s.do(http.MethodGet, "/leases", nil))
	if len(leases) == 0 || leases[0].Dirty == "" && len(leases) == 1 {
		t.Fatalf("the dirty lease is not shown: %+v", leases)
	}
	json := []string{"Content-Type", "application/json"}
	if got := s.do(http.MethodPost, "/leases/clear", []byte(`{"app":"orders","environment":"prod","by":"alice"}`), json...); got.status != http.StatusBadRequest {
		t.Errorf("without a reason: status %d, want 400: %s", got.status, got.body)
	}
	body := []byte(`{"app":"orders","environment":"prod","reason":"restored by hand","by":"alice"}`)
	if got := s.do(http.MethodPost, "/leases/clear", body, json...); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	s.settle()
	for _, lease := range into[[]server.Lease](t, s.do(http.MethodGet, "/leases", nil)) {
		if lease.Release == rel.ID || lease.Dirty != "" {
			t.Errorf("still held: %+v", lease)
		}
	}
	if got := s.do(http.MethodPost, "/leases/clear", []byte(`{"app":"orders","environment":"dev","reason":"x","by":"alice"}`), json...); got.status != http.StatusConflict {
		t.Errorf("a lease that is not dirty: status %d, want 409: %s", got.status, got.body)
	}
}
