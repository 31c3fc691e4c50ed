package templatetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const installScript = root + "/docs/install.sh"

// The templates that the installation uses, by their path in the repository.
var installed = map[string]string{
	"template.yaml": mainTemplate, "iam/region.yaml": regionTemplate, "iam/target-account.yaml": targetTemplate,
}

// everything is an installation that needs every step.
var everything = map[string]string{
	"TOOLS_ACCOUNT": "999999999999", "HOME_REGION": "us-east-1", "STACK": "boat", "MORE_REGIONS": "eu-west-1 eu-central-1",
	"GITHUB_CREDENTIALS": "github.txt", "TARGETS": "111111111111:dev:tagboat-dev 222222222222:prod:tagboat-prod",
	"FUNCTION_NAMES": "orders-*,billing-*", "STACKSET_ACCOUNTS": "333333333333 444444444444", "STACKSET_OUS": "ou-ab12-11111111 ou-ab12-22222222",
	"STACKSET_EXTERNAL_ID": "tagboat-many", "STACKSET_POLL": "0", "REPOSITORIES": "acme/orders acme/billing", "ORGANIZATION": "acme",
	"ORGANIZATION_ID": "o-abcdefghij", "NOTIFY": "failures", "EVENT_BUS_NAME": "releases", "LOG_RETENTION_DAYS": "30",
}

// installation is a repository in which docs/install.sh runs, on a machine on
// which sam, aws, gh and tagboat are testdata/install/stub.sh: they keep a little
// world and record how they are called.
type installation struct {
	t     *testing.T
	dir   string
	world string
	env   map[string]string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, dir: t.TempDir(), world: t.TempDir(), env: map[string]string{}}
	for _, path := range append(sortedKeys(installed), "docs/install.sh") {
		i.copy(filepath.Join(root, path), filepath.Join(i.dir, path))
	}
	for _, tool := range []string{"sam", "aws", "gh", "tagboat"} {
		i.copy("testdata/install/stub.sh", filepath.Join(i.world, "bin", tool))
	}
	for name, output := range at(load(t, mainTemplate), "Outputs").(object) {
		if at(output, "Condition") == nil {
			i.write(filepath.Join(i.world, "outputs", name), "the-"+strings.ToLower(name))
		}
	}
	i.write(filepath.Join(i.dir, "github.txt"), "the credentials for GitHub")
	i.write(filepath.Join(i.dir, "registry.yaml"), "tools: {}")
	for name, value := range everything {
		i.env[name] = value
	}
	return i
}

func (i *installation) copy(from, to string) {
	i.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		i.t.Fatal(err)
	}
	i.write(to, string(text))
	if err := os.Chmod(to, 0o755); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) write(path, text string) {
	i.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// call is how a tool was called.
type call []string

// after is the argument after a flag, or "".
func (c call) after(flag string) string {
	if at := slices.Index(c, flag); at >= 0 && at+1 < len(c) {
		return c[at+1]
	}
	return ""
}

// does names a call, without its flags: "aws cloudformation deploy boat-region eu-west-1".
func (c call) does() string {
	words := slices.Clone([]string(c))
	if flag := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "-") }); flag >= 0 {
		words = words[:flag]
	}
	if words[0] == "gh" {
		return "gh " + c.after("--method") + " " + c[slices.IndexFunc(c, func(word string) bool { return strings.Contains(word, "/hooks") })]
	}
	for _, flag := range []string{"--stack-name", "--stack-set-name", "--stack", "--name", "--profile", "--region"} {
		if value := c.after(flag); value != "" {
			words = append(words, value)
		}
	}
	return strings.Join(words, " ")
}

// parameters are those that a call gives to a stack.
func (c call) parameters(t *testing.T) map[string]string {
	t.Helper()
	given := map[string]string{}
	if text := c.after("--parameters"); text != "" {
		var list []struct{ ParameterKey, ParameterValue string }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, p := range list {
			given[p.ParameterKey] = p.ParameterValue
		}
		return given
	}
	if overrides := slices.Index(c, "--parameter-overrides"); overrides >= 0 {
		for _, pair := range c[overrides+1:] {
			name, value, _ := strings.Cut(pair, "=")
			given[name] = value
		}
	}
	return given
}

// template is the template that a call deploys, as its path in the repository, or "".
func (c call) template() string {
	switch {
	case slices.Equal(c[:2], call{"sam", "deploy"}):
		return "template.yaml"
	case c.after("--template-body") != "":
		return strings.TrimPrefix(c.after("--template-body"), "file://")
	}
	return c.after("--template-file")
}

// run runs the script and returns what it printed and the calls that it made.
func (i *installation) run(steps ...string) (string, []call, error) {
	i.t.Helper()
	record := filepath.Join(i.world, "record")
	if err := os.RemoveAll(record); err != nil {
		i.t.Fatal(err)
	}
	cmd := exec.Command("bash", append([]string{"docs/install.sh"}, steps...)...)
	cmd.Dir = i.dir
	cmd.Env = []string{"PATH=" + filepath.Join(i.world, "bin") + ":" + os.Getenv("PATH"), "HOME=" + i.world, "WORLD=" + i.world}
	for name, value := range i.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(record)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		i.t.Fatal(readErr)
	}
	var calls []call
	for line := range strings.Lines(string(text)) {
		calls = append(calls, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return string(out), calls, err
}

func (i *installation) must(steps ...string) []call {
	i.t.Helper()
	out, calls, err := i.run(steps...)
	if err != nil {
		i.t.Fatalf("install.sh %v: %v\n%s", steps, err, out)
	}
	return calls
}

// changes are the calls that change something, in their order.
func changes(calls []call) []string {
	var done []string
	for _, c := range calls {
		does := c.does()
		if looks := regexp.MustCompile(`describe-|get-|^gh  `); !looks.MatchString(does) {
			done = append(done, does)
		}
	}
	return done
}

var firstTime = append([]string{lookAhead}, stepByStep...)

// lookAhead is what several steps begin with, before anything is made.
const lookAhead = "tagboat validate REPOSITORY/registry.yaml"

var stepByStep = []string{
	"aws secretsmanager create-secret boat/webhook us-east-1",
	"aws secretsmanager create-secret boat/github us-east-1",
	"sam build",
	"sam deploy boat us-east-1",
	"aws cloudformation deploy boat-region eu-west-1",
	"aws cloudformation deploy boat-region eu-central-1",
	"aws cloudformation deploy boat-target dev us-east-1",
	"aws cloudformation deploy boat-target prod us-east-1",
	"aws cloudformation create-stack-set boat-target us-east-1",
	"aws cloudformation create-stack-instances boat-target us-east-1",
	"tagboat validate REPOSITORY/registry.yaml",
	"aws s3 cp us-east-1",
	"gh POST repos/acme/orders/hooks",
	"gh POST repos/acme/billing/hooks",
	"gh POST orgs/acme/hooks",
	"tagboat doctor boat us-east-1",
}

var secondTime = []string{
	lookAhead,
	"sam build",
	"sam deploy boat us-east-1",
	"aws cloudformation deploy boat-region eu-west-1",
	"aws cloudformation deploy boat-region eu-central-1",
	"aws cloudformation deploy boat-target dev us-east-1",
	"aws cloudformation deploy boat-target prod us-east-1",
	"aws cloudformation update-stack-set boat-target us-east-1",
	"aws cloudformation create-stack-instances boat-target us-east-1",
	"tagboat validate REPOSITORY/registry.yaml",
	"aws s3 cp us-east-1",
	"gh PATCH repos/acme/orders/hooks/1",
	"gh PATCH repos/acme/billing/hooks/1",
	"gh PATCH orgs/acme/hooks/1",
	"tagboat doctor boat us-east-1",
}

func (i *installation) expect(calls []call, want []string) {
	i.t.Helper()
	got := changes(calls)
	for at := range got {
		got[at] = strings.ReplaceAll(got[at], i.dir, "REPOSITORY")
	}
	if !slices.Equal(got, want) {
		i.t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestInstallingDoesEachStepInItsOrderAndAgain(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.expect(i.must(), firstTime)
	i.expect(i.must(), secondTime)
}

func TestEachStepOfTheInstallationRunsByItself(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	var calls []call
	for _, step := range []string{"secrets", "build", "deploy", "outputs", "regions", "targets", "stackset", "registry", "webhook", "doctor"} {
		calls = append(calls, i.must(step)...)
	}
	i.expect(calls, stepByStep)
}

func TestTheInstallationPassesTheParametersOfEachTemplate(t *testing.T) {
	t.Parallel()
	calls := newInstallation(t).must()
	want := map[string][]map[string]string{
		"template.yaml": {{
			"WebhookSecretArn": "arn:aws:secretsmanager:us-east-1:999999999999:secret:boat/webhook-a1b2c3",
			"GitHubSecretArn":  "arn:aws:secretsmanager:us-east-1:999999999999:secret:boat/github-a1b2c3",
			"TargetAccounts":   "111111111111,222222222222,333333333333,444444444444",
			"OrganizationId":   "o-abcdefghij", "Notify": "failures", "EventBusName": "releases", "LogRetentionDays": "30",
		}},
		"iam/region.yaml": {region, region},
		"iam/target-account.yaml": {
			target("tagboat-dev"), target("tagboat-prod"), target("tagboat-many"),
		},
	}
	got := map[string][]map[string]string{}
	for _, c := range calls {
		if path := c.template(); path != "" {
			got[path] = append(got[path], c.parameters(t))
		}
	}
	for path, all := range want {
		if len(got[path]) != len(all) {
			t.Errorf("%s is deployed %d times, want %d", path, len(got[path]), len(all))
			continue
		}
		for n := range all {
			checkParameters(t, path, got[path][n], all[n])
		}
	}
}

var region = map[string]string{
	"ToolsStack": "boat", "TargetAccounts": "111111111111,222222222222,333333333333,444444444444", "OrganizationId": "o-abcdefghij",
}

func target(externalID string) map[string]string {
	return map[string]string{"ToolsAccount": "999999999999", "ToolsStack": "boat", "ExternalId": externalID, "FunctionNames": "orders-*,billing-*"}
}

// checkParameters: a template gets the values that are wanted, has each parameter
// that it gets, and gets each that it has no default for, as its pattern wants it.
func checkParameters(t *testing.T, path string, got, want map[string]string) {
	t.Helper()
	known := at(load(t, installed[path]), "Parameters").(object)
	if strings.Join(pairs(got), " ") != strings.Join(pairs(want), " ") {
		t.Errorf("%s gets %v, want %v", path, pairs(got), pairs(want))
	}
	for name := range got {
		if known[name] == nil {
			t.Errorf("%s gets %s, which it does not have", path, name)
		}
	}
	for name, parameter := range known {
		value, given := got[name]
		if !given && at(parameter, "Default") == nil {
			t.Errorf("%s does not get %s, which has no default", path, name)
		}
		pattern, _ := at(parameter, "AllowedPattern").(string)
		if given && pattern != "" && !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%s gets %s=%s, want %s", path, name, value, pattern)
		}
	}
}

func pairs(m map[string]string) []string {
	var all []string
	for _, name := range sortedKeys(m) {
		all = append(all, name+"="+m[name])
	}
	return all
}

// Every parameter of template.yaml can be set by the script.
func TestTheInstallationCanSetEveryParameter(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for name, value := range map[string]string{
		"GITHUB_API_URL": "https://github.example.com/api/v3", "TARGET_ROLE_NAME": "release-target",
		"ALARM_TOPIC_ARN": "arn:aws:sns:us-east-1:999999999999:alarms",
	} {
		i.env[name] = value
	}
	for _, c := range i.must() {
		path := c.template()
		if path == "" {
			continue
		}
		got := sortedKeys(c.parameters(t))
		if want := sortedKeys(at(load(t, installed[path]), "Parameters").(object)); !slices.Equal(got, want) {
			t.Errorf("%s gets %v, want %v", path, got, want)
		}
	}
}

func TestNoSecretIsAnArgumentOfTheInstallation(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	calls := i.must()
	secret, err := os.ReadFile(filepath.Join(i.world, "secrets", "boat", "webhook"))
	if err != nil || len(bytes.TrimSpace(secret)) != 64 {
		t.Fatalf("the webhook's secret: %q, %v; want 64 digits", secret, err)
	}
	for _, c := range calls {
		for _, argument := range c {
			if strings.Contains(argument, strings.TrimSpace(string(secret))) || strings.Contains(argument, "credentials for") {
				t.Errorf("everybody on the machine can read a secret: %v", c.does())
			}
		}
	}
	hook, err := os.ReadFile(filepath.Join(i.world, "hooks", "repos", "acme", "orders"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(hook, &got); err != nil {
		t.Fatalf("the webhook: %v\n%s", err, hook)
	}
	for path, want := range map[string]any{
		"url": "the-webhookurl", "content_type": "json", "insecure_ssl": "0", "secret": strings.TrimSpace(string(secret)),
	} {
		if value := at(got, "config", path); value != want {
			t.Errorf("the webhook's %s is %v, want %v", path, value, want)
		}
	}
	if events := texts(got["events"]); !slices.Equal(events, []string{"push", "create", "release"}) || got["active"] != true {
		t.Errorf("the webhook gets %v, active %v", events, got["active"])
	}
}

// withoutTagboat is a machine with everything but the command. Where Go is, a
// developer has tagboat too.
func withoutTagboat(i *installation) {
	bin := filepath.Join(i.world, "bin")
	if err := os.Rename(filepath.Join(bin, "tagboat"), filepath.Join(bin, "go")); err != nil {
		i.t.Fatal(err)
	}
	i.env["PATH"] = bin + ":/usr/bin:/bin"
}

func TestTheInstallationRefusesWhatWouldGoWrong(t *testing.T) {
	t.Parallel()
	without := func(name string) func(*installation) { return func(i *installation) { delete(i.env, name) } }
	set := func(name, value string) func(*installation) { return func(i *installation) { i.env[name] = value } }
	file := func(name, text string) func(*installation) {
		return func(i *installation) { i.write(filepath.Join(i.world, name), text) }
	}
	tests := map[string]struct {
		change func(*installation)
		want   string
		never  string // what must not be called
	}{
		"no region":                             {without("HOME_REGION"), "HOME_REGION is not set", "create-secret"},
		"no credentials for GitHub":             {without("GITHUB_CREDENTIALS"), "GITHUB_CREDENTIALS is not set", "create-secret"},
		"an empty file of credentials":          {set("GITHUB_CREDENTIALS", "nothing.txt"), "which is no file or empty", "create-secret"},
		"credentials of another account":        {set("TOOLS_ACCOUNT", "888888888888"), "of account 999999999999, want 888888888888", "create-secret"},
		"a target's profile of another account": {file("accounts/prod", "555555555555"), "(--profile prod) are of account 555555555555, want 222222222222", "boat-target prod"},
		"a target without an external id":       {set("TARGETS", "111111111111:dev"), "want ACCOUNT:PROFILE:EXTERNAL_ID", "boat-target"},
		"a pattern for the role":                {set("TARGET_ROLE_NAME", "release-*"), "is a pattern", "boat-target"},
		"no registry":                           {set("REGISTRY", "none.yaml"), "which is no file or empty", "create-secret"},
		"an invalid registry":                   {file("fails/tagboat-validate", ""), "is not valid", "create-secret"},
		"no tagboat":                            {withoutTagboat, "tagboat is not installed", "create-secret"},
		"a deployment that fails":               {file("fails/sam-deploy", ""), "", "cloudformation deploy"},
		"a stack set that fails":                {file("operation", "FAILED"), "ended FAILED", "aws s3 cp"},
		"a secret that JSON would change":       {file("secrets/boat/webhook", `a"b`), "characters that JSON would change", "gh POST"},
		"something missing":                     {file("fails/tagboat-doctor", ""), "", "nothing after it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			test.change(i)
			out, calls, err := i.run()
			if err == nil || !strings.Contains(out, test.want) {
				t.Errorf("got %v and\n%swant a failure that says %q", err, out, test.want)
			}
			if done := strings.Join(changes(calls), "\n"); strings.Contains(done, test.never) {
				t.Errorf("it went on:\n%s", done)
			}
		})
	}
}

func TestTheInstallationKnowsItsStepsAndExplainsItself(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if out, calls, err := i.run("deploy", "undeploy"); err == nil || !strings.Contains(out, "there is no step undeploy") || calls != nil {
		t.Errorf("an unknown step: %v, calls %v\n%s", err, calls, out)
	}
	out, calls, err := i.run("--help")
	if err != nil || calls != nil {
		t.Fatalf("--help: %v, calls %v\n%s", err, calls, out)
	}
	for name := range i.env {
		if name != "STACKSET_POLL" && !strings.Contains(out, name) {
			t.Errorf("--help does not tell of %s", name)
		}
	}
	if out, calls, err := i.run("deploy"); err == nil || !strings.Contains(out, "run the step build") || len(changes(calls)) != 0 {
		t.Errorf("deploying what is not built: %v, %v\n%s", err, calls, out)
	}
}

func TestTheInstallationIsASoundScript(t *testing.T) {
	t.Parallel()
	if out, err := command("bash", "-n", "docs/install.sh"); err != nil {
		t.Errorf("bash -n: %v\n%s", err, out)
	}
	if info, err := os.Stat(installScript); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("docs/install.sh cannot be executed: %v", err)
	}
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is missing; the rest was checked")
	}
	run(t, "shellcheck", "docs/install.sh")
}

// What docs/install.md says about the script is true: its steps and variables.
func TestTheGuideAndTheScriptKnowTheSame(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(root + "/docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(installScript)
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile(`(?m)^STEPS="(.+)"$`).FindSubmatch(script)
	for _, step := range strings.Fields(string(steps[1])) {
		if !bytes.Contains(script, []byte("\nstep_"+step+"()")) || !bytes.Contains(guide, []byte("install.sh "+step)) {
			t.Errorf("step %s is not in the script or not in docs/install.md", step)
		}
	}
	for _, match := range regexp.MustCompile(`install\.sh ([a-z]+)`).FindAllSubmatch(guide, -1) {
		if !slices.Contains(strings.Fields(string(steps[1])), string(match[1])) {
			t.Errorf("docs/install.md runs the step %s, which does not exist", match[1])
		}
	}
	for name := range at(load(t, mainTemplate), "Parameters").(object) {
		if !bytes.Contains(guide, []byte("`"+name+"`")) {
			t.Errorf("docs/install.md does not tell of the parameter %s", name)
		}
	}
}
