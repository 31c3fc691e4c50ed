package config

import (
	"crypto/sha256"
	"sync"

	"github.com/tagboat/tagboat/internal/release"
)

// maxCached is how many registries a [Cache] keeps: the one in force, and those
// that releases under way have pinned.
const maxCached = 16

// Cache remembers what was parsed, by the text: every task of a release reads
// the same pinned registry. What it returns is shared and not to be changed. A
// nil Cache parses every time.
type Cache struct {
	mu         sync.Mutex
	registries map[[sha256.Size]byte]release.Registry
}

// Registry is [ParseRegistry] of a text that may have been parsed before. Errors
// are not remembered.
func (c *Cache) Registry(name string, text []byte) (release.Registry, error) {
	if c == nil {
		return ParseRegistry(name, text)
	}
	digest := sha256.Sum256(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.registries[digest]; ok {
		return known, nil
	}
	registry, err := ParseRegistry(name, text)
	if err != nil {
		return registry, err
	}
	if c.registries == nil || len(c.registries) == maxCached {
		c.registries = map[[sha256.Size]byte]release.Registry{}
	}
	c.registries[digest] = registry
	return registry, nil
}
