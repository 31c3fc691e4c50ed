package github

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// identity is who makes a request.
type identity int

const (
	anonymous identity = iota // no credentials
	stranger                  // credentials that are not known
	trusted                   // the token, or one of the app's installation
	theApp                    // the app itself
)

// authenticate tells who makes a request; s.mu is held.
func (s *Server) authenticate(req *http.Request) identity {
	header := req.Header.Get("Authorization")
	if header == "" {
		return anonymous
	}
	scheme, credential, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") || credential == "" {
		return stranger
	}
	switch {
	case credential == s.token, s.app != nil && s.app.issued[credential]:
		return trusted
	case s.app != nil && s.app.signed(credential):
		return theApp
	}
	return stranger
}

// signed checks a JSON Web Token of the app: RS256, the app as issuer, and valid
// for at most ten minutes. It does not compare with the present time, because
// the caller may live in another.
func (a *app) signed(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(a.key, crypto.SHA256, digest[:], signature) != nil {
		return false
	}
	encoded, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Issuer  string `json:"iss"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
	}
	if json.Unmarshal(encoded, &claims) != nil {
		return false
	}
	return claims.Issuer == strconv.FormatInt(a.id, 10) && claims.Expires-claims.Issued <= 600
}

func (r *Repository) getInstallation(w http.ResponseWriter, req *http.Request) {
	if r.server.authenticate(req) != theApp {
		refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"id":      r.server.app.installation,
		"app_id":  r.server.app.id,
		"account": map[string]any{"login": r.owner, "type": "Organization"},
	})
}

// createToken issues a token of the installation, good for one hour.
func (s *Server) createToken(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authenticate(req) != theApp {
		refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	if req.PathValue("installation") != strconv.FormatInt(s.app.installation, 10) {
		notFound(w)
		return
	}
	token := fmt.Sprintf("simulated-installation-token-%d", s.newID())
	s.app.issued[token] = true
	reply(w, http.StatusCreated, map[string]any{
		"token":      token,
		"expires_at": stamp(s.clock.Now().Add(time.Hour)),
	})
}
