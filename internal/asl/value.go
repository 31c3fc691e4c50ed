package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
)

// dataLimit is the most bytes a state's input, output or task result may have
// (Step Functions quotas, "Maximum input or output size").
const dataLimit = 262_144

// document is a JSON value with its encoding. Values are shared between states
// and never changed in place.
type document struct {
	value any
	raw   json.RawMessage
}

// newDocument encodes a value.
func newDocument(value any) (document, error) {
	raw, err := encode(value)
	if err != nil {
		return document{}, runtimeFailure("a value cannot be encoded as JSON: %v", err)
	}
	return document{value: value, raw: raw}, nil
}

// encode writes a value as JSON, with members in the order of their names and
// without HTML escapes.
func encode(value any) (json.RawMessage, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// decode reads one JSON value; numbers keep their digits.
func decode(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("more follows the JSON value")
	}
	return value, nil
}

// parseDocument decodes a payload; nothing at all is null.
func parseDocument(raw []byte) (document, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return document{raw: json.RawMessage("null")}, nil
	}
	value, err := decode(raw)
	if err != nil {
		return document{}, err
	}
	compact, err := encode(value)
	return document{value: value, raw: compact}, err
}

// describe names a value's type for messages.
func describe(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", value)
}

// wholeNumber is the integer that a value holds, if it is one.
func wholeNumber(value any) (int64, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	if n, err := number.Int64(); err == nil {
		return n, true
	}
	f, err := number.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func integerValue(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// sameValue compares two JSON values; numbers by what they are worth.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		order, ok := compareNumbers(a, b)
		return ok && order == 0
	case []any:
		other, ok := b.([]any)
		return ok && sameItems(a, other)
	case map[string]any:
		other, ok := b.(map[string]any)
		return ok && sameMembers(a, other)
	}
	return reflect.DeepEqual(a, b)
}

func sameItems(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameValue(a[i], b[i]) {
			return false
		}
	}
	return true
}

func sameMembers(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		other, ok := b[name]
		if !ok || !sameValue(value, other) {
			return false
		}
	}
	return true
}
