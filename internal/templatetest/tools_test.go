package templatetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCfnLintReportsNothing(t *testing.T) {
	t.Parallel()
	if out := run(t, "cfn-lint", "template.yaml", "iam/target-account.yaml", "iam/region.yaml", "iam/github-oidc.yaml"); strings.TrimSpace(out) != "" {
		t.Error(out)
	}
}

// python is the interpreter that has the SAM translator.
const python = "python3"

// transformed is template.yaml as CloudFormation gets it.
func transformed(t *testing.T) object {
	t.Helper()
	_, err := command(python, "-c", "import samtranslator")
	needed(t, "aws-sam-translator", err)
	out := run(t, python, "internal/templatetest/testdata/sam2cfn.py", "template.yaml", "code-bucket")
	var plain object
	if err := json.Unmarshal([]byte(out), &plain); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return plain
}

func TestTheSAMTransformMakesPlainResources(t *testing.T) {
	t.Parallel()
	plain := transformed(t)
	counts := map[string]int{}
	for id, resource := range at(plain, "Resources").(object) {
		kind := at(resource, "Type").(string)
		counts[kind]++
		if strings.HasPrefix(kind, "AWS::Serverless::") {
			t.Errorf("%s is still %s", id, kind)
		}
	}
	all := len(functions(t))
	for kind, want := range map[string]int{
		"AWS::Lambda::Function": all, "AWS::Lambda::Version": all, "AWS::Lambda::Alias": all, "AWS::IAM::Role": all + 1,
		"AWS::StepFunctions::StateMachine": 1, "AWS::ApiGatewayV2::Api": 1, "AWS::Events::Rule": 6, "AWS::Lambda::Permission": 6,
	} {
		if got := counts[kind]; got != want {
			t.Errorf("there are %d resources %s, want %d", got, kind, want)
		}
	}
	substitutions := at(plain, "Resources", "ReleaseStateMachine", "Properties", "DefinitionSubstitutions").(object)
	for name, v := range substitutions {
		version, _ := at(v, "Ref").(string)
		if got := at(plain, "Resources", version, "Type"); got != "AWS::Lambda::Version" {
			t.Errorf("%s is replaced by %q, of type %v, want a published version", name, version, got)
		}
	}
}

// aslValidator is the version of the validator of the States Language.
const aslValidator = "asl-validator@4.0.0"

func TestAslValidatorAcceptsTheDefinition(t *testing.T) {
	t.Parallel()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "tagboat-"+aslValidator)
	validator := filepath.Join(folder, "node_modules", ".bin", "asl-validator")
	if _, err := os.Stat(validator); err != nil {
		_, err := command("npm", "install", "--no-audit", "--no-fund", "--prefix", folder, aslValidator)
		needed(t, aslValidator, err)
	}
	run(t, validator, "--json-path", "statemachine/release.asl.json")
}
