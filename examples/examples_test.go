package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/cli"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

// asProgram makes this test binary be the program of that name: tagboat itself,
// or a stand-in for what an example calls beside it.
const asProgram = "TAGBOAT_EXAMPLES_AS"

func TestMain(m *testing.M) {
	programs := map[string]func([]string) error{"aws": awsProgram, "pip": pipProgram, "zip": zipProgram, "pushed": pushedProgram}
	switch name := os.Getenv(asProgram); {
	case name == "tagboat":
		os.Exit(cli.Main(os.Args[1:], cli.Process()))
	case name != "":
		if err := programs[name](os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestEachReadmeDoesWhatItSays runs the commands of each example's README, block by block,
// and compares what they print with the block that follows.
func TestEachReadmeDoesWhatItSays(t *testing.T) {
	for _, name := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(name, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			l := newLesson(t, name)
			for _, block := range blocks(string(text)) {
				l.run(t, block)
			}
			l.sound(t)
		})
	}
}

// TestTheIndexNamesEachExample compares the list with the folders.
func TestTheIndexNamesEachExample(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range examples(t) {
		if !bytes.Contains(text, fmt.Appendf(nil, "[%s](%s)", name, name)) {
			t.Errorf("README.md does not name %s", name)
		}
	}
}

func examples(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/README.md")
	if err != nil || len(found) == 0 {
		t.Fatalf("there are no examples: %v", err)
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found
}

// block is a block of commands and what they print, line by line; nil if the README does not say.
type block struct{ commands, prints string }

// fenced is a block of a README and, right behind it, what it prints.
var fenced = regexp.MustCompile("(?s)```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?")

func blocks(readme string) []block {
	var found []block
	for _, match := range fenced.FindAllStringSubmatch(readme, -1) {
		found = append(found, block{match[1], match[2]})
	}
	return found
}

// lesson is an example in a folder of its own, in a world of its own.
type lesson struct {
	world *world
	dir   string
	env   []string
}

func newLesson(t *testing.T, name string) *lesson {
	t.Helper()
	l := &lesson{dir: filepath.Join(t.TempDir(), "examples", name)}
	if err := os.CopyFS(l.dir, os.DirFS(name)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(l.dir, "..", "..", "iam"), os.DirFS("../iam")); err != nil {
		t.Fatal(err)
	}
	registryText, manifestText := read(t, name, "registry.yaml"), read(t, name, "repository/tagboat.yaml")
	registry, err := config.ParseRegistry("registry.yaml", registryText)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := config.ParseManifest("tagboat.yaml", manifestText)
	if err != nil {
		t.Fatal(err)
	}
	l.world = newWorld(t, string(registryText), registry, manifest)
	l.env = append(os.Environ(),
		"PATH="+l.world.programs+":"+os.Getenv("PATH"), "TAGBOAT_SERVER="+l.world.url, "TAGBOAT_STACK=", "TAGBOAT_TOKEN=", "USER=jane", worldAt+"="+l.world.url,
		"GIT_AUTHOR_NAME=jane", "GIT_AUTHOR_EMAIL=jane@acme.example", "GIT_COMMITTER_NAME=jane", "GIT_COMMITTER_EMAIL=jane@acme.example",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	l.clone(t, registry.Apps[0].Repository.Name)
	return l
}

// functions are those that the manifest names, in every environment, as they are before Tagboat comes.
func functions(registry release.Registry, manifest release.Manifest) []demo.Function {
	var found []demo.Function
	for _, env := range registry.Environments {
		for _, region := range env.Regions {
			for _, f := range manifest.Functions {
				site := release.Site{Environment: env.Name, Account: env.Account, Region: region}
				found = append(found, demo.Function{Site: site, Name: f.Name, Aliased: f.Alias != ""})
			}
		}
	}
	return found
}

// clone makes the folder repository a clone of one at GitHub, which tells the
// world what is pushed to it.
func (l *lesson) clone(t *testing.T, name string) {
	t.Helper()
	origin := filepath.Join(t.TempDir(), "origin.git")
	l.bash(t, fmt.Sprintf(`
git init --quiet --bare %[1]s
printf '#!/bin/sh\nexec pushed %[2]s\n' > %[1]s/hooks/post-receive
chmod +x %[1]s/hooks/post-receive
cd repository
git init --quiet --initial-branch main
git add .
git commit --quiet --message "First"
git remote add origin %[1]s
`, origin, name))
}

// run runs a block and compares what it prints. Whoever reads the next block has
// waited until nothing is under way.
func (l *lesson) run(t *testing.T, b block) {
	t.Helper()
	got := l.bash(t, b.commands)
	if err := l.world.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.prints == "" {
		return
	}
	if !pattern(b.prints).MatchString(got) {
		t.Fatalf("the commands\n%s\nprint\n%s\nand the README says\n%s", b.commands, got, b.prints)
	}
}

// pattern is what a README says of an output: … stands for anything in the line,
// a line of … alone for any lines, and any space for some.
func pattern(prints string) *regexp.Regexp {
	var text strings.Builder
	text.WriteString("(?m)^")
	for line := range strings.SplitSeq(strings.TrimSuffix(prints, "\n"), "\n") {
		if line == "…" {
			text.WriteString("(?:.*\n)*?")
			continue
		}
		words := strings.Fields(line)
		for i, word := range words {
			words[i] = strings.ReplaceAll(regexp.QuoteMeta(word), "…", ".*")
		}
		text.WriteString(` *` + strings.Join(words, ` *`) + " *\n")
	}
	return regexp.MustCompile(text.String())
}

// bash runs commands in the example's folder and gives what they print to stdout.
func (l *lesson) bash(t *testing.T, commands string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir, cmd.Env = l.dir, l.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s\n%v\n%s%s", commands, err, &stdout, &stderr)
	}
	return stdout.String()
}

// programs is a folder with this binary under the names of what examples call.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"tagboat", "aws", "pip", "zip", "pushed"} {
		script := fmt.Sprintf("#!/bin/sh\n%s=%s exec %q \"$@\"\n", asProgram, name, os.Args[0])
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sound looks at the world itself: every function has one version at full weight, the last release's end is
// what the README promises, and nobody may use a layer who should not.
func (l *lesson) sound(t *testing.T) {
	t.Helper()
	w := l.world
	w.Clock.Run(func() {
		releases, err := w.Local.Core().Ledger.Active(context.Background())
		if err != nil || len(releases) > 0 {
			t.Errorf("%d releases have not ended (%v)", len(releases), err)
		}
	})
	for _, f := range w.functions {
		state, err := w.Function(f.Site, f.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if alias, ok := state.Aliases["live"]; ok != f.Aliased || ok && (alias.Version == "1" || len(alias.Weights) > 0) {
			t.Errorf("%s in %s is at %+v, want what was released", f.Name, f.Site, alias)
		}
		if got := state.Latest.Layers; len(w.layers) > 0 && !slices.ContainsFunc(got, func(arn string) bool { return strings.Contains(arn, ":layer:"+w.layers[0]+":1") }) {
			t.Errorf("%s in %s uses the layers %v, want %s:1 among them", f.Name, f.Site, got, w.layers[0])
		}
		if state.Latest.Environment["LOG_LEVEL"] == "" || !strings.Contains(strings.Join(state.Latest.Layers, " "), ":layer:monitoring:") {
			t.Errorf("%s in %s lost what it had: %v, %v", f.Name, f.Site, state.Latest.Environment, state.Latest.Layers)
		}
	}
}
