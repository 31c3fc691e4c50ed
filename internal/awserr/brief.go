package awserr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// lastPlace is the service that the SDK asks for credentials when it found none
// anywhere else: the metadata of an instance.
const lastPlace = "ec2imds"

// Brief is an error as it was, told in fewer words where a client's error is in
// it: the call, what AWS said, and the request's id, which AWS's support asks for.
func Brief(err error) error {
	var call *smithy.OperationError
	if !errors.As(err, &call) {
		return err
	}
	return &briefly{strings.Replace(err.Error(), call.Error(), told(call), 1), err}
}

// briefly is an error with other words.
type briefly struct {
	text string
	err  error
}

func (b *briefly) Error() string { return b.text }

// Unwrap is the error as it was.
func (b *briefly) Unwrap() error { return b.err }

// told is what came of a call.
func told(call *smithy.OperationError) string {
	name := call.Service() + " " + call.Operation()
	var behind *smithy.OperationError
	if errors.As(call.Err, &behind) { // it could not be signed: another service's call failed
		if behind.Service() == lastPlace {
			return name + ": no credentials were found; the last place was the instance's metadata: " + told(behind)
		}
		return name + ": " + Brief(call.Err).Error()
	}
	var refusal smithy.APIError
	var unsent *smithyhttp.RequestSendError
	switch {
	case errors.As(call.Err, &refusal):
		return name + ": " + said(refusal) + requestOf(call.Err)
	case errors.As(call.Err, &unsent):
		return name + ": " + unsent.Error()
	}
	return fmt.Sprintf("%s: %v", name, call.Err)
}

// said is a refusal as AWS words it; some have a code alone.
func said(refusal smithy.APIError) string {
	if refusal.ErrorMessage() == "" {
		return refusal.ErrorCode()
	}
	return refusal.ErrorCode() + ": " + refusal.ErrorMessage()
}

// requestOf names the request of an answer, if it has a name.
func requestOf(err error) string {
	var answer interface{ ServiceRequestID() string }
	if !errors.As(err, &answer) || answer.ServiceRequestID() == "" {
		return ""
	}
	return " (request " + answer.ServiceRequestID() + ")"
}
