package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// errNoToken is the error of a caller without the token.
var errNoToken = errors.New("the bearer token is missing or wrong")

// admit refuses a caller without the token. Where none is asked for, it refuses
// what a web page could make a browser on this machine send: requests from
// another site's page, and those to a name that somebody else resolved to a
// loopback address.
func (s *server) admit(w http.ResponseWriter, r *http.Request) error {
	if s.token != "" {
		if !s.hasToken(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tagboat"`)
			return release.Errorf(release.Denied, "%w", errNoToken).
				WithRemedy("Send the server's TAGBOAT_TOKEN: Authorization: Bearer <token>. The command takes it from TAGBOAT_TOKEN.")
		}
		return nil
	}
	if err := s.origin.Check(r); err != nil {
		return release.Errorf(release.Denied, "the request comes from a web page of another site").
			WithRemedy("Send it from a program, or set TAGBOAT_TOKEN for the server.")
	}
	if !IsLoopback(r.Host) {
		return release.Errorf(release.Denied, "the request is for host %.200q, and without a token only this machine is answered", r.Host).
			WithRemedy("Set TAGBOAT_TOKEN for the server and for the caller.")
	}
	return nil
}

func (s *server) hasToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	// The sums have one length: how long the token is does not show in the time taken.
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(s.token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// IsLoopback tells whether an address, with or without a port, is this machine's
// own alone.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
