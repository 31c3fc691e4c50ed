// Package awsapi makes the AWS clients that the tasks use: with Tagboat's own
// credentials in the tools account, and with a target account's role, narrowed
// by a session policy to one app and one phase, everywhere else.
//
// All clients of one account and region share a budget of requests to Lambda's
// control plane, since its quota of 15 requests a second is shared with
// everybody else there (Lambda developer guide, quotas), and retry throttling
// adaptively. Of what changes something in Lambda, only what was throttled is
// repeated. AWS_ENDPOINT_URL and the rest of the SDK's environment are honoured.
package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	// LambdaBudget is how many requests a second are made to the control plane
	// of Lambda in one account and region.
	LambdaBudget = 5
	maxAttempts  = 5
	// sessionDuration is the least that STS grants.
	sessionDuration = 15 * time.Minute
	// sessionMargin is how long before its end a session is replaced: calls take
	// a while to arrive, and clocks differ.
	sessionMargin = 2 * time.Minute
)

// Clients makes clients and keeps their credentials and budgets.
type Clients struct {
	base aws.Config

	mu          sync.Mutex
	credentials map[sessionKey]aws.CredentialsProvider
	budgets     map[[2]string]*rate.Limiter
}

type sessionKey struct {
	account, region, role, externalID, policy string
}

// Load reads the SDK's environment. region, if not empty, is the region of
// Tagboat itself.
func Load(ctx context.Context, region string) (*Clients, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
				o.StandardOptions = append(o.StandardOptions, func(s *retry.StandardOptions) { s.MaxAttempts = maxAttempts })
			})
		}),
		config.WithAppID("tagboat"),
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	base, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, release.Errorf(release.Invalid, "AWS configuration: %w", err).
			WithRemedy("Set AWS_REGION and AWS_PROFILE, or whatever else the AWS SDK reads.")
	}
	return New(base), nil
}

// New makes clients from a configuration.
func New(base aws.Config) *Clients {
	return &Clients{
		base:        base,
		credentials: map[sessionKey]aws.CredentialsProvider{},
		budgets:     map[[2]string]*rate.Limiter{},
	}
}

// Config is the configuration of Tagboat's own clients in a region; empty is its own region.
func (c *Clients) Config(region string) aws.Config {
	own := c.base.Copy()
	if region != "" {
		own.Region = region
	}
	return own
}

// Lambda is a client at a target for a phase.
func (c *Clients) Lambda(ctx context.Context, t release.Target, phase release.Phase) (*lambda.Client, error) {
	cfg, err := c.target(t, phase)
	if err != nil {
		return nil, err
	}
	budget := c.budget(t.Site)
	return lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return errors.Join(
				stack.Finalize.Insert(attempt{budget}, "Retry", middleware.After), stack.Finalize.Insert(request{}, "Retry", middleware.Before))
		})
	}), nil
}

// CloudWatch is a client at a target for a phase.
func (c *Clients) CloudWatch(ctx context.Context, t release.Target, phase release.Phase) (*cloudwatch.Client, error) {
	cfg, err := c.target(t, phase)
	if err != nil {
		return nil, err
	}
	return cloudwatch.NewFromConfig(cfg), nil
}

// S3 is a client with Tagboat's own credentials in a region. Emulators are
// addressed by path, since bucket names don't resolve on loopback addresses.
func (c *Clients) S3(region string) *s3.Client {
	return s3.NewFromConfig(c.Config(region), func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil
		o.DisableLogOutputChecksumValidationSkipped = true // what was stored without a checksum is no news
	})
}

// TargetS3 is a client at a target for a phase, which reads staged objects as
// Lambda does when it takes code.
func (c *Clients) TargetS3(t release.Target, phase release.Phase) (*s3.Client, error) {
	cfg, err := c.target(t, phase)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }), nil
}

func (c *Clients) target(t release.Target, phase release.Phase) (aws.Config, error) {
	cfg := c.Config(t.Region)
	if t.Role == "" {
		return cfg, nil
	}
	policy, err := SessionPolicy(t, phase)
	if err != nil {
		return aws.Config{}, err
	}
	key := sessionKey{t.Account, t.Region, t.Role, t.ExternalID, policy}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.credentials[key] == nil {
		provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c.Config("")), RoleARN(t), func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = sessionName(t.App, phase)
			o.Duration = sessionDuration
			o.Policy = &policy
			if t.ExternalID != "" {
				o.ExternalID = &t.ExternalID
			}
		})
		c.credentials[key] = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = sessionMargin })
	}
	cfg.Credentials = c.credentials[key]
	return cfg, nil
}

// sessionName is what CloudTrail shows; STS takes at most 64 characters.
func sessionName(app string, phase release.Phase) string {
	return fmt.Sprintf("tagboat-%s-%.40s", phase, app)
}

func (c *Clients) budget(site release.Site) *rate.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]string{site.Account, site.Region}
	if c.budgets[key] == nil {
		c.budgets[key] = rate.NewLimiter(LambdaBudget, LambdaBudget)
	}
	return c.budgets[key]
}

// attempt is each request to Lambda, repeated ones included. It waits for the budget; Invoke is
// the data plane and has a quota of its own.
//
// A request that changes something and got no answer, or a server's error, is not repeated here: it may
// still arrive, and whoever calls has to know. The SDK would tell of the last attempt alone. What
// was throttled was not carried out.
type attempt struct{ budget *rate.Limiter }

func (attempt) ID() string { return "TagboatAttempt" }

func (a attempt) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error) {
	operation := middleware.GetOperationName(ctx)
	if operation != "Invoke" {
		if err := a.budget.Wait(ctx); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, release.Errorf(release.Transient, "request budget: %w", err)
		}
	}
	out, metadata, err := next.HandleFinalize(ctx, in)
	reads := strings.HasPrefix(operation, "Get") || strings.HasPrefix(operation, "List")
	if err != nil && !reads && !throttled(err) {
		err = sentOnce{err}
	}
	return out, metadata, err
}

func throttled(err error) bool {
	return awserr.StatusOf(err) == http.StatusTooManyRequests || retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// request is all attempts together. Whoever called gets the error as the service gave it.
type request struct{}

func (request) ID() string { return "TagboatRequest" }

func (request) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleFinalize(ctx, in)
	var once sentOnce
	if errors.As(err, &once) {
		err = once.error
	}
	return out, metadata, err
}

// sentOnce is an error after which the SDK does not try again.
type sentOnce struct{ error }

// RetryableError is asked by the SDK's retryer.
func (sentOnce) RetryableError() bool { return false }

func (e sentOnce) Unwrap() error { return e.error }
