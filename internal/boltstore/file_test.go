package boltstore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/asl/storetest"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/ledger/ledgertest"
	"github.com/tagboat/tagboat/internal/release"
)

func TestTable(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledger.Table { return mustOpen(t, newPath(t)).Table() })
}

func TestExecutions(t *testing.T) {
	storetest.Run(t, func(t *testing.T) asl.Store { return mustOpen(t, newPath(t)).Executions() })
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "tagboat.db") }

func mustOpen(t *testing.T, path string) *File {
	t.Helper()
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return file
}

func document(sort string) ledger.Item {
	return ledger.Item{Key: ledger.Key{Partition: "p", Sort: sort}, Body: json.RawMessage(`"` + strings.Repeat(sort, 50) + `"`)}
}

func checkpoint(name string) asl.Checkpoint {
	return asl.Checkpoint{
		Execution: asl.Execution{Name: name, Status: asl.StatusRunning, State: "Admit", Input: json.RawMessage(`{}`)},
		LastEvent: 1, Events: []asl.Event{{ID: 1, Type: asl.ExecutionStarted}},
	}
}

// fill stores documents d0 to d(n-1), and as many executions.
func fill(t *testing.T, file *File, n int) {
	t.Helper()
	for i := range n {
		if err := file.Table().Put(t.Context(), document(fmt.Sprintf("d%d", i))); err != nil {
			t.Fatal(err)
		}
		if err := file.Executions().Create(t.Context(), checkpoint(fmt.Sprintf("e%d", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// content is all that fill stored, as text.
func content(ctx context.Context, file *File) (string, error) {
	items, err := file.Table().Query(ctx, "p", "", ledger.Page{})
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%+v\n", items)
	names, err := file.Executions().Unfinished(ctx)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		c, err := file.Executions().Load(ctx, name)
		if err != nil {
			return "", err
		}
		events, err := file.Executions().History(ctx, name)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("%+v %+v\n", c, events)
	}
	return text, nil
}

func mustContent(t *testing.T, file *File) string {
	t.Helper()
	text, err := content(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// filled is a closed file with its content and its bytes.
func filled(t *testing.T) (path, text string, raw []byte) {
	t.Helper()
	path = newPath(t)
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, file, 20)
	text = mustContent(t, file)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, text, raw
}

func wantKind(t *testing.T, err error, want release.Kind) {
	t.Helper()
	if err == nil || release.KindOf(err) != want {
		t.Errorf("error of kind %s, want %s: %v", release.KindOf(err), want, err)
	}
}

func TestAFileThatIsOpenedAgainHasAllThatWasStored(t *testing.T) {
	path, text, _ := filled(t)
	if got := mustContent(t, mustOpen(t, path)); got != text {
		t.Errorf("got %s\nwant %s", got, text)
	}
}

func TestAFileThatIsOpenInAnotherProcessIsRefused(t *testing.T) {
	path := newPath(t)
	mustOpen(t, path)
	_, err := Open(path)
	wantKind(t, err, release.Conflict)
}

func TestAClosedFileAnswersWithErrors(t *testing.T) {
	file, err := Open(newPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, file.Table().Put(t.Context(), document("a")), release.Internal)
	_, err = file.Executions().Load(t.Context(), "a")
	wantKind(t, err, release.Internal)
}

func TestWhatIsNotAStateFileIsRefusedAndNotChanged(t *testing.T) {
	database := func(change func(*bbolt.Tx) error) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(change), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := func(s string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name string
		make func(t *testing.T, path string)
	}{
		{"a short text", text("organization: o-abc\n")},
		{"a long text", text(strings.Repeat("organization: o-abc\n", 5000))},
		{"a database of another program", database(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("settings"))
			return err
		})},
		{"a state file of another version", database(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucket(bucketFormat)
			if err != nil {
				return err
			}
			return bucket.Put(keyFormat, []byte("tagboat state 2"))
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			test.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(path)
			wantKind(t, err, release.Invalid)
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed, or: %v", err)
			}
		})
	}
	t.Run("a directory", func(t *testing.T) {
		_, err := Open(t.TempDir())
		wantKind(t, err, release.Invalid)
	})
}

func TestAFileWhoseDirectoryIsMissingIsReported(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none", "tagboat.db"))
	wantKind(t, err, release.Invalid)
	if remedy := release.RemedyOf(err); !strings.Contains(remedy, "mkdir -p ") {
		t.Errorf("the remedy is %q", remedy)
	}
}

func TestAnEmptyFileAndOneOfACrashAtTheFirstStartAreTakenUp(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path)
	if !f.Made() {
		t.Error("nothing tells that the file is new")
	}
	fill(t, f, 1)

	path = newPath(t)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, mustOpen(t, path), 1)
}

func TestAFileThatWasCutOffIsReported(t *testing.T) {
	_, _, raw := filled(t)
	for _, size := range []int{1, 100, 4096, 4097, 8192, 3 * 4096, 5*4096 + 1} {
		path := newPath(t)
		if err := os.WriteFile(path, raw[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err == nil {
			t.Errorf("a file cut off after %d of %d bytes was opened", size, len(raw))
			_ = file.Close()
		}
	}
}

// A byte that is wrong is either reported, when the file is opened, or one that nothing depends on.
func TestAWrongByteAnywhereIsNeverReadAsTruth(t *testing.T) {
	_, text, raw := filled(t)
	dir := t.TempDir()
	reported := 0
	for at := 0; at < len(raw); at += 61 {
		wrong := bytes.Clone(raw)
		wrong[at] ^= 1 << (at % 8)
		path := filepath.Join(dir, strconv.Itoa(at))
		if err := os.WriteFile(path, wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			reported++
			continue
		}
		got, err := content(t.Context(), file)
		if err == nil && got != text {
			t.Errorf("byte %d: got %s\nwant %s", at, got, text)
		}
		if err := file.Close(); err != nil {
			t.Errorf("byte %d: closing: %v", at, err)
		}
	}
	if reported == 0 {
		t.Error("nothing was reported")
	}
}

// A page that was overwritten is reported when the file is opened; but for free
// ones, which nothing depends on.
func TestAPageThatIsOverwrittenIsReported(t *testing.T) {
	_, text, raw := filled(t)
	free := freePages(t, raw)
	page := os.Getpagesize()
	if pages := len(raw) / page; len(free) > pages-5 {
		t.Fatalf("%d of %d pages are free: too few are left to overwrite", len(free), pages)
	}
	path := newPath(t)
	for _, filler := range []byte{0, 0xff, 'x'} {
		for at := 0; at < len(raw); at += page {
			wrong := bytes.Clone(raw)
			copy(wrong[at:at+page], bytes.Repeat([]byte{filler}, page))
			_ = os.Remove(path) // a damaged one may still be locked
			if err := os.WriteFile(path, wrong, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := reopened(t, path)
			switch {
			case free[at/page] && (err != nil || got != text):
				t.Errorf("free page %d filled with %#x: %v, got %s\nwant %s", at/page, filler, err, got, text)
			case !free[at/page] && (err == nil || !strings.Contains(err.Error(), path)):
				t.Errorf("page %d filled with %#x: got %v, want it reported, with the file's name", at/page, filler, err)
			case !free[at/page]:
				if kind := release.KindOf(err); kind != release.Internal && kind != release.Invalid || release.RemedyOf(err) == "" {
					t.Errorf("page %d filled with %#x: got the kind %s and the next step %q: %v", at/page, filler, kind, release.RemedyOf(err), err)
				}
			}
		}
	}
}

// reopened is the content of a file, or what is wrong with it.
func reopened(t *testing.T, path string) (string, error) {
	t.Helper()
	file, err := Open(path)
	if err != nil {
		return "", err
	}
	text, err := content(t.Context(), file)
	if err != nil {
		t.Errorf("the file was opened, and then: %v", err)
	}
	return text, errors.Join(err, file.Close())
}

// freePages are those of a file that nothing is kept in, as bbolt's own tool tells them.
func freePages(t *testing.T, raw []byte) map[int]bool {
	t.Helper()
	path := newPath(t)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	free := map[int]bool{}
	err = db.View(func(tx *bbolt.Tx) error {
		for id := range len(raw) / os.Getpagesize() {
			page, err := tx.Page(id)
			if err != nil {
				return err
			}
			if page == nil || page.Type == "free" {
				free[id] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return free
}

func TestAFullDiskIsReportedAndLosesNothing(t *testing.T) {
	path := newPath(t)
	file, err := open(path, 256<<10)
	if err != nil {
		t.Fatal(err)
	}
	var stored []ledger.Item
	for i := 0; err == nil; i++ {
		item := document(fmt.Sprintf("d%d", i))
		item.Body = json.RawMessage(`"` + strings.Repeat("x", 10_000) + `"`)
		if err = file.Table().Put(t.Context(), item); err == nil {
			stored = append(stored, item)
		}
	}
	wantKind(t, err, release.Transient)
	if release.RemedyOf(err) == "" || len(stored) == 0 {
		t.Errorf("%d documents were stored, then: %v (remedy %q)", len(stored), err, release.RemedyOf(err))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	table := mustOpen(t, path).Table()
	for _, item := range stored {
		if _, err := table.Get(t.Context(), item.Key); err != nil {
			t.Error(err)
		}
	}
	if err := table.Put(t.Context(), document("after")); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

// writeUntilKilled is the path of the file that this process, run by the test below, writes to.
const writeUntilKilled = "BOLTSTORE_WRITE_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if path := os.Getenv(writeUntilKilled); path != "" {
		fmt.Println(writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver prints the number of each document once it is acknowledged.
func writeForEver(path string) error {
	file, err := Open(path)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if err := file.Table().Put(context.Background(), document(strconv.Itoa(i))); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

func TestWhatWasAcknowledgedBeforeAKillIsThere(t *testing.T) {
	path := newPath(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writeUntilKilled+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(300*time.Millisecond, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	last := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the writer said %q", lines.Text())
		}
		last = n
	}
	_ = cmd.Wait() // it was killed
	table := mustOpen(t, path).Table()
	for i := range last + 1 {
		if _, err := table.Get(t.Context(), document(strconv.Itoa(i)).Key); err != nil {
			t.Errorf("document %d of %d: %v", i, last+1, err)
		}
	}
	if last < 0 {
		t.Error("nothing was acknowledged before the kill")
	}
}
