package server

import (
	"context"
	"net/http"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/report"
)

// freezes answers the freezes in force.
func (s *server) freezes(w http.ResponseWriter, r *http.Request) {
	found, err := s.ledger().Freezes(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, found)
}

// freeze begins a freeze, or changes one.
func (s *server) freeze(w http.ResponseWriter, r *http.Request) {
	var order app.Freezing
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eventTimeout)
	defer cancel()
	freeze, err := s.parts.Freezes().Freeze(ctx, order)
	s.frozen(ctx, w, r, "frozen", freeze, err)
}

// unfreeze ends a freeze before its time.
func (s *server) unfreeze(w http.ResponseWriter, r *http.Request) {
	var order app.Unfreezing
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

// halt stops a release on its way.
func (s *server) halt(w http.ResponseWriter, r *http.Request) {
	var order app.Halting
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eventTimeout)
	defer cancel()
	id := r.PathValue("id")
	rel, err := s.parts.Halts().Halt(ctx, id, order)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.WarnContext(ctx, "a release was halted by hand", "release", id, "by", order.By, "reason", order.Reason)
	view, err := s.parts.View(ctx, id)
	if err != nil { // it is halted all the same
		view = report.NewView(rel, nil, nil)
	}
	s.write(w, r, http.StatusOK, view)
}
