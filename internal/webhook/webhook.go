// Package webhook turns GitHub's webhook deliveries into requests for releases.
//
// A delivery is checked before anything in it is believed: method, content
// type, size, then the HMAC-SHA256 signature over exactly the bytes that
// arrived, in constant time. Only then is it parsed, and looked up in the
// registry by the repository's id. GitHub is not called: a tag is peeled later,
// by the release itself.
package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"

	"github.com/tagboat/tagboat/internal/release"
)

// MaxBody is the largest body that is read, in bytes. It is what a Lambda can be
// invoked with synchronously (Lambda quotas: 6 MB), which is less than the
// 25 MB that GitHub sends at most.
const MaxBody = 6 << 20

// Delivery is a webhook delivery as it arrived: Body are the raw bytes, with
// any transport encoding taken off.
type Delivery struct {
	Method string
	Header http.Header
	Body   []byte
}

// Handler answers deliveries.
type Handler struct {
	Secrets Secrets
	// Registry is the registry in force.
	Registry func(ctx context.Context) (release.Registry, error)
	// Accept starts releases, each once, and answers for them.
	Accept func(ctx context.Context, requests []release.Request) release.Answer
	Log    *slog.Logger
}

// Handle answers one delivery. It is durable when the answer is "started".
func (h *Handler) Handle(ctx context.Context, d Delivery) release.Answer {
	if answer, ok := checkEnvelope(d); !ok {
		return answer
	}
	signed, err := h.signed(ctx, d)
	switch {
	case err != nil:
		h.Log.ErrorContext(ctx, "the webhook secret cannot be read", "error", err)
		return release.Busy(release.CodeSecretUnavailable, "The webhook secret cannot be read at the moment; send it again.")
	case !signed:
		return release.RejectedAnswer(release.CodeSignature,
			"X-Hub-Signature-256 is missing or not that of this body: check the secret at GitHub.")
	}
	event, answer, ok := parse(d)
	if !ok {
		return answer
	}
	registry, err := h.Registry(ctx)
	if err != nil {
		h.Log.ErrorContext(ctx, "the registry cannot be read", "error", err)
		return release.Busy(release.CodeOverloaded, "The registry cannot be read at the moment; send it again.")
	}
	requests, answer, ok := event.requests(registry)
	if !ok {
		return answer
	}
	return h.Accept(ctx, requests)
}

func checkEnvelope(d Delivery) (release.Answer, bool) {
	if d.Method != http.MethodPost {
		return release.RejectedAnswer(release.CodeMethod, fmt.Sprintf("Method %.40q: want POST.", d.Method)), false
	}
	if len(d.Body) > MaxBody {
		return release.RejectedAnswer(release.CodeTooLarge,
			fmt.Sprintf("The body has %d bytes, more than the %d that are read.", len(d.Body), MaxBody)), false
	}
	mediaType, _, err := mime.ParseMediaType(d.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return release.RejectedAnswer(release.CodeContentType,
			fmt.Sprintf("Content-Type %.80q: want application/json; choose it in the webhook's settings.", d.Header.Get("Content-Type"))), false
	}
	return release.Answer{}, true
}

// signed checks the signature. On a mismatch the secret is read again, since it
// may have been rotated. What carries no signature costs no look at the secret.
func (h *Handler) signed(ctx context.Context, d Delivery) (bool, error) {
	if _, ok := presented(d.Header); !ok {
		return false, nil
	}
	for _, again := range []bool{false, true} {
		secrets, err := h.Secrets.Secrets(ctx, again)
		if err != nil {
			return false, err
		}
		if Verify(d.Header, d.Body, secrets) {
			return true, nil
		}
	}
	return false, nil
}
