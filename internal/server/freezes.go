package server

import (
	"context"
	"net/http"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
)

// freezes answers the freezes in force.
func (s *server) freezes(w http.ResponseWriter, r *http.Request) {
	found, err := s.ledger().Freezes(r.Context())
	s.reply(w, r, found, err)
}

// freeze begins a freeze, or changes one.
func (s *server) freeze(w http.ResponseWriter, r *http.Request) {
	var order app.Freezing
	if !s.read(w, r, &order, by(&order.By), reason(&order.Reason)) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	freeze, err := s.parts.Freezes().Freeze(ctx, order)
	s.frozen(ctx, w, r, "frozen", freeze, err)
}

// unfreeze ends a freeze before its time.
func (s *server) unfreeze(w http.ResponseWriter, r *http.Request) {
	var order app.Unfreezing
	if !s.read(w, r, &order, by(&order.By)) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	freeze, err := s.parts.Freezes().Lift(ctx, order)
	s.frozen(ctx, w, r, "unfrozen", freeze, err)
}

func (s *server) frozen(ctx context.Context, w http.ResponseWriter, r *http.Request, how string, freeze ledger.Freeze, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.WarnContext(ctx, "a freeze was changed by hand", "how", how, "app", freeze.App, "environment", freeze.Environment,
		"until", freeze.Until, "by", freeze.By, "reason", freeze.Reason, "lifted", freeze.Lifted)
	s.write(w, r, http.StatusOK, freeze)
}
