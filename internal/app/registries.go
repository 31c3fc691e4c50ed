package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"sync"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
)

// RegistryKey is where the registry is in the state bucket.
const RegistryKey = "config/registry.yaml"

// StoredRegistries reads the registry from a versioned bucket.
type StoredRegistries struct {
	Store *artifact.S3Store
	Key   string
	// Parsed remembers registries; nil parses each time.
	Parsed *Parsed
}

var _ Registries = (*StoredRegistries)(nil)

// Current reads the newest version and pins it.
func (r *StoredRegistries) Current(ctx context.Context) (release.Registry, release.Pointer, error) {
	text, pointer, err := r.Store.Latest(ctx, r.Key)
	if err != nil && release.KindOf(err) == release.NotFound {
		at := "s3://" + r.Store.Bucket + "/" + r.Key
		return release.Registry{}, pointer, release.Errorf(release.NotFound, "no registry is in force: %w", err).
			WithRemedy("Put it there: aws s3 cp registry.yaml %s", at)
	}
	if err != nil {
		return release.Registry{}, pointer, err
	}
	registry, err := r.Parsed.registry(r.Key, text)
	return registry, pointer, err
}

// FileRegistries reads the registry from a file, and pins what it read as an
// object of the state bucket.
type FileRegistries struct {
	Path  string
	Store *artifact.S3Store

	mu       sync.Mutex
	digest   string
	registry release.Registry
	pointer  release.Pointer
}

var _ Registries = (*FileRegistries)(nil)

// Current reads the file. It is stored anew only when it changed.
func (r *FileRegistries) Current(ctx context.Context) (release.Registry, release.Pointer, error) {
	text, err := os.ReadFile(r.Path)
	if err != nil {
		return release.Registry{}, release.Pointer{}, release.Errorf(release.NotFound, "registry: %w", err).
			WithRemedy("Name the file with --registry.")
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if digest == r.digest {
		return r.registry, r.pointer, nil
	}
	registry, err := config.ParseRegistry(r.Path, text)
	if err != nil {
		return registry, release.Pointer{}, err
	}
	pointer, err := r.Store.Put(ctx, "registry/"+digest+".yaml", text)
	if err != nil {
		return registry, pointer, err
	}
	r.digest, r.registry, r.pointer = digest, registry, pointer
	return registry, pointer, nil
}
