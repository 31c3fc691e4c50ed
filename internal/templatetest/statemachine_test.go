package templatetest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/statemachine"
)

// task is a Task state of the definition.
type task struct {
	name     string
	function string // the name in ${…}
	timeout  int
	payload  []string // the fields of its payload
}

// tasks are all Task states of the definition, those inside of Maps too.
func tasks(t *testing.T) []task {
	t.Helper()
	var machine struct{ States map[string]object }
	if err := json.Unmarshal(statemachine.Definition, &machine); err != nil {
		t.Fatal(err)
	}
	var all []task
	var walk func(states map[string]any)
	walk = func(states map[string]any) {
		for name, state := range states {
			if inner, ok := at(state, "ItemProcessor", "States").(object); ok {
				walk(inner)
			}
			if at(state, "Type") == "Task" {
				all = append(all, readTask(t, name, state.(object)))
			}
		}
	}
	states := object{}
	for name, state := range machine.States {
		states[name] = state
	}
	walk(states)
	return all
}

func readTask(t *testing.T, name string, state object) task {
	t.Helper()
	function, _ := at(state, "Parameters", "FunctionName").(string)
	made := task{name: name, function: strings.Trim(function, "${}"), timeout: seconds(t, at(state, "TimeoutSeconds"))}
	for field := range at(state, "Parameters", "Payload").(object) {
		made.payload = append(made.payload, strings.TrimSuffix(field, ".$"))
	}
	slices.Sort(made.payload)
	return made
}

func TestTheDefinitionGetsAVersionOfEachFunctionItNames(t *testing.T) {
	template := load(t, mainTemplate)
	named := map[string]bool{}
	for _, match := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllSubmatch(statemachine.Definition, -1) {
		named[string(match[1])] = true
	}
	substitutions := at(template, "Resources", "ReleaseStateMachine", "Properties", "DefinitionSubstitutions").(object)
	if got, want := sortedKeys(substitutions), sortedKeys(named); !slices.Equal(got, want) {
		t.Errorf("DefinitionSubstitutions are %v, the definition names %v", got, want)
	}
	for name, v := range substitutions {
		if got, want := at(v, "Ref"), name+".Version"; got != want {
			t.Errorf("%s is replaced by %v, want the published version %s", name, got, want)
		}
		if at(template, "Resources", name, "Type") != "AWS::Serverless::Function" {
			t.Errorf("%s is no function of template.yaml", name)
		}
	}
}

func TestTheStateMachineMayInvokeExactlyItsFunctions(t *testing.T) {
	template := load(t, mainTemplate)
	r := newResolver(t, "999999999999", "us-east-1", nil)
	var got, want []string
	for _, s := range statements(ofType(template, "AWS::IAM::Role")["ReleaseRole"]) {
		if slices.Contains(texts(s["Action"]), "lambda:InvokeFunction") {
			got = append(got, texts(r.resolve(s["Resource"]))...)
		}
	}
	for name := range at(template, "Resources", "ReleaseStateMachine", "Properties", "DefinitionSubstitutions").(object) {
		want = append(want, "{"+name+".Arn}:*")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the state machine's role may invoke %v, want %v", got, want)
	}
}

// timeoutMargin is by how much a task's state outlives its Lambda, in seconds:
// invoking and answering take time too.
const timeoutMargin = 30

// If a state gave up while its Lambda still runs, its retry would run beside it.
func TestTasksTimeOutAfterTheirLambdas(t *testing.T) {
	template := load(t, mainTemplate)
	for _, task := range tasks(t) {
		_, properties := functionOf(t, template, strings.TrimSuffix(strings.ToLower(task.function), "function"))
		if lambda := timeout(t, template, properties); task.timeout < lambda+timeoutMargin {
			t.Errorf("state %s times out after %d s, %s after %d s: want %d s more", task.name, task.timeout, task.function, lambda, timeoutMargin)
		}
	}
}
