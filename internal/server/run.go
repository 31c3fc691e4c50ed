package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The limits of a connection.
const (
	// readTimeout is for a whole request: GitHub waits 10 seconds for an answer (GitHub:
	// handling webhook deliveries), and whoever sends more slowly holds one of the few slots meanwhile.
	readTimeout  = 10 * time.Second
	writeTimeout = 90 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeader    = 64 << 10
	// shutdownTimeout is how long requests under way may still take at the end.
	shutdownTimeout = 10 * time.Second
)

// Run serves until ctx is done; then requests under way are finished.
func Run(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler:     handler,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		ended <- s.Shutdown(ctx)
	})
	defer stop()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving at %s: %w", listener.Addr(), err)
	}
	if err := <-ended; err != nil {
		log.WarnContext(ctx, "requests were cut off at the end", "error", err)
		return s.Close()
	}
	return nil
}
