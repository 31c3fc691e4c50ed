package boltstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tagboat/tagboat/internal/release"
)

// together makes changes wait for each other, in their order, and gives their ends.
func together(t *testing.T, file *File, changes ...func() error) []error {
	t.Helper()
	ends := make([]error, len(changes))
	var running sync.WaitGroup
	file.queue.writing.Lock()
	for i, change := range changes {
		running.Go(func() { ends[i] = change() })
		for end := time.Now().Add(time.Minute); file.queue.length() <= i; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("change %d of %d does not wait for its turn", i, len(changes))
			}
		}
	}
	file.queue.writing.Unlock()
	running.Wait()
	return ends
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func lastTransaction(t *testing.T, file *File) (id int) {
	t.Helper()
	if err := file.view(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestChangesThatWaitForEachOtherShareATransaction(t *testing.T) {
	path := newPath(t)
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var changes []func() error
	for i := range 50 {
		changes = append(changes, func() error { return file.Table().Put(t.Context(), document(fmt.Sprintf("d%d", i))) })
	}
	before := lastTransaction(t, file)
	if err := errors.Join(together(t, file, changes...)...); err != nil {
		t.Fatal(err)
	}
	if n := lastTransaction(t, file) - before; n != 1 {
		t.Errorf("%d changes took %d transactions, want 1", len(changes), n)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	table := mustOpen(t, path).Table()
	for i := range changes {
		if _, err := table.Get(t.Context(), document(fmt.Sprintf("d%d", i)).Key); err != nil {
			t.Error(err)
		}
	}
}

func TestOfTwoChangesOfADocumentInOneTransactionOneIsRefused(t *testing.T) {
	file := mustOpen(t, newPath(t))
	put := func(text string) func() error {
		item := document("a")
		item.Body = json.RawMessage(text)
		return func() error { return file.Table().Put(t.Context(), item) }
	}
	ends := together(t, file, put("1"), put("2"))
	if ends[0] != nil {
		t.Error(ends[0])
	}
	wantKind(t, ends[1], release.Conflict)
	if item, err := file.Table().Get(t.Context(), document("a").Key); err != nil || string(item.Body) != "1" {
		t.Errorf("got %s (%v), want 1", item.Body, err)
	}
}

// What a refusal is judged by may be a write that never reaches the disk: "it
// exists" would then be the answer to a delivery of which nothing is kept.
func TestARefusalIsNotToldWhenWhatItIsJudgedByIsLost(t *testing.T) {
	file, err := open(newPath(t), 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	large := checkpoint("a")
	large.StateInput = json.RawMessage(`"` + strings.Repeat("x", 200_000) + `"`)
	ends := together(t, file,
		func() error { return file.Executions().Create(t.Context(), large) },
		func() error { return file.Executions().Create(t.Context(), checkpoint("a")) })
	wantKind(t, ends[0], release.Transient)
	wantKind(t, ends[1], release.Transient)
}

func TestAChangeWhoseWriteFailsTakesNoOtherWithIt(t *testing.T) {
	file := mustOpen(t, newPath(t))
	broken := errors.New("broken")
	half := func() error {
		return file.update(func(tx *bbolt.Tx) (func() error, error) {
			return func() error {
				return errors.Join(tx.Bucket(bucketDocuments).Put([]byte("half"), []byte("done")), broken)
			}, nil
		})
	}
	put := func(name string) func() error {
		return func() error { return file.Table().Put(t.Context(), document(name)) }
	}
	ends := together(t, file, put("a"), half, put("b"))
	if !errors.Is(ends[1], broken) || ends[0] != nil || ends[2] != nil {
		t.Errorf("the changes end with %v", ends)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := file.Table().Get(t.Context(), document(name).Key); err != nil {
			t.Error(err)
		}
	}
	err := file.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketDocuments).Get([]byte("half")) != nil {
			t.Error("half of a change was kept")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkPut stores documents, by one caller and by 32 at once.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			file, err := Open(filepath.Join(b.TempDir(), "tagboat.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			var next atomic.Int64
			var running sync.WaitGroup
			b.ResetTimer()
			for range callers {
				running.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if err := file.Table().Put(b.Context(), document(fmt.Sprint(n))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			running.Wait()
		})
	}
}
