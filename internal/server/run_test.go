package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
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

// A sender that takes longer than GitHub waits for an answer is let go: it holds one
// of the few slots meanwhile.
func TestARequestThatComesInSlowlyIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := net.Pipe()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		read, sent := make(chan error), make(chan struct{})
		began := time.Now()
		go func() {
			ended <- server.Run(ctx, &onePipe{receiver, make(chan struct{})}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				read <- err
			}), discard())
		}()
		go func() {
			defer close(sent)
			_, err := fmt.Fprint(sender, "POST /webhooks/github HTTP/1.1\r\nHost: tagboat\r\nContent-Length: 1000\r\n\r\n")
			for err == nil {
				time.Sleep(time.Second)
				_, err = sender.Write([]byte("x"))
			}
		}()
		if err := <-read; err == nil {
			t.Error("the body was read although it never ended")
		}
		if took, most := time.Since(began), 10*time.Second; took > most {
			t.Errorf("the request was read for %s, want at most %s", took, most)
		}
		sender.Close()
		<-sent
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

// onePipe is a listener that accepts one connection.
type onePipe struct {
	net.Conn
	closed chan struct{}
}

// Accept implements [net.Listener].
func (l *onePipe) Accept() (net.Conn, error) {
	if c := l.Conn; c != nil {
		l.Conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements [net.Listener].
func (l *onePipe) Close() error {
	close(l.closed)
	return nil
}

// Addr implements [net.Listener].
func (l *onePipe) Addr() net.Addr { return &net.TCPAddr{} }
