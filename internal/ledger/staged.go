package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

const (
	artifactPrefix = "artifact/"
	notePrefix     = "note/"
)

// PutArtifact records an artifact that is staged for a release. The first of a name
// counts: plans may have been made with it.
func (l *Ledger) PutArtifact(ctx context.Context, releaseID string, artifact release.Artifact) error {
	key := Key{releasePartition(releaseID), artifactPrefix + joined(artifact.Name)}
	_, err := l.add(ctx, key, artifact, l.expiry(key))
	return err
}

// Artifacts reads what is staged for a release, by name.
func (l *Ledger) Artifacts(ctx context.Context, releaseID string) (map[string]release.Artifact, error) {
	items, err := l.table.Query(ctx, releasePartition(releaseID), artifactPrefix, Page{})
	if err != nil {
		return nil, err
	}
	return artifactsIn(items)
}

// artifactsIn are the artifacts in documents of a release.
func artifactsIn(items []Item) (map[string]release.Artifact, error) {
	artifacts := map[string]release.Artifact{}
	for _, item := range items {
		if !strings.HasPrefix(item.Sort, artifactPrefix) {
			continue
		}
		var artifact release.Artifact
		if err := decode(item, &artifact); err != nil {
			return nil, err
		}
		artifacts[artifact.Name] = artifact
	}
	return artifacts, nil
}

// Note records something small about a release as JSON, in place of an earlier
// note of the same name. Tasks that run side by side need names of their own;
// [Ledger.Notes] reads them together.
func (l *Ledger) Note(ctx context.Context, releaseID, name string, value any) error {
	key := noteKey(releaseID, name)
	body, err := encode(key, value)
	if err != nil {
		return err
	}
	return set(ctx, l, key, body)
}

// NoteAfter is Note by somebody who read was before, nil for no note: done is false, and nothing is
// recorded, if another note came in between.
func NoteAfter[T any](ctx context.Context, l *Ledger, releaseID, name string, was *T, value T) (done bool, err error) {
	key := noteKey(releaseID, name)
	same := func(a, b any) bool {
		left, leftErr := encode(key, a)
		right, rightErr := encode(key, b)
		return leftErr == nil && rightErr == nil && bytes.Equal(left, right)
	}
	_, err = edit(ctx, l, key, func(doc *T, found bool) error {
		known := !found && was == nil || found && was != nil && same(doc, was)
		if done = known || found && same(doc, value); done { // or the answer was lost
			*doc = value
		}
		return nil
	})
	return done, err
}

// ReadNote reads a note into value, which is left as it is if there is none.
func (l *Ledger) ReadNote(ctx context.Context, releaseID, name string, value any) (found bool, err error) {
	body, item, err := load[json.RawMessage](ctx, l, noteKey(releaseID, name))
	if err != nil || item.Version == 0 {
		return false, err
	}
	item.Body = body
	return true, decode(item, value)
}

// Notes reads the notes of a release whose names begin with prefix, by the rest of their names.
func (l *Ledger) Notes(ctx context.Context, releaseID, prefix string) (map[string]json.RawMessage, error) {
	prefix = notePrefix + prefix
	items, err := l.table.Query(ctx, releasePartition(releaseID), prefix, Page{})
	if err != nil {
		return nil, err
	}
	notes := make(map[string]json.RawMessage, len(items))
	for _, item := range items {
		notes[strings.TrimPrefix(item.Sort, prefix)] = item.Body
	}
	return notes, nil
}

// noteKey leaves the name as it is: it is Tagboat's own.
func noteKey(releaseID, name string) Key { return Key{releasePartition(releaseID), notePrefix + name} }

type layerVersion struct {
	ARN string `json:"arn"`
	// Retired is set before the version is deleted, and stays.
	Retired *retirement `json:"retired,omitempty"`
}

func layerKey(name, region, digest string) Key {
	return Key{"layer/" + joined(name, region), joined(digest)}
}

// LayerVersion finds the version of a layer that was published with a digest.
// One that is retired is not found.
func (l *Ledger) LayerVersion(ctx context.Context, name, region, digest string) (arn string, found bool, err error) {
	doc, item, err := load[layerVersion](ctx, l, layerKey(name, region, digest))
	if err != nil || item.Version == 0 || doc.Retired != nil {
		return "", false, err
	}
	return doc.ARN, true, nil
}

// PutLayerVersion records that a digest is published as a layer version.
func (l *Ledger) PutLayerVersion(ctx context.Context, name, region, digest, arn string) error {
	return set(ctx, l, layerKey(name, region, digest), layerVersion{ARN: arn})
}

// Claim binds a version of an app to its source, for ever. If it is bound
// already, existing is its source; claimed is true if that is the same one, the repository's name aside.
func (l *Ledger) Claim(ctx context.Context, app, version string, source release.Source) (existing release.Source, claimed bool, err error) {
	key := claimKey(app, version)
	existed, err := l.add(ctx, key, source, time.Time{})
	if err != nil || !existed {
		return source, err == nil, err
	}
	existing, _, err = load[release.Source](ctx, l, key)
	same := existing
	same.Repository = source.Repository
	return existing, err == nil && same == source, err
}

// Claimed is the source that a version of an app is bound to, if it is.
func (l *Ledger) Claimed(ctx context.Context, app, version string) (source release.Source, found bool, err error) {
	source, item, err := load[release.Source](ctx, l, claimKey(app, version))
	return source, item.Version > 0, err
}

func claimKey(app, version string) Key { return Key{"claim/" + joined(app), joined(version)} }
