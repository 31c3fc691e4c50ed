package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// policy is a policy document: of a role, of a session, of a resource, or of a role's trust.
type policy struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMore[statement]
}

// statement is one rule of a policy.
type statement struct {
	Sid         string
	Effect      string
	Principal   principals
	Action      oneOrMore[string]
	NotAction   oneOrMore[string]
	Resource    oneOrMore[string]
	NotResource oneOrMore[string]
	Condition   map[string]map[string]oneOrMore[string]
}

// oneOrMore is a value that policies write with or without a list around it.
type oneOrMore[T any] []T

// UnmarshalJSON accepts both forms.
func (o *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return strict(data, (*[]T)(o))
	}
	var one T
	if err := strict(data, &one); err != nil {
		return err
	}
	*o = oneOrMore[T]{one}
	return nil
}

// principals are whom a resource's policy is about: "*", {"AWS": …}, {"Federated": …} or {"Service": …}.
type principals struct{ aws, federated []string }

// UnmarshalJSON accepts the forms above. Services are nobody here.
func (p *principals) UnmarshalJSON(data []byte) error {
	if string(bytes.TrimSpace(data)) == `"*"` {
		p.aws = []string{"*"}
		return nil
	}
	var kinds struct {
		AWS       oneOrMore[string]
		Federated oneOrMore[string]
		Service   oneOrMore[string]
	}
	if err := strict(data, &kinds); err != nil {
		return fmt.Errorf("principal %s: want \"*\", AWS, Federated or Service: %w", data, err)
	}
	p.aws, p.federated = kinds.AWS, kinds.Federated
	return nil
}

// strict decodes JSON and refuses unknown fields, so that a policy element that is not
// implemented here never passes silently.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// conditionOperators compare a value of the request with one of the policy.
var conditionOperators = map[string]func(got, want string) bool{
	"StringEquals":    func(got, want string) bool { return got == want },
	"StringNotEquals": func(got, want string) bool { return got != want },
	"StringLike":      func(got, want string) bool { return wildcard(want, got) },
	"ArnEquals":       func(got, want string) bool { return wildcard(want, got) },
	"ArnLike":         func(got, want string) bool { return wildcard(want, got) },
	"Bool":            strings.EqualFold,
}

// parsePolicy reads a policy document and refuses what this package does not evaluate.
func parsePolicy(document string) (*policy, error) {
	var p policy
	if err := strict([]byte(document), &p); err != nil {
		return nil, fmt.Errorf("policy document: %w", err)
	}
	if len(p.Statement) == 0 {
		return nil, fmt.Errorf("policy document: want at least one statement, got none")
	}
	for i, s := range p.Statement {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("policy document: statement %d: %w", i, err)
		}
	}
	return &p, nil
}

func (s statement) check() error {
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return fmt.Errorf("effect %q: want Allow or Deny", s.Effect)
	}
	if (len(s.Action) == 0) == (len(s.NotAction) == 0) {
		return fmt.Errorf("want either Action or NotAction")
	}
	for operator, keys := range s.Condition {
		if _, ok := conditionOperators[operator]; !ok {
			return fmt.Errorf("condition operator %q is not simulated", operator)
		}
		for key := range keys {
			if _, ok := (subject{}).condition(key); !ok {
				return fmt.Errorf("condition key %q is not simulated", key)
			}
		}
	}
	return nil
}

// subject is what a policy is evaluated for.
type subject struct {
	// principal is the caller's ARN and roleARN that of the role it assumed, if any.
	principal, roleARN    string
	account, organization string
	action, resource      string
	externalID            string
	prefix                string // of a listing of a bucket
	// claims are those of a web identity's token, by the condition keys that name them.
	claims map[string]string
}

// condition is the value of a condition key; false for a key that is not simulated.
func (s subject) condition(key string) (string, bool) {
	switch strings.ToLower(key) {
	case "aws:principalorgid":
		return s.organization, true
	case "aws:principalaccount":
		return s.account, true
	case "aws:principalarn":
		if s.roleARN != "" {
			return s.roleARN, true
		}
		return s.principal, true
	case "aws:securetransport":
		return "true", true
	case "sts:externalid":
		return s.externalID, true
	case "s3:prefix":
		return s.prefix, true
	}
	if strings.HasPrefix(strings.ToLower(key), gitHubIssuer+":") {
		return s.claims[strings.ToLower(key)], true
	}
	return "", false
}

// verdict is what policies say about a subject.
type verdict int

const (
	silent verdict = iota
	allowed
	denied
)

// evaluate is the verdict of policies that apply to the caller, whoever it is.
func evaluate(policies []*policy, s subject) verdict {
	result := silent
	for _, p := range policies {
		for _, st := range p.Statement {
			if !st.covers(s) {
				continue
			}
			if st.Effect == "Deny" {
				return denied
			}
			result = allowed
		}
	}
	return result
}

// covers tells whether action, resource and conditions match.
func (s statement) covers(sub subject) bool {
	if len(s.Action) > 0 && !anyMatch(s.Action, sub.action, true) || len(s.NotAction) > 0 && anyMatch(s.NotAction, sub.action, true) {
		return false
	}
	if len(s.Resource) > 0 && !anyMatch(s.Resource, sub.resource, false) || len(s.NotResource) > 0 && anyMatch(s.NotResource, sub.resource, false) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, wants := range keys {
			if got, _ := sub.condition(key); !holds(operator, got, wants) {
				return false
			}
		}
	}
	return true
}

// holds tells whether a condition is met: by any of its values, or for a negated
// operator by all of them.
func holds(operator, got string, wants []string) bool {
	compare := conditionOperators[operator]
	if operator == "StringNotEquals" {
		for _, want := range wants {
			if !compare(got, want) {
				return false
			}
		}
		return true
	}
	for _, want := range wants {
		if got != "" && compare(got, want) {
			return true
		}
	}
	return false
}

func anyMatch(patterns []string, s string, foldCase bool) bool {
	for _, p := range patterns {
		if foldCase {
			p, s = strings.ToLower(p), strings.ToLower(s)
		}
		if wildcard(p, s) {
			return true
		}
	}
	return false
}

// wildcard matches a pattern in which * is any text and ? any character.
func wildcard(pattern, s string) bool {
	star, mark, i, j := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, mark = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// naming is how a resource's policy names a caller.
type naming int

const (
	unnamed   naming = iota
	asAccount        // the account is named: its own policies decide further
	asItself         // the role, the session or everyone is named
)

// names tells how a statement's principals name the caller.
func (p principals) names(s subject) naming {
	result := unnamed
	for _, who := range p.aws {
		switch who {
		case "*", s.principal, s.roleARN:
			if who != "" && !strings.HasSuffix(who, ":root") {
				return asItself
			}
			result = asAccount
		case s.account, rootARN(s.account):
			result = asAccount
		}
	}
	return result
}

// evaluateResource is the verdict of a resource's own policy on a caller, and how it
// named the caller in allowing it.
func (p *policy) evaluateResource(s subject) (verdict, naming) {
	result, how := silent, unnamed
	if p == nil {
		return result, how
	}
	for _, st := range p.Statement {
		n := st.Principal.names(s)
		if n == unnamed || !st.covers(s) {
			continue
		}
		if st.Effect == "Deny" {
			return denied, n
		}
		result, how = allowed, max(how, n)
	}
	return result, how
}
