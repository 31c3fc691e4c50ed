package release_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

func TestNothingIsWrittenBeforeTheIntentIsRecorded(t *testing.T) {
	lost := errors.New("the table did not answer")
	var recorded []bool
	saves := []error{lost, lost, nil}
	w := &release.Work{
		Result: &release.Result{}, Guard: func(context.Context) error { return nil }, Late: func() time.Time { return time.Time{} },
	}
	w.Save = func(context.Context) error {
		recorded = append(recorded, w.Result.Touched)
		return saves[len(recorded)-1]
	}
	for try, want := range []error{lost, lost, nil, nil} {
		if err := w.Touch(t.Context()); !errors.Is(err, want) {
			t.Errorf("try %d: got %v, want %v", try, err, want)
		}
	}
	if len(recorded) != 3 || !recorded[2] || !w.Result.Touched {
		t.Errorf("the intent was recorded as %v, want three times true", recorded)
	}
}
