// Package release is Tagboat's domain: what a release is, what it may do, what
// it plans and what came of it. It names things and holds the rules that need
// no look at the world; it knows no SDK and does no I/O.
//
// The way of the data: an event becomes a [Request], admission makes it a
// [Release], snapshots and the two files ([Registry], [Manifest]) make a
// [Plan] of [Step]s, and carrying those out records [Result]s.
package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// Request asks for a release. Events make requests of attempt 1; a person may
// ask for a later attempt.
type Request struct {
	App     string `json:"app"`
	Version string `json:"version"`
	Source  Source `json:"source"`
	// Trigger is what asked: push, create, release, upload, drop, manual, rollback or schedule.
	Trigger string `json:"trigger"`
	// Actor is who caused it, as the event tells: a GitHub login, an object's metadata, a caller's name.
	Actor string `json:"actor,omitempty"`
	// Delivery is the event's own id, for people who trace it.
	Delivery string `json:"delivery,omitempty"`
	// Artifact is, for a drop, the artifact that the object replaces.
	Artifact string `json:"artifact,omitempty"`
	Attempt  int    `json:"attempt"`
	// Moved is true if the event says that the tag pointed elsewhere before.
	Moved bool `json:"moved,omitempty"`
	// Force admits a version older than the live one.
	Force bool `json:"force,omitempty"`
	// DryRun stops after the plan: nothing is changed.
	DryRun bool `json:"dry_run,omitempty"`
	// DuringFreeze is why it may pass a freeze; empty: it may not.
	DuringFreeze string `json:"during_freeze,omitempty"`
	// Environment is the only one to release to; empty is all of the app's.
	Environment string `json:"environment,omitempty"`
	// Restores is the id of an earlier release that is brought back: its manifest
	// and artifacts are taken as it pinned them, without a look at where it came from.
	Restores string `json:"restores,omitempty"`
	// Undoes is, where a drop is taken back, its id or that of the live release which brought
	// that drop back, and Only its artifact: what is made of that goes back to the earlier
	// release, and the rest to what the drop found.
	Undoes string `json:"undoes,omitempty"`
	Only   string `json:"only,omitempty"`
}

// Dropped is the artifact that is all a release brings, empty if it brings all of them.
func (r Request) Dropped() string { return cmp.Or(r.Only, r.Artifact) }

// The values of [Request.Trigger].
const (
	TriggeredByPush    = "push"
	TriggeredByCreate  = "create"
	TriggeredByRelease = "release"
	TriggeredByUpload  = "upload"
	TriggeredByDrop    = "drop"
	TriggeredByHand    = "manual"
	// TriggeredByUndo: a person asked to roll an environment back.
	TriggeredByUndo = "rollback"
	// TriggeredBySchedule: a tag that raised no event was found.
	TriggeredBySchedule = "schedule"
)

// Source is where a release comes from: a tag of a repository, or one version
// of an object. Exactly one of Tag and Key is set.
type Source struct {
	RepositoryID int64  `json:"repository_id,omitempty"`
	Repository   string `json:"repository,omitempty"`
	Tag          string `json:"tag,omitempty"`
	// Commit is what the tag was peeled to by admission, or what an upload's metadata claims.
	Commit    string `json:"commit,omitempty"`
	Bucket    string `json:"bucket,omitempty"`
	Key       string `json:"key,omitempty"`
	VersionID string `json:"version_id,omitempty"`
	ETag      string `json:"etag,omitempty"`
}

// IsTag tells whether the release comes from a Git tag.
func (s Source) IsTag() bool { return s.Tag != "" }

// identity is what makes two sources the same one; names and pinned commits are not part of it.
func (s Source) identity() string {
	if s.IsTag() {
		return "tag\x00" + strconv.FormatInt(s.RepositoryID, 10) + "\x00" + s.Tag
	}
	return "object\x00" + s.Bucket + "\x00" + s.Key + "\x00" + s.VersionID
}

// String says it for people.
func (s Source) String() string {
	if s.IsTag() {
		return fmt.Sprintf("tag %q of %s", s.Tag, s.Repository)
	}
	return fmt.Sprintf("s3://%s/%s (version %s)", s.Bucket, s.Key, s.VersionID)
}

// The parts of an id are cut so that it, and a suffix for a recovery, fit the
// 80 characters of an execution's name (Step Functions, StartExecution).
const (
	idAppLength     = 28
	idVersionLength = 18
	idHashLength    = 20
)

// dryRunSuffix ends the id of a dry run; every other id ends with its attempt.
const dryRunSuffix = "-plan"

// IsDryRun tells whether an id is that of a dry run.
func IsDryRun(id string) bool { return strings.HasSuffix(id, dryRunSuffix) }

// ID derives the release's id from the app, the source and the attempt. It is
// of [0-9A-Za-z_-], at most 78 characters, and also the execution's name.
func (r Request) ID() string {
	sum := sha256.Sum256([]byte(r.App + "\x00" + r.Source.identity()))
	id := fmt.Sprintf("%s-%s-%s-%d", cut(r.App, idAppLength), cut(slug(r.Version), idVersionLength),
		hex.EncodeToString(sum[:])[:idHashLength], r.Attempt)
	if r.DryRun {
		id += dryRunSuffix
	}
	return id
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return s
}

// slug replaces what an execution's name must not contain.
func slug(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_':
			return r
		}
		return '-'
	}, s)
}

// State is where a release stands.
type State string

// A release begins as received; the last seven are ends.
const (
	Received        State = "received"
	Running         State = "running"
	Waiting         State = "waiting" // for a lease
	WaitingApproval State = "waiting_approval"
	RollingBack     State = "rolling_back"

	Succeeded   State = "succeeded"
	FailedClean State = "failed_clean"
	FailedDirty State = "failed_dirty"
	Refused     State = "refused" // nothing was touched
	Superseded  State = "superseded"
	Rejected    State = "rejected"
	Expired     State = "expired"
)

// Ended tells whether nothing more will happen.
func (s State) Ended() bool {
	switch s {
	case Received, Running, Waiting, WaitingApproval, RollingBack:
		return false
	}
	return true
}

// Release is the ledger's record of one attempt to bring one version of one
// app from one source.
type Release struct {
	ID      string  `json:"id"`
	App     string  `json:"app"`
	Version string  `json:"version"`
	Attempt int     `json:"attempt"`
	Source  Source  `json:"source"`
	State   State   `json:"state"`
	Error   string  `json:"error,omitempty"`
	Remedy  string  `json:"remedy,omitempty"`
	Request Request `json:"request"`
	// Execution is the name of the one execution that may act for the release.
	// A recovery takes it over, and every task of the earlier one then fails.
	Execution string `json:"execution,omitempty"`
	// Registry, Manifest and Plan are pinned objects of the state bucket.
	Registry Pointer `json:"registry,omitzero"`
	Manifest Pointer `json:"manifest,omitzero"`
	Plan     Pointer `json:"plan,omitzero"`
	// Environments are those it goes through, in order.
	Environments []Progress `json:"environments,omitempty"`
	// Halted is who ordered to stop it on its way, nil if nobody did. From then on
	// it does nothing but roll back.
	Halted *Halt `json:"halted,omitempty"`
	// CheckRun is the id of the check run at GitHub; 0 if none was created.
	CheckRun int64     `json:"check_run,omitempty"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Ended    time.Time `json:"ended,omitzero"`
}

// Halt is a person's order to stop a release.
type Halt struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Progress is how far a release is in one environment.
type Progress struct {
	Name  string           `json:"name"`
	State EnvironmentState `json:"state"`
	// Done is when the environment was done; zero in records of before there was this.
	Done time.Time `json:"done,omitzero"`
	// Plan is the plan made under the lease.
	Plan Pointer `json:"plan,omitzero"`
	// Approval is the last answer that was given, if one was asked for.
	Approval *Approval `json:"approval,omitempty"`
	// Deployment is the id of the deployment at GitHub; 0 if none was created.
	Deployment int64 `json:"deployment,omitempty"`
	// BakeEnds is when the alarms are watched no longer, while they are. It is not
	// recorded: whoever shows a release works it out.
	BakeEnds time.Time `json:"bake_ends,omitzero"`
}

// EnvironmentState is where a release stands in one environment.
type EnvironmentState string

// An environment that is open may have been changed; one that is done is kept
// whatever happens later.
const (
	EnvironmentPending    EnvironmentState = "pending"
	EnvironmentOpen       EnvironmentState = "open" // the lease is held
	EnvironmentDone       EnvironmentState = "done"
	EnvironmentRolledBack EnvironmentState = "rolled_back"
	EnvironmentDirty      EnvironmentState = "dirty"
)

// Approval is a question to a person, and the answer.
type Approval struct {
	// Fingerprint is that of the plan the question was about.
	Fingerprint string    `json:"fingerprint"`
	Asked       time.Time `json:"asked"`
	// Token resumes the execution that waits; Attempt numbers the attempts to ask: an
	// earlier one does not replace the token of a later one.
	Token    string `json:"token,omitempty"`
	Attempt  int64  `json:"attempt,omitempty"`
	Approved bool   `json:"approved,omitempty"`
	Rejected bool   `json:"rejected,omitempty"`
	By       string `json:"by,omitempty"`
	// Reason is why it was answered so, in the words of whoever did; empty if nothing was said.
	Reason   string    `json:"reason,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
}

// IsAnswered tells whether a person has answered.
func (a Approval) IsAnswered() bool { return a.Approved || a.Rejected }

// Pointer names one version of an object in the state bucket.
type Pointer struct {
	Key       string `json:"key"`
	VersionID string `json:"version_id"`
}

// Environment finds the progress in an environment.
func (r *Release) Environment(name string) (*Progress, bool) {
	for i := range r.Environments {
		if r.Environments[i].Name == name {
			return &r.Environments[i], true
		}
	}
	return nil, false
}

// DoneIn tells whether an environment keeps the release, and since when. A record
// that does not say it came there by its end.
func (r *Release) DoneIn(environment string) (since time.Time, done bool) {
	progress, ok := r.Environment(environment)
	if !ok || progress.State != EnvironmentDone {
		return time.Time{}, false
	}
	for _, since = range []time.Time{progress.Done, r.Ended, r.Created} {
		if !since.IsZero() {
			break
		}
	}
	return since, true
}

// Open is the environment that the release holds, if any.
func (r *Release) Open() (*Progress, bool) {
	for i := range r.Environments {
		if r.Environments[i].State == EnvironmentOpen {
			return &r.Environments[i], true
		}
	}
	return nil, false
}

// OlderThan tells whether the release would be refused where a version is live: it
// brings an older one, and was not forced to.
func (r *Release) OlderThan(live string) bool { return !r.Request.Force && Older(r.Version, live) }

// Replaces tells whether, of two releases that wait for the same environment, this one
// takes the other's place: one of the two does. It is the one that would be live if they
// ran in the order in which they were created, which is not that of the versions where
// an event came late or a clock is off.
func (r *Release) Replaces(other *Release) bool {
	if r.createdAfter(other) {
		return !r.outdatedBy(other)
	}
	return other.outdatedBy(r)
}

// outdatedBy tells whether the release would be refused if other came first. Drops of
// different artifacts have versions of their own.
func (r *Release) outdatedBy(other *Release) bool {
	mine, theirs := r.Request.Artifact, other.Request.Artifact
	return (mine == "" || theirs == "" || mine == theirs) && r.OlderThan(other.Version)
}

func (r *Release) createdAfter(other *Release) bool {
	return cmp.Or(r.Created.Compare(other.Created), cmp.Compare(r.ID, other.ID)) > 0
}

// Older tells whether version is older than live. What is not SemVer has no
// order and is never older; nor is what has numbers too large to compare.
func Older(version, live string) bool {
	v, err := semver.StrictNewVersion(version)
	if err != nil || !countable(v) {
		return false
	}
	l, err := semver.StrictNewVersion(live)
	return err == nil && countable(l) && v.LessThan(l)
}

// countable tells whether the numbers of the pre-release fit 64 bits: the semver
// package takes larger ones for words.
func countable(v *semver.Version) bool {
	for identifier := range strings.SplitSeq(v.Prerelease(), ".") {
		isNumber := strings.Trim(identifier, "0123456789") == ""
		if _, err := strconv.ParseUint(identifier, 10, 64); isNumber && errors.Is(err, strconv.ErrRange) {
			return false
		}
	}
	return true
}
