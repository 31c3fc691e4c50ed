package asl

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The defaults of a retrier (states-language.net, "Errors").
const (
	defaultInterval    = 1
	defaultMaxAttempts = 3
	defaultBackoff     = 2.0
)

// The bounds that Step Functions sets to a retrier's numbers (developer guide,
// "Handling errors").
const (
	maxSeconds  = 99_999_999
	maxMaxDelay = 31_622_399
)

// retrier is one entry of Retry.
type retrier struct {
	errors      []string
	interval    int64
	backoff     float64
	maxAttempts int64
	maxDelay    int64 // 0: none
	jitter      bool
}

// catcher is one entry of Catch.
type catcher struct {
	errors     []string
	next       string
	resultPath resultPath
}

// delay is the wait before the retry that follows the given number of earlier
// ones. random is in [0, 1) and only used with jitter.
func (r retrier) delay(retries int, random float64) time.Duration {
	wait := float64(r.interval) * math.Pow(r.backoff, float64(retries))
	if r.maxDelay > 0 {
		wait = min(wait, float64(r.maxDelay))
	}
	wait = min(wait, maxSeconds)
	if r.jitter {
		wait *= random
	}
	return time.Duration(wait * float64(time.Second))
}

// retriers compiles Retry.
func (l *loader) retriers(f *fields) []retrier {
	var all []retrier
	n := f.get("Retry")
	if n == nil {
		return nil
	}
	if !n.array {
		f.bad("Retry", "is %s, want an array", n.describe())
	}
	for i, item := range n.items {
		entry, ok := l.problems.object(item, fmt.Sprintf("%s[%d]", f.at("Retry"), i))
		if !ok {
			continue
		}
		all = append(all, l.retrier(entry, i == len(n.items)-1))
	}
	return all
}

func (l *loader) retrier(f *fields, last bool) retrier {
	r := retrier{interval: defaultInterval, backoff: defaultBackoff, maxAttempts: defaultMaxAttempts}
	f.text("Comment")
	r.errors = l.errorEquals(f, last)
	if n, ok := f.integer("IntervalSeconds", 1, maxSeconds); ok {
		r.interval = n
	}
	if n, ok := f.integer("MaxAttempts", 0, maxSeconds); ok {
		r.maxAttempts = n
	}
	if n, ok := f.integer("MaxDelaySeconds", 1, maxMaxDelay); ok {
		r.maxDelay = n
		if n <= r.interval {
			f.bad("MaxDelaySeconds", "is %d, want more than IntervalSeconds, which is %d", n, r.interval)
		}
	}
	if n := f.get("BackoffRate"); n != nil {
		r.backoff = l.backoffRate(f, n)
	}
	if strategy, ok := f.text("JitterStrategy"); ok {
		r.jitter = strategy == "FULL"
		if strategy != "FULL" && strategy != "NONE" {
			f.bad("JitterStrategy", "is %q, want FULL or NONE", strategy)
		}
	}
	f.finish()
	return r
}

func (l *loader) backoffRate(f *fields, n *node) float64 {
	number, ok := n.scalar.(json.Number)
	rate, err := number.Float64()
	if !ok || err != nil || rate < 1 {
		f.bad("BackoffRate", "is %s, want a number of at least 1", n.show())
		return defaultBackoff
	}
	return rate
}

// catchers compiles Catch.
func (l *loader) catchers(f *fields) []catcher {
	n := f.get("Catch")
	if n == nil {
		return nil
	}
	if !n.array {
		f.bad("Catch", "is %s, want an array", n.describe())
	}
	var all []catcher
	for i, item := range n.items {
		entry, ok := l.problems.object(item, fmt.Sprintf("%s[%d]", f.at("Catch"), i))
		if !ok {
			continue
		}
		entry.text("Comment")
		c := catcher{errors: l.errorEquals(entry, i == len(n.items)-1), next: entry.required("Next")}
		c.resultPath = l.resultPath(entry)
		entry.finish()
		all = append(all, c)
	}
	return all
}

// errorEquals reads error names. States.ALL must be alone and in the last entry.
func (l *loader) errorEquals(f *fields, last bool) []string {
	n := f.get("ErrorEquals")
	if n == nil || len(n.items) == 0 {
		f.bad("ErrorEquals", "is missing or empty")
		return nil
	}
	var names []string
	for _, item := range n.items {
		name, ok := item.scalar.(string)
		if !ok || name == "" {
			f.bad("ErrorEquals", "has %s, want names of errors", item.show())
			continue
		}
		l.errorName(f, name)
		names = append(names, name)
	}
	if slices.Contains(names, errorAll) && (len(names) > 1 || !last) {
		f.bad("ErrorEquals", "has %s, which must be alone and in the last entry", errorAll)
	}
	return names
}

func (l *loader) errorName(f *fields, name string) {
	switch {
	case name == errorRuntime:
		f.bad("ErrorEquals", "has %s, which is never retried or caught", errorRuntime)
	case strings.HasPrefix(name, "States.") && !slices.Contains(errorNames, name):
		f.bad("ErrorEquals", "has %q, which is not an error of the States Language", name)
	}
}
