package statemachine_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/statemachine"
)

var update = flag.Bool("update", false, "draw docs/state-machine.md afresh")

// state is what is drawn of a state.
type state struct {
	Type, Comment, Next, Default string
	Choices                      []map[string]any
	Catch                        []struct{ Next string }
	ItemProcessor                *machine
}

type machine struct {
	StartAt string
	States  states
}

// states are in the order of the file, which is that of a release.
type states []named

type named struct {
	name string
	state
}

func (s *states) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		n := named{name: name.(string)}
		if err := decoder.Decode(&n.state); err != nil {
			return err
		}
		*s = append(*s, n)
	}
	return nil
}

// TestTheDrawingIsTheDefinition holds docs/state-machine.md to the definition.
//
//	go test ./statemachine -update
func TestTheDrawingIsTheDefinition(t *testing.T) {
	var m machine
	if err := json.Unmarshal(statemachine.Definition, &m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "docs", "state-machine.md")
	want := page(m)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not the definition's drawing (%v): run go test ./statemachine -update", path, err)
	}
}

func page(m machine) string {
	var text strings.Builder
	text.WriteString(`# The state machine

Drawn from [release.asl.json](../statemachine/release.asl.json) by ` + "`go test ./statemachine -update`" + `; a test holds the two together.
Dotted lines are taken when a state fails; those that lead to ` + "`PrepareRollBack`" + ` are left out: every state in a double frame has one.

`)
	draw(&text, m)
	text.WriteString("\nEach Map works at its items side by side, one iteration for each artifact or site, and every iteration goes like this one of `UpdateFunctions`:\n\n")
	for _, s := range m.States {
		if s.name == "UpdateFunctions" {
			draw(&text, *s.ItemProcessor)
		}
	}
	text.WriteString("\n| state | what it does |\n|---|---|\n")
	for _, s := range m.States {
		fmt.Fprintf(&text, "| `%s` | %s |\n", s.name, s.Comment)
	}
	return text.String()
}

// draw writes a flowchart in Mermaid's language.
func draw(text *strings.Builder, m machine) {
	text.WriteString("```mermaid\nflowchart TD\n")
	fmt.Fprintf(text, "  Start((start)) --> %s\n", m.StartAt)
	for _, s := range m.States {
		fmt.Fprintf(text, "  %s\n", frame(s))
		for _, choice := range s.Choices {
			fmt.Fprintf(text, "  %s -- \"%s\" --> %s\n", s.name, condition(choice), choice["Next"])
		}
		if s.Default != "" {
			fmt.Fprintf(text, "  %s -- else --> %s\n", s.name, s.Default)
		}
		if s.Next != "" {
			fmt.Fprintf(text, "  %s --> %s\n", s.name, s.Next)
		}
		for _, c := range s.Catch {
			if c.Next != "PrepareRollBack" {
				fmt.Fprintf(text, "  %s -.-> %s\n", s.name, c.Next)
			}
		}
	}
	text.WriteString("```\n")
}

// frame is a state's shape: a Choice is a rhombus, an end a circle, a Map lies on its side.
func frame(s named) string {
	rollsBack := false
	for _, c := range s.Catch {
		rollsBack = rollsBack || c.Next == "PrepareRollBack"
	}
	switch {
	case s.Type == "Choice":
		return s.name + "{" + s.name + "}"
	case s.Type == "Succeed" || s.Type == "Fail":
		return s.name + "((" + s.name + "))"
	case s.Type == "Map":
		return s.name + "[/" + s.name + "/]"
	case rollsBack:
		return s.name + "[[" + s.name + "]]"
	}
	return s.name + "[" + s.name + "]"
}

// condition is a choice in a few characters.
func condition(choice map[string]any) string {
	if all, ok := choice["And"].([]any); ok {
		return condition(all[len(all)-1].(map[string]any))
	}
	variable := strings.TrimPrefix(choice["Variable"].(string), "$.")
	for key, value := range choice {
		switch {
		case key == "Variable" || key == "Next":
		case value == true:
			return variable
		case strings.HasPrefix(key, "NumericLessThan"):
			return fmt.Sprintf("%s < %s", variable, strings.TrimPrefix(fmt.Sprint(value), "$."))
		default:
			return fmt.Sprintf("%s is %v", variable, value)
		}
	}
	return variable
}
