// Lambdahost runs the functions' bootstrap binaries as Lambda does: it answers
// Invoke calls, and hands each to a process that speaks the Runtime API with it.
// The end-to-end tests start it; the emulator sends it the invocations.
//
// usage: lambdahost -config FILE -logs DIRECTORY
//
// It prints its address and then serves until it is interrupted. The
// configuration is read again whenever a process is started.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// config says how functions are run, by name.
type config struct {
	Functions map[string]function `json:"functions"`
}

// function is one function as the template configures it.
type function struct {
	// Bootstrap is the path of the binary.
	Bootstrap string `json:"bootstrap"`
	// Environment is the whole environment of the process, but for what Lambda itself sets.
	Environment map[string]string `json:"environment"`
	// Timeout of an invocation, in seconds.
	Timeout int `json:"timeout"`
}

func readConfig(path string) (config, error) {
	var c config
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}

func main() {
	configFile := flag.String("config", "", "`file` with the functions")
	logs := flag.String("logs", os.TempDir(), "`directory` for what the functions log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, newHost(ctx, *configFile, *logs)); err != nil {
		fmt.Fprintln(os.Stderr, "lambdahost:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, h *host) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // the processes end with ctx
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// nameOf is the name in the ARN of a function, of a version or of an alias.
func nameOf(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 7 {
		return arn
	}
	return parts[6]
}
