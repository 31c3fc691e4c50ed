package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tagboat/tagboat/internal/release"
)

func TestAStackThatIsNotDescribedSaysWhatIsInTheWay(t *testing.T) {
	broken := &smithyhttp.RequestSendError{Err: errors.New("connection refused")}
	call := func(err error) error {
		return &smithy.OperationError{ServiceID: "CloudFormation", OperationName: "DescribeStacks", Err: err}
	}
	for _, test := range []struct {
		name   string
		err    error
		kind   release.Kind
		remedy string
	}{
		{"the network", call(broken), release.Transient, "check the network"},
		{"AWS itself", call(&smithy.GenericAPIError{Code: "ServiceUnavailable"}), release.Transient, "check the network"},
		{"no credentials", call(fmt.Errorf("get identity: %w", call(broken))), release.Denied, "Give the AWS SDK credentials"},
		{"credentials that have ended", call(&smithy.GenericAPIError{Code: "ExpiredToken"}), release.Denied, "Give the AWS SDK credentials"},
		{"credentials that may not", call(&smithy.GenericAPIError{Code: "AccessDenied"}), release.Denied, "use credentials that may describe it"},
		{"another name", call(&smithy.GenericAPIError{Code: "ValidationError"}), release.NotFound, "Name the stack and the region"},
	} {
		err := undescribed(test.err, "tagboat", "us-east-1")
		if got := release.KindOf(err); got != test.kind || !strings.Contains(release.RemedyOf(err), test.remedy) {
			t.Errorf("%s: got %s and %q, want %s and %q", test.name, got, release.RemedyOf(err), test.kind, test.remedy)
		}
	}
}
