package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
)

func TestADamagedStateFileIsRefusedAndNotChanged(t *testing.T) {
	newBuckets(t)
	state := filepath.Join(t.TempDir(), "state.db")
	args := []string{"serve", "--listen", "127.0.0.1:0", "--registry", registryFile(t), "--bucket", "tagboat-state", "--state", state}
	h := newHub()
	p := startProcess(t, secrets(), nil, args[3:]...)
	id := deliver(t, p.url, h.Push(h.Repository(demo.RepositoryName), "v1.0.0"))
	p.end(t, syscall.SIGKILL)
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"a byte of a release's record is wrong": bytes.ReplaceAll(whole, []byte(`"version":"1.0.0"`), []byte(`"version":"1.0.1"`)),
		"the end is cut off":                    whole[:3*os.Getpagesize()], // bbolt's smallest file has four pages in use
		"the beginning is overwritten":          append(bytes.Repeat([]byte{0}, 4096), whole[4096:]...),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(state, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := itself(t, secrets(), nil, args...)
			defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop() // it serves what it should refuse
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitRefused || stdout.Len() > 0 {
				t.Errorf("serve ends with %v and says %q, want exit code %d", err, &stdout, exitRefused)
			}
			for _, want := range []string{"state file", state, "is damaged: ", "\n  next: ", "backup"} {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("serve says %q, want %q in it", &stderr, want)
				}
			}
			if after, err := os.ReadFile(state); err != nil || !bytes.Equal(after, damaged) {
				t.Errorf("the file was changed, or: %v", err)
			}
		})
	}
	if err := os.WriteFile(state, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := startProcess(t, secrets(), nil, args[3:]...).status(t, "/releases/"+id); got != 200 {
		t.Errorf("with the copy restored, release %s is answered with %d", id, got)
	}
}
