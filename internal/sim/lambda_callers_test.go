package sim_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestListFunctions(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		must(w.publish(dev))(t)

		w.run("lists $LATEST alone unless all versions are asked for", func(w world) {
			out := must(w.lambda(dev).ListFunctions(w.ctx, &lambda.ListFunctionsInput{}))(w)
			if len(out.Functions) != 1 || *out.Functions[0].Version != "$LATEST" {
				w.Errorf("got %d functions, want $LATEST of one", len(out.Functions))
			}
			out = must(w.lambda(dev).ListFunctions(w.ctx, &lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll}))(w)
			if len(out.Functions) != 2 || *out.Functions[1].Version != "1" || out.Functions[1].State != "" {
				w.Errorf("got %d versions, want $LATEST and 1 without their states", len(out.Functions))
			}
		})
		w.run("goes on from a marker", func(w world) {
			in := &lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll, MaxItems: ptr(int32(1))}
			first := must(w.lambda(dev).ListFunctions(w.ctx, in))(w)
			in.Marker = first.NextMarker
			if rest := must(w.lambda(dev).ListFunctions(w.ctx, in))(w); *rest.Functions[0].Version != "1" || rest.NextMarker != nil {
				w.Errorf("got version %s and another marker %v, want 1 and the end", *rest.Functions[0].Version, rest.NextMarker)
			}
		})
		w.run("has no resource that a policy could name", func(w world) {
			narrow := w.role(dev, "narrow", allow("arn:aws:lambda:*:*:function:*", "lambda:ListFunctions")).Lambda(east)
			_, err := narrow.ListFunctions(w.ctx, &lambda.ListFunctionsInput{})
			refused(w, err, "AccessDeniedException", "lambda:ListFunctions")
		})
	})
}

func TestCallersOfAVersion(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		must(w.publish(dev))(t)
		api, name := w.lambda(dev), ptr("orders-api")

		w.run("a version's policy is not the function's", func(w world) {
			must(api.AddPermission(w.ctx, &lambda.AddPermissionInput{
				FunctionName: name, Qualifier: ptr("1"), StatementId: ptr("edge"), Action: ptr("lambda:InvokeFunction"), Principal: ptr("events.amazonaws.com"),
			}))(w)
			must(api.GetPolicy(w.ctx, &lambda.GetPolicyInput{FunctionName: name, Qualifier: ptr("1")}))(w)
			_, err := api.GetPolicy(w.ctx, &lambda.GetPolicyInput{FunctionName: name})
			refused(w, err, "ResourceNotFoundException", "does not exist")
		})
		w.run("$LATEST takes no policy", func(w world) {
			_, err := api.AddPermission(w.ctx, &lambda.AddPermissionInput{FunctionName: name, Qualifier: ptr("$LATEST")})
			refused(w, err, "InvalidParameterValueException", "$LATEST")
		})
		w.run("asynchronous invocations are configured by qualifier", func(w world) {
			must(api.PutFunctionEventInvokeConfig(w.ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: name, Qualifier: ptr("1")}))(w)
			must(api.GetFunctionEventInvokeConfig(w.ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: name, Qualifier: ptr("1")}))(w)
			_, err := api.GetFunctionEventInvokeConfig(w.ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: name})
			refused(w, err, "ResourceNotFoundException", "doesn't have an EventInvokeConfig")
		})
		w.run("event source mappings are listed by the qualifier they call", func(w world) {
			must(api.CreateEventSourceMapping(w.ctx, &lambda.CreateEventSourceMappingInput{
				FunctionName: ptr("orders-api:1"), EventSourceArn: ptr("arn:aws:sqs:us-east-1:111111111111:orders"),
			}))(w)
			for qualified, want := range map[string]int{"orders-api:1": 1, "orders-api": 0} {
				out := must(api.ListEventSourceMappings(w.ctx, &lambda.ListEventSourceMappingsInput{FunctionName: &qualified}))(w)
				if len(out.EventSourceMappings) != want {
					w.Errorf("%s has %d event sources, want %d", qualified, len(out.EventSourceMappings), want)
				}
			}
		})
		w.run("what belongs to a version goes with it", func(w world) {
			must(api.DeleteFunction(w.ctx, &lambda.DeleteFunctionInput{FunctionName: name, Qualifier: ptr("1")}))(w)
			_, err := api.GetPolicy(w.ctx, &lambda.GetPolicyInput{FunctionName: name, Qualifier: ptr("1")})
			refused(w, err, "ResourceNotFoundException", "orders-api:1")
		})
	})
}

// Whoever is allowed to delete function:NAME:* can delete versions and not the
// function: its ARN has no third part.
func TestTheRightToDeleteVersionsIsNotThatToDeleteTheFunction(t *testing.T) {
	within(t, func(w world) {
		w.function(dev)
		must(w.publish(dev))(t)
		pruner := w.role(dev, "pruner", allow("arn:aws:lambda:*:*:function:orders-*:*", "lambda:DeleteFunction")).Lambda(east)
		_, err := pruner.DeleteFunction(w.ctx, &lambda.DeleteFunctionInput{FunctionName: ptr("orders-api")})
		refused(t, err, "AccessDeniedException", "function:orders-api")
		must(pruner.DeleteFunction(w.ctx, &lambda.DeleteFunctionInput{FunctionName: ptr("orders-api"), Qualifier: ptr("1")}))(t)
		w.get(dev, "$LATEST")
	})
}
