package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// host answers POST /2015-03-31/functions/<ARN>/invocations (Lambda API
// reference, Invoke). Each invocation has a process for itself, an idle one or a
// new one, as an execution environment handles one event at a time.
type host struct {
	ctx    context.Context // ends every process
	config string
	logs   string

	mu   sync.Mutex
	idle map[string][]*process
	next int
}

func newHost(ctx context.Context, config, logs string) *host {
	return &host{ctx: ctx, config: config, logs: logs, idle: map[string][]*process{}}
}

// ServeHTTP implements http.Handler. DELETE /idle ends the processes that wait
// for events, so that the next ones start cold.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodDelete && r.URL.Path == "/idle" {
		h.recycle()
		return
	}
	arn, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	arn, invocation := strings.CutSuffix(arn, "/invocations")
	if !ok || !invocation || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p, err := h.take(nameOf(arn))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	result := p.invoke(arn, payload)
	if p.alive() {
		h.giveBack(p)
	}
	w.Header().Set("Content-Type", "application/json")
	if result.failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	_, _ = w.Write(result.payload) // a caller that went away needs no answer
}

// take gives an idle process of a function, or starts one.
func (h *host) take(name string) (*process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for idle := h.idle[name]; len(idle) > 0; idle = h.idle[name] {
		p := idle[len(idle)-1]
		h.idle[name] = idle[:len(idle)-1]
		if p.alive() {
			return p, nil
		}
	}
	c, err := readConfig(h.config)
	if err != nil {
		return nil, err
	}
	f, ok := c.Functions[name]
	if !ok {
		return nil, fmt.Errorf("function %q is not configured", name)
	}
	h.next++
	log, err := os.Create(filepath.Join(h.logs, fmt.Sprintf("%s-%d.log", name, h.next)))
	if err != nil {
		return nil, err
	}
	return start(h.ctx, name, f, log)
}

// recycle ends the idle processes.
func (h *host) recycle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, idle := range h.idle {
		for _, p := range idle {
			p.end(result{})
		}
	}
	clear(h.idle)
}

func (h *host) giveBack(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle[p.name] = append(h.idle[p.name], p)
}
