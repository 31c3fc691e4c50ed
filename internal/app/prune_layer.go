package app

import (
	"context"
	"maps"
	"slices"

	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/release"
)

// pruneLayer deletes those of a layer's older versions that a release made,
// that no function uses as far as can be seen, and that nobody else could use.
//
// A release that is being planned meanwhile must not come to use a version that
// is about to be deleted. So the ledger forgets the version first, and then it
// is looked whether a release came to know it before that. Those that begin
// later publish the content anew. A crash anywhere leaves a version that is
// forgotten and there: the next release prunes it.
func (t *pruneTurn) pruneLayer(ctx context.Context, object prunable) error {
	target, err := t.scope.target(object.site)
	if err != nil {
		return err
	}
	candidates, err := t.layerCandidates(ctx, target, object)
	if err != nil || len(candidates) == 0 {
		return err
	}
	known, err := t.Ledger.PublishedVersions(ctx, object.name, object.site.Region)
	if err != nil {
		return err
	}
	by := t.scope.release.ID
	for i, arn := range candidates {
		digest, remembered := known[arn]
		if !remembered { // its content has another version since
			continue
		}
		ours, err := t.Ledger.RetireLayerVersion(ctx, object.name, object.site.Region, digest, arn, by)
		if err != nil {
			return err
		}
		if !ours {
			candidates[i] = ""
		}
	}
	needs, err := t.needs(ctx, t.scope.release)
	if err != nil {
		return err
	}
	for _, arn := range candidates {
		switch {
		case arn == "":
		case needs.undecided || needs.usesLayer(arn):
			if digest, remembered := known[arn]; remembered {
				err = t.Ledger.RestoreLayerVersion(ctx, object.name, object.site.Region, digest, arn, by)
			}
		default:
			if err = t.Layers.DeleteVersion(ctx, target, arn); err == nil {
				t.deleted(ctx, object, arn)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// layerCandidates are the versions that can be deleted by all that can be seen.
// A version that was shared with somebody whose functions cannot be listed is
// none: they keep running without it, but could not be updated with it any more.
func (t *pruneTurn) layerCandidates(ctx context.Context, target release.Target, object prunable) ([]string, error) {
	older, err := t.Layers.Older(ctx, target, object.name, object.keep)
	if err != nil || len(older) == 0 {
		return nil, err
	}
	needs, err := t.needs(ctx, t.scope.release)
	if err != nil {
		return nil, err
	}
	older = slices.DeleteFunc(older, func(arn string) bool { return !needs.layers[arn] || needs.usesLayer(arn) })
	if needs.undecided || len(older) == 0 {
		return nil, nil
	}
	accounts, uses, err := t.visible(ctx, target)
	if err != nil {
		return nil, err
	}
	var candidates []string
	for _, arn := range older {
		if uses.Layers[arn] {
			continue
		}
		beyond, err := t.Layers.SharedBeyond(ctx, target, arn, accounts)
		if err != nil {
			return nil, err
		}
		if !beyond {
			candidates = append(candidates, arn)
		}
	}
	return candidates, nil
}

// visible are the accounts whose functions in a region can be listed, and what
// those use: the tools account, and the registry's environments there, other
// apps' too.
func (t *pruneTurn) visible(ctx context.Context, tools release.Target) ([]string, layer.Uses, error) {
	all := layer.Uses{Layers: map[string]bool{}, Codes: map[string]bool{}}
	targets := []release.Target{tools}
	for _, env := range t.scope.registry.Environments {
		if !slices.Contains(env.Regions, tools.Region) {
			continue
		}
		target, err := t.scope.target(release.Site{Environment: env.Name, Account: env.Account, Region: tools.Region})
		if err != nil {
			return nil, all, err
		}
		targets = append(targets, target)
	}
	var accounts []string
	for _, target := range targets {
		if slices.Contains(accounts, target.Account) {
			continue
		}
		accounts = append(accounts, target.Account)
		uses, listed := t.uses[target.Site]
		if !listed {
			var err error
			if uses, err = t.Layers.Uses(ctx, target); err != nil {
				return nil, all, err
			}
			t.uses[target.Site] = uses
		}
		maps.Copy(all.Layers, uses.Layers)
		maps.Copy(all.Codes, uses.Codes)
	}
	return accounts, all, nil
}
