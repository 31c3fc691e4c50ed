package templatetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
)

// wildcards are the actions that may name "*" as their resource, and why.
var wildcards = map[string]string{
	"xray:PutTraceSegments":           "X-Ray knows no resources for traces",
	"xray:PutTelemetryRecords":        "X-Ray knows no resources for traces",
	"xray:GetSamplingRules":           "X-Ray knows no resources for traces",
	"xray:GetSamplingTargets":         "X-Ray knows no resources for traces",
	"logs:CreateLogDelivery":          "log deliveries have no ARN; Step Functions asks for this to log at all",
	"logs:GetLogDelivery":             "log deliveries have no ARN; Step Functions asks for this to log at all",
	"logs:UpdateLogDelivery":          "log deliveries have no ARN; Step Functions asks for this to log at all",
	"logs:DeleteLogDelivery":          "log deliveries have no ARN; Step Functions asks for this to log at all",
	"logs:ListLogDeliveries":          "log deliveries have no ARN; Step Functions asks for this to log at all",
	"logs:PutResourcePolicy":          "resource policies of logs are the account's",
	"logs:DescribeResourcePolicies":   "resource policies of logs are the account's",
	"logs:DescribeLogGroups":          "Step Functions lists the log groups of the account",
	"lambda:ListLayerVersions":        "a list has no resource",
	"lambda:ListFunctions":            "a list has no resource",
	"lambda:ListEventSourceMappings":  "a list has no resource",
	"cloudwatch:DescribeAlarms":       "composite alarms are shown only to who may describe all",
	"cloudwatch:DescribeAlarmHistory": "composite alarms are shown only to who may describe all",
}

// allRoles are the roles of both templates, by their logical ids.
func allRoles(t *testing.T) map[string]object {
	t.Helper()
	roles := ofType(load(t, mainTemplate), "AWS::IAM::Role")
	maps.Copy(roles, ofType(load(t, targetTemplate), "AWS::IAM::Role"))
	return roles
}

func TestOnlyListedActionsHaveWildcardResources(t *testing.T) {
	used := map[string]bool{}
	for id, role := range allRoles(t) {
		for _, s := range statements(role) {
			if !slices.Contains(texts(s["Resource"]), "*") {
				continue
			}
			for _, action := range texts(s["Action"]) {
				used[action] = true
				if wildcards[action] == "" {
					t.Errorf("%s allows %s on every resource: name the resource, or list the action with the reason", id, action)
				}
			}
		}
	}
	if got, want := sortedKeys(used), sortedKeys(wildcards); !slices.Equal(got, want) {
		t.Errorf("wildcards are used for %v, listed for %v", got, want)
	}
}

func TestRolesNameEachActionAndHaveInlinePoliciesOnly(t *testing.T) {
	for id, role := range allRoles(t) {
		if managed := at(role, "Properties", "ManagedPolicyArns"); managed != nil {
			t.Errorf("%s has managed policies: %v", id, managed)
		}
		if len(statements(role)) == 0 {
			t.Errorf("%s allows nothing", id)
		}
		for _, s := range statements(role) {
			if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil || s["Resource"] == nil {
				t.Errorf("%s: want statements that allow actions on resources, got %v", id, s)
			}
			for _, action := range texts(s["Action"]) {
				if strings.Contains(action, "*") {
					t.Errorf("%s allows %q: name each action", id, action)
				}
			}
		}
	}
}

// allowed are a role's actions with their resources, resolved, as "action resource".
func allowed(t *testing.T, role object) map[string]bool {
	t.Helper()
	r := newResolver(t, "999999999999", "us-east-1", map[string]any{"TargetRoleName": "tagboat-target"})
	pairs := map[string]bool{}
	for _, s := range statements(role) {
		for _, action := range texts(s["Action"]) {
			for _, resource := range texts(r.resolve(s["Resource"])) {
				pairs[action+" "+resource] = true
			}
		}
	}
	return pairs
}

// has tells whether a role has an action on any resource.
func has(pairs map[string]bool, action string) bool {
	for pair := range pairs {
		if strings.HasPrefix(pair, action+" ") {
			return true
		}
	}
	return false
}

func TestEachFunctionHasARoleOfItsOwnForItsOwnLogs(t *testing.T) {
	template := load(t, mainTemplate)
	seen := map[string]string{}
	for _, folder := range functions(t) {
		id, properties := functionOf(t, template, folder)
		task := strings.TrimSuffix(id, "Function")
		if got, want := at(properties, "Role", "Fn::GetAtt"), task+"Role.Arn"; got != want {
			t.Errorf("%s has role %v, want %s", id, got, want)
		}
		role := ofType(template, "AWS::IAM::Role")[task+"Role"]
		name := fmt.Sprint(at(role, "Properties", "RoleName", "Fn::Sub"))
		if want := "${AWS::StackName}-" + folder; name != want {
			t.Errorf("the role of %s is %q, want %q: target accounts trust it by name", id, name, want)
		}
		if other := seen[name]; other != "" {
			t.Errorf("%s and %s have the same role", id, other)
		}
		seen[name] = id
		for pair := range allowed(t, role) {
			if strings.HasPrefix(pair, "logs:") && !strings.HasSuffix(pair, " {"+task+"Logs.Arn}") {
				t.Errorf("%s may write to logs of others: %s", id, pair)
			}
		}
		if got, want := at(properties, "LoggingConfig", "LogGroup", "Ref"), task+"Logs"; got != want {
			t.Errorf("%s logs to %v, want %s", id, got, want)
		}
	}
}

// What a main wires is what its role allows: a client without the permission
// fails, a permission without the client is one too many.
func TestRolesAllowWhatTheMainsWire(t *testing.T) {
	template := load(t, mainTemplate)
	tools := []string{"publish", "share"} // with their own role only
	for _, folder := range functions(t) {
		id, _ := functionOf(t, template, folder)
		pairs := allowed(t, ofType(template, "AWS::IAM::Role")[strings.TrimSuffix(id, "Function")+"Role"])
		main := mainOf(t, folder)
		wires := func(names ...string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(main, "app."+name) })
		}
		for action, want := range map[string]bool{
			"sts:AssumeRole":                wires("NeedTargets", "RunDoctor") && !slices.Contains(tools, folder),
			"states:StartExecution":         wires("NeedExecutions", "RunWebhook", "RunArtifact", "RunRecover", "RunMissed"),
			"states:DescribeExecution":      wires("RunRecover"),
			"states:SendTaskSuccess":        wires("NeedTokens", "RunRecover"),
			"secretsmanager:GetSecretValue": wires("NeedGitHub", "RunWebhook", "RunMissed"),
			"s3:DeleteObjectVersion":        wires("NeedRemover"),
			"dynamodb:GetItem":              !wires("RunDoctor"),
			"dynamodb:PutItem":              !wires("RunDoctor"), // it looks, and changes nothing
		} {
			if got := has(pairs, action); got != want {
				t.Errorf("%s may %s: %t, its main says %t", folder, action, got, want)
			}
		}
	}
}

// What a function writes to the ledger is what its role allows; in the simulated
// world, every write is held against the same list. ForAllValues holds for a request
// without the key as well, so that is asked for too (IAM user guide, "Multivalued context keys").
func TestRolesWriteToTheLedgerOnlyWhereTheFunctionsDo(t *testing.T) {
	roles := ofType(load(t, mainTemplate), "AWS::IAM::Role")
	for _, folder := range functions(t) {
		id, _ := functionOf(t, load(t, mainTemplate), folder)
		got := map[string][]string{}
		for _, s := range statements(roles[strings.TrimSuffix(id, "Function")+"Role"]) {
			for _, action := range texts(s["Action"]) {
				if action != "dynamodb:PutItem" && action != "dynamodb:DeleteItem" {
					continue
				}
				keys := texts(at(s, "Condition", "ForAllValues:StringLike", "dynamodb:LeadingKeys"))
				if len(keys) > 0 && at(s, "Condition", "Null", "dynamodb:LeadingKeys") != "false" {
					t.Errorf("%s may %s without a key", folder, action)
				}
				got[action] = append([]string{}, keys...)
			}
		}
		writes, known := ledgertest.WritesOf(folder)
		if !known {
			for action, keys := range got {
				if len(keys) > 0 {
					t.Errorf("%s may %s in %q only: internal/ledger/ledgertest has no list of what it writes", folder, action, keys)
				}
			}
			continue
		}
		for action, want := range map[string][]string{"dynamodb:PutItem": writes.Put, "dynamodb:DeleteItem": writes.Delete} {
			slices.Sort(want)
			if slices.Sort(got[action]); !slices.Equal(got[action], want) {
				t.Errorf("%s may %s in %q, want %q", folder, action, got[action], want)
			}
		}
	}
}

// Deletion is the right of one task alone.
func TestOnlyPruneDeletesVersions(t *testing.T) {
	var got []string
	for id, role := range allRoles(t) {
		pairs := allowed(t, role)
		for _, action := range []string{"lambda:DeleteFunction", "lambda:DeleteLayerVersion", "s3:DeleteObject", "s3:DeleteObjectVersion"} {
			if has(pairs, action) {
				got = append(got, id+" "+action)
			}
		}
	}
	slices.Sort(got)
	want := []string{"PruneRole lambda:DeleteLayerVersion", "PruneRole s3:DeleteObjectVersion", "TargetRole lambda:DeleteFunction"}
	if !slices.Equal(got, want) {
		t.Errorf("deletions are allowed to %q, want %q", got, want)
	}
	var objects []string
	for pair := range allowed(t, allRoles(t)["PruneRole"]) {
		if resource, found := strings.CutPrefix(pair, "s3:DeleteObjectVersion "); found {
			objects = append(objects, resource)
		}
	}
	slices.Sort(objects)
	want = []string{"arn:aws:s3:::tagboat-staging-999999999999-*/staged/*", "{StateBucket.Arn}/staged/*"}
	if !slices.Equal(objects, want) {
		t.Errorf("versions of %q may be deleted, want %q: documents are the record", objects, want)
	}
}

// Who may write what is where the trust in staged code comes from.
func TestOnlyTheseRolesWriteToBuckets(t *testing.T) {
	got := map[string][]string{}
	for id, role := range allRoles(t) {
		for pair := range allowed(t, role) {
			if resource, found := strings.CutPrefix(pair, "s3:PutObject "); found {
				got[resource] = append(got[resource], strings.TrimSuffix(id, "Role"))
			}
		}
	}
	want := map[string][]string{
		"{StateBucket.Arn}/releases/*/manifest.json":           {"Manifest"},
		"{StateBucket.Arn}/releases/*/snapshots/*":             {"Snapshot"},
		"{StateBucket.Arn}/releases/*/plan*.json":              {"Plan"},
		"{StateBucket.Arn}/staged/*":                           {"RollBack", "Stage", "Update"},
		"arn:aws:s3:::tagboat-staging-999999999999-*/staged/*": {"RollBack", "Stage", "Update"},
	}
	for resource, roles := range got {
		slices.Sort(roles)
		if !slices.Equal(roles, want[resource]) {
			t.Errorf("%s is written by %v, want %v", resource, roles, want[resource])
		}
	}
	if len(got) != len(want) {
		t.Errorf("written are %v, want %v", sortedKeys(got), sortedKeys(want))
	}
}
