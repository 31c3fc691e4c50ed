package artifact_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/release"
)

// transport answers HTTP requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// codeURL is like the addresses of GetFunction: whoever knows it may read.
const codeURL = "https://code.example/snapshots/orders-api?X-Amz-Signature=not-to-be-told&X-Amz-Credential=nor-this"

func answer(status int, body io.Reader) transport {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(body), Header: http.Header{}, Request: r}, nil
	}
}

func TestSaveCode(t *testing.T) {
	within(t, func(w *world) {
		body := zipOf(t, map[string]string{"app.py": "x"})
		w.stager.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != codeURL {
				t.Errorf("asked for %q", r.URL)
			}
			return answer(http.StatusOK, strings.NewReader(string(body)))(r)
		})}
		first, err := w.stager.SaveCode(w.ctx, "orders", far, farBucket, sha256Base64(body), codeURL)
		w.must(err)
		if first.Bucket != farBucket || first.Key != artifact.StagedKey("orders", sha256Hex(body)) || string(w.object(first)) != string(body) {
			t.Errorf("got %+v", first)
		}
		second, err := w.stager.SaveCode(w.ctx, "orders", far, farBucket, sha256Base64(body), codeURL)
		w.must(err)
		if first != second {
			t.Errorf("saved again as %+v, want %+v", second, first)
		}
	})
}

func TestCodeThatCannotBeSaved(t *testing.T) {
	body := "code"
	digest := sha256Base64([]byte(body))
	tests := []struct {
		name      string
		digest    string
		url       string
		transport http.RoundTripper
		kind      release.Kind
	}{
		{"the address has expired", digest, codeURL, answer(http.StatusForbidden, strings.NewReader("no")), release.Transient},
		{"the connection is refused", digest, codeURL, transport(func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("dial " + r.URL.String())
		}), release.Transient},
		{"the answer breaks off", digest, codeURL, answer(http.StatusOK, io.MultiReader(strings.NewReader("co"), errorReader{io.ErrUnexpectedEOF})), release.Transient},
		{"it is longer than any zip", digest, codeURL, answer(http.StatusOK, zeros{}), release.Invalid},
		{"somebody changed it meanwhile", digest, codeURL, answer(http.StatusOK, strings.NewReader("other")), release.Conflict},
		{"it came short", digest, codeURL, answer(http.StatusOK, strings.NewReader("co")), release.Conflict},
		{"the address is none", digest, "://x?X-Amz-Signature=not-to-be-told", answer(http.StatusOK, nil), release.Internal},
		{"the address leads to one that is none", digest, codeURL, redirect("://x?X-Amz-Signature=not-to-be-told"), release.Transient},
		{"the digest is not base64", "not base64!", codeURL, answer(http.StatusOK, strings.NewReader(body)), release.Internal},
		{"the digest is another one", "YQ==", codeURL, answer(http.StatusOK, strings.NewReader(body)), release.Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w *world) {
				w.stager.HTTP = &http.Client{Transport: test.transport}
				_, err := w.stager.SaveCode(w.ctx, "orders", home, stateBucket, test.digest, test.url)
				wantError(t, err, test.kind)
				for _, secret := range []string{"not-to-be-told", "nor-this", "X-Amz"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("error %q tells the address", err)
					}
				}
				if staged := w.cloud.Objects(stateBucket); len(staged) != 0 {
					t.Errorf("staged %d objects", len(staged))
				}
			})
		})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func redirect(to string) transport {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {to}}, Body: http.NoBody, Request: r}, nil
	}
}

func TestAStoppedSaveSaysSo(t *testing.T) {
	within(t, func(w *world) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		_, err := w.stager.SaveCode(ctx, "orders", home, stateBucket, sha256Base64(nil), server.URL+"/?X-Amz-Signature=not-to-be-told")
		wantError(t, err, release.Transient, context.Canceled.Error())
		if strings.Contains(err.Error(), "not-to-be-told") || !errors.Is(err, context.Canceled) {
			t.Errorf("got %q", err)
		}
	})
}
