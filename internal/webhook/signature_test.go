package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

const signatureHeader = "X-Hub-Signature-256"

// The example that GitHub publishes (Validating webhook deliveries: testing the
// webhook payload validation).
const (
	exampleSecret    = "It's a Secret to Everybody"
	exampleBody      = "Hello, World!"
	exampleSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func TestVerify(t *testing.T) {
	sha1Of := func(secret, body string) string {
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(body))
		return hex.EncodeToString(mac.Sum(nil))
	}
	tests := []struct {
		name    string
		headers []string
		body    string
		secrets []string
		valid   bool
	}{
		{"GitHub's own example", []string{exampleSignature}, exampleBody, []string{exampleSecret}, true},
		{"the second of two secrets", []string{exampleSignature}, exampleBody, []string{"new", exampleSecret}, true},
		{"the first of two secrets", []string{exampleSignature}, exampleBody, []string{exampleSecret, "old"}, true},
		{"hex in upper case is the same bytes", []string{"sha256=" + strings.ToUpper(exampleSignature[7:])}, exampleBody, []string{exampleSecret}, true},
		{"another secret", []string{exampleSignature}, exampleBody, []string{"It's a secret to everybody"}, false},
		{"another body", []string{exampleSignature}, exampleBody + "\n", []string{exampleSecret}, false},
		{"no secret", []string{exampleSignature}, exampleBody, nil, false},
		{"no signature", nil, exampleBody, []string{exampleSecret}, false},
		{"an empty signature", []string{""}, exampleBody, []string{exampleSecret}, false},
		{"a signature that is only begun", []string{exampleSignature[:40]}, exampleBody, []string{exampleSecret}, false},
		{"a signature that goes on", []string{exampleSignature + "00"}, exampleBody, []string{exampleSecret}, false},
		{"a signature without its algorithm", []string{exampleSignature[7:]}, exampleBody, []string{exampleSecret}, false},
		{"SHA-1 in place of SHA-256", []string{"sha1=" + sha1Of(exampleSecret, exampleBody)}, exampleBody, []string{exampleSecret}, false},
		{"SHA-1 called SHA-256", []string{"sha256=" + sha1Of(exampleSecret, exampleBody)}, exampleBody, []string{exampleSecret}, false},
		{"what is not hex", []string{"sha256=" + strings.Repeat("z", 64)}, exampleBody, []string{exampleSecret}, false},
		{"the right signature twice", []string{exampleSignature, exampleSignature}, exampleBody, []string{exampleSecret}, false},
		{"a wrong signature and the right one", []string{github.Sign("x", nil), exampleSignature}, exampleBody, []string{exampleSecret}, false},
		{"two signatures joined by a proxy", []string{exampleSignature + "," + exampleSignature}, exampleBody, []string{exampleSecret}, false},
		{"an empty secret signs nothing", []string{github.Sign("", []byte(exampleBody))}, exampleBody, []string{"", exampleSecret}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			for _, value := range test.headers {
				header.Add(signatureHeader, value)
			}
			var secrets [][]byte
			for _, secret := range test.secrets {
				secrets = append(secrets, []byte(secret))
			}
			if got := webhook.Verify(header, []byte(test.body), secrets); got != test.valid {
				t.Errorf("got %t, want %t", got, test.valid)
			}
		})
	}
}

func TestUnsignedDeliveriesAreRejected(t *testing.T) {
	tests := []struct {
		name   string
		change func(d *webhook.Delivery)
	}{
		{"without a signature", func(d *webhook.Delivery) { d.Header.Del(signatureHeader) }},
		{"with a wrong signature", func(d *webhook.Delivery) { d.Header.Set(signatureHeader, github.Sign("guess", d.Body)) }},
		{"with a SHA-1 signature alone", func(d *webhook.Delivery) {
			d.Header.Del(signatureHeader)
			mac := hmac.New(sha1.New, []byte(secret))
			mac.Write(d.Body)
			d.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
		}},
		{"with the signature of another body", func(d *webhook.Delivery) { d.Body = []byte(tagged("v9.9.9", "")) }},
		{"with a body that is broken too", func(d *webhook.Delivery) { d.Body = []byte("null") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			d := signed("push", tagged("v1.2.3", ""))
			test.change(&d)
			expect(t, w.handler.Handle(t.Context(), d), release.AnswerRejected, release.CodeSignature, http.StatusUnauthorized)
			if len(w.accepted) != 0 {
				t.Errorf("accepted %+v", w.accepted)
			}
		})
	}
}

func TestADeliveryWithoutASignatureCostsNoLookAtTheSecret(t *testing.T) {
	w := newWorld(t)
	w.read = func() ([]string, error) { return nil, errDown }
	d := signed("push", tagged("v1.2.3", ""))
	d.Header.Del(signatureHeader)
	expect(t, w.handler.Handle(t.Context(), d), release.AnswerRejected, release.CodeSignature, http.StatusUnauthorized)
}

func TestSecretsThatCannotBeUsedAskForTheEventAgain(t *testing.T) {
	tests := []struct {
		name string
		read func() ([]string, error)
	}{
		{"the store is down", func() ([]string, error) { return nil, errDown }},
		{"there is none", func() ([]string, error) { return nil, nil }},
		{"it is empty", func() ([]string, error) { return []string{"", " \n"}, nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.read = test.read
			w.server.SetSecret("")
			d := signed("push", tagged("v1.2.3", ""))
			d.Header.Set(signatureHeader, github.Sign("", d.Body))
			answer := w.handler.Handle(t.Context(), d)
			expect(t, answer, release.AnswerBusy, release.CodeSecretUnavailable, http.StatusServiceUnavailable)
			if strings.Contains(answer.Reason, errDown.Error()) {
				t.Errorf("the answer tells a stranger what is broken: %q", answer.Reason)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	push := func(secret string) webhook.Delivery {
		d := signed("push", tagged("v1.2.3", ""))
		d.Header.Set(signatureHeader, github.Sign(secret, d.Body))
		return d
	}
	valid := func(secret string) bool {
		return w.handler.Handle(t.Context(), push(secret)).Code == release.CodeStarted
	}
	if !valid(secret) {
		t.Fatal("the first secret is not valid")
	}
	w.read = func() ([]string, error) { return []string{"next\r\n", secret}, nil }
	if valid("next") {
		t.Error("the secret was read again within 30 seconds")
	}
	w.sleep(t, 30*time.Second)
	if !valid("next") {
		t.Error("the new secret is not valid after 30 seconds")
	}
	if !valid(secret) {
		t.Error("the previous secret is not valid during the rotation")
	}
	w.sleep(t, time.Hour)
	w.read = func() ([]string, error) { return nil, errDown }
	if !valid("next") {
		t.Error("a known secret needs the store")
	}
	expect(t, w.handler.Handle(t.Context(), push("third")), release.AnswerBusy, release.CodeSecretUnavailable, http.StatusServiceUnavailable)
	w.read = func() ([]string, error) { return []string{"third"}, nil }
	if !valid("third") {
		t.Error("the failed read was kept")
	}
}

func TestWrongSignaturesReadTheSecretAtMostEvery30Seconds(t *testing.T) {
	w := newWorld(t)
	reads := 0
	w.read = func() ([]string, error) { reads++; return []string{secret}, nil }
	d := signed("push", tagged("v1.2.3", ""))
	d.Header.Set(signatureHeader, github.Sign("guess", d.Body))
	for range 61 {
		w.handler.Handle(t.Context(), d)
		w.sleep(t, time.Second)
	}
	if reads != 3 {
		t.Errorf("the secret was read %d times in a minute, want 3", reads)
	}
}

func TestSecretsAreTrimmed(t *testing.T) {
	secrets := &webhook.CachedSecrets{Clock: clock.NewVirtual(start, 0), Read: func(context.Context) ([]string, error) {
		return []string{"  in the middle stays \r\n", "\t", "previous"}, nil
	}}
	got, err := secrets.Secrets(t.Context(), false)
	if err != nil || len(got) != 2 || string(got[0]) != "in the middle stays" || string(got[1]) != "previous" {
		t.Errorf("got %q, %v", got, err)
	}
}
