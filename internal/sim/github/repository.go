package github

import (
	"maps"
	"strings"
	"time"
)

// Repository is a repository of a [Server]: its git objects and refs, releases,
// deployments and statuses.
type Repository struct {
	server *Server
	id     int64
	owner  string
	name   string
	public bool

	objects     map[string]object // by sha
	archives    map[string][]byte // by name and sha
	refs        map[string]ref    // by full name: refs/heads/main, refs/tags/v1.0.0
	releases    []*published
	deployments []*Deployment
	statuses    []CommitStatus
	checkRuns   []*CheckRun
	created     time.Time
}

// ref is where a branch or a tag points, and where it pointed before the last change.
type ref struct {
	sha    string // empty: deleted
	before string // empty: it was created
}

// The prefixes of full ref names, and the branch that a repository starts with.
const (
	heads         = "refs/heads/"
	tags          = "refs/tags/"
	defaultBranch = "main"
)

func newRepository(s *Server, id int64, fullName string) *Repository {
	owner, name, _ := strings.Cut(fullName, "/")
	return &Repository{
		server:   s,
		id:       id,
		owner:    owner,
		name:     name,
		objects:  map[string]object{},
		archives: map[string][]byte{},
		refs:     map[string]ref{},
		created:  s.clock.Now(),
	}
}

// ID is the repository's id, which no rename changes.
func (r *Repository) ID() int64 { return r.id }

// FullName is owner/name.
func (r *Repository) FullName() string {
	defer r.lock()()
	return r.fullName()
}

// Rename gives the repository another full name. Requests with a former one are redirected.
func (r *Repository) Rename(fullName string) {
	defer r.lock()()
	r.owner, r.name, _ = strings.Cut(fullName, "/")
	r.server.names[strings.ToLower(fullName)] = r
}

// SetPublic tells whether anybody may read the repository.
func (r *Repository) SetPublic(public bool) {
	defer r.lock()()
	r.public = public
}

// Commit adds a commit to a branch, which is created if it does not exist. The
// files are its whole tree. It returns the commit's sha.
func (r *Repository) Commit(branch, message string, files Files) string {
	defer r.lock()()
	c := &commit{
		files:   maps.Clone(files),
		message: message,
		author:  r.server.sender,
		when:    r.server.clock.Now(),
		tree:    r.put(object{kind: kindTree, content: files.digest()}),
	}
	if head := r.refs[heads+branch].sha; head != "" {
		c.parents = []string{head}
	}
	sha := r.put(object{kind: kindCommit, commit: c})
	r.point(heads+branch, sha)
	return sha
}

// Branch creates a branch at a commit, or moves it there.
func (r *Repository) Branch(name, sha string) {
	defer r.lock()()
	r.point(heads+name, sha)
}

// DeleteBranch deletes a branch.
func (r *Repository) DeleteBranch(name string) {
	defer r.lock()()
	r.point(heads+name, "")
}

// Tag creates a lightweight tag of an object, or moves the tag there.
func (r *Repository) Tag(name, sha string) {
	defer r.lock()()
	r.point(tags+name, sha)
}

// AnnotatedTag creates a tag object for an object, which may be a tag object
// itself, and points the tag at it, moving it if it exists. It returns the tag
// object's sha.
func (r *Repository) AnnotatedTag(name, target, message string) string {
	defer r.lock()()
	sha := r.put(object{kind: kindTag, tag: &annotation{
		name:    name,
		message: message,
		target:  target,
		tagger:  r.server.sender,
		when:    r.server.clock.Now(),
	}})
	r.point(tags+name, sha)
	return sha
}

// DeleteTag deletes a tag. The objects stay.
func (r *Repository) DeleteTag(name string) {
	defer r.lock()()
	r.point(tags+name, "")
}

// Blob stores bytes that belong to no commit and returns their sha.
func (r *Repository) Blob(content []byte) string {
	defer r.lock()()
	return r.put(object{kind: kindBlob, content: content})
}

// Tree is the sha of a commit's tree; empty if there is no such commit.
func (r *Repository) Tree(sha string) string {
	defer r.lock()()
	if c := r.objects[sha].commit; c != nil {
		return c.tree
	}
	return ""
}

// lock takes the server's lock; the result gives it back.
func (r *Repository) lock() (unlock func()) {
	r.server.mu.Lock()
	return r.server.mu.Unlock
}

func (r *Repository) fullName() string { return r.owner + "/" + r.name }

func (r *Repository) point(full, sha string) {
	r.refs[full] = ref{sha: sha, before: r.refs[full].sha}
}

// resolve finds the object of a revision in git's order: a sha, a full ref, a
// ref without refs/, a tag, a branch. It is empty if there is none.
func (r *Repository) resolve(revision string) string {
	if _, ok := r.objects[revision]; ok {
		return revision
	}
	for _, prefix := range []string{"", "refs/", tags, heads} {
		if found := r.refs[prefix+revision]; found.sha != "" {
			return found.sha
		}
	}
	return ""
}

// peel follows tag objects to what they name; nil if that is not a commit.
func (r *Repository) peel(sha string) (string, *commit) {
	for r.objects[sha].kind == kindTag {
		sha = r.objects[sha].tag.target
	}
	return sha, r.objects[sha].commit
}

// history is a commit and everything it descends from.
func (r *Repository) history(sha string) map[string]bool {
	seen := map[string]bool{}
	for todo := []string{sha}; len(todo) > 0; todo = todo[1:] {
		c := r.objects[todo[0]].commit
		if c == nil || seen[todo[0]] {
			continue
		}
		seen[todo[0]] = true
		todo = append(todo, c.parents...)
	}
	return seen
}
