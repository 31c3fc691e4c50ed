package cli

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/tagboat/tagboat/internal/demo"
)

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

// A limit on the size of files stands for a full disk: writes to the state file
// fail, and go on failing, until it is lifted.
func TestServeOutlivesAFullDisk(t *testing.T) {
	newBuckets(t)
	h := newHub()
	gh := httptest.NewServer(h)
	defer gh.Close()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	args := []string{"--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db")}
	p := startProcess(t, env, []string{"sh", "-c", `ulimit -S -f 1024; exec "$0" "$@"`}, args...) // 512 KB

	l := &load{url: p.url, push: h.Push(h.Repository(demo.RepositoryName), "v1.0.0"), refused: map[string]int{}}
	untilFull(t, l)
	if got := p.status(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz answers %d", got)
	}
	for _, id := range l.releases {
		if got := p.status(t, "/releases/"+id); got != http.StatusOK {
			t.Errorf("with the disk full, acknowledged release %s is answered with %d", id, got)
		}
	}
	allow(t, p)
	before := len(l.releases)
	l.deliver(http.DefaultClient)
	if len(l.releases) != before+1 || len(l.wrong) > 0 {
		t.Errorf("with space again, a delivery is answered with %v %v", l.refused, l.wrong)
	}
	for _, id := range l.releases {
		mustEnd(t, p, id)
	}
	p.end(t, syscall.SIGTERM)
}

// untilFull delivers until that is refused for good; nothing but releases and requests to come again are answered.
func untilFull(t *testing.T, l *load) {
	t.Helper()
	refused := 0
	for before := -1; refused < 20; before = len(l.releases) {
		if len(l.releases) == before {
			refused++
		}
		l.deliver(http.DefaultClient)
		if len(l.wrong) > 0 {
			t.Fatalf("after %d releases a delivery is answered with %s", len(l.releases), l.wrong[0])
		}
	}
	if len(l.releases) == 0 {
		t.Fatal("nothing was acknowledged before the disk was full")
	}
}

// mustEnd waits until a release has ended; it stopped because its state could
// not be written and goes on by itself.
func mustEnd(t *testing.T, p *process, id string) {
	t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for {
		state := p.state(t, id)
		if state.Ended() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("release %s is still %s: %s", id, state, p.logged(t))
		}
		time.Sleep(100 * time.Millisecond)
	}
}
