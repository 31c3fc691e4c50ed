// Githubhost is the GitHub of the end-to-end tests: the REST API of
// internal/sim/github on a socket, and below /control what people do there:
//
//	POST /control/commit    {"branch", "message", "files": {"<path>": "<text>"}}  →  {"sha"}
//	POST /control/tag       {"name", "sha"}
//	POST /control/delivery  {"event": "push", "tag"}  →  {"headers", "body"}, signed
//	POST /control/outage    {"down"}: no question is answered while it is true
//	GET  /control/deployments, /control/statuses?sha=, /control/checks?sha=
//	GET  /control/app  →  {"app_id", "private_key"} of an app that is installed in the repository
//
// usage: githubhost -repository ID -name OWNER/NAME, with GITHUB_TOKEN and
// WEBHOOK_SECRET in the environment. It prints its address and serves until it
// is interrupted.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// The app and its installation.
const appID, installation = 4711, 815

func main() {
	id := flag.Int64("repository", 1, "`id` of the repository")
	name := flag.String("name", "acme/orders", "its `name`")
	flag.Parse()
	server := github.New(clock.System{})
	server.SetToken(os.Getenv("GITHUB_TOKEN"))
	server.SetSecret(os.Getenv("WEBHOOK_SECRET"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		fmt.Fprintln(os.Stderr, "githubhost:", err)
		os.Exit(1)
	}
	server.SetApp(appID, installation, &key.PublicKey)
	c := control{server, server.AddRepository(*id, *name), key}
	if err := serve(ctx, c.handler()); err != nil {
		fmt.Fprintln(os.Stderr, "githubhost:", err)
		os.Exit(1)
	}
}

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", c.server)
	mux.HandleFunc("POST /control/commit", c.commit)
	mux.HandleFunc("POST /control/tag", c.tag)
	mux.HandleFunc("POST /control/delivery", c.delivery)
	mux.HandleFunc("POST /control/outage", c.outage)
	mux.HandleFunc("GET /control/deployments", c.deployments)
	mux.HandleFunc("GET /control/statuses", c.statuses)
	mux.HandleFunc("GET /control/checks", c.checks)
	mux.HandleFunc("GET /control/app", c.app)
	return mux
}

func serve(ctx context.Context, h http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody waits for what is under way
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
