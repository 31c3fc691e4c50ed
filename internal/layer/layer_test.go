package layer_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

func TestPublishMakesAVersionOfTheStagedObject(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) { must(t, w.run(ctx, w.publishStep())) })
	versions := w.versions()
	if len(versions) != 1 {
		t.Fatalf("%d versions, want 1", len(versions))
	}
	v := versions[0]
	if v.CodeSha256 != sum(content) || len(v.Runtimes) != 2 || v.Architectures[0] != "x86_64" || v.Description != "requests 2.32.3" {
		t.Errorf("got %+v", v)
	}
	if r := w.durable[release.StepID(release.PublishLayer, site, name)]; r.LayerVersion != v.ARN || w.known[name+region+"digest"] != v.ARN || w.holder != "" {
		t.Errorf("result %+v, known %q, lease held by %q", r, w.known, w.holder)
	}
}

func TestAVersionWithTheSameContentIsReused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*world, *lambda.PublishLayerVersionInput)
		known  bool
		reused bool
	}{
		{"one that is remembered", nil, true, true},
		{"one that is remembered, compressed in another way", func(_ *world, in *lambda.PublishLayerVersionInput) { in.Content.ZipFile = zipOf("recompressed") }, true, true},
		{"the newest, if its bytes are equal", nil, false, true},
		{"not one with other bytes", func(_ *world, in *lambda.PublishLayerVersionInput) { in.Content.ZipFile = zipOf("else") }, false, false},
		{"not one for other runtimes", func(_ *world, in *lambda.PublishLayerVersionInput) {
			in.CompatibleRuntimes = []types.Runtime{"python3.13"}
		}, false, false},
		{"not one for other architectures", func(_ *world, in *lambda.PublishLayerVersionInput) { in.CompatibleArchitectures = nil }, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				in := &lambda.PublishLayerVersionInput{
					LayerName: aws.String(name), Content: &types.LayerVersionContentInput{ZipFile: content},
					CompatibleRuntimes: []types.Runtime{"python3.12", "python3.13"}, CompatibleArchitectures: []types.Architecture{"x86_64"},
				}
				if test.change != nil {
					test.change(w, in)
				}
				out, err := w.api.PublishLayerVersion(ctx, in)
				must(t, err)
				if test.known {
					w.known[name+region+"digest"] = *out.LayerVersionArn
				}
				must(t, w.run(ctx, w.publishStep()))
			})
			if reused := len(w.versions()) == 1; reused != test.reused {
				t.Errorf("reused: got %t, want %t", reused, test.reused)
			}
		})
	}
}

func TestARememberedVersionThatIsGoneIsPublishedAgain(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		_, err := w.cloud.Root(tools).Lambda(region).DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: aws.String(name), VersionNumber: aws.Int64(1)})
		must(t, err)
		w.durable = map[string]release.Result{}
		must(t, w.run(ctx, w.publishStep()))
	})
	if v := w.versions(); len(v) != 1 || v[0].Version != 2 || w.known[name+region+"digest"] != v[0].ARN {
		t.Errorf("got %+v, known %q", v, w.known)
	}
}

func TestTheNewestVersionIsReusedWhereTheRememberedOneIsGone(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		w.known[name+region+"digest"] = "arn:aws:lambda:" + region + ":" + tools + ":layer:" + name + ":7"
		w.durable = map[string]release.Result{}
		must(t, w.run(ctx, w.publishStep()))
	})
	if v := w.versions(); len(v) != 1 || w.known[name+region+"digest"] != v[0].ARN {
		t.Errorf("got %+v, known %q", v, w.known)
	}
}

func TestARoleThatIsRefusedIsNotAMissingGrant(t *testing.T) {
	w := newWorld(t)
	refusal := &smithy.OperationError{ServiceID: "Lambda", OperationName: "GetLayerVersionByArn", Err: &smithy.OperationError{
		ServiceID: "STS", OperationName: "AssumeRole", Err: &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized to perform: sts:AssumeRole"},
	}}
	w.cloud.OnCall(func(sim.Call) sim.Fault { return sim.Fault{Before: refusal} })
	w.do(func(ctx context.Context) {
		problems := w.layers.CheckAccess(ctx, at, []string{"arn:aws:lambda:" + region + ":" + other + ":layer:foreign:3"})
		if len(problems) != 1 || release.KindOf(problems[0]) != release.Denied || !strings.Contains(release.RemedyOf(problems[0]), "external_id") {
			t.Errorf("got %v (remedy %q)", problems, release.RemedyOf(problems[0]))
		}
	})
}

func TestAReleaseWaitsWhileAnotherPublishesTheLayer(t *testing.T) {
	w := newWorld(t)
	w.holder = "another"
	w.do(func(ctx context.Context) {
		wait, err := w.layers.Apply(ctx, w.work(w.publishStep()))
		if err != nil || wait <= 0 || len(w.versions()) != 0 {
			t.Errorf("wait %s, %v, %d versions: want a wait and nothing published", wait, err, len(w.versions()))
		}
		w.holder = ""
		must(t, w.run(ctx, w.publishStep()))
	})
}

func TestNobodyElsePublishesBeforeALostPublicationIsFoundAgain(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		lost := true
		w.cloud.OnCall(func(call sim.Call) sim.Fault {
			if call.Action == "PublishLayerVersion" && lost {
				lost = false
				return sim.Fault{After: sim.Timeout()}
			}
			return sim.Fault{}
		})
		if _, err := w.layers.Apply(ctx, w.work(w.publishStep())); release.KindOf(err) != release.Transient {
			t.Fatalf("got %v, want a transient error", err)
		}
		if w.holder != "orders-2" {
			t.Errorf("the lock is held by %q: another version would hide the one whose answer was lost", w.holder)
		}
		must(t, w.run(ctx, w.publishStep()))
	})
	if len(w.versions()) != 1 || w.holder != "" {
		t.Errorf("got %d versions and the lock held by %q, want 1 and nobody", len(w.versions()), w.holder)
	}
}

func TestSnapshotFindsVersionsWithTheirGrants(t *testing.T) {
	w := newWorld(t)
	wanted := []layer.Wanted{
		{Name: name, Digest: "digest", CodeSHA256: sum(content), Runtimes: []string{"python3.13", "python3.12"}, Architectures: []string{"x86_64"}},
		{Name: "unpublished", Digest: "unpublished"},
	}
	w.do(func(ctx context.Context) {
		got, err := w.layers.Snapshot(ctx, at, wanted)
		must(t, err)
		if len(got) != 0 {
			t.Errorf("before: %+v, want nothing", got)
		}
		grants := []release.Grant{{Account: member}, {Organization: org}, {Public: true}}
		must(t, w.run(ctx, w.publishStep()))
		must(t, w.run(ctx, shareStep(grants...)))
		w.known = map[string]string{}
		got, err = w.layers.Snapshot(ctx, at, wanted)
		must(t, err)
		want := release.LayerState{ARN: w.versions()[0].ARN, Version: 1, Digest: "digest", Grants: grants}
		if len(got) != 1 || !reflect.DeepEqual(got["digest"], want) || len(w.known) > 0 {
			t.Errorf("got %+v, want %+v, and nothing remembered by who looks: %q", got, want, w.known)
		}
	})
}

func TestShareAddsWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		must(t, w.run(ctx, shareStep(release.Grant{Account: member})))
		all := shareStep(release.Grant{Account: member}, release.Grant{Account: other}, release.Grant{Organization: org})
		must(t, w.run(ctx, all))
		must(t, w.run(ctx, all))
	})
	want := []sim.Grant{
		{StatementID: "tagboat-account-" + member, Principal: member},
		{StatementID: "tagboat-account-" + other, Principal: other},
		{StatementID: "tagboat-organization-" + org, Principal: "*", OrganizationID: org},
	}
	if got := w.versions()[0].Grants; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnEqualGrantUnderAnotherIDIsDone(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		w.grant(ctx, "by-hand", "arn:aws:iam::"+member+":root")
		must(t, w.run(ctx, shareStep(release.Grant{Account: member})))
	})
	if got := w.versions()[0].Grants; len(got) != 1 {
		t.Errorf("got %+v, want the one that was there", got)
	}
}

func (w *world) grant(ctx context.Context, id, principal string) {
	w.t.Helper()
	_, err := w.cloud.Root(tools).Lambda(region).AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String(name), VersionNumber: aws.Int64(1), StatementId: &id, Principal: &principal, Action: aws.String("lambda:GetLayerVersion"),
	})
	must(w.t, err)
}

func TestAStatementIDThatIsTakenIsAConflict(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		w.grant(ctx, "tagboat-account-"+member, other)
		err := w.run(ctx, shareStep(release.Grant{Account: member}))
		if release.KindOf(err) != release.Conflict || !strings.Contains(err.Error(), "tagboat-account-"+member) ||
			!strings.Contains(release.RemedyOf(err), "remove-layer-version-permission") {
			t.Errorf("got %v (remedy %q)", err, release.RemedyOf(err))
		}
	})
}

func TestAPolicyThatIsFullNamesTheOrganisationGrant(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		var many []release.Grant
		for i := range 200 {
			many = append(many, release.Grant{Account: fmt.Sprintf("%012d", i)})
		}
		err := w.run(ctx, shareStep(many...))
		if release.KindOf(err) != release.Invalid || !strings.Contains(release.RemedyOf(err), "organisation") {
			t.Errorf("got %v (remedy %q)", err, release.RemedyOf(err))
		}
	})
}

func TestAShareOfAVersionThatThePlanNames(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		step := shareStep(release.Grant{Account: member})
		if err := w.run(ctx, step); release.KindOf(err) != release.Internal {
			t.Errorf("without a version: got %v", err)
		}
		must(t, w.run(ctx, w.publishStep()))
		step.Share.Layer = w.versions()[0].ARN
		w.durable = map[string]release.Result{}
		must(t, w.run(ctx, step))
	})
	if len(w.versions()[0].Grants) != 1 {
		t.Error("the version was not shared")
	}
}

func TestCheckAccessNamesWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	target := func(account, region string) release.Target {
		return release.Target{Site: release.Site{Environment: "dev", Account: account, Region: region}}
	}
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		must(t, w.run(ctx, shareStep(release.Grant{Organization: org})))
		arn := w.versions()[0].ARN
		tests := []struct {
			name   string
			target release.Target
			arn    string
			kind   release.Kind // empty: access
			names  []string
		}{
			{"an account of the organisation may read it", target(member, region), arn, "", nil},
			{"another account may not", target(other, region), arn, release.Denied, []string{other, tools, name, region}},
			{"a function in another region may not use it", target(member, "eu-west-1"), arn, release.Invalid, []string{"eu-west-1", region}},
			{"one's own version that is gone is not found", target(tools, region), strings.TrimSuffix(arn, "1") + "7", release.NotFound, []string{":7"}},
			{"what is no ARN is refused", target(member, region), "orders-deps:1", release.Invalid, []string{"orders-deps:1"}},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				problems := w.layers.CheckAccess(ctx, test.target, []string{test.arn})
				if test.kind == "" {
					if len(problems) != 0 {
						t.Errorf("got %v, want access", problems)
					}
					return
				}
				if len(problems) != 1 || release.KindOf(problems[0]) != test.kind {
					t.Fatalf("got %v, want one of kind %s", problems, test.kind)
				}
				told := problems[0].Error() + release.RemedyOf(problems[0])
				for _, want := range test.names {
					if !strings.Contains(told, want) {
						t.Errorf("%q does not name %q", told, want)
					}
				}
			})
		}
	})
}

// silent answers as emulators do for versions of other accounts.
type silent struct{ layer.API }

func (silent) GetLayerVersionByArn(context.Context, *lambda.GetLayerVersionByArnInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionByArnOutput, error) {
	return &lambda.GetLayerVersionByArnOutput{}, nil
}

func TestAnEmptyAnswerCountsAsAccess(t *testing.T) {
	w := newWorld(t)
	w.api = silent{w.api}
	w.do(func(ctx context.Context) {
		arn := "arn:aws:lambda:" + region + ":" + other + ":layer:foreign:3"
		if problems := w.layers.CheckAccess(ctx, at, []string{arn}); len(problems) != 0 {
			t.Errorf("got %v", problems)
		}
	})
}

// policied answers with a policy of one's own.
type policied struct {
	layer.API
	text string
}

func (p policied) GetLayerVersionPolicy(context.Context, *lambda.GetLayerVersionPolicyInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	return &lambda.GetLayerVersionPolicyOutput{Policy: &p.text}, nil
}

func TestPoliciesAreReadInAllTheirForms(t *testing.T) {
	allow := func(rest string) string {
		return `{"Statement":[{"Effect":"Allow","Action":"lambda:GetLayerVersion",` + rest + `}]}`
	}
	tests := []struct {
		name, policy string
		want         []release.Grant
	}{
		{"an account's id", allow(`"Principal":"` + member + `"`), []release.Grant{{Account: member}}},
		{"an account's id under AWS", allow(`"Principal":{"AWS":"` + member + `"}`), []release.Grant{{Account: member}}},
		{"an account's root", allow(`"Principal":{"AWS":"arn:aws:iam::` + member + `:root"}`), []release.Grant{{Account: member}}},
		{"an account's root in another partition", allow(`"Principal":{"AWS":"arn:aws-cn:iam::` + member + `:root"}`), []release.Grant{{Account: member}}},
		{"several accounts", allow(`"Principal":{"AWS":["` + member + `","` + other + `"]}`), []release.Grant{{Account: member}, {Account: other}}},
		{"everyone", allow(`"Principal":"*"`), []release.Grant{{Public: true}}},
		{"an organisation", allow(`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"` + org + `"}}`), []release.Grant{{Organization: org}}},
		{"an organisation as emulators keep it", allow(`"Principal":"*","OrganizationId":"` + org + `"`), []release.Grant{{Organization: org}}},
		{"everyone under another condition is not everyone", allow(`"Principal":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`), nil},
		{"an organisation with a further condition is not all of it", allow(`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"` + org + `"},"Bool":{"a":"b"}}`), nil},
		{"a role is not its account", allow(`"Principal":{"AWS":"arn:aws:iam::` + member + `:role/x"}`), nil},
		{"a Deny grants nothing", `{"Statement":[{"Effect":"Deny","Action":"lambda:GetLayerVersion","Principal":"*"}]}`, nil},
		{"a list of actions", `{"Statement":[{"Effect":"Allow","Action":["lambda:GetLayerVersion"],"Principal":"*"}]}`, []release.Grant{{Public: true}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				must(t, w.run(ctx, w.publishStep()))
				w.api = policied{w.api, test.policy}
				got, err := w.layers.Snapshot(ctx, at, []layer.Wanted{{
					Name: name, Digest: "digest", Runtimes: []string{"python3.12", "python3.13"}, Architectures: []string{"x86_64"},
				}})
				must(t, err)
				if grants := got["digest"].Grants; !reflect.DeepEqual(grants, test.want) {
					t.Errorf("got %v, want %v", grants, test.want)
				}
			})
		})
	}
}

// TestEveryCallMayFail makes each call of a publication and a sharing fail in
// each way, and wants one version with its grants all the same.
func TestEveryCallMayFail(t *testing.T) {
	faults := []struct {
		name  string
		fault func(*world) sim.Fault
	}{
		{"is lost", func(*world) sim.Fault { return sim.Fault{Before: sim.Timeout()} }},
		{"is done and its answer is lost", func(*world) sim.Fault { return sim.Fault{After: sim.Timeout()} }},
		{"is throttled", func(*world) sim.Fault { return sim.Fault{Before: sim.Throttled("lambda")} }},
		{"is not made because the task is killed before", func(w *world) sim.Fault { w.dead = true; return sim.Fault{Before: errKilled} }},
		{"is the last thing the task does", func(w *world) sim.Fault { w.dead = true; return sim.Fault{After: errKilled} }},
	}
	calls := play(t, nil, 0)
	if len(calls) < 5 {
		t.Fatalf("only %d calls", len(calls))
	}
	for i, call := range calls {
		for _, fault := range faults {
			t.Run(fmt.Sprintf("call %d %s %s", i+1, call.Action, fault.name), func(t *testing.T) {
				play(t, fault.fault, i+1)
			})
		}
	}
}

func play(t *testing.T, fault func(*world) sim.Fault, n int) []sim.Call {
	t.Helper()
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.cloud.RecordCalls(0)
		w.cloud.RecordCalls(100)
		made := 0
		w.cloud.OnCall(func(sim.Call) sim.Fault {
			if made++; fault != nil && made == n {
				return fault(w)
			}
			if w.dead {
				return sim.Fault{Before: errKilled}
			}
			return sim.Fault{}
		})
		must(t, w.run(ctx, w.publishStep()))
		must(t, w.run(ctx, shareStep(release.Grant{Account: member}, release.Grant{Organization: org})))
	})
	if v := w.versions(); len(v) != 1 || len(v[0].Grants) != 2 || w.known[name+region+"digest"] != v[0].ARN {
		t.Errorf("got %+v, known %q: want one version with two grants, remembered", v, w.known)
	}
	return w.cloud.Calls()
}

func TestAWriteOfThePolicyByOthersInBetweenIsNoObstacle(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		w.grant(ctx, "by-hand", other)
		interfered := false
		w.cloud.OnCall(func(call sim.Call) sim.Fault {
			if call.Action == "AddLayerVersionPermission" && !interfered {
				interfered = true
				w.grant(ctx, "by-another-hand", "222222222222")
			}
			return sim.Fault{}
		})
		must(t, w.run(ctx, shareStep(release.Grant{Account: member})))
	})
	if got := w.versions()[0].Grants; len(got) != 3 {
		t.Errorf("got %+v, want three grants", got)
	}
}
