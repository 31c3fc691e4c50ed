package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// downloadHost is where presigned addresses point; only [Cloud.HTTP] knows it.
	downloadHost = "sim.invalid"
	// downloadLifetime is how long they work. Source: Lambda API Reference, GetFunction.
	downloadLifetime = 10 * time.Minute
)

// location is a presigned address of an archive; c.mu is held.
func (c *Cloud) location(a *Archive) string {
	path := "/archives/" + hex.EncodeToString(a.digest[:])
	expires := strconv.FormatInt(c.clock.Now().Add(downloadLifetime).Unix(), 10)
	query := url.Values{"X-Amz-Expires": {expires}, "X-Amz-Signature": {signature(path, expires)}}
	return (&url.URL{Scheme: "https", Host: downloadHost, Path: path, RawQuery: query.Encode()}).String()
}

func signature(path, expires string) string {
	sum := sha256.Sum256([]byte(path + "?" + expires))
	return hex.EncodeToString(sum[:])
}

// HTTP is a client that fetches what the cloud's presigned addresses point at, and
// reaches nothing else.
func (c *Cloud) HTTP() *http.Client { return &http.Client{Transport: downloads{c}} }

type downloads struct{ cloud *Cloud }

// RoundTrip answers as S3 does: 403 for an address that is wrong or has expired.
func (d downloads) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.URL.Host != downloadHost {
		return nil, fmt.Errorf("lookup %q: no such host", r.URL.Host)
	}
	if r.Method != http.MethodGet {
		return answer(r, http.StatusForbidden, []byte("SignatureDoesNotMatch")), nil
	}
	expires := r.URL.Query().Get("X-Amz-Expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || r.URL.Query().Get("X-Amz-Signature") != signature(r.URL.Path, expires) {
		return answer(r, http.StatusForbidden, []byte("SignatureDoesNotMatch")), nil
	}
	if d.cloud.clock.Now().Unix() >= until {
		return answer(r, http.StatusForbidden, []byte("Request has expired")), nil
	}
	d.cloud.mu.Lock()
	a, ok := d.cloud.archives[strings.TrimPrefix(r.URL.Path, "/archives/")]
	d.cloud.mu.Unlock()
	if !ok {
		return answer(r, http.StatusNotFound, []byte("NoSuchKey")), nil
	}
	return answer(r, http.StatusOK, a.data), nil
}

func answer(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}
