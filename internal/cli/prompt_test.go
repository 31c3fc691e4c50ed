package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// TestAnInterruptEndsAQuestionAtOnce has nobody answer: only the interrupt can end it.
func TestAnInterruptEndsAQuestionAtOnce(t *testing.T) {
	silent, person := io.Pipe()
	defer person.Close()
	var out bytes.Buffer
	p := &prompter{in: bufio.NewReader(silent), out: &out}
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, interrupt)
	_, err := p.value(ctx, "", "--app", "The app's name", "orders")
	if err == nil || !strings.Contains(err.Error(), "interrupted; nothing was written") {
		t.Errorf("got %v, want that it was interrupted", err)
	}
	if want := "The app's name [orders]: \n"; out.String() != want {
		t.Errorf("the terminal shows %q, want %q and an empty line to go on at", out.String(), want)
	}
}
