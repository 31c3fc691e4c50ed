package github

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// pushLimit is how many tags one push may create or move before GitHub raises
	// no event for any of them (GitHub, "Webhook events and payloads": push, create).
	pushLimit = 3
	// deliveriesKept is how long deliveries are listed and can be asked for again
	// (GitHub, "Redelivering webhooks").
	deliveriesKept = 3 * 24 * time.Hour
)

// attempt is one try to deliver to the webhook.
type attempt struct {
	id         int64
	delivery   Delivery
	code       int
	at         time.Time
	redelivery bool
}

// PushTags points several tags at a commit in one push, and gives the push
// events that GitHub raises: one for each tag, or none for more than three.
func (s *Server) PushTags(r *Repository, sha string, names ...string) []Delivery {
	for _, name := range names {
		r.Tag(name, sha)
	}
	if len(names) > pushLimit {
		return nil
	}
	var raised []Delivery
	for _, name := range names {
		raised = append(raised, s.Push(r, name))
	}
	return raised
}

// SetReceiver sets where the app's webhook leads: what takes a delivery and
// answers with an HTTP status, 0 for no answer.
func (s *Server) SetReceiver(receive func(Delivery) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receive = receive
}

// Send delivers to the receiver, without locks held, and remembers the attempt.
func (s *Server) Send(d Delivery) int { return s.send(d, false) }

func (s *Server) send(d Delivery, again bool) int {
	s.mu.Lock()
	receive := s.receive
	s.mu.Unlock()
	code := 0
	if receive != nil {
		code = receive(d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, attempt{id: s.newID(), delivery: d, code: code, at: s.clock.Now(), redelivery: again})
	return code
}

// kept are the attempts that GitHub still knows, the latest first; s.mu is held.
func (s *Server) kept() []attempt {
	var kept []attempt
	for _, a := range slices.Backward(s.attempts) {
		if s.clock.Now().Sub(a.at) <= deliveriesKept {
			kept = append(kept, a)
		}
	}
	return kept
}

// listDeliveries lists attempts page by page: the cursor is the id of the last one told.
func (s *Server) listDeliveries(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authenticate(req) != theApp {
		refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	query := req.URL.Query()
	size := min(number(query, "per_page", 30), 100)
	after, found := strings.CutPrefix(query.Get("cursor"), "v1_")
	listed := []any{}
	for _, a := range s.kept() {
		id := strconv.FormatInt(a.id, 10)
		if found {
			found = id != after
			continue
		}
		if len(listed) == size {
			query.Set("cursor", fmt.Sprintf("v1_%v", listed[size-1].(map[string]any)["id"]))
			w.Header().Set("Link", fmt.Sprintf("<%s%s?%s>; rel=\"next\"", baseURL(req), req.URL.Path, query.Encode()))
			break
		}
		listed = append(listed, a.describe())
	}
	reply(w, http.StatusOK, listed)
}

func (a attempt) describe() map[string]any {
	status := "OK"
	if a.code/100 != 2 {
		status = "Invalid HTTP Response: " + strconv.Itoa(a.code)
	}
	return map[string]any{
		"id": a.id, "guid": a.delivery.GUID, "delivered_at": stamp(a.at), "redelivery": a.redelivery, "duration": 0.1,
		"status": status, "status_code": a.code, "event": a.delivery.Event, "action": nil,
		"installation_id": nil, "repository_id": a.delivery.repository,
	}
}

// redeliver asks for a delivery again. It is made soon after the answer.
func (s *Server) redeliver(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authenticate(req) != theApp {
		refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	for _, a := range s.kept() {
		if strconv.FormatInt(a.id, 10) == req.PathValue("delivery") {
			s.clock.Go(func() { s.send(a.delivery, true) })
			reply(w, http.StatusAccepted, map[string]any{})
			return
		}
	}
	notFound(w)
}
