package sim

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// alias is a name for one version, or for two by weight.
type alias struct {
	name, version, description, revision string
	weights                              map[string]float64 // of the additional version
	invocations                          map[string]int     // by version
}

var (
	aliasPattern  = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,128}$`)
	numberPattern = regexp.MustCompile(`^[0-9]+$`)
)

// aliasesOf are the names of the aliases that point at a version, with or without weight.
func (f *function) aliasesOf(version string) []string {
	var names []string
	for name, a := range f.aliases {
		if _, weighted := a.weights[version]; weighted || a.version == version {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (f *function) aliasARN(name string) string { return f.arn() + ":" + name }

// alias finds an alias of the target.
func (f *function) alias(name string) (*alias, error) {
	if a, ok := f.aliases[name]; ok {
		return a, nil
	}
	return nil, notFound("Cannot find alias arn: %s", f.aliasARN(name))
}

// describeAlias is an alias as the API tells it.
func (f *function) describeAlias(a *alias) types.AliasConfiguration {
	c := types.AliasConfiguration{
		AliasArn: ptr(f.aliasARN(a.name)), Name: ptr(a.name), FunctionVersion: ptr(a.version),
		Description: ptr(a.description), RevisionId: ptr(a.revision),
	}
	if len(a.weights) > 0 {
		c.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: maps.Clone(a.weights)}
	}
	return c
}

// GetAlias tells what an alias points at.
func (c *LambdaClient) GetAlias(ctx context.Context, in *lambda.GetAliasInput, _ ...func(*lambda.Options)) (*lambda.GetAliasOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("GetAlias", "GetAlias", t.arn()), func() (*lambda.GetAliasOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		a, err := f.alias(value(in.Name))
		if err != nil {
			return nil, err
		}
		d := f.describeAlias(a)
		return &lambda.GetAliasOutput{
			AliasArn: d.AliasArn, Name: d.Name, FunctionVersion: d.FunctionVersion,
			Description: d.Description, RevisionId: d.RevisionId, RoutingConfig: d.RoutingConfig,
		}, nil
	})
}

// ListAliases lists the aliases by name, or those of one version.
func (c *LambdaClient) ListAliases(ctx context.Context, in *lambda.ListAliasesInput, _ ...func(*lambda.Options)) (*lambda.ListAliasesOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("ListAliases", "ListAliases", t.arn()), func() (*lambda.ListAliasesOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		names := slices.Sorted(maps.Keys(f.aliases))
		if in.FunctionVersion != nil {
			names = f.aliasesOf(*in.FunctionVersion)
		}
		var all []types.AliasConfiguration
		for _, name := range names {
			all = append(all, f.describeAlias(f.aliases[name]))
		}
		some, next, err := page(all, in.Marker, in.MaxItems, pageOfVersions)
		return &lambda.ListAliasesOutput{Aliases: some, NextMarker: next}, err
	})
}

// CreateAlias makes an alias.
func (c *LambdaClient) CreateAlias(ctx context.Context, in *lambda.CreateAliasInput, _ ...func(*lambda.Options)) (*lambda.CreateAliasOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("CreateAlias", "CreateAlias", t.arn()), func() (*lambda.CreateAliasOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		name := value(in.Name)
		if !aliasPattern.MatchString(name) || numberPattern.MatchString(name) {
			return nil, apiError("ValidationException", fmt.Sprintf("Value '%s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", name))
		}
		if _, ok := f.aliases[name]; ok {
			return nil, conflict("Alias already exists: %s", f.aliasARN(name))
		}
		a := &alias{name: name, version: value(in.FunctionVersion), description: value(in.Description), invocations: map[string]int{}}
		if in.RoutingConfig != nil {
			a.weights = maps.Clone(in.RoutingConfig.AdditionalVersionWeights)
		}
		if err := f.checkRouting(a.version, a.weights); err != nil {
			return nil, err
		}
		a.revision = c.session.cloud.uuid()
		f.aliases[name] = a
		d := f.describeAlias(a)
		return &lambda.CreateAliasOutput{
			AliasArn: d.AliasArn, Name: d.Name, FunctionVersion: d.FunctionVersion,
			Description: d.Description, RevisionId: d.RevisionId, RoutingConfig: d.RoutingConfig,
		}, nil
	})
}

// UpdateAlias changes what the request sets. Without RoutingConfig the weights stay.
func (c *LambdaClient) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput, _ ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("UpdateAlias", "UpdateAlias", t.arn()), func() (*lambda.UpdateAliasOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		a, err := f.alias(value(in.Name))
		if err != nil {
			return nil, err
		}
		if err := f.updateAlias(c.session.cloud, a, in); err != nil {
			return nil, err
		}
		d := f.describeAlias(a)
		return &lambda.UpdateAliasOutput{
			AliasArn: d.AliasArn, Name: d.Name, FunctionVersion: d.FunctionVersion,
			Description: d.Description, RevisionId: d.RevisionId, RoutingConfig: d.RoutingConfig,
		}, nil
	})
}

func (f *function) updateAlias(c *Cloud, a *alias, in *lambda.UpdateAliasInput) error {
	if err := checkRevision(in.RevisionId, a.revision); err != nil {
		return err
	}
	version, weights := a.version, a.weights
	if in.FunctionVersion != nil {
		version = *in.FunctionVersion
	}
	if in.RoutingConfig != nil {
		weights = maps.Clone(in.RoutingConfig.AdditionalVersionWeights)
	}
	if err := f.checkRouting(version, weights); err != nil {
		return err
	}
	if p, ok := f.provisioned[a.name]; ok && version != a.version {
		p.begin(c)
	}
	a.version, a.weights, a.revision = version, weights, c.uuid()
	if in.Description != nil {
		a.description = *in.Description
	}
	return nil
}

// DeleteAlias deletes an alias; what is not there counts as deleted.
func (c *LambdaClient) DeleteAlias(ctx context.Context, in *lambda.DeleteAliasInput, _ ...func(*lambda.Options)) (*lambda.DeleteAliasOutput, error) {
	t := c.target(in.FunctionName, nil)
	return do(ctx, c.request("DeleteAlias", "DeleteAlias", t.arn()), func() (*lambda.DeleteAliasOutput, error) {
		f, err := c.function(t)
		if err != nil {
			return nil, err
		}
		delete(f.aliases, value(in.Name))
		delete(f.provisioned, value(in.Name))
		return &lambda.DeleteAliasOutput{}, nil
	})
}

// checkRouting enforces the rules of an alias: at most one additional version, weights
// between 0 and 1, versions that exist, neither $LATEST when there are two, and the same
// execution role and dead-letter queue for both.
//
// Source: Lambda Developer Guide, "Implement Lambda canary deployments using a weighted alias".
func (f *function) checkRouting(version string, weights map[string]float64) error {
	main := f.find(version)
	if main == nil || version == "" {
		return notFound("Function not found: %s:%s", f.arn(), version)
	}
	if len(weights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for additional, weight := range weights {
		if !(weight >= 0 && weight <= 1) {
			return apiError("ValidationException", fmt.Sprintf("1 validation error detected: Value '{%s=%v}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0]", additional, weight))
		}
		if version == latestVersion || additional == latestVersion {
			return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		}
		if additional == version {
			return invalid("Invalid function version %s. Function version %s is already included in routing configuration.", additional, additional)
		}
		other := f.find(additional)
		if other == nil {
			return notFound("Function not found: %s:%s", f.arn(), additional)
		}
		if err := checkAlike(main, other); err != nil {
			return err
		}
	}
	return nil
}

// checkAlike compares what two versions of one alias must have in common.
func checkAlike(a, b *version) error {
	if value(a.config.Role) != value(b.config.Role) {
		return invalid("Function versions of an alias with weights must have the same execution role: version %s has %s, version %s has %s",
			a.name(), value(a.config.Role), b.name(), value(b.config.Role))
	}
	if deadLetterOf(a) != deadLetterOf(b) {
		return invalid("Function versions of an alias with weights must have the same dead-letter queue configuration: version %s has %q, version %s has %q",
			a.name(), deadLetterOf(a), b.name(), deadLetterOf(b))
	}
	return nil
}

func deadLetterOf(v *version) string {
	if v.config.DeadLetterConfig == nil {
		return ""
	}
	return value(v.config.DeadLetterConfig.TargetArn)
}
