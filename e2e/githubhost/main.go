// Githubhost is the GitHub of the end-to-end tests: the REST API of
// internal/sim/github on a socket, and below /control what people do there:
//
//	POST /control/commit    {"branch", "message", "files": {"<path>": "<text>"}}  →  {"sha"}
//	POST /control/tag       {"name", "sha"}
//	POST /control/delivery  {"event": "push", "tag"}  →  {"headers", "body"}, signed
//	POST /control/outage    {"down"}: no question is answered while it is true
//	GET  /control/deployments, /control/statuses?sha=
//
// usage: githubhost -repository ID -name OWNER/NAME, with GITHUB_TOKEN and
// WEBHOOK_SECRET in the environment. It prints its address and serves until it
// is interrupted.
package main

import (
	"context"
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

func main() {
	id := flag.Int64("repository", 1, "`id` of the repository")
	name := flag.String("name", "acme/orders", "its `name`")
	flag.Parse()
	server := github.New(clock.System{})
	server.SetToken(os.Getenv("GITHUB_TOKEN"))
	server.SetSecret(os.Getenv("WEBHOOK_SECRET"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, handler(server, server.AddRepository(*id, *name))); err != nil {
		fmt.Fprintln(os.Stderr, "githubhost:", err)
		os.Exit(1)
	}
}

func handler(server *github.Server, repository *github.Repository) http.Handler {
	c := control{server, repository}
	mux := http.NewServeMux()
	mux.Handle("/", server)
	mux.HandleFunc("POST /control/commit", c.commit)
	mux.HandleFunc("POST /control/tag", c.tag)
	mux.HandleFunc("POST /control/delivery", c.delivery)
	mux.HandleFunc("POST /control/outage", c.outage)
	mux.HandleFunc("GET /control/deployments", c.deployments)
	mux.HandleFunc("GET /control/statuses", c.statuses)
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
