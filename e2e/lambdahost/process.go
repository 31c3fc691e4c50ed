package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// initTime is how long a process may take until it asks for its first event
// (Lambda developer guide, Lambda execution environment: init phase).
// It is multiplied like every timeout: where tests run, many functions share
// few processors.
const initTime = patience * 10 * time.Second

const patience = 4

// process is one execution environment: a bootstrap binary and the Runtime API
// that it alone talks to (Lambda developer guide, Runtime API).
type process struct {
	name    string
	timeout time.Duration
	cmd     *exec.Cmd
	server  *http.Server
	events  chan event
	results chan result
	exited  chan struct{}
	count   int
}

type event struct {
	id, arn  string
	deadline time.Time
	payload  []byte
}

type result struct {
	payload []byte
	failed  bool
}

func start(ctx context.Context, name string, f function, log *os.File) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{
		name: name, timeout: patience * time.Duration(f.Timeout) * time.Second,
		events: make(chan event), results: make(chan result, 1), exited: make(chan struct{}),
	}
	p.cmd = exec.CommandContext(ctx, f.Bootstrap)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	for key, value := range f.Environment {
		p.cmd.Env = append(p.cmd.Env, key+"="+value)
	}
	p.cmd.Env = append(p.cmd.Env, "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME="+name)
	p.server = &http.Server{Handler: p.runtimeAPI(), ReadHeaderTimeout: initTime}
	if err := p.cmd.Start(); err != nil {
		_ = listener.Close() // nobody knows of it
		return nil, err
	}
	go func() { _ = p.server.Serve(listener) }() // ends with the process
	go p.wait(log)
	return p, nil
}

func (p *process) wait(log *os.File) {
	_ = p.cmd.Wait() // how it ended is told by what it answered
	close(p.exited)
	_ = p.server.Close() // its only client is gone
	_ = log.Close()      // written by the process
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// runtimeAPI is /2018-06-01/runtime.
func (p *process) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", p.answer(false))
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", p.answer(true))
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.answer(true))
	return mux
}

func (p *process) next(w http.ResponseWriter, r *http.Request) {
	select {
	case e := <-p.events:
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Lambda-Runtime-Aws-Request-Id", e.id)
		header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(e.deadline.UnixMilli(), 10))
		header.Set("Lambda-Runtime-Invoked-Function-Arn", e.arn)
		_, _ = w.Write(e.payload) // a process that is gone is noticed by its end
	case <-r.Context().Done():
	}
}

func (p *process) answer(failed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case p.results <- result{payload, failed}:
		default: // the invocation has timed out
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

// invoke hands an event to the process and waits for its answer. A process that
// takes longer than its timeout is ended.
func (p *process) invoke(arn string, payload []byte) result {
	p.count++
	id := fmt.Sprintf("%s-%d-%d", p.name, p.cmd.Process.Pid, p.count)
	e := event{id: id, arn: arn, deadline: time.Now().Add(p.timeout), payload: payload}
	select {
	case p.events <- e:
	case r := <-p.results: // it could not start
		return r
	case <-p.exited:
		return failure("Runtime.ExitError", "RequestId: %s Error: Runtime exited before the first event", id)
	case <-time.After(initTime):
		return p.end(failure("Sandbox.Timedout", "RequestId: %s Error: Init took longer than %s", id, initTime))
	}
	select {
	case r := <-p.results:
		return r
	case <-p.exited:
		return failure("Runtime.ExitError", "RequestId: %s Error: Runtime exited without an answer", id)
	case <-time.After(p.timeout):
		return p.end(failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", id, p.timeout.Seconds()))
	}
}

func (p *process) end(r result) result {
	_ = p.cmd.Process.Kill() // or it has ended just now
	<-p.exited
	return r
}

// failure is an error as Lambda words it for what a function cannot tell itself.
func failure(kind, format string, args ...any) result {
	text, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": fmt.Sprintf(format, args...)}) // strings always marshal
	return result{payload: text, failed: true}
}
