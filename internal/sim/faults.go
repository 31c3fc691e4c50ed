package sim

import (
	"net/http"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Throttled is how a service (a [Call]'s Service) says that it is called too often.
func Throttled(service string) error {
	switch service {
	case lambdaService.prefix:
		return &lambdatypes.TooManyRequestsException{Message: ptr("Rate exceeded"), Reason: lambdatypes.ThrottleReasonCallerRateLimitExceeded}
	case s3Service.prefix:
		return &smithy.GenericAPIError{Code: "SlowDown", Message: "Please reduce your request rate.", Fault: smithy.FaultServer}
	}
	return apiError("ThrottlingException", "Rate exceeded")
}

// ServerError is how a service says that it has failed.
func ServerError(service string) error {
	if service == lambdaService.prefix {
		return &lambdatypes.ServiceException{Message: ptr("Service encountered an internal error")}
	}
	return &smithy.GenericAPIError{
		Code: "InternalError", Message: "We encountered an internal error. Please try again.", Fault: smithy.FaultServer,
	}
}

// Unavailable is how what stands before a service says that it cannot be reached:
// the SDK has no type for it and knows no fault.
func Unavailable() error { return &smithy.GenericAPIError{Code: "ServiceUnavailableException"} }

// Expired is how a service refuses a session that has ended.
func Expired(service string) error {
	code := "ExpiredTokenException"
	switch service {
	case s3Service.prefix, stsService.prefix, cloudwatchService.prefix:
		code = "ExpiredToken"
	}
	return apiError(code, "The security token included in the request is expired")
}

// Timeout is a connection that was given up: nobody knows whether the call was performed.
func Timeout() error { return &smithyhttp.RequestSendError{Err: timeoutError{}} }

// timeoutError is a net.Error.
type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// apiError is an error for which the SDK has no type.
func apiError(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultClient}
}

// statusOf is the HTTP status that comes with an error code.
func statusOf(code string) int {
	if status, ok := map[string]int{
		"AccessDenied":                                  http.StatusForbidden,
		"AccessDeniedException":                         http.StatusForbidden,
		"ExpiredToken":                                  http.StatusForbidden,
		"ExpiredTokenException":                         http.StatusForbidden,
		"InvalidClientTokenId":                          http.StatusForbidden,
		"ResourceNotFoundException":                     http.StatusNotFound,
		"ProvisionedConcurrencyConfigNotFoundException": http.StatusNotFound,
		"NotFound":                                      http.StatusNotFound,
		"NoSuchKey":                                     http.StatusNotFound,
		"NoSuchVersion":                                 http.StatusNotFound,
		"NoSuchBucket":                                  http.StatusNotFound,
		"NoSuchUpload":                                  http.StatusNotFound,
		"MethodNotAllowed":                              http.StatusMethodNotAllowed,
		"ResourceConflictException":                     http.StatusConflict,
		"BucketAlreadyExists":                           http.StatusConflict,
		"PreconditionFailedException":                   http.StatusPreconditionFailed,
		"PreconditionFailed":                            http.StatusPreconditionFailed,
		"MissingContentLength":                          http.StatusLengthRequired,
		"RequestEntityTooLargeException":                http.StatusRequestEntityTooLarge,
		"RequestTooLargeException":                      http.StatusRequestEntityTooLarge,
		"InvalidRange":                                  http.StatusRequestedRangeNotSatisfiable,
		"PermanentRedirect":                             http.StatusMovedPermanently,
		"MovedPermanently":                              http.StatusMovedPermanently,
		"NotModified":                                   http.StatusNotModified,
		"TooManyRequestsException":                      http.StatusTooManyRequests,
		"SlowDown":                                      http.StatusServiceUnavailable,
		"InternalError":                                 http.StatusInternalServerError,
		"ServiceException":                              http.StatusInternalServerError,
		"ServiceUnavailableException":                   http.StatusServiceUnavailable,
	}[code]; ok {
		return status
	}
	return http.StatusBadRequest
}

// ptr is a pointer to a copy of v.
func ptr[T any](v T) *T { return &v }

// value is what p points at, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
