package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
)

// Lease is a lease of an environment as people see it, without the tokens.
type Lease struct {
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Release     string    `json:"release"`
	Since       time.Time `json:"since"`
	Expires     time.Time `json:"expires"`
	// Waiting are the releases that get it next, in order.
	Waiting []string `json:"waiting"`
	// Dirty is why it is kept although its release has ended.
	Dirty string `json:"dirty,omitempty"`
}

// leases answers the leases of environments that somebody holds or waits for.
func (s *server) leases(w http.ResponseWriter, r *http.Request) {
	found, err := s.ledger().Leases(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	shown := []Lease{}
	for _, lease := range found {
		if parts := strings.Split(lease.Name, "/"); len(parts) == 3 && parts[0] == "env" {
			shown = append(shown, newLease(parts[1], parts[2], lease))
		}
	}
	s.write(w, r, http.StatusOK, shown)
}

func newLease(app, environment string, lease ledger.Lease) Lease {
	shown := Lease{
		App: app, Environment: environment, Release: lease.Holder.Release, Since: lease.Since, Expires: lease.Expires,
		Waiting: []string{}, Dirty: lease.Dirty,
	}
	for _, waiter := range lease.Waiters {
		shown.Waiting = append(shown.Waiting, waiter.Release)
	}
	return shown
}

// clearLease takes a person's word that an environment is in order again.
func (s *server) clearLease(w http.ResponseWriter, r *http.Request) {
	var clearing app.Clearing
	if !s.read(w, r, &clearing, by(&clearing.By), reason(&clearing.Reason)) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	if err := s.parts.Leasing().Clear(ctx, clearing); err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.WarnContext(ctx, "a lease was cleared by hand", "app", clearing.App, "environment", clearing.Environment,
		"by", clearing.By, "reason", clearing.Reason)
	s.write(w, r, http.StatusOK, clearing)
}
