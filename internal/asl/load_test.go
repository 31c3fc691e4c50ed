package asl_test

import (
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/release"
)

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct{ definition, want string }{
		"what is not JSON":                    {`{"StartAt":`, "not JSON"},
		"what follows the end":                {one(`"Type":"Pass"`) + `1`, "more follows"},
		"an array":                            {`[]`, "want an object"},
		"a definition without a start":        {`{"States":{"S":{"Type":"Succeed"}}}`, "StartAt is missing"},
		"a start that is not there":           {`{"StartAt":"X","States":{"S":{"Type":"Succeed"}}}`, `StartAt is "X", which is not a state`},
		"no states":                           {`{"StartAt":"X","States":{}}`, "States is missing or empty"},
		"an unknown field of the machine":     {`{"StartAt":"S","Foo":1,"States":{"S":{"Type":"Succeed"}}}`, "Foo is not a field"},
		"an unknown field of a state":         {one(`"Type":"Pass","Foo":1`), "States.S.Foo is not a field"},
		"a field twice":                       {one(`"Type":"Pass","Type":"Pass"`), "States.S.Type is there twice"},
		"a state twice":                       {`{"StartAt":"S","States":{"S":{"Type":"Succeed"},"S":{"Type":"Succeed"}}}`, "States.S is there twice"},
		"a state's name in a Map again":       {strings.ReplaceAll(mapOf(``), `"I"`, `"S"`), "has the name of another state"},
		"a state's name that is too long":     {strings.ReplaceAll(one(`"Type":"Pass"`), `"S"`, `"`+strings.Repeat("S", 81)+`"`), "81 characters"},
		"an unknown type":                     {one(`"Type":"Loop"`), `Type is "Loop"`},
		"Parallel":                            {one(`"Type":"Parallel","Branches":[]`), `Type is "Parallel"`},
		"JSONata for the machine":             {`{"StartAt":"S","QueryLanguage":"JSONata","States":{"S":{"Type":"Succeed"}}}`, "only JSONPath"},
		"JSONata for a state":                 {one(`"Type":"Pass","QueryLanguage":"JSONata"`), "only JSONPath"},
		"variables":                           {one(`"Type":"Pass","Assign":{"a":1}`), "Assign is not implemented"},
		"credentials":                         {task(`,"Credentials":{"RoleArn":"r"}`), "Credentials is not implemented"},
		"a distributed Map":                   {strings.ReplaceAll(mapOf(``), "INLINE", "DISTRIBUTED"), "only INLINE"},
		"a Map's reader":                      {mapOf(`,"ItemReader":{}`), "ItemReader is not implemented"},
		"a Map's old Iterator":                {one(`"Type":"Map","Iterator":{}`), "Iterator is not implemented"},
		"another resource":                    {one(`"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{"FunctionName":"f"}`), "Resource is"},
		"a task without a function":           {one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"Payload":{}}`), "no FunctionName"},
		"an asynchronous invocation":          {one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","InvocationType":"Event"}`), "InvocationType is not implemented"},
		"a token that nobody gets":            {one(`"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f"}`), "does not hand on $$.Task.Token"},
		"a token where there is none":         {one(`"Type":"Pass","Parameters":{"t.$":"$$.Task.Token"}`), "outside of the Parameters of a task"},
		"an item where there is none":         {one(`"Type":"Pass","Parameters":{"t.$":"$$.Map.Item.Value"}`), "outside of a Map"},
		"an unknown path of the context":      {one(`"Type":"Pass","Parameters":{"t.$":"$$.Execution.Nmae"}`), "the context object does not have"},
		"neither Next nor End":                {`{"StartAt":"S","States":{"S":{"Type":"Pass"}}}`, "either Next or"},
		"both Next and End":                   {one(`"Type":"Pass","Next":"S"`), "either Next or"},
		"a Next that dangles":                 {`{"StartAt":"S","States":{"S":{"Type":"Pass","Next":"X"}}}`, `leads to "X"`},
		"a Default that dangles":              {`{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"E"}],"Default":"X"},"E":{"Type":"Succeed"}}}`, `leads to "X"`},
		"a Catch that dangles":                {task(`,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"X"}]`), `leads to "X"`},
		"a state that cannot be reached":      {`{"StartAt":"S","States":{"S":{"Type":"Succeed"},"T":{"Type":"Succeed"}}}`, "States.T cannot be reached"},
		"a loop without an end":               {`{"StartAt":"S","States":{"S":{"Type":"Pass","Next":"T"},"T":{"Type":"Pass","Next":"S"}}}`, "States.S never comes to an end"},
		"a jump out of a Map":                 {`{"StartAt":"S","States":{"S":{"Type":"Map","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Pass","Next":"E"}}},"Next":"E"},"E":{"Type":"Succeed"}}}`, `States.S.ItemProcessor.States.I leads to "E"`},
		"a problem in a nested Map":           {strings.ReplaceAll(mapOf(``), `"Type":"Pass"`, `"Type":"Pass","Foo":1`), "States.S.ItemProcessor.States.I.Foo"},
		"States.ALL beside another":           {task(`,"Retry":[{"ErrorEquals":["States.ALL","E"]}]`), "alone and in the last"},
		"States.ALL before another":           {task(`,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"},{"ErrorEquals":["E"],"Next":"S"}]`), "alone and in the last"},
		"States.Runtime":                      {task(`,"Retry":[{"ErrorEquals":["States.Runtime"]}]`), "never retried or caught"},
		"an error name that is reserved":      {task(`,"Retry":[{"ErrorEquals":["States.Foo"]}]`), `"States.Foo"`},
		"no error names":                      {task(`,"Retry":[{"ErrorEquals":[]}]`), "ErrorEquals is missing or empty"},
		"a BackoffRate under 1":               {task(`,"Retry":[{"ErrorEquals":["E"],"BackoffRate":0.5}]`), "BackoffRate"},
		"a MaxDelaySeconds under the first":   {task(`,"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":9,"MaxDelaySeconds":9}]`), "MaxDelaySeconds is 9"},
		"an unknown JitterStrategy":           {task(`,"Retry":[{"ErrorEquals":["E"],"JitterStrategy":"HALF"}]`), "JitterStrategy"},
		"an interval that is a text":          {task(`,"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":"1"}]`), "IntervalSeconds"},
		"a timeout of 0":                      {task(`,"TimeoutSeconds":0`), "TimeoutSeconds is 0"},
		"a timeout twice":                     {task(`,"TimeoutSeconds":1,"TimeoutSecondsPath":"$.t"`), "only one of them"},
		"a heartbeat without a token":         {task(`,"HeartbeatSeconds":1`), "heartbeat"},
		"a Wait without a time":               {one(`"Type":"Wait"`), "wants one of Seconds"},
		"a Wait with two times":               {one(`"Type":"Wait","Seconds":1,"SecondsPath":"$.a"`), "only one of them"},
		"a timestamp that is none":            {one(`"Type":"Wait","Timestamp":"soon"`), "RFC 3339"},
		"a path without a dollar":             {one(`"Type":"Pass","InputPath":"a"`), "begins with $"},
		"a filter":                            {one(`"Type":"Pass","InputPath":"$.a[?(@.b==1)]"`), "filter"},
		"recursive descent":                   {one(`"Type":"Pass","InputPath":"$..a"`), "not implemented"},
		"a union":                             {one(`"Type":"Pass","InputPath":"$.a[0,1]"`), "not an index"},
		"a ResultPath with a wildcard":        {one(`"Type":"Pass","ResultPath":"$.a[*]"`), "reference path"},
		"a ResultPath into the context":       {one(`"Type":"Pass","ResultPath":"$$.a"`), "context object"},
		"an unknown intrinsic":                {one(`"Type":"Pass","Parameters":{"a.$":"States.MathRandom(1,2)"}`), "States.MathRandom"},
		"an intrinsic with too few arguments": {one(`"Type":"Pass","Parameters":{"a.$":"States.MathAdd(1)"}`), "has 1 argument(s), want 2"},
		"an intrinsic that is not closed":     {one(`"Type":"Pass","Parameters":{"a.$":"States.Array(1"}`), "is missing"},
		"an intrinsic with more behind":       {one(`"Type":"Pass","Parameters":{"a.$":"States.UUID() x"}`), "follows"},
		"a path field that is a number":       {one(`"Type":"Pass","Parameters":{"a.$":1}`), "want a string"},
		"a field with and without a path":     {one(`"Type":"Pass","Parameters":{"a.$":"$","a":1}`), "are both there"},
		"a rule without an operator":          {choice(`"Variable":"$.a"`), "0 comparison operators"},
		"a rule with two operators":           {choice(`"Variable":"$.a","IsNull":true,"IsString":true`), "2 comparison operators"},
		"an unknown operator":                 {choice(`"Variable":"$.a","StringLike":"x"`), "StringLike is not a field"},
		"an operator's path that is not one":  {choice(`"Variable":"$.a","StringMatchesPath":"$.b"`), "StringMatchesPath is not a field"},
		"an operand of the wrong type":        {choice(`"Variable":"$.a","NumericEquals":"1"`), "want a number"},
		"a rule without a Variable":           {choice(`"IsNull":true`), "Variable is missing"},
		"a Next in an inner rule":             {choice(`"Not":{"Variable":"$.a","IsNull":true,"Next":"E"}`), "Not.Next is only allowed"},
		"an And of nothing":                   {choice(`"And":[]`), "at least one rule"},
		"no choices":                          {`{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[],"Default":"E"},"E":{"Type":"Succeed"}}}`, "Choices is missing or empty"},
		"a placeholder without a value":       {one(`"Type":"Pass","Comment":"${None}"`), "placeholder ${None}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := asl.Load([]byte(tt.definition), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got the error %v, want …%s…", err, tt.want)
			}
			if release.KindOf(err) != release.Invalid || release.RemedyOf(err) == "" {
				t.Errorf("the error is %s with the remedy %q, want invalid with one", release.KindOf(err), release.RemedyOf(err))
			}
		})
	}
}

func choice(rule string) string {
	return `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{` + rule + `,"Next":"E"}],"Default":"E"},"E":{"Type":"Succeed"}}}`
}

func TestLoadTellsAllProblemsWithTheirLines(t *testing.T) {
	_, err := asl.Load([]byte("{\n\"StartAt\":\"S\",\n\"Foo\":1,\n\"States\":{\n\"S\":{\"Type\":\"Pass\",\n\"Bar\":2,\n\"Next\":\"X\"},\n\"T\":{\"Type\":\"Loop\"}}}"), nil)
	if err == nil {
		t.Fatal("it was loaded")
	}
	for _, want := range []string{"5 problem(s)", "line 3: Foo", "line 6: States.S.Bar", `line 5: States.S leads to "X"`, `line 8: States.T.Type is "Loop"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestLoadSubstitutes(t *testing.T) {
	m, err := asl.Load([]byte(one(`"Type":"Pass","Comment":"${A}${B} ${A}"`)), map[string]string{"A": "x", "B": "\"", "Unused": "y"})
	if err != nil || m == nil {
		t.Errorf("got %v, want a machine", err)
	}
}

const edgy = `{"StartAt":"T","States":{
	"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},
		"Retry":[{"ErrorEquals":["A"]},{"ErrorEquals":["States.ALL"]}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"F"}],"ResultPath":null,"Next":"M"},
	"M":{"Type":"Map","ItemProcessor":{"StartAt":"C","States":{
		"C":{"Type":"Choice","Choices":[{"Variable":"$","IsNull":true,"Next":"P"}],"Default":"P"},"P":{"Type":"Pass","End":true}}},"End":true},
	"F":{"Type":"Fail"}}}`

func TestEdges(t *testing.T) {
	var got []string
	for _, e := range load(t, edgy).Edges() {
		got = append(got, e.String())
	}
	want := "T Retry[0] → T, T Retry[1] → T, T Catch[0] → F, T Next → M, M End, M/C Choice[0] → M/P, M/C Default → M/P, M/P End"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if got := strings.Join(load(t, edgy).States(), " "); got != "T M M/C M/P F" {
		t.Errorf("the states are %q", got)
	}
}

func TestLint(t *testing.T) {
	got := strings.Join(load(t, edgy).Lint(), "\n")
	for _, want := range []string{"machine has no TimeoutSeconds", "machine has no Comment", "Task state T has no TimeoutSeconds", "Map state M has no MaxConcurrency", "Choice state M/C has no Comment"} {
		if !strings.Contains(got, want) {
			t.Errorf("the findings lack %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Retry") || strings.Contains(got, "Catch") {
		t.Errorf("Retry and Catch are there, but the findings are:\n%s", got)
	}
	got = strings.Join(load(t, task(``)).Lint(), "\n")
	if !strings.Contains(got, "S has no Retry") || !strings.Contains(got, "S has no Catch") {
		t.Errorf("Retry and Catch are missing, but the findings are:\n%s", got)
	}
	clean := `{"Comment":"c","TimeoutSeconds":9,"StartAt":"S","States":{"S":{"Type":"Succeed","Comment":"c"}}}`
	if got := load(t, clean).Lint(); len(got) != 0 {
		t.Errorf("got the findings %q, want none", got)
	}
}
