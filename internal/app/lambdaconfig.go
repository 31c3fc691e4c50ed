package app

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/tagboat/tagboat/internal/release"
)

// lambdaAttempts is how often a Lambda makes a request, the first time included.
const lambdaAttempts = 5

// lambdaConfig is the SDK's configuration as Lambda's environment gives it: the
// region and the credentials of the function's role (Lambda developer guide,
// defined runtime environment variables), and AWS_ENDPOINT_URL where it is set.
// The SDK's own loader also knows profiles, single sign-on and instance
// metadata, and would link their clients, a megabyte, into every binary.
func lambdaConfig() (aws.Config, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, release.Errorf(release.Invalid, "AWS configuration: %w", err).
			WithRemedy("Correct the function's environment variables that begin with AWS_.")
	}
	if env.Region == "" || !env.Credentials.HasKeys() {
		return aws.Config{}, release.Errorf(release.Invalid,
			"AWS configuration: want AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, got region %q and credentials: %t",
			env.Region, env.Credentials.HasKeys()).WithRemedy("Run this as a Lambda function, which sets them.")
	}
	cfg := aws.Config{
		Region:      env.Region,
		Credentials: credentials.StaticCredentialsProvider{Value: env.Credentials},
		HTTPClient:  awshttp.NewBuildableClient(),
		Retryer: func() aws.Retryer {
			return retry.AddWithMaxAttempts(retry.NewAdaptiveMode(), lambdaAttempts)
		},
		AppID:                      "tagboat",
		ConfigSources:              []any{env},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	if env.BaseEndpoint != "" {
		cfg.BaseEndpoint = &env.BaseEndpoint
	}
	return cfg, nil
}
