// Aslrun runs executions with scripted task results on the embedded engine, in
// virtual time. test_asl.py runs the same ones on a foreign interpreter, and
// compares what both print.
//
// It reads a [script] from standard input and prints an [outcome] for each case,
// and the edges of the definition that no case took.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

// script is what to run. In the definitions, the FunctionName of each task is
// the name of its state.
type script struct {
	Definitions map[string]json.RawMessage `json:"definitions"`
	Cases       []scenario                 `json:"cases"`
}

type scenario struct {
	Name       string          `json:"name"`
	Definition string          `json:"definition"`
	Input      json.RawMessage `json:"input"`
	// Results are those of each state's invocations, one after the other; the
	// last is repeated. The invocations for different items count by themselves.
	Results map[string][]result `json:"results"`
}

// result is what one invocation comes to.
type result struct {
	Return json.RawMessage `json:"return"`
	Error  string          `json:"error"`
	Cause  string          `json:"cause"`
	// Token says how the task of a token ends, and whether from inside the invocation.
	Token *struct {
		Succeed json.RawMessage `json:"succeed"`
		Error   string          `json:"error"`
		Cause   string          `json:"cause"`
		Inside  bool            `json:"inside"`
	} `json:"token"`
	// Hang never answers.
	Hang bool `json:"hang"`
}

// outcome is how an execution went.
type outcome struct {
	Status string          `json:"status"`
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
	Cause  string          `json:"cause,omitempty"`
	// Events are those of its history.
	Events []asl.Event `json:"events"`
	// Payloads are those of each state's invocations, by state and item.
	Payloads map[string][]json.RawMessage `json:"payloads"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "aslrun:", err)
		os.Exit(1)
	}
}

func run() error {
	var s script
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	machines := map[string]*asl.Machine{}
	untaken := map[asl.Edge]bool{}
	for name, text := range s.Definitions {
		machine, err := asl.Load(text, nil)
		if err != nil {
			return fmt.Errorf("definition %q: %w", name, err)
		}
		machines[name] = machine
		for _, edge := range machine.Edges() {
			untaken[edge] = true
		}
	}
	outcomes := map[string]outcome{}
	for _, c := range s.Cases {
		out, taken, err := play(machines[c.Definition], c)
		if err != nil {
			return fmt.Errorf("case %q: %w", c.Name, err)
		}
		outcomes[c.Name] = out
		for _, edge := range taken {
			delete(untaken, edge)
		}
	}
	left := []string{}
	for edge := range maps.Keys(untaken) {
		left = append(left, edge.String())
	}
	slices.Sort(left)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"outcomes": outcomes, "untaken": left})
}

var began = time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC)

// play runs one case.
func play(machine *asl.Machine, c scenario) (outcome, []asl.Edge, error) {
	p := &player{clock: clock.NewVirtual(began, 1), results: c.Results, payloads: map[string][]json.RawMessage{}}
	var out outcome
	var err error
	p.clock.Run(func() { out, err = p.run(machine, c.Input) })
	return out, p.edges, err
}

func (p *player) run(machine *asl.Machine, input json.RawMessage) (outcome, error) {
	engine, err := asl.New(asl.Config{
		Machine: machine, Invoke: p.invoke, Clock: p.clock, Store: asl.NewMemoryStore(), Seed: 1, OnEdge: p.edge,
	})
	if err != nil {
		return outcome{}, err
	}
	defer engine.Close()
	p.engine = engine
	ctx := context.Background()
	if err := engine.Start(ctx, "execution", input); err != nil {
		return outcome{}, err
	}
	x, err := engine.Wait(ctx, "execution")
	if err != nil {
		return outcome{}, err
	}
	events, err := engine.History(ctx, "execution")
	return outcome{
		Status: string(x.Status), Output: x.Output, Error: x.Error, Cause: x.Cause, Events: events, Payloads: p.payloads,
	}, err
}
