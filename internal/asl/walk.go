package asl

import (
	"fmt"
	"strings"
	"time"
)

// walk runs states from one on until the graph's end, and gives the last output.
// advance, if any, is called before each further state.
func (s *scope) walk(g *graph, at string, input document, advance func(string, document) error) (document, error) {
	for {
		output, next, err := s.visit(g.states[at], input)
		if err != nil || next == "" {
			return output, err
		}
		if advance != nil {
			if err := advance(next, output); err != nil {
				return document{}, err
			}
		}
		at, input = next, output
	}
}

// visit runs one state, with its retries and catchers, and says which is next.
func (s *scope) visit(st *state, input document) (document, string, error) {
	f, err := s.enter(st, input)
	if err != nil {
		return document{}, "", err
	}
	output, out, err := s.perform(f)
	if failed, ok := asFailure(err); ok {
		output, out, err = s.fail(f, failed)
	}
	if err != nil {
		return document{}, "", err
	}
	if _, err := s.record(Event{Type: exited(st.kind), State: st.name, Output: output.raw}); err != nil {
		return document{}, "", err
	}
	if st.kind == typeSucceed {
		return output, "", nil
	}
	s.run.engine.onEdge(out.edge)
	return output, out.next, nil
}

// way is an edge to take, and the name of the state that it leads to.
type way struct {
	edge Edge
	next string
}

func (s *state) way(kind EdgeKind, index int, next string) way {
	return way{edge: s.edge(kind, index, next), next: next}
}

func (s *scope) enter(st *state, input document) (*frame, error) {
	f := &frame{scope: s, state: st, input: input, entered: s.run.engine.clock.Now(), item: s.item}
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	id, err := s.recordLocked(Event{Type: entered(st.kind), State: st.name, Input: input.raw})
	f.event, s.current = id, st.kind
	return f, err
}

// perform runs the state's work, again as its retriers say.
func (s *scope) perform(f *frame) (document, way, error) {
	retries := make([]int64, len(f.state.retry))
	for {
		output, out, err := s.attempt(f)
		failed, ok := asFailure(err)
		if !ok {
			f.goesOn(err)
			return output, out, err
		}
		i := f.state.retrierOf(failed)
		if i < 0 || retries[i] >= f.state.retry[i].maxAttempts {
			return document{}, way{}, f.explain(failed)
		}
		s.run.engine.onEdge(f.state.edge(EdgeRetry, i, f.state.name))
		delay := f.state.retry[i].delay(int(retries[i]), s.run.randomFraction())
		f.isRetried(failed, delay)
		if err := s.sleep(delay); err != nil {
			return document{}, way{}, err
		}
		retries[i]++
		f.retries++
	}
}

// isRetried tells that a state is tried again: once, however often that is.
func (f *frame) isRetried(failed *failure, delay time.Duration) {
	if f.retries > 0 {
		return
	}
	f.scope.run.engine.log.Warn("a state failed and is tried again", "execution", f.scope.run.name, "state", f.state.path,
		"error", failed.name, "cause", failed.cause, "wait", delay.String())
}

// goesOn tells the end of what isRetried began, if it is a good one.
func (f *frame) goesOn(err error) {
	if err == nil && f.retries > 0 {
		f.scope.run.engine.log.Info("a state that was tried again is done", "execution", f.scope.run.name, "state", f.state.path,
			"retries", f.retries)
	}
}

func (s *state) retrierOf(f *failure) int {
	for i, r := range s.retry {
		if f.matches(r.errors) {
			return i
		}
	}
	return -1
}

// explain says where a States.Runtime comes from, as Step Functions does.
func (f *frame) explain(failed *failure) *failure {
	const prefix = "An error occurred while executing the state '"
	if failed.name != errorRuntime || strings.HasPrefix(failed.cause, prefix) {
		return failed
	}
	return runtimeFailure("%s%s' (entered at the event id #%d). %s", prefix, f.state.name, f.event, failed.cause)
}

// attempt runs the state's work once.
func (s *scope) attempt(f *frame) (document, way, error) {
	st := f.state
	input, err := st.inputPath.apply(env{input: f.input.value, frame: f})
	if err != nil {
		return document{}, way{}, err
	}
	out := st.way(EdgeNext, 0, st.next)
	if st.end {
		out = st.way(EdgeEnd, 0, "")
	}
	var result any
	switch st.kind {
	case typeTask:
		result, err = s.runTask(f, input)
	case typeMap:
		result, err = s.runMap(f, input)
	case typePass:
		result, err = pass(f, input)
	case typeWait:
		result, err = input, s.pause(f, input)
	case typeChoice:
		result = input
		out, err = choose(f, input)
	case typeFail:
		err = f.declared(input)
	default:
		result = input
	}
	if err != nil {
		return document{}, way{}, err
	}
	output, err := f.output(result)
	return output, out, err
}

// output makes the state's output of its result: ResultSelector, then
// ResultPath into the state's own input, then OutputPath.
func (f *frame) output(result any) (document, error) {
	st := f.state
	var err error
	if st.resultSelector != nil {
		if result, err = st.resultSelector.evaluate(env{input: result, frame: f}); err != nil {
			return document{}, err
		}
	}
	if st.kind == typeTask || st.kind == typeMap || st.kind == typePass {
		if result, err = st.resultPath.apply(f.input.value, result); err != nil {
			return document{}, err
		}
	}
	if result, err = st.outputPath.apply(env{input: result, frame: f}); err != nil {
		return document{}, err
	}
	return f.limited(result)
}

func (f *frame) limited(value any) (document, error) {
	doc, err := newDocument(value)
	if err == nil && len(doc.raw) > dataLimit {
		return document{}, dataLimitFailure(f.state.name)
	}
	return doc, err
}

// fail lets a catcher have the failure, or gives it back.
func (s *scope) fail(f *frame, failed *failure) (document, way, error) {
	if f.state.kind == typeMap {
		if _, err := s.record(Event{Type: MapStateFailed, State: f.state.name, Error: failed.name, Cause: failed.cause}); err != nil {
			return document{}, way{}, err
		}
	}
	for i, c := range f.state.catch {
		if !failed.matches(c.errors) {
			continue
		}
		caught, err := c.resultPath.apply(f.input.value, failed.output())
		if err != nil {
			return document{}, way{}, err
		}
		output, err := f.limited(caught)
		return output, f.state.way(EdgeCatch, i, c.next), err
	}
	return document{}, way{}, failed
}

func pass(f *frame, input any) (any, error) {
	if f.state.parameters != nil {
		var err error
		if input, err = f.state.parameters.evaluate(env{input: input, frame: f}); err != nil {
			return nil, err
		}
	}
	if f.state.result != nil {
		return *f.state.result, nil
	}
	return input, nil
}

func choose(f *frame, input any) (way, error) {
	e := env{input: input, frame: f}
	for i, r := range f.state.choices {
		holds, err := r.evaluate(e)
		if err != nil {
			return way{}, err
		}
		if holds {
			return f.state.way(EdgeChoice, i, r.next), nil
		}
	}
	if f.state.defaultChoice == "" {
		return way{}, &failure{name: errorNoChoice, cause: fmt.Sprintf("no rule of the Choice state '%s' holds, and it has no Default", f.state.name)}
	}
	return f.state.way(EdgeDefault, 0, f.state.defaultChoice), nil
}

// declared is the failure that a Fail state stands for.
func (f *frame) declared(input any) error {
	failed := &failure{name: f.state.fail.name, cause: f.state.fail.cause}
	for _, part := range []struct {
		expr  *expression
		field string
		into  *string
	}{{f.state.fail.namePath, "ErrorPath", &failed.name}, {f.state.fail.causePath, "CausePath", &failed.cause}} {
		if part.expr == nil {
			continue
		}
		value, err := part.expr.evaluate(env{input: input, frame: f}, part.field)
		if err != nil {
			return err
		}
		text, ok := value.(string)
		if !ok {
			return runtimeFailure("The %s '%s' is %s, want a string", part.field, part.expr.text, describe(value))
		}
		*part.into = text
	}
	return failed
}

// pause waits as long as a Wait state says.
func (s *scope) pause(f *frame, input any) error {
	e := env{input: input, frame: f}
	w := f.state.wait
	if w.duration.set {
		n, err := w.duration.evaluate(e, "SecondsPath")
		if err != nil {
			return err
		}
		return s.sleep(time.Duration(n) * time.Second)
	}
	until := w.timestamp
	if w.timestampPath != nil {
		value, _ := w.timestampPath.find(e)
		var ok bool
		if until, ok = timestamp(value); !ok {
			return runtimeFailure("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s", w.timestampPath.text)
		}
	}
	return s.sleep(until.Sub(s.run.engine.clock.Now()))
}

// evaluate is the number of seconds; field names the path it may come from.
func (d seconds) evaluate(e env, field string) (int64, error) {
	if d.path == nil {
		return d.fixed, nil
	}
	value, ok := d.path.find(e)
	if !ok {
		return 0, runtimeFailure("The %s parameter does not reference an input value: %s", field, d.path.text)
	}
	n, ok := wholeNumber(value)
	if !ok || n < 0 || n > maxSeconds {
		return 0, runtimeFailure("The %s parameter is %s == %v, want a whole number from 0 to %d", field, d.path.text, value, maxSeconds)
	}
	return n, nil
}
