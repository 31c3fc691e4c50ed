package ledger_test

import (
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	oneLayer   = "arn:aws:lambda:us-east-1:999999999999:layer:deps:1"
	otherLayer = "arn:aws:lambda:us-east-1:999999999999:layer:deps:10"
)

var partner = release.Grant{Account: "333333333333"}

// revoke begins to take a version from the partner.
func (b *book) revoke(t *testing.T, layer, by string) release.Revocation {
	t.Helper()
	r, err := b.Revoke(t.Context(), release.Revocation{Layer: layer, Grant: partner, Reason: "because", By: by})
	ok(t, err)
	return r
}

func (b *book) revocations(t *testing.T, layer string) []release.Revocation {
	t.Helper()
	all, err := b.Revocations(t.Context(), layer)
	ok(t, err)
	return all
}

func TestARevocationIsOnRecordUntilItIsLifted(t *testing.T) {
	b := newBook()
	want(t, "before", b.revocations(t, ""), []release.Revocation{})
	begun := b.revoke(t, oneLayer, "jo")
	want(t, "begun", begun, release.Revocation{Layer: oneLayer, Grant: partner, Reason: "because", By: "jo", At: start})
	b.pass(time.Minute)
	want(t, "begun by another", b.revoke(t, oneLayer, "kim"), begun)
	gone, err := b.RevokedGone(t.Context(), oneLayer, partner)
	ok(t, err)
	want(t, "gone", gone.Gone, start.Add(time.Minute))
	b.pass(time.Minute)
	again, err := b.RevokedGone(t.Context(), oneLayer, partner)
	ok(t, err)
	want(t, "seen gone again", again, gone)

	b.revoke(t, otherLayer, "kim")
	want(t, "of one version", b.revocations(t, oneLayer), []release.Revocation{gone})
	want(t, "of all", len(b.revocations(t, "")), 2)

	_, err = b.LiftRevocation(t.Context(), oneLayer, release.Grant{Public: true}, "kim")
	wantKind(t, err, release.NotFound, "was not taken back from everyone")
	for range 2 { // the second is for a lost answer
		_, err = b.LiftRevocation(t.Context(), oneLayer, partner, "kim")
		ok(t, err)
	}
	_, err = b.LiftRevocation(t.Context(), oneLayer, partner, "jo")
	wantKind(t, err, release.NotFound, "was not taken back from account 333333333333")
	_, err = b.RevokedGone(t.Context(), oneLayer, partner)
	wantKind(t, err, release.NotFound)
	want(t, "after", b.revocations(t, oneLayer), []release.Revocation{})
}

func TestAGrantThatCameBackIsTakenBackAnew(t *testing.T) {
	b := newBook()
	b.revoke(t, oneLayer, "jo")
	_, err := b.RevokedGone(t.Context(), oneLayer, partner)
	ok(t, err)
	b.pass(time.Hour)
	want(t, "anew", b.revoke(t, oneLayer, "kim"), release.Revocation{Layer: oneLayer, Grant: partner, Reason: "because", By: "kim", At: start.Add(time.Hour)})
}

func TestAGrantThatIsThereAgainIsOnRecordAsBegun(t *testing.T) {
	b := newBook()
	wantKind(t, b.RevokedBack(t.Context(), oneLayer, partner), release.NotFound)
	begun := b.revoke(t, oneLayer, "jo")
	_, err := b.RevokedGone(t.Context(), oneLayer, partner)
	ok(t, err)
	for range 2 { // the second is for a lost answer
		ok(t, b.RevokedBack(t.Context(), oneLayer, partner))
		want(t, "back", b.revocations(t, oneLayer), []release.Revocation{begun})
	}
	_, err = b.LiftRevocation(t.Context(), oneLayer, partner, "kim")
	ok(t, err)
	wantKind(t, b.RevokedBack(t.Context(), oneLayer, partner), release.NotFound)
}

func TestARevocationWhoseAnswerWasLostIsRecordedOnce(t *testing.T) {
	b := newBook()
	b.table.Fail(2, ledgertest.Unanswered) // it reads before it writes
	_, err := b.Revoke(t.Context(), release.Revocation{Layer: oneLayer, Grant: partner, Reason: "because", By: "jo"})
	wantKind(t, err, release.Transient)
	b.pass(time.Second)
	want(t, "since", b.revoke(t, oneLayer, "jo").At, start)
}
