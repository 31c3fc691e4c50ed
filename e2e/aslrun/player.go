package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

// player answers the invocations of one execution.
type player struct {
	clock   *clock.Virtual
	engine  *asl.Engine
	results map[string][]result

	mu       sync.Mutex
	payloads map[string][]json.RawMessage
	edges    []asl.Edge
}

func (p *player) edge(e asl.Edge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.edges = append(p.edges, e)
}

// scripted is an error with the name that the script gives it.
type scripted struct{ name, cause string }

func (s scripted) Error() string     { return s.cause }
func (s scripted) ErrorName() string { return s.name }

func (p *player) invoke(ctx context.Context, state string, payload json.RawMessage) (json.RawMessage, error) {
	token, next := p.next(state, payload)
	if next.Hang {
		return nil, p.clock.Sleep(ctx, time.Hour)
	}
	if next.Token != nil {
		p.settle(ctx, token, next)
	}
	if next.Error != "" {
		return nil, scripted{next.Error, next.Cause}
	}
	if next.Return == nil {
		return json.RawMessage("{}"), nil
	}
	return next.Return, nil
}

// next records an invocation and gives its result.
func (p *player) next(state string, payload json.RawMessage) (string, result) {
	var item struct {
		Site     json.RawMessage `json:"site"`
		Artifact json.RawMessage `json:"artifact"`
		Token    string          `json:"token"`
	}
	_ = json.Unmarshal(payload, &item) // the engine made it
	if item.Token != "" {
		payload = bytes.ReplaceAll(payload, []byte(item.Token), []byte("TOKEN"))
	}
	key := state + " " + string(item.Site) + string(item.Artifact)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.payloads[key] = append(p.payloads[key], payload)
	results := p.results[state]
	if len(results) == 0 {
		return item.Token, result{}
	}
	return item.Token, results[min(len(p.payloads[key]), len(results))-1]
}

// settle sends a token's result, from inside the invocation or a while later.
func (p *player) settle(ctx context.Context, token string, r result) {
	send := func() {
		if r.Token.Error != "" {
			_ = p.engine.SendTaskFailure(ctx, token, r.Token.Error, r.Token.Cause) // the execution shows it
			return
		}
		output := cmp.Or(string(r.Token.Succeed), "{}")
		_ = p.engine.SendTaskSuccess(ctx, token, json.RawMessage(output)) // as above
	}
	if r.Token.Inside {
		send()
		return
	}
	ctx = context.WithoutCancel(ctx)
	p.clock.Go(func() {
		if p.clock.Sleep(ctx, time.Second) == nil {
			send()
		}
	})
}
