package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// What the documents call a test: a function of Go, a method or a module of
// Python, a script of the command.
var (
	cited   = regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w*|test_\w+(?:\.py)?|\w+\.txtar)\b`)
	pythons = regexp.MustCompile(`(?m)^ *def (test_\w+)\(`)
)

func TestEveryTestThatADocumentNamesExists(t *testing.T) {
	known := tests(t)
	documents, err := filepath.Glob(root + "/docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("docs/*.md: %d found, %v", len(documents), err)
	}
	found := 0
	for _, document := range append(documents, root+"/README.md") {
		for _, match := range cited.FindAllString(read(t, document), -1) {
			found++
			if !known[match] {
				t.Errorf("%s names %s, which does not exist", filepath.Base(document), match)
			}
		}
	}
	if found < 100 {
		t.Errorf("%d tests are named, want the hundreds of docs/testing.md", found)
	}
}

// tests are the names of all tests in the tree.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		switch {
		case entry.IsDir() && path != root && strings.HasPrefix(name, "."):
			return fs.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			goTests(t, path, known)
		case strings.HasPrefix(name, "test_") && strings.HasSuffix(name, ".py"):
			known[name], known[strings.TrimSuffix(name, ".py")] = true, true
			for _, match := range pythons.FindAllStringSubmatch(read(t, path), -1) {
				known[match[1]] = true
			}
		case strings.HasSuffix(name, ".txtar"):
			known[name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func goTests(t *testing.T, path string, known map[string]bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declared := range file.Decls {
		if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil {
			known[f.Name.Name] = true
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
