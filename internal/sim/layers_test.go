package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/sim"
)

func TestPublishLayerVersionAlwaysMakesANewVersion(t *testing.T) {
	within(t, func(w world) {
		first, _ := w.layer("deps", "same")
		second, number := w.layer("deps", "same")
		if first == second || number != 2 {
			t.Errorf("got %s and %s", first, second)
		}
		got := w.cloud.LayerVersions(tools, east, "deps")
		if len(got) != 2 || got[0].CodeSha256 != got[1].CodeSha256 || len(got[0].CodeSha256) != 44 {
			t.Errorf("got %+v, want two versions with one SHA-256 in base64", got)
		}
		must(w.lambda(tools).DeleteLayerVersion(w.ctx, &lambda.DeleteLayerVersionInput{LayerName: ptr("deps"), VersionNumber: ptr(int64(2))}))(t)
		if _, number := w.layer("deps", "same"); number != 3 {
			t.Errorf("after deleting version 2 the next is %d, want 3", number)
		}
	})
}

func TestListLayerVersionsIsNewestFirstAndOnlyOfTheOwnAccount(t *testing.T) {
	within(t, func(w world) {
		for _, content := range []string{"1", "2", "3"} {
			w.layer("deps", content)
		}
		out := must(w.lambda(tools).ListLayerVersions(w.ctx, &lambda.ListLayerVersionsInput{LayerName: ptr("deps"), MaxItems: ptr(int32(2))}))(t)
		if len(out.LayerVersions) != 2 || out.LayerVersions[0].Version != 3 || out.NextMarker == nil {
			t.Errorf("got %+v", out)
		}
		none := must(w.lambda(tools).ListLayerVersions(w.ctx, &lambda.ListLayerVersionsInput{LayerName: ptr("deps"), CompatibleRuntime: types.RuntimeNodejs22x}))(t)
		if len(none.LayerVersions) != 0 {
			t.Errorf("of another runtime: got %+v", none.LayerVersions)
		}
		_, err := w.lambda(dev).ListLayerVersions(w.ctx, &lambda.ListLayerVersionsInput{LayerName: ptr("arn:aws:lambda:us-east-1:" + tools + ":layer:deps")})
		refused(t, err, "AccessDeniedException", "lambda:ListLayerVersions")
	})
}

func TestALayerIsReadAcrossAccountsOnlyByGrantAndOwnPolicy(t *testing.T) {
	const organization = "o-abc1234567"
	anything := allow("*", "lambda:*")
	tests := []struct {
		name                    string
		principal, organization string // of the grant; no principal: none is made
		caller                  string
		region                  string
		text                    string // of the refusal; empty: it may be read
	}{
		{"granted to the account", dev, "", anything, east, ""},
		{"granted to the account's root", "arn:aws:iam::" + dev + ":root", "", anything, east, ""},
		{"granted to the organisation", "*", organization, anything, east, ""},
		{"granted to everyone", "*", "", anything, east, ""},
		{"not granted", "", "", anything, east, "because no resource-based policy allows the lambda:GetLayerVersion action"},
		{"granted to another account", other, "", anything, east, "no resource-based policy"},
		{"granted to another organisation", "*", "o-zzz1234567", anything, east, "no resource-based policy"},
		{"granted, but the caller's policy is silent", dev, "", allow("*", "s3:*"), east, "no identity-based policy"},
		{"granted, but from another region", dev, "", anything, west, "no resource-based policy"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w world) {
				w.cloud.Organization(organization, dev, tools)
				arn, version := w.layer("deps", "1")
				if test.principal != "" {
					if err := w.grant("deps", version, "s", test.principal, test.organization); err != nil {
						t.Fatal(err)
					}
				}
				caller := w.role(dev, "target", test.caller).Lambda(test.region)
				_, read := caller.GetLayerVersionByArn(w.ctx, &lambda.GetLayerVersionByArnInput{Arn: &arn})
				admin := w.role(dev, "admin", test.caller, allow("*", "lambda:CreateFunction", "iam:PassRole")).Lambda(test.region)
				_, attached := admin.CreateFunction(w.ctx, &lambda.CreateFunctionInput{
					FunctionName: ptr("f"), Role: ptr(sim.RoleARN(dev, "orders")), Runtime: types.RuntimePython313, Handler: ptr("a.b"),
					Code: &types.FunctionCode{ZipFile: zipOf(t, nil)}, Layers: []string{arn},
				})
				for _, err := range []error{read, attached} {
					if test.text == "" && err != nil {
						t.Fatal(err)
					}
					if test.text != "" {
						refused(t, err, "AccessDeniedException", "is not authorized to perform: lambda:GetLayerVersion on resource: "+arn)
						refused(t, err, "AccessDeniedException", test.text)
					}
				}
			})
		})
	}
}

func TestOneGrantCoversOneVersion(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		_, first := w.layer("deps", "1")
		second, _ := w.layer("deps", "2")
		if err := w.grant("deps", first, "s", dev, ""); err != nil {
			t.Fatal(err)
		}
		refused(t, w.setLayers(dev, second), "AccessDeniedException", second)
	})
}

func TestGrantRules(t *testing.T) {
	tests := []struct {
		name       string
		change     func(*lambda.AddLayerVersionPermissionInput)
		code, text string
	}{
		{"another action", func(in *lambda.AddLayerVersionPermissionInput) { in.Action = ptr("lambda:*") }, "ValidationException", "action"},
		{"a role as principal", func(in *lambda.AddLayerVersionPermissionInput) { in.Principal = ptr(devTarget) }, "ValidationException", "principal"},
		{"a statement id with a dot", func(in *lambda.AddLayerVersionPermissionInput) { in.StatementId = ptr("a.b") }, "ValidationException", "statementId"},
		{"an organisation with an account", func(in *lambda.AddLayerVersionPermissionInput) { in.OrganizationId = ptr("o-abc1234567") }, "InvalidParameterValueException", "OrganizationId"},
		{"the same statement id again", func(in *lambda.AddLayerVersionPermissionInput) { in.StatementId = ptr("there") }, "ResourceConflictException", "The statement id (there) provided already exists"},
		{"a stale revision", func(in *lambda.AddLayerVersionPermissionInput) { in.RevisionId = ptr("stale") }, "PreconditionFailedException", ""},
		{"a version that does not exist", func(in *lambda.AddLayerVersionPermissionInput) { in.VersionNumber = ptr(int64(7)) }, "ResourceNotFoundException", "deps:7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w world) {
				_, version := w.layer("deps", "1")
				if err := w.grant("deps", version, "there", other, ""); err != nil {
					t.Fatal(err)
				}
				in := &lambda.AddLayerVersionPermissionInput{
					LayerName: ptr("deps"), VersionNumber: &version, StatementId: ptr("new"), Principal: ptr(dev), Action: ptr("lambda:GetLayerVersion"),
				}
				test.change(in)
				_, err := w.lambda(tools).AddLayerVersionPermission(w.ctx, in)
				refused(t, err, test.code, test.text)
				if got := w.cloud.LayerVersions(tools, east, "deps")[0].Grants; len(got) != 1 {
					t.Errorf("a refused grant left %v", got)
				}
			})
		})
	}
}

func TestALayerPolicyHasAtMost20Kilobytes(t *testing.T) {
	within(t, func(w world) {
		_, version := w.layer("deps", "1")
		var err error
		n := 0
		for err == nil && n < 1000 {
			err = w.grant("deps", version, fmt.Sprintf("s%03d", n), fmt.Sprintf("%012d", n), "")
			n++
		}
		refused(t, err, "PolicyLengthExceededException", "bigger than the limit (20480)")
		if n < 80 || n > 150 {
			t.Errorf("the limit was met at %d grants", n)
		}
	})
}

func TestGetLayerVersionPolicyIsAsAWSWritesIt(t *testing.T) {
	within(t, func(w world) {
		arn, version := w.layer("deps", "1")
		get := func() (*lambda.GetLayerVersionPolicyOutput, error) {
			return w.lambda(tools).GetLayerVersionPolicy(w.ctx, &lambda.GetLayerVersionPolicyInput{LayerName: ptr("deps"), VersionNumber: &version})
		}
		_, err := get()
		refused(t, err, "ResourceNotFoundException", "No policy is associated with the given resource.")
		for _, g := range [][3]string{{"account", dev, ""}, {"org", "*", "o-abc1234567"}, {"public", "*", ""}} {
			if err := w.grant("deps", version, g[0], g[1], g[2]); err != nil {
				t.Fatal(err)
			}
		}
		want := `{"Version":"2012-10-17","Id":"default","Statement":[` +
			`{"Sid":"account","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + dev + `:root"},"Action":"lambda:GetLayerVersion","Resource":"` + arn + `"},` +
			`{"Sid":"org","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"` + arn + `","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abc1234567"}}},` +
			`{"Sid":"public","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"` + arn + `"}]}`
		if got := *must(get())(t).Policy; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestAFunctionHasAtMostFiveLayersInTheirOrder(t *testing.T) {
	within(t, func(w world) {
		w.function(tools)
		var arns []string
		for _, name := range []string{"f", "e", "d", "c", "b", "a"} {
			arn, _ := w.layer(name, name)
			arns = append(arns, arn)
		}
		refused(t, w.setLayers(tools, arns...), "InvalidParameterValueException", "Cannot reference more than 5 layers")
		if err := w.setLayers(tools, arns[:5]...); err != nil {
			t.Fatal(err)
		}
		if f, _ := w.cloud.Function(tools, east, "orders-api"); !slices.Equal(f.Latest.Layers, arns[:5]) {
			t.Errorf("got %v, want %v", f.Latest.Layers, arns[:5])
		}
	})
}

func TestTwoVersionsOfOneLayerAreRefused(t *testing.T) {
	within(t, func(w world) {
		w.function(tools)
		first, _ := w.layer("deps", "1")
		second, _ := w.layer("deps", "2")
		refused(t, w.setLayers(tools, first, second), "InvalidParameterValueException", "Two different versions of the same layer")
	})
}

func TestCodeAndLayersHaveAtMost250MegabytesUnzipped(t *testing.T) {
	within(t, func(w world) {
		const limit = 262_144_000
		big := *must(w.lambda(tools).PublishLayerVersion(w.ctx, &lambda.PublishLayerVersionInput{
			LayerName: ptr("big"), Content: &types.LayerVersionContentInput{ZipFile: zeros(t, limit-len("v1"))}}))(t).LayerVersionArn
		w.function(tools)
		must(w.updateCode(tools, "v10"))(t)
		w.sleep(time.Minute)
		refused(t, w.setLayers(tools, big), "InvalidParameterValueException",
			"Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 262144001 bytes.")
		must(w.updateCode(tools, "v1"))(t)
		w.sleep(time.Minute)
		if err := w.setLayers(tools, big); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Minute)
		_, err := w.updateCode(tools, "v10")
		refused(t, err, "InvalidParameterValueException", "Function code combined with layers exceeds the maximum allowed size")
	})
}

func TestADeletedOrWithdrawnLayerVersionStaysWhereItIs(t *testing.T) {
	withdraw := map[string]func(w world, version int64) error{
		"deleted": func(w world, version int64) error {
			_, err := w.lambda(tools).DeleteLayerVersion(w.ctx, &lambda.DeleteLayerVersionInput{LayerName: ptr("deps"), VersionNumber: &version})
			return err
		},
		"no longer shared": func(w world, version int64) error {
			_, err := w.lambda(tools).RemoveLayerVersionPermission(w.ctx, &lambda.RemoveLayerVersionPermissionInput{
				LayerName: ptr("deps"), VersionNumber: &version, StatementId: ptr("s")})
			return err
		},
	}
	for name, withdraw := range withdraw {
		t.Run(name, func(t *testing.T) {
			within(t, func(w world) {
				w.function(dev)
				arn, version := w.layer("deps", "1")
				if err := w.grant("deps", version, "s", dev, ""); err != nil {
					t.Fatal(err)
				}
				if err := w.setLayers(dev, arn); err != nil {
					t.Fatal(err)
				}
				w.sleep(time.Minute)
				if err := withdraw(w, version); err != nil {
					t.Fatal(err)
				}
				if err := w.setLayers(dev, arn); err != nil {
					t.Errorf("keeping it: %v", err)
				}
				w.sleep(time.Minute)
				if got := w.get(dev, "").Configuration.Layers; len(got) != 1 || *got[0].Arn != arn {
					t.Errorf("the function has %v", got)
				}
				if err := w.setLayers(dev); err != nil {
					t.Fatal(err)
				}
				w.sleep(time.Minute)
				refused(t, w.setLayers(dev, arn), "AccessDeniedException", arn)
			})
		})
	}
}

func TestALayerVersionOfTheOwnAccountThatDoesNotExist(t *testing.T) {
	within(t, func(w world) {
		w.function(tools)
		arn, _ := w.layer("deps", "1")
		missing := strings.TrimSuffix(arn, "1") + "2"
		refused(t, w.setLayers(tools, missing), "InvalidParameterValueException", "Layer version "+missing+" does not exist.")
		_, err := w.lambda(tools).GetLayerVersion(w.ctx, &lambda.GetLayerVersionInput{LayerName: ptr("deps"), VersionNumber: ptr(int64(2))})
		refused(t, err, "ResourceNotFoundException", "The resource you requested does not exist.")
	})
}
