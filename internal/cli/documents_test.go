package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	// commandLine is a call of tagboat in a code block or span, up to what a shell
	// or a sentence makes of the rest.
	commandLine = regexp.MustCompile("(?m)(?:^ *|[`(/;&|] *)tagboat ([a-z][^`|>;()#\n]*(?:\\\\\n[^`|>;()#\n]*)*)")
	flagName    = regexp.MustCompile(`^--([a-z-]+)`)
)

// TestTheDocumentsCallWhatThereIs holds that every command and flag of tagboat
// that a document shows exists.
func TestTheDocumentsCallWhatThereIs(t *testing.T) {
	const top = "../.."
	found := 0
	for _, pattern := range []string{"/README.md", "/docs/*.md", "/examples/*/README.md", "/docs/install.sh", "/examples/README.md"} {
		paths, err := filepath.Glob(top + pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d found, %v", pattern, len(paths), err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range commandLine.FindAllStringSubmatch(string(text), -1) {
				found++
				checkCall(t, strings.TrimPrefix(path, top+"/"), match[1])
			}
		}
	}
	if found < 80 {
		t.Errorf("%d calls were found, want the many of the documents", found)
	}
}

// checkCall looks for a call's command, and for its flags there.
func checkCall(t *testing.T, document, line string) {
	t.Helper()
	root := (&command{IO{Getenv: func(string) string { return "" }}}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	words := strings.Fields(strings.ReplaceAll(line, "\\\n", " "))
	if words[0] == "is" {
		return // what serve prints when it is ready
	}
	called, _, err := root.Find(words)
	if err != nil || called == root {
		t.Errorf("%s calls tagboat %s: there is no such command", document, line)
		return
	}
	called.InitDefaultHelpFlag()
	for _, word := range words {
		if flag := flagName.FindStringSubmatch(word); flag != nil && !hasFlag(called, flag[1]) {
			t.Errorf("%s calls tagboat %s: %s has no flag --%s", document, line, called.CommandPath(), flag[1])
		}
	}
}

func hasFlag(cmd *cobra.Command, name string) bool {
	return cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil
}
