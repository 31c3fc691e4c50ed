package function

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// snapshotsAtOnce is how many functions of a site are looked at side by side.
// The client's budget of requests decides how fast that goes.
const snapshotsAtOnce = 8

// Snapshot finds what functions of a site are, by name. It makes two reads for
// a function that is as wanted behind its alias and one for a function without
// an alias; $LATEST, a third, is read only where a change is going to start from it.
//
// A function that is not there is in the answer as missing. The error joins
// those of all functions that could not be read.
func (f *Functions) Snapshot(ctx context.Context, target release.Target, wants []release.Want) (map[string]release.FunctionState, error) {
	api, err := f.cfg.Lambda(ctx, target, release.PhaseSnapshot)
	if err != nil {
		return nil, err
	}
	states := make([]release.FunctionState, len(wants))
	errs := make([]error, len(wants))
	clock.Each(f.cfg.Clock, len(wants), snapshotsAtOnce, func(i int) {
		states[i], errs[i] = observe(ctx, api, target.Site, wants[i])
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	byName := make(map[string]release.FunctionState, len(wants))
	for _, state := range states {
		byName[state.Name] = state
	}
	return byName, nil
}

func observe(ctx context.Context, api Reader, site release.Site, want release.Want) (release.FunctionState, error) {
	state := release.FunctionState{Name: want.Name}
	if want.Alias != "" {
		if err := observeAlias(ctx, api, site, want, &state); err != nil {
			return state, err
		}
		if !want.Whole && want.Unchanged(state) {
			return state, nil
		}
	}
	latest, err := look(ctx, api, want.Name, release.LatestVersion)
	switch {
	case awserr.Is(err, awserr.NotFound):
		state.Missing = true
		return state, nil
	case err != nil:
		return state, refused(err, site, "read function %q", want.Name)
	case latest.unreadable != "" && len(want.Environment) > 0:
		return state, unreadable(site, want.Name, latest)
	}
	state.Latest = &latest.content
	return state, nil
}

// observeAlias reads the alias and the version that it points at. Neither has
// to be there: an alias is created, and a version may be deleted between the
// two reads.
func observeAlias(ctx context.Context, api Reader, site release.Site, want release.Want, state *release.FunctionState) error {
	alias, err := getAlias(ctx, api, want.Name, want.Alias)
	if awserr.Is(err, awserr.NotFound) {
		return nil
	}
	if err != nil {
		return refused(err, site, "read alias %q of function %q", want.Alias, want.Name)
	}
	state.Alias = &alias
	live, err := look(ctx, api, want.Name, alias.Version)
	switch {
	case err == nil:
		state.Live = &live.content
	case !awserr.Is(err, awserr.NotFound):
		return refused(err, site, "read version %s of function %q", alias.Version, want.Name)
	}
	return nil
}

func getAlias(ctx context.Context, api Reader, function, alias string) (release.AliasState, error) {
	out, err := api.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &function, Name: &alias})
	if err != nil {
		return release.AliasState{}, err
	}
	state := release.AliasState{Version: aws.ToString(out.FunctionVersion), RevisionID: aws.ToString(out.RevisionId)}
	if out.RoutingConfig != nil && len(out.RoutingConfig.AdditionalVersionWeights) > 0 {
		state.Weights = out.RoutingConfig.AdditionalVersionWeights
	}
	return state, nil
}

func unreadable(site release.Site, name string, f found) error {
	return release.Errorf(release.Denied, "environment variables of function %q in account %s, %s cannot be read: %s",
		name, site.Account, site.Region, f.unreadable).
		WithRemedy("They are under a key that Tagboat's sessions in account %s may not use: take environment out of the function's manifest, or go back to Lambda's own key.", site.Account)
}
