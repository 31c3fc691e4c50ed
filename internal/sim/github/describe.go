package github

import (
	"fmt"
	"hash/crc32"
	"maps"
	"time"
)

// userID is a number that belongs to a login.
func userID(login string) int64 { return int64(crc32.ChecksumIEEE([]byte(login))) }

// user describes a person or an organisation.
func user(login string) map[string]any {
	api := "https://" + apiHost + "/users/" + login
	return map[string]any{
		"login":      login,
		"id":         userID(login),
		"avatar_url": fmt.Sprintf("https://avatars.githubusercontent.com/u/%d?v=4", userID(login)),
		"url":        api,
		"html_url":   "https://github.com/" + login,
		"repos_url":  api + "/repos",
		"events_url": api + "/events{/privacy}",
		"type":       "User",
		"site_admin": false,
	}
}

func (r *Repository) htmlURL() string { return "https://github.com/" + r.fullName() }

// describeRepository describes the repository as the REST API and most webhooks do.
func (r *Repository) describeRepository(base string) map[string]any {
	api := r.apiURL(base)
	now := r.server.clock.Now()
	return map[string]any{
		"id":              r.id,
		"name":            r.name,
		"full_name":       r.fullName(),
		"private":         !r.public,
		"owner":           user(r.owner),
		"html_url":        r.htmlURL(),
		"description":     nil,
		"fork":            false,
		"url":             api,
		"branches_url":    api + "/branches{/branch}",
		"commits_url":     api + "/commits{/sha}",
		"contents_url":    api + "/contents/{+path}",
		"compare_url":     api + "/compare/{base}...{head}",
		"archive_url":     api + "/{archive_format}{/ref}",
		"git_refs_url":    api + "/git/refs{/sha}",
		"git_tags_url":    api + "/git/tags{/sha}",
		"statuses_url":    api + "/statuses/{sha}",
		"releases_url":    api + "/releases{/id}",
		"deployments_url": api + "/deployments",
		"clone_url":       r.htmlURL() + ".git",
		"ssh_url":         "git@github.com:" + r.fullName() + ".git",
		"created_at":      stamp(r.created),
		"updated_at":      stamp(now),
		"pushed_at":       stamp(now),
		"archived":        false,
		"disabled":        false,
		"visibility":      map[bool]string{true: "public", false: "private"}[r.public],
		"default_branch":  defaultBranch,
	}
}

// describePushed describes the repository as push events do, which differ: times
// are numbers, and the owner has a name and an address.
func (r *Repository) describePushed() map[string]any {
	described := r.describeRepository("https://" + apiHost)
	owner := maps.Clone(user(r.owner))
	owner["name"], owner["email"] = r.owner, r.owner+"@users.noreply.github.com"
	maps.Copy(described, map[string]any{
		"owner":         owner,
		"url":           r.htmlURL(),
		"created_at":    r.created.Unix(),
		"pushed_at":     r.server.clock.Now().Unix(),
		"master_branch": defaultBranch,
	})
	return described
}

// describeCommit describes a commit as push events do; nil if there is none.
func (r *Repository) describeCommit(sha string) any {
	c := r.objects[sha].commit
	if c == nil {
		return nil
	}
	person := map[string]any{"name": c.author, "email": c.author + "@users.noreply.github.com", "username": c.author}
	added, removed, modified := r.changes(c)
	return map[string]any{
		"id":        sha,
		"tree_id":   c.tree,
		"distinct":  true,
		"message":   c.message,
		"timestamp": c.when.UTC().Format(time.RFC3339),
		"url":       r.htmlURL() + "/commit/" + sha,
		"author":    person,
		"committer": person,
		"added":     added,
		"removed":   removed,
		"modified":  modified,
	}
}
