package ledger

import (
	"context"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// firstVersion is that of documents which are written once.
const firstVersion = 1

// sortableTime has the same length for every time, so that its order as text is that in time.
const sortableTime = "2006-01-02T15:04:05.000000000Z"

const (
	activePartition = "active"
	// defaultLimit is how many releases List answers if the filter has no limit.
	defaultLimit = 100
	indexPage    = 100
)

// entry is what an index knows of a release.
type entry struct {
	ID     string `json:"id"`
	DryRun bool   `json:"dry_run,omitempty"`
}

func activeKey(id string) Key { return Key{activePartition, joined(id)} }

func indexPartition(app string) string {
	if app == "" {
		return "releases"
	}
	return "releases/" + joined(app)
}

func indexSort(rel release.Release) string {
	return rel.Created.UTC().Format(sortableTime) + "/" + joined(rel.ID)
}

// index makes a release that is about to be recorded findable. What is there
// from an earlier try stays.
func (l *Ledger) index(ctx context.Context, rel release.Release, expires time.Time) error {
	keys := []Key{
		{indexPartition(""), indexSort(rel)},
		{indexPartition(rel.App), indexSort(rel)},
		{attemptsPartition(rel.Request), attemptSort(rel.Attempt)},
		activeKey(rel.ID),
	}
	if !rel.Request.DryRun {
		keys = append(keys, untoldKey(rel.ID))
	}
	for _, key := range keys {
		if _, err := l.add(ctx, key, entry{ID: rel.ID, DryRun: rel.Request.DryRun}, expires); err != nil {
			return err
		}
	}
	return nil
}

// follow reads the release of an index entry; found is false for what a crash left behind.
func (l *Ledger) follow(ctx context.Context, item Item) (rel release.Release, found bool, err error) {
	var e entry
	if err := decode(item, &e); err != nil {
		return rel, false, err
	}
	return l.find(ctx, e.ID)
}

// Filter selects releases. The zero value is the newest hundred of all apps.
type Filter struct {
	// App is the name of an app; empty is all.
	App string
	// Limit is the most to answer; 0 is 100.
	Limit int
	// Before selects those created before it, for the next page; zero is all.
	Before time.Time
	// DryRuns is true to list dry runs too.
	DryRuns bool
}

// List reads releases, the newest first.
func (l *Ledger) List(ctx context.Context, filter Filter) ([]release.Release, error) {
	limit := filter.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	page := Page{Descending: true, Limit: min(limit, indexPage)}
	if !filter.Before.IsZero() {
		page.After = filter.Before.UTC().Format(sortableTime)
	}
	rels := []release.Release{}
	for {
		items, err := l.table.Query(ctx, indexPartition(filter.App), "", page)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			rel, listed, err := l.listed(ctx, item, filter)
			if err != nil {
				return nil, err
			}
			if listed {
				rels = append(rels, rel)
			}
			if len(rels) == limit {
				return rels, nil
			}
			page.After = item.Sort
		}
		if len(items) < page.Limit {
			return rels, nil
		}
	}
}

// listed reads the release of an entry unless the filter excludes it. When two
// try to create a release at the same time, each leaves an entry; the one that
// counts has the record's time.
func (l *Ledger) listed(ctx context.Context, item Item, filter Filter) (release.Release, bool, error) {
	var e entry
	if err := decode(item, &e); err != nil {
		return release.Release{}, false, err
	}
	if e.DryRun && !filter.DryRuns {
		return release.Release{}, false, nil
	}
	rel, found, err := l.find(ctx, e.ID)
	return rel, found && indexSort(rel) == item.Sort, err
}

// Active reads all releases that have not ended, dry runs too, in no particular order.
func (l *Ledger) Active(ctx context.Context) ([]release.Release, error) {
	items, err := l.table.Query(ctx, activePartition, "", Page{})
	if err != nil {
		return nil, err
	}
	rels := []release.Release{}
	for _, item := range items {
		rel, found, err := l.follow(ctx, item)
		switch {
		case err != nil:
			return nil, err
		case !found: // being created, or a crash came before its record
		case !rel.State.Ended():
			rels = append(rels, rel)
		default: // a crash came between its end and the removal
			if err := l.table.Delete(ctx, item.Key, item.Version); err != nil {
				return nil, err
			}
		}
	}
	return rels, nil
}
