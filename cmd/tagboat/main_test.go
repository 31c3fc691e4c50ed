package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/cli"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/server"
	"github.com/tagboat/tagboat/internal/webhook"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tagboat": func() { os.Exit(cli.Main(os.Args[1:], cli.Process())) },
	})
}

// TestCommand runs testdata/*.txtar: what the command prints, where, and how it ends.
// Beside testscript's own commands there are
//
//	code N program args…   run a program, which has to exit with N
//	aws [what…]            serve an installed stack at $AWS_ENDPOINT_URL, in which something is not in order
//	slowworld              the same, with time passing 60 times faster than real, and an approval before prod
//	spoiled                serve the same world, in which what fails in prod cannot be restored
//	world [token]          serve the demo's world at $TAGBOAT_SERVER, with tags v1.0.0 to v1.2.0
func TestCommand(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("USER", "jane")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code, "world": world, "slowworld": slowWorld, "spoiled": spoiled, "aws": aws},
	})
}

func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func world(ts *testscript.TestScript, neg bool, args []string) {
	token := ""
	if len(args) == 1 {
		token = args[0]
	}
	if neg || len(args) > 1 {
		ts.Fatalf("usage: world [token]")
	}
	w, err := newWorld(demo.WorldOptions{})
	ts.Check(err)
	serve(ts, w, token)
}

func slowWorld(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: slowworld")
	}
	w, err := newWorld(demo.WorldOptions{Registry: strings.Replace(demo.Registry, "    bake: 10m\n", "    bake: 10m\n    approval: required\n", 1)})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	ts.Defer(stop)
	w.Pace(ctx, time.Second)
	serve(ts, w, "")
}

// serve serves a world at $TAGBOAT_SERVER.
func serve(ts *testscript.TestScript, w *demo.World, token string) {
	s := httptest.NewServer(w.Handler(handler(w.Local, w.Hooks.Secrets, token)))
	ts.Defer(s.Close)
	ts.Setenv("TAGBOAT_SERVER", s.URL)
}

// newWorld has v1.0.0 and v1.1.0, which are good, and v1.2.0, whose smoke test fails in prod.
func newWorld(options demo.WorldOptions) (*demo.World, error) {
	w, err := demo.NewWorld(context.Background(), options)
	if err != nil {
		return nil, err
	}
	for _, tag := range []struct{ name, handler string }{
		{"v1.0.0", demo.Handler}, {"v1.1.0", demo.Handler + "# more\n"}, {"v1.2.0", demo.Broken},
	} {
		w.Repo.Tag(tag.name, w.Repo.Commit("main", tag.name, demo.Files(tag.handler, "2.32.3")))
	}
	return w, nil
}

func handler(local *app.Local, secrets webhook.Secrets, token string) http.Handler {
	return server.New(server.Config{Parts: local.Parts, Secrets: secrets, Token: token, Log: slog.New(slog.DiscardHandler)})
}
