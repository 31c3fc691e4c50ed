//go:build unix && !race

package config

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// large are files of nearly the most bytes, each the worst in another way.
func large() map[string]string {
	fill := func(head, item string) string {
		return head + strings.Repeat(item, (MaxBytes-len(head))/len(item))
	}
	numbered := func(head string, item func(int) string) string {
		var text strings.Builder
		text.WriteString(head)
		for i := 0; ; i++ {
			next := item(i)
			if text.Len()+len(next) > MaxBytes-2 {
				return text.String()
			}
			text.WriteString(next)
		}
	}
	head := "tools: {account: \"999999999999\", regions: [us-east-1]}\nenvironments:\n" +
		"  - {name: dev, account: \"111111111111\", regions: [us-east-1], role: r, external_id: dev}\napps:\n"
	app := func(i int, resources string) string {
		return fmt.Sprintf("  - {name: app-%d, repository: {id: %d, name: acme/a}, tags: \"v{version}\", environments: [dev], resources: [%s]}\n",
			i, i+1, resources)
	}
	return map[string]string{
		"apps":                numbered(head, func(i int) string { return app(i, fmt.Sprintf("app-%d-*", i)) }),
		"apps that meet":      numbered(head, func(i int) string { return app(i, "'*'") }),
		"patterns":            head + app(0, patterns("a", 60_000)) + app(1, patterns("b", 40_000)),
		"apps with suffixes":  numbered(head, func(i int) string { return app(i, fmt.Sprintf("'*-%d-app'", i)) }),
		"apps without a home": numbered(head, func(i int) string { return strings.Replace(app(i, "a"), "[dev]", "[deev]", 1) }),
		"unknown fields":      numbered("", func(i int) string { return fmt.Sprintf("f%d: 1\n", i) }),
		"one field":           fill("", "a: 1\n"),
		"elements":            fill("apps: [", "1,") + "]",
		"environments":        numbered("environments:\n", func(i int) string { return fmt.Sprintf("- {name: e%d}\n", i) }),
		"functions":           numbered("app: a\nfunctions:\n", func(i int) string { return fmt.Sprintf("- {name: f%d, layers: [none]}\n", i) }),
		"comments":            fill("", "#\n"),
		"open lists":          fill("", "["),
		"long text":           fill("app: ", "x"),
		"anchors":             numbered("", func(i int) string { return fmt.Sprintf("- &a%d x\n", i) }),
		"question marks":      fill("", "? "),
		"quotes":              fill("app: \"", `\n`) + `"`,
	}
}

// patterns are n patterns that begin alike and end differently.
func patterns(end string, n int) string {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("x*%d%s", i, end))
	}
	return strings.Join(texts, ",")
}

func TestALargeFileIsReadWithinASecond(t *testing.T) {
	for name, text := range large() {
		t.Run(name, func(t *testing.T) {
			var registryError, manifestError error
			quick(t, func() { _, registryError = ParseRegistry("registry.yaml", []byte(text)) })
			quick(t, func() { _, manifestError = ParseManifest("tagboat.yaml", []byte(text)) })
			if right := name == "apps" || name == "patterns" || name == "apps with suffixes"; right != (registryError == nil) {
				t.Errorf("got %v for the registry", registryError)
			}
			if manifestError == nil {
				t.Error("got no error for a registry read as a manifest")
			}
		})
	}
}

// quick checks that a call takes less than a second of processor time: other
// work on the machine does not count, only what it does to the caches, for
// which there are three attempts. (The race detector would count tenfold.)
func quick(t *testing.T, call func()) {
	t.Helper()
	const limit = time.Second
	var took time.Duration
	for range 3 {
		begin := processorTime(t)
		call()
		if took = processorTime(t) - begin; took < limit {
			t.Logf("%v", took)
			return
		}
	}
	t.Errorf("got %v of processor time, want less than %v", took, limit)
}

// processorTime is what this process has used, the garbage collector included.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkParseRegistry(b *testing.B) {
	text := []byte(large()["apps"])
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParseRegistry("registry.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}
