package artifact_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// maxStagingMemory is how much may be resident while 250 MB are staged, in KiB.
const maxStagingMemory = 96 << 10

const (
	envLargeKind = "TAGBOAT_TEST_LARGE_KIND"
	envLargeURL  = "TAGBOAT_TEST_LARGE_URL"
	largeCommit  = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
)

// TestStagingALargeArtifactStreams stages 250 MB in a process of its own, with
// the real clients of GitHub and S3 over sockets.
func TestStagingALargeArtifactStreams(t *testing.T) {
	if testing.Short() || raceDetector || runtime.GOOS != "linux" {
		t.Skip("measures resident memory, on Linux, without the race detector")
	}
	for _, kind := range []string{"directory of a repository", "dropped object"} {
		t.Run(kind, func(t *testing.T) {
			remote := &largeRemote{received: map[string]string{}}
			server := httptest.NewServer(remote)
			defer server.Close()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStageLargeInChild$", "-test.v")
			child.Env = append(os.Environ(), envLargeKind+"="+kind, envLargeURL+"="+server.URL, "TMPDIR="+t.TempDir())
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			match := regexp.MustCompile(`peak ([0-9]+) KiB`).FindSubmatch(out)
			if match == nil {
				t.Fatalf("the child told no peak:\n%s", out)
			}
			peak, err := strconv.Atoi(string(match[1]))
			if err != nil || peak > maxStagingMemory {
				t.Errorf("staging took %d KiB of resident memory, want at most %d", peak, maxStagingMemory)
			}
			t.Logf("peak %.1f MiB", float64(peak)/1024)
			if problem := remote.check(); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// TestStageLargeInChild is the child's part.
func TestStageLargeInChild(t *testing.T) {
	kind, address := os.Getenv(envLargeKind), os.Getenv(envLargeURL)
	if kind == "" {
		t.Skip("the child of TestStagingALargeArtifactStreams")
	}
	stager := remoteStager(t, address)
	rel := &release.Release{App: "orders", Source: release.Source{RepositoryID: repoID, Repository: "acme/orders", Tag: "v1", Commit: largeCommit}}
	wanted := artifact.Wanted{
		Name: "deps", Spec: release.ArtifactSpec{Archive: "layer"}, Layers: []release.LayerSpec{layer}, Buckets: bothRegions,
	}
	if kind == "dropped object" {
		rel.Source = release.Source{Bucket: uploadsBucket, Key: "drops/orders/deps/1.zip", VersionID: "1"}
		rel.Request.Artifact, wanted.Spec = "deps", release.ArtifactSpec{Object: "1.zip"}
	}
	got, err := stager.Stage(t.Context(), rel, wanted)
	if err != nil {
		t.Fatal(err)
	}
	if got.Unzipped != largeSize || len(got.Objects) != 2 {
		t.Errorf("got %+v, want %d bytes in two regions", got, largeSize)
	}
	t.Logf("peak %d KiB", peakRSS(t))
}

// remoteStager calls GitHub and S3 at one address.
func remoteStager(t *testing.T, address string) *artifact.Stager {
	t.Helper()
	client, err := ghapi.New(ghapi.Config{BaseURL: address + "/api/v3", Token: ghapi.StaticToken("token")})
	if err != nil {
		t.Fatal(err)
	}
	in := func(region string) artifact.API {
		return s3.New(s3.Options{
			Region: region, BaseEndpoint: aws.String(address), UsePathStyle: true,
			Credentials: credentials.NewStaticCredentialsProvider("key", "no secret", ""),
		})
	}
	return &artifact.Stager{Source: &artifact.Source{GitHub: client, Uploads: in(home)}, S3: in}
}

// largeRemote is a GitHub with one repository and an S3 that forgets what it
// receives but for its digest.
type largeRemote struct {
	mu       sync.Mutex
	received map[string]string // path → sha256 in hex
	problems []string
}

func (l *largeRemote) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch {
	case strings.Contains(r.URL.Path, "/tarball/"):
		l.note(writeLargeTarball(rw))
	case strings.HasPrefix(r.URL.Path, "/api/v3/"):
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"id": %d, "full_name": "acme/orders"}`, repoID)
	case r.Method == http.MethodGet:
		l.note(writeLargeZip(rw))
	case r.Method == http.MethodHead:
		rw.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPut:
		l.receive(rw, r)
	}
}

func (l *largeRemote) receive(rw http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	l.note(err)
	sum := hash.Sum(nil)
	if want := r.Header.Get("X-Amz-Checksum-Sha256"); want != base64.StdEncoding.EncodeToString(sum) || n != r.ContentLength {
		l.note(fmt.Errorf("%s: got %d bytes with another sha256 than %q", r.URL.Path, n, want))
	}
	rw.Header().Set("X-Amz-Version-Id", "1")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received[r.URL.Path] = fmt.Sprintf("%x", sum)
}

func (l *largeRemote) note(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, err.Error())
}

// check says what went wrong; nothing if every bucket has the object under its digest.
func (l *largeRemote) check() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.problems) > 0 {
		return strings.Join(l.problems, "\n")
	}
	for _, bucket := range bothRegions {
		found := false
		for path, sum := range l.received {
			found = found || path == "/"+bucket+"/"+artifact.StagedKey("orders", sum)
		}
		if !found {
			return fmt.Sprintf("bucket %q did not receive the object: %v", bucket, l.received)
		}
	}
	return ""
}
