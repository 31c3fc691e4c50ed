// Package releasetest checks what every answer and every request for a release
// has to keep to, wherever it comes from.
package releasetest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/release"
)

// contract is the status and the HTTP status of each code.
var contract = map[release.AnswerCode]struct {
	status release.AnswerStatus
	http   int
}{
	release.CodeStarted:           {release.AnswerStarted, http.StatusAccepted},
	release.CodeDuplicate:         {release.AnswerDuplicate, http.StatusOK},
	release.CodePing:              {release.AnswerIgnored, http.StatusOK},
	release.CodeEvent:             {release.AnswerIgnored, http.StatusOK},
	release.CodeBranch:            {release.AnswerIgnored, http.StatusOK},
	release.CodeTagDeleted:        {release.AnswerIgnored, http.StatusOK},
	release.CodeTagPattern:        {release.AnswerIgnored, http.StatusOK},
	release.CodeUnknownRepository: {release.AnswerIgnored, http.StatusOK},
	release.CodeOtherTrigger:      {release.AnswerIgnored, http.StatusOK},
	release.CodeBucket:            {release.AnswerIgnored, http.StatusOK},
	release.CodePrefix:            {release.AnswerIgnored, http.StatusOK},
	release.CodeFolder:            {release.AnswerIgnored, http.StatusOK},
	release.CodeTagMoved:          {release.AnswerRejected, http.StatusOK},
	release.CodeVersionExists:     {release.AnswerRejected, http.StatusOK},
	release.CodeEmptyObject:       {release.AnswerRejected, http.StatusOK},
	release.CodeNoVersionID:       {release.AnswerRejected, http.StatusOK},
	release.CodeSignature:         {release.AnswerRejected, http.StatusUnauthorized},
	release.CodeMalformed:         {release.AnswerRejected, http.StatusBadRequest},
	release.CodeMethod:            {release.AnswerRejected, http.StatusMethodNotAllowed},
	release.CodeTooLarge:          {release.AnswerRejected, http.StatusRequestEntityTooLarge},
	release.CodeContentType:       {release.AnswerRejected, http.StatusUnsupportedMediaType},
	release.CodeOverloaded:        {release.AnswerBusy, http.StatusServiceUnavailable},
	release.CodeSecretUnavailable: {release.AnswerBusy, http.StatusServiceUnavailable},
}

const (
	// longestReason is far below what any sender or log cuts off, in bytes.
	longestReason = 8 << 10
	// longestRequest is a request's share of a record in the ledger, whose items
	// have at most 400 KB (DynamoDB quotas), in bytes.
	longestRequest = 16 << 10
)

// id is what an execution may be called (Step Functions, StartExecution).
var id = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// CheckAnswer checks that an answer is a documented one with a reason that people can
// read, and that it holds none of the secrets.
func CheckAnswer(t *testing.T, a release.Answer, secrets ...string) {
	t.Helper()
	want, known := contract[a.Code]
	if !known || a.Status != want.status || a.HTTPStatus() != want.http {
		t.Errorf("got %s, %s, HTTP %d; want the status and HTTP status of a documented code", a.Status, a.Code, a.HTTPStatus())
	}
	if a.Reason == "" || len(a.Reason) > longestReason || !utf8.ValidString(a.Reason) || strings.ContainsAny(a.Reason, "\n\r\x00\x1b") {
		t.Errorf("the reason has %d bytes and is not one readable line: %.200q", len(a.Reason), a.Reason)
	}
	for _, one := range a.Releases {
		if !id.MatchString(one) {
			t.Errorf("the release's id is %q", one)
		}
	}
	text, err := json.Marshal(a)
	var read release.Answer
	if err != nil || json.Unmarshal(text, &read) != nil || !reflect.DeepEqual(read, a) {
		t.Errorf("%+v does not survive JSON: %s, %v", a, text, err)
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(string(text), secret) {
			t.Errorf("the answer holds a secret: %s", text)
		}
	}
}

// CheckRequest checks that a request is one that every part of a release can
// bear: an id that can name an execution, a version that people can read, and no
// more text than the ledger holds.
func CheckRequest(t *testing.T, r release.Request) {
	t.Helper()
	if !id.MatchString(r.ID()) {
		t.Errorf("request %+v has the id %q", r, r.ID())
	}
	if !readable(r.Version) || r.Attempt < 1 || r.Source.IsTag() == (r.Source.Key != "") {
		t.Errorf("request %+v: want a readable version, an attempt and one source", r)
	}
	text, err := json.Marshal(r)
	var read release.Request
	if err != nil || json.Unmarshal(text, &read) != nil || !reflect.DeepEqual(read, r) {
		t.Errorf("%+v does not survive JSON: %s, %v", r, text, err)
	}
	if len(text) > longestRequest {
		t.Errorf("the request of %d bytes takes too much of the ledger's record: %.300s…", len(text), text)
	}
}

// readable tells whether a version can be told from another in a terminal.
func readable(version string) bool {
	odd := func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r >= 0x202a && r <= 0x202e
	}
	return version != "" && utf8.ValidString(version) && !strings.ContainsFunc(version, odd)
}
