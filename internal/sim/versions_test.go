package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/sim"
)

func (w world) publish(account string) (*lambda.PublishVersionOutput, error) {
	return w.lambda(account).PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: ptr("orders-api")})
}

func TestPublishVersion(t *testing.T) {
	within(t, func(w world) {
		w.cloud.SetTiming(sim.Timing{Publish: 3 * time.Second})
		w.function(dev)
		first := must(w.publish(dev))(t)

		w.run("makes a version that is Pending, then Active", func(w world) {
			if *first.Version != "1" || first.State != types.StatePending {
				w.Errorf("got version %s in state %s, want 1 Pending", *first.Version, first.State)
			}
			_, err := w.lambda(dev).Invoke(w.ctx, &lambda.InvokeInput{FunctionName: ptr("orders-api"), Qualifier: ptr("1")})
			refused(w, err, "ResourceConflictException", "Pending")
			w.sleep(3 * time.Second)
			if got := w.get(dev, "1").Configuration.State; got != types.StateActive {
				w.Errorf("after 3 s: got %s, want Active", got)
			}
		})
		w.run("answers the last version when nothing changed", func(w world) {
			if again := must(w.publish(dev))(w); *again.Version != "1" {
				w.Errorf("got version %s, want 1", *again.Version)
			}
		})
		w.run("makes a new version when only the configuration changed", func(w world) {
			must(w.lambda(dev).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: ptr("orders-api"), Timeout: ptr(int32(9))}))(w)
			w.sleep(time.Second)
			if second := must(w.publish(dev))(w); *second.Version != "2" || *second.Timeout != 9 {
				w.Errorf("got version %s with timeout %d, want 2 with 9", *second.Version, *second.Timeout)
			}
			if got := *w.get(dev, "1").Configuration.Timeout; got != 3 {
				w.Errorf("version 1 has timeout %d now, want 3", got)
			}
		})
		w.run("refuses another CodeSha256 than that of $LATEST", func(w world) {
			_, err := w.lambda(dev).PublishVersion(w.ctx, &lambda.PublishVersionInput{FunctionName: ptr("orders-api"), CodeSha256: ptr("other")})
			refused(w, err, "InvalidParameterValueException", "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST")
		})
	})
}

func TestPublishOnTheCodeUpdateFreezesTheOldLayers(t *testing.T) {
	within(t, func(w world) {
		w.function(tools)
		arn, _ := w.layer("deps", "1")
		out := must(w.lambda(tools).UpdateFunctionCode(w.ctx, &lambda.UpdateFunctionCodeInput{
			FunctionName: ptr("orders-api"), ZipFile: zipOf(t, map[string]string{"app.py": "v2"}), Publish: true}))(t)
		w.sleep(time.Minute)
		if err := w.setLayers(tools, arn); err != nil {
			t.Fatal(err)
		}
		f, _ := w.cloud.Function(tools, east, "orders-api")
		version, ok := f.Version(*out.Version)
		if !ok || len(version.Layers) != 0 || !slices.Equal(f.Latest.Layers, []string{arn}) {
			t.Errorf("got layers %v in version %s and %v in $LATEST", version.Layers, *out.Version, f.Latest.Layers)
		}
	})
}

func TestAVersionOfAFailedUpdateFails(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.cloud.OnSettle(func(u sim.Update) *sim.Failure {
			if u.Action != "UpdateFunctionCode" {
				return nil
			}
			return &sim.Failure{Code: types.LastUpdateStatusReasonCodeInternalError, Reason: "a bad day"}
		})
		if got := w.release(dev, "v2"); got != "1" {
			t.Fatalf("got version %s, want 1", got)
		}
		if got := w.get(dev, "1").Configuration; got.State != types.StateFailed || *got.StateReason != "a bad day" {
			t.Errorf("got state %s, want Failed", got.State)
		}
	})
}

func TestListVersionsByFunction(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		for _, code := range []string{"v2", "v3", "v4"} {
			w.release(dev, code)
		}
		var names []string
		in := &lambda.ListVersionsByFunctionInput{FunctionName: ptr("orders-api"), MaxItems: ptr(int32(3))}
		pages := lambda.NewListVersionsByFunctionPaginator(w.lambda(dev), in)
		count := 0
		for pages.HasMorePages() {
			out := must(pages.NextPage(w.ctx))(t)
			count++
			for _, v := range out.Versions {
				names = append(names, *v.Version)
				if v.State != "" {
					t.Errorf("version %s is listed with its state, which only GetFunction tells", *v.Version)
				}
			}
		}
		if got := strings.Join(names, " "); got != "$LATEST 1 2 3" || count != 2 {
			t.Errorf("got %q in %d pages", got, count)
		}
	})
}

func TestDeleteFunctionVersion(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		for _, code := range []string{"v1", "v2", "v3"} {
			w.release(dev, code)
		}
		w.alias(dev, "live", "1", map[string]float64{"2": 0.1})
		remove := func(qualifier string) error {
			_, err := w.lambda(dev).DeleteFunction(w.ctx, &lambda.DeleteFunctionInput{FunctionName: ptr("orders-api"), Qualifier: &qualifier})
			return err
		}
		refused(t, remove("1"), "ResourceConflictException", "[live]")
		refused(t, remove("2"), "ResourceConflictException", "[live]")
		refused(t, remove("$LATEST"), "InvalidParameterValueException", "$LATEST")
		refused(t, remove("9"), "ResourceNotFoundException", "")
		if err := remove("3"); err != nil {
			t.Fatal(err)
		}
		if got := w.release(dev, "v4"); got != "4" {
			t.Errorf("the next version is %s, want 4: numbers are not used twice", got)
		}
	})
}

func TestInvoke(t *testing.T) {
	within(t, func(w world) {
		layer, _ := w.layer("deps", "layered")
		w.function(tools)
		if err := w.setLayers(tools, layer); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Minute)
		invoke := func(in lambda.InvokeInput) *lambda.InvokeOutput {
			in.FunctionName = ptr("orders-api")
			return must(w.lambda(tools).Invoke(w.ctx, &in))(t)
		}

		w.run("answers 200 without a hook", func(w world) {
			if got := string(invoke(lambda.InvokeInput{}).Payload); got != `{"statusCode":200}` {
				w.Errorf("got %s", got)
			}
		})
		w.run("shows the hook what runs and tells what it answers", func(w world) {
			w.cloud.OnInvoke(func(i sim.Invocation) sim.InvokeResult {
				content, err := i.Layers[0].ReadFile("python/deps.py")
				if err != nil || string(content) != "layered" || i.Layers[0].ARN != layer || i.Version != "$LATEST" || string(i.Payload) != `{"ping":1}` {
					w.Errorf("the hook got %+v, layer content %q, %v", i, content, err)
				}
				return sim.InvokeResult{Payload: []byte(`{"errorMessage":"no"}`), FunctionError: "Unhandled", Log: "a line"}
			})
			out := invoke(lambda.InvokeInput{Payload: []byte(`{"ping":1}`), LogType: types.LogTypeTail})
			if out.StatusCode != 200 || *out.FunctionError != "Unhandled" || *out.LogResult != "YSBsaW5l" || *out.ExecutedVersion != "$LATEST" {
				w.Errorf("got %+v", out)
			}
		})
		w.run("of another type only accepts", func(w world) {
			w.cloud.OnInvoke(nil)
			if got := invoke(lambda.InvokeInput{InvocationType: types.InvocationTypeEvent}); got.StatusCode != 202 || got.Payload != nil {
				w.Errorf("got %+v", got)
			}
			if got := invoke(lambda.InvokeInput{InvocationType: types.InvocationTypeDryRun}); got.StatusCode != 204 {
				w.Errorf("got %+v", got)
			}
		})
		w.run("refuses what is no JSON and what is over 6 MB", func(w world) {
			_, err := w.lambda(tools).Invoke(w.ctx, &lambda.InvokeInput{FunctionName: ptr("orders-api"), Payload: []byte("{")})
			refused(w, err, "InvalidRequestContentException", "")
			_, err = w.lambda(tools).Invoke(w.ctx, &lambda.InvokeInput{FunctionName: ptr("orders-api"), Payload: make([]byte, 6<<20+1)})
			refused(w, err, "RequestTooLargeException", "")
		})
	})
}
