package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/server"
)

func TestRequestUnderWayIsFinishedAtTheEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener, handler, discard()) }()
	answered := make(chan string, 1)
	go func() {
		resp, err := client.Get("http://" + listener.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answered <- string(text)
	}()
	within(t, "the request", entered)
	stop()
	select {
	case err := <-ended:
		t.Fatalf("ended before the request was answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if got := within(t, "the answer", answered); got != "done" {
		t.Errorf("got %q, want done", got)
	}
	if err := within(t, "the end", ended); err != nil {
		t.Errorf("ended with %v", err)
	}
}
