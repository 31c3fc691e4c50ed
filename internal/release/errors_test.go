package release

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestErrors(t *testing.T) {
	low := Errorf(Denied, "role %q: %w", "r", io.EOF).WithRemedy("Ask %s.", "her")
	tests := []struct {
		name   string
		err    error
		kind   Kind
		text   string
		remedy string
	}{
		{"an error has its kind, its text and its remedy", low, Denied, `role "r": EOF`, "Ask her."},
		{"what wraps it keeps them", fmt.Errorf("step: %w", low), Denied, `step: role "r": EOF`, "Ask her."},
		{"the outer kind counts", Errorf(Invalid, "step: %w", low), Invalid, `step: role "r": EOF`, "Ask her."},
		{"the outer remedy counts", Errorf(Invalid, "step: %w", low).WithRemedy("Stop."), Invalid, `step: role "r": EOF`, "Stop."},
		{"the first of joined errors counts", errors.Join(low, Errorf(Invalid, "other")), Denied, "role \"r\": EOF\nother", "Ask her."},
		{"any other error is internal", io.EOF, Internal, "EOF", ""},
		{"an error without a remedy has none", Errorf(Conflict, "busy"), Conflict, "busy", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if KindOf(test.err) != test.kind || test.err.Error() != test.text || RemedyOf(test.err) != test.remedy {
				t.Errorf("got %s, %q, %q, want %s, %q, %q",
					KindOf(test.err), test.err, RemedyOf(test.err), test.kind, test.text, test.remedy)
			}
		})
	}
	if !errors.Is(Errorf(Invalid, "x: %w", low), io.EOF) {
		t.Error("the cause of the cause is lost")
	}
	if RemedyOf(nil) != "" || KindOf(nil) != Internal {
		t.Error("no error has a remedy or a kind")
	}
}

func TestHTTPStatusOfEveryCode(t *testing.T) {
	codes := map[int][]AnswerCode{
		http.StatusAccepted: {CodeStarted},
		http.StatusOK: {
			CodeDuplicate, CodePing, CodeEvent, CodeBranch, CodeTagDeleted, CodeTagPattern, CodeUnknownRepository, CodeOtherTrigger,
			CodeBucket, CodePrefix, CodeFolder, CodeTagMoved, CodeVersionExists, CodeEmptyObject, CodeNoVersionID,
		},
		http.StatusUnauthorized:          {CodeSignature},
		http.StatusBadRequest:            {CodeMalformed},
		http.StatusMethodNotAllowed:      {CodeMethod},
		http.StatusRequestEntityTooLarge: {CodeTooLarge},
		http.StatusUnsupportedMediaType:  {CodeContentType},
		http.StatusServiceUnavailable:    {CodeOverloaded, CodeSecretUnavailable},
	}
	for status, of := range codes {
		for _, code := range of {
			if got := (Answer{Code: code}).HTTPStatus(); got != status {
				t.Errorf("code %q: got %d, want %d", code, got, status)
			}
		}
	}
}
