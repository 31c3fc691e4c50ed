package ledger

import (
	"context"
	"crypto/rand"
	"maps"
	"strings"
	"sync"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

const resultPrefix = "result/"

func resultsKey(id string, phase release.Phase, site release.Site) Key {
	sort := resultPrefix + joined(string(phase), site.Environment, site.Account, site.Region)
	return Key{releasePartition(id), sort}
}

// resultsDocument holds what came of the steps of one phase at one site.
type resultsDocument struct {
	// Writer is the [SiteResults] that wrote it last.
	Writer  string                    `json:"writer"`
	Results map[string]release.Result `json:"results"`
}

// Results reads the results of a release's steps, by step id.
func (l *Ledger) Results(ctx context.Context, id string) (map[string]release.Result, error) {
	items, err := l.table.Query(ctx, releasePartition(id), resultPrefix, Page{})
	if err != nil {
		return nil, err
	}
	return resultsIn(items)
}

// resultsIn are the results in documents of a release.
func resultsIn(items []Item) (map[string]release.Result, error) {
	results := map[string]release.Result{}
	for _, item := range items {
		if !strings.HasPrefix(item.Sort, resultPrefix) {
			continue
		}
		var doc resultsDocument
		if err := decode(item, &doc); err != nil {
			return nil, err
		}
		maps.Copy(results, doc.Results)
	}
	return results, nil
}

// SiteResults is the results of one phase of a release at one site while a task
// works on them. Its methods can be called concurrently.
type SiteResults struct {
	table  Table
	clock  clock.Clock
	item   Item // its version is the stored one; its body is not used
	writer string

	mu      sync.Mutex
	results map[string]release.Result
	changes int          // calls of Set
	saved   int          // calls of Set that are stored
	saving  clock.Signal // fires when the save that is under way ends; nil if none is
}

// SiteResults reads the results of one phase at one site, to go on with them.
func (l *Ledger) SiteResults(ctx context.Context, id string, phase release.Phase, site release.Site) (*SiteResults, error) {
	doc, item, err := load[resultsDocument](ctx, l, resultsKey(id, phase, site))
	if err != nil {
		return nil, err
	}
	if doc.Results == nil {
		doc.Results = map[string]release.Result{}
	}
	return &SiteResults{table: l.table, clock: l.clock, item: item, writer: rand.Text(), results: doc.Results}, nil
}

// Get is the result of a step; one that is not recorded is pending.
func (s *SiteResults) Get(stepID string) release.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if result, found := s.results[stepID]; found {
		return result
	}
	return release.Result{Step: stepID, State: release.StepPending}
}

// Set changes the result of the step it names. Save stores it.
func (s *SiteResults) Set(result release.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[result.Step] = result
	s.changes++
}

// Save stores what was set before it was called; it is durable when Save
// returns nil. Calls at the same time share a write. If another run of the task
// has written in between, nothing is stored and the error is of kind
// [release.Transient]: the task has to begin anew, with the results of the other.
func (s *SiteResults) Save(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.changes
	for s.saved < wanted {
		if under := s.saving; under != nil {
			s.mu.Unlock()
			if err := under.Wait(ctx, 0); err != nil {
				return release.Errorf(release.Transient, "saving results: %w", err)
			}
			s.mu.Lock()
			continue
		}
		if err := s.store(ctx); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	s.mu.Unlock()
	return nil
}

// store writes everything that is set; s.mu is held on entry and return, and not meanwhile.
func (s *SiteResults) store(ctx context.Context) error {
	s.saving = s.clock.NewSignal()
	changes, item := s.changes, s.item
	doc := resultsDocument{Writer: s.writer, Results: maps.Clone(s.results)}
	s.mu.Unlock()
	version, err := s.put(ctx, item, doc)
	s.mu.Lock()
	if err == nil {
		s.item.Version, s.saved = version, changes
	}
	s.saving.Fire()
	s.saving = nil
	return err
}

// put writes the document and answers its new version. An earlier write of our
// own whose answer was lost is recognised by its writer and written over.
func (s *SiteResults) put(ctx context.Context, item Item, doc resultsDocument) (int64, error) {
	var err error
	if item.Body, err = encode(item.Key, doc); err != nil {
		return 0, err
	}
	err = s.table.Put(ctx, item)
	if release.KindOf(err) == release.Conflict {
		if item.Version, err = s.ownVersion(ctx); err != nil {
			return 0, err
		}
		err = s.table.Put(ctx, item)
	}
	if release.KindOf(err) == release.Conflict {
		return 0, s.overtaken()
	}
	return item.Version + 1, err
}

// ownVersion is the stored version, if we wrote it.
func (s *SiteResults) ownVersion(ctx context.Context) (int64, error) {
	item, err := s.table.Get(ctx, s.item.Key)
	if release.KindOf(err) == release.NotFound {
		return 0, s.overtaken()
	}
	if err != nil {
		return 0, err
	}
	var doc resultsDocument
	if err := decode(item, &doc); err != nil {
		return 0, err
	}
	if doc.Writer != s.writer {
		return 0, s.overtaken()
	}
	return item.Version, nil
}

func (s *SiteResults) overtaken() error {
	return release.Errorf(release.Transient, "the results in %q were written by another run of the task", s.item.Key)
}
