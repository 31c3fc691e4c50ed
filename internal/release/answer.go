package release

import "net/http"

// Answer is what is said to whoever sent an event.
type Answer struct {
	Status AnswerStatus `json:"status"`
	Code   AnswerCode   `json:"code"`
	// Reason is a sentence.
	Reason string `json:"reason"`
	// Releases are the ids of those that the event started or had started before.
	Releases []string `json:"releases,omitempty"`
}

// AnswerStatus sorts the codes.
type AnswerStatus string

// The statuses of an answer.
const (
	AnswerStarted   AnswerStatus = "started"
	AnswerDuplicate AnswerStatus = "duplicate"
	AnswerIgnored   AnswerStatus = "ignored"
	AnswerRejected  AnswerStatus = "rejected"
	AnswerBusy      AnswerStatus = "busy"
)

// AnswerCode says precisely why an event was answered as it was.
type AnswerCode string

// The codes of an answer, by status.
const (
	CodeStarted   AnswerCode = "started"
	CodeDuplicate AnswerCode = "duplicate"

	CodePing              AnswerCode = "ping"
	CodeEvent             AnswerCode = "event"
	CodeBranch            AnswerCode = "branch"
	CodeTagDeleted        AnswerCode = "tag_deleted"
	CodeTagPattern        AnswerCode = "tag_pattern"
	CodeUnknownRepository AnswerCode = "unknown_repository"
	CodeOtherTrigger      AnswerCode = "other_trigger"
	CodeBucket            AnswerCode = "bucket"
	CodePrefix            AnswerCode = "prefix"
	CodeFolder            AnswerCode = "folder"

	CodeTagMoved      AnswerCode = "tag_moved"
	CodeVersionExists AnswerCode = "version_exists"
	CodeEmptyObject   AnswerCode = "empty_object"
	CodeNoVersionID   AnswerCode = "no_version_id"

	CodeSignature   AnswerCode = "signature"
	CodeMalformed   AnswerCode = "malformed"
	CodeMethod      AnswerCode = "method"
	CodeTooLarge    AnswerCode = "too_large"
	CodeContentType AnswerCode = "content_type"

	CodeOverloaded        AnswerCode = "overloaded"
	CodeSecretUnavailable AnswerCode = "secret_unavailable"
)

// HTTPStatus is the status code that goes with an answer. What GitHub or S3 did
// right is answered with 2xx even where it is rejected: sending it again would
// not help.
func (a Answer) HTTPStatus() int {
	switch a.Code {
	case CodeStarted:
		return http.StatusAccepted
	case CodeSignature:
		return http.StatusUnauthorized
	case CodeMalformed:
		return http.StatusBadRequest
	case CodeMethod:
		return http.StatusMethodNotAllowed
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeContentType:
		return http.StatusUnsupportedMediaType
	case CodeOverloaded, CodeSecretUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// Ignored answers an event that is not for us.
func Ignored(code AnswerCode, reason string) Answer {
	return Answer{Status: AnswerIgnored, Code: code, Reason: reason}
}

// RejectedAnswer answers an event that is wrong or forbidden.
func RejectedAnswer(code AnswerCode, reason string) Answer {
	return Answer{Status: AnswerRejected, Code: code, Reason: reason}
}

// Busy answers an event that should be sent again later.
func Busy(code AnswerCode, reason string) Answer {
	return Answer{Status: AnswerBusy, Code: code, Reason: reason}
}
