package awsapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// What clients make of answers, the ones that no service's model names included:
// busy and broken services answer by whatever stands before them.
func TestWhatPassesIsToldFromWhatDoesNot(t *testing.T) {
	const page = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
	said := func(code string) string { return fmt.Sprintf(`{"__type":%q,"message":"said AWS"}`, code) }
	xml := func(code string) string {
		return fmt.Sprintf("<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>said AWS</Message></Error></ErrorResponse>", code)
	}
	for _, test := range []struct {
		name   string
		call   func(context.Context, *awsapi.Clients) error
		status int
		body   string
		want   release.Kind
	}{
		{"a service that says nothing", getFunction, 503, "", release.Transient},
		{"a bad gateway", getFunction, 502, `{"message":"Bad Gateway"}`, release.Transient},
		{"a service that is not there", getFunction, 503, `{"message":"Service Unavailable"}`, release.Transient},
		{"a gateway that waited in vain", getFunction, 504, `{"message":"Endpoint request timed out"}`, release.Transient},
		{"a page of a load balancer", getFunction, 503, page, release.Transient},
		{"a code of a failure that Lambda's model has not", getFunction, 503, said("ServiceUnavailableException"), release.Transient},
		{"another", getFunction, 500, said("InternalServerException"), release.Transient},
		{"a code of throttling that Lambda's model has not", getFunction, 429, said("ThrottledException"), release.Transient},
		{"throttling by its code", getFunction, 400, said("RequestThrottledException"), release.Transient},
		{"throttling by its status", getFunction, 429, "", release.Transient},
		{"throttling by a page", getFunction, 429, page, release.Transient},
		{"a request that took too long", getFunction, 408, "", release.Transient},
		{"a session that has ended", getFunction, 403, said("ExpiredTokenException"), release.Transient},
		{"a smoke test's function without a network address", invoke, 502, said("ENILimitReachedException"), release.Transient},
		{"a smoke test that waits for its turn", invoke, 429, said("TooManyRequestsException"), release.Transient},
		{"a key that may not be used, a server's fault", invoke, 502, said("KMSAccessDeniedException"), release.Denied},
		{"a refusal", getFunction, 403, said("AccessDeniedException"), release.Denied},
		{"a function that is not there", getFunction, 404, said("ResourceNotFoundException"), release.NotFound},
		{"a value that is wrong", getFunction, 400, said("InvalidParameterValueException"), release.Invalid},
		{"a page of a proxy", getFunction, 403, page, release.Invalid},
		{"alarms that do not answer", alarms, 503, "", release.Transient},
		{"alarms behind a page", alarms, 503, page, release.Transient},
		{"alarms with an ended session", alarms, 403, xml("ExpiredToken"), release.Transient},
		{"alarms whose filter is wrong", alarms, 400, xml("InvalidParameterValue"), release.Invalid},
		{"a role while STS does not answer", assume, 503, "", release.Transient},
		{"a role while STS is behind a page", assume, 503, page, release.Transient},
		{"a role while STS is busy", assume, 400, xml("Throttling"), release.Transient},
		{"a role that is not given", assume, 403, xml("AccessDenied"), release.Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType(test.body))
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			err := test.call(t.Context(), awsapi.New(aws.Config{
				Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("own", "x", ""),
				Retryer: func() aws.Retryer { return aws.NopRetryer{} },
			}))
			if err == nil {
				t.Fatalf("a %d was taken for an answer", test.status)
			}
			if got := (awserr.Meaning{}).KindOf(err); got != test.want {
				t.Errorf("got %s, want %s: %v", got, test.want, err)
			}
		})
	}
}

// TestWhatChangesSomethingIsNotSentTwice counts requests: a write whose answer is lost may arrive yet, so
// that whoever made it has to know, whatever the next attempt would be told.
func TestWhatChangesSomethingIsNotSentTwice(t *testing.T) {
	const cut = 0 // the connection, instead of a status
	moveAlias := func(ctx context.Context, c *lambda.Client) error {
		_, err := c.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: aws.String("orders-api"), Name: aws.String("live")})
		return err
	}
	read := func(ctx context.Context, c *lambda.Client) error {
		_, err := c.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: aws.String("orders-api"), Name: aws.String("live")})
		return err
	}
	for _, test := range []struct {
		name     string
		call     func(context.Context, *lambda.Client) error
		status   int
		code     string
		requests int
	}{
		{"a write without an answer", moveAlias, cut, "", 1},
		{"a write by a broken server", moveAlias, 500, "", 1},
		{"a write behind a gateway", moveAlias, 504, "", 1},
		{"a write that is throttled", moveAlias, 429, "TooManyRequestsException", 3},
		{"a write that is throttled with another status", moveAlias, 400, "ThrottlingException", 3},
		{"a write that took too long, by a code that Lambda's model has not", moveAlias, 400, "RequestTimeoutException", 1},
		{"a read without an answer", read, cut, "", 3},
		{"a read by a broken server", read, 500, "", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				if test.status == cut {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("X-Amzn-Errortype", test.code)
				w.WriteHeader(test.status)
			}))
			defer server.Close()
			clients := awsapi.New(aws.Config{
				Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("own", "x", ""),
				Retryer: func() aws.Retryer {
					return retry.AddWithMaxBackoffDelay(retry.AddWithMaxAttempts(retry.NewStandard(), 3), 0)
				},
			})
			client, err := clients.Lambda(t.Context(), own(), release.PhaseShift)
			if err != nil {
				t.Fatal(err)
			}
			err = test.call(t.Context(), client)
			if got := (awserr.Meaning{}).KindOf(err); got != release.Transient {
				t.Errorf("the error is %s, want %s: %v", got, release.Transient, err)
			}
			if n := int(requests.Load()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

func contentType(body string) string {
	switch {
	case strings.HasPrefix(body, "<html"):
		return "text/html"
	case strings.HasPrefix(body, "<"):
		return "text/xml"
	}
	return "application/json"
}

// own is a target that is reached without a role.
func own() release.Target {
	return release.Target{Site: release.Site{Environment: release.ToolsEnvironment, Region: "us-east-1"}}
}

func getFunction(ctx context.Context, c *awsapi.Clients) error {
	client, err := c.Lambda(ctx, own(), release.PhaseSnapshot)
	if err != nil {
		return err
	}
	_, err = client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("orders-api")})
	return err
}

func invoke(ctx context.Context, c *awsapi.Clients) error {
	client, err := c.Lambda(ctx, own(), release.PhaseUpdate)
	if err != nil {
		return err
	}
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("orders-api")})
	return err
}

func alarms(ctx context.Context, c *awsapi.Clients) error {
	client, err := c.CloudWatch(ctx, own(), release.PhaseBake)
	if err != nil {
		return err
	}
	_, err = client.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
	return err
}

// assume makes a call that needs a target's role first.
func assume(ctx context.Context, c *awsapi.Clients) error {
	client, err := c.Lambda(ctx, target("orders-*"), release.PhaseSnapshot)
	if err != nil {
		return err
	}
	_, err = client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("orders-api")})
	return err
}
