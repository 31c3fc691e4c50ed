package ledger

import (
	"context"
	"slices"
	"sync"
)

// MemoryTable is a [Table] that lives as long as the process.
type MemoryTable struct {
	mu         sync.Mutex
	partitions map[string]map[string]Item
}

var _ Table = (*MemoryTable)(nil)

// NewMemoryTable makes an empty table.
func NewMemoryTable() *MemoryTable {
	return &MemoryTable{partitions: map[string]map[string]Item{}}
}

// Get reads a document.
func (t *MemoryTable) Get(ctx context.Context, key Key) (Item, error) {
	if err := key.Check(); err != nil {
		return Item{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	item, found := t.partitions[key.Partition][key.Sort]
	if !found {
		return Item{}, key.Missing()
	}
	return item.clone(), nil
}

// Put writes a document of the expected version.
func (t *MemoryTable) Put(ctx context.Context, item Item) error {
	if err := item.Check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	stored := t.partitions[item.Partition][item.Sort]
	if stored.Version != item.Version {
		return item.Changed(item.Version, stored.Version)
	}
	if t.partitions[item.Partition] == nil {
		t.partitions[item.Partition] = map[string]Item{}
	}
	item = item.clone()
	item.Version++
	t.partitions[item.Partition][item.Sort] = item
	return nil
}

// Delete removes a document of the expected version.
func (t *MemoryTable) Delete(ctx context.Context, key Key, version int64) error {
	if err := key.Check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	stored, found := t.partitions[key.Partition][key.Sort]
	if !found {
		return nil
	}
	if stored.Version != version {
		return key.Changed(version, stored.Version)
	}
	delete(t.partitions[key.Partition], key.Sort)
	return nil
}

// Query reads documents in the order of their sort keys.
func (t *MemoryTable) Query(ctx context.Context, partition, prefix string, page Page) ([]Item, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sorts []string
	for sort := range t.partitions[partition] {
		if page.Includes(prefix, sort) {
			sorts = append(sorts, sort)
		}
	}
	slices.Sort(sorts)
	if page.Descending {
		slices.Reverse(sorts)
	}
	if page.Limit > 0 && len(sorts) > page.Limit {
		sorts = sorts[:page.Limit]
	}
	items := make([]Item, len(sorts))
	for i, sort := range sorts {
		items[i] = t.partitions[partition][sort].clone()
	}
	return items, nil
}

// clone separates a stored item from what callers hold.
func (i Item) clone() Item {
	i.Body = slices.Clone(i.Body)
	return i
}
