package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
)

// signatureHeader carries the HMAC-SHA256 of the body, in hex (GitHub: validating
// webhook deliveries). X-Hub-Signature, its predecessor with SHA-1, is not looked at.
const signatureHeader = "X-Hub-Signature-256"

// Verify tells whether the body was signed with one of the secrets. An empty
// secret signs nothing.
func Verify(header http.Header, body []byte, secrets [][]byte) bool {
	got, ok := presented(header)
	if !ok {
		return false
	}
	valid := false
	for _, secret := range secrets {
		if len(secret) == 0 {
			continue
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), got) {
			valid = true // no early return: which secret it was does not show in the time taken
		}
	}
	return valid
}

// presented is the one signature that a delivery carries; ok is false if it has
// none, several, or something else in its place.
func presented(header http.Header) (mac []byte, ok bool) {
	values := header.Values(signatureHeader)
	if len(values) != 1 {
		return nil, false
	}
	digits, found := strings.CutPrefix(values[0], "sha256=")
	if !found {
		return nil, false
	}
	mac, err := hex.DecodeString(digits)
	return mac, err == nil && len(mac) == sha256.Size
}

// Secrets knows the webhook secrets: the current one and, during a rotation,
// the previous.
type Secrets interface {
	// Secrets are the known ones; again asks to read them afresh.
	Secrets(ctx context.Context, again bool) ([][]byte, error)
}

// ErrNoSecret says that there is no secret, or only empty ones.
var ErrNoSecret = errors.New("no webhook secret is set")

// rereadInterval limits how often wrong signatures make the secret be read again.
const rereadInterval = 30 * time.Second

// CachedSecrets keeps secrets that were read from somewhere slow. A read that
// failed is not kept.
type CachedSecrets struct {
	// Read reads all valid secrets. Surrounding white space is not part of them.
	Read  func(ctx context.Context) ([]string, error)
	Clock clock.Clock

	mu   sync.Mutex
	kept [][]byte
	read time.Time
}

var _ Secrets = (*CachedSecrets)(nil)

// Secrets returns the kept secrets, or reads them if there are none or, at most
// every 30 seconds, if they are asked for again.
func (c *CachedSecrets) Secrets(ctx context.Context, again bool) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Clock.Now()
	if c.kept != nil && (!again || now.Sub(c.read) < rereadInterval) {
		return c.kept, nil
	}
	texts, err := c.Read(ctx)
	if err != nil {
		return nil, err
	}
	secrets := trimmed(texts)
	if len(secrets) == 0 {
		return nil, ErrNoSecret
	}
	c.kept, c.read = secrets, now
	return secrets, nil
}

func trimmed(texts []string) [][]byte {
	var secrets [][]byte
	for _, text := range texts {
		// A trailing newline, as editors and echo add it, fails every signature.
		if secret := bytes.TrimSpace([]byte(text)); len(secret) > 0 {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}
