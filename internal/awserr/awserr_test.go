package awserr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

func api(code string, fault smithy.ErrorFault) error {
	return fmt.Errorf("wrapped: %w", &smithy.GenericAPIError{Code: code, Message: "said AWS", Fault: fault})
}

func TestKindOfACode(t *testing.T) {
	var general awserr.Meaning
	special := awserr.Meaning{awserr.Conflict: release.Transient}
	for _, test := range []struct {
		name    string
		meaning awserr.Meaning
		err     error
		want    release.Kind
	}{
		{"a refusal by IAM is denied", general, api("AccessDeniedException", smithy.FaultClient), release.Denied},
		{"what is not there is not found", general, api(awserr.NotFound, smithy.FaultClient), release.NotFound},
		{"a conflict is one", general, api(awserr.Conflict, smithy.FaultClient), release.Conflict},
		{"a conflict may mean to wait", special, api(awserr.Conflict, smithy.FaultClient), release.Transient},
		{"throttling passes", general, api("TooManyRequestsException", smithy.FaultClient), release.Transient},
		{"a fault of the server passes", general, api("WhoKnows", smithy.FaultServer), release.Transient},
		{"any other refusal is our input", general, api("InvalidParameterValueException", smithy.FaultClient), release.Invalid},
		{"a broken connection passes", general, errors.New("connection reset"), release.Transient},
		{"our own error keeps its kind", general, release.Errorf(release.Denied, "no"), release.Denied},
	} {
		if got := test.meaning.KindOf(test.err); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestUnsentIsWhatNothingCouldBeSignedWith(t *testing.T) {
	broken := &smithyhttp.RequestSendError{Err: errors.New("connection refused")}
	of := func(service string, err error) error {
		return &smithy.OperationError{ServiceID: service, OperationName: "Op", Err: err}
	}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"no credentials were found", of("Lambda", errors.New("get identity: static credentials are empty")), true},
		{"the instance's metadata did not answer", of("Lambda", fmt.Errorf("get identity: %w", of("ec2imds", broken))), true},
		{"the role was not given", of("Lambda", fmt.Errorf("get identity: %w", of("STS", api("AccessDenied", smithy.FaultClient)))), true},
		{"the service was not reached", of("Lambda", broken), false},
		{"the service refused", of("Lambda", api("AccessDenied", smithy.FaultClient)), false},
		{"whoever asked went away", of("Lambda", context.Canceled), false},
		{"it is no call's error", errors.New("disk full"), false},
	} {
		if got := awserr.Unsent(test.err); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

func TestRefusedNamesWhereAndWhat(t *testing.T) {
	var general awserr.Meaning
	site := release.Site{Environment: "dev", Account: "111111111111", Region: "us-east-1"}
	err := general.Refused(api("AccessDeniedException", smithy.FaultClient), site, "function %q", "orders-api")
	for _, want := range []string{`function "orders-api"`, "111111111111", "us-east-1", "said AWS"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if release.RemedyOf(err) == "" {
		t.Error("a denial has no remedy")
	}
	if got := release.KindOf(general.Refused(context.Canceled, site, "x")); got != release.Transient {
		t.Errorf("a cancelled call is %s, want transient", got)
	}
}
