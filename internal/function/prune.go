package function

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// Pruner finds out who would miss a published version, and deletes one.
type Pruner interface {
	ListVersionsByFunction(context.Context, *lambda.ListVersionsByFunctionInput, ...func(*lambda.Options)) (*lambda.ListVersionsByFunctionOutput, error)
	ListAliases(context.Context, *lambda.ListAliasesInput, ...func(*lambda.Options)) (*lambda.ListAliasesOutput, error)
	GetProvisionedConcurrencyConfig(context.Context, *lambda.GetProvisionedConcurrencyConfigInput, ...func(*lambda.Options)) (*lambda.GetProvisionedConcurrencyConfigOutput, error)
	GetFunctionEventInvokeConfig(context.Context, *lambda.GetFunctionEventInvokeConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionEventInvokeConfigOutput, error)
	ListEventSourceMappings(context.Context, *lambda.ListEventSourceMappingsInput, ...func(*lambda.Options)) (*lambda.ListEventSourceMappingsOutput, error)
	GetPolicy(context.Context, *lambda.GetPolicyInput, ...func(*lambda.Options)) (*lambda.GetPolicyOutput, error)
	DeleteFunction(context.Context, *lambda.DeleteFunctionInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error)
}

// Version is a published version, as a listing tells it.
type Version struct {
	Number int
	// Description is what its publisher wrote.
	Description string
}

// Name is the number as Lambda writes it.
func (v Version) Name() string { return strconv.Itoa(v.Number) }

// Older lists the published versions of a function beyond the newest keep, the
// oldest first, without those that an alias points at, with weight or without.
// keep is at least 1: the newest version may be one that was published a moment
// ago and that no alias points at yet.
func (f *Functions) Older(ctx context.Context, target release.Target, name string, keep int) ([]Version, error) {
	api, err := f.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return nil, err
	}
	versions, err := publishedVersions(ctx, api, name)
	if err != nil {
		return nil, refused(err, target.Site, "list the versions of function %q", name)
	}
	if len(versions) <= max(keep, 1) {
		return nil, nil
	}
	aliased, err := aliasedVersions(ctx, api, name)
	if err != nil {
		return nil, refused(err, target.Site, "list the aliases of function %q", name)
	}
	older := versions[:len(versions)-max(keep, 1)]
	return slices.DeleteFunc(older, func(v Version) bool { return aliased[v.Name()] }), nil
}

// publishedVersions are a function's, the oldest first.
func publishedVersions(ctx context.Context, api Pruner, name string) ([]Version, error) {
	var versions []Version
	in := &lambda.ListVersionsByFunctionInput{FunctionName: &name}
	for {
		out, err := api.ListVersionsByFunction(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, c := range out.Versions {
			if number, err := strconv.Atoi(aws.ToString(c.Version)); err == nil { // $LATEST is none
				versions = append(versions, Version{number, aws.ToString(c.Description)})
			}
		}
		if in.Marker = out.NextMarker; aws.ToString(in.Marker) == "" {
			break
		}
	}
	slices.SortFunc(versions, func(a, b Version) int { return cmp.Compare(a.Number, b.Number) })
	return versions, nil
}

// aliasedVersions are those that any alias of a function points at.
func aliasedVersions(ctx context.Context, api Pruner, name string) (map[string]bool, error) {
	aliased := map[string]bool{}
	in := &lambda.ListAliasesInput{FunctionName: &name}
	for {
		out, err := api.ListAliases(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, alias := range out.Aliases {
			aliased[aws.ToString(alias.FunctionVersion)] = true
			if alias.RoutingConfig != nil {
				for version := range alias.RoutingConfig.AdditionalVersionWeights {
					aliased[version] = true
				}
			}
		}
		if in.Marker = out.NextMarker; aws.ToString(in.Marker) == "" {
			return aliased, nil
		}
	}
}

// DeleteVersion deletes a published version unless somebody calls it by its
// number: then it says who. A version that is gone already is deleted, too.
func (f *Functions) DeleteVersion(ctx context.Context, target release.Target, name, version string) (kept string, err error) {
	if _, err := strconv.Atoi(version); err != nil {
		return "", release.Errorf(release.Internal, "%q is no published version of function %q", version, name)
	}
	api, err := f.cfg.Lambda(ctx, target, release.PhasePrune)
	if err != nil {
		return "", err
	}
	kept, err = caller(ctx, api, target, name, version)
	if kept != "" || err != nil {
		return kept, err
	}
	_, err = api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name, Qualifier: &version})
	switch {
	case err == nil || awserr.Is(err, awserr.NotFound):
		return "", nil
	case awserr.Is(err, awserr.Conflict): // an alias was pointed at it meanwhile
		return "an alias points at it", nil
	}
	return "", refused(err, target.Site, "delete version %s of function %q", version, name)
}

// caller is who calls a version by its number, as far as that can be seen with a
// read each. (Function URLs belong to aliases and $LATEST only.)
func caller(ctx context.Context, api Pruner, target release.Target, name, version string) (string, error) {
	looks := []struct {
		what string
		look func() error
	}{
		{"it has provisioned concurrency", func() error {
			_, err := api.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version})
			return err
		}},
		{"its asynchronous invocations are configured", func() error {
			_, err := api.GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: &name, Qualifier: &version})
			return err
		}},
		{"its own policy lets somebody invoke it", func() error {
			_, err := api.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &name, Qualifier: &version})
			return err
		}},
	}
	for _, l := range looks {
		err := l.look()
		switch {
		case err == nil:
			return l.what, nil
		case awserr.StatusOf(err) != http.StatusNotFound: // there is none; emulators lack some of these APIs
			return "", refused(err, target.Site, "find out who calls version %s of function %q", version, name)
		}
	}
	return mapped(ctx, api, target, name, version)
}

// mapped tells whether an event source calls a version.
func mapped(ctx context.Context, api Pruner, target release.Target, name, version string) (string, error) {
	in := &lambda.ListEventSourceMappingsInput{FunctionName: aws.String(fmt.Sprintf("%s:%s", name, version))}
	out, err := api.ListEventSourceMappings(ctx, in)
	switch {
	case awserr.Is(err, awserr.NotFound):
		return "", nil
	case err != nil:
		return "", refused(err, target.Site, "find out which event sources call version %s of function %q", version, name)
	case len(out.EventSourceMappings) > 0 || aws.ToString(out.NextMarker) != "":
		return "an event source calls it", nil
	}
	return "", nil
}
