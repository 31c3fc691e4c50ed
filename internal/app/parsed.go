package app

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/tagboat/tagboat/internal/config"
	"github.com/tagboat/tagboat/internal/release"
)

// maxParsed is how many bytes of documents [Parsed] remembers: before there are
// more, it forgets all.
const maxParsed = 4 << 20

// Parsed remembers what was parsed, by the text: all tasks of a release read the
// same pinned registry and the same plans, turn by turn. What it returns is
// shared and not to be changed. A nil Parsed parses every time.
type Parsed struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]any
	size  int
}

// registry is [config.ParseRegistry].
func (p *Parsed) registry(name string, text []byte) (release.Registry, error) {
	return parseOnce(p, text, func() (release.Registry, error) { return config.ParseRegistry(name, text) })
}

// plan reads the document of a plan.
func (p *Parsed) plan(text []byte) (*release.Plan, error) {
	return parseOnce(p, text, func() (*release.Plan, error) {
		plan := &release.Plan{}
		return plan, json.Unmarshal(text, plan)
	})
}

// parseOnce parses a text unless that was done before. Errors are not remembered.
func parseOnce[T any](p *Parsed, text []byte, parse func() (T, error)) (T, error) {
	if p == nil {
		return parse()
	}
	digest := sha256.Sum256(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.known[digest].(T); ok {
		return known, nil
	}
	value, err := parse()
	if err != nil {
		return value, err
	}
	if p.size += len(text); p.known == nil || p.size > maxParsed {
		p.known, p.size = map[[sha256.Size]byte]any{}, len(text)
	}
	p.known[digest] = value
	return value, nil
}
