package sim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/sim"
)

func routing(weights map[string]float64) *types.AliasRoutingConfiguration {
	if weights == nil {
		return nil
	}
	return &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
}

func (w world) alias(account, name, version string, weights map[string]float64) {
	w.Helper()
	if _, err := w.lambda(account).CreateAlias(w.ctx, &lambda.CreateAliasInput{
		FunctionName: ptr("orders-api"), Name: &name, FunctionVersion: &version, RoutingConfig: routing(weights),
	}); err != nil {
		w.Fatal(err)
	}
}

func TestAliasRoutingRules(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.release(dev, "v1")
		w.release(dev, "v2")
		must(w.lambda(dev).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: ptr("orders-api"), Role: ptr(sim.RoleARN(dev, "next"))}))(t)
		w.sleep(time.Minute)
		w.release(dev, "v3")
		must(w.lambda(dev).UpdateFunctionConfiguration(w.ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: ptr("orders-api"), DeadLetterConfig: &types.DeadLetterConfig{TargetArn: ptr("arn:aws:sqs:us-east-1:" + dev + ":dead")}}))(t)
		w.sleep(time.Minute)
		w.release(dev, "v4")

		tests := []struct {
			name, version string
			weights       map[string]float64
			code, text    string
		}{
			{"a version that does not exist", "9", nil, "ResourceNotFoundException", "function:orders-api:9"},
			{"an additional version that does not exist", "1", map[string]float64{"9": 0.1}, "ResourceNotFoundException", "function:orders-api:9"},
			{"two additional versions", "1", map[string]float64{"2": 0.1, "3": 0.1}, "InvalidParameterValueException", "cannot be greater than 1"},
			{"a weight over 1", "1", map[string]float64{"2": 1.1}, "ValidationException", "less than or equal to 1.0"},
			{"a weight under 0", "1", map[string]float64{"2": -0.1}, "ValidationException", "greater than or equal to 0.0"},
			{"weights with $LATEST as the main version", "$LATEST", map[string]float64{"2": 0.1}, "InvalidParameterValueException", "$LATEST is not supported"},
			{"weights with $LATEST as the additional version", "1", map[string]float64{"$LATEST": 0.1}, "InvalidParameterValueException", "$LATEST is not supported"},
			{"the same version twice", "1", map[string]float64{"1": 0.1}, "InvalidParameterValueException", "already included"},
			{"versions with two execution roles", "2", map[string]float64{"3": 0.1}, "InvalidParameterValueException", "same execution role"},
			{"versions with two dead-letter queues", "3", map[string]float64{"4": 0.1}, "InvalidParameterValueException", "same dead-letter queue"},
			{"$LATEST alone is allowed", "$LATEST", nil, "", ""},
			{"two versions alike are allowed", "1", map[string]float64{"2": 1}, "", ""},
		}
		w.alias(dev, "live", "1", nil)
		for i, test := range tests {
			w.run(test.name, func(w world) {
				_, created := w.lambda(dev).CreateAlias(w.ctx, &lambda.CreateAliasInput{
					FunctionName: ptr("orders-api"), Name: ptr(string(rune('a' + i))), FunctionVersion: &test.version, RoutingConfig: routing(test.weights)})
				_, updated := w.lambda(dev).UpdateAlias(w.ctx, &lambda.UpdateAliasInput{
					FunctionName: ptr("orders-api"), Name: ptr("live"), FunctionVersion: &test.version, RoutingConfig: routing(test.weights)})
				for _, err := range []error{created, updated} {
					if test.code != "" {
						refused(w, err, test.code, test.text)
					} else if err != nil {
						w.Error(err)
					}
				}
			})
		}
	})
}

func TestUpdateAlias(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.release(dev, "v1")
		w.release(dev, "v2")
		w.alias(dev, "live", "1", map[string]float64{"2": 0.1})
		update := func(in lambda.UpdateAliasInput) (*lambda.UpdateAliasOutput, error) {
			in.FunctionName, in.Name = ptr("orders-api"), ptr("live")
			return w.lambda(dev).UpdateAlias(w.ctx, &in)
		}
		w.run("without RoutingConfig keeps the weights", func(w world) {
			out := must(update(lambda.UpdateAliasInput{Description: ptr("x")}))(w)
			if out.RoutingConfig == nil || out.RoutingConfig.AdditionalVersionWeights["2"] != 0.1 {
				w.Errorf("got %+v", out.RoutingConfig)
			}
			_, err := update(lambda.UpdateAliasInput{FunctionVersion: ptr("2")})
			refused(w, err, "InvalidParameterValueException", "already included")
		})
		w.run("with an empty RoutingConfig clears them", func(w world) {
			out := must(update(lambda.UpdateAliasInput{FunctionVersion: ptr("2"), RoutingConfig: routing(map[string]float64{})}))(w)
			if out.RoutingConfig != nil || *out.FunctionVersion != "2" {
				w.Errorf("got version %s with %+v", *out.FunctionVersion, out.RoutingConfig)
			}
		})
		w.run("changes the RevisionId and refuses another than the present", func(w world) {
			before := must(w.lambda(dev).GetAlias(w.ctx, &lambda.GetAliasInput{FunctionName: ptr("orders-api"), Name: ptr("live")}))(w)
			after := must(update(lambda.UpdateAliasInput{RevisionId: before.RevisionId}))(w)
			if *after.RevisionId == *before.RevisionId {
				w.Error("the RevisionId did not change")
			}
			_, err := update(lambda.UpdateAliasInput{RevisionId: before.RevisionId})
			refused(w, err, "PreconditionFailedException", "")
		})
	})
}

func TestCreateAlias(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.alias(dev, "live", "$LATEST", nil)
		tests := []struct{ name, alias, code string }{
			{"twice", "live", "ResourceConflictException"},
			{"with a number for a name", "7", "ValidationException"},
			{"with a space in its name", "a b", "ValidationException"},
		}
		for _, test := range tests {
			w.run(test.name, func(w world) {
				_, err := w.lambda(dev).CreateAlias(w.ctx, &lambda.CreateAliasInput{FunctionName: ptr("orders-api"), Name: &test.alias, FunctionVersion: ptr("$LATEST")})
				refused(w, err, test.code, "")
			})
		}
		_, err := w.lambda(dev).GetAlias(w.ctx, &lambda.GetAliasInput{FunctionName: ptr("orders-api"), Name: ptr("none")})
		refused(t, err, "ResourceNotFoundException", "Cannot find alias arn")
	})
}

func TestListAndDeleteAliases(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.release(dev, "v1")
		w.release(dev, "v2")
		w.alias(dev, "blue", "1", nil)
		w.alias(dev, "live", "1", map[string]float64{"2": 0.5})
		names := func(version *string) (got []string) {
			for _, a := range must(w.lambda(dev).ListAliases(w.ctx, &lambda.ListAliasesInput{FunctionName: ptr("orders-api"), FunctionVersion: version}))(t).Aliases {
				got = append(got, *a.Name)
			}
			return got
		}
		if got := names(nil); len(got) != 2 || got[0] != "blue" || got[1] != "live" {
			t.Errorf("got %v, want blue and live", got)
		}
		if got := names(ptr("2")); len(got) != 1 || got[0] != "live" {
			t.Errorf("of version 2: got %v, want live", got)
		}
		for range 2 {
			must(w.lambda(dev).DeleteAlias(w.ctx, &lambda.DeleteAliasInput{FunctionName: ptr("orders-api"), Name: ptr("live")}))(t)
		}
		if got := names(nil); len(got) != 1 {
			t.Errorf("after deleting live: got %v", got)
		}
	})
}

func TestAWeightedAliasSharesItsInvocations(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.release(dev, "v1")
		w.release(dev, "v2")
		w.alias(dev, "live", "1", map[string]float64{"2": 0.25})
		for range 1000 {
			must(w.lambda(dev).Invoke(w.ctx, &lambda.InvokeInput{FunctionName: ptr("orders-api"), Qualifier: ptr("live")}))(t)
		}
		f, _ := w.cloud.Function(dev, east, "orders-api")
		got := f.Aliases["live"].Invocations
		if got["1"]+got["2"] != 1000 || got["2"] < 200 || got["2"] > 300 {
			t.Errorf("got invocations %v, want about 250 of 1000 for version 2", got)
		}
		if v, _ := f.Version("2"); v.Invocations != got["2"] {
			t.Errorf("version 2 counts %d, its alias %d", v.Invocations, got["2"])
		}
	})
}

func TestProvisionedConcurrency(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		w.release(dev, "v1")
		w.release(dev, "v2")
		w.alias(dev, "live", "1", nil)
		w.alias(dev, "split", "1", map[string]float64{"2": 0.5})
		put := func(qualifier string) error {
			_, err := w.lambda(dev).PutProvisionedConcurrencyConfig(w.ctx, &lambda.PutProvisionedConcurrencyConfigInput{
				FunctionName: ptr("orders-api"), Qualifier: &qualifier, ProvisionedConcurrentExecutions: ptr(int32(5))})
			return err
		}
		get := func() (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
			return w.lambda(dev).GetProvisionedConcurrencyConfig(w.ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: ptr("orders-api"), Qualifier: ptr("live")})
		}
		_, err := get()
		refused(t, err, "ProvisionedConcurrencyConfigNotFoundException", "")
		refused(t, put("$LATEST"), "InvalidParameterValueException", "unpublished")
		refused(t, put("split"), "InvalidParameterValueException", "Alias with weights")
		if err := put("live"); err != nil {
			t.Fatal(err)
		}
		w.run("is in progress, then ready", func(w world) {
			if got := must(get())(w); got.Status != types.ProvisionedConcurrencyStatusEnumInProgress || *got.AvailableProvisionedConcurrentExecutions != 0 {
				w.Errorf("got %s", got.Status)
			}
			w.sleep(30 * time.Second)
			if got := must(get())(w); got.Status != types.ProvisionedConcurrencyStatusEnumReady || *got.AvailableProvisionedConcurrentExecutions != 5 {
				w.Errorf("after 30 s: got %s", got.Status)
			}
		})
		w.run("begins again when the alias moves", func(w world) {
			must(w.lambda(dev).UpdateAlias(w.ctx, &lambda.UpdateAliasInput{FunctionName: ptr("orders-api"), Name: ptr("live"), FunctionVersion: ptr("2")}))(w)
			if got := must(get())(w); got.Status != types.ProvisionedConcurrencyStatusEnumInProgress {
				w.Errorf("got %s", got.Status)
			}
		})
	})
}
