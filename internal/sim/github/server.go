// Package github is an in-memory GitHub: the part of the REST API that Tagboat
// uses, and the webhooks that start a release.
//
// A [Server] is an http.Handler, for a real socket, and makes an http.Client
// that never opens one, for simulations in virtual time. It holds state and
// keeps GitHub's rules: authentication and its 401 and 404, exact refs,
// annotated tags, archives behind a redirect to a host that refuses
// credentials, release assets that arrive later, 140 characters for a
// description. A repository is served under /repositories/{id} and
// /repos/{owner}/{name}, both also below /api/v3 as GitHub Enterprise does.
//
// [Server.OnRequest] injects faults. [Server.Push], [Server.Create],
// [Server.Release] and [Server.Ping] make the webhook deliveries that GitHub
// would send for the present state; [Server.PushTags] raises none for more than
// three tags, and [Server.Send] keeps a list of what was delivered.
package github

import (
	"crypto/rsa"
	"net/http"
	"strings"
	"sync"

	"github.com/tagboat/tagboat/internal/clock"
)

// The hosts that the client of [Server.Client] reaches, as GitHub names them.
const (
	apiHost     = "api.github.com"
	archiveHost = "codeload.github.com"
	assetHost   = "release-assets.githubusercontent.com"
)

// DefaultSender is the login that causes the events unless SetSender says otherwise.
const DefaultSender = "jane"

// Server is a GitHub. Its methods may be called concurrently.
type Server struct {
	clock clock.Clock
	mux   *http.ServeMux

	mu         sync.Mutex // guards what follows and every repository
	token      string
	secret     string
	sender     string
	app        *app
	onRequest  func(*http.Request) Fault
	repos      map[int64]*Repository
	names      map[string]*Repository // by lower-case full name, former ones too
	lastID     int64
	deliveries int
	receive    func(Delivery) int
	attempts   []attempt
}

// app is the GitHub App that is installed in every repository.
type app struct {
	id           int64
	installation int64
	key          *rsa.PublicKey
	issued       map[string]bool // installation tokens
}

// New starts an empty GitHub that accepts no token yet.
func New(c clock.Clock) *Server {
	s := &Server{
		clock:  c,
		sender: DefaultSender,
		repos:  map[int64]*Repository{},
		names:  map[string]*Repository{},
		lastID: 1000,
	}
	s.mux = s.routes()
	return s
}

// SetToken sets the one token that may read and write every repository.
func (s *Server) SetToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// SetSecret sets the secret that webhook deliveries are signed with.
func (s *Server) SetSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}

// SetSender sets the login that causes the events made from now on.
func (s *Server) SetSender(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sender = login
}

// SetApp installs a GitHub App, known by its public key, in every repository.
func (s *Server) SetApp(id, installation int64, key *rsa.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app = &app{id: id, installation: installation, key: key, issued: map[string]bool{}}
}

// AddRepository creates a private repository without commits. Its default
// branch is main.
func (s *Server) AddRepository(id int64, fullName string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := newRepository(s, id, fullName)
	s.repos[id] = r
	s.names[strings.ToLower(fullName)] = r
	return r
}

// Repository finds a repository by its present or a former full name; nil if there is none.
func (s *Server) Repository(fullName string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[strings.ToLower(fullName)]
}

// newID is a number that no object has yet; s.mu is held.
func (s *Server) newID() int64 {
	s.lastID++
	return s.lastID
}
