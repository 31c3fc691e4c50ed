package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/tagboat/tagboat/internal/release"
)

// event is what a delivery says of a tag.
type event struct {
	trigger    string
	delivery   string
	repository repository
	tag        string
	commit     string
	moved      bool
	actor      string
}

type repository struct {
	ID       int64  `json:"id"`
	FullName string `json:"full_name"`
}

// payload has the fields of all three events that are read (GitHub: webhook
// events and payloads).
type payload struct {
	Ref        string      `json:"ref"`
	RefType    string      `json:"ref_type"` // create
	Before     string      `json:"before"`   // push
	After      string      `json:"after"`
	Created    bool        `json:"created"`
	Deleted    bool        `json:"deleted"`
	HeadCommit *headCommit `json:"head_commit"`
	Action     string      `json:"action"` // release
	Release    *struct {
		TagName string `json:"tag_name"`
	} `json:"release"`
	Repository *repository `json:"repository"`
	Sender     struct {
		Login string `json:"login"`
	} `json:"sender"`
}

type headCommit struct {
	ID string `json:"id"`
}

const (
	tagPrefix = "refs/tags/"
	// maxTag is the longest tag name that GitHub's interface takes.
	maxTag = 255
)

// parse reads a signed delivery; ok is false if it is answered already.
func parse(d Delivery) (e event, answer release.Answer, ok bool) {
	kind := d.Header.Get("X-GitHub-Event")
	if kind == "" {
		return e, release.RejectedAnswer(release.CodeMalformed, "Header X-GitHub-Event is missing."), false
	}
	var p payload
	if body := bytes.TrimSpace(d.Body); !json.Valid(body) || body[0] != '{' {
		return e, release.RejectedAnswer(release.CodeMalformed, "The body is not a JSON object."), false
	}
	switch kind {
	case "ping":
		return e, release.Ignored(release.CodePing, "The webhook works."), false
	case release.TriggeredByPush, release.TriggeredByCreate, release.TriggeredByRelease:
	default:
		return e, release.Ignored(release.CodeEvent, fmt.Sprintf("Event %q starts no release; push, create and release do.", kind)), false
	}
	if err := json.Unmarshal(d.Body, &p); err != nil {
		return e, release.RejectedAnswer(release.CodeMalformed, "The body is not the payload of a "+kind+" event: "+err.Error()), false
	}
	if p.Repository == nil || p.Repository.ID == 0 {
		return e, release.RejectedAnswer(release.CodeMalformed, "The payload names no repository."), false
	}
	e = event{
		trigger: kind, delivery: d.Header.Get("X-GitHub-Delivery"), repository: *p.Repository, actor: p.Sender.Login,
	}
	answer, ok = e.read(p)
	return e, answer, ok
}

// read takes the tag from the payload.
func (e *event) read(p payload) (release.Answer, bool) {
	switch e.trigger {
	case release.TriggeredByPush:
		return e.readPush(p)
	case release.TriggeredByCreate:
		if p.RefType != "tag" {
			return release.Ignored(release.CodeBranch, "A branch starts no release; a tag does."), false
		}
		e.tag = p.Ref
	case release.TriggeredByRelease:
		if p.Action != "published" {
			return release.Ignored(release.CodeEvent, fmt.Sprintf("Action %q of a GitHub release starts nothing; published does.", p.Action)), false
		}
		if p.Release != nil {
			e.tag = p.Release.TagName
		}
	}
	return e.checkTag()
}

func (e *event) readPush(p payload) (release.Answer, bool) {
	tag, found := strings.CutPrefix(p.Ref, tagPrefix)
	if !found {
		return release.Ignored(release.CodeBranch, "A push to a branch starts no release; a tag does."), false
	}
	if p.Deleted || isZero(p.After) {
		return release.Ignored(release.CodeTagDeleted, fmt.Sprintf("Tag %q was deleted; that starts and undoes nothing.", tag)), false
	}
	e.tag, e.moved = tag, p.Before != "" && !isZero(p.Before)
	if p.HeadCommit != nil {
		e.commit = p.HeadCommit.ID
	}
	return e.checkTag()
}

// isZero tells whether a SHA is all zeros, which stands for no object.
func isZero(sha string) bool { return sha != "" && strings.Trim(sha, "0") == "" }

func (e *event) checkTag() (release.Answer, bool) {
	bad := strings.ContainsFunc(e.tag, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar })
	if e.tag == "" || len(e.tag) > maxTag || bad {
		return release.RejectedAnswer(release.CodeMalformed, fmt.Sprintf("%.80q is not the name of a tag.", e.tag)), false
	}
	return release.Answer{}, true
}

// requests are the releases that the registry makes of the event: one for each
// app of the repository whose pattern the tag matches.
func (e *event) requests(registry release.Registry) (requests []release.Request, answer release.Answer, ok bool) {
	known, matched := false, false
	for _, app := range registry.Apps {
		if app.Repository.ID != e.repository.ID {
			continue
		}
		known = true
		version, matches := app.Version(e.tag)
		if !matches {
			continue
		}
		matched = true
		if (app.StartsOn() == release.TriggerRelease) == (e.trigger == release.TriggeredByRelease) {
			requests = append(requests, e.request(app, version))
		}
	}
	switch {
	case !known:
		return nil, release.Ignored(release.CodeUnknownRepository,
			fmt.Sprintf("Repository %d (%s) is not in the registry.", e.repository.ID, e.repository.FullName)), false
	case !matched:
		return nil, release.Ignored(release.CodeTagPattern, fmt.Sprintf("Tag %q matches no app's pattern.", e.tag)), false
	case len(requests) == 0:
		return nil, release.Ignored(release.CodeOtherTrigger,
			fmt.Sprintf("Tag %q is released on another event than %s.", e.tag, e.trigger)), false
	}
	return requests, release.Answer{}, true
}

func (e *event) request(app release.App, version string) release.Request {
	return release.Request{
		App: app.Name, Version: version, Trigger: e.trigger, Actor: e.actor, Delivery: e.delivery, Attempt: 1, Moved: e.moved,
		Source: release.Source{
			RepositoryID: e.repository.ID, Repository: e.repository.FullName, Tag: e.tag, Commit: e.commit,
		},
	}
}
