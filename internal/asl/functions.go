package asl

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// invocation is one evaluation of an intrinsic.
type invocation struct {
	args  []any
	call  *call
	frame *frame
}

// intrinsic is a function of the language; most < 0 is any number of arguments.
type intrinsic struct {
	least, most int
	apply       func(invocation) (any, error)
}

func (f intrinsic) arity() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("%d or more", f.least)
	case f.least == f.most:
		return fmt.Sprint(f.least)
	}
	return fmt.Sprintf("%d to %d", f.least, f.most)
}

// intrinsics are the functions that are implemented (states-language.net,
// "Appendix B: List of Intrinsic Functions").
var intrinsics = map[string]intrinsic{
	"States.Format":        {1, -1, formatText},
	"States.StringToJson":  {1, 1, stringToJSON},
	"States.JsonToString":  {1, 1, jsonToString},
	"States.Array":         {0, -1, makeArray},
	"States.ArrayGetItem":  {2, 2, arrayItem},
	"States.ArrayLength":   {1, 1, arrayLength},
	"States.ArrayContains": {2, 2, arrayContains},
	"States.MathAdd":       {2, 2, mathAdd},
	"States.UUID":          {0, 0, newUUID},
	"States.Hash":          {2, 2, hashText},
}

func (v invocation) array(i int) ([]any, error) {
	array, ok := v.args[i].([]any)
	if !ok {
		return nil, fmt.Errorf("argument %d is %s, want an array", i+1, describe(v.args[i]))
	}
	return array, nil
}

func (v invocation) text(i int) (string, error) {
	text, ok := v.args[i].(string)
	if !ok {
		return "", fmt.Errorf("argument %d is %s, want a string", i+1, describe(v.args[i]))
	}
	return text, nil
}

func (v invocation) integer(i int) (int64, error) {
	n, ok := wholeNumber(v.args[i])
	if !ok {
		return 0, fmt.Errorf("argument %d is %s, want a whole number", i+1, describe(v.args[i]))
	}
	return n, nil
}

// formatText replaces each {} of the first argument by the next of the others.
func formatText(v invocation) (any, error) {
	pattern, err := v.text(0)
	if err != nil {
		return nil, err
	}
	if raw := v.call.args[0].raw; raw != "" {
		pattern = raw
	}
	var out strings.Builder
	next := 1
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			out.WriteByte(pattern[i])
		case strings.HasPrefix(pattern[i:], "{}"):
			if next >= len(v.args) {
				return nil, fmt.Errorf("there are more {} than the %d value(s)", len(v.args)-1)
			}
			text, err := formatted(v.args[next])
			if err != nil {
				return nil, err
			}
			out.WriteString(text)
			next++
			i++
		default:
			out.WriteByte(pattern[i])
		}
	}
	if next != len(v.args) {
		return nil, fmt.Errorf("there are %d {} for %d value(s)", next-1, len(v.args)-1)
	}
	return out.String(), nil
}

func formatted(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return value, nil
	case nil:
		return "null", nil
	case bool, json.Number:
		return fmt.Sprint(value), nil
	}
	return "", fmt.Errorf("%s cannot be put into a string", describe(value))
}

func stringToJSON(v invocation) (any, error) {
	text, err := v.text(0)
	if err != nil {
		return nil, err
	}
	value, err := decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the string is not JSON: %w", err)
	}
	return value, nil
}

func jsonToString(v invocation) (any, error) {
	text, err := encode(v.args[0])
	return string(text), err
}

func makeArray(v invocation) (any, error) { return v.args, nil }

func arrayItem(v invocation) (any, error) {
	array, err := v.array(0)
	if err != nil {
		return nil, err
	}
	index, err := v.integer(1)
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= int64(len(array)) {
		return nil, fmt.Errorf("the index %d is outside of the array of %d", index, len(array))
	}
	return array[index], nil
}

func arrayLength(v invocation) (any, error) {
	array, err := v.array(0)
	return integerValue(int64(len(array))), err
}

func arrayContains(v invocation) (any, error) {
	array, err := v.array(0)
	if err != nil {
		return nil, err
	}
	for _, item := range array {
		if sameValue(item, v.args[1]) {
			return true, nil
		}
	}
	return false, nil
}

func mathAdd(v invocation) (any, error) {
	a, err := v.integer(0)
	if err != nil {
		return nil, err
	}
	b, err := v.integer(1)
	if err != nil {
		return nil, err
	}
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 {
		return nil, fmt.Errorf("the sum of %d and %d is too large", a, b)
	}
	return integerValue(sum), nil
}

func newUUID(v invocation) (any, error) {
	b := v.frame.randomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562, version 4
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]), nil
}

// hashText is the hash of a string, in hexadecimal.
func hashText(v invocation) (any, error) {
	text, err := v.text(0)
	if err != nil {
		return nil, err
	}
	algorithm, err := v.text(1)
	if err != nil {
		return nil, err
	}
	data := []byte(text)
	switch algorithm {
	case "MD5":
		sum := md5.Sum(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-1":
		sum := sha1.Sum(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-256":
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-384":
		sum := sha512.Sum384(data)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-512":
		sum := sha512.Sum512(data)
		return hex.EncodeToString(sum[:]), nil
	}
	return nil, fmt.Errorf("the algorithm %q is not one of MD5, SHA-1, SHA-256, SHA-384, SHA-512", algorithm)
}
