// Package server is the HTTP side of `tagboat serve`: GitHub's webhooks and the
// events of the uploads bucket come in, releases, their plans and what is live
// where can be looked at, ordered and approved.
//
//	POST /webhooks/github           a delivery of GitHub, signed
//	POST /events                    an EventBridge event of the uploads bucket
//	GET  /healthz                   answers while the server runs
//	GET  /releases                  the newest first; ?app= &limit= &before= &dry_runs=true
//	POST /releases                  an order ([app.Order]); its answer is that of an event
//	GET  /releases/<id>             a release with its steps ([report.View])
//	GET  /releases/<id>/plan        the plan of the whole release
//	POST /releases/<id>/approve     {"by": "<name>"}; the sender cannot approve
//	POST /releases/<id>/reject      {"by": "<name>", "reason": "<text>"}
//	POST /rollbacks                 [app.Undo]: an environment goes back to what was good there; answered like an order
//	POST /releases/<id>/halt        [app.Halting]: it stops, and what it has open is rolled back
//	GET  /live                      what is live where; ?app= &environment=
//	GET  /leases                    who holds and who waits for an environment
//	POST /leases/clear              [app.Clearing]: an environment that needed a hand is in order again
//	GET  /freezes                   what is frozen, until when, why and by whom ([ledger.Freeze])
//	POST /freezes                   [app.Freezing]: no release to an app, an environment, or both, for a while
//	POST /freezes/clear             [app.Unfreezing]: a freeze ends before its time
//	GET  /unshares                  which layer versions were taken back from whom ([release.Revocation])
//	POST /unshares                  [app.Unsharing]: a layer version is taken back; answered with [app.Unshared]
//	POST /unshares/clear            [app.Resharing]: releases may share it again
//
// Deliveries and events are answered with a [release.Answer]; whatever else goes
// wrong is a [Problem]. The webhook proves itself by its signature; everything
// else but /healthz needs the token where there is one. Without one, only what
// comes from this machine and from no web page of another site is answered.
//
// No handler waits on anything but the calls it makes, so that the same server
// also works inside a virtual clock.
package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"path"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

// DefaultConcurrency is how many requests are worked on at once, of events and
// of everything else apart, so that neither keeps the other out. A body of 6 MB
// is held for each.
const DefaultConcurrency = 32

// Config is what a server needs.
type Config struct {
	// Parts do the work.
	Parts *app.Parts
	// Secrets sign GitHub's deliveries.
	Secrets webhook.Secrets
	// Token is asked for as a bearer token; empty asks for none.
	Token string
	// Concurrency replaces [DefaultConcurrency] if it is not 0.
	Concurrency int
	// Unfinished is how many releases have not ended, and MaxUnfinished with how
	// many of them no more events are taken; 0 is no limit. What a person orders is taken all the same.
	Unfinished    func() int
	MaxUnfinished int
	Log           *slog.Logger
}

// full tells whether there is no room for another release.
func (c Config) full() bool { return c.MaxUnfinished > 0 && c.Unfinished() >= c.MaxUnfinished }

// server answers requests.
type server struct {
	parts  *app.Parts
	hooks  *webhook.Handler
	events *artifact.Events
	token  string
	full   func() bool
	log    *slog.Logger
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
}

const (
	healthPath  = "/healthz"
	webhookPath = "/webhooks/github"
)

// New makes the handler of all routes.
func New(c Config) http.Handler {
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	s := &server{
		parts: c.Parts, hooks: c.Parts.Webhook(c.Secrets), events: c.Parts.Events(),
		token: c.Token, full: c.full, log: c.Log, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(),
	}
	events, api := make(chan struct{}, c.Concurrency), make(chan struct{}, c.Concurrency)
	get, post := http.MethodGet, http.MethodPost
	s.mux.HandleFunc(healthPath, s.methods(handlers{get: s.health}))
	s.mux.HandleFunc(webhookPath, s.limitEvents(events, s.webhook))
	s.mux.HandleFunc("/events", s.limitEvents(events, s.event))
	s.mux.HandleFunc("/releases", s.limit(api, s.methods(handlers{get: s.list, post: s.order})))
	s.mux.HandleFunc("/releases/{id}", s.limit(api, s.methods(handlers{get: s.show})))
	s.mux.HandleFunc("/releases/{id}/plan", s.limit(api, s.methods(handlers{get: s.plan})))
	s.mux.HandleFunc("/releases/{id}/approve", s.limit(api, s.methods(handlers{post: s.approve})))
	s.mux.HandleFunc("/releases/{id}/reject", s.limit(api, s.methods(handlers{post: s.reject})))
	s.mux.HandleFunc("/rollbacks", s.limit(api, s.methods(handlers{post: s.undo})))
	s.mux.HandleFunc("/releases/{id}/halt", s.limit(api, s.methods(handlers{post: s.halt})))
	s.mux.HandleFunc("/live", s.limit(api, s.methods(handlers{get: s.live})))
	s.mux.HandleFunc("/leases", s.limit(api, s.methods(handlers{get: s.leases})))
	s.mux.HandleFunc("/leases/clear", s.limit(api, s.methods(handlers{post: s.clearLease})))
	s.mux.HandleFunc("/freezes", s.limit(api, s.methods(handlers{get: s.freezes, post: s.freeze})))
	s.mux.HandleFunc("/freezes/clear", s.limit(api, s.methods(handlers{post: s.unfreeze})))
	s.mux.HandleFunc("/unshares", s.limit(api, s.methods(handlers{get: s.unshares, post: s.unshare})))
	s.mux.HandleFunc("/unshares/clear", s.limit(api, s.methods(handlers{post: s.reshare})))
	s.mux.HandleFunc("/", s.unknown)
	return s
}

// ServeHTTP answers a request, if the caller may ask.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path != healthPath && r.URL.Path != webhookPath {
		if err := s.admit(w, r); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	if path.Clean(r.URL.Path) != r.URL.Path {
		s.unknown(w, r) // the mux would redirect
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *server) health(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, release.Errorf(release.NotFound, "there is nothing at %.200q", r.URL.Path).
		WithRemedy("Releases are at /releases and /releases/<id>, what is live where at /live."))
}

// handlers are those of one path, by method.
type handlers map[string]http.HandlerFunc

// methods chooses by method; HEAD is answered as GET is.
func (s *server) methods(by handlers) http.HandlerFunc {
	allow := ""
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if by[method] == nil && (method != http.MethodHead || by[http.MethodGet] == nil) {
			continue
		}
		if allow != "" {
			allow += ", "
		}
		allow += method
	}
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if handle := by[method]; handle != nil {
			handle(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		problem := Problem{
			Kind: release.Invalid, Error: fmt.Sprintf("method %s at %.200q: want %s", shown(r.Method), r.URL.Path, allow),
			Remedy: "Send it with one of those methods.",
		}
		s.write(w, r, http.StatusMethodNotAllowed, problem)
	}
}

// limit answers that the server is busy when no slot is free.
func (s *server) limit(slots chan struct{}, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !take(slots) {
			s.fail(w, r, release.Errorf(release.Transient, "the server works on %d requests already", cap(slots)).
				WithRemedy("Send it again later."))
			return
		}
		defer free(slots)
		next(w, r)
	}
}

// take takes a free slot, if there is one.
func take(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func free(slots chan struct{}) { <-slots }
