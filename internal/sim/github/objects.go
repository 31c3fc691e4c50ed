package github

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// The kinds of git objects, as GitHub's API names them.
const (
	kindCommit = "commit"
	kindTag    = "tag"
	kindTree   = "tree"
	kindBlob   = "blob"
)

// zeros is the sha that stands for no object in a push.
const zeros = "0000000000000000000000000000000000000000"

// Files is a tree: the files by their slash-separated paths.
type Files map[string]File

// File is one file of a commit.
type File struct {
	// Content is what it holds; of a symlink, where it leads.
	Content []byte
	// Mode is [Regular] if zero.
	Mode fs.FileMode
}

// The modes that git knows.
const (
	Regular    fs.FileMode = 0o644
	Executable fs.FileMode = 0o755
	Symlink    fs.FileMode = fs.ModeSymlink | 0o777
)

// Text is a regular file.
func Text(content string) File { return File{Content: []byte(content), Mode: Regular} }

// digest is bytes that differ when the files do.
func (f Files) digest() []byte {
	hash := sha1.New()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(hash, "%s\x00%o\x00%d\x00", name, f[name].Mode, len(f[name].Content))
		hash.Write(f[name].Content)
	}
	return hash.Sum(nil)
}

// object is a git object: a commit, an annotation, or the content of a tree or a blob.
type object struct {
	kind    string
	commit  *commit
	tag     *annotation
	content []byte
}

type commit struct {
	tree    string
	parents []string
	files   Files
	message string
	author  string
	when    time.Time
}

// annotation is a tag object.
type annotation struct {
	name    string
	message string
	target  string
	tagger  string
	when    time.Time
}

// put stores an object under a sha that depends on its content alone. It is
// not the sha that git would compute.
func (r *Repository) put(o object) string {
	hash := sha1.New()
	fmt.Fprintf(hash, "%s\x00", o.kind)
	switch {
	case o.commit != nil:
		c := o.commit
		fmt.Fprintf(hash, "%s\x00%q\x00%s\x00%s\x00%d", c.tree, c.parents, c.message, c.author, c.when.Unix())
	case o.tag != nil:
		t := o.tag
		fmt.Fprintf(hash, "%s\x00%s\x00%s\x00%s\x00%d", t.target, t.name, t.message, t.tagger, t.when.Unix())
	default:
		hash.Write(o.content)
	}
	sha := hex.EncodeToString(hash.Sum(nil))
	r.objects[sha] = o
	return sha
}

// describe describes the object of a sha as refs and tags do.
func (r *Repository) describe(base, sha string) map[string]any {
	kind := r.objects[sha].kind
	return map[string]any{
		"type": kind,
		"sha":  sha,
		"url":  fmt.Sprintf("%s/git/%ss/%s", r.apiURL(base), kind, sha),
	}
}

// signature describes who made an object and when.
func signature(login string, when time.Time) map[string]any {
	return map[string]any{"name": login, "email": login + "@users.noreply.github.com", "date": stamp(when)}
}

// stamp is a time as the REST API writes it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// marshal keeps a map's keys sorted, so that the same state gives the same bytes.
func marshal(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		return []byte("null") // maps of strings, numbers and times always encode
	}
	return encoded
}
