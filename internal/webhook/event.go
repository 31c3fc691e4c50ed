package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
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
	// maxTag is the longest tag name that is released, in bytes.
	maxTag = 255
	// maxDelivery is the longest id of a delivery that is kept; GitHub's are UUIDs.
	maxDelivery = 64
	// maxName is the longest name of a repository or a sender that is kept, in
	// bytes. GitHub's are shorter: 39 for an owner or a login, 100 for a repository.
	maxName = 255
)

// parse reads a signed delivery; ok is false if it is answered already.
func parse(d Delivery) (e event, answer release.Answer, ok bool) {
	kind := d.Header.Get("X-GitHub-Event")
	switch kind {
	case "":
		return e, malformed("Header X-GitHub-Event is missing."), false
	case release.TriggeredByPush, release.TriggeredByCreate, release.TriggeredByRelease:
		return parseTagEvent(kind, d)
	}
	switch {
	case !isObject(d.Body) || !json.Valid(d.Body):
		return e, malformed("The body is not a JSON object."), false
	case kind == "ping":
		return e, release.Ignored(release.CodePing, "The webhook works."), false
	}
	return e, release.Ignored(release.CodeEvent, fmt.Sprintf("Event %.80q starts no release; push, create and release do.", kind)), false
}

func parseTagEvent(kind string, d Delivery) (e event, answer release.Answer, ok bool) {
	var p payload
	if err := json.Unmarshal(d.Body, &p); err != nil || !isObject(d.Body) {
		return e, malformed(fmt.Sprintf("The body is not the payload of a %s event: %s.", kind, whyNot(err))), false
	}
	if p.Repository == nil || p.Repository.ID <= 0 {
		return e, malformed("The payload names no repository."), false
	}
	if !p.named() {
		return e, malformed("The payload's names of the repository, the sender or the commit are not such as GitHub gives."), false
	}
	e = event{trigger: kind, delivery: deliveryID(d.Header), repository: *p.Repository, actor: p.Sender.Login}
	answer, ok = e.read(p)
	return e, answer, ok
}

// named tells whether what is taken from the payload as it is fits a record and a
// log: names that can be printed, and a commit's SHA.
func (p *payload) named() bool {
	for _, name := range []string{p.Repository.FullName, p.Sender.Login} {
		if len(name) > maxName || strings.ContainsFunc(name, unreadable) {
			return false
		}
	}
	return p.HeadCommit == nil || p.HeadCommit.ID == "" || sha.MatchString(p.HeadCommit.ID)
}

// sha is the name of a commit, of either of Git's hashes.
var sha = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func malformed(reason string) release.Answer {
	return release.RejectedAnswer(release.CodeMalformed, reason)
}

// isObject tells whether JSON text is an object: null would pass as an empty one.
func isObject(text []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) }

// whyNot says without our type names what is wrong with a payload.
func whyNot(err error) string {
	var field *json.UnmarshalTypeError
	if errors.As(err, &field) {
		return fmt.Sprintf("field %q is a %s", field.Field, field.Value)
	}
	return "want a JSON object"
}

// deliveryID is the delivery's id, for people who trace it. The signature does
// not cover headers, so that it is believed only if it looks like one.
func deliveryID(header http.Header) string {
	id := header.Get("X-GitHub-Delivery")
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(id) > maxDelivery || strings.ContainsFunc(id, odd) {
		return ""
	}
	return id
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
			return release.Ignored(release.CodeEvent, fmt.Sprintf("Action %.80q of a GitHub release starts nothing; published does.", p.Action)), false
		}
		if p.Release != nil {
			e.tag = p.Release.TagName
		}
	}
	return CheckTag(e.tag)
}

func (e *event) readPush(p payload) (release.Answer, bool) {
	tag, found := strings.CutPrefix(p.Ref, tagPrefix)
	if !found {
		return release.Ignored(release.CodeBranch, "A push to a branch starts no release; a tag does."), false
	}
	if p.Deleted || isZero(p.After) {
		return release.Ignored(release.CodeTagDeleted, fmt.Sprintf("Tag %.80q was deleted; that starts and undoes nothing.", tag)), false
	}
	e.tag, e.moved = tag, p.Before != "" && !isZero(p.Before)
	if p.HeadCommit != nil {
		e.commit = p.HeadCommit.ID
	}
	return CheckTag(e.tag)
}

// isZero tells whether a SHA is all zeros, which stands for no object.
func isZero(sha string) bool { return sha != "" && strings.Trim(sha, "0") == "" }

// CheckTag refuses what git would not take as a tag's name, and ignores what
// people could not read or tell apart from another version; ok is true for all
// other names.
func CheckTag(tag string) (answer release.Answer, ok bool) {
	if !isTagName(tag) {
		return malformed(fmt.Sprintf("%.80q is not the name of a tag.", tag)), false
	}
	if len(tag) > maxTag {
		return release.Ignored(release.CodeTagPattern,
			fmt.Sprintf("Tag %.80q… has %d bytes, more than the %d of a version that is released.", tag, len(tag), maxTag)), false
	}
	if strings.ContainsFunc(tag, unreadable) {
		return release.Ignored(release.CodeTagPattern, fmt.Sprintf("Tag %+.80q has characters that cannot be printed: no version has them.", tag)), false
	}
	return release.Answer{}, true
}

// unreadable: no glyph, or the sign of what was not UTF-8.
func unreadable(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// isTagName tells whether git takes the name for a tag (git-check-ref-format).
func isTagName(name string) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.ContainsFunc(name, control) || strings.ContainsAny(name, ` ~^:?*[\`) ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.HasSuffix(name, ".") {
		return false
	}
	for step := range strings.SplitSeq(name, "/") {
		if step == "" || step[0] == '.' || strings.HasSuffix(step, ".lock") {
			return false
		}
	}
	return true
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
		if app.StartsOn() == e.startsOn() {
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

// startsOn is the trigger of the apps that the event starts releases of.
func (e *event) startsOn() string {
	if e.trigger == release.TriggeredByRelease {
		return release.TriggerRelease
	}
	return release.TriggerTag
}

func (e *event) request(app release.App, version string) release.Request {
	return release.Request{
		App: app.Name, Version: version, Trigger: e.trigger, Actor: e.actor, Delivery: e.delivery, Attempt: 1, Moved: e.moved,
		Source: release.Source{
			RepositoryID: e.repository.ID, Repository: e.repository.FullName, Tag: e.tag, Commit: e.commit,
		},
	}
}
