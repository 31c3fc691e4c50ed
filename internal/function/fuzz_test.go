package function

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/release"
)

// FuzzExpect judges any answer by any expectation: as a second, plainer rule
// does; an answer meets itself and bears further members; the refusal is one
// short line.
func FuzzExpect(f *testing.F) {
	f.Add([]byte(`{"statusCode":200}`), []byte(`{"statusCode":200,"body":"ok"}`))
	f.Add([]byte(`{"a":[{"b":null},2.0,{"c":{}}]}`), []byte(`{"a":[{"b":null,"x":1},2,{"c":{"d":1}}]}`))
	f.Add([]byte(`[1,2]`), []byte(`[1,2,3]`))
	f.Add([]byte(`{"a":{"b":{"c":[]}}}`), []byte(`{"a":{"b":{"c":{}}}}`))
	f.Add([]byte(`{"`+strings.Repeat("é", 500)+`":1}`), []byte(`{"a":"\u0000\n"}`))
	f.Add([]byte(`{"a\nb":{"c":1}}`), []byte(`{"a\nb":{"c":2}}`))
	f.Add([]byte(`{"`+strings.Repeat("long", 2000)+`":{"c":1}}`), []byte(`{"`+strings.Repeat("long", 2000)+`":{}}`))
	f.Add([]byte(`1e400`), []byte(`"text"`))
	f.Add([]byte(`{"a":0}`), []byte(`{"a":false}`))
	f.Add([]byte(`{"a":null}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, want, got []byte) {
		var expected, answer any
		if json.Unmarshal(want, &expected) != nil || expected == nil {
			return
		}
		if err := judged(expected, want); err != nil {
			t.Errorf("%s does not meet itself: %v", want, err)
		}
		err := judged(expected, got)
		oneLine(t, err)
		oneLine(t, crashed(got))
		if json.Unmarshal(got, &answer) != nil {
			if err == nil {
				t.Errorf("%q is no JSON and meets %s", got, want)
			}
			return
		}
		if meets := meets(expected, answer); meets != (err == nil) {
			t.Errorf("%s meets %s: %v, want %v", got, want, err, meets)
		}
		if object, ok := answer.(map[string]any); ok && err == nil {
			object["a member more"] = 1.0
			more, _ := json.Marshal(object) // decoded JSON always encodes
			if _, wanted := expected.(map[string]any)["a member more"]; !wanted && judged(expected, more) != nil {
				t.Errorf("%s meets %s, and with a member more it does not", got, want)
			}
		}
	})
}

// judged is the judgement of a function's answer.
func judged(expect any, answer []byte) error {
	u := &update{}
	u.w = &release.Work{Result: &release.Result{Version: "7"}}
	u.step = &release.FunctionStep{Name: "orders-api", Smoke: &release.Smoke{Expect: expect}}
	return u.judge(&lambda.InvokeOutput{Payload: answer})
}

// crashed is the judgement of a function that failed.
func crashed(answer []byte) error {
	u := &update{w: &release.Work{Result: &release.Result{Version: "7"}}, step: &release.FunctionStep{Name: "orders-api", Smoke: &release.Smoke{}}}
	return u.judge(&lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: answer})
}

// oneLine checks that an error can be printed in a line.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if err != nil && (len(err.Error()) > 4<<10 || strings.ContainsFunc(err.Error(), unicode.IsControl) || !utf8.ValidString(err.Error())) {
		t.Errorf("the refusal of %d bytes is not one short line: %.300q", len(err.Error()), err)
	}
}

// meets tells whether got has all of want.
func meets(want, got any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for name, value := range w {
			member, has := g[name]
			ok = ok && has && meets(value, member)
		}
		return ok
	case []any:
		g, ok := got.([]any)
		ok = ok && len(g) == len(w)
		for i := range w {
			ok = ok && meets(w[i], g[i])
		}
		return ok
	}
	return reflect.DeepEqual(want, got)
}

// FuzzRedacted has Lambda repeat variables in an error, as text and as JSON: no
// telling value is left, and an error that has none stays as it is.
func FuzzRedacted(f *testing.F) {
	f.Add("Lambda was unable to configure your environment variables: {KEY=", "s3cr3t-value", "s3cr3t", true)
	f.Add("String measured: ", "quoted \"value\"\n<&>", "é\u2028", true)
	f.Add("nothing to see", "abcde", "defgh", false)
	f.Add("abcdefgh", "***", "****", false)
	f.Fuzz(func(t *testing.T, message, first, second string, asJSON bool) {
		variables := map[string]string{"FIRST": first, "SECOND": second}
		said := message + first + " " + second
		if asJSON {
			text, _ := json.Marshal(variables) // strings always encode
			said = message + string(text)
		}
		clean := redacted(errors.New(said), variables)
		for _, value := range slices.Collect(maps.Values(variables)) {
			text, _ := json.Marshal(value)
			for _, shown := range []string{value, string(text[1 : len(text)-1])} {
				if len(value) >= 4 && strings.Trim(value, "*") == value && strings.Contains(clean.Error(), shown) {
					t.Errorf("%q shows %q", clean, shown)
				}
			}
		}
		for _, cause := range []error{errors.Unwrap(clean)} {
			if cause != nil {
				t.Errorf("%q still has its cause %q", clean, cause)
			}
		}
		if plain := errors.New(message); redacted(plain, nil) != plain && !strings.Contains(message, "String measured: ") {
			t.Errorf("%q was changed without a variable", message)
		}
	})
}
