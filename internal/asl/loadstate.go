package asl

import (
	"strings"
	"time"
)

// The task resources that are implemented.
const (
	resourceInvoke = "arn:aws:states:::lambda:invoke"
	resourceToken  = "arn:aws:states:::lambda:invoke.waitForTaskToken"
)

// stateTypes are the types of states that are implemented.
var stateTypes = []string{typeChoice, typeFail, typeMap, typePass, typeSucceed, typeTask, typeWait}

// readState reads the fields of a state's own type; false if there is no such type.
func (l *loader) readState(f *fields, st *state) bool {
	switch st.kind {
	case typeTask:
		l.readTask(f, st)
	case typeChoice:
		l.readChoice(f, st)
	case typeMap:
		l.readMap(f, st)
	case typeWait:
		l.readWait(f, st)
	case typePass:
		l.readPass(f, st)
	case typeSucceed:
		l.readPaths(f, st)
	case typeFail:
		l.readFail(f, st)
	default:
		return false
	}
	return true
}

// readPaths reads InputPath and OutputPath.
func (l *loader) readPaths(f *fields, st *state) {
	st.inputPath = l.selector(f, "InputPath")
	st.outputPath = l.selector(f, "OutputPath")
}

func (l *loader) selector(f *fields, name string) selector {
	n := f.get(name)
	if n == nil {
		return selector{}
	}
	if n.isNull() {
		return selector{null: true}
	}
	text, ok := f.text(name)
	if !ok {
		return selector{}
	}
	return selector{path: l.path(f, name, text)}
}

func (n *node) isNull() bool { return !n.object && !n.array && n.scalar == nil }

func (l *loader) resultPath(f *fields) resultPath {
	n := f.get("ResultPath")
	if n == nil {
		return resultPath{}
	}
	if n.isNull() {
		return resultPath{discard: true}
	}
	text, ok := f.text("ResultPath")
	if !ok {
		return resultPath{}
	}
	p, err := parseResultPath(text)
	if err != nil {
		f.bad("ResultPath", "%v", err)
	}
	return resultPath{path: p}
}

// readNext reads Next or End, one of which must be there.
func (l *loader) readNext(f *fields, st *state) {
	if n := f.get("End"); n != nil {
		end, ok := n.scalar.(bool)
		if !ok {
			f.bad("End", "is %s, want true", n.show())
		}
		st.end = end
	}
	st.next, _ = f.text("Next")
	if st.end == (st.next != "") {
		l.problems.add(f.node, f.path, "wants either Next or \"End\": true")
	}
}

// readResult reads what tasks and Maps do with their result.
func (l *loader) readResult(f *fields, st *state) {
	st.resultSelector = l.payload(f, "ResultSelector")
	st.resultPath = l.resultPath(f)
	st.retry = l.retriers(f)
	st.catch = l.catchers(f)
}

// payload reads a payload template, which must be an object.
func (l *loader) payload(f *fields, name string) *template {
	n := f.get(name)
	if n == nil {
		return nil
	}
	if !n.object {
		f.bad(name, "is %s, want an object", n.describe())
		return nil
	}
	return l.template(n, f.at(name))
}

func (l *loader) readTask(f *fields, st *state) {
	l.readPaths(f, st)
	l.readNext(f, st)
	resource := f.required("Resource")
	if resource != "" && resource != resourceInvoke && resource != resourceToken {
		f.bad("Resource", "is %q; %q and %q are implemented", resource, resourceInvoke, resourceToken)
	}
	st.task.waitForToken = resource == resourceToken
	l.token = st.task.waitForToken
	l.readParameters(f, st)
	l.token = false
	l.readResult(f, st)
	st.task.timeout = l.seconds(f, "TimeoutSeconds", 1)
	st.task.heartbeat = l.seconds(f, "HeartbeatSeconds", 1)
	l.checkHeartbeat(f, st.task)
}

func (l *loader) checkHeartbeat(f *fields, t taskFields) {
	switch {
	case t.heartbeat.set && !t.waitForToken:
		l.problems.add(f.node, f.path, "has a heartbeat; only a task that waits for a token can send one")
	case t.heartbeat.fixed > 0 && t.timeout.fixed > 0 && t.heartbeat.fixed >= t.timeout.fixed:
		f.bad("HeartbeatSeconds", "is %d, want less than TimeoutSeconds, which is %d", t.heartbeat.fixed, t.timeout.fixed)
	}
}

// readParameters reads a task's Parameters: FunctionName and Payload.
func (l *loader) readParameters(f *fields, st *state) {
	st.parameters = l.payload(f, "Parameters")
	n := f.node.member("Parameters")
	if n == nil {
		f.bad("Parameters", "is missing; it names the function")
		return
	}
	if n.member("FunctionName") == nil && n.member("FunctionName.$") == nil {
		f.bad("Parameters", "has no FunctionName")
	}
	for _, m := range n.members {
		switch strings.TrimSuffix(m.name, ".$") {
		case "FunctionName", "Payload":
		default:
			l.problems.add(m.value, joinPath(f.at("Parameters"), m.name), "is not implemented; there are FunctionName and Payload")
		}
	}
	if st.task.waitForToken && st.parameters != nil && !st.parameters.readsToken() {
		f.bad("Parameters", "does not hand on $$.Task.Token, so that nobody could send it back")
	}
}

func (t *template) readsToken() bool {
	found := false
	t.walk(func(x *expression) {
		for _, p := range x.paths() {
			if p.context && (len(p.steps) == 0 || p.steps[0].name == "Task") {
				found = true
			}
		}
	})
	return found
}

// seconds reads NameSeconds or NameSecondsPath.
func (l *loader) seconds(f *fields, name string, least int64) seconds {
	f.exclusive(name, name+"Path")
	var s seconds
	if n, ok := f.integer(name, least, maxSeconds); ok {
		s = seconds{set: true, fixed: n}
	}
	if text, ok := f.text(name + "Path"); ok {
		s = seconds{set: true, path: l.path(f, name+"Path", text)}
	}
	return s
}

func (l *loader) readChoice(f *fields, st *state) {
	l.readPaths(f, st)
	l.choices(f, st)
	st.defaultChoice, _ = f.text("Default")
}

func (l *loader) readPass(f *fields, st *state) {
	l.readPaths(f, st)
	l.readNext(f, st)
	if n := f.get("Parameters"); n != nil {
		st.parameters = l.template(n, f.at("Parameters"))
	}
	st.resultPath = l.resultPath(f)
	if n := f.get("Result"); n != nil {
		value := n.value()
		st.result = &value
	}
}

func (l *loader) readWait(f *fields, st *state) {
	l.readPaths(f, st)
	l.readNext(f, st)
	f.exclusive("Seconds", "SecondsPath", "Timestamp", "TimestampPath")
	st.wait.duration = l.seconds(f, "Seconds", 0)
	if text, ok := f.text("Timestamp"); ok {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			f.bad("Timestamp", "is %q, want an RFC 3339 timestamp", text)
		}
		st.wait.timestamp = at
	}
	if text, ok := f.text("TimestampPath"); ok {
		st.wait.timestampPath = l.path(f, "TimestampPath", text)
	}
	if !f.has("Seconds") && !f.has("SecondsPath") && !f.has("Timestamp") && !f.has("TimestampPath") {
		l.problems.add(f.node, f.path, "wants one of Seconds, SecondsPath, Timestamp, TimestampPath")
	}
}

func (l *loader) readFail(f *fields, st *state) {
	f.exclusive("Error", "ErrorPath")
	f.exclusive("Cause", "CausePath")
	st.fail.name, _ = f.text("Error")
	st.fail.cause, _ = f.text("Cause")
	if text, ok := f.text("ErrorPath"); ok {
		st.fail.namePath = l.expression(f.node.member("ErrorPath"), f.at("ErrorPath"), text)
	}
	if text, ok := f.text("CausePath"); ok {
		st.fail.causePath = l.expression(f.node.member("CausePath"), f.at("CausePath"), text)
	}
}

func (l *loader) readMap(f *fields, st *state) {
	l.readPaths(f, st)
	l.readNext(f, st)
	if text, ok := f.text("ItemsPath"); ok {
		st.mapping.items = l.path(f, "ItemsPath", text)
	}
	if n, ok := f.integer("MaxConcurrency", 0, maxSeconds); ok {
		st.mapping.maxConcurrency, st.mapping.hasConcurrency = int(n), true
	}
	l.readResult(f, st)
	l.maps++
	st.parameters = l.payload(f, "ItemSelector")
	st.mapping.graph = l.itemProcessor(f, st)
	l.maps--
}

func (l *loader) itemProcessor(f *fields, st *state) *graph {
	n := f.get("ItemProcessor")
	if n == nil {
		f.bad("ItemProcessor", "is missing")
		return nil
	}
	inner, ok := l.problems.object(n, f.at("ItemProcessor"))
	if !ok {
		return nil
	}
	inner.text("Comment")
	if config := inner.get("ProcessorConfig"); config != nil {
		l.processorConfig(config, inner.at("ProcessorConfig"))
	}
	g := l.graph(inner, st.path+"/")
	inner.finish()
	return g
}

func (l *loader) processorConfig(n *node, at string) {
	f, ok := l.problems.object(n, at)
	if !ok {
		return
	}
	if mode, ok := f.text("Mode"); ok && mode != "INLINE" {
		f.bad("Mode", "is %q; only INLINE is implemented", mode)
	}
	if f.get("ExecutionType") != nil {
		f.bad("ExecutionType", "belongs to distributed Maps, which are not implemented")
	}
	f.finish()
}
