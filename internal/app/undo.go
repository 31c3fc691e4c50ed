package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Undo is a person's wish to roll an environment of an app back to what was good
// there.
type Undo struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	// To is the version to go back to; empty is the last good one before that which is live.
	To string `json:"to,omitempty"`
	// By is who asks.
	By     string `json:"by,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// Undo starts a release that brings an earlier one back to one environment, with
// the manifest and the artifacts that were pinned then. Like any release it takes
// the lease, is watched, and is rolled back if it fails. Asked for twice at the
// same time, it is one release.
func (o *Orders) Undo(ctx context.Context, u Undo) (release.Answer, error) {
	registry, _, err := o.Registries.Current(ctx)
	if err != nil {
		return release.Answer{}, err
	}
	if _, _, err := registry.For(release.Request{App: u.App, Environment: u.Environment}); err != nil {
		return release.Answer{}, err
	}
	if u.Environment == "" {
		return release.Answer{}, release.Errorf(release.Invalid, "rolling app %q back: environment is missing", u.App).
			WithRemedy("Name it; tagboat status --app %s tells what is live where.", u.App)
	}
	if err := o.inOrder(ctx, u.App, u.Environment); err != nil {
		return release.Answer{}, err
	}
	var live string
	answer, err := o.start(ctx, func() (request release.Request, err error) {
		request, live, err = o.undoing(ctx, u)
		return request, err
	})
	if answer.Status == release.AnswerStarted {
		rel, err := o.Ledger.Release(ctx, answer.Releases[0])
		if err != nil {
			return release.Answer{}, err
		}
		answer.Reason = fmt.Sprintf("%s goes back from %s to %s in %s: release %s started.", u.App, live, rel.Version, u.Environment, rel.ID)
	}
	return answer, err
}

// undoing is the request that a rollback makes, and which version is live. Another
// environment may be on its way back to the same release.
func (o *Orders) undoing(ctx context.Context, u Undo) (request release.Request, live string, err error) {
	rels, err := o.releases(ctx, u.App)
	if err != nil {
		return request, "", err
	}
	history, err := o.history(ctx, u, rels)
	if err != nil {
		return request, "", err
	}
	back, err := history.way(u)
	if err != nil {
		return request, "", err
	}
	good := back.to
	for _, rel := range rels {
		if !u.DryRun && !rel.State.Ended() && rel.Request.Restores == good.ID && rel.Request.Environment == u.Environment {
			return request, "", stillRunning(rel)
		}
	}
	request = release.Request{
		App: u.App, Version: good.Version, Source: good.Source, Artifact: good.Request.Artifact, Trigger: release.TriggeredByUndo,
		Actor: u.By, Attempt: 1, Force: true, DryRun: u.DryRun, Environment: u.Environment, Restores: good.ID,
		Undoes: back.undoes, Only: back.only,
	}
	last, found, err := o.Ledger.LastAttempt(ctx, request)
	if err != nil {
		return request, "", err
	}
	if found && !last.State.Ended() && last.Request.Restores == "" {
		return request, "", stillRunning(last)
	}
	if found {
		request.Attempt = last.Attempt + 1
	}
	return request, history.live().Version, nil
}

func stillRunning(rel release.Release) error {
	return release.Errorf(release.Conflict, "release %q is still %s", rel.ID, rel.State).
		WithRemedy("Wait for its end, or look at it with: tagboat show %s", rel.ID)
}

// inOrder refuses to begin what would wait for a person: an environment that
// needs a hand gives its lease to nobody.
func (o *Orders) inOrder(ctx context.Context, app, environment string) error {
	lease, err := o.Ledger.Lease(ctx, leaseName(app, environment))
	if err != nil || lease.Dirty == "" {
		return err
	}
	return release.Errorf(release.Conflict, "%s of app %q needs a hand since release %q: %s", environment, app, lease.Holder.Release, lease.Dirty).
		WithRemedy("Do what tagboat show %s says, then: tagboat lease clear --app %s --environment %s --reason TEXT", lease.Holder.Release, app, environment)
}

// history are the releases that an environment of an app kept: what is live, and
// the others as they came there, the newest first. They may have been created in
// another order.
type history []release.Release

// newHistory finds those that an environment kept. The tasks that recorded when
// they came there may have had clocks that differ, so the live entries decide which
// is live, as far as they name one. One that has not ended may be about to write its own.
func newHistory(environment string, rels []release.Release, live []ledger.Live) history {
	var kept history
	for _, rel := range rels {
		if _, done := rel.DoneIn(environment); done {
			kept = append(kept, rel)
		}
	}
	slices.SortStableFunc(kept, func(a, b release.Release) int {
		sinceA, _ := a.DoneIn(environment)
		sinceB, _ := b.DoneIn(environment)
		return sinceB.Compare(sinceA)
	})
	i := slices.IndexFunc(kept, func(rel release.Release) bool {
		return slices.ContainsFunc(live, func(l ledger.Live) bool {
			return l.Release == rel.ID && l.Environment == environment && l.Kind == ledger.LiveFunction
		})
	})
	if i > 0 && kept[0].State.Ended() {
		kept = slices.Insert(slices.Delete(slices.Clone(kept), i, i+1), 0, kept[i])
	}
	return kept
}

// maxHistory is how far back an app's releases are looked through.
const maxHistory = 5000

// releases are those of an app, the newest first.
func (o *Orders) releases(ctx context.Context, app string) (past []release.Release, err error) {
	filter := ledger.Filter{App: app}
	for range maxHistory / 100 {
		rels, err := o.Ledger.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		past = append(past, rels...)
		if len(rels) < 100 {
			break
		}
		filter.Before = rels[len(rels)-1].Created
	}
	return past, nil
}

func (o *Orders) history(ctx context.Context, u Undo, past []release.Release) (history, error) {
	live, err := o.Ledger.Live(ctx, u.App, u.Environment)
	if err != nil {
		return nil, err
	}
	kept := newHistory(u.Environment, past, live)
	if len(kept) == 0 {
		return nil, release.Errorf(release.NotFound, "app %q has no good release in %s yet: there is nothing to go back to", u.App, u.Environment).
			WithRemedy("See what there was with: tagboat releases --app %s. To stop one that is under way: tagboat halt ID --reason TEXT", u.App)
	}
	return kept, nil
}

// live is the release that the environment has now.
func (h history) live() release.Release { return h[0] }

// way is how an environment goes back.
type way struct {
	// to is the release to go back to.
	to release.Release
	// undoes and only are those of the [release.Request]; they are empty where everything goes back.
	undoes, only string
}

// way finds the way back. What was brought back stands for what it was when it came
// first: going back twice goes back two versions. A drop is all that goes back, to
// what was there before it; whatever is further back goes back as a whole.
func (h history) way(u Undo) (way, error) {
	live := h.live()
	undone, by := h.undone()
	from, dropped, whole := 0, "", undone.Request.Dropped() == ""
	if u.To == "" {
		from = slices.IndexFunc(h, func(rel release.Release) bool { return rel.ID == undone.ID })
	}
	for _, rel := range h[from:] {
		rel, found := h.original(rel)
		if !found || isAgain(rel, undone) {
			continue
		}
		artifact := rel.Request.Artifact
		switch {
		case u.To != "" && rel.Version != u.To:
		case !whole && replaces(rel, undone):
			return way{rel, by, undone.Request.Dropped()}, nil
		case artifact == "":
			return way{to: rel}, nil
		default:
			dropped = artifact
		}
		whole = whole || artifact == ""
	}
	switch {
	case u.To == "":
		return way{}, release.Errorf(release.NotFound, "version %s is the first good one of app %q in %s: there is none to go back to", live.Version, u.App, u.Environment).
			WithRemedy("Release a new version that mends it; tagboat releases --app %s tells what there was.", u.App)
	case u.To == live.Version:
		return way{}, release.Errorf(release.Invalid, "version %s of app %q is what is live in %s", u.To, u.App, u.Environment).
			WithRemedy("It was released by %s. To release it once more: tagboat release --app %s %s --retry --force", live.ID, u.App, flagOf(&live))
	case dropped != "":
		return way{}, release.Errorf(release.Invalid, "version %s of app %q brought artifact %q alone: with it, the rest of version %s would stay in %s",
			u.To, u.App, dropped, live.Version, u.Environment).WithRemedy("Go back to what was there before, and drop it again.")
	}
	return way{}, release.Errorf(release.NotFound, "version %s of app %q was never good in %s; want one of %s", u.To, u.App, u.Environment, h.versions()).
		WithRemedy("See them with: tagboat releases --app %s", u.App)
}

// undone is what a rollback takes back, and the id of the release that tells what was there before
// it ([release.Request.Undoes]): what is live or, if that brought an earlier one back, that. Where it
// brought an artifact back to a release that had brought all of them, the last drop of another one
// since then goes first.
func (h history) undone() (undone release.Release, by string) {
	live := h.live()
	undone, found := h.original(live)
	if !found {
		return live, live.ID
	}
	if live.Request.Only == "" || undone.Request.Artifact != "" {
		return undone, live.ID
	}
	var standing release.Release
	gone := map[string]bool{}
	for _, rel := range h {
		artifact, isUndo := rel.Request.Dropped(), rel.Request.Restores != ""
		switch {
		case artifact == "" && standing.ID != "":
			return standing, standing.ID
		case artifact == "":
			return undone, live.ID
		case isUndo:
			gone[artifact] = true
		case gone[artifact] && standing.ID != "":
			return undone, live.ID // what the standing one found is gone as well
		case !gone[artifact] && standing.ID == "":
			standing = rel
		}
	}
	return undone, live.ID
}

// original is the release itself or, of one that brought an earlier one back, that one.
func (h history) original(rel release.Release) (release.Release, bool) {
	if rel.Request.Restores == "" {
		return rel, true
	}
	i := slices.IndexFunc(h, func(earlier release.Release) bool { return earlier.ID == rel.Request.Restores })
	if i < 0 {
		return rel, false
	}
	return h[i], true
}

// isAgain tells whether rel is what is undone, or another attempt at it: a tag, an upload and a drop can
// have the same version.
func isAgain(rel, undone release.Release) bool {
	return rel.Version == undone.Version && rel.Request.Artifact == undone.Request.Artifact &&
		rel.Source.Tag == undone.Source.Tag && rel.Source.Key == undone.Source.Key
}

// replaces tells whether bringing rel back replaces all that other brought: a
// drop brought one artifact, and the others with it are those of other releases.
func replaces(rel, other release.Release) bool {
	return rel.Request.Artifact == "" || rel.Request.Artifact == other.Request.Dropped()
}

// versions are those that were good, the newest first, a few of them.
func (h history) versions() string {
	var versions []string
	for _, rel := range h {
		if !slices.Contains(versions, rel.Version) {
			versions = append(versions, rel.Version)
		}
	}
	if len(versions) > 10 {
		versions = append(versions[:10], "…")
	}
	return strings.Join(versions, ", ")
}
