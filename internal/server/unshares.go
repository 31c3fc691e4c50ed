package server

import (
	"context"
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
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, found)
}

// unshare takes a layer version back, or tells what that would mean.
func (s *server) unshare(w http.ResponseWriter, r *http.Request) {
	var order app.Unsharing
	err := decode(w, r, &order)
	if err == nil {
		err = checkText("by", order.By, maxName)
	}
	if err == nil {
		err = checkText("reason", order.Reason, maxReason)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), unshareTimeout)
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
	err := decode(w, r, &order)
	if err == nil {
		err = checkText("by", order.By, maxName)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eventTimeout)
	defer cancel()
	lifted, err := s.parts.Unshares().Reshare(ctx, order)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.WarnContext(ctx, "a layer version may be shared again by releases", "layer", order.Layer, "by", order.By)
	s.write(w, r, http.StatusOK, lifted)
}
