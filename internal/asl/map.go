package asl

import (
	"cmp"
	"slices"

	"github.com/tagboat/tagboat/internal/clock"
)

// inlineLimit is how many iterations of an inline Map run at once at most
// (developer guide, "Using Map state in Inline mode").
const inlineLimit = 40

// mapRun is one run of a Map's iterations.
type mapRun struct {
	frame *frame
	input any
	items []any
	// group is the scope around all iterations; first the event they follow.
	group *scope
	first int64
	done  clock.Signal

	// The rest is guarded by run.mu.
	next    int
	left    int // workers
	running map[int]*scope
	results []any
	failure *failure
}

// runMap runs the Map's states for each item. When an iteration fails, the
// others are abandoned where they are, and the Map fails.
func (s *scope) runMap(f *frame, input any) (any, error) {
	items, err := f.items(input)
	if err != nil {
		return nil, err
	}
	m := &mapRun{frame: f, input: input, items: items, results: make([]any, len(items)), running: map[int]*scope{}, done: s.run.engine.clock.NewSignal()}
	if m.first, err = s.record(Event{Type: MapStateStarted, State: f.state.name, Length: len(items)}); err != nil {
		return nil, err
	}
	if len(items) > 0 {
		if err := m.runAll(s); err != nil {
			return nil, err
		}
	}
	if _, err = s.record(Event{Type: MapStateSucceeded, State: f.state.name}); err != nil {
		return nil, err
	}
	if _, err := f.limited(m.results); err != nil {
		return nil, err
	}
	return m.results, nil
}

// items are the Map's items, from ItemsPath.
func (f *frame) items(input any) ([]any, error) {
	text, value := "$", input
	if p := f.state.mapping.items; p != nil {
		text = p.text
		var ok bool
		if value, ok = p.find(env{input: input, frame: f}); !ok {
			return nil, runtimeFailure("Invalid path '%s': it is not in the input", text)
		}
	}
	items, ok := value.([]any)
	if !ok {
		return nil, runtimeFailure("Reference path \"%s\" must point to array.", text)
	}
	return items, nil
}

// runAll runs the iterations and waits for the last, or the first that fails.
func (m *mapRun) runAll(s *scope) error {
	var err error
	if m.group, err = s.child(nil, m.first); err != nil {
		return err
	}
	defer m.group.close()
	m.left = min(len(m.items), inlineLimit)
	if limit := m.frame.state.mapping.maxConcurrency; limit > 0 {
		m.left = min(m.left, limit)
	}
	for range m.left {
		s.run.engine.clock.Go(m.work)
	}
	if err := s.wait(m.done, 0); err != nil {
		return err
	}
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	return nil
}

// work runs one iteration after the other.
func (m *mapRun) work() {
	last := m.first
	for {
		i, ok := m.take()
		if !ok {
			break
		}
		var err error
		if last, err = m.iterate(i, last); err != nil {
			return // abandoned, or the Map has failed
		}
	}
	m.retire()
}

func (m *mapRun) take() (int, bool) {
	r := m.group.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.group.over || m.next >= len(m.items) {
		return 0, false
	}
	m.next++
	return m.next - 1, true
}

// retire counts a worker off; the last one ends the wait.
func (m *mapRun) retire() {
	r := m.group.run
	r.mu.Lock()
	m.left--
	last := m.left == 0
	r.mu.Unlock()
	if last {
		m.done.Fire()
	}
}

// iterate runs the states for one item, and gives the event that the worker's
// next iteration follows.
func (m *mapRun) iterate(i int, last int64) (int64, error) {
	s, err := m.begin(i, last)
	if err != nil {
		return 0, err
	}
	defer s.close()
	output, err := m.walk(s, i)
	if failed, ok := asFailure(err); ok {
		m.fail(s, i, failed)
	}
	if err != nil {
		return 0, err
	}
	return m.succeed(s, i, output)
}

func (m *mapRun) begin(i int, last int64) (*scope, error) {
	s, err := m.group.child(&mapItem{index: i, value: m.items[i]}, last)
	if err != nil {
		return nil, err
	}
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	m.running[i] = s
	_, err = s.recordLocked(Event{Type: MapIterationStarted, State: m.frame.state.name, Index: i})
	return s, err
}

func (m *mapRun) walk(s *scope, i int) (document, error) {
	value := m.items[i]
	if selector := m.frame.state.parameters; selector != nil {
		f := *m.frame
		f.item = s.item
		var err error
		if value, err = selector.evaluate(env{input: m.input, frame: &f}); err != nil {
			return document{}, err
		}
	}
	input, err := m.frame.limited(value)
	if err != nil {
		return document{}, err
	}
	g := m.frame.state.mapping.graph
	return s.walk(g, g.startAt, input, nil)
}

func (m *mapRun) succeed(s *scope, i int, output document) (int64, error) {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	last := s.last
	if _, err := s.recordLocked(Event{Type: MapIterationSucceeded, State: m.frame.state.name, Index: i}); err != nil {
		return 0, err
	}
	m.group.parent.last = s.last
	m.results[i] = output.value
	delete(m.running, i)
	return last, nil
}

// fail makes the Map fail and abandons the other iterations where they are.
func (m *mapRun) fail(s *scope, i int, failed *failure) {
	r := s.run
	r.mu.Lock()
	if s.over || m.failure != nil {
		r.mu.Unlock()
		return
	}
	m.failure = failed
	m.recordAborts(s, i)
	m.group.parent.last = s.last
	signals := m.group.killLocked()
	r.mu.Unlock()
	fire(signals)
	m.done.Fire()
}

// recordAborts records the failed iteration and those that are abandoned.
func (m *mapRun) recordAborts(failed *scope, index int) {
	name := m.frame.state.name
	previous := failed.last
	record := func(s *scope, ev Event) {
		s.last = previous
		_, _ = s.recordLocked(ev) // a full history ends the execution by itself
	}
	record(failed, Event{Type: MapIterationFailed, State: name, Index: index})
	failed.last = previous
	delete(m.running, index)
	others := make([]int, 0, len(m.running))
	for i := range m.running {
		others = append(others, i)
	}
	slices.SortFunc(others, cmp.Compare[int])
	for _, i := range others {
		s := m.running[i]
		switch s.current {
		case typeTask, typeWait, typeMap:
			record(s, Event{Type: aborted(s.current), State: name})
		}
		record(s, Event{Type: MapIterationAborted, State: name, Index: i})
	}
}
