package sim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/tagboat/tagboat/internal/sim"
)

const (
	toolsTask = "arn:aws:iam::" + tools + ":role/task"
	devTarget = "arn:aws:iam::" + dev + ":role/target"
)

func TestAssumeRole(t *testing.T) {
	assume := allow("arn:aws:iam::*:role/target", "sts:AssumeRole")
	tests := []struct {
		name   string
		trust  []string
		caller []string // the policies of the caller's role in the tools account
		change func(*sts.AssumeRoleInput)
		code   string // empty: it succeeds
		text   string
	}{
		{name: "a trusted role whose policy allows it", trust: []string{toolsTask}, caller: []string{assume}},
		{name: "a trusted account whose role's policy allows it", trust: []string{"arn:aws:iam::" + tools + ":root"}, caller: []string{assume}},
		{name: "a role of another account needs a policy of its own, too", trust: []string{toolsTask},
			code: "AccessDenied", text: "because no identity-based policy allows the sts:AssumeRole action"},
		{name: "a role that is not trusted", trust: []string{"arn:aws:iam::" + tools + ":role/somebody"}, caller: []string{assume},
			code: "AccessDenied", text: "User: arn:aws:sts::" + tools + ":assumed-role/task/session is not authorized to perform: sts:AssumeRole on resource: " + devTarget},
		{name: "a missing external id", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.ExternalId = nil }, code: "AccessDenied"},
		{name: "a wrong external id", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.ExternalId = ptr("guess") }, code: "AccessDenied"},
		{name: "a role that does not exist is denied, not missing", trust: []string{toolsTask}, caller: []string{allow("*", "sts:*")},
			change: func(in *sts.AssumeRoleInput) { in.RoleArn = ptr(devTarget + "x") }, code: "AccessDenied"},
		{name: "a session policy of 2049 characters", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.Policy = ptr(strings.Repeat(" ", 2049-len(assume)) + assume) },
			code:   "ValidationError", text: "less than or equal to 2048"},
		{name: "a session policy of 2048 characters", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.Policy = ptr(strings.Repeat(" ", 2048-len(assume)) + assume) }},
		{name: "a session policy that is none", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.Policy = ptr(`{"Statement":[{"Effect":"Maybe"}]}`) }, code: "MalformedPolicyDocument"},
		{name: "more than an hour for a role assumed by a role", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = ptr(int32(3601)) }, code: "ValidationError", text: "role chaining"},
		{name: "less than fifteen minutes", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = ptr(int32(899)) }, code: "ValidationError"},
		{name: "a session name with a slash", trust: []string{toolsTask}, caller: []string{assume},
			change: func(in *sts.AssumeRoleInput) { in.RoleSessionName = ptr("a/b") }, code: "ValidationError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w world) {
				if _, err := w.cloud.CreateRole(dev, "target", sim.Role{Trust: test.trust, ExternalID: "ext"}); err != nil {
					t.Fatal(err)
				}
				in := &sts.AssumeRoleInput{RoleArn: ptr(devTarget), RoleSessionName: ptr("tagboat"), ExternalId: ptr("ext")}
				if test.change != nil {
					test.change(in)
				}
				out, err := w.role(tools, "task", test.caller...).STS().AssumeRole(w.ctx, in)
				if test.code != "" {
					refused(t, err, test.code, test.text)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				session, err := w.cloud.WithCredentials(*out.Credentials.AccessKeyId)
				if err != nil {
					t.Fatal(err)
				}
				if want := "arn:aws:sts::" + dev + ":assumed-role/target/tagboat"; session.ARN() != want || *out.AssumedRoleUser.Arn != want {
					t.Errorf("got session of %q and answer %q, want %q", session.ARN(), *out.AssumedRoleUser.Arn, want)
				}
			})
		})
	}
}

func TestAMalformedSessionPolicyHasTheSDKsErrorType(t *testing.T) {
	within(t, func(w world) {
		in := &sts.AssumeRoleInput{RoleArn: ptr(devTarget), RoleSessionName: ptr("tagboat"), Policy: ptr("{")}
		_, err := w.cloud.Root(tools).STS().AssumeRole(w.ctx, in)
		var malformed *ststypes.MalformedPolicyDocumentException
		if !errors.As(err, &malformed) {
			t.Errorf("got %v, want MalformedPolicyDocumentException", err)
		}
	})
}

func TestCredentialsExpire(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		if _, err := w.cloud.CreateRole(dev, "target", sim.Role{Trust: []string{"arn:aws:iam::" + dev + ":root"}, Policies: []string{allow("*", "*")}}); err != nil {
			t.Fatal(err)
		}
		out := must(w.cloud.Root(dev).STS().AssumeRole(w.ctx, &sts.AssumeRoleInput{
			RoleArn: ptr(devTarget), RoleSessionName: ptr("tagboat"), DurationSeconds: ptr(int32(900)),
		}))(t)
		session := must(w.cloud.WithCredentials(*out.Credentials.AccessKeyId))(t)
		get := func() error {
			_, err := session.Lambda(east).GetFunction(w.ctx, &lambda.GetFunctionInput{FunctionName: ptr("orders-api")})
			return err
		}
		w.sleep(15*time.Minute - time.Second)
		if err := get(); err != nil {
			t.Errorf("one second before the end: %v", err)
		}
		w.sleep(time.Second)
		refused(t, get(), "ExpiredTokenException", "expired")
	})
}

func TestCredentialsThatNobodyWasGiven(t *testing.T) {
	within(t, func(w world) {
		_, err := w.cloud.WithCredentials("nobody")
		refused(t, err, "InvalidClientTokenId", "")
	})
}

func TestPermissionIsThatOfTheRoleAndOfTheSession(t *testing.T) {
	const function = "arn:aws:lambda:us-east-1:" + dev + ":function:orders-api"
	tests := []struct {
		name          string
		role, session string
		text          string // of the refusal; empty: it is allowed
	}{
		{"both allow it", allow("*", "lambda:*"), allow(function, "lambda:GetFunction"), ""},
		{"wildcards in action and resource", allow("arn:aws:lambda:*:"+dev+":function:orders-*", "lambda:Get*"), "", ""},
		{"actions are case-insensitive", allow("*", "Lambda:getfunction"), "", ""},
		{"neither policy speaks of it", allow("*", "lambda:GetAlias"), "", "because no identity-based policy allows the lambda:GetFunction action"},
		{"the role's resource is another", allow("arn:aws:lambda:*:*:function:other", "lambda:*"), "", "no identity-based policy"},
		{"the session is narrower", allow("*", "*"), allow("*", "lambda:GetAlias"), "because no session policy allows the lambda:GetFunction action"},
		{"the session is wider than the role", allow("*", "lambda:GetAlias"), allow("*", "*"), "no identity-based policy"},
		{"a deny wins over an allow",
			`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"lambda:GetFunction","Resource":"*"}]}`, "",
			"with an explicit deny in an identity-based policy"},
		{"NotAction excepts", `{"Statement":{"Effect":"Allow","NotAction":"lambda:Get*","Resource":"*"}}`, "", "no identity-based policy"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w world) {
				w.function(dev)
				role := sim.Role{Trust: []string{"arn:aws:iam::" + dev + ":root"}, Policies: []string{test.role}}
				if _, err := w.cloud.CreateRole(dev, "target", role); err != nil {
					t.Fatal(err)
				}
				in := &sts.AssumeRoleInput{RoleArn: ptr(devTarget), RoleSessionName: ptr("tagboat")}
				if test.session != "" {
					in.Policy = &test.session
				}
				out := must(w.cloud.Root(dev).STS().AssumeRole(w.ctx, in))(t)
				session := must(w.cloud.WithCredentials(*out.Credentials.AccessKeyId))(t)
				_, err := session.Lambda(east).GetFunction(w.ctx, &lambda.GetFunctionInput{FunctionName: ptr("orders-api")})
				if test.text == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				refused(t, err, "AccessDeniedException",
					"User: arn:aws:sts::"+dev+":assumed-role/target/tagboat is not authorized to perform: lambda:GetFunction on resource: "+function)
				refused(t, err, "AccessDeniedException", test.text)
				if got := statusOf(err); got != 403 {
					t.Errorf("got status %d, want 403", got)
				}
			})
		})
	}
}

func TestAPolicyThatIsNotSimulatedIsRefused(t *testing.T) {
	tests := map[string]string{
		"an unknown condition operator": `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"aws:PrincipalOrgID":"1"}}}]}`,
		"an unknown condition key":      `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"1"}}}]}`,
		"an unknown element":            `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Federated":"x"}]}`,
		"no statement":                  `{"Version":"2012-10-17"}`,
		"no action":                     `{"Statement":[{"Effect":"Allow","Resource":"*"}]}`,
	}
	for name, document := range tests {
		t.Run(name, func(t *testing.T) {
			within(t, func(w world) {
				if _, err := w.cloud.CreateRole(dev, "r", sim.Role{Policies: []string{document}}); err == nil {
					t.Error("the policy was accepted")
				}
			})
		})
	}
}

func TestBucketPolicyAcrossAccounts(t *testing.T) {
	policy := func(principal, condition string) string {
		return `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::state/staged/*"` + condition + `}]}`
	}
	read := allow("arn:aws:s3:::state/*", "s3:GetObject")
	tests := []struct {
		name           string
		bucket, caller string
		key            string
		allowed        bool
	}{
		{"both sides allow it", policy("arn:aws:iam::"+dev+":root", ""), read, "staged/a", true},
		{"the role itself is named", policy(devTarget, ""), read, "staged/a", true},
		{"the bucket names the organisation", policy("*", `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abc1234567"}}`), read, "staged/a", true},
		{"the bucket names another organisation", policy("*", `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-zzz1234567"}}`), read, "staged/a", false},
		{"the bucket has no policy", "", read, "staged/a", false},
		{"the bucket names another account", policy("arn:aws:iam::"+other+":root", ""), read, "staged/a", false},
		{"the caller's policy is silent", policy("arn:aws:iam::"+dev+":root", ""), allow("*", "lambda:*"), "staged/a", false},
		{"another prefix", policy("arn:aws:iam::"+dev+":root", ""), read, "plans/a", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w world) {
				w.cloud.Organization("o-abc1234567", dev, tools)
				if err := w.cloud.CreateBucket(tools, east, "state", sim.BucketOptions{Versioned: true, Policy: test.bucket}); err != nil {
					t.Fatal(err)
				}
				w.put(tools, "state", test.key, "content")
				caller := w.role(dev, "target", test.caller)
				_, err := caller.S3(east).GetObject(w.ctx, &s3.GetObjectInput{Bucket: ptr("state"), Key: &test.key})
				if test.allowed && err != nil {
					t.Fatal(err)
				}
				if !test.allowed {
					refused(t, err, "AccessDenied", `is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::state/`+test.key+`"`)
				}
			})
		})
	}
}
