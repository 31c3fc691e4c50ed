package layer

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// policy is a layer version's resource policy.
type policy struct {
	revision   string
	statements []statement
}

// statement is one statement, as far as it can be understood here.
type statement struct {
	Sid       string                          `json:"Sid"`
	Effect    string                          `json:"Effect"`
	Action    oneOrMany                       `json:"Action"`
	Principal principal                       `json:"Principal"`
	Condition map[string]map[string]oneOrMany `json:"Condition"`
	// OrganizationID is how some emulators keep what AWS turns into a condition.
	OrganizationID string `json:"OrganizationId"`
}

// oneOrMany is a string or a list of strings.
type oneOrMany []string

// UnmarshalJSON reads either.
func (o *oneOrMany) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// principal are those whom a statement names: "*" and accounts as they are, or under
// the key AWS. What stands under another key has it before the name, and is no account.
type principal []string

// UnmarshalJSON reads each of the forms.
func (p *principal) UnmarshalJSON(text []byte) error {
	var keyed map[string]oneOrMany
	if json.Unmarshal(text, &keyed) != nil {
		return json.Unmarshal(text, (*oneOrMany)(p))
	}
	*p = principal(keyed["AWS"])
	delete(keyed, "AWS")
	for _, key := range slices.Sorted(maps.Keys(keyed)) {
		for _, who := range keyed[key] {
			*p = append(*p, key+":"+who)
		}
	}
	return nil
}

// readPolicy reads the policy of a version; it is empty if nothing is granted.
func readPolicy(ctx context.Context, api PolicyReader, site release.Site, v version) (policy, error) {
	out, err := api.GetLayerVersionPolicy(ctx, &lambda.GetLayerVersionPolicyInput{LayerName: &v.name, VersionNumber: &v.number})
	switch {
	case awserr.Is(err, awserr.NotFound):
		return policy{}, nil
	case err != nil:
		return policy{}, refused(err, site, "read the policy of layer version %s", v)
	}
	var document struct{ Statement []statement }
	if err := json.Unmarshal([]byte(aws.ToString(out.Policy)), &document); err != nil {
		return policy{}, release.Errorf(release.Internal, "policy of layer version %s: %w", v, err)
	}
	return policy{revision: aws.ToString(out.RevisionId), statements: document.Statement}, nil
}

// grants are the statements that are grants of the kinds that a manifest can ask for.
func (p policy) grants() []release.Grant {
	var all []release.Grant
	for _, s := range p.statements {
		all = append(all, s.grants()...)
	}
	return all
}

// has tells whether a grant is there already, under whatever id.
func (p policy) has(g release.Grant) bool { return slices.Contains(p.grants(), g) }

// statement finds a statement by its id.
func (p policy) statement(id string) (statement, bool) {
	for _, s := range p.statements {
		if s.Sid == id {
			return s, true
		}
	}
	return statement{}, false
}

// grants is what a statement grants. One with a condition other than an
// organisation's grants less than it seems to: it counts as nothing.
func (s statement) grants() []release.Grant {
	if s.Effect != "Allow" || !slices.Contains(s.Action, getLayerVersion) {
		return nil
	}
	organization, understood := s.organization()
	if !understood {
		return nil
	}
	var grants []release.Grant
	for _, who := range s.Principal {
		switch account := accountOf(who); {
		case who == "*" && organization != "":
			grants = append(grants, release.Grant{Organization: organization})
		case who == "*":
			grants = append(grants, release.Grant{Public: true})
		case account != "" && organization == "":
			grants = append(grants, release.Grant{Account: account})
		}
	}
	return grants
}

// organization is the organisation to which a statement is limited, if any.
func (s statement) organization() (id string, understood bool) {
	if len(s.Condition) == 0 {
		return s.OrganizationID, true
	}
	equals := s.Condition["StringEquals"]
	if len(s.Condition) != 1 || len(equals) != 1 {
		return "", false
	}
	for key, ids := range equals {
		if strings.EqualFold(key, "aws:PrincipalOrgID") && len(ids) == 1 {
			return ids[0], true
		}
	}
	return "", false
}

// accountOf is the account that a principal names, by its id or its root ARN.
func accountOf(who string) string {
	if parts := strings.Split(who, ":"); len(parts) == 6 && parts[2] == "iam" && parts[5] == "root" {
		who = parts[4]
	}
	if len(who) != 12 || strings.Trim(who, "0123456789") != "" {
		return ""
	}
	return who
}
