package server

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// maxList is the longest list of releases that is answered.
const maxList = 1000

// list answers the newest releases, without their steps and without the tokens
// that resume them.
func (s *server) list(w http.ResponseWriter, r *http.Request) {
	filter, err := filterOf(r.URL.Query())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	rels, err := s.ledger().List(r.Context(), filter)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for i, rel := range rels {
		rels[i] = report.NewView(rel, nil, nil).Release
	}
	s.write(w, r, http.StatusOK, rels)
}

func (s *server) ledger() *ledger.Ledger { return s.parts.Core().Ledger }

// filterOf reads the query of a list.
func filterOf(query url.Values) (ledger.Filter, error) {
	filter := ledger.Filter{App: query.Get("app")}
	var err error
	if text := query.Get("limit"); text != "" {
		filter.Limit, err = strconv.Atoi(text)
		if err != nil || filter.Limit < 1 || filter.Limit > maxList {
			return filter, release.Errorf(release.Invalid, "limit is %.40q, want a number from 1 to %d", text, maxList).
				WithRemedy("For example --limit 20.")
		}
	}
	if text := query.Get("before"); text != "" {
		if filter.Before, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return filter, release.Errorf(release.Invalid, "before is %.40q, want a time like 2030-01-07T09:00:00Z", text).
				WithRemedy("Take it from created of the last release that was answered.")
		}
	}
	if text := query.Get("dry_runs"); text != "" {
		if filter.DryRuns, err = strconv.ParseBool(text); err != nil {
			return filter, release.Errorf(release.Invalid, "dry_runs is %.40q, want true or false", text).
				WithRemedy("Leave it out to leave those out that were only planned.")
		}
	}
	return filter, nil
}

func (s *server) show(w http.ResponseWriter, r *http.Request) {
	view, err := s.parts.View(r.Context(), r.PathValue("id"))
	s.reply(w, r, view, err)
}

func (s *server) plan(w http.ResponseWriter, r *http.Request) {
	plan, err := s.parts.WholePlan(r.Context(), r.PathValue("id"))
	s.reply(w, r, plan, err)
}

func (s *server) live(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	targets, err := s.ledger().Live(r.Context(), query.Get("app"), query.Get("environment"))
	s.reply(w, r, targets, err)
}

// order starts a release that a person asks for, or plans one. As with events,
// whoever asked may go once the order is read.
func (s *server) order(w http.ResponseWriter, r *http.Request) {
	var order app.Order
	if !s.read(w, r, &order, by(&order.By), written{"during_freeze", &order.DuringFreeze, maxReason}) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	answer, err := s.parts.Orders().Place(ctx, order)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.InfoContext(ctx, "an order was answered", "app", order.App, "tag", order.Tag, "version", order.Version, "by", order.By,
		"dry_run", order.DryRun, "status", answer.Status, "code", answer.Code, "releases", answer.Releases)
	s.answer(w, r, answer)
}

// undo starts a release that brings an earlier one back.
func (s *server) undo(w http.ResponseWriter, r *http.Request) {
	var undo app.Undo
	if !s.read(w, r, &undo, by(&undo.By)) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	answer, err := s.parts.Orders().Undo(ctx, undo)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.InfoContext(ctx, "a rollback was answered", "app", undo.App, "environment", undo.Environment, "to", undo.To, "by", undo.By,
		"dry_run", undo.DryRun, "status", answer.Status, "code", answer.Code, "releases", answer.Releases)
	s.answer(w, r, answer)
}

// halt stops a release on its way.
func (s *server) halt(w http.ResponseWriter, r *http.Request) {
	var order app.Halting
	if !s.read(w, r, &order, by(&order.By), reason(&order.Reason)) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	id := r.PathValue("id")
	rel, err := s.parts.Halts().Halt(ctx, id, order)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.WarnContext(ctx, "a release was halted by hand", "release", id, "by", order.By, "reason", order.Reason)
	s.write(w, r, http.StatusOK, s.view(ctx, rel))
}

func (s *server) approve(w http.ResponseWriter, r *http.Request) { s.decide(w, r, true) }

func (s *server) reject(w http.ResponseWriter, r *http.Request) { s.decide(w, r, false) }

func (s *server) decide(w http.ResponseWriter, r *http.Request, approve bool) {
	var decision app.Decision
	if !s.read(w, r, &decision, by(&decision.By), reason(&decision.Reason), written{"plan", &decision.Plan, maxName}) {
		return
	}
	ctx, cancel := working(r, eventTimeout)
	defer cancel()
	id := r.PathValue("id")
	rel, err := s.parts.Approvals().Answer(ctx, id, decision, approve)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.InfoContext(ctx, "an approval was answered", "release", id, "approved", approve, "by", decision.By, "reason", decision.Reason)
	s.write(w, r, http.StatusOK, s.view(ctx, rel))
}

// view is a release to which something was done, which counts also where its steps
// cannot be read.
func (s *server) view(ctx context.Context, rel release.Release) report.View {
	view, err := s.parts.View(ctx, rel.ID)
	if err != nil {
		return report.NewView(rel, nil, nil)
	}
	return view
}
