package ledger_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// stagedBook is a ledger that knows of one content, with what is done to it.
type stagedBook struct {
	*ledger.Ledger
	t     *testing.T
	clock *clock.Virtual
}

var firstCopy, secondCopy = release.Object{Bucket: "b", Key: "k", VersionID: "v1"}, release.Object{Bucket: "b", Key: "k", VersionID: "v2"}

func newStagedBook(t *testing.T) *stagedBook {
	t.Helper()
	c := clock.NewVirtual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 0)
	b := &stagedBook{ledger.New(ledger.NewMemoryTable(), c), t, c}
	ok(t, b.put(firstCopy, "artifact/code"))
	return b
}

func (b *stagedBook) put(o release.Object, purpose string) error {
	return b.PutStagedCode(b.t.Context(), "orders", "r", "a+b/c=", o, purpose)
}

func (b *stagedBook) retire(by string) []release.Object {
	b.t.Helper()
	objects, err := b.RetireStagedCode(b.t.Context(), "orders", "r", "a+b/c=", by)
	ok(b.t, err)
	return objects
}

func (b *stagedBook) restore(by string) {
	b.t.Helper()
	ok(b.t, b.RestoreStagedCode(b.t.Context(), "orders", "r", "a+b/c=", by))
}

func (b *stagedBook) forget(objects ...release.Object) {
	b.t.Helper()
	ok(b.t, b.ForgetStagedCode(b.t.Context(), "orders", "r", "a+b/c=", objects))
}

// told is the copy that is told to who asks; empty if none is.
func (b *stagedBook) told() string {
	b.t.Helper()
	object, _, err := b.StagedCode(b.t.Context(), "orders", "r", "a+b/c=")
	ok(b.t, err)
	return object.VersionID
}

func (b *stagedBook) purposes() []string {
	b.t.Helper()
	staged, err := b.StagedFor(b.t.Context(), "orders", "r")
	ok(b.t, err)
	return staged["a+b/c="]
}

func TestTheCopiesOfARetiredContentAreToldToNobody(t *testing.T) {
	b := newStagedBook(t)
	ok(t, b.put(secondCopy, "function/api")) // staged twice at the same time
	want(t, "told before", b.told(), "v1")
	for range 2 { // the answer may be lost
		want(t, "retired", b.retire("first"), []release.Object{firstCopy, secondCopy})
	}
	want(t, "told", b.told(), "")
	retired, err := b.CodeRetired(t.Context(), "orders", "r", "a+b/c=")
	ok(t, err)
	want(t, "known as retired", retired, true)
	want(t, "the kind of error of who comes late", release.KindOf(b.put(secondCopy, "artifact/code")), release.Transient)
	b.forget(firstCopy, secondCopy)
	want(t, "purposes of what is gone", b.purposes(), []string(nil))
	want(t, "the kind of error of who comes later still", release.KindOf(b.put(firstCopy, "artifact/code")), release.Transient)
	want(t, "retired once more", b.retire("second"), []release.Object(nil))

	third := release.Object{Bucket: "b", Key: "k", VersionID: "v3"}
	ok(t, b.put(third, "artifact/code"))
	want(t, "told of the content staged anew", b.told(), "v3")
	want(t, "the kind of error of who comes even later", release.KindOf(b.put(firstCopy, "artifact/code")), release.Transient)
	want(t, "purposes", b.purposes(), []string{"artifact/code", "function/api"})
	want(t, "retired with it", b.retire("second"), []release.Object{third})
}

func TestARetiredContentBelongsToOneRelease(t *testing.T) {
	b := newStagedBook(t)
	b.retire("first")
	want(t, "retired by another at the same time", b.retire("second"), []release.Object(nil))
	b.restore("second")
	want(t, "told after another restored it", b.told(), "")
	b.restore("first")
	want(t, "told", b.told(), "v1")

	b.retire("first") // which dies
	b.clock.Run(func() { _ = b.clock.Sleep(context.Background(), time.Hour) })
	want(t, "taken over", b.retire("second"), []release.Object{firstCopy})
	b.restore("second") // but the first may have deleted it
	want(t, "told of what may be deleted", b.told(), "")
	ok(t, b.put(secondCopy, "artifact/code"))
	want(t, "told of the content staged anew", b.told(), "v2")
	if got := b.retire("third"); len(got) != 2 || !slices.Contains(got, firstCopy) {
		t.Errorf("retired are %v, want what the first left behind among them", got)
	}
}
