package sim

import (
	"slices"
	"strings"
)

// gitHubIssuer is the host of GitHub's OpenID Connect provider: what condition keys on
// its claims begin with.
const gitHubIssuer = "token.actions.githubusercontent.com"

// WebIdentity is who has a token of an OpenID Connect provider.
type WebIdentity struct {
	// Provider is the ARN of the provider in the account of the role.
	Provider string
	// Claims are the token's: aud, sub, repository_id, …
	Claims map[string]string
}

// TrustsWebIdentity tells whether a trust policy lets a token take its role, as
// AssumeRoleWithWebIdentity decides. A condition on a claim that the token does not have
// is not met (IAM user guide, Policy elements: Condition).
func TrustsWebIdentity(trust string, identity WebIdentity) (bool, error) {
	p, err := parsePolicy(trust)
	if err != nil {
		return false, err
	}
	sub := subject{action: "sts:AssumeRoleWithWebIdentity", claims: map[string]string{}}
	for claim, v := range identity.Claims {
		sub.claims[gitHubIssuer+":"+strings.ToLower(claim)] = v
	}
	about := &policy{}
	for _, s := range p.Statement {
		if slices.Contains(s.Principal.federated, identity.Provider) {
			about.Statement = append(about.Statement, s)
		}
	}
	return evaluate([]*policy{about}, sub) == allowed, nil
}

// Allows tells whether a permission policy, for itself, allows an action on a resource.
func Allows(document, action, resource string) (bool, error) {
	p, err := parsePolicy(document)
	if err != nil {
		return false, err
	}
	return evaluate([]*policy{p}, subject{action: action, resource: resource}) == allowed, nil
}
