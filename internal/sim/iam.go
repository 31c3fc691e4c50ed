package sim

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Role is what CreateRole makes.
type Role struct {
	// Trust names who may assume the role: ARNs of roles, or of an account's root
	// ("arn:aws:iam::111111111111:root"), which leaves it to that account's policies.
	Trust []string
	// ExternalID must be given by whoever assumes the role, unless it is empty.
	ExternalID string
	// Policies are policy documents in JSON: Effect, Action, Resource and their Not
	// forms, with wildcards, and the conditions that this package knows.
	Policies []string
}

// role is a role as IAM keeps it.
type role struct {
	arn      string
	trust    *policy
	policies []*policy
}

// rolePattern is what an ARN of a role looks like; roles have no path here.
var rolePattern = regexp.MustCompile(`^arn:aws:iam::(\d{12}):role/([\w+=,.@-]{1,64})$`)

func rootARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// RoleARN is the ARN of an account's role.
func RoleARN(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// CreateRole makes or replaces a role and returns its ARN.
func (c *Cloud) CreateRole(account, name string, r Role) (string, error) {
	made := &role{arn: RoleARN(account, name), trust: trustPolicy(r)}
	for i, document := range r.Policies {
		p, err := parsePolicy(document)
		if err != nil {
			return "", fmt.Errorf("role %q: policy %d: %w", made.arn, i, err)
		}
		made.policies = append(made.policies, p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account(account).roles[name] = made
	return made.arn, nil
}

// trustPolicy says in a policy whom a role trusts.
func trustPolicy(r Role) *policy {
	s := statement{Effect: "Allow", Action: oneOrMore[string]{"sts:AssumeRole"}, Principal: principals{aws: r.Trust}}
	if r.ExternalID != "" {
		s.Condition = map[string]map[string]oneOrMore[string]{"StringEquals": {"sts:ExternalId": {r.ExternalID}}}
	}
	return &policy{Statement: oneOrMore[statement]{s}}
}

// Session is somebody who calls the cloud: an account's root, or a role that was
// assumed. It makes the clients.
type Session struct {
	cloud   *Cloud
	account string
	arn     string // as it appears in AccessDenied messages
	role    *role  // nil: root, who may do everything in the account
	limit   *policy
	expires time.Time // zero: never
	key     string
}

// Account is the account in which the session acts.
func (s *Session) Account() string { return s.account }

// ARN is who the session is, as policies and messages name it.
func (s *Session) ARN() string { return s.arn }

// AccessKeyID turns back into the session with [Cloud.WithCredentials].
func (s *Session) AccessKeyID() string { return s.key }

// Root is the account itself: everything is allowed to it in the account. Unlike in
// AWS it may also assume roles that trust the account, as an administrator would.
func (c *Cloud) Root(account string) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account(account)
	return c.newSession(&Session{account: account, arn: rootARN(account), key: "SIMROOT" + account})
}

// AssumeRole gives the credentials of a role as a service such as Lambda gets them for
// the code it runs: the role's trust is not asked, and they do not expire.
func (c *Cloud) AssumeRole(roleARN, sessionName string) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.roleByARN(roleARN)
	if r == nil {
		return nil, fmt.Errorf("assume role %q: there is no such role", roleARN)
	}
	return c.newSession(c.sessionOf(r, sessionName)), nil
}

// WithCredentials is the session whose access key this is.
func (c *Cloud) WithCredentials(accessKeyID string) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sessions[accessKeyID]
	if !ok {
		return nil, apiError("InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	return s, nil
}

// sessionOf is a session of a role, not yet known by its key; c.mu is held.
func (c *Cloud) sessionOf(r *role, sessionName string) *Session {
	m := rolePattern.FindStringSubmatch(r.arn)
	return &Session{
		account: m[1],
		arn:     "arn:aws:sts::" + m[1] + ":assumed-role/" + m[2] + "/" + sessionName,
		role:    r,
	}
}

// newSession gives a session its key and remembers it; c.mu is held.
func (c *Cloud) newSession(s *Session) *Session {
	s.cloud = c
	if s.key == "" {
		s.key = fmt.Sprintf("SIMSESSION%010d", c.next())
	}
	if known, ok := c.sessions[s.key]; ok {
		return known
	}
	c.sessions[s.key] = s
	return s
}

// roleByARN is a role, or nil; c.mu is held.
func (c *Cloud) roleByARN(arn string) *role {
	m := rolePattern.FindStringSubmatch(arn)
	if m == nil {
		return nil
	}
	return c.account(m[1]).roles[m[2]]
}

// subject is the session as a policy sees it; c.mu is held.
func (s *Session) subject(action, resource string) subject {
	sub := subject{
		principal: s.arn, account: s.account, organization: s.cloud.organizations[s.account],
		action: action, resource: resource,
	}
	if s.role != nil {
		sub.roleARN = s.role.arn
	}
	return sub
}

// authorize checks what only the caller's own policies decide, because the resource has
// no policy: another account's is out of reach. c.mu is held.
func (r request) authorize(action, resource string) error {
	owner := r.session.account
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 {
		owner = parts[4]
	}
	return r.authorizeOn(r.session.subject(action, resource), owner, nil)
}

// authorizeOn checks a permission on a resource of owner's that may have a policy of its
// own. Within one account either side may allow; across accounts both have to. A session
// policy always has to, and a Deny anywhere decides. c.mu is held.
//
// Source: IAM User Guide, "Policy evaluation logic".
func (r request) authorizeOn(sub subject, owner string, resource *policy) error {
	s := r.session
	identity, session := allowed, allowed
	if s.role != nil {
		identity = evaluate(s.role.policies, sub)
	}
	if s.limit != nil {
		session = evaluate([]*policy{s.limit}, sub)
	}
	own, how := resource.evaluateResource(sub)
	switch {
	case identity == denied:
		return r.denied(sub, "with an explicit deny in an identity-based policy")
	case session == denied:
		return r.denied(sub, "with an explicit deny in a session policy")
	case own == denied:
		return r.denied(sub, "with an explicit deny in a resource-based policy")
	case session != allowed:
		return r.denied(sub, "because no session policy allows the "+sub.action+" action")
	case owner == s.account && own == allowed && how == asItself:
		return nil
	case identity != allowed:
		return r.denied(sub, "because no identity-based policy allows the "+sub.action+" action")
	case owner != s.account && own != allowed:
		return r.denied(sub, "because no resource-based policy allows the "+sub.action+" action")
	}
	return nil
}

// denied is AccessDenied in the words and with the code of the service.
func (r request) denied(sub subject, why string) error {
	code, target := "AccessDeniedException", sub.resource
	switch r.service {
	case s3Service:
		code, target = "AccessDenied", `"`+sub.resource+`"`
	case stsService, cloudwatchService:
		code = "AccessDenied"
	}
	return apiError(code, fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", sub.principal, sub.action, target, why))
}
