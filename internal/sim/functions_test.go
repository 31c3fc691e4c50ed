package sim_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/sim"
)

func TestAnUpdateIsInProgressForAWhile(t *testing.T) {
	within(t, func(w world) {
		w.cloud.SetTiming(sim.Timing{Update: 10 * time.Second})
		w.function(dev)
		before := *w.get(dev, "").Configuration.RevisionId
		updated := must(w.updateCode(dev, "v2"))(t)
		if updated.LastUpdateStatus != types.LastUpdateStatusInProgress {
			t.Errorf("got status %q, want InProgress", updated.LastUpdateStatus)
		}
		if *updated.RevisionId == before {
			t.Error("a write did not change the RevisionId")
		}
		w.sleep(9 * time.Second)
		if got := w.get(dev, "").Configuration; got.LastUpdateStatus != types.LastUpdateStatusInProgress || *got.RevisionId != *updated.RevisionId {
			t.Errorf("after 9 s: got %q, revision changed: %v", got.LastUpdateStatus, *got.RevisionId != *updated.RevisionId)
		}
		w.sleep(time.Second)
		got := w.get(dev, "").Configuration
		if got.LastUpdateStatus != types.LastUpdateStatusSuccessful {
			t.Errorf("after 10 s: got %q, want Successful", got.LastUpdateStatus)
		}
		if *got.RevisionId == *updated.RevisionId {
			t.Error("settling did not change the RevisionId")
		}
	})
}

func TestWritesDuringAnUpdateAreConflicts(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		must(w.updateCode(dev, "v2"))(t)
		_, err := w.updateCode(dev, "v3")
		refused(t, err, "ResourceConflictException", "An update is in progress for resource: arn:aws:lambda:us-east-1:"+dev+":function:orders-api")
		refused(t, w.setLayers(dev), "ResourceConflictException", "in progress")
		_, err = w.lambda(dev).PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: ptr("orders-api")})
		refused(t, err, "ResourceConflictException", "in progress")
	})
}

func TestANewFunctionIsPendingForAWhile(t *testing.T) {
	within(t, func(w world) {
		w.cloud.SetTiming(sim.Timing{Create: time.Second})
		w.function(dev)
		_, err := w.updateCode(dev, "v2")
		refused(t, err, "ResourceConflictException", "in the following state: Pending")
		w.sleep(time.Second)
		if got := w.get(dev, "").Configuration.State; got != types.StateActive {
			t.Errorf("got state %q, want Active", got)
		}
	})
}

func TestAnUpdateThatFails(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.cloud.OnSettle(func(u sim.Update) *sim.Failure {
			if u != (sim.Update{Account: dev, Region: east, Function: "orders-api", Version: "$LATEST", Action: "UpdateFunctionCode"}) {
				t.Errorf("asked about %+v", u)
			}
			return &sim.Failure{Code: types.LastUpdateStatusReasonCodeInternalError, Reason: "a bad day"}
		})
		must(w.updateCode(dev, "v2"))(t)
		w.sleep(time.Minute)
		got := w.get(dev, "").Configuration
		if got.LastUpdateStatus != types.LastUpdateStatusFailed || got.LastUpdateStatusReasonCode != types.LastUpdateStatusReasonCodeInternalError || *got.LastUpdateStatusReason != "a bad day" {
			t.Errorf("got %q, %q, %q", got.LastUpdateStatus, got.LastUpdateStatusReasonCode, *got.LastUpdateStatusReason)
		}
		if code := w.runs(dev, ""); code != "v1" {
			t.Errorf("after a failed update the function runs %q, want v1", code)
		}
		w.cloud.OnSettle(nil)
		must(w.updateCode(dev, "v3"))(t)
		w.sleep(time.Minute)
		if code := w.runs(dev, ""); code != "v3" {
			t.Errorf("repaired, the function runs %q, want v3", code)
		}
	})
}

// runs is the content of app.py in whatever answers an invocation.
func (w world) runs(account, qualifier string) string {
	w.Helper()
	var code string
	w.cloud.OnInvoke(func(i sim.Invocation) sim.InvokeResult {
		content, err := i.Code.ReadFile("app.py")
		if err != nil {
			w.Error(err)
		}
		code = string(content)
		return sim.InvokeResult{}
	})
	in := &lambda.InvokeInput{FunctionName: ptr("orders-api")}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	if _, err := w.lambda(account).Invoke(w.ctx, in); err != nil {
		w.Fatal(err)
	}
	return code
}

func TestCallersOfLatestGetTheOldCodeUntilTheUpdateSettles(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		must(w.updateCode(dev, "v2"))(t)
		if got := w.runs(dev, ""); got != "v1" {
			t.Errorf("during the update: got %q, want v1", got)
		}
		w.sleep(time.Minute)
		if got := w.runs(dev, ""); got != "v2" {
			t.Errorf("after the update: got %q, want v2", got)
		}
	})
}

func TestARevisionThatIsNotThePresentOneIsRefused(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		stale := ptr("00000000-0000-0000-0000-000000000000")
		calls := map[string]func(revision *string) error{
			"UpdateFunctionCode": func(revision *string) error {
				_, err := w.lambda(dev).UpdateFunctionCode(w.ctx, &lambda.UpdateFunctionCodeInput{
					FunctionName: ptr("orders-api"), ZipFile: zipOf(t, nil), RevisionId: revision})
				return err
			},
			"UpdateFunctionConfiguration": func(revision *string) error {
				_, err := w.lambda(dev).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
					FunctionName: ptr("orders-api"), RevisionId: revision})
				return err
			},
			"PublishVersion": func(revision *string) error {
				_, err := w.lambda(dev).PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: ptr("orders-api"), RevisionId: revision})
				return err
			},
		}
		for name, call := range calls {
			w.run(name, func(w world) {
				err := call(stale)
				refused(w, err, "PreconditionFailedException", "Revision Id")
				if got := statusOf(err); got != http.StatusPreconditionFailed {
					w.Errorf("got status %d, want 412", got)
				}
				if err := call(w.get(dev, "").Configuration.RevisionId); err != nil {
					w.Errorf("with the present revision: %v", err)
				}
				w.sleep(time.Minute)
			})
		}
	})
}

func TestUpdateFunctionConfigurationChangesOnlyWhatIsSet(t *testing.T) {
	within(t, func(w world) {
		w.create(dev, func(in *lambda.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"A": "1", "B": "2"}}
			in.MemorySize = ptr(int32(512))
			in.Tags = map[string]string{"team": "orders"}
		})
		must(w.lambda(dev).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: ptr("orders-api"), Timeout: ptr(int32(30)),
			Environment: &types.Environment{Variables: map[string]string{"B": "3"}},
		}))(t)
		got := w.get(dev, "")
		if *got.Configuration.Timeout != 30 || *got.Configuration.MemorySize != 512 || *got.Configuration.Handler != "app.handler" || got.Tags["team"] != "orders" {
			t.Errorf("got timeout %d, memory %d, handler %q, tags %v", *got.Configuration.Timeout, *got.Configuration.MemorySize, *got.Configuration.Handler, got.Tags)
		}
		if env := got.Configuration.Environment.Variables; !maps.Equal(env, map[string]string{"B": "3"}) {
			t.Errorf("got environment %v, want B alone: Environment replaces all variables", env)
		}
	})
}

func TestCodeIsRefused(t *testing.T) {
	within(t, func(w world) {
		w.bucket(tools, east, "east")
		w.bucket(tools, west, "west")
		w.put(tools, "east", "code.zip", string(zipOf(t, map[string]string{"app.py": "s3"})))
		if _, err := w.cloud.Root(tools).S3(west).PutObject(w.ctx, &s3.PutObjectInput{Bucket: ptr("west"), Key: ptr("code.zip"), Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
		w.function(tools)
		tests := []struct {
			name       string
			in         lambda.UpdateFunctionCodeInput
			code, text string
		}{
			{"a bucket in another region", lambda.UpdateFunctionCodeInput{S3Bucket: ptr("west"), S3Key: ptr("code.zip")},
				"InvalidParameterValueException", "S3 Error Code: PermanentRedirect. S3 Error Message: The bucket is in this region: eu-west-1"},
			{"a missing key", lambda.UpdateFunctionCodeInput{S3Bucket: ptr("east"), S3Key: ptr("none.zip")},
				"InvalidParameterValueException", "S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."},
			{"a missing version", lambda.UpdateFunctionCodeInput{S3Bucket: ptr("east"), S3Key: ptr("code.zip"), S3ObjectVersion: ptr("none")},
				"InvalidParameterValueException", "S3 Error Code: NoSuchVersion"},
			{"a missing bucket", lambda.UpdateFunctionCodeInput{S3Bucket: ptr("nowhere"), S3Key: ptr("code.zip")},
				"InvalidParameterValueException", "S3 Error Code: NoSuchBucket"},
			{"bytes that are no zip", lambda.UpdateFunctionCodeInput{ZipFile: []byte("no zip")}, "InvalidParameterValueException", "Could not unzip"},
			{"more than 250 MB unzipped", lambda.UpdateFunctionCodeInput{ZipFile: zeros(t, 262_144_001)},
				"InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"},
			{"an image for a zip function", lambda.UpdateFunctionCodeInput{ImageUri: ptr("x")}, "InvalidParameterValueException", "ImageUri"},
			{"no code at all", lambda.UpdateFunctionCodeInput{}, "InvalidParameterValueException", "source"},
		}
		for _, test := range tests {
			w.run(test.name, func(w world) {
				test.in.FunctionName = ptr("orders-api")
				_, err := w.lambda(tools).UpdateFunctionCode(w.ctx, &test.in)
				refused(w, err, test.code, test.text)
				if got := w.get(tools, "").Configuration.LastUpdateStatus; got != types.LastUpdateStatusSuccessful {
					w.Errorf("a refused update left the function %s", got)
				}
			})
		}
	})
}

func TestCodeFromABucketOfAnotherAccountNeedsBothSides(t *testing.T) {
	within(t, func(w world) {
		grant := `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"` + devTarget + `"},"Action":"s3:GetObjectVersion","Resource":"arn:aws:s3:::shared/*"}]}`
		if err := w.cloud.CreateBucket(tools, east, "shared", sim.BucketOptions{Versioned: true, Policy: grant}); err != nil {
			t.Fatal(err)
		}
		version := w.put(tools, "shared", "code.zip", string(zipOf(t, map[string]string{"app.py": "s3"})))
		w.function(dev)
		update := func(caller *sim.Session) error {
			_, err := caller.Lambda(east).UpdateFunctionCode(w.ctx, &lambda.UpdateFunctionCodeInput{
				FunctionName: ptr("orders-api"), S3Bucket: ptr("shared"), S3Key: ptr("code.zip"), S3ObjectVersion: &version,
			})
			return err
		}
		const denied = "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for shared/code.zip"
		refused(t, update(w.role(dev, "target", allow("*", "lambda:*"))), "AccessDeniedException", denied)
		refused(t, update(w.role(dev, "stranger", allow("*", "lambda:*", "s3:*"))), "AccessDeniedException", denied)
		if err := update(w.role(dev, "target", allow("*", "lambda:*", "s3:GetObjectVersion"))); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Minute)
		if got := w.runs(dev, ""); got != "s3" {
			t.Errorf("the function runs %q, want s3", got)
		}
	})
}

func TestCodeIsFetchedFromItsLocationForTenMinutes(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		location := *w.get(dev, "").Code.Location
		fetch := func(address string) (int, string) {
			response := must(w.cloud.HTTP().Get(address))(t)
			body := must(io.ReadAll(response.Body))(t)
			_ = response.Body.Close()
			return response.StatusCode, string(body)
		}
		want := string(zipOf(t, map[string]string{"app.py": "v1"}))
		if status, body := fetch(location); status != http.StatusOK || body != want {
			t.Errorf("got status %d and %d bytes, want the zip", status, len(body))
		}
		if status, _ := fetch(strings.Replace(location, "X-Amz-Signature=", "X-Amz-Signature=0", 1)); status != http.StatusForbidden {
			t.Errorf("with a wrong signature: got %d, want 403", status)
		}
		w.sleep(10 * time.Minute)
		if status, _ := fetch(location); status != http.StatusForbidden {
			t.Errorf("after ten minutes: got %d, want 403", status)
		}
		if _, err := w.cloud.HTTP().Get("https://example.com/"); err == nil {
			t.Error("the cloud's client reached another host")
		}
	})
}

func TestAnImageFunctionHasNeitherZipNorLayers(t *testing.T) {
	within(t, func(w world) {
		w.create(dev, func(in *lambda.CreateFunctionInput) {
			in.PackageType, in.Runtime, in.Handler = types.PackageTypeImage, "", nil
			in.Code = &types.FunctionCode{ImageUri: ptr("registry.invalid/orders:1")}
		})
		got := w.get(dev, "")
		if got.Configuration.PackageType != types.PackageTypeImage || *got.Code.ImageUri != "registry.invalid/orders:1" || got.Code.Location != nil {
			t.Errorf("got package type %q and code %+v", got.Configuration.PackageType, got.Code)
		}
		_, err := w.updateCode(dev, "v2")
		refused(t, err, "InvalidParameterValueException", "packageType Image")
		refused(t, w.setLayers(dev, "arn:aws:lambda:us-east-1:"+tools+":layer:deps:1"), "InvalidParameterValueException", "packageType Image")
	})
}

func TestEnvironmentOverFourKilobytesIsRefusedAndRepeated(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		_, err := w.lambda(dev).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: ptr("orders-api"), Environment: &types.Environment{Variables: map[string]string{"KEY": strings.Repeat("x", 4096)}},
		})
		refused(t, err, "InvalidParameterValueException", `exceeded the 4KB limit. String measured: {"KEY":"xxx`)
	})
}

func TestRoleIsPassedOnlyByPermission(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		caller := w.role(dev, "target", allow("*", "lambda:*"))
		_, err := caller.Lambda(east).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: ptr("orders-api"), Role: ptr(sim.RoleARN(dev, "admin")),
		})
		refused(t, err, "AccessDeniedException", "iam:PassRole on resource: "+sim.RoleARN(dev, "admin"))
	})
}

func TestFunctionsAreNamedInFourWays(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		arn := "arn:aws:lambda:us-east-1:" + dev + ":function:orders-api"
		for _, name := range []string{"orders-api", "orders-api:$LATEST", dev + ":function:orders-api", arn, arn + ":$LATEST"} {
			if _, err := w.lambda(dev).GetFunction(w.ctx, &lambda.GetFunctionInput{FunctionName: &name}); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		tests := []struct{ name, code string }{
			{"other", "ResourceNotFoundException"},
			{strings.Replace(arn, east, west, 1), "ResourceNotFoundException"},
			{strings.Replace(arn, dev, other, 1), "AccessDeniedException"},
			{arn + ":7", "ResourceNotFoundException"},
		}
		for _, test := range tests {
			_, err := w.lambda(dev).GetFunction(w.ctx, &lambda.GetFunctionInput{FunctionName: &test.name})
			refused(t, err, test.code, "")
		}
	})
}

func TestAFunctionOfAnotherAccountIsOutOfReach(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		arn := "arn:aws:lambda:us-east-1:" + dev + ":function:orders-api"
		_, err := w.lambda(other).PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: &arn})
		refused(t, err, "AccessDeniedException", "lambda:PublishVersion on resource: "+arn+" because no resource-based policy allows")
	})
}

func TestNewFunctionsAreChecked(t *testing.T) {
	tests := []struct {
		name   string
		change func(*lambda.CreateFunctionInput)
		code   string
	}{
		{"its name is taken", func(in *lambda.CreateFunctionInput) { in.FunctionName = ptr("orders-api") }, "ResourceConflictException"},
		{"no role", func(in *lambda.CreateFunctionInput) { in.Role = nil }, "ValidationException"},
		{"a zip without a runtime", func(in *lambda.CreateFunctionInput) { in.Runtime = "" }, "InvalidParameterValueException"},
		{"an image with a handler", func(in *lambda.CreateFunctionInput) {
			in.PackageType, in.Runtime, in.Code = types.PackageTypeImage, "", &types.FunctionCode{ImageUri: ptr("x")}
		}, "InvalidParameterValueException"},
		{"a role of another account", func(in *lambda.CreateFunctionInput) { in.Role = ptr(sim.RoleARN(other, "orders")) }, "AccessDeniedException"},
		{"a zip of 50 MB in the request", func(in *lambda.CreateFunctionInput) { in.Code = &types.FunctionCode{ZipFile: make([]byte, 50<<20+1)} }, "RequestEntityTooLargeException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(w world) {
				w.function(dev)
				in := &lambda.CreateFunctionInput{
					FunctionName: ptr("new"), Role: ptr(sim.RoleARN(dev, "orders")), Runtime: types.RuntimePython313, Handler: ptr("a.b"),
					Code: &types.FunctionCode{ZipFile: zipOf(t, nil)},
				}
				test.change(in)
				_, err := w.lambda(dev).CreateFunction(w.ctx, in)
				refused(t, err, test.code, "")
				if got := w.cloud.Functions(dev, east); len(got) != 1 {
					t.Errorf("a refused function is there: %v", got)
				}
			})
		})
	}
}

func TestTheStateOfAFunctionIsACopy(t *testing.T) {
	within(t, func(w world) {
		w.create(dev, func(in *lambda.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"A": "1"}}
		})
		w.release(dev, "v2")
		f, ok := w.cloud.Function(dev, east, "orders-api")
		if _, exists := w.cloud.Function(dev, west, "orders-api"); !ok || exists {
			t.Errorf("found in %s: %v, in %s: %v", east, ok, west, exists)
		}
		files := must(f.Latest.Code.Files())(t)
		if len(files) != 1 || string(files["app.py"]) != "v2" || f.Latest.CodeSha256 != f.Latest.Code.CodeSha256() {
			t.Errorf("got files %q and hash %q", files, f.Latest.CodeSha256)
		}
		if v, ok := f.Version("1"); !ok || v.Environment["A"] != "1" {
			t.Errorf("got version 1 %v, %v", ok, v.Environment)
		}
		if _, ok := f.Version("2"); ok {
			t.Error("there is a version 2")
		}
		f.Latest.Environment["A"] = "changed"
		if got := w.get(dev, "").Configuration.Environment.Variables["A"]; got != "1" {
			t.Errorf("changing the copy changed the function: %q", got)
		}
	})
}
