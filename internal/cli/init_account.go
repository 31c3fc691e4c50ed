package cli

import (
	"context"
	"path"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/scaffold"
)

// functionsOf are the functions of the caller's account whose names match a
// pattern, as they are now.
func functionsOf(ctx context.Context, region, pattern, alias string) ([]scaffold.Function, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, release.Errorf(release.Invalid, "--from-account is %q, which is no pattern: %w", pattern, err).WithRemedy("For example --from-account 'orders-*'.")
	}
	clients, err := awsapi.Load(ctx, region)
	if err != nil {
		return nil, err
	}
	api := lambda.NewFromConfig(clients.Config(""))
	var functions []scaffold.Function
	for pages := lambda.NewListFunctionsPaginator(api, &lambda.ListFunctionsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, unlisted(err)
		}
		for _, listed := range page.Functions {
			f := scaffold.Function{Name: aws.ToString(listed.FunctionName), Runtime: string(listed.Runtime), Handler: aws.ToString(listed.Handler)}
			if matched, _ := path.Match(pattern, f.Name); !matched { // the pattern is right
				continue
			}
			for _, layer := range listed.Layers {
				f.Layers = append(f.Layers, aws.ToString(layer.Arn))
			}
			if f.Alias, err = aliasOf(ctx, api, f.Name, alias); err != nil {
				return nil, unlisted(err)
			}
			functions = append(functions, f)
		}
	}
	return functions, nil
}

// aliasOf is the alias that callers of a function use: the preferred one if it
// is there, else its only one; with several nobody knows.
func aliasOf(ctx context.Context, api *lambda.Client, name, preferred string) (string, error) {
	var aliases []string
	for pages := lambda.NewListAliasesPaginator(api, &lambda.ListAliasesInput{FunctionName: &name}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, alias := range page.Aliases {
			if aws.ToString(alias.Name) == preferred {
				return preferred, nil
			}
			aliases = append(aliases, aws.ToString(alias.Name))
		}
	}
	if len(aliases) == 1 {
		return aliases[0], nil
	}
	return "", nil
}

func unlisted(err error) error {
	return release.Errorf(release.Denied, "the functions of the account cannot be listed: %w", awserr.Brief(err)).
		WithRemedy("Use credentials that may call lambda:ListFunctions and lambda:ListAliases, or name the functions with --function.")
}
