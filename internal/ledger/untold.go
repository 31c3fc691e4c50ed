package ledger

import (
	"context"

	"github.com/tagboat/tagboat/internal/release"
)

const untoldPartition = "untold"

func untoldKey(id string) Key { return Key{untoldPartition, joined(id)} }

// Untold reads the releases whose last word may not have reached those who are
// told of them, in no particular order: those under way, and those that have
// ended until [Ledger.Told] is called. Dry runs are told to nobody.
func (l *Ledger) Untold(ctx context.Context) ([]release.Release, error) {
	items, err := l.table.Query(ctx, untoldPartition, "", Page{})
	if err != nil {
		return nil, err
	}
	rels := []release.Release{}
	for _, item := range items {
		rel, found, err := l.follow(ctx, item)
		if err != nil {
			return nil, err
		}
		if found { // else it is being created, or a crash came before its record
			rels = append(rels, rel)
		}
	}
	return rels, nil
}

// Told takes a release off the list of [Ledger.Untold]. It can be called again.
func (l *Ledger) Told(ctx context.Context, id string) error {
	return l.table.Delete(ctx, untoldKey(id), firstVersion)
}
