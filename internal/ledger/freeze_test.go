package ledger_test

import (
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// freeze freezes for an hour.
func (b *book) freeze(t *testing.T, app, environment, reason string) ledger.Freeze {
	t.Helper()
	f, err := b.Freeze(t.Context(), ledger.Freeze{App: app, Environment: environment, Until: start.Add(time.Hour), Reason: reason, By: "jo"})
	ok(t, err)
	return f
}

// why is the reason for which an app is kept from an environment; empty if it is not.
func (b *book) why(t *testing.T, app, environment string) string {
	t.Helper()
	f, _, err := b.Frozen(t.Context(), app, environment)
	ok(t, err)
	return f.Reason
}

func TestAFreezeKeepsAwayWhatItNames(t *testing.T) {
	tests := []struct {
		name             string
		app, environment string
		keeps, lets      [][2]string
	}{
		{"an app everywhere", "orders", "", [][2]string{{"orders", "dev"}, {"orders", "prod"}}, [][2]string{{"billing", "dev"}}},
		{"an environment for all", "", "prod", [][2]string{{"orders", "prod"}, {"billing", "prod"}}, [][2]string{{"orders", "dev"}}},
		{"an app in an environment", "orders", "prod", [][2]string{{"orders", "prod"}}, [][2]string{{"orders", "dev"}, {"billing", "prod"}}},
		{"names that look like a path", "a/b", "", [][2]string{{"a/b", "c"}}, [][2]string{{"a", "b"}, {"a", "b/c"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBook()
			b.freeze(t, test.app, test.environment, "because")
			for _, at := range test.keeps {
				want(t, at[0]+" in "+at[1], b.why(t, at[0], at[1]), "because")
			}
			for _, at := range test.lets {
				want(t, at[0]+" in "+at[1], b.why(t, at[0], at[1]), "")
			}
		})
	}
}

func TestAFreezeEndsAtItsTime(t *testing.T) {
	b := newBook()
	b.freeze(t, "orders", "", "because")
	b.pass(time.Hour - time.Second)
	want(t, "a second before", b.why(t, "orders", "dev"), "because")
	b.pass(time.Second)
	want(t, "at its time", b.why(t, "orders", "dev"), "")
	all, err := b.Freezes(t.Context())
	ok(t, err)
	want(t, "freezes", all, []ledger.Freeze{})
	_, err = b.Lift(t.Context(), "orders", "", "jo")
	wantKind(t, err, release.NotFound, "orders is not frozen")
	b.pass(time.Hour)
	again, err := b.Freeze(t.Context(), ledger.Freeze{App: "orders", Until: start.Add(9 * time.Hour), Reason: "again", By: "kim"})
	ok(t, err)
	want(t, "since", again.Since, start.Add(2*time.Hour))
}

func TestAFreezeIsLiftedBeforeItsTimeByWhoSaysSo(t *testing.T) {
	b := newBook()
	b.freeze(t, "orders", "prod", "because")
	_, err := b.Lift(t.Context(), "orders", "", "kim")
	wantKind(t, err, release.NotFound, "orders is not frozen")
	b.pass(time.Minute)
	lifted, err := b.Lift(t.Context(), "orders", "prod", "kim")
	ok(t, err)
	want(t, "lifted", *lifted.Lifted, ledger.Lifted{By: "kim", At: start.Add(time.Minute)})
	want(t, "frozen", b.why(t, "orders", "prod"), "")
	_, err = b.Lift(t.Context(), "orders", "prod", "jo")
	wantKind(t, err, release.NotFound, "orders in prod is not frozen")
	_, err = b.Lift(t.Context(), "orders", "prod", "kim")
	ok(t, err) // the answer was lost
}

func TestAFreezeOfTheSameIsChanged(t *testing.T) {
	b := newBook()
	b.freeze(t, "orders", "prod", "because")
	b.pass(time.Minute)
	changed, err := b.Freeze(t.Context(), ledger.Freeze{App: "orders", Environment: "prod", Until: start.Add(9 * time.Hour), Reason: "longer", By: "kim"})
	ok(t, err)
	want(t, "changed", changed, ledger.Freeze{
		App: "orders", Environment: "prod", Since: start, Until: start.Add(9 * time.Hour), Reason: "longer", By: "kim",
	})
	all, err := b.Freezes(t.Context())
	ok(t, err)
	want(t, "freezes", all, []ledger.Freeze{changed})
}

func TestOfSeveralFreezesTheLongestIsTold(t *testing.T) {
	b := newBook()
	b.freeze(t, "orders", "prod", "short")
	_, err := b.Freeze(t.Context(), ledger.Freeze{Environment: "prod", Until: start.Add(9 * time.Hour), Reason: "long", By: "kim"})
	ok(t, err)
	b.freeze(t, "orders", "", "short, too")
	want(t, "orders in prod", b.why(t, "orders", "prod"), "long")
	want(t, "orders in dev", b.why(t, "orders", "dev"), "short, too")
}

func TestAFreezeOfNothingIsInvalid(t *testing.T) {
	_, err := newBook().Freeze(t.Context(), ledger.Freeze{Until: start.Add(time.Hour), Reason: "x", By: "jo"})
	wantKind(t, err, release.Invalid, "neither is named")
}
