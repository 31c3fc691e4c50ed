package asl

import (
	"fmt"
	"maps"
	"slices"
)

// selector is an InputPath or an OutputPath: a path, or null for an empty object.
type selector struct {
	null bool
	path *path
}

func (s selector) apply(e env) (any, error) {
	if s.null {
		return map[string]any{}, nil
	}
	if s.path == nil {
		return e.input, nil
	}
	value, ok := s.path.find(e)
	if !ok {
		return nil, runtimeFailure("Invalid path '%s': it is not in the input", s.path.text)
	}
	return value, nil
}

// resultPath says where a result goes in the state's input: nowhere, in its
// stead, or at a reference path.
type resultPath struct {
	discard bool
	path    *path
}

// parseResultPath reads a reference path: fields and indexes only.
func parseResultPath(text string) (*path, error) {
	p, err := parsePath(text)
	if err != nil {
		return nil, err
	}
	if p.context {
		return nil, fmt.Errorf("is %q; the context object cannot be written", text)
	}
	for _, step := range p.steps {
		if step.kind != stepField && (step.kind != stepIndex || step.index < 0) {
			return nil, fmt.Errorf("is %q, want a reference path of names and indexes", text)
		}
	}
	return p, nil
}

func (r resultPath) apply(input, result any) (any, error) {
	if r.discard {
		return input, nil
	}
	if r.path == nil {
		return result, nil
	}
	output, ok := put(input, r.path.steps, result)
	if !ok {
		return nil, &failure{name: errorResultPath, cause: fmt.Sprintf("Unable to apply ReferencePath %s to the state's input, which is %s", r.path.text, describe(input))}
	}
	return output, nil
}

// put is a copy of value with result at the end of steps. Objects on the way
// are made when they are missing, items of arrays are not.
func put(value any, steps []pathStep, result any) (any, bool) {
	if len(steps) == 0 {
		return result, true
	}
	step := steps[0]
	if step.kind == stepIndex {
		return putItem(value, step.index, steps[1:], result)
	}
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, false
	}
	old, there := object[step.name]
	if there && old == nil && len(steps) > 1 {
		return nil, false
	}
	member, ok := put(old, steps[1:], result)
	if !ok {
		return nil, false
	}
	changed := maps.Clone(object)
	if changed == nil {
		changed = map[string]any{}
	}
	changed[step.name] = member
	return changed, true
}

func putItem(value any, index int, steps []pathStep, result any) (any, bool) {
	array, _ := value.([]any)
	if index >= len(array) {
		return nil, false
	}
	item, ok := put(array[index], steps, result)
	if !ok {
		return nil, false
	}
	changed := slices.Clone(array)
	changed[index] = item
	return changed, true
}

func sortedNames[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
