package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

var loadTime = flag.Duration("load", 2*time.Second, "how long the load tests send")

const (
	senders = 64
	// maxMemory is what serve may have resident, in bytes: about 40 KB for each
	// unfinished release, of which there are 5,000 at most, the few requests and
	// tasks at a time, and as much again for what the garbage collector leaves.
	maxMemory = 512 << 20
)

// load sends signed pushes of new tags over many connections.
type load struct {
	url  string
	push github.Delivery
	n    atomic.Int64

	mu       sync.Mutex
	releases []string
	waits    []time.Duration
	refused  map[string]int // by their reason
	wrong    []string
}

// send sends as fast as it is answered.
func (l *load) send(t *testing.T, d time.Duration) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}, Timeout: longest}
	defer client.CloseIdleConnections()
	end := time.Now().Add(d)
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			for time.Now().Before(end) {
				l.deliver(client)
			}
		})
	}
	running.Wait()
	if len(l.wrong) > 0 {
		t.Fatalf("%d deliveries went wrong; the first: %s", len(l.wrong), l.wrong[0])
	}
	slices.Sort(l.waits)
}

func (l *load) deliver(client *http.Client) {
	d := l.numbered(l.n.Add(1))
	req, err := d.Request(l.url + "/webhooks/github")
	if err != nil {
		l.fault(err.Error())
		return
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		l.fault(err.Error())
		return
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	l.judge(resp.StatusCode, resp.Header.Get("Retry-After"), text, time.Since(began))
}

// numbered is the push of a tag of its own.
func (l *load) numbered(n int64) github.Delivery {
	d := l.push
	d.GUID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	d.Body = bytes.ReplaceAll(d.Body, []byte("v1.0.0"), fmt.Appendf(nil, "v2.0.%d", n))
	d.Signature = github.Sign(demo.Secret, d.Body)
	return d
}

// judge wants either a release, or to be asked to come again.
func (l *load) judge(status int, retryAfter string, text []byte, took time.Duration) {
	var answer release.Answer
	err := json.Unmarshal(text, &answer)
	busy := status == http.StatusServiceUnavailable && retryAfter != "" && answer.Code == release.CodeOverloaded
	if started := status == http.StatusAccepted && len(answer.Releases) == 1; err != nil || !started && !busy {
		l.fault(fmt.Sprintf("%d %s", status, text))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if busy {
		l.refused[answer.Reason]++
		return
	}
	l.releases = append(l.releases, answer.Releases[0])
	l.waits = append(l.waits, took)
}

func (l *load) fault(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, what)
}

func (l *load) percentile(p int) time.Duration {
	return l.waits[(len(l.waits)-1)*p/100].Round(100 * time.Microsecond)
}

// TestLoad sends signed webhooks at the machine's full rate. What was answered
// with 202 is there after a SIGKILL and ends, whatever is too much is told when
// to come again, and the memory is bounded.
//
//	go test ./internal/cli -run TestLoad -v -load 30s
func TestLoad(t *testing.T) {
	for _, test := range []struct {
		name string
		away bool
	}{{"while GitHub answers", false}, {"while GitHub hangs and no release ends", true}} {
		t.Run(test.name, func(t *testing.T) {
			s := newStrained(t, test.away)
			l := s.load(t)
			sent := *loadTime
			l.send(t, sent)
			for ; test.away && len(l.refused) < 2 && sent < 10**loadTime; sent += *loadTime {
				l.send(t, *loadTime) // a busy machine comes later to the limit
			}
			memory := s.killed(t, l)
			t.Logf("%s: %d acknowledged, %.0f a second, in %v (median) to %v (99%%); refused: %v; %d MB at most",
				sent, len(l.releases), float64(len(l.releases))/sent.Seconds(), l.percentile(50), l.percentile(99), l.refused, memory>>20)
		})
	}
}

// TestLoadByWrk is TestLoad with another sender, wrk, where that is installed.
func TestLoadByWrk(t *testing.T) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		t.Skip("wrk is not installed; TestLoad sends the same")
	}
	s := newStrained(t, false)
	l := s.load(t)
	folder := t.TempDir()
	l.signAll(t, folder, int(signedAhead*loadTime.Seconds()))
	out, err := exec.CommandContext(t.Context(), wrk, "--threads", "2", "--connections", strconv.Itoa(senders), "--duration", loadTime.String(),
		"--timeout", "30s", "--latency", "--script", "testdata/load.lua", s.process.url+"/webhooks/github", "--", folder, "2").CombinedOutput()
	if err != nil {
		t.Fatalf("wrk: %v: %s", err, out)
	}
	again := l.answered(t, folder)
	memory := s.killed(t, l)
	t.Logf("%s of wrk: %d acknowledged, %.0f a second; refused: %v; %d came again; %d MB at most\n%s",
		*loadTime, len(l.releases), float64(len(l.releases))/loadTime.Seconds(), l.refused, again, memory>>20, out)
}

// signedAhead is how many pushes for each second are signed before wrk sends
// them; what it sends beyond them is a push that it sent before.
const signedAhead = 5000

// signAll writes down the body of a push and the signatures of n of them.
func (l *load) signAll(t *testing.T, folder string, n int) {
	t.Helper()
	var signatures bytes.Buffer
	for n := range int64(n) {
		fmt.Fprintf(&signatures, "%d %s\n", n, l.numbered(n).Signature)
	}
	err := errors.Join(os.WriteFile(filepath.Join(folder, "signatures"), signatures.Bytes(), 0o600),
		os.WriteFile(filepath.Join(folder, "body"), l.push.Body, 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// answered judges what wrk's threads wrote down; again is how many pushes were known.
func (l *load) answered(t *testing.T, folder string) (again int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "answers.*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("wrk wrote the answers %q (%v), want those of two threads", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		for line := range bytes.Lines(whole) {
			var status int
			var retryAfter string
			if _, err := fmt.Sscan(string(line[:min(len(line), 40)]), &status, &retryAfter); err != nil {
				t.Fatalf("wrk wrote %q: %v", line, err)
			}
			if status == http.StatusOK && bytes.Contains(line, []byte(`"duplicate"`)) {
				again++
				continue
			}
			l.judge(status, strings.TrimPrefix(retryAfter, "-"), line[bytes.IndexByte(line, '{'):], 0)
		}
	}
	if len(l.wrong) > 0 {
		t.Fatalf("%d deliveries went wrong; the first: %s", len(l.wrong), l.wrong[0])
	}
	return again
}

// strained is a serve process under load.
type strained struct {
	*process
	hub  *hub
	env  map[string]string
	args []string
	// away: GitHub hangs, and limit is how many releases may be under way.
	away  bool
	limit int
}

func newStrained(t *testing.T, away bool) *strained {
	newBuckets(t)
	s := &strained{hub: refusing(), env: secrets(), away: away, limit: int(50 * loadTime.Seconds())}
	gh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away {
			<-r.Context().Done()
			return
		}
		s.hub.ServeHTTP(w, r)
	}))
	t.Cleanup(gh.Close)
	t.Cleanup(gh.CloseClientConnections)
	s.env["GITHUB_API_URL"] = gh.URL
	s.args = []string{"--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db")}
	if away {
		s.args = append(s.args, "--max-unfinished", fmt.Sprint(s.limit))
	}
	s.process = startProcess(t, s.env, nil, s.args...)
	return s
}

func (s *strained) load(t *testing.T) *load {
	return &load{url: s.process.url, push: s.hub.Push(s.hub.Repository(demo.RepositoryName), "v1.0.0"), refused: map[string]int{}}
}

// killed kills the process after the load, starts it again, and wants what was
// acknowledged to be there and, where GitHub answers, to end. It gives the most
// memory that was resident.
func (s *strained) killed(t *testing.T, l *load) (memory int64) {
	t.Helper()
	if len(l.releases) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	if got := s.process.status(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz answers %d", got)
	}
	memory = s.process.memory(t)
	s.process.end(t, syscall.SIGKILL)
	s.process = startProcess(t, s.env, nil, s.args...)
	wantKnown(t, s.process, l.releases)
	if memory > maxMemory && !raceEnabled {
		t.Errorf("%d MB were resident, want at most %d", memory>>20, maxMemory>>20)
	}
	if !s.away {
		for _, id := range l.releases {
			mustEnd(t, s.process, id)
		}
	} else if len(l.refused) < 2 || len(l.releases) > s.limit+senders {
		t.Errorf("%d releases were acknowledged and others refused by %v, want about %d and the reason", len(l.releases), l.refused, s.limit)
	}
	return memory
}
