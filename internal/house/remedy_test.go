package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// near are the packages whose errors a person sees as they are.
var near = []string{"internal/app", "internal/server", "internal/cli"}

// TestErrorsSayTheNextStep holds that whoever writes an error that a person can do
// something about says what. What is transient or a bug has one by its kind
// (release.NextStep), and what wraps another error has that one's.
func TestErrorsSayTheNextStep(t *testing.T) {
	found := 0
	for _, folder := range near {
		sources(t, "../../"+folder, func(name string, file *ast.File) {
			advised := adviceIn(file)
			ast.Inspect(file, func(n ast.Node) bool {
				kind, message, ok := releaseError(n)
				if !ok || kind == "Internal" || kind == "Transient" || kind == "" || message == `"%w"` {
					return true
				}
				found++
				if !advised[n] {
					t.Errorf("%s/%s: error %s has no next step: add .WithRemedy", folder, name, message)
				}
				return true
			})
		})
	}
	if found < 50 {
		t.Errorf("only %d errors were found: the test looks for them in a way that they are not written any more", found)
	}
}

// sources parses a package, tests aside.
func sources(t *testing.T, folder string, visit func(name string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			visit(filepath.Base(path), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// adviceIn are the calls that WithRemedy is called on.
func adviceIn(file *ast.File) map[ast.Node]bool {
	advised := map[ast.Node]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "WithRemedy" {
			advised[s.X] = true
		}
		return true
	})
	return advised
}

// releaseError reads a call of release.Errorf; kind is empty if it is no constant.
func releaseError(n ast.Node) (kind, message string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 || !isRelease(call.Fun, "Errorf") {
		return "", "", false
	}
	if s, constant := call.Args[0].(*ast.SelectorExpr); constant {
		kind = s.Sel.Name
	}
	if text, literal := call.Args[1].(*ast.BasicLit); literal {
		message = text.Value
	}
	return kind, message, true
}

func isRelease(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "release"
}
