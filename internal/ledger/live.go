package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Live is what a target runs since a release changed it.
type Live struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Account     string `json:"account"`
	Region      string `json:"region"`
	// Kind is [LiveFunction] or [LiveLayer].
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Version is the release's, Commit that of its source, Release its id.
	Version string    `json:"version"`
	Commit  string    `json:"commit,omitempty"`
	Release string    `json:"release"`
	Since   time.Time `json:"since"`
	// Detail is a function's version or a layer version's ARN.
	Detail string `json:"detail,omitempty"`
}

// The values of [Live.Kind].
const (
	LiveFunction = "function"
	LiveLayer    = "layer"
)

const livePartition = "live"

// liveSite is everything live of an app at a site, by kind and name.
type liveSite map[string]Live

func liveKey(l Live) Key {
	return Key{livePartition, joined(l.App, l.Environment, l.Account, l.Region)}
}

// PutLive records what targets run now, in the name of h, who holds the lease. If it fails, some may
// be recorded and some not. The error is of kind [release.Conflict] if another holds the lease: what
// is live is the other's to record, and what it has recorded is not replaced, however late h comes.
func (l *Ledger) PutLive(ctx context.Context, lease string, h Holder, targets ...Live) error {
	bySite := map[Key][]Live{}
	var keys []Key // in the caller's order, so that runs are alike
	for _, target := range targets {
		key := liveKey(target)
		if bySite[key] == nil {
			keys = append(keys, key)
		}
		bySite[key] = append(bySite[key], target)
	}
	for _, key := range keys {
		if err := l.putLiveSite(ctx, key, bySite[key], func() error { return l.holds(ctx, lease, h) }); err != nil {
			return err
		}
	}
	return nil
}

// putLiveSite asks who holds the lease between the read of a site and its write: whoever gets the
// lease later writes the site after that, and this write finds that its version has changed.
func (l *Ledger) putLiveSite(ctx context.Context, key Key, targets []Live, may func() error) error {
	_, err := edit(ctx, l, key, func(site *liveSite, found bool) error {
		if err := may(); err != nil {
			return err
		}
		if !found {
			*site = liveSite{}
		}
		for _, target := range targets {
			(*site)[joined(target.Kind, target.Name)] = target
		}
		return nil
	})
	return err
}

// Live reads what is live of an app in an environment, empty names standing for
// all; sorted by app, environment, account, region, kind and name.
func (l *Ledger) Live(ctx context.Context, app, environment string) ([]Live, error) {
	prefix := ""
	if app != "" {
		prefix = joined(app) + "/"
		if environment != "" {
			prefix += joined(environment) + "/"
		}
	}
	items, err := l.table.Query(ctx, livePartition, prefix, Page{})
	if err != nil {
		return nil, err
	}
	targets := []Live{}
	for _, item := range items {
		var site liveSite
		if err := decode(item, &site); err != nil {
			return nil, err
		}
		for _, target := range site {
			if environment == "" || target.Environment == environment {
				targets = append(targets, target)
			}
		}
	}
	slices.SortFunc(targets, compareLive)
	return targets, nil
}

func compareLive(a, b Live) int {
	return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Environment, b.Environment),
		cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}
