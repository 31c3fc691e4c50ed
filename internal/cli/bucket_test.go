package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// buckets is an S3, as far as serve goes: versions of whole objects. Everything
// else that AWS has is refused.
type buckets struct {
	mu      sync.Mutex
	exist   map[string]bool // versioned?
	objects map[string][][]byte
}

// newBuckets serves buckets at AWS_ENDPOINT_URL: tagboat-state and
// tagboat-registries are versioned, tagboat-plain is not.
func newBuckets(t *testing.T) *buckets {
	t.Helper()
	b := &buckets{
		exist:   map[string]bool{"tagboat-state": true, "tagboat-staging-999999999999-eu-west-1": true, "tagboat-registries": true, "tagboat-plain": false},
		objects: map[string][][]byte{},
	}
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	return b
}

func (b *buckets) put(path, content string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[path] = append(b.objects[path], []byte(content))
}

func (b *buckets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	versioned, exists := b.exist[bucket]
	switch {
	case bucket == "": // STS, Lambda and the others
		refuse(w, http.StatusForbidden, "AccessDenied")
	case !exists:
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	case key == "" && r.URL.Query().Has("versioning"):
		if versioned {
			fmt.Fprint(w, `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
			return
		}
		fmt.Fprint(w, `<VersioningConfiguration/>`)
	case r.Method == http.MethodPut:
		content, _ := io.ReadAll(r.Body)
		b.put(bucket+"/"+key, string(content))
		w.Header().Set("x-amz-version-id", b.version(bucket+"/"+key))
	default:
		b.get(w, r, bucket+"/"+key)
	}
}

func (b *buckets) version(path string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("v%d", len(b.objects[path]))
}

func (b *buckets) get(w http.ResponseWriter, r *http.Request, path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	versions := b.objects[path]
	n := len(versions)
	if id := r.URL.Query().Get("versionId"); id != "" {
		_, _ = fmt.Sscanf(id, "v%d", &n) // else it is the newest
	}
	if n < 1 || n > len(versions) {
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("x-amz-version-id", fmt.Sprintf("v%d", n))
	_, _ = w.Write(versions[n-1])
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Error><Code>%s</Code><Message>refused</Message></Error>`, code)
}
