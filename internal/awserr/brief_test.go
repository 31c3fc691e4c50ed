package awserr_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tagboat/tagboat/internal/awserr"
)

// answered is an error with an HTTP answer around it, as the SDK makes it.
func answered(status int, request string, err error) error {
	return &awshttp.ResponseError{RequestID: request, ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err,
	}}
}

func TestBriefTellsTheCallAndWhatAWSSaid(t *testing.T) {
	of := func(service, operation string, err error) error {
		return &smithy.OperationError{ServiceID: service, OperationName: operation, Err: err}
	}
	refusal := &smithy.GenericAPIError{Code: "AccessDenied", Message: "User x may not"}
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"a refusal", of("S3", "HeadObject", answered(403, "4711", refusal)), "S3 HeadObject: AccessDenied: User x may not (request 4711)"},
		{"a refusal without a word", of("S3", "HeadObject", answered(404, "4711", &smithy.GenericAPIError{Code: "NotFound"})), "S3 HeadObject: NotFound (request 4711)"},
		{"a refusal without a request's id", of("S3", "HeadObject", refusal), "S3 HeadObject: AccessDenied: User x may not"},
		{"what is around it", fmt.Errorf("the second time: %w", of("S3", "PutObject", answered(403, "4711", refusal))),
			"the second time: S3 PutObject: AccessDenied: User x may not (request 4711)"},
		{"a role that was not given", of("Lambda", "GetFunction", fmt.Errorf("get identity: %w", of("STS", "AssumeRole", answered(403, "4711", refusal)))),
			"Lambda GetFunction: get identity: STS AssumeRole: AccessDenied: User x may not (request 4711)"},
		{"no credentials", of("Lambda", "GetFunction", fmt.Errorf("get identity: %w", of("ec2imds", "GetMetadata", errors.New("access disabled")))),
			"Lambda GetFunction: no credentials were found; the last place was the instance's metadata: ec2imds GetMetadata: access disabled"},
		{"a service that was not reached", of("Lambda", "GetFunction", answered(0, "", &smithyhttp.RequestSendError{Err: errors.New("dial tcp: connection refused")})),
			"Lambda GetFunction: request send failed, dial tcp: connection refused"},
		{"an answer that is not AWS's", of("Lambda", "GetFunction", errors.New("no JSON")), "Lambda GetFunction: no JSON"},
		{"an error of our own", errors.New("disk full"), "disk full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			brief := awserr.Brief(test.err)
			if got := brief.Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if !errors.Is(brief, test.err) {
				t.Error("it is not the error any more that it tells of")
			}
		})
	}
}
