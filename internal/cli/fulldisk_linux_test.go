package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/tagboat/tagboat/internal/demo"
)

// narrow is a place for a state file that is soon full.
type narrow struct {
	dir string
	// shell is what the process is run by, so that it is short of space.
	shell []string
	// widen gives it space, p while it runs.
	widen func(t *testing.T, p *process)
}

// limited is a limit on the size of files.
func limited(t *testing.T) narrow {
	return narrow{
		dir: t.TempDir(), shell: []string{"sh", "-c", `ulimit -S -f 1024; exec "$0" "$@"`}, // 512 KB
		widen: allow,
	}
}

// allow lets a process write files of any size.
func allow(t *testing.T, p *process) {
	t.Helper()
	const fileSize = 1 // RLIMIT_FSIZE
	unlimited := syscall.Rlimit{Cur: ^uint64(0), Max: ^uint64(0)}
	_, _, failed := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.cmd.Process.Pid), fileSize, uintptr(unsafe.Pointer(&unlimited)), 0, 0, 0)
	if failed != 0 {
		t.Fatal(failed)
	}
}

// disk is a small disk of its own, which takes the rights of root.
func disk(t *testing.T) narrow {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tagboat-test", dir, "tmpfs", 0, "size=1m"); errors.Is(err, syscall.EPERM) {
		t.Skip("a disk cannot be mounted here; the limit on the size of files stands for it")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return narrow{dir: dir, widen: func(t *testing.T, _ *process) {
		t.Helper()
		if err := syscall.Mount("tagboat-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
	}}
}

// While the state file cannot grow, nothing more is acknowledged and what was is
// there, after a SIGKILL too; the log says why and what to do. With space again,
// everything goes on by itself.
func TestServeOutlivesAFullDisk(t *testing.T) {
	for _, test := range []struct {
		name   string
		place  func(*testing.T) narrow
		killed bool
	}{
		{"a limit on the size of files", limited, false},
		{"a full disk", disk, false},
		{"a full disk, and a SIGKILL", disk, true},
	} {
		t.Run(test.name, func(t *testing.T) { fillDisk(t, test.place(t), test.killed) })
	}
}

func fillDisk(t *testing.T, place narrow, killed bool) {
	newBuckets(t)
	h := refusing()
	gh := httptest.NewServer(h)
	defer gh.Close()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	args := []string{"--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(place.dir, "state.db")}
	p := startProcess(t, env, place.shell, args...)
	l := &load{url: p.url, push: h.Push(h.Repository(demo.RepositoryName), "v1.0.0"), refused: map[string]int{}}
	untilFull(t, l)
	wantReported(t, p)
	if killed {
		p.end(t, syscall.SIGKILL)
		p = startProcess(t, env, place.shell, args...)
		l.url = p.url
	}
	if got := p.status(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz answers %d: the process runs, it should not be ended", got)
	}
	wantKnown(t, p, l.releases)

	place.widen(t, p)
	before := len(l.releases)
	l.deliver(impatient)
	if len(l.releases) != before+1 || len(l.wrong) > 0 {
		t.Errorf("with space again, a delivery is answered with %v %v", l.refused, l.wrong)
	}
	for _, id := range l.releases {
		mustEnd(t, p, id)
	}
	p.end(t, syscall.SIGTERM)
	wantKnown(t, startProcess(t, env, nil, args...), l.releases)
}

// wantReported wants the log to say of a delivery, and of nothing else than what
// could not be written, why it was not taken and what to do.
func wantReported(t *testing.T, p *process) {
	t.Helper()
	told := map[string]bool{}
	for line := range strings.Lines(p.logged(t)) {
		var entry struct{ Level, Msg, Error, Next string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log has %q: %v", line, err)
		}
		if entry.Level != "ERROR" {
			continue
		}
		told[entry.Msg] = true
		if !strings.Contains(entry.Error, "cannot grow") || !strings.Contains(entry.Next, "Free space") {
			t.Errorf("the log tells an error without why and what to do: %s", line)
		}
	}
	if !told["a request could not be recorded"] {
		t.Errorf("the log does not say that a request could not be recorded: %s", p.logged(t))
	}
}

// untilFull delivers until that is refused many times in a row; nothing but releases and requests to come again are answered.
func untilFull(t *testing.T, l *load) {
	t.Helper()
	for refused := 0; refused < 20; {
		before := len(l.releases)
		l.deliver(impatient)
		if len(l.wrong) > 0 {
			t.Fatalf("after %d releases a delivery is answered with %s", len(l.releases), l.wrong[0])
		}
		if refused++; len(l.releases) > before {
			refused = 0
		}
	}
	if len(l.releases) == 0 {
		t.Fatal("nothing was acknowledged before the disk was full")
	}
	t.Logf("%d releases were acknowledged before the disk was full", len(l.releases))
}
