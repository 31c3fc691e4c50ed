package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/tagboat/tagboat/internal/release"
)

const (
	// maxOrder is the largest body of what a person asks for, in bytes.
	maxOrder = 64 << 10
	// maxName is the longest name of a person, and maxReason the longest reason, in bytes.
	maxName   = 255
	maxReason = 4096
)

// working is the context of the work on what was read: whoever asked may go.
func working(r *http.Request, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), limit)
}

// written is a text of an order that a person wrote, and how long it may be, in bytes.
type written struct {
	field string
	text  *string
	limit int
}

func by(text *string) written { return written{"by", text, maxName} }

func reason(text *string) written { return written{"reason", text, maxReason} }

// read reads an order and checks its texts, from which it takes the blanks around: they say
// nothing. If it is false, that is answered already.
func (s *server) read(w http.ResponseWriter, r *http.Request, order any, texts ...written) bool {
	err := decode(w, r, order)
	for _, t := range texts {
		if err == nil {
			*t.text = strings.TrimSpace(*t.text)
			err = checkText(t.field, *t.text, t.limit)
		}
	}
	if err != nil {
		s.fail(w, r, err)
	}
	return err == nil
}

// decode reads a small JSON body; a field that is not known is an error, since
// what it asks for would not happen.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, after := decoder.Token(); !errors.Is(after, io.EOF) {
			err = errors.New("something follows the JSON object")
		}
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it is empty")
	}
	if err != nil {
		return release.Errorf(release.Invalid, "the body of %s %.200q is not the JSON object that is wanted: %w", r.Method, r.URL.Path, err).
			WithRemedy("Use the command of the server's version, or send the fields that the path takes and no others.")
	}
	return nil
}

// checkText refuses what would not be readable in a record or a log.
func checkText(field, text string, limit int) error {
	switch {
	case len(text) > limit:
		return release.Errorf(release.Invalid, "%s has %d bytes, want at most %d", field, len(text), limit).WithRemedy("Say it more briefly.")
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return release.Errorf(release.Invalid, "%s is %s, want printable characters", field, fmt.Sprintf("%.80q", text)).
			WithRemedy("Leave line breaks and control characters out.")
	}
	return nil
}
