package app

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tagboat/tagboat/internal/release"
)

// TestALambdaThatCouldNotBeWiredTriesAgain lets a secret be out of reach at the cold start and
// once more: the same instance answers as soon as it can be read, and reads it no more.
func TestALambdaThatCouldNotBeWiredTriesAgain(t *testing.T) {
	tries := 0
	w := &wired{wire: func(context.Context) (lambda.Handler, error) {
		if tries++; tries <= 2 {
			return nil, release.Errorf(release.Transient, "secret %q cannot be read", "github")
		}
		return lambda.NewHandler(func() (string, error) { return "wired", nil }), nil
	}}
	if err := w.ready(t.Context()); err == nil {
		t.Error("the cold start: want an error")
	}
	_, err := w.Invoke(t.Context(), []byte("{}"))
	var answer messages.InvokeResponse_Error
	if !errors.As(err, &answer) || answer.Type != errTransient {
		t.Errorf("while it cannot be wired, the answer is %#v, want %s, which the state machine tries again", err, errTransient)
	}
	for range 2 {
		if out, err := w.Invoke(t.Context(), []byte("{}")); err != nil || string(out) != `"wired"` {
			t.Errorf("answered %q, %v; want the answer of the handler", out, err)
		}
	}
	if tries != 3 {
		t.Errorf("it was wired %d times, want 3", tries)
	}
}
