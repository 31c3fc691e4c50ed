package ledger

import (
	"context"
	"errors"
	"time"
)

// retirement is who is about to delete something, or has deleted it.
type retirement struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
	// Again is true if it was retired before: whoever did may have deleted it
	// without saying so.
	Again bool `json:"again,omitempty"`
}

// retirementLife is how long a retirement is left to the release that began it:
// longer than its task can live.
const retirementLife = 15 * time.Minute

// busy tells whether another release than by is at it.
func (r *retirement) busy(by string, now time.Time) bool {
	return r != nil && r.By != by && now.Before(r.At.Add(retirementLife))
}

// PublishedVersions reads the remembered versions of a layer in a region, by
// their ARNs: the digest of each. Retired ones are among them.
func (l *Ledger) PublishedVersions(ctx context.Context, name, region string) (map[string]string, error) {
	items, err := l.table.Query(ctx, layerKey(name, region, "-").Partition, "", Page{})
	if err != nil {
		return nil, err
	}
	digests := make(map[string]string, len(items))
	for _, item := range items {
		var doc layerVersion
		if err := decode(item, &doc); err != nil {
			return nil, err
		}
		digests[doc.ARN] = item.Sort
	}
	return digests, nil
}

// errKept ends the edit of what is not to be retired.
var errKept = errors.New("it is kept")

// RetireLayerVersion makes the version of a digest one that nobody is told any
// more, before it is deleted: whoever asks for the digest from now on publishes
// it anew. It is false if the digest has another version meanwhile, or if
// another release has retired this one a short while ago and is at it.
func (l *Ledger) RetireLayerVersion(ctx context.Context, name, region, digest, arn, by string) (bool, error) {
	now := l.clock.Now()
	_, err := edit(ctx, l, layerKey(name, region, digest), func(doc *layerVersion, _ bool) error {
		if doc.ARN != arn || doc.Retired.busy(by, now) {
			return errKept
		}
		doc.Retired = &retirement{By: by, At: now}
		return nil
	})
	if errors.Is(err, errKept) {
		return false, nil
	}
	return err == nil, err
}

// RestoreLayerVersion ends the retirement that a release began, of a version
// that is not deleted after all.
func (l *Ledger) RestoreLayerVersion(ctx context.Context, name, region, digest, arn, by string) error {
	_, err := edit(ctx, l, layerKey(name, region, digest), func(doc *layerVersion, _ bool) error {
		if doc.ARN == arn && doc.Retired != nil && doc.Retired.By == by {
			doc.Retired = nil
		}
		return nil
	})
	return err
}
