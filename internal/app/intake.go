package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

// Executions starts executions of the state machine and tells whether they run.
type Executions interface {
	// Start is durable when it returns. ErrExecutionExists: there is, or was, one of that name.
	Start(ctx context.Context, name string, input json.RawMessage) error
	// Running tells whether the execution has not ended; one that is not known does not run.
	Running(ctx context.Context, name string) (bool, error)
}

// ErrExecutionExists is returned by [Executions.Start].
var ErrExecutionExists = errors.New("the execution exists")

// startInput is the input of an execution: everything else is in the ledger.
type startInput struct {
	Release string `json:"release"`
	Recover bool   `json:"recover,omitempty"`
}

// Intake turns requests into releases, each exactly once. The ledger's record is
// the durable write; an execution that could not be started then is started by
// the event's redelivery or by the sweep.
type Intake struct {
	Ledger     *ledger.Ledger
	Executions Executions
	Log        *slog.Logger
}

// Accept starts a release for each request that is new, and answers the event.
func (i *Intake) Accept(ctx context.Context, requests []release.Request) release.Answer {
	var answers []release.Answer
	for _, request := range requests {
		answer, err := i.accept(ctx, request)
		if err != nil {
			i.Log.ErrorContext(ctx, "a request could not be recorded", "app", request.App, "delivery", request.Delivery, "error", err,
				"next", release.RemedyOf(err))
			return release.Busy(release.CodeOverloaded, "The request could not be recorded; send it again.")
		}
		answers = append(answers, answer)
	}
	return merge(answers)
}

// merge answers for several apps at once: what started counts most, and every
// app has its sentence.
func merge(answers []release.Answer) release.Answer {
	var merged release.Answer
	rank := map[release.AnswerStatus]int{
		release.AnswerStarted: 3, release.AnswerRejected: 2, release.AnswerDuplicate: 1,
	}
	var ids, reasons []string
	for _, answer := range answers {
		ids = append(ids, answer.Releases...)
		reasons = append(reasons, answer.Reason)
		if rank[answer.Status] > rank[merged.Status] {
			merged = answer
		}
	}
	merged.Releases, merged.Reason = ids, strings.Join(reasons, " ")
	return merged
}

func (i *Intake) accept(ctx context.Context, request release.Request) (release.Answer, error) {
	if request.Source.IsTag() {
		if answer, refused, err := i.checkMoved(ctx, request); refused || err != nil {
			return answer, err
		}
	} else if !request.DryRun && request.Attempt == 1 {
		source, err := i.claim(ctx, request)
		if err != nil {
			return release.Answer{}, err
		}
		if !sameObject(source, request.Source) {
			return versionExists(request, source), nil
		}
		request.Source = source // the first upload of the same bytes
	}
	rel, created, err := i.Ledger.Create(ctx, request)
	if err != nil {
		return release.Answer{}, err
	}
	if rel.State == release.Received {
		// That it exists already is an earlier try, whose answer was lost, or the event's duplicate.
		if _, err := startOnce(ctx, i.Executions, rel.ID, startInput{Release: rel.ID}); err != nil {
			return release.Answer{}, err
		}
	}
	if !created {
		return duplicate(rel.ID), nil
	}
	return release.Answer{
		Status: release.AnswerStarted, Code: release.CodeStarted, Releases: []string{rel.ID},
		Reason: fmt.Sprintf("Release %s of %s %s started.", rel.ID, rel.App, rel.Version),
	}, nil
}

func duplicate(id string) release.Answer {
	return release.Answer{
		Status: release.AnswerDuplicate, Code: release.CodeDuplicate, Releases: []string{id},
		Reason: fmt.Sprintf("This is release %s, which exists already.", id),
	}
}

// checkMoved refuses an event that says that its tag pointed elsewhere before,
// or whose tag was released from another commit. (Events of a tag are told
// apart by their commit, where they carry one.)
func (i *Intake) checkMoved(ctx context.Context, request release.Request) (release.Answer, bool, error) {
	rel, err := i.Ledger.Release(ctx, request.ID())
	known := err == nil
	if err != nil && release.KindOf(err) != release.NotFound {
		return release.Answer{}, false, err
	}
	was, is := rel.Source.Commit, request.Source.Commit
	moved := request.Moved
	if was != "" && is != "" {
		moved = was != is
	}
	if !moved || request.Attempt != 1 {
		return release.Answer{}, false, nil
	}
	answer := release.RejectedAnswer(release.CodeTagMoved, fmt.Sprintf(
		"Tag %q pointed elsewhere before: tags of released versions stay where they are. Push a new tag.", request.Source.Tag))
	if known {
		answer.Releases = []string{rel.ID}
	}
	return answer, true, nil
}

// claim is the object that the version of the app comes from: the first that
// claims it. A drop has a version for each artifact.
func (i *Intake) claim(ctx context.Context, request release.Request) (release.Source, error) {
	source, _, err := i.Ledger.Claim(ctx, request.App, claimed(request), request.Source)
	return source, err
}

// claimed is what the ledger calls the version that a request claims.
func claimed(request release.Request) string {
	if request.Artifact != "" {
		return "drop/" + request.Artifact + "/" + request.Version
	}
	return request.Version
}

// sameObject tells whether two uploads are the same bytes under the same key.
func sameObject(a, b release.Source) bool {
	return a.Key == b.Key && (a.VersionID == b.VersionID || a.ETag != "" && a.ETag == b.ETag)
}

func versionExists(request release.Request, first release.Source) release.Answer {
	answer := release.RejectedAnswer(release.CodeVersionExists, fmt.Sprintf(
		"Version %s of %s was uploaded already as %s; upload other bytes as another version.", request.Version, request.App, first))
	request.Source = first
	answer.Releases = []string{request.ID()}
	return answer
}

// Order is a release that a person asks for.
type Order struct {
	App string `json:"app"`
	// Tag is set, or Version for an upload.
	Tag     string `json:"tag,omitempty"`
	Version string `json:"version,omitempty"`
	// Retry makes the next attempt of a release that failed.
	Retry  bool `json:"retry,omitempty"`
	Force  bool `json:"force,omitempty"`
	DryRun bool `json:"dry_run,omitempty"`
	// DuringFreeze is why it cannot wait for the end of a freeze.
	DuringFreeze string `json:"during_freeze,omitempty"`
	// By is who asks.
	By string `json:"by,omitempty"`
}

// Uploads finds uploaded objects.
type Uploads interface {
	// Head is the newest version of an object, as a source.
	Head(ctx context.Context, key string) (release.Source, error)
}

// Orders takes releases that people ask for.
type Orders struct {
	*Intake
	Registries Registries
	Uploads    Uploads
}

// Place starts what is asked for, or says what is wrong with it.
func (o *Orders) Place(ctx context.Context, order Order) (release.Answer, error) {
	request, err := o.request(ctx, order)
	if err != nil {
		return release.Answer{}, err
	}
	if !order.Retry && !order.DryRun {
		return o.Accept(ctx, []release.Request{request}), nil
	}
	return o.start(ctx, func() (release.Request, error) { return o.nextAttempt(ctx, order, request) })
}

// orderTries is how often an order takes an attempt that others take meanwhile.
const orderTries = 10

// start starts what next asks for, as the attempt that is next. Another order may
// have taken that attempt meanwhile: then it is asked what is next now. The same
// order once more, whose first answer was lost, is no other.
func (o *Orders) start(ctx context.Context, next func() (release.Request, error)) (release.Answer, error) {
	var taken release.Release
	for range orderTries {
		request, err := next()
		if err != nil {
			return release.Answer{}, err
		}
		answer := o.Accept(ctx, []release.Request{request})
		if answer.Status != release.AnswerDuplicate {
			return answer, nil
		}
		if taken, err = o.Ledger.Release(ctx, request.ID()); err != nil {
			return release.Answer{}, err
		}
		if sameOrder(taken.Request, request) {
			return answer, nil
		}
	}
	return release.Answer{}, stillRunning(taken)
}

// sameOrder tells whether two requests for the same attempt ask for the same.
func sameOrder(a, b release.Request) bool {
	if a.Actor == "" || b.Actor == "" { // a manifest may name one that the request did not
		a.Actor, b.Actor = "", ""
	}
	a.Source, b.Source = release.Source{}, release.Source{} // they have one id
	return a == b
}

// nextAttempt makes the request the next attempt from its source: at the commit
// of the last one, so that admission refuses a tag that moved since. Dry runs
// are counted by themselves.
func (o *Orders) nextAttempt(ctx context.Context, order Order, request release.Request) (release.Request, error) {
	if !request.Source.IsTag() && order.Retry {
		first, found, err := o.Ledger.Claimed(ctx, request.App, claimed(request)) // it may still be refused
		if err != nil {
			return request, err
		}
		if found {
			request.Source = first
		}
	}
	counted := request
	request.DryRun = false
	last, found, err := o.Ledger.LastAttempt(ctx, request)
	if err != nil {
		return request, err
	}
	if err := o.mayRetry(ctx, order, last, found); err != nil {
		return request, err
	}
	request.Source.Commit = last.Source.Commit
	if request.DryRun = counted.DryRun; order.DryRun {
		if last, found, err = o.Ledger.LastAttempt(ctx, counted); err != nil {
			return request, err
		}
	}
	if found {
		request.Attempt = last.Attempt + 1
	}
	return request, nil
}

func (o *Orders) mayRetry(ctx context.Context, order Order, last release.Release, found bool) error {
	switch {
	case order.DryRun:
		return nil
	case !found:
		return release.Errorf(release.Invalid, "nothing to retry: app %q was never released from %s", order.App, order.what()).
			WithRemedy("Leave --retry out.")
	case !last.State.Ended():
		return stillRunning(last)
	case last.State == release.Succeeded && !order.Force:
		return release.Errorf(release.Invalid, "release %q succeeded: there is nothing to retry", last.ID).
			WithRemedy("Add --force to release it once more.")
	}
	for _, progress := range last.Environments {
		if progress.State == release.EnvironmentDirty {
			return o.inOrder(ctx, order.App, progress.Name)
		}
	}
	return nil
}

func (o Order) what() string {
	if o.Tag != "" {
		return fmt.Sprintf("tag %q", o.Tag)
	}
	return fmt.Sprintf("version %q", o.Version)
}

func (o *Orders) request(ctx context.Context, order Order) (release.Request, error) {
	registry, _, err := o.Registries.Current(ctx)
	if err != nil {
		return release.Request{}, err
	}
	app, ok := registry.App(order.App)
	if !ok {
		return release.Request{}, release.Errorf(release.Invalid, "app %q is not in the registry; it has %s", order.App, appNames(registry)).
			WithRemedy("Name one of those, or add the app to registry.yaml.")
	}
	request := release.Request{
		App: app.Name, Version: order.Version, Trigger: release.TriggeredByHand, Actor: order.By,
		Attempt: 1, Force: order.Force, DryRun: order.DryRun, DuringFreeze: order.DuringFreeze,
	}
	if (order.Tag == "") == (order.Version == "") {
		return request, release.Errorf(release.Invalid, "release of app %q: want either a tag or the version of an upload, got tag %q and version %q",
			app.Name, order.Tag, order.Version).
			WithRemedy("Name --tag for a git tag, or --version for an upload.")
	}
	if order.Tag == "" {
		key, err := artifact.UploadKey(app.Name, order.Version)
		if err != nil {
			return request, err
		}
		request.Source, err = o.Uploads.Head(ctx, key)
		if err != nil && release.KindOf(err) == release.NotFound {
			return request, neverUploaded(app, order.Version, err)
		}
		return request, err
	}
	if answer, ok := webhook.CheckTag(order.Tag); !ok {
		return request, release.Errorf(release.Invalid, "release of app %q: %s", app.Name, answer.Reason).
			WithRemedy("Name a tag like %s.", app.Tag("1.4.0"))
	}
	request.Source = release.Source{RepositoryID: app.Repository.ID, Repository: app.Repository.Name, Tag: order.Tag}
	if request.Version, ok = app.Version(order.Tag); !ok {
		return request, release.Errorf(release.Invalid, "tag %q is not one of app %q: want %q", order.Tag, app.Name, app.Tags).
			WithRemedy("Name a tag like %s.", app.Tag("1.4.0"))
	}
	return request, nil
}

// neverUploaded is the error of a version without a manifest in the uploads bucket.
// It may be the version of a tag.
func neverUploaded(app release.App, version string, err error) error {
	return release.Errorf(release.NotFound, "version %q of app %q was not uploaded: %w", version, app.Name, err).
		WithRemedy("Upload it, tagboat.yaml last. If it is the version of a git tag: --tag %s instead of --version.", app.Tag(version))
}

func appNames(registry release.Registry) string {
	names := make([]string, len(registry.Apps))
	for i, app := range registry.Apps {
		names[i] = fmt.Sprintf("%q", app.Name)
	}
	return strings.Join(names, ", ")
}
