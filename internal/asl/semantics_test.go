package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/clock"
)

func TestDataFlow(t *testing.T) {
	tests := map[string]struct{ definition, input, want string }{
		"a Pass hands its input on":                  {one(`"Type":"Pass"`), `{"a":1}`, `{"a":1}`},
		"a Pass gives its Result":                    {one(`"Type":"Pass","Result":{"b.$":"$.a"}`), `{"a":1}`, `{"b.$":"$.a"}`},
		"a Result goes to the ResultPath":            {one(`"Type":"Pass","Result":2,"ResultPath":"$.b.c"`), `{"a":1}`, `{"a":1,"b":{"c":2}}`},
		"a ResultPath replaces an item":              {one(`"Type":"Pass","Result":2,"ResultPath":"$.a[1]"`), `{"a":[1,1]}`, `{"a":[1,2]}`},
		"a ResultPath of null keeps the input":       {one(`"Type":"Pass","Result":2,"ResultPath":null`), `{"a":1}`, `{"a":1}`},
		"ResultPath is into the raw input":           {one(`"Type":"Pass","InputPath":"$.a","ResultPath":"$.c"`), `{"a":1,"b":2}`, `{"a":1,"b":2,"c":1}`},
		"InputPath selects":                          {one(`"Type":"Pass","InputPath":"$.a"`), `{"a":{"b":1}}`, `{"b":1}`},
		"InputPath of null is an empty object":       {one(`"Type":"Pass","InputPath":null`), `{"a":1}`, `{}`},
		"InputPath may be of the context":            {one(`"Type":"Pass","InputPath":"$$.Execution.Name"`), `{}`, `"x"`},
		"OutputPath selects":                         {one(`"Type":"Pass","OutputPath":"$.a[0]"`), `{"a":[5]}`, `5`},
		"OutputPath of null is an empty object":      {one(`"Type":"Pass","OutputPath":null`), `{"a":1}`, `{}`},
		"Parameters mix literals and paths":          {one(`"Type":"Pass","Parameters":{"a":[{"x.$":"$.n"},1],"b.$":"$.n","c":{"d":null}}`), `{"n":7}`, `{"a":[{"x":7},1],"b":7,"c":{"d":null}}`},
		"large numbers keep their digits":            {one(`"Type":"Pass"`), `{"id":12345678901234567890}`, `{"id":12345678901234567890}`},
		"a task has Lambda's envelope":               {task(``), `{"a":1}`, `{"ExecutedVersion":"$LATEST","Payload":{"a":1},"StatusCode":200}`},
		"ResultSelector sees the envelope":           {task(`,"ResultSelector":{"p.$":"$.Payload.a","k":1}`), `{"a":3}`, `{"p":3,"k":1}`},
		"ResultSelector, ResultPath, OutputPath":     {task(`,"ResultSelector":{"p.$":"$.Payload"},"ResultPath":"$.r","OutputPath":"$.r.p.a"`), `{"a":3}`, `3`},
		"a Succeed has paths":                        {`{"StartAt":"S","States":{"S":{"Type":"Succeed","OutputPath":"$.a"}}}`, `{"a":3}`, `3`},
		"names in brackets":                          {one(`"Type":"Pass","OutputPath":"$['a b'][\"c\"]"`), `{"a b":{"c":1}}`, `1`},
		"a wildcard gives all items":                 {one(`"Type":"Pass","OutputPath":"$.a[*].b"`), `{"a":[{"b":1},{"c":2},{"b":3}]}`, `[1,3]`},
		"a wildcard gives all members":               {one(`"Type":"Pass","OutputPath":"$.a.*"`), `{"a":{"y":2,"x":1}}`, `[1,2]`},
		"a slice":                                    {one(`"Type":"Pass","OutputPath":"$.a[1:3]"`), `{"a":[0,1,2,3]}`, `[1,2]`},
		"a slice from the end":                       {one(`"Type":"Pass","OutputPath":"$.a[-2:]"`), `{"a":[0,1,2,3]}`, `[2,3]`},
		"a negative index":                           {one(`"Type":"Pass","OutputPath":"$.a[-1]"`), `{"a":[0,1,2,3]}`, `3`},
		"the context object":                         {one(`"Type":"Pass","Parameters":{"n.$":"$$.Execution.Name","i.$":"$$.Execution.Input.a","s.$":"$$.State.Name","r.$":"$$.State.RetryCount","m.$":"$$.StateMachine.Name"}`), `{"a":1}`, `{"n":"x","i":1,"s":"S","r":0,"m":"release"}`},
		"no input is an empty object":                {one(`"Type":"Pass"`), ``, `{}`},
		"a Wait hands its input on":                  {one(`"Type":"Wait","Seconds":0`), `{"a":1}`, `{"a":1}`},
		"a Map gives its results in order":           {mapOf(``), `[3,1,2]`, `[3,1,2]`},
		"a Map of nothing":                           {mapOf(``), `[]`, `[]`},
		"ItemsPath, ItemSelector and the Map's item": {mapOf(`,"ItemsPath":"$.l","ItemSelector":{"v.$":"$$.Map.Item.Value","i.$":"$$.Map.Item.Index","k.$":"$.k"}`), `{"l":["a","b"],"k":1}`, `[{"v":"a","i":0,"k":1},{"v":"b","i":1,"k":1}]`},
		"a Map's ResultSelector and ResultPath":      {mapOf(`,"ItemsPath":"$.l","ResultSelector":{"first.$":"$[0]"},"ResultPath":"$.r"`), `{"l":[4,5]}`, `{"l":[4,5],"r":{"first":4}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, tt.definition, map[string]function{"f": echo})
				x := w.run(tt.input)
				wantOutput(t, x, tt.want)
				if strings.Contains(tt.input, "123456789") && string(x.Output) != tt.want {
					t.Errorf("got %s, want %s to the digit", x.Output, tt.want)
				}
			})
		})
	}
}

// mapOf is a machine of one Map over Pass states.
func mapOf(fields string) string {
	return one(`"Type":"Map","ItemProcessor":{"ProcessorConfig":{"Mode":"INLINE"},"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}}` + fields)
}

func TestIntrinsics(t *testing.T) {
	tests := map[string]struct{ call, want string }{
		"format":                         {`States.Format('{} of {}: {}', $.n, 'a\\'b', true)`, `"7 of a'b: true"`},
		"format with braces escaped":     {`States.Format('\\{{}\\}', $.s)`, `"{text}"`},
		"format by a path":               {`States.Format($.f, 1)`, `"<1>"`},
		"a string to JSON":               {`States.StringToJson('{\"a\":[1,null]}')`, ``},
		"JSON to a string":               {`States.JsonToString($.o)`, `"{\"a\":\"<&>\",\"b\":1}"`},
		"an array of anything":           {`States.Array(1, 'x', null, $.n, States.Array())`, `[1,"x",null,7,[]]`},
		"an item":                        {`States.ArrayGetItem($.l, 1)`, `20`},
		"an item by a computed index":    {`States.ArrayGetItem($.l, States.MathAdd(1, -1))`, `10`},
		"the length":                     {`States.ArrayLength($.l)`, `2`},
		"contained, by value":            {`States.ArrayContains($.l, 2e1)`, `true`},
		"not contained":                  {`States.ArrayContains($.l, '20')`, `false`},
		"a sum":                          {`States.MathAdd($.n, -10)`, `-3`},
		"a hash":                         {`States.Hash('abc', 'SHA-256')`, `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`},
		"another hash":                   {`States.Hash('abc', 'MD5')`, `"900150983cd24fb0d6963f7d28e17f72"`},
		"a path with a comma in quotes":  {`States.Array($['a,b'])`, `[9]`},
		"the length of a list of UUIDs":  {`States.ArrayLength(States.Array(States.UUID()))`, `1`},
		"format an argument of the task": {`States.Format('{}/{}', $$.Execution.Name, $$.State.Name)`, `"x/S"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				call := tt.call
				if tt.want == "" {
					call, tt.want = `States.StringToJson($.j)`, `{"a":[1,null]}`
				}
				w := newWorld(t, c, one(`"Type":"Pass","Parameters":{"v.$":"`+call+`"},"OutputPath":"$.v"`), nil)
				wantOutput(t, w.run(`{"n":7,"s":"text","f":"<{}>","o":{"b":1,"a":"<&>"},"l":[10,20],"j":"{\"a\":[1,null]}","a,b":9}`), tt.want)
			})
		})
	}
}

func TestIntrinsicsThatFail(t *testing.T) {
	for name, call := range map[string]string{
		"an index outside":          `States.ArrayGetItem($.l, 2)`,
		"a negative index":          `States.ArrayGetItem($.l, -1)`,
		"an array that is none":     `States.ArrayLength($.n)`,
		"a sum of a text":           `States.MathAdd($.s, 1)`,
		"a sum too large":           `States.MathAdd(9223372036854775807, 1)`,
		"a string that is not JSON": `States.StringToJson($.s)`,
		"too few values":            `States.Format('{} {}', 1)`,
		"too many values":           `States.Format('{}', 1, 2)`,
		"an object in a string":     `States.Format('{}', $)`,
		"an unknown algorithm":      `States.Hash('a', 'CRC')`,
		"a path that is missing":    `States.Array($.none)`,
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, one(`"Type":"Pass","Parameters":{"v.$":"`+call+`"}`), nil)
				wantFailure(t, w.run(`{"n":7,"s":"text","l":[1,2]}`), "States.Runtime", "The function 'States.")
			})
		})
	}
}

func TestUUIDsDiffer(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, one(`"Type":"Pass","Parameters":{"a.$":"States.UUID()","b.$":"States.UUID()"}`), nil)
		var out struct{ A, B string }
		if err := json.Unmarshal(w.run(`{}`).Output, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.A) != 36 || out.A[14] != '4' || out.A == out.B {
			t.Errorf("got the UUIDs %q and %q", out.A, out.B)
		}
	})
}

func TestChoices(t *testing.T) {
	const input = `{"s":"mango","n":5,"f":5.0,"b":true,"z":null,"t":"2020-01-01T00:00:00Z","u":"2020-01-01T01:00:00+01:00","o":{},"w":"a*c\\d"}`
	tests := map[string]bool{
		`"Variable":"$.s","StringEquals":"mango"`:                                                                 true,
		`"Variable":"$.s","StringEquals":"Mango"`:                                                                 false,
		`"Variable":"$.n","StringEquals":"5"`:                                                                     false,
		`"Variable":"$.s","StringLessThan":"nut"`:                                                                 true,
		`"Variable":"$.s","StringGreaterThanEquals":"mango"`:                                                      true,
		`"Variable":"$.s","StringEqualsPath":"$.s"`:                                                               true,
		`"Variable":"$.s","StringMatches":"m*g*"`:                                                                 true,
		`"Variable":"$.s","StringMatches":"*x*"`:                                                                  false,
		`"Variable":"$.s","StringMatches":"mang"`:                                                                 false,
		`"Variable":"$.s","StringMatches":"mango*o"`:                                                              false,
		`"Variable":"$.w","StringMatches":"a\\*c\\\\*"`:                                                           true,
		`"Variable":"$.s","StringMatches":"m\\*o"`:                                                                false,
		`"Variable":"$.b","BooleanEquals":true`:                                                                   true,
		`"Variable":"$.s","BooleanEquals":false`:                                                                  false,
		`"Variable":"$.b","BooleanEqualsPath":"$.b"`:                                                              true,
		`"Variable":"$.n","NumericEquals":5.0`:                                                                    true,
		`"Variable":"$.n","NumericEqualsPath":"$.f"`:                                                              true,
		`"Variable":"$.n","NumericLessThan":5`:                                                                    false,
		`"Variable":"$.n","NumericLessThanEquals":5`:                                                              true,
		`"Variable":"$.n","NumericGreaterThan":4.5`:                                                               true,
		`"Variable":"$.n","NumericGreaterThanPath":"$.s"`:                                                         false,
		`"Variable":"$.t","TimestampEquals":"2020-01-01T00:00:00Z"`:                                               true,
		`"Variable":"$.t","TimestampEqualsPath":"$.u"`:                                                            true,
		`"Variable":"$.t","TimestampGreaterThan":"2019-12-31T23:59:59Z"`:                                          true,
		`"Variable":"$.s","TimestampLessThan":"2019-12-31T23:59:59Z"`:                                             false,
		`"Variable":"$.none","IsPresent":true`:                                                                    false,
		`"Variable":"$.none","IsPresent":false`:                                                                   true,
		`"Variable":"$.z","IsPresent":true`:                                                                       true,
		`"Variable":"$.z","IsNull":true`:                                                                          true,
		`"Variable":"$.s","IsNull":false`:                                                                         true,
		`"Variable":"$.n","IsNumeric":true`:                                                                       true,
		`"Variable":"$.s","IsString":true`:                                                                        true,
		`"Variable":"$.b","IsBoolean":true`:                                                                       true,
		`"Variable":"$.t","IsTimestamp":true`:                                                                     true,
		`"Variable":"$.s","IsTimestamp":true`:                                                                     false,
		`"Not":{"Variable":"$.b","BooleanEquals":false}`:                                                          true,
		`"And":[{"Variable":"$.none","IsPresent":true},{"Variable":"$.none","StringEquals":"a"}]`:                 false,
		`"And":[{"Variable":"$.b","BooleanEquals":true},{"Variable":"$.n","NumericEquals":5}]`:                    true,
		`"Or":[{"Variable":"$.b","BooleanEquals":false},{"Not":{"Variable":"$.n","NumericEquals":6}}]`:            true,
		`"Or":[{"Variable":"$.b","BooleanEquals":false},{"Variable":"$$.Execution.Name","StringEquals":"other"}]`: false,
	}
	for rule, want := range tests {
		t.Run(rule, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{`+rule+`,"Next":"Yes"}],"Default":"No"},
					"Yes":{"Type":"Pass","Result":true,"End":true},"No":{"Type":"Pass","Result":false,"End":true}}}`, nil)
				got := w.run(input)
				wantOutput(t, got, map[bool]string{true: "true", false: "false"}[want])
			})
		})
	}
}

func TestFailures(t *testing.T) {
	big := strings.Repeat("x", 150_000)
	catchAll := `,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"}],"Retry":[{"ErrorEquals":["States.ALL"]}]`
	tests := map[string]struct{ definition, input, name, cause string }{
		"a Fail state": {`{"StartAt":"S","States":{"S":{"Type":"Fail","Error":"E","Cause":"because"}}}`, `{}`, "E", "because"},
		"a Fail state with paths": {`{"StartAt":"S","States":{"S":{"Type":"Fail","ErrorPath":"$.e","CausePath":"States.Format('on {}', $.c)"}}}`,
			`{"e":"E","c":"fire"}`, "E", "on fire"},
		"a Fail state whose path is missing":       {`{"StartAt":"S","States":{"S":{"Type":"Fail","ErrorPath":"$.e"}}}`, `{}`, "States.Runtime", "'$.e'"},
		"no choice matches":                        {`{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"x","Next":"E"}]},"E":{"Type":"Succeed"}}}`, `{"a":1}`, "States.NoChoiceMatched", "'C'"},
		"a choice's variable is missing":           {`{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"x","Next":"E"}],"Default":"E"},"E":{"Type":"Succeed"}}}`, `{}`, "States.Runtime", "'$.a'"},
		"an InputPath is missing":                  {one(`"Type":"Pass","InputPath":"$.a"`), `{}`, "States.Runtime", "while executing the state 'S' (entered at the event id #2)"},
		"an OutputPath is missing":                 {one(`"Type":"Pass","OutputPath":"$.a"`), `{}`, "States.Runtime", "'$.a'"},
		"a parameter's path is missing, uncaught":  {task(`,"ResultSelector":{"a.$":"$.Payload.none"}` + catchAll), `{}`, "States.Runtime", "'a.$'"},
		"a ResultPath into a text":                 {one(`"Type":"Pass","Result":1,"ResultPath":"$.a.b"`), `{"a":"text"}`, "States.ResultPathMatchFailure", "$.a.b"},
		"a ResultPath beyond an array":             {one(`"Type":"Pass","Result":1,"ResultPath":"$.a[3]"`), `{"a":[1]}`, "States.ResultPathMatchFailure", ""},
		"items that are no array":                  {mapOf(`,"ItemsPath":"$.a"`), `{"a":1}`, "States.Runtime", "must point to array"},
		"an output over the limit":                 {one(`"Type":"Pass","Parameters":{"a.$":"$.a","b.$":"$.a"}`), `{"a":"` + big + `"}`, "States.DataLimitExceeded", "'S'"},
		"parameters over the limit, uncaught":      {one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload":{"a.$":"$.a","b.$":"$.a"}}` + catchAll), `{"a":"` + big + `"}`, "States.DataLimitExceeded", "'S'"},
		"a task's result over the limit, uncaught": {task(catchAll), `{"a":"` + strings.Repeat("x", 262_140-6) + `"}`, "States.DataLimitExceeded", ""},
		"a Map's result over the limit":            {mapOf(`,"ItemSelector":{"v.$":"$$.Map.Item.Value","w.$":"$$.Map.Item.Value"}`), `["` + big[:100_000] + `","` + big[:100_000] + `"]`, "States.DataLimitExceeded", ""},
		"SecondsPath is negative":                  {one(`"Type":"Wait","SecondsPath":"$.s"`), `{"s":-1}`, "States.Runtime", "SecondsPath"},
		"SecondsPath is a fraction":                {one(`"Type":"Wait","SecondsPath":"$.s"`), `{"s":1.5}`, "States.Runtime", "SecondsPath"},
		"TimestampPath is no time":                 {one(`"Type":"Wait","TimestampPath":"$.s"`), `{"s":"tomorrow"}`, "States.Runtime", "TimestampPath"},
		"a function without a name of its error":   {task(``), `"plain"`, "Lambda.Unknown", `{"errorMessage":"plain error","errorType":"Lambda.Unknown"}`},
		"a function with a name of its error":      {task(``), `"named"`, "Tagboat.Denied", `{"errorMessage":"<no>","errorType":"Tagboat.Denied"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, c clock.Clock) {
				w := newWorld(t, c, tt.definition, map[string]function{"f": moody})
				wantFailure(t, w.run(tt.input), tt.name, tt.cause)
			})
		})
	}
}

// moody fails when it is told to and otherwise answers with its payload.
func moody(_ context.Context, payload json.RawMessage) (any, error) {
	switch string(payload) {
	case `"plain"`:
		return nil, errors.New("plain error")
	case `"named"`:
		return nil, named("Tagboat.Denied", "<no>")
	}
	return payload, nil
}

func TestInputOverTheLimitIsRefused(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, one(`"Type":"Pass"`), nil)
		fits := `"` + strings.Repeat("x", 262_142) + `"`
		w.start("fits", fits)
		wantOutput(t, w.wait("fits"), fits)
		if err := w.engine.Start(t.Context(), "over", json.RawMessage(`"`+strings.Repeat("x", 262_143)+`"`)); err == nil {
			t.Error("an input of 262,145 bytes was taken")
		}
	})
}

func TestHistoryIsFull(t *testing.T) {
	virtually(t, func(t *testing.T, c clock.Clock) {
		w := newWorld(t, c, `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Choice",
			"Choices":[{"Variable":"$.never","IsPresent":true,"Next":"E"}],"Default":"A"},"E":{"Type":"Succeed"}}}`, nil)
		x := w.run(`{}`)
		wantFailure(t, x, "States.Runtime", "maximum number of history events")
		if got := w.history("x"); len(got) != 25_000 || got[24_999] != string(asl.ExecutionFailed) {
			t.Errorf("the history has %d events and ends with %s, want 25000 and ExecutionFailed", len(got), got[len(got)-1])
		}
	})
}
