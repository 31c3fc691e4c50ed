// Package awserr tells what can be done about an error of an AWS client.
//
// AWS names its refusals by codes (each service's API reference, Errors); some
// mean different things to those who asked, who then say so with [Meaning].
package awserr

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tagboat/tagboat/internal/release"
)

// Error codes that several callers decide by.
const (
	NotFound           = "ResourceNotFoundException"
	Conflict           = "ResourceConflictException"
	PreconditionFailed = "PreconditionFailedException"
	storageExceeded    = "CodeStorageExceededException"
	expiredToken       = "ExpiredToken"
	expiredException   = "ExpiredTokenException"
)

// Meaning is what codes mean to a caller, where that is not what they mean in general.
type Meaning map[string]release.Kind

// Is tells whether AWS refused with an error code.
func Is(err error, code string) bool {
	var refusal smithy.APIError
	return errors.As(err, &refusal) && refusal.ErrorCode() == code
}

// StatusOf is the HTTP status of the answer; 0 if none came.
func StatusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.HTTPStatusCode()
}

// KindOf is what can be done about an error of a client.
func (m Meaning) KindOf(err error) release.Kind {
	var known *release.Error
	if errors.As(err, &known) {
		return known.Kind
	}
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		if status := StatusOf(err); status >= 400 && status < 500 && !passes(err) {
			return release.Invalid // an answer that is not the service's, such as a proxy's
		}
		return release.Transient // the connection failed: nobody knows whether the call was carried out
	}
	if kind, special := m[refusal.ErrorCode()]; special {
		return kind
	}
	switch refusal.ErrorCode() {
	case "AccessDeniedException", "AccessDenied", "AccessDeniedFault", "UnauthorizedOperation",
		"KMSAccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId":
		return release.Denied
	case NotFound:
		return release.NotFound
	case PreconditionFailed, Conflict:
		return release.Conflict
	case "TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
		"ServiceException", "InternalFailure", "InternalServiceError", "InternalError", "InternalServiceFault", "ServiceUnavailable",
		"ResourceNotReadyException", "EC2ThrottledException", "SnapStartTimeoutException", "RequestTimeout",
		expiredToken, expiredException: // the next attempt has new credentials
		return release.Transient
	}
	if refusal.ErrorFault() == smithy.FaultServer || passes(err) {
		return release.Transient
	}
	return release.Invalid
}

// passes tells whether the same call may succeed later, by the HTTP status and by
// what the SDK itself tries again. A code that a service's model has not tells
// no fault: busy services are answered for by what stands before them.
func passes(err error) bool {
	switch status := StatusOf(err); {
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return true
	}
	return retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary
}

// FromSTS tells whether the role could not be taken: the client asks STS before
// its first call.
func FromSTS(err error) bool {
	for operation := (*smithy.OperationError)(nil); errors.As(err, &operation); err = operation.Err {
		if operation.Service() == "STS" {
			return true
		}
	}
	return false
}

// Unsent tells whether a call was never sent because there was nothing to sign
// it with: no credentials were found, or the service that gives them (STS, SSO,
// the metadata of an instance) did not.
func Unsent(err error) bool {
	var call, behind *smithy.OperationError
	if !errors.As(err, &call) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if errors.As(call.Err, &behind) {
		return true
	}
	var refusal smithy.APIError
	var broken *smithyhttp.RequestSendError
	return !errors.As(err, &refusal) && !errors.As(err, &broken) && StatusOf(err) == 0
}

// Expired tells whether a call was signed with a session that had ended. That
// passes for whoever gets new ones; a person has to.
func Expired(err error) bool { return Is(err, expiredToken) || Is(err, expiredException) }

// Refused tells what was attempted where, with the refusal as AWS worded it, in [Brief].
func (m Meaning) Refused(err error, site release.Site, format string, args ...any) error {
	kind := m.KindOf(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = release.Transient
	}
	e := release.Errorf(kind, "%s in account %s, %s: %w", fmt.Sprintf(format, args...), site.Account, site.Region, Brief(err))
	switch {
	case release.RemedyOf(err) != "":
	case Is(err, storageExceeded):
		return e.WithRemedy("Delete versions and layers that nothing uses in account %s, %s, or ask AWS for more code storage there.", site.Account, site.Region)
	case kind == release.Denied && FromSTS(err):
		return e.WithRemedy("Check the role that account %s grants Tagboat: it has to trust the task roles and to ask for the registry's external_id (iam/target-account.yaml).", site.Account)
	case kind == release.Denied:
		return e.WithRemedy("Allow what AWS names to the role that account %s grants Tagboat (iam/target-account.yaml), or to what it has to read.", site.Account)
	}
	return e
}
