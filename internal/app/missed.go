package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// Lists is what GitHub tells of events that did not arrive.
type Lists interface {
	Tags(ctx context.Context, repositoryID int64, etag string) (ghapi.TagList, error)
	PublishedTags(ctx context.Context, repositoryID int64, etag string) (ghapi.TagList, error)
	// IsApp tells whether deliveries can be looked at and asked for again.
	IsApp() bool
	Deliveries(ctx context.Context, since time.Time) ([]ghapi.Delivery, error)
	Redeliver(ctx context.Context, id int64) error
}

// Missed looks for what should have started a release and raised no event: tags,
// since GitHub raises none for more than three at once and a webhook can be
// down; uploads whose event was lost; deliveries that failed. All of it starts
// as its event would have started it, so that both together start one release.
type Missed struct {
	*Core
	Registry func(ctx context.Context) (release.Registry, error)
	GitHub   Lists
	// Accept starts releases, each once, and answers for them.
	Accept func(ctx context.Context, requests []release.Request) release.Answer
	// S3 reads the uploads bucket; without its name, nothing is uploaded.
	S3     artifact.API
	Bucket string
}

// Found counts what a look for missed events did.
type Found struct {
	// Started are releases, Redelivered deliveries that were asked for again.
	Started     int `json:"started"`
	Redelivered int `json:"redelivered"`
	// Failed are repositories and apps that could not be looked at, each with a
	// line in the log. The next look tries again.
	Failed int `json:"failed"`
}

// listsAtOnce is how many repositories are looked at side by side.
const listsAtOnce = 4

// Look looks everywhere once. An error is one that left nothing to look at; what
// fails in one place is logged, counted and does not keep it from the others.
func (m *Missed) Look(ctx context.Context) (Found, error) {
	registry, err := m.Registry(ctx)
	if err != nil {
		return Found{}, err
	}
	var found Found
	var mu sync.Mutex
	count := func(what string, n *int, counted int, err error) {
		mu.Lock()
		defer mu.Unlock()
		*n += counted
		if err != nil {
			found.Failed++
			m.Log.ErrorContext(ctx, "missed events could not be looked for", "in", what, "error", err, "next", release.RemedyOf(err))
		}
	}
	lists := listsOf(registry)
	clock.Each(m.Clock, len(lists), listsAtOnce, func(i int) {
		started, err := m.lookAtList(ctx, lists[i])
		count(lists[i].String(), &found.Started, started, err)
	})
	if m.Bucket != "" {
		started, err := m.lookAtUploads(ctx, registry)
		count("bucket "+m.Bucket, &found.Started, started, err)
	}
	if m.GitHub.IsApp() {
		asked, err := m.askAgain(ctx, registry)
		count("deliveries", &found.Redelivered, asked, err)
	}
	if err := ctx.Err(); err != nil {
		return found, release.Errorf(release.Transient, "looking for missed events: %w", err)
	}
	return found, nil
}

// list is a list of a repository with the apps that are released from it.
type list struct {
	trigger    string // release.TriggerTag or release.TriggerRelease
	repository release.Repository
	apps       []release.App
}

// listsOf are the lists that the registry's apps are released from, in its order.
// A repository is known by its id, whatever it is called.
func listsOf(registry release.Registry) []list {
	var lists []list
	for _, app := range registry.Apps {
		if app.StartsOn() == release.TriggerUpload {
			continue
		}
		i := slices.IndexFunc(lists, func(l list) bool {
			return l.trigger == app.StartsOn() && l.repository.ID == app.Repository.ID
		})
		if i < 0 {
			i = len(lists)
			lists = append(lists, list{trigger: app.StartsOn(), repository: app.Repository})
		}
		lists[i].apps = append(lists[i].apps, app)
	}
	return lists
}

// key is the list's name in the ledger.
func (l list) key() string { return fmt.Sprintf("%s/%d", l.trigger, l.repository.ID) }

// String says it for people.
func (l list) String() string {
	return fmt.Sprintf("%ss of repository %d (%s)", l.trigger, l.repository.ID, l.repository.Name)
}

// accepted starts what is asked for and counts what is new.
func (m *Missed) accepted(ctx context.Context, answer release.Answer) (int, error) {
	switch answer.Status {
	case release.AnswerBusy:
		return 0, release.Errorf(release.Transient, "%s", answer.Reason)
	case release.AnswerStarted:
		m.Log.InfoContext(ctx, "a missed event was made up for", "releases", answer.Releases, "reason", answer.Reason)
		return 1, nil
	case release.AnswerRejected:
		m.Log.WarnContext(ctx, "a missed event starts nothing", "code", answer.Code, "reason", answer.Reason)
	}
	return 0, nil
}

const (
	// uploadAge is how long the event of an upload may take.
	uploadAge = 5 * time.Minute
	// uploadOverlap is how far each look goes back behind the last one: an upload
	// in parts is as old as its beginning (S3 user guide, multipart upload).
	uploadOverlap = 24 * time.Hour
)

// lookAtUploads starts uploads without a release. The first look starts nothing.
func (m *Missed) lookAtUploads(ctx context.Context, registry release.Registry) (started int, err error) {
	now := m.Clock.Now()
	seen, err := m.Ledger.SeeUploads(ctx, m.Bucket, now)
	if err != nil {
		return 0, err
	}
	after := seen.Until.Add(-uploadOverlap)
	if after.Before(seen.First) {
		after = seen.First
	}
	events := &artifact.Events{
		Bucket: m.Bucket, Accept: m.acceptNew, Log: m.Log,
		Registry: func(context.Context) (release.Registry, error) { return registry, nil },
	}
	var errs []error
	for _, app := range registry.Apps {
		uploads, err := artifact.ListUploaded(ctx, m.S3, m.Bucket, app, after, now.Add(-uploadAge))
		errs = append(errs, err)
		for _, upload := range uploads {
			n, err := m.accepted(ctx, events.Missed(ctx, upload))
			errs = append(errs, err)
			started += n
		}
	}
	if err := errors.Join(errs...); err != nil {
		return started, err
	}
	return started, m.Ledger.PutUploadsSeen(ctx, m.Bucket, now)
}

// acceptNew leaves alone what has a release or belongs to one: looks overlap.
func (m *Missed) acceptNew(ctx context.Context, requests []release.Request) release.Answer {
	for _, request := range requests {
		if _, err := m.Ledger.Release(ctx, request.ID()); err == nil {
			return duplicate(request.ID())
		}
	}
	return m.Accept(ctx, requests)
}

const (
	// deliveriesKept is how long GitHub delivers again (GitHub, "Redelivering webhooks").
	deliveriesKept = 3 * 24 * time.Hour
	// maxDeliveries is how often an event is delivered, the first time included.
	maxDeliveries = 6
	// deliveryPause is how long a failed delivery rests before it is asked for
	// again; each further time four times as long, a day in the end.
	deliveryPause = 5 * time.Minute
)

// starting are the events that start releases.
var starting = []string{release.TriggeredByPush, release.TriggeredByCreate, release.TriggeredByRelease}

// askAgain asks for failed deliveries of the registry's repositories. What was
// tried before is seen in the list itself: nothing has to be remembered.
func (m *Missed) askAgain(ctx context.Context, registry release.Registry) (asked int, err error) {
	now := m.Clock.Now()
	attempts, err := m.GitHub.Deliveries(ctx, now.Add(-deliveriesKept))
	if err != nil {
		return 0, err
	}
	tried, arrived, first := map[string]int{}, map[string]bool{}, map[string]time.Time{}
	for _, d := range attempts { // the latest first
		tried[d.GUID]++
		first[d.GUID] = d.At
		arrived[d.GUID] = arrived[d.GUID] || d.Arrived()
	}
	seen := map[string]bool{}
	var due []ghapi.Delivery
	for _, d := range attempts {
		if seen[d.GUID] {
			continue
		}
		seen[d.GUID] = true
		n := tried[d.GUID]
		known := slices.ContainsFunc(registry.Apps, func(a release.App) bool { return a.Repository.ID == d.Repository })
		if arrived[d.GUID] || n >= maxDeliveries || !known || !slices.Contains(starting, d.Event) || now.Sub(d.At) < deliveryPause<<(2*(n-1)) {
			continue
		}
		due = append(due, d)
	}
	var errs []error
	// As they happened: where versions have no order, the last that is released is live.
	slices.SortStableFunc(due, func(a, b ghapi.Delivery) int { return first[a.GUID].Compare(first[b.GUID]) })
	for _, d := range due {
		if err := m.GitHub.Redeliver(ctx, d.ID); err != nil {
			errs = append(errs, err)
			continue
		}
		asked++
		m.Log.InfoContext(ctx, "a failed delivery was asked for again", "delivery", d.GUID, "event", d.Event, "status", d.Code, "tried", tried[d.GUID])
	}
	return asked, errors.Join(errs...)
}

// some lists names for a log, not too many.
func some(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s … and %d more", strings.Join(names[:most], " "), len(names)-most)
}
