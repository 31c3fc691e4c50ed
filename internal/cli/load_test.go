package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
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
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
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
	n := l.n.Add(1)
	d := l.push
	d.GUID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	d.Body = bytes.ReplaceAll(d.Body, []byte("v1.0.0"), fmt.Appendf(nil, "v2.0.%d", n))
	d.Signature = github.Sign(demo.Secret, d.Body)
	req, err := http.NewRequest(http.MethodPost, l.url+"/webhooks/github", bytes.NewReader(d.Body))
	if err != nil {
		l.fault(err.Error())
		return
	}
	maps.Copy(req.Header, d.Header())
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		l.fault(err.Error())
		return
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	l.judge(resp, text, time.Since(began))
}

// judge wants either a release, or to be asked to come again.
func (l *load) judge(resp *http.Response, text []byte, took time.Duration) {
	var answer release.Answer
	err := json.Unmarshal(text, &answer)
	busy := resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "" && answer.Code == release.CodeOverloaded
	if started := resp.StatusCode == http.StatusAccepted && len(answer.Releases) == 1; err != nil || !started && !busy {
		l.fault(fmt.Sprintf("%d %s", resp.StatusCode, text))
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
// with 202 is there after a SIGKILL, whatever is too much is told when to come
// again, and the memory is bounded.
//
//	go test ./internal/cli -run TestLoad -v -load 30s
func TestLoad(t *testing.T) {
	for _, test := range []struct {
		name string
		away bool
	}{{"while GitHub answers", false}, {"while GitHub hangs and no release ends", true}} {
		t.Run(test.name, func(t *testing.T) { sendLoad(t, test.away) })
	}
}

func sendLoad(t *testing.T, away bool) {
	newBuckets(t)
	h := newHub()
	gh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away {
			<-r.Context().Done()
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer gh.Close()
	defer gh.CloseClientConnections()
	env := secrets()
	env["GITHUB_API_URL"] = gh.URL
	args := []string{"--registry", registryFile(t), "--bucket", "tagboat-state", "--state", filepath.Join(t.TempDir(), "state.db")}
	limit := int(50 * loadTime.Seconds())
	if away {
		args = append(args, "--max-unfinished", fmt.Sprint(limit))
	}
	p := startProcess(t, env, nil, args...)
	l := &load{url: p.url, push: h.Push(h.Repository(demo.RepositoryName), "v1.0.0"), refused: map[string]int{}}
	l.send(t, *loadTime)
	if len(l.releases) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	if got := p.status(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz answers %d", got)
	}
	memory := p.memory(t)
	p.end(t, syscall.SIGKILL)

	p = startProcess(t, env, nil, args...)
	for _, id := range l.releases {
		if got := p.status(t, "/releases/"+id); got != http.StatusOK {
			t.Errorf("release %s was acknowledged and is answered with %d", id, got)
		}
	}
	t.Logf("%s: %d acknowledged, %.0f a second, in %v (median) to %v (99%%); refused: %v; %d MB at most",
		*loadTime, len(l.releases), float64(len(l.releases))/loadTime.Seconds(), l.percentile(50), l.percentile(99), l.refused, memory>>20)
	if memory > maxMemory && !raceEnabled {
		t.Errorf("%d MB were resident, want at most %d", memory>>20, maxMemory>>20)
	}
	if away && (len(l.refused) < 2 || len(l.releases) > limit+senders) {
		t.Errorf("%d releases were acknowledged and others refused by %v, want about %d and the reason", len(l.releases), l.refused, limit)
	}
}
