package house_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/tagboat/tagboat/"

// may says which packages of the module a package may import, tests aside.

var may = map[string][]string{
	"internal/release":    {},
	"internal/clock":      {},
	"internal/config":     {"internal/release"},
	"internal/plan":       {"internal/release"},
	"internal/archive":    {"internal/release"},
	"internal/layer":      {"internal/release", "internal/clock", "internal/awserr"},
	"internal/function":   {"internal/release", "internal/clock", "internal/awserr"},
	"internal/ledger":     {"internal/release", "internal/clock", "internal/awserr"},
	"internal/webhook":    {"internal/release", "internal/clock"},
	"internal/artifact":   {"internal/release", "internal/archive", "internal/awserr"},
	"internal/awserr":     {"internal/release"},
	"internal/awsapi":     {"internal/release", "internal/awserr"},
	"internal/ghapi":      {"internal/release", "internal/clock"},
	"internal/report":     {"internal/release", "internal/ghapi"},
	"internal/asl":        {"internal/release", "internal/clock"},
	"internal/boltstore":  {"internal/release", "internal/asl", "internal/ledger"},
	"internal/policy":     {"internal/release", "internal/awsapi"},
	"internal/scaffold":   {"internal/release"},
	"internal/doctor":     {"internal/release", "internal/awserr", "internal/awsapi", "internal/config", "internal/ghapi", "internal/ledger"},
	"internal/sim":        {"internal/clock"},
	"internal/sim/github": {"internal/clock"},
	"statemachine":        {},
}

// noSDK must stay free of AWS's and GitHub's clients.
var noSDK = []string{"internal/release", "internal/clock", "internal/config", "internal/plan", "internal/webhook", "internal/archive", "internal/asl"}

type listed struct {
	ImportPath string
	Name       string
	Imports    []string
}

func TestImportsKeepTheOrder(t *testing.T) {
	for name, imports := range list(t) {
		allowed, ruled := may[name]
		for _, imported := range imports {
			inside, ours := strings.CutPrefix(imported, module)
			switch {
			case ours && ruled && !contains(allowed, inside):
				t.Errorf("%s imports %s; it may import %v", name, inside, allowed)
			case ours && strings.HasPrefix(name, "functions/") && inside != "internal/app":
				t.Errorf("%s imports %s; a Lambda imports internal/app alone", name, inside)
			case ours && strings.HasPrefix(inside, "internal/sim") && name != "internal/demo" &&
				!strings.HasPrefix(name, "internal/sim") && !strings.HasPrefix(name, "e2e/"):
				t.Errorf("%s imports %s; only the demo and the end-to-end tests carry the simulator", name, inside)
			case contains(noSDK, name) && (strings.Contains(imported, "aws-sdk-go") || strings.Contains(imported, "go-github")):
				t.Errorf("%s imports %s; it knows no SDK", name, imported)
			}
		}
	}
}

func TestNoLambdaLinksTheSimulator(t *testing.T) {
	for name := range list(t) {
		if !strings.HasPrefix(name, "functions/") {
			continue
		}
		deps, err := exec.Command("go", "list", "-deps", module+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(deps, []byte(module+"internal/sim")) {
			t.Errorf("%s depends on the simulator", name)
		}
	}
}

func list(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string][]string{}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := decoder.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}
