package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatIsNotOneYAMLDocumentIsOneProblem(t *testing.T) {
	nested := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	tests := []struct{ name, text, want string }{
		{"nothing", "", "1:1: want a mapping, got an empty file"},
		{"only a comment", "# app: a\n", "1:1: want a mapping, got an empty file"},
		{"a text", "app\n", `1:1: want a mapping, got "app"`},
		{"null", "---\n", "2:1: want a mapping, got null"},
		{"a value with two colons", "app: a\nx: b: c\n", "2:1: want YAML, got a syntax error: mapping values are not allowed in this context"},
		{"a tab", "app: a\nx:\n\ty: 1\n", "3:1: want YAML, got a syntax error: found character that cannot start any token"},
		{"a list that is not closed", "app: a\nx: [1,\n", "3:1: want YAML, got a syntax error: did not find expected node content"},
		{"an item that is none", "- a\nb: c\n", "2:1: want YAML, got a syntax error: did not find expected '-' indicator"},
		{"an unknown anchor", "app: a\n\nx: *b\n", "3:1: want YAML, got a syntax error: unknown anchor 'b' referenced"},
		{"two documents", "app: a\n---\napp: b\n", "2:1: want one document in the file, got the start of a second one"},
		{"a second document that is wrong", "app: a\n---\n[\n", "4:1: want YAML, got a syntax error: did not find expected node content"},
		{"a control character", "app: a\nx: é\x01\n", "2:5: want text in UTF-8, got the control character U+0001"},
		{"another encoding", "app: a\nx: caf\xe9\n", "2:7: want text in UTF-8, got the byte 0xe9"},
		{"an anchor inside itself", "app: a\nx: &x [1, *x]\n", `2:11: want an alias of a value before it, got "*x" inside the value it stands for`},
		{"nested lists", "x: " + nested, "1:1: want at most 64 levels of nesting, got 71"},
		{"a large file", strings.Repeat("# ....\n", 1<<18), "1:1: want at most 1048576 bytes, got 1835008"},
		{"aliases that explode", bomb(), "1:1: want aliases that stand for at most 10000 values, got more"},
		{"an alias of a long text many times", "x: &x " + strings.Repeat("x", 100_000) + "\ny: [" + strings.Repeat("*x, ", 1000) + "]\n",
			"1:1: want aliases that stand for at most 10000 values, got more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseManifest("tagboat.yaml", []byte(test.text))
			if err == nil {
				t.Fatal("got no error")
			}
			if got, want := err.Error(), located("tagboat.yaml", test.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// bomb stands for 10^30 texts in a few lines.
func bomb() string {
	text := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 30 {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return text
}
