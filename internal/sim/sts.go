package sim

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// Limits of AssumeRole. Source: AWS STS API Reference, AssumeRole.
const (
	maxSessionPolicy       = 2048 // characters
	minSessionSeconds      = 900
	maxSessionSeconds      = 43200
	maxChainedSeconds      = 3600 // when a role assumes a role
	defaultSessionSeconds  = 3600
	sessionCredentialToken = "simulated-session-token"
)

var sessionNamePattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// STSClient assumes roles.
type STSClient struct{ session *Session }

// STS is the session's client for the Security Token Service.
func (s *Session) STS() *STSClient { return &STSClient{s} }

// AssumeRole gives credentials of a role, if its trust policy and, from another account,
// the caller's policies allow it. The access key turns into a session with
// [Cloud.WithCredentials].
func (c *STSClient) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	r := request{session: c.session, service: stsService, action: "AssumeRole", resource: value(in.RoleArn)}
	return do(ctx, r, func() (*sts.AssumeRoleOutput, error) { return r.assumeRole(in) })
}

func (r request) assumeRole(in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	cloud := r.session.cloud
	lifetime, err := r.checkAssumeRole(in)
	if err != nil {
		return nil, err
	}
	limit, err := cloud.sessionPolicy(in)
	if err != nil {
		return nil, err
	}
	sub := r.session.subject("sts:AssumeRole", value(in.RoleArn))
	sub.externalID = value(in.ExternalId)
	target := cloud.roleByARN(value(in.RoleArn))
	if target == nil { // AWS does not tell who exists
		return nil, r.denied(sub, "because no identity-based policy allows the sts:AssumeRole action")
	}
	// Unlike other resources, a role is not open to its own account by default.
	if v, _ := target.trust.evaluateResource(sub); v != allowed {
		return nil, r.denied(sub, "because no resource-based policy allows the sts:AssumeRole action")
	}
	assumed := cloud.sessionOf(target, value(in.RoleSessionName))
	if err := r.authorizeOn(sub, assumed.account, target.trust); err != nil {
		return nil, err
	}
	assumed.limit, assumed.expires = limit, cloud.clock.Now().Add(lifetime)
	cloud.newSession(assumed)
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: ptr(assumed.arn), AssumedRoleId: ptr("SIMROLE:" + value(in.RoleSessionName))},
		Credentials: &types.Credentials{
			AccessKeyId: ptr(assumed.key), SecretAccessKey: ptr("simulated-secret"),
			SessionToken: ptr(sessionCredentialToken), Expiration: ptr(assumed.expires),
		},
	}, nil
}

// checkAssumeRole checks the parameters and returns how long the credentials last.
func (r request) checkAssumeRole(in *sts.AssumeRoleInput) (time.Duration, error) {
	if !sessionNamePattern.MatchString(value(in.RoleSessionName)) {
		return 0, invalidSTS("roleSessionName", "Member must satisfy regular expression pattern: [\\w+=,.@-]*, and have 2 to 64 characters")
	}
	seconds := int32(defaultSessionSeconds)
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if seconds < minSessionSeconds || seconds > maxSessionSeconds {
		return 0, invalidSTS("durationSeconds", fmt.Sprintf("Member must have a value between %d and %d", minSessionSeconds, maxSessionSeconds))
	}
	if r.session.role != nil && seconds > maxChainedSeconds {
		return 0, apiError("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	return time.Duration(seconds) * time.Second, nil
}

// sessionPolicy is the policy of the call, which many calls have in common; c.mu is held.
func (c *Cloud) sessionPolicy(in *sts.AssumeRoleInput) (*policy, error) {
	if in.Policy == nil {
		return nil, nil
	}
	if len(*in.Policy) > maxSessionPolicy {
		return nil, invalidSTS("policy", fmt.Sprintf("Member must have length less than or equal to %d", maxSessionPolicy))
	}
	if known, ok := c.policies[*in.Policy]; ok {
		return known, nil
	}
	p, err := parsePolicy(*in.Policy)
	if err != nil {
		return nil, &types.MalformedPolicyDocumentException{Message: ptr(err.Error())}
	}
	c.policies[*in.Policy] = p
	return p, nil
}

func invalidSTS(field, constraint string) error {
	return apiError("ValidationError", fmt.Sprintf("1 validation error detected: Value at '%s' failed to satisfy constraint: %s", field, constraint))
}
