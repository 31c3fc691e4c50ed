package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

// Options are those of the command.
type Options struct {
	Out io.Writer
	// Keep leaves the world serving until ctx ends.
	Keep bool
	// Listen is the address that it then serves at.
	Listen string
	// Pace is how long a minute of the world then takes; 0: waits take no time.
	Pace time.Duration
	// Handler is the server of `tagboat serve`, made for the world.
	Handler func(local *app.Local, secrets webhook.Secrets) (http.Handler, error)
}

// Run tells the story, and with Keep serves the world afterwards. The error
// says what did not come out as it should.
func Run(ctx context.Context, o Options) error {
	w, err := NewWorld(ctx, WorldOptions{})
	if err != nil {
		return err
	}
	if err := Tell(ctx, w, o.Out); err != nil {
		return err
	}
	if !o.Keep {
		return nil
	}
	handler, err := o.Handler(w.Local, w.Hooks.Secrets)
	if err != nil {
		return err
	}
	for _, next := range []string{"v1.3.0", "v1.5.0", "v1.6.0"} {
		w.Repo.Tag(next, w.Repo.Commit("main", next, Files(Handler+"# "+next+"\n", "2.32.4")))
	}
	if o.Pace > 0 {
		w.Pace(ctx, o.Pace)
	}
	return w.serve(ctx, o, handler)
}

// serve answers until ctx ends. Without a pace, waits take no time: the world's clock jumps.
func (w *World) serve(ctx context.Context, o Options, handler http.Handler) error {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return release.Errorf(release.Invalid, "the demo cannot listen at %q: %w", o.Listen, err).WithRemedy("Choose another address with --listen.")
	}
	server := &http.Server{Handler: w.Handler(handler), ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	fmt.Fprintf(o.Out, "\nServing at http://%s with the webhook secret %q; tags v1.3.0, v1.5.0 and v1.6.0 are not released yet.\n", listener.Addr(), Secret)
	fmt.Fprintf(o.Out, "PUT a zip to /uploads/drops/orders/deps/<version>.zip to drop it. Stop with Ctrl-C.\n")
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Pace makes a minute of the world take real time from now on, until ctx ends: people
// can answer then what waits for them, before its time is up.
func (w *World) Pace(ctx context.Context, minute time.Duration) {
	w.Clock.Go(func() {
		for w.Clock.Sleep(ctx, time.Second) == nil { // not longer, so that whoever watches sees time pass
			time.Sleep(minute / 60) // nobody else has a turn meanwhile
		}
	})
}

// maxUpload is the largest upload that the demo takes, in bytes.
const maxUpload = 64 << 20

// Handler is the server of `tagboat serve` inside the world's clock, and PUT
// /uploads/<key> in place of S3.
func (w *World) Handler(served http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /uploads/", w.putUpload)
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		// The body is read before, since a slow sender must not hold the clock.
		body, err := io.ReadAll(io.LimitReader(r.Body, webhook.MaxBody+1))
		if err != nil {
			http.Error(rw, "the body could not be read", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.Clock.Run(func() { served.ServeHTTP(rw, r) })
	})
	return mux
}

// putUpload puts an object into the uploads bucket and answers what its event was answered.
func (w *World) putUpload(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxUpload))
	if err != nil {
		http.Error(rw, fmt.Sprintf("the upload could not be read: %v", err), http.StatusBadRequest)
		return
	}
	var answers []release.Answer
	w.Clock.Run(func() {
		before := len(w.Answers)
		key := strings.TrimPrefix(r.URL.Path, "/uploads/")
		err = w.put(r.Context(), Tools, Home, UploadsBucket, key, body, nil)
		answers = w.Answers[before:]
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	for _, answer := range answers {
		rw.WriteHeader(answer.HTTPStatus())
		_ = json.NewEncoder(rw).Encode(answer) // the client may be gone
	}
}
