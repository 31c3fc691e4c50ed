package server

import (
	"net/http"
	"time"

	"github.com/tagboat/tagboat/internal/app"
)

// unshareTimeout ends the work on an order to take a layer version back: it looks
// at many accounts. A client waits a minute.
const unshareTimeout = 50 * time.Second

// unshares answers what was taken back and is not shared again.
func (s *server) unshares(w http.ResponseWriter, r *http.Request) {
	found, err := s.ledger().Revocations(r.Context(), "")
	s.reply(w, r, found, err)
}

// unshare takes a layer version back, or tells what that would mean.
func (s *server) unshare(w http.ResponseWriter, r *http.Request) {
	var order app.Unsharing
	if !s.read(w, r, &order, by(&order.By), reason(&order.Reason)) {
		return
	}
	ctx, cancel := working(r, unshareTimeout)
	defer cancel()
	found, err := s.parts.Unshares().Take(ctx, order)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !order.DryRun {
		s.log.WarnContext(ctx, "a layer version was taken back by hand", "layer", found.Layer, "from", found.From.String(),
			"by", order.By, "reason", order.Reason, "force", order.Force)
	}
	s.write(w, r, http.StatusOK, found)
}

// reshare lets releases share again what was taken back.
func (s *server) reshare(w http.ResponseWriter, r *http.Request) {
	var order app.Resharing
	if !s.read(w, r, &order, by(&order.By)) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	lifted, err := s.parts.Unshares().Reshare(ctx, order)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.WarnContext(ctx, "a layer version may be shared again by releases", "layer", order.Layer, "by", order.By)
	s.write(w, r, http.StatusOK, lifted)
}
