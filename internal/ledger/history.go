package ledger

import (
	"context"
	"errors"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// resultsAtOnce is how many releases' results are read side by side.
const resultsAtOnce = 8

// History reads what an app's releases did, the newest first and at most so
// many; those that have not ended are among them, and dry runs are not.
func (l *Ledger) History(ctx context.Context, app string, limit int) ([]Past, error) {
	releases, err := l.List(ctx, Filter{App: app, Limit: limit})
	if err != nil {
		return nil, err
	}
	past := make([]Past, len(releases))
	errs := make([]error, len(releases))
	clock.Each(l.clock, len(releases), resultsAtOnce, func(i int) {
		past[i], errs[i] = l.past(ctx, releases[i])
	})
	return past, errors.Join(errs...)
}

// Past is a release with what came of it.
type Past struct {
	Release release.Release
	// Results are those of its steps, by step id.
	Results map[string]release.Result
	// Artifacts are what was staged for it, by name.
	Artifacts map[string]release.Artifact
}

// past reads all documents of a release with one query.
func (l *Ledger) past(ctx context.Context, rel release.Release) (Past, error) {
	past := Past{Release: rel}
	items, err := l.table.Query(ctx, releasePartition(rel.ID), "", Page{})
	if err != nil {
		return past, err
	}
	if past.Results, err = resultsIn(items); err != nil {
		return past, err
	}
	past.Artifacts, err = artifactsIn(items)
	return past, err
}
