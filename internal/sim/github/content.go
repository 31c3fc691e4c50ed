package github

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// inlineLimit is the size above which GitHub serves a file only as raw bytes.
const inlineLimit = 1 << 20

// getContents answers with a file, raw or described, or with a directory's list.
func (r *Repository) getContents(w http.ResponseWriter, req *http.Request) {
	revision := req.URL.Query().Get("ref")
	if revision == "" {
		revision = defaultBranch
	}
	_, c := r.peel(r.resolve(revision))
	if c == nil {
		refuse(w, http.StatusNotFound, "No commit found for the ref "+revision)
		return
	}
	name := strings.Trim(req.PathValue("path"), "/")
	file, ok := c.files.follow(name)
	switch {
	case ok && strings.Contains(req.Header.Get("Accept"), "raw"):
		w.Header().Set("Content-Type", "application/vnd.github.raw+json; charset=utf-8")
		_, _ = w.Write(file.Content) // an answer is a buffer: it takes everything
	case ok:
		reply(w, http.StatusOK, describeFile(name, file))
	case c.files.isDirectory(name):
		reply(w, http.StatusOK, c.files.list(name))
	default:
		notFound(w)
	}
}

// follow finds a file; a symlink that leads to a file is that file.
func (f Files) follow(name string) (File, bool) {
	file, ok := f[name]
	if ok && file.Mode&fs.ModeSymlink != 0 {
		if target, ok := f[path.Join(path.Dir(name), string(file.Content))]; ok {
			return target, true
		}
	}
	return file, ok
}

func (f Files) isDirectory(name string) bool {
	if name == "" {
		return true
	}
	for other := range f {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// list describes what is directly in a directory.
func (f Files) list(directory string) []any {
	entries := map[string]any{}
	for name, file := range f {
		rest, inside := strings.CutPrefix(name, directory+"/")
		if directory == "" {
			rest, inside = name, true
		}
		if !inside {
			continue
		}
		child, _, deeper := strings.Cut(rest, "/")
		full := path.Join(directory, child)
		if deeper {
			entries[child] = map[string]any{"type": "dir", "name": child, "path": full, "size": 0}
		} else {
			entries[child] = map[string]any{"type": "file", "name": child, "path": full, "size": len(file.Content)}
		}
	}
	listed := []any{}
	for _, child := range slices.Sorted(maps.Keys(entries)) {
		listed = append(listed, entries[child])
	}
	return listed
}

func describeFile(name string, file File) map[string]any {
	described := map[string]any{
		"type": "file", "name": path.Base(name), "path": name, "size": len(file.Content),
		"encoding": "base64", "content": base64.StdEncoding.EncodeToString(file.Content),
	}
	switch {
	case file.Mode&fs.ModeSymlink != 0:
		described["type"], described["target"] = "symlink", string(file.Content)
	case len(file.Content) > inlineLimit:
		described["encoding"], described["content"] = "none", ""
	}
	return described
}

// redirectToArchive sends the caller to where archives are, with a token of
// that one archive in the URL.
func (r *Repository) redirectToArchive(w http.ResponseWriter, req *http.Request) {
	sha, c := r.peel(r.resolve(req.PathValue("ref")))
	if c == nil {
		notFound(w)
		return
	}
	if req.Header.Get("Accept") == "application/octet-stream" {
		refuse(w, http.StatusUnsupportedMediaType, "Must accept 'application/json'")
		return
	}
	w.Header().Set("Location", fmt.Sprintf("%s/%s/legacy.tar.gz/%s?token=%s",
		filesURL(req, archivePath), r.fullName(), sha, r.pass(sha)))
	w.WriteHeader(http.StatusFound)
}

// pass is the credential in the URL of one archive or asset.
func (r *Repository) pass(what string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", r.id, what))
	return "PASS" + strings.ToUpper(hex.EncodeToString(sum[:12]))
}

// serveArchive answers with the archive of a commit. Its host takes the
// credential in the URL and refuses any other.
func (s *Server) serveArchive(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, sha := s.find(req), req.PathValue("sha")
	if !passes(w, req, r, sha) {
		return
	}
	w.Header().Set("Content-Type", "application/x-gzip")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%s.tar.gz", r.top(sha)))
	if err := r.writeArchive(w, sha); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
	}
}

// passes checks the credential of a URL; if it is wrong, the answer is written.
func passes(w http.ResponseWriter, req *http.Request, r *Repository, what string) bool {
	switch {
	case req.Header.Get("Authorization") != "":
		refuse(w, http.StatusBadRequest, "Only one auth mechanism allowed")
	case r == nil, req.URL.Query().Get("token") != r.pass(what):
		notFound(w)
	default:
		return true
	}
	return false
}

// top is the directory that an archive holds everything in.
func (r *Repository) top(sha string) string {
	return fmt.Sprintf("%s-%s-%s", r.owner, r.name, sha[:7])
}

// writeArchive writes the archive of a commit, which is made once.
func (r *Repository) writeArchive(w http.ResponseWriter, sha string) error {
	key := r.fullName() + "@" + sha // the name can change and is in it
	made, ok := r.archives[key]
	if !ok {
		var err error
		if made, err = r.makeArchive(sha); err != nil {
			return err
		}
		r.archives[key] = made
	}
	_, err := w.Write(made)
	return err
}

// zippers are used again, since each is most of a megabyte.
var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// makeArchive makes what git archive makes: a pax global header with the
// commit, then the tree with modes by an umask of 002.
func (r *Repository) makeArchive(sha string) ([]byte, error) {
	c := r.objects[sha].commit
	var buffer bytes.Buffer
	zipped := zippers.Get().(*gzip.Writer)
	defer zippers.Put(zipped)
	zipped.Reset(&buffer)
	archive := tar.NewWriter(zipped)
	headers := []*tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": sha}},
		{Typeflag: tar.TypeDir, Name: r.top(sha) + "/", Mode: 0o775},
	}
	for _, directory := range c.files.directories() {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeDir, Name: r.top(sha) + "/" + directory + "/", Mode: 0o775})
	}
	for _, header := range headers {
		if err := r.writeEntry(archive, header, c, nil); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		header, content := c.files[name].entry(r.top(sha) + "/" + name)
		if err := r.writeEntry(archive, header, c, content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("write archive of %s: %w", sha, err)
	}
	if err := zipped.Close(); err != nil {
		return nil, fmt.Errorf("write archive of %s: %w", sha, err)
	}
	return buffer.Bytes(), nil
}

func (r *Repository) writeEntry(archive *tar.Writer, header *tar.Header, c *commit, content []byte) error {
	if header.Typeflag != tar.TypeXGlobalHeader {
		header.ModTime, header.Uname, header.Gname = c.when, "root", "root"
	}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("write archive entry %q: %w", header.Name, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("write archive entry %q: %w", header.Name, err)
	}
	return nil
}

// entry is the file in an archive.
func (file File) entry(name string) (*tar.Header, []byte) {
	if file.Mode&fs.ModeSymlink != 0 {
		return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: string(file.Content), Mode: 0o777}, nil
	}
	mode := int64(0o664)
	if file.Mode&0o100 != 0 {
		mode = 0o775
	}
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(file.Content))}, file.Content
}

// directories are those that files are in, parents first.
func (f Files) directories() []string {
	found := map[string]bool{}
	for name := range f {
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			found[parent] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
