package templatetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/policy"
	"github.com/tagboat/tagboat/internal/sim"
)

const gitHubTemplate = root + "/iam/github-oidc.yaml"

var tools = policy.Place{Stack: "tagboat", Account: "999999999999", Region: "us-east-1"}

// document is a policy as a template would hold it: maps, lists and strings.
func document(t *testing.T, d policy.Document) object {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var made object
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	return made
}

// same compares two policies, one or many of anything being alike.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	flat := func(v any) string {
		text, err := json.Marshal(listed(v))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := flat(got), flat(want); got != want {
		t.Errorf("%s: the template has\n%s\nthe command prints\n%s", what, got, want)
	}
}

// listed makes every value a sorted list of texts.
func listed(v any) any {
	switch v := v.(type) {
	case object:
		all := object{}
		for key, item := range v {
			all[key] = listed(item)
		}
		return all
	case []any:
		if len(v) > 0 {
			if _, objects := v[0].(object); objects {
				for i, item := range v {
					v[i] = listed(item)
				}
				return v
			}
		}
	}
	all := texts(v)
	slices.Sort(all)
	return all
}

func TestPolicyTargetPrintsWhatTheTargetTemplateGrants(t *testing.T) {
	target := policy.Target{Tools: tools, Account: "111111111111", ExternalID: "tagboat-dev", Functions: []string{"orders-*", "billing"}}
	role := targetRole(t, "orders-*", "billing")
	same(t, "trust", at(role, "Properties", "AssumeRolePolicyDocument"), document(t, target.Trust()))
	printed := document(t, target.Permissions())
	own := strings.NewReplacer("arn:*:lambda:*:*:function:", "arn:aws:lambda:*:111111111111:function:")
	got := map[string]bool{} // the template says by a condition whose functions they are
	for pair := range allowed(t, role) {
		got[own.Replace(pair)] = true
	}
	want := map[string]bool{}
	for _, s := range list(printed["Statement"]) {
		for _, action := range texts(at(s, "Action")) {
			for _, resource := range texts(at(s, "Resource")) {
				want[action+" "+resource] = true
			}
		}
	}
	for _, pair := range sortedKeys(got) {
		if !want[pair] {
			t.Errorf("the template allows %s, the command prints nothing of it", pair)
		}
	}
	for _, pair := range sortedKeys(want) {
		if !got[pair] {
			t.Errorf("the command prints %s, the template does not allow it", pair)
		}
	}
	functions := texts(at(list(printed["Statement"])[0], "Resource"))
	for _, target := range []string{"function:orders-api", "function:orders-api:7", "function:billing", "function:billing:live"} {
		if !matches(t, functions, "arn:aws:lambda:eu-west-1:111111111111:"+target) {
			t.Errorf("%s is not allowed by %q", target, functions)
		}
	}
	for _, other := range []string{"111111111111:function:billings", "222222222222:function:billing", "111111111111:function:other"} {
		if matches(t, functions, "arn:aws:lambda:eu-west-1:"+other) {
			t.Errorf("%s is allowed by %q", other, functions)
		}
	}
}

func TestTheStackTellsTheRolesThatTargetsTrust(t *testing.T) {
	var got []string
	for _, arn := range list(list(at(load(t, mainTemplate), "Outputs", "TaskRoleArns", "Value", "Fn::Join"))[1]) {
		got = append(got, strings.ToLower(strings.TrimSuffix(at(arn, "Fn::GetAtt").(string), "Role.Arn")))
	}
	if want := policy.TrustedTasks(); !slices.Equal(got, want) {
		t.Errorf("the output has %q, trusted are %q", got, want)
	}
}

// gitHubRole is the upload role of orders, resolved: the provider is made, or another stack's.
func gitHubRole(t *testing.T) object {
	t.Helper()
	r := newResolver(t, tools.Account, tools.Region, map[string]any{
		"Owner": "acme", "OwnerId": "21031067", "Repository": "orders", "RepositoryId": "186853002",
		"GitRef": "refs/tags/v*", "App": "orders", "UploadsBucket": tools.UploadsBucket(),
		"ProviderArn": provider, "RoleName": "", "MakesProvider": false, "NamesRole": false,
	})
	return r.resolve(ofType(load(t, gitHubTemplate), "AWS::IAM::Role")["UploadRole"]).(object)
}

const provider = "arn:aws:iam::999999999999:oidc-provider/token.actions.githubusercontent.com"

func upload() policy.Upload {
	return policy.Upload{
		Tools: tools, Bucket: tools.UploadsBucket(), Apps: []string{"orders"},
		Repository: policy.Repository{Owner: "acme", OwnerID: "21031067", Name: "orders", ID: "186853002", Ref: "refs/tags/v*"},
	}
}

func TestPolicyUploadPrintsWhatTheGitHubTemplateGrants(t *testing.T) {
	role := gitHubRole(t)
	same(t, "trust", at(role, "Properties", "AssumeRolePolicyDocument"), document(t, upload().Trust()))
	same(t, "permissions", at(list(at(role, "Properties", "Policies"))[0], "PolicyDocument"), document(t, upload().Permissions()))
}

func TestTheUploadsBucketIsTheTemplates(t *testing.T) {
	if got, want := tools.UploadsBucket(), bucketName(t, mainTemplate, "UploadsBucket", tools.Region); got != want {
		t.Errorf("uploads go to %q, want %q", got, want)
	}
}

// The provider of the account is made once, and outlives the stack that made it:
// the roles of other stacks trust it.
func TestTheProviderIsSharedByStacks(t *testing.T) {
	made := ofType(load(t, gitHubTemplate), "AWS::IAM::OIDCProvider")["Provider"]
	if at(made, "Condition") != "MakesProvider" || at(made, "DeletionPolicy") != "Retain" || at(made, "UpdateReplacePolicy") != "Retain" {
		t.Errorf("the provider is %v, want it to be made on condition and retained", made)
	}
	if got := texts(at(made, "Properties", "ClientIdList")); !slices.Equal(got, []string{"sts.amazonaws.com"}) {
		t.Errorf("the provider takes audiences %q, want sts.amazonaws.com alone", got)
	}
	if got := at(made, "Properties", "Url"); got != "https://token.actions.githubusercontent.com" {
		t.Errorf("the provider is %v, want GitHub's", got)
	}
}

func TestTheUploadRoleTrustsOneRepositoryAtItsRefs(t *testing.T) {
	text, err := json.Marshal(at(gitHubRole(t), "Properties", "AssumeRolePolicyDocument"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change map[string]string
		want   bool
	}{
		{"the repository at a tag", nil, true},
		{"the repository at a tag, with ids in sub", map[string]string{"sub": "repo:acme@21031067/orders@186853002:ref:refs/tags/v1.4.0"}, true},
		{"another repository of the owner", map[string]string{"sub": "repo:acme/billing:ref:refs/tags/v1.4.0", "repository_id": "2"}, false},
		{"a repository that took over the name", map[string]string{"repository_id": "2"}, false},
		{"a name taken over, with ids in sub", map[string]string{"sub": "repo:acme@7/orders@8:ref:refs/tags/v1.4.0", "repository_id": "8"}, false},
		{"a fork", map[string]string{"sub": "repo:mallory/orders:ref:refs/tags/v1.4.0", "repository_id": "3"}, false},
		{"a pull request", map[string]string{"sub": "repo:acme/orders:pull_request"}, false},
		{"an environment", map[string]string{"sub": "repo:acme/orders:environment:prod"}, false},
		{"a branch", map[string]string{"sub": "repo:acme/orders:ref:refs/heads/main"}, false},
		{"another tag", map[string]string{"sub": "repo:acme/orders:ref:refs/tags/nightly"}, false},
		{"another audience", map[string]string{"aud": "https://github.com/acme"}, false},
		{"no audience", map[string]string{"aud": ""}, false},
		{"no repository id", map[string]string{"repository_id": ""}, false},
		{"a sub with something before it", map[string]string{"sub": "x:repo:acme/orders:ref:refs/tags/v1.4.0"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := map[string]string{
				"aud": "sts.amazonaws.com", "repository_id": "186853002", "sub": "repo:acme/orders:ref:refs/tags/v1.4.0",
			}
			for claim, v := range c.change {
				claims[claim] = v
			}
			got, err := sim.TrustsWebIdentity(string(text), sim.WebIdentity{Provider: provider, Claims: claims})
			if err != nil || got != c.want {
				t.Errorf("trusted: %t, %v; want %t", got, err, c.want)
			}
		})
	}
}

func TestTheUploadRolePutsObjectsOfItsAppAndNothingElse(t *testing.T) {
	text, err := json.Marshal(at(list(at(gitHubRole(t), "Properties", "Policies"))[0], "PolicyDocument"))
	if err != nil {
		t.Fatal(err)
	}
	bucket := "arn:aws:s3:::" + tools.UploadsBucket()
	for _, c := range []struct {
		name, action, resource string
		want                   bool
	}{
		{"an artifact of the app", "s3:PutObject", bucket + "/artifacts/orders/1.4.0/tagboat.yaml", true},
		{"a drop of the app", "s3:PutObject", bucket + "/drops/orders/deps/1.4.0.zip", true},
		{"an upload in parts that is given up", "s3:AbortMultipartUpload", bucket + "/artifacts/orders/1.4.0/deps.zip", true},
		{"an artifact of another app", "s3:PutObject", bucket + "/artifacts/billing/1.4.0/tagboat.yaml", false},
		{"an app whose name begins alike", "s3:PutObject", bucket + "/artifacts/orders-eu/1.4.0/tagboat.yaml", false},
		{"another prefix", "s3:PutObject", bucket + "/config/registry.yaml", false},
		{"another bucket", "s3:PutObject", "arn:aws:s3:::tagboat-state-999999999999-us-east-1/artifacts/orders/x", false},
		{"reading", "s3:GetObject", bucket + "/artifacts/orders/1.4.0/deps.zip", false},
		{"deleting", "s3:DeleteObject", bucket + "/artifacts/orders/1.4.0/deps.zip", false},
		{"deleting a version", "s3:DeleteObjectVersion", bucket + "/artifacts/orders/1.4.0/deps.zip", false},
		{"listing", "s3:ListBucket", bucket, false},
		{"tagging", "s3:PutObjectTagging", bucket + "/artifacts/orders/1.4.0/deps.zip", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := sim.Allows(string(text), c.action, c.resource); err != nil || got != c.want {
				t.Errorf("%s on %s: %t, %v; want %t", c.action, c.resource, got, err, c.want)
			}
		})
	}
}

// Each resource that template.yaml becomes can be made, read, changed and taken
// away by the installer; what stays when the stack goes cannot be deleted.
func TestPolicyInstallerCoversEveryResourceOfTheTemplate(t *testing.T) {
	plain := transformed(t)
	stays, removed := map[string]bool{}, map[string]bool{}
	for _, resource := range at(plain, "Resources").(object) {
		kind := at(resource, "Type").(string)
		kept := at(resource, "DeletionPolicy") == "Retain"
		stays[kind] = stays[kind] || kept
		removed[kind] = removed[kind] || !kept
	}
	known := policy.Lifecycles()
	printed := document(t, policy.Installer{Place: tools}.Permissions())
	allowed := map[string]bool{}
	for _, s := range list(printed["Statement"]) {
		for _, action := range texts(at(s, "Action")) {
			allowed[action] = true
		}
	}
	for kind, l := range known {
		if !stays[kind] && !removed[kind] {
			t.Errorf("the installer may make %s, which the template has none of", kind)
		}
		if len(l.Create) == 0 || len(l.Read) == 0 || len(l.Update) == 0 && kind != "AWS::Lambda::Version" {
			t.Errorf("%s is created by %v, read by %v, updated by %v: want actions for each", kind, l.Create, l.Read, l.Update)
		}
		if (len(l.Delete) > 0) != removed[kind] {
			t.Errorf("%s is deleted by %v, the template removes it with the stack: %t", kind, l.Delete, removed[kind])
		}
		for _, action := range slices.Concat(l.Create, l.Read, l.Update, l.Delete) {
			if !allowed[action] {
				t.Errorf("%s needs %s, which the installer may not", kind, action)
			}
		}
	}
	for kind := range stays {
		if _, ok := known[kind]; !ok {
			t.Errorf("template.yaml becomes %s: add what CloudFormation calls for it to internal/policy/lifecycle.go", kind)
		}
	}
}

// maxRolePolicies is how many characters a role's inline policies have, white
// space aside (IAM user guide, IAM and AWS STS quotas).
const maxRolePolicies = 10240

func TestPolicyInstallerIsOnePolicyThatIsLimited(t *testing.T) {
	place := policy.Place{Stack: strings.Repeat("s", 26), Account: tools.Account, Region: "ap-southeast-2"}
	text, err := json.Marshal(policy.Installer{Place: place}.Permissions())
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxRolePolicies {
		t.Errorf("the policy has %d characters, those of a role have at most %d", len(text), maxRolePolicies)
	}
	for _, c := range []struct {
		name, action, resource string
		want                   bool
	}{
		{"a function of the stack", "lambda:UpdateFunctionCode", "arn:aws:lambda:us-east-1:999999999999:function:tagboat-plan", true},
		{"another function", "lambda:UpdateFunctionCode", "arn:aws:lambda:us-east-1:999999999999:function:orders-api", false},
		{"a role of the stack", "iam:PutRolePolicy", "arn:aws:iam::999999999999:role/tagboat-plan", true},
		{"another role", "iam:PutRolePolicy", "arn:aws:iam::999999999999:role/admin", false},
		{"a managed policy for a role", "iam:AttachRolePolicy", "arn:aws:iam::999999999999:role/tagboat-plan", false},
		{"the ledger", "dynamodb:DeleteTable", "arn:aws:dynamodb:us-east-1:999999999999:table/tagboat-Ledger-X", false},
		{"a bucket", "s3:DeleteBucket", "arn:aws:s3:::tagboat-state-999999999999-us-east-1", false},
		{"what is in a bucket", "s3:GetObject", "arn:aws:s3:::tagboat-state-999999999999-us-east-1/config/registry.yaml", false},
		{"an older version of a function", "lambda:DeleteFunction", "arn:aws:lambda:us-east-1:999999999999:function:tagboat-plan", true},
		{"another stack", "cloudformation:DeleteStack", "arn:aws:cloudformation:us-east-1:999999999999:stack/other/1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := policy.Installer{Place: tools}.Permissions()
			d.Statement = slices.DeleteFunc(d.Statement, func(s policy.Statement) bool { return s.Condition != nil })
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := sim.Allows(string(text), c.action, c.resource); err != nil || got != c.want {
				t.Errorf("%s on %s: %t, %v; want %t", c.action, c.resource, got, err, c.want)
			}
		})
	}
}

// cfn-lint knows which actions AWS has.
func TestPoliciesNameActionsThatExist(t *testing.T) {
	t.Parallel()
	target := policy.Target{Tools: tools, Account: "111111111111", ExternalID: "tagboat-dev", Functions: []string{"orders-*"}}
	resources := object{}
	for name, d := range map[string]policy.Document{
		"Installer": policy.Installer{Place: tools}.Permissions(), "OwnBucket": policy.Installer{Place: tools, Bucket: "code"}.Permissions(),
		"Target": target.Permissions(), "Upload": upload().Permissions(),
	} {
		resources[name] = object{"Type": "AWS::IAM::ManagedPolicy", "Properties": object{"PolicyDocument": d}}
	}
	text, err := json.Marshal(object{"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "policies.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "cfn-lint", file); strings.TrimSpace(out) != "" {
		t.Error(out)
	}
}
