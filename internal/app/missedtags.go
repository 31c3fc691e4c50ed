package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/webhook"
)

// maxHold is how long newer and newer tags keep an app's oldest missed one from starting.
const maxHold = 30 * time.Minute

// lookAtList starts, for each app, the newest tag that is new on the list and
// raised no event. A tag waits one look, since its event may be on its way; the
// next look starts it. Whatever else is new becomes known.
//
// What was started is recorded last: a crash before leads to starting it again,
// which finds its release.
func (m *Missed) lookAtList(ctx context.Context, l list) (started int, err error) {
	known, found, err := m.Ledger.Known(ctx, l.key())
	if err != nil || m.isYoung(l, known) {
		return 0, err
	}
	listed, err := m.read(ctx, l, known.ETag)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, m.firstSight(ctx, l, listed)
	}
	if listed.Unchanged && len(known.Pending) == 0 {
		return 0, nil
	}
	unseen, err := m.unseen(ctx, l, known, listed)
	if err != nil {
		return 0, err
	}
	pending := map[string]ledger.Pending{}
	for _, app := range l.apps {
		turn := &missedTurn{Missed: m, app: app, was: known.Pending[app.Name], unseen: unseen}
		n, err := turn.decide(ctx)
		if err != nil {
			return started, err
		}
		started += n
		if turn.next.Name != "" {
			pending[app.Name] = turn.next
		}
	}
	for _, p := range pending {
		delete(unseen, p.Name)
	}
	if err := m.Ledger.AddKnown(ctx, l.key(), objects(unseen)); err != nil {
		return started, err
	}
	known.ETag, known.Pending = listed.ETag, pending
	return started, m.recorded(m.Ledger.PutKnown(ctx, l.key(), known))
}

// isYoung tells whether something was seen for the first time a moment ago, as
// when a schedule fires twice: it is looked at again later.
func (m *Missed) isYoung(l list, known ledger.Known) bool {
	return slices.ContainsFunc(l.apps, func(app release.App) bool {
		p, waits := known.Pending[app.Name]
		return waits && m.Clock.Now().Sub(p.Seen) < sweepAge
	})
}

// recorded takes no offence at somebody else who looked at the same time and
// recorded that first: what either saw and did not record is new to the next look.
func (m *Missed) recorded(err error) error {
	if release.KindOf(err) == release.Conflict {
		return nil
	}
	return err
}

func (m *Missed) read(ctx context.Context, l list, etag string) (ghapi.TagList, error) {
	if l.trigger == release.TriggerRelease {
		return m.GitHub.PublishedTags(ctx, l.repository.ID, etag)
	}
	return m.GitHub.Tags(ctx, l.repository.ID, etag)
}

// firstSight makes everything known that is there. The mark is written last: a
// first sight that is not complete begins again.
func (m *Missed) firstSight(ctx context.Context, l list, listed ghapi.TagList) error {
	there := map[string]ghapi.TagRef{}
	for _, tag := range listed.Tags {
		there[tag.Name] = tag
	}
	if err := m.Ledger.AddKnown(ctx, l.key(), objects(there)); err != nil {
		return err
	}
	m.Log.InfoContext(ctx, "seen for the first time: what is there starts nothing", "list", l.String(), "count", len(there))
	return m.recorded(m.Ledger.PutKnown(ctx, l.key(), ledger.Known{First: m.Clock.Now(), ETag: listed.ETag}))
}

// unseen are the tags of the list that are not known. Known ones that moved are
// reported, once. On a list that has not changed, only what waits is unseen.
func (m *Missed) unseen(ctx context.Context, l list, known ledger.Known, listed ghapi.TagList) (map[string]ghapi.TagRef, error) {
	names, err := m.Ledger.KnownNames(ctx, l.key())
	if err != nil {
		return nil, err
	}
	unseen, moved := map[string]ghapi.TagRef{}, map[string]ghapi.TagRef{}
	if listed.Unchanged {
		for _, p := range known.Pending {
			listed.Tags = append(listed.Tags, ghapi.TagRef{Name: p.Name, Object: p.Object, Annotated: p.Annotated})
		}
	}
	for _, tag := range listed.Tags {
		object, seen := names[tag.Name]
		switch {
		case !seen:
			unseen[tag.Name] = tag
		case !listed.Unchanged && object != short(tag.Object):
			moved[tag.Name] = tag
		}
	}
	if len(moved) == 0 {
		return unseen, nil
	}
	m.Log.WarnContext(ctx, "known tags moved; that releases nothing", "list", l.String(), "tags", some(slices.Sorted(maps.Keys(moved))))
	return unseen, m.Ledger.AddKnown(ctx, l.key(), objects(moved))
}

// objects are tags as the ledger keeps them: enough of what they stand for to see that they moved.
func objects(tags map[string]ghapi.TagRef) map[string]string {
	kept := make(map[string]string, len(tags))
	for name, tag := range tags {
		kept[name] = short(tag.Object)
	}
	return kept
}

func short(sha string) string { return sha[:min(len(sha), 12)] }

// missedTurn decides about one app's unseen tags.
type missedTurn struct {
	*Missed
	app release.App
	// was is the tag that waits since an earlier look, next the one that waits now.
	was, next ledger.Pending
	unseen    map[string]ghapi.TagRef
}

// decide starts the tag that waited, unless it is gone or a newer one took its
// place, and makes the newest of the others wait.
func (t *missedTurn) decide(ctx context.Context) (started int, err error) {
	now := t.Clock.Now()
	waits := t.stillThere(ctx)
	newest, released, err := t.newest(ctx)
	if err != nil {
		return 0, err
	}
	since := now
	if waits {
		newer := newest != "" && t.older(t.was.Name, newest)
		switch {
		case newer && released:
			t.Log.InfoContext(ctx, "a missed tag is not released: a newer one was", "app", t.app.Name, "tag", t.was.Name, "newer", newest)
		case newer && now.Sub(t.was.Since) < maxHold:
			since = t.was.Since
			t.Log.InfoContext(ctx, "a newer tag takes the place of a missed one", "app", t.app.Name, "tag", t.was.Name, "newer", newest)
		default:
			if started, err = t.accepted(ctx, t.Accept(ctx, []release.Request{t.request(t.was.Name)})); err != nil {
				return 0, err
			}
			released = released || t.older(newest, t.was.Name)
		}
	}
	if newest != "" && !released {
		tag := t.unseen[newest]
		t.next = ledger.Pending{Name: newest, Object: tag.Object, Annotated: tag.Annotated, Seen: now, Since: since}
	}
	return started, nil
}

// stillThere tells whether the tag that waits is there as it was seen. One that
// moved is not what somebody pushed as that version.
func (t *missedTurn) stillThere(ctx context.Context) bool {
	if t.was.Name == "" {
		return false
	}
	tag, there := t.unseen[t.was.Name]
	if !there {
		return false // deleted, or known by now
	}
	if tag.Object != t.was.Object {
		t.Log.WarnContext(ctx, "a missed tag moved before it was released; that releases nothing", "app", t.app.Name, "tag", t.was.Name)
		return false
	}
	_, ours := t.app.Version(t.was.Name) // the registry may have changed
	return ours
}

// newest is the one of the app's unseen tags, without the one that waits, that
// may start, and whether it was released meanwhile. The order is SemVer's; of
// several without an order none is the newest, and Tagboat does not guess.
func (t *missedTurn) newest(ctx context.Context) (newest string, released bool, err error) {
	ordered, others := t.candidates()
	if len(ordered) > 0 {
		newest = ordered[0]
		released, err = t.isReleased(ctx, newest)
		t.tellPassed(ctx, newest, append(ordered[1:], others...))
		return newest, released, err
	}
	var open []string
	for _, name := range others {
		released, err := t.isReleased(ctx, name)
		if err != nil {
			return "", false, err
		}
		if !released {
			open = append(open, name)
		}
	}
	if len(open) == 1 {
		return open[0], false, nil
	}
	if len(open) > 1 {
		t.Log.WarnContext(ctx, "several missed tags have no order: none is released", "app", t.app.Name, "tags", some(open),
			"next", "Release the right one by hand: tagboat release --app "+t.app.Name+" --tag TAG")
	}
	return "", false, nil
}

func (t *missedTurn) tellPassed(ctx context.Context, newest string, passed []string) {
	if len(passed) > 0 {
		t.Log.InfoContext(ctx, "of the new tags only the newest counts", "app", t.app.Name, "newest", newest, "others", some(passed))
	}
}

// candidates are the app's unseen tags without the one that waits: those with a
// SemVer version, the newest first (of equals, the name decides), and the others by name.
func (t *missedTurn) candidates() (ordered, others []string) {
	versions := map[string]*semver.Version{}
	for _, name := range slices.Sorted(maps.Keys(t.unseen)) {
		version, ours := t.app.Version(name)
		if _, ok := webhook.CheckTag(name); !ours || !ok || name == t.was.Name {
			continue
		}
		parsed, err := semver.StrictNewVersion(version)
		if err != nil {
			others = append(others, name)
			continue
		}
		versions[name] = parsed
		ordered = append(ordered, name)
	}
	slices.SortStableFunc(ordered, func(a, b string) int { return versions[b].Compare(versions[a]) })
	return ordered, others
}

// older tells whether a tag's version is older than another's, as far as they have an order.
func (t *missedTurn) older(tag, other string) bool {
	version, _ := t.app.Version(tag)
	than, _ := t.app.Version(other)
	return release.Older(version, than)
}

func (t *missedTurn) isReleased(ctx context.Context, tag string) (bool, error) {
	_, err := t.Ledger.Release(ctx, t.request(tag).ID())
	if release.KindOf(err) == release.NotFound {
		return false, nil
	}
	return err == nil, err
}

// request is what the tag's event would have asked for. Who pushed it nobody knows.
func (t *missedTurn) request(tag string) release.Request {
	version, _ := t.app.Version(tag)
	request := release.Request{
		App: t.app.Name, Version: version, Trigger: release.TriggeredBySchedule, Attempt: 1,
		Source: release.Source{RepositoryID: t.app.Repository.ID, Repository: t.app.Repository.Name, Tag: tag},
	}
	if ref := t.unseen[tag]; !ref.Annotated {
		request.Source.Commit = ref.Object
	}
	return request
}
