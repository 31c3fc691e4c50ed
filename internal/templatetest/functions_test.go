package templatetest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each function has its folder, a short main, an event, a resource of the same
// name and a make target that builds it.
func TestFunctionsFoldersAndBuildTargetsBelongTogether(t *testing.T) {
	template := load(t, mainTemplate)
	folders := functions(t)
	if got := len(ofType(template, "AWS::Serverless::Function")); got != len(folders) {
		t.Errorf("template.yaml has %d functions, functions/ has %d folders", got, len(folders))
	}
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			id, properties := functionOf(t, template, folder)
			checkMain(t, folder)
			if _, err := os.Stat(root + "/functions/" + folder + "/event.json"); err != nil {
				t.Error(err)
			}
			if got := at(template, "Resources", id, "Metadata", "BuildMethod"); got != "makefile" {
				t.Errorf("BuildMethod is %v, want makefile", got)
			}
			if got, want := at(properties, "FunctionName", "Fn::Sub"), "${AWS::StackName}-"+folder; got != want {
				t.Errorf("FunctionName is %v, want %s", got, want)
			}
			if out := run(t, "make", "-n", "build-"+id); !strings.Contains(out, " ./functions/"+folder+"\n") {
				t.Errorf("make build-%s does not build functions/%s:\n%s", id, folder, out)
			}
		})
	}
}

// maxMainLines is how long a function's main.go may be: it wires and starts.
const maxMainLines = 25

func checkMain(t *testing.T, folder string) {
	t.Helper()
	main := mainOf(t, folder)
	if got := strings.Count(main, "\n"); got > maxMainLines {
		t.Errorf("main.go has %d lines, want at most %d", got, maxMainLines)
	}
	if !strings.HasPrefix(main, "// "+strings.ToUpper(folder[:1])+folder[1:]+" ") {
		t.Error("main.go does not begin with a comment that says what the function does")
	}
}

func mainOf(t *testing.T, folder string) string {
	t.Helper()
	text, err := os.ReadFile(root + "/functions/" + folder + "/main.go")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// variablesOf says which variables each way to start or wire a function reads.
var variablesOf = map[string][]string{
	"RunTask":        {"TAGBOAT_TABLE", "TAGBOAT_BUCKET"},
	"RunWebhook":     {"TAGBOAT_TABLE", "TAGBOAT_BUCKET", "TAGBOAT_STATE_MACHINE", "TAGBOAT_WEBHOOK_SECRET_ID"},
	"RunArtifact":    {"TAGBOAT_TABLE", "TAGBOAT_BUCKET", "TAGBOAT_STATE_MACHINE", "TAGBOAT_UPLOADS_BUCKET"},
	"RunRecover":     {"TAGBOAT_TABLE", "TAGBOAT_BUCKET", "TAGBOAT_STATE_MACHINE"},
	"RunDoctor":      {"TAGBOAT_TABLE", "TAGBOAT_BUCKET"},
	"RunMissed":      {"TAGBOAT_TABLE", "TAGBOAT_BUCKET", "TAGBOAT_STATE_MACHINE", "TAGBOAT_UPLOADS_BUCKET", "TAGBOAT_GITHUB_SECRET_ID", "GITHUB_API_URL"},
	"NeedGitHub":     {"TAGBOAT_GITHUB_SECRET_ID", "GITHUB_API_URL"},
	"NeedLink":       {"TAGBOAT_STATE_MACHINE"},
	"NeedAnnouncer":  {"TAGBOAT_EVENT_BUS"},
	"NeedExecutions": {"TAGBOAT_STATE_MACHINE"},
	"NeedTokens":     nil,
	"NeedTargets":    nil,
	"NeedRemover":    nil,
	"NeedAlarms":     nil,
}

var wiring = regexp.MustCompile(`app\.((?:Run|Need)[A-Za-z]+)`)

// wants are the variables that the main of a folder makes the function read.
func wants(t *testing.T, folder string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, match := range wiring.FindAllStringSubmatch(mainOf(t, folder), -1) {
		variables, known := variablesOf[match[1]]
		if !known {
			t.Fatalf("the tests do not know what app.%s reads: add it to variablesOf", match[1])
		}
		for _, name := range variables {
			names[name] = true
		}
	}
	return names
}

func TestEachFunctionGetsExactlyTheVariablesItReads(t *testing.T) {
	template := load(t, mainTemplate)
	for _, folder := range functions(t) {
		_, properties := functionOf(t, template, folder)
		set := map[string]bool{}
		for _, variables := range []any{at(template, "Globals", "Function", "Environment", "Variables"), at(properties, "Environment", "Variables")} {
			own, _ := variables.(object)
			for name := range own {
				set[name] = true
			}
		}
		if got, want := sortedKeys(set), sortedKeys(wants(t, folder)); !slices.Equal(got, want) {
			t.Errorf("%s gets %v, reads %v", folder, got, want)
		}
	}
}

func TestEveryVariableOfTheCodeIsKnown(t *testing.T) {
	code, err := os.ReadFile(root + "/internal/app/lambda.go")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, names := range variablesOf {
		known = append(known, names...)
	}
	found := regexp.MustCompile(`"(TAGBOAT_[A-Z_]+)"`).FindAllStringSubmatch(string(code), -1)
	if len(found) == 0 {
		t.Fatal("internal/app/lambda.go names no variable")
	}
	for _, match := range found {
		if !slices.Contains(known, match[1]) {
			t.Errorf("internal/app/lambda.go reads %s, which variablesOf does not have", match[1])
		}
	}
}

// seconds is a number of a template or the definition.
func seconds(t *testing.T, v any) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		t.Fatalf("seconds: %v", err)
	}
	return n
}

// timeout is that of a function, in seconds.
func timeout(t *testing.T, template, properties object) int {
	t.Helper()
	if own := at(properties, "Timeout"); own != nil {
		return seconds(t, own)
	}
	return seconds(t, at(template, "Globals", "Function", "Timeout"))
}

// gitHubPatience is how long GitHub waits for the answer to a delivery.
const gitHubPatience = 10

func TestTheWebhookAnswersBeforeGitHubGivesUp(t *testing.T) {
	template := load(t, mainTemplate)
	_, properties := functionOf(t, template, "webhook")
	if got := timeout(t, template, properties); got > gitHubPatience {
		t.Errorf("the webhook may run for %d s, GitHub waits for %d s", got, gitHubPatience)
	}
}
