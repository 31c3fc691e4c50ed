package asl

import "time"

// The names that the context object has for what is local. Real ARNs name an
// account and a region, which there are none of here.
const (
	machineName = "release"
	machineID   = "arn:aws:states:local:000000000000:stateMachine:" + machineName
	executionID = "arn:aws:states:local:000000000000:execution:" + machineName + ":"
	contextTime = "2006-01-02T15:04:05.000Z07:00"
)

// frame is one visit of a state: what the context object is made of.
type frame struct {
	scope   *scope
	state   *state
	input   document
	entered time.Time
	event   int64 // of the state's entering
	retries int
	token   string
	item    *mapItem // nil outside of Maps
}

// mapItem is the item that an iteration is about.
type mapItem struct {
	index int
	value any
}

// contextObject is "$$" (developer guide, "Context object").
func (f *frame) contextObject() any {
	r := f.scope.run
	object := map[string]any{
		"Execution": map[string]any{
			"Id":        executionID + r.name,
			"Input":     r.input.value,
			"Name":      r.name,
			"StartTime": r.started.UTC().Format(contextTime),
		},
		"State": map[string]any{
			"EnteredTime": f.entered.UTC().Format(contextTime),
			"Name":        f.state.name,
			"RetryCount":  integerValue(int64(f.retries)),
		},
		"StateMachine": map[string]any{"Id": machineID, "Name": machineName},
	}
	if f.token != "" {
		object["Task"] = map[string]any{"Token": f.token}
	}
	if f.item != nil {
		object["Map"] = map[string]any{"Item": map[string]any{
			"Index": integerValue(int64(f.item.index)),
			"Value": f.item.value,
		}}
	}
	return object
}

func (f *frame) randomBytes(n int) []byte { return f.scope.run.randomBytes(n) }
