package github

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// hookID is the id of the one webhook.
const hookID = 425367211

// Delivery is a webhook delivery as GitHub sends it.
type Delivery struct {
	// Event is the kind: push, create, release or ping.
	Event string
	// GUID names the delivery; a redelivery has the same.
	GUID string
	// Body is the JSON, byte for byte what is signed.
	Body []byte
	// Signature is the X-Hub-Signature-256 of the body; empty without a secret.
	Signature string

	repository int64
}

// Push is the push event of a tag's last change: created, moved or deleted.
func (s *Server) Push(r *Repository, tag string) Delivery {
	defer r.lock()()
	return s.deliver("push", r, r.pushed(tags+tag))
}

// PushBranch is the push event of a branch's last change.
func (s *Server) PushBranch(r *Repository, branch string) Delivery {
	defer r.lock()()
	return s.deliver("push", r, r.pushed(heads+branch))
}

// Create is the create event of a tag. GitHub tells no sha in it.
func (s *Server) Create(r *Repository, tag string) Delivery {
	defer r.lock()()
	return s.deliver("create", r, map[string]any{
		"ref":           tag,
		"ref_type":      "tag",
		"master_branch": defaultBranch,
		"description":   nil,
		"pusher_type":   "user",
	})
}

// Release is the event of a tag's release being published. The release is null
// if there is none.
func (s *Server) Release(r *Repository, tag string) Delivery {
	defer r.lock()()
	payload := map[string]any{"action": "published", "release": nil}
	if release := r.published(tag); release != nil {
		payload["release"] = r.describeRelease("https://"+apiHost, release)
	}
	return s.deliver("release", r, payload)
}

// Ping is the event that GitHub sends when the webhook is set up.
func (s *Server) Ping(r *Repository) Delivery {
	defer r.lock()()
	return s.deliver("ping", r, map[string]any{
		"zen":     "Design for failure.",
		"hook_id": hookID,
		"hook": map[string]any{
			"type":   "Repository",
			"id":     hookID,
			"name":   "web",
			"active": true,
			"events": []string{"create", "push", "release"},
			"config": map[string]any{"content_type": "json", "insecure_ssl": "0"},
		},
	})
}

// deliver completes a payload with what every event has and signs it.
func (s *Server) deliver(event string, r *Repository, payload map[string]any) Delivery {
	s.deliveries++
	if payload["repository"] == nil {
		payload["repository"] = r.describeRepository("https://" + apiHost)
	}
	payload["sender"] = user(s.sender)
	if s.app != nil {
		payload["installation"] = map[string]any{"id": s.app.installation}
	}
	d := Delivery{Event: event, GUID: guid(s.deliveries, event), Body: marshal(payload), repository: r.id}
	if s.secret != "" {
		d.Signature = Sign(s.secret, d.Body)
	}
	return d
}

// Sign is the value of X-Hub-Signature-256 for a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// guid is a version 4 UUID that depends on the number of the delivery alone.
func guid(n int, event string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, event))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	text := hex.EncodeToString(sum[:16])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// Header is the delivery's header.
func (d Delivery) Header() http.Header {
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", "GitHub-Hookshot/"+d.GUID[:7])
	header.Set("X-GitHub-Event", d.Event)
	header.Set("X-GitHub-Delivery", d.GUID)
	header.Set("X-GitHub-Hook-ID", strconv.Itoa(hookID))
	header.Set("X-GitHub-Hook-Installation-Target-Type", "repository")
	if d.Signature != "" {
		header.Set("X-Hub-Signature-256", d.Signature)
	}
	return header
}

// Request is the delivery to a URL.
func (d Delivery) Request(url string) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(d.Body))
	if err != nil {
		return nil, fmt.Errorf("deliver %s to %q: %w", d.Event, url, err)
	}
	req.Header = d.Header()
	return req, nil
}

// pushed is the payload of a push event for a ref's last change. After an
// annotated tag is pushed, "after" is the tag object and "head_commit" the commit.
func (r *Repository) pushed(full string) map[string]any {
	change := r.refs[full]
	before, after := or(change.before, zeros), or(change.sha, zeros)
	sha, _ := r.peel(change.sha)
	return map[string]any{
		"ref":         full,
		"before":      before,
		"after":       after,
		"created":     change.before == "" && change.sha != "",
		"deleted":     change.sha == "",
		"forced":      r.forced(full, change),
		"base_ref":    r.baseRef(full, sha),
		"compare":     fmt.Sprintf("%s/compare/%s...%s", r.htmlURL(), before[:12], after[:12]),
		"commits":     []any{},
		"head_commit": r.describeCommit(sha),
		"repository":  r.describePushed(),
		"pusher":      map[string]any{"name": r.server.sender, "email": r.server.sender + "@users.noreply.github.com"},
	}
}

// forced tells whether a ref was moved against git's rules: a tag anywhere, a
// branch to something that does not descend from where it was.
func (r *Repository) forced(full string, change ref) bool {
	moved := change.before != "" && change.sha != ""
	return moved && (strings.HasPrefix(full, tags) || !r.history(change.sha)[change.before])
}

// baseRef is the branch whose head a new tag is on; nil if there is none.
func (r *Repository) baseRef(full, sha string) any {
	for _, name := range slices.Sorted(maps.Keys(r.refs)) {
		if strings.HasPrefix(name, heads) && name != full && sha != "" && r.refs[name].sha == sha {
			return name
		}
	}
	return nil
}

// changes lists the files that a commit added, removed and modified.
func (r *Repository) changes(c *commit) (added, removed, modified []string) {
	added, removed, modified = []string{}, []string{}, []string{}
	var parent Files
	if len(c.parents) > 0 {
		if previous := r.objects[c.parents[0]].commit; previous != nil {
			parent = previous.files
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		before, existed := parent[name]
		switch {
		case !existed:
			added = append(added, name)
		case before.Mode != c.files[name].Mode || !bytes.Equal(before.Content, c.files[name].Content):
			modified = append(modified, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parent)) {
		if _, kept := c.files[name]; !kept {
			removed = append(removed, name)
		}
	}
	return added, removed, modified
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
