package function

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/release"
)

// Error codes of Lambda and CloudWatch that decide what happens next (API
// references, Errors). What a code means here is in [kindOf].
const (
	codeNotFound           = "ResourceNotFoundException"
	codeConflict           = "ResourceConflictException"
	codePreconditionFailed = "PreconditionFailedException"
	codeNoProvisioned      = "ProvisionedConcurrencyConfigNotFoundException"
	codeStorageExceeded    = "CodeStorageExceededException"
)

// isCode tells whether AWS refused with an error code.
func isCode(err error, code string) bool {
	var refusal smithy.APIError
	return errors.As(err, &refusal) && refusal.ErrorCode() == code
}

// statusOf is the HTTP status of the answer; 0 if none came.
func statusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.HTTPStatusCode()
}

// kindOf is what can be done about an error of a client.
func kindOf(err error) release.Kind {
	var known *release.Error
	if errors.As(err, &known) {
		return known.Kind
	}
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		if status := statusOf(err); status >= 400 && status < 500 {
			return release.Invalid // an answer that is not the service's, such as a proxy's
		}
		return release.Transient // the connection failed: nobody knows whether the call was carried out
	}
	switch refusal.ErrorCode() {
	case "AccessDeniedException", "AccessDenied", "AccessDeniedFault", "UnauthorizedOperation",
		"KMSAccessDeniedException", "ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId":
		return release.Denied
	case codeNotFound:
		return release.NotFound
	case codePreconditionFailed:
		return release.Conflict
	case codeConflict, "TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
		"ServiceException", "InternalFailure", "InternalServiceError", "InternalError", "InternalServiceFault", "ServiceUnavailable",
		"ResourceNotReadyException", "EC2ThrottledException", "SnapStartTimeoutException", "RequestTimeout":
		return release.Transient
	}
	if refusal.ErrorFault() == smithy.FaultServer {
		return release.Transient
	}
	return release.Invalid
}

// fromSTS tells whether the role could not be taken: the client asks STS before
// its first call.
func fromSTS(err error) bool {
	for operation := (*smithy.OperationError)(nil); errors.As(err, &operation); err = operation.Err {
		if operation.Service() == "STS" {
			return true
		}
	}
	return false
}

// refused tells what was attempted where, with the refusal as AWS worded it.
func refused(err error, site release.Site, format string, args ...any) error {
	kind := kindOf(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = release.Transient
	}
	e := release.Errorf(kind, "%s in account %s, %s: %w", fmt.Sprintf(format, args...), site.Account, site.Region, err)
	switch {
	case release.RemedyOf(err) != "":
	case isCode(err, codeStorageExceeded):
		return e.WithRemedy("Delete versions and layers that nothing uses in account %s, %s, or ask AWS for more code storage there.", site.Account, site.Region)
	case kind == release.Denied && fromSTS(err):
		return e.WithRemedy("Check the role that account %s grants Tagboat: it has to trust the task roles and to ask for the registry's external_id (iam/target-account.yaml).", site.Account)
	case kind == release.Denied:
		return e.WithRemedy("Allow what AWS names to the role that account %s grants Tagboat (iam/target-account.yaml), or to what it has to read.", site.Account)
	case kind == release.NotFound:
		return e.WithRemedy("Create it in account %s, %s, or correct its name in the manifest.", site.Account, site.Region)
	}
	return e
}
