package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// longest is how long a test waits for anything at most, and lifetime how long
// a process of it lives: a test that hangs says where.
const (
	longest  = time.Minute
	lifetime = 5 * time.Minute
)

// impatient asks, and waits no longer than that.
var impatient = &http.Client{Timeout: longest}

// asCommand makes this test binary be tagboat itself.
const asCommand = "TAGBOAT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(Main(os.Args[1:], Process()))
	}
	os.Exit(m.Run())
}

// process is a tagboat serve of its own, that can be killed.
type process struct {
	cmd *exec.Cmd
	url string
	log string // the file that its log goes to
}

// itself is the command with an environment besides that of the test. Of a shell,
// its last words are the command: sh -c 'ulimit …; exec "$0" "$@"'.
func itself(t *testing.T, env map[string]string, shell []string, args ...string) *exec.Cmd {
	t.Helper()
	line := append(append([]string{}, shell...), append([]string{os.Args[0]}, args...)...)
	ctx, cancel := context.WithTimeout(t.Context(), lifetime+*loadTime)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// startProcess runs serve in a process until it is ready.
func startProcess(t *testing.T, env map[string]string, shell []string, args ...string) *process {
	t.Helper()
	p := &process{
		cmd: itself(t, env, shell, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...),
		log: filepath.Join(t.TempDir(), "log"),
	}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "tagboat is ready on ")
	if err != nil || !ready {
		t.Fatalf("serve says %q (%v): %s", line, err, p.logged(t))
	}
	p.url = url
	return p
}

func (p *process) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// end sends a signal and waits for the process's end.
func (p *process) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if signal == syscall.SIGKILL && errors.As(err, &exit) {
		err = nil
	}
	if err != nil {
		t.Errorf("serve ends with %v: %s", err, p.logged(t))
	}
}

// memory is the most that the process had resident, in bytes.
func (p *process) memory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("the system does not tell the memory of a process: ", err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kilobytes int64
	if _, err := fmt.Sscanf(string(after), "%d kB", &kilobytes); err != nil {
		t.Fatalf("VmHWM: %v", err)
	}
	return kilobytes << 10
}

// status is that of a GET.
func (p *process) status(t *testing.T, path string) int {
	t.Helper()
	resp, err := impatient.Get(p.url + path)
	if err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, p.logged(t))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the connection is used again
	return resp.StatusCode
}

// state is that of a release.
func (p *process) state(t *testing.T, id string) release.State {
	t.Helper()
	resp, err := impatient.Get(p.url + "/releases/" + id)
	if err != nil {
		t.Fatalf("release %s: %v: %s", id, err, p.logged(t))
	}
	defer resp.Body.Close()
	var view struct{ State release.State }
	if err := json.NewDecoder(resp.Body).Decode(&view); err != nil {
		t.Fatalf("release %s: %v", id, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return view.State
}

// wantKnown wants every acknowledged release to be there.
func wantKnown(t *testing.T, p *process, releases []string) {
	t.Helper()
	for _, id := range releases {
		if got := p.status(t, "/releases/"+id); got != http.StatusOK {
			t.Errorf("release %s was acknowledged and is answered with %d", id, got)
		}
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
