package ghapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

func TestFile(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name   string
			commit string
			path   string
			want   string
			kind   release.Kind
		}{
			{name: "a file is read at the commit", commit: w.first, path: "tagboat.yaml", want: "app: orders\n"},
			{name: "a file in a directory is read", commit: w.second, path: "src/app.py", want: "print('hello')\n"},
			{name: "a file with an odd name is read", commit: w.second, path: "src/a b%2F#?c", want: "odd\n"},
			{name: "a symlink to a file is that file", commit: w.second, path: "link.yaml", want: "app: orders\n"},
			{name: "a file of a later commit is not found", commit: w.first, path: "src/app.py", kind: release.NotFound},
			{name: "an unknown commit is not found", commit: strings.Repeat("a", 40), path: "tagboat.yaml", kind: release.NotFound},
			{name: "a directory is refused", commit: w.second, path: "src", kind: release.Invalid},
			{name: "a large file is refused", commit: w.second, path: "large", kind: release.Invalid},
			{name: "a file of just the limit is read", commit: w.second, path: "full", want: string(make([]byte, ghapi.MaxFile))},
			{name: "a path that climbs is refused", commit: w.second, path: "src/../../tags", kind: release.Invalid},
			{name: "an absolute path is refused", commit: w.second, path: "/tagboat.yaml", kind: release.Invalid},
			{name: "a branch instead of a commit is refused", commit: "main", path: "tagboat.yaml", kind: release.Invalid},
		} {
			t.Run(c.name, func(t *testing.T) {
				got, err := w.client.File(t.Context(), repoID, c.commit, c.path)
				if expect(t, err, c.kind) && string(got) != c.want {
					t.Errorf("got %d bytes %.40q, want %.40q", len(got), got, c.want)
				}
			})
		}
	})
}

func TestFileThatIsDescribedInsteadOfRaw(t *testing.T) {
	for _, c := range []struct {
		name, answer, want string
		kind               release.Kind
	}{
		{name: "a file's content is decoded", answer: `{"type":"file","encoding":"base64","content":"YXBwOiBv\nCg=="}`, want: "app: o\n"},
		{name: "a submodule is refused", answer: `{"type":"submodule"}`, kind: release.Invalid},
		{name: "a dangling symlink is refused", answer: `{"type":"symlink","target":"nowhere"}`, kind: release.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.server.OnRequest(on("/contents/", github.Fault{Status: 200, Body: c.answer}))
			got, err := w.client.File(t.Context(), repoID, w.first, "tagboat.yaml")
			if expect(t, err, c.kind) && string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTarball(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		body, err := w.client.Tarball(t.Context(), repoID, w.second)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		commit, entries := untar(t, body)
		if commit != w.second {
			t.Errorf("the archive names commit %q, want %q", commit, w.second)
		}
		top := "acme-orders-" + w.second[:7] + "/"
		for _, want := range []string{
			top + " 775 ",
			top + "bin/ 775 ",
			top + "bin/run 775 #!/bin/sh\n",
			top + "src/app.py 664 print('hello')\n",
			top + "link.yaml 777 -> tagboat.yaml",
		} {
			if !slices.Contains(entries, want) {
				t.Errorf("the archive lacks %q; it has %.60q", want, entries)
			}
		}
		_, err = w.client.Tarball(t.Context(), repoID, strings.Repeat("b", 40))
		expect(t, err, release.NotFound)
	})
}

// untar lists an archive's entries as "name mode content", and the commit of its global header.
func untar(t *testing.T, body io.Reader) (commit string, entries []string) {
	t.Helper()
	zipped, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return commit, entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		switch header.Typeflag {
		case tar.TypeXGlobalHeader:
			commit = header.PAXRecords["comment"]
		case tar.TypeSymlink:
			entries = append(entries, fmt.Sprintf("%s %o -> %s", header.Name, header.Mode, header.Linkname))
		default:
			entries = append(entries, fmt.Sprintf("%s %o %s", header.Name, header.Mode, content))
		}
	}
}

func TestTheTokenGoesToTheAPIAlone(t *testing.T) {
	w := newWorld(t)
	w.repo.Tag("v1", w.first)
	w.repo.Publish("v1", "one")
	w.repo.UploadAsset("v1", "deps.zip", []byte("zip"))
	authorized := map[string]bool{}
	w.server.OnRequest(func(req *http.Request) github.Fault {
		authorized[req.Host] = authorized[req.Host] || req.Header.Get("Authorization") != ""
		return github.Fault{}
	})
	archive, err := w.client.Tarball(t.Context(), repoID, w.first)
	if err != nil {
		t.Fatal(err)
	}
	archive.Close()
	asset, _, err := w.client.ReleaseAsset(t.Context(), repoID, "v1", "deps.zip")
	if err != nil {
		t.Fatal(err)
	}
	asset.Close()
	want := map[string]bool{
		"api.github.com": true, "codeload.github.com": false, "release-assets.githubusercontent.com": false,
	}
	if fmt.Sprint(authorized) != fmt.Sprint(want) {
		t.Errorf("hosts that got the token: got %v, want %v", authorized, want)
	}
}

// A port is another server, though Go's own client would send it the token.
func TestTheTokenDoesNotGoToAnotherPort(t *testing.T) {
	w := newWorld(t)
	var leaked string
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		leaked = req.Header.Get("Authorization")
		_, _ = io.WriteString(rw, "archive")
	}))
	t.Cleanup(other.Close)
	w.listen(t, http.RedirectHandler(other.URL+"/api/v3/repositories/1/archive?token=t", http.StatusFound))
	body, err := w.client.Tarball(t.Context(), repoID, w.first)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, _ := io.ReadAll(body); string(got) != "archive" || leaked != "" {
		t.Errorf("got %q with Authorization %q, want the archive without", got, leaked)
	}
}

func TestReleaseAssetArrivesInItsTime(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		content := bytes.Repeat([]byte("zip"), 1000)
		missing := func(when string) {
			t.Helper()
			_, _, err := w.client.ReleaseAsset(t.Context(), repoID, "release/v1", "deps.zip")
			if release.KindOf(err) != release.NotFound {
				t.Errorf("%s: got %v, want NotFound", when, err)
			}
		}
		w.repo.Tag("release/v1", w.first)
		missing("before the release")
		w.repo.Publish("release/v1", "one")
		missing("before the asset")
		w.repo.StartAsset("release/v1", "deps.zip")
		missing("during the upload")
		w.repo.UploadAsset("release/v1", "deps.zip", content)
		body, size, err := w.client.ReleaseAsset(t.Context(), repoID, "release/v1", "deps.zip")
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, content) || size != int64(len(content)) {
			t.Errorf("got %d bytes of %d, %v; want %d", len(got), size, err, len(content))
		}
	})
}

func TestReleaseAssetIsFoundOnALaterPage(t *testing.T) {
	w := newWorld(t)
	w.repo.Publish("v1", "one")
	for i := range 120 {
		w.repo.UploadAsset("v1", fmt.Sprintf("a%d", i), []byte("x"))
	}
	w.listen(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/releases/tags/") {
			recorded := httptest.NewRecorder()
			w.server.ServeHTTP(recorded, req)
			_, _ = io.WriteString(rw, strings.Replace(recorded.Body.String(), `"assets":`, `"assets":[],"all":`, 1))
			return
		}
		w.server.ServeHTTP(rw, req)
	}))
	body, _, err := w.client.ReleaseAsset(t.Context(), repoID, "v1", "a119")
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
}

func TestABrokenBodyIsTransient(t *testing.T) {
	w := newWorld(t)
	w.listen(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(rw, "half")
	}))
	body, err := w.client.Tarball(t.Context(), repoID, w.first)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	_, err = io.ReadAll(body)
	expect(t, err, release.Transient)
	_, err = w.client.File(t.Context(), repoID, w.first, "tagboat.yaml")
	expect(t, err, release.Transient)
}
