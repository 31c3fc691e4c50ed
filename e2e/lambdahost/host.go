package main

import (
	"context"
	"encoding/json"
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

	mu       sync.Mutex
	idle     map[string][]*process
	answered map[string][]json.RawMessage // payloads, by function
	next     int
}

func newHost(ctx context.Context, config, logs string) *host {
	return &host{ctx: ctx, config: config, logs: logs, idle: map[string][]*process{}, answered: map[string][]json.RawMessage{}}
}

// ServeHTTP implements http.Handler. DELETE /idle/<function> ends the processes
// of a function that wait for events, so that its next ones start cold;
// DELETE /idle those of all. GET /answered/<function> lists the payloads of its
// invocations that are over.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, idle := strings.CutPrefix(r.URL.Path, "/idle"); idle && r.Method == http.MethodDelete {
		h.recycle(strings.TrimPrefix(name, "/"))
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/answered/"); ok {
		h.tell(w, name)
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
	h.done(p, payload)
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

// recycle ends the idle processes of a function, or of all if it has no name.
func (h *host) recycle(function string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, idle := range h.idle {
		if function != "" && name != function {
			continue
		}
		for _, p := range idle {
			p.end(result{})
		}
		delete(h.idle, name)
	}
}

// done keeps a process that has answered for the next event.
func (h *host) done(p *process, payload []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if json.Valid(payload) {
		h.answered[p.name] = append(h.answered[p.name], payload)
	}
	if p.alive() {
		h.idle[p.name] = append(h.idle[p.name], p)
	}
}

func (h *host) tell(w http.ResponseWriter, function string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(append([]json.RawMessage{}, h.answered[function]...)) // a caller that went away needs no answer
}
