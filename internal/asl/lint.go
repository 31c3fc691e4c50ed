package asl

// Lint reports what the language allows and a definition that runs unattended
// should not do without: a TimeoutSeconds on the whole and on each Task, Retry
// and Catch on each Task, MaxConcurrency on each Map, a Comment on each state.
func (m *Machine) Lint() []string {
	var all []string
	if m.timeout == 0 {
		all = append(all, "the state machine has no TimeoutSeconds")
	}
	if m.comment == "" {
		all = append(all, "the state machine has no Comment")
	}
	for _, s := range m.all {
		for _, missing := range s.lint() {
			all = append(all, "the "+s.kind+" state "+s.path+" has no "+missing)
		}
	}
	return all
}

func (s *state) lint() []string {
	var missing []string
	want := func(there bool, name string) {
		if !there {
			missing = append(missing, name)
		}
	}
	want(s.comment != "", "Comment")
	switch s.kind {
	case typeTask:
		want(s.task.timeout.set, "TimeoutSeconds")
		want(len(s.retry) > 0, "Retry")
		want(len(s.catch) > 0, "Catch")
	case typeMap:
		want(s.mapping.hasConcurrency, "MaxConcurrency")
	}
	return missing
}
