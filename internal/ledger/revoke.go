package ledger

import (
	"context"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

const revokedPartition = "revoked"

// revoked is a revocation, in force until somebody lifts it.
type revoked struct {
	release.Revocation
	Lifted *Lifted `json:"lifted,omitempty"`
}

func revokedKey(layer string, grant release.Grant) Key {
	return Key{revokedPartition, joined(layer, grant.StatementID())}
}

// Revoke records that a grant is about to be taken back. It is recorded before
// the grant goes: releases that come between do not make it again. A revocation
// that was begun already stays as it is, with who began it; one that was lifted,
// or whose grant was seen to be gone and came back since, is replaced.
func (l *Ledger) Revoke(ctx context.Context, r release.Revocation) (release.Revocation, error) {
	doc, err := edit(ctx, l, revokedKey(r.Layer, r.Grant), func(doc *revoked, found bool) error {
		if found && doc.Lifted == nil && doc.Gone.IsZero() {
			return nil
		}
		r.At = l.clock.Now()
		*doc = revoked{Revocation: r}
		return nil
	})
	return doc.Revocation, err
}

// RevokedGone records that the grant of a revocation was seen to be gone.
func (l *Ledger) RevokedGone(ctx context.Context, layer string, grant release.Grant) (release.Revocation, error) {
	doc, err := edit(ctx, l, revokedKey(layer, grant), func(doc *revoked, found bool) error {
		if !found || doc.Lifted != nil {
			return notRevoked(layer, grant)
		}
		if doc.Gone.IsZero() {
			doc.Gone = l.clock.Now()
		}
		return nil
	})
	return doc.Revocation, err
}

// RevokedBack records that the grant of a revocation is there again, or still: it
// counts as begun, and taking it back again goes on. The error is of kind
// [release.NotFound] if it is not in force.
func (l *Ledger) RevokedBack(ctx context.Context, layer string, grant release.Grant) error {
	_, err := edit(ctx, l, revokedKey(layer, grant), func(doc *revoked, found bool) error {
		if !found || doc.Lifted != nil {
			return notRevoked(layer, grant)
		}
		doc.Gone = time.Time{}
		return nil
	})
	return err
}

// LiftRevocation lets releases make a grant again. The error is of kind
// [release.NotFound] if it was not taken back, unless the same person has just
// lifted that.
func (l *Ledger) LiftRevocation(ctx context.Context, layer string, grant release.Grant, by string) (release.Revocation, error) {
	doc, err := edit(ctx, l, revokedKey(layer, grant), func(doc *revoked, found bool) error {
		switch {
		case found && doc.Lifted == nil:
			doc.Lifted = &Lifted{By: by, At: l.clock.Now()}
		case !found || doc.Lifted.By != by:
			return notRevoked(layer, grant)
		}
		return nil // lifted by the same: the answer was lost
	})
	return doc.Revocation, err
}

func notRevoked(layer string, grant release.Grant) error {
	return release.Errorf(release.NotFound, "layer version %s was not taken back from %s", layer, grant).
		WithRemedy("tagboat unshared tells what was.")
}

// Revocations reads those in force of a layer version, or all of them, by layer version.
func (l *Ledger) Revocations(ctx context.Context, layer string) ([]release.Revocation, error) {
	prefix := ""
	if layer != "" {
		prefix = joined(layer) + "/"
	}
	items, err := l.table.Query(ctx, revokedPartition, prefix, Page{})
	if err != nil {
		return nil, err
	}
	found := []release.Revocation{}
	for _, item := range items {
		var doc revoked
		if err := decode(item, &doc); err != nil {
			return nil, err
		}
		if doc.Lifted == nil {
			found = append(found, doc.Revocation)
		}
	}
	return found, nil
}
