package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTheRunbookHasEveryMessage holds that whoever is told of a failure finds it in
// docs/reliability.md or docs/operations.md: the first cell of a row quotes it, with …
// for what differs. A quote stands for a message that has its words in their order, if
// it has three of them, or all that there are.
//
// A message is what is given to a call of said, or put into one of fields. Not asked for is
//   - one of kind Internal: a mistake in Tagboat, of which the section Anything else tells;
//   - one whose kind is another error's, or that has none: it says where that happened, or why;
//   - one without words of its own, such as "%w";
//   - what is in elsewhere.
func TestTheRunbookHasEveryMessage(t *testing.T) {
	quotes := append(quotesIn(runbook(t)), quotesIn(read(t, root+"/docs/operations.md"))...)
	found := 0
	for _, m := range messages(t) {
		if _, excused := elsewhere[m.folder]; excused {
			continue
		}
		found++
		if !quoted(m.text, quotes) {
			t.Errorf("%s: no row of the runbook quotes %q", m.place, m.text)
		}
	}
	if found < 300 {
		t.Errorf("only %d messages were found: the test looks for them in a way that they are not written any more", found)
	}
	if !strings.Contains(runbook(t), "### Anything else\n\nA message of the kind `internal`") {
		t.Error("the runbook does not tell of messages of the kind internal")
	}
}

// TestTheRunbookQuotesWhatIsSaid holds that no row outlives its message.
func TestTheRunbookQuotesWhatIsSaid(t *testing.T) {
	texts := map[string]bool{}
	program(t, func(_, _ string, file *ast.File, _ *token.FileSet) {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				texts[textOf(e)] = true
			}
			return true
		})
	})
	for _, q := range quotesIn(runbook(t)) {
		heard := slices.Contains(foreign, q.text)
		for text := range texts {
			heard = heard || q.pattern.MatchString(text)
		}
		if !heard {
			t.Errorf("nothing in the program says %q", q.text)
		}
	}
}

func TestAQuoteStandsForItsMessageOnly(t *testing.T) {
	tests := []struct {
		name, format, document string
		want                   bool
	}{
		{"a message that was made up has no row", "the moon over %s is in the wrong phase", runbook(t), false},
		{"a message and its row", "lease %q is held by nobody, not by %q", "| `lease … is held by nobody`, `other` | | |", true},
		{"other words in between", "lease %q is not held by %q", "| `lease … is held by …` | | |", false},
		{"another order", "held by %q is lease %q", "| `lease … is held by …` | | |", false},
		{"too few of the words", "lease %q is held by %q", "| `lease … held …` | | |", false},
		{"few, and all that there are", "download: %w", "| `download: …` | | |", true},
		{"a quote in another cell", "lease %q is held by %q", "| | `lease … is held by …` | |", false},
		{"a quote in no row", "lease %q is held by %q", "`lease … is held by …`", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := quoted(normal(test.format), quotesIn(test.document)); got != test.want {
				t.Errorf("%q in %.80s: got %t, want %t", test.format, test.document, got, test.want)
			}
		})
	}
}

var (
	// said are the calls that are given a message, and the place of its text among their
	// arguments: an error, a reason to refuse a plan, the end of a task that waits.
	said = map[string]int{"Errorf": 1, "violation": 1, "Fail": 3}
	// fields hold messages that are no errors, or not yet.
	fields = []string{"Error", "Message", "Cause"}
	// kinds are those of errors that are asked for.
	kinds = []string{"Invalid", "Denied", "NotFound", "Conflict", "Transient"}
	// elsewhere are the folders whose messages need no rows, and why.
	elsewhere = map[string]string{
		"internal/archive": "what is wrong with an archive is told after the artifact's name, of which there is a row, and names the entries",
		"internal/report":  "what it says of a release is no failure",
	}
	// unshipped are the folders of what is in no installation.
	unshipped = []string{"e2e", "internal/sim", "internal/dist"}
	// foreign are quotes of AWS and of the system.
	foreign = []string{"AccessDenied", "CodeStorageExceededException", "PolicyLengthExceededException", "permission denied"}
)

// message is a text with … for what differs.
type message struct{ place, folder, text string }

// messages are all of the program.
func messages(t *testing.T) (found []message) {
	t.Helper()
	program(t, func(folder, name string, file *ast.File, fset *token.FileSet) {
		ast.Inspect(file, func(n ast.Node) bool {
			if text := messageOf(n, file.Name.Name); words(text) > 0 {
				place := folder + "/" + name + ":" + strconv.Itoa(fset.Position(n.Pos()).Line)
				found = append(found, message{place, folder, text})
			}
			return true
		})
	})
	return found
}

// messageOf is the message that a node of a package gives to somebody; empty if it gives none.
func messageOf(n ast.Node, in string) string {
	switch n := n.(type) {
	case *ast.CallExpr:
		called, of := nameOf(n.Fun)
		at, ok := said[called]
		if !ok || len(n.Args) <= at || called == "Errorf" && !(hasKind(n) && (of == "release" || in == "release")) {
			return ""
		}
		return textOf(n.Args[at])
	case *ast.KeyValueExpr:
		if name, _ := nameOf(n.Key); slices.Contains(fields, name) {
			return textOf(n.Value)
		}
	case *ast.AssignStmt:
		if name, of := nameOf(n.Lhs[0]); of != "" && slices.Contains(fields, name) {
			return textOf(n.Rhs[0])
		}
	}
	return ""
}

// hasKind tells whether an error is given one of the kinds.
func hasKind(call *ast.CallExpr) bool {
	kind, _ := nameOf(call.Args[0])
	return slices.Contains(kinds, kind)
}

// nameOf reads name or of.name.
func nameOf(e ast.Expr) (name, of string) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, ""
	case *ast.SelectorExpr:
		of, _ = nameOf(e.X)
		return e.Sel.Name, of
	}
	return "", ""
}

// textOf is a text as it is written, with … for what is not.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return normal(text)
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return textOf(e.X) + textOf(e.Y)
		}
	case *ast.CallExpr:
		if name, of := nameOf(e.Fun); of == "fmt" && name == "Sprintf" {
			return textOf(e.Args[0])
		}
	}
	return "…"
}

var (
	verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)
	word = regexp.MustCompile(`\pL+`)
)

// normal is a format with … for its verbs.
func normal(format string) string { return verb.ReplaceAllString(format, "…") }

func words(text string) int { return len(word.FindAllString(text, -1)) }

// quote is a message as a document has it.
type quote struct {
	text    string
	pattern *regexp.Regexp
}

// quotesIn are the texts in code style in the first cells of a document's tables.
func quotesIn(document string) (quotes []quote) {
	for line := range strings.Lines(document) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.TrimSpace(cells[0]) != "" {
			continue
		}
		for _, code := range inline.FindAllString(cells[1], -1) {
			text := strings.Trim(code, "`")
			pattern := "(?s)" + strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*")
			quotes = append(quotes, quote{text, regexp.MustCompile(pattern)})
		}
	}
	return quotes
}

// quoted tells whether one of the quotes stands for a message.
func quoted(text string, quotes []quote) bool {
	least := min(3, words(text))
	return slices.ContainsFunc(quotes, func(q quote) bool {
		return words(q.text) >= least && q.pattern.MatchString(text)
	})
}

// runbook is the section of docs/reliability.md that has every message.
func runbook(t *testing.T) string {
	t.Helper()
	_, section, found := strings.Cut(read(t, root+"/docs/reliability.md"), "\n## Every message\n")
	if !found {
		t.Fatal("docs/reliability.md has no section Every message")
	}
	return section
}

// program visits every file of what is installed, tests and what helps them aside.
func program(t *testing.T, visit func(folder, name string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		below, name := filepath.ToSlash(strings.TrimPrefix(path, root+"/")), entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || strings.HasSuffix(name, "test") || slices.Contains(unshipped, below)):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(filepath.ToSlash(filepath.Dir(below)), name, file, fset)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
