package asl

import "strings"

// EdgeKind is the field of the definition that an edge comes from.
type EdgeKind string

// The kinds of edges.
const (
	EdgeNext    EdgeKind = "Next"
	EdgeEnd     EdgeKind = "End"
	EdgeChoice  EdgeKind = "Choice"
	EdgeDefault EdgeKind = "Default"
	EdgeRetry   EdgeKind = "Retry"
	EdgeCatch   EdgeKind = "Catch"
)

// Edge is one way out of a state. Edges are comparable.
type Edge struct {
	// From is the state, with the names of the Maps around it: "Deploy/Update".
	From string
	Kind EdgeKind
	// Index is the position of the choice rule, the retrier or the catcher.
	Index int
	// To is the next state, written like From; empty for EdgeEnd. A retry leads back to From.
	To string
}

// String writes the edge for people.
func (e Edge) String() string {
	text := e.From + " " + string(e.Kind)
	switch e.Kind {
	case EdgeChoice, EdgeRetry, EdgeCatch:
		text += "[" + integerValue(int64(e.Index)).String() + "]"
	}
	if e.To != "" {
		text += " → " + e.To
	}
	return text
}

// Edges are all ways out of all states, in the order of the definition. Succeed
// and Fail states have none.
func (m *Machine) Edges() []Edge {
	var all []Edge
	for _, s := range m.all {
		for i := range s.retry {
			all = append(all, s.edge(EdgeRetry, i, s.name))
		}
		for i, c := range s.catch {
			all = append(all, s.edge(EdgeCatch, i, c.next))
		}
		for i, r := range s.choices {
			all = append(all, s.edge(EdgeChoice, i, r.next))
		}
		if s.defaultChoice != "" {
			all = append(all, s.edge(EdgeDefault, 0, s.defaultChoice))
		}
		if s.next != "" {
			all = append(all, s.edge(EdgeNext, 0, s.next))
		}
		if s.end {
			all = append(all, s.edge(EdgeEnd, 0, ""))
		}
	}
	return all
}

// States are the paths of all states, in the order of the definition.
func (m *Machine) States() []string {
	all := make([]string, len(m.all))
	for i, s := range m.all {
		all[i] = s.path
	}
	return all
}

func (s *state) edge(kind EdgeKind, index int, to string) Edge {
	if to != "" {
		to = strings.TrimSuffix(s.path, s.name) + to
	}
	return Edge{From: s.path, Kind: kind, Index: index, To: to}
}
