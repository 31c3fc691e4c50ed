package templatetest

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/release"
)

// targetRole is the role that a target account grants, resolved.
func targetRole(t *testing.T, names ...any) object {
	t.Helper()
	r := newResolver(t, "111111111111", "us-east-1", map[string]any{
		"ToolsAccount": "999999999999", "ToolsStack": "tagboat", "ExternalId": "tagboat-dev",
		"RoleName": "tagboat-target", "FunctionNames": names,
	})
	return r.resolve(ofType(load(t, targetTemplate), "AWS::IAM::Role")["TargetRole"]).(object)
}

// statementOf finds a statement by its id.
func statementOf(t *testing.T, role object, sid string) object {
	t.Helper()
	for _, s := range statements(role) {
		if s["Sid"] == sid {
			return s
		}
	}
	t.Fatalf("no statement %q", sid)
	return nil
}

// A session policy can only narrow what the role allows, so the role has to
// allow the union of the phases, and nothing else.
func TestTheTargetRoleAllowsTheUnionOfThePhases(t *testing.T) {
	union := map[string]map[string]bool{"Functions": {}, "Versions": {}, "Layers": {}, "Staged": {}, "Any": {}}
	for _, phase := range []release.Phase{
		release.PhaseStage, release.PhaseSnapshot, release.PhasePublish, release.PhaseShare, release.PhaseAccess,
		release.PhaseUpdate, release.PhaseShift, release.PhaseBake, release.PhaseRollBack, release.PhasePrune,
	} {
		p := awsapi.PhasePermissions(phase)
		for sid, actions := range map[string][]string{
			"Functions": p.Functions, "Versions": p.Versions, "Layers": p.Layers, "Staged": p.Staged, "Any": p.Any,
		} {
			for _, action := range actions {
				union[sid][action] = true
			}
		}
	}
	role := targetRole(t, "orders-*")
	if got := len(statements(role)); got != len(union) {
		t.Errorf("the role has %d statements, want %d", got, len(union))
	}
	for sid, actions := range union {
		got := texts(statementOf(t, role, sid)["Action"])
		slices.Sort(got)
		if want := sortedKeys(actions); !slices.Equal(got, want) {
			t.Errorf("%s: the role allows %v, the phases need %v", sid, got, want)
		}
	}
}

func TestTheTargetRoleNamesFunctionsWithTheirVersionsAndAliases(t *testing.T) {
	s := statementOf(t, targetRole(t, "orders-*", "billing"), "Functions")
	want := []string{
		"arn:*:lambda:*:*:function:orders-*", "arn:*:lambda:*:*:function:billing",
		"arn:*:lambda:*:*:function:orders-*:*", "arn:*:lambda:*:*:function:billing:*",
	}
	if got := texts(s["Resource"]); !slices.Equal(got, want) {
		t.Errorf("resources are %q, want %q", got, want)
	}
	if got := at(s, "Condition", "StringEquals", "aws:ResourceAccount"); got != "111111111111" {
		t.Errorf("functions are of account %v, want the target's own", got)
	}
}

// Whoever may delete a function's version must not be able to delete the function.
func TestTheTargetRoleDeletesVersionsAndNoFunction(t *testing.T) {
	versions := texts(statementOf(t, targetRole(t, "orders-*", "billing"), "Versions")["Resource"])
	for _, name := range []string{"orders-api", "billing"} {
		arn := "arn:aws:lambda:us-east-1:111111111111:function:" + name
		if matches(t, versions, arn) {
			t.Errorf("%s may be deleted: %q", arn, versions)
		}
		if !matches(t, versions, arn+":7") {
			t.Errorf("%s:7 may not be deleted: %q", arn, versions)
		}
	}
}

// The trust names roles, not the account: exactly those that assume roles.
func TestTheTargetRoleTrustsTheTasksThatAssumeIt(t *testing.T) {
	var want []string
	for _, role := range ofType(load(t, mainTemplate), "AWS::IAM::Role") {
		if pairs := allowed(t, role); has(pairs, "sts:AssumeRole") {
			name := newResolver(t, "999999999999", "us-east-1", nil).resolve(at(role, "Properties", "RoleName")).(string)
			want = append(want, "arn:aws:iam::999999999999:role/"+name)
			if !pairs["sts:AssumeRole arn:aws:iam::*:role/tagboat-target"] {
				t.Errorf("%s assumes other roles than the target role", name)
			}
		}
	}
	trust := list(at(targetRole(t, "orders-*"), "Properties", "AssumeRolePolicyDocument", "Statement"))
	if len(trust) != 1 {
		t.Fatalf("the trust has %d statements, want 1", len(trust))
	}
	got := texts(at(trust[0], "Principal", "AWS"))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the role trusts %q, these assume it: %q", got, want)
	}
	if id := at(trust[0], "Condition", "StringEquals", "sts:ExternalId"); id != "tagboat-dev" {
		t.Errorf("the trust asks for external id %v, want that of the parameter", id)
	}
}

// bucketName is the name of a template's bucket in a region of the tools account.
func bucketName(t *testing.T, file, id, region string) string {
	t.Helper()
	r := newResolver(t, "999999999999", region, map[string]any{"ToolsStack": "tagboat"})
	return r.resolve(at(ofType(load(t, file), "AWS::S3::Bucket")[id], "Properties", "BucketName")).(string)
}

// matches tells whether one of the patterns covers a resource. The * of IAM covers slashes too.
func matches(t *testing.T, patterns []string, resource string) bool {
	t.Helper()
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		flat := strings.NewReplacer("/", "|")
		ok, err := path.Match(flat.Replace(pattern), flat.Replace(resource))
		if err != nil {
			t.Fatalf("pattern %q: %v", pattern, err)
		}
		return ok
	})
}

func TestStagingBucketsAreThoseThatRolesKnowByName(t *testing.T) {
	state := bucketName(t, mainTemplate, "StateBucket", "us-east-1")
	further := bucketName(t, regionTemplate, "StagingBucket", "eu-west-1")
	target := texts(statementOf(t, targetRole(t, "orders-*"), "Staged")["Resource"])
	for _, bucket := range []string{state, further} {
		if object := "arn:aws:s3:::" + bucket + "/staged/orders/ab.zip"; !matches(t, target, object) {
			t.Errorf("the target role may not read %s: it reads %q", object, target)
		}
		if object := "arn:aws:s3:::" + bucket + "/releases/x/plan.json"; matches(t, target, object) {
			t.Errorf("the target role may read %s", object)
		}
	}
	roles := ofType(load(t, mainTemplate), "AWS::IAM::Role")
	for _, id := range []string{"StageRole", "UpdateRole", "RollBackRole"} {
		var patterns []string
		for pair := range allowed(t, roles[id]) {
			if pattern, found := strings.CutPrefix(pair, "s3:PutObject "); found {
				patterns = append(patterns, pattern)
			}
		}
		if object := "arn:aws:s3:::" + further + "/staged/orders/ab.zip"; !matches(t, patterns, object) {
			t.Errorf("%s may not write %s: it writes %q", id, object, patterns)
		}
	}
}
