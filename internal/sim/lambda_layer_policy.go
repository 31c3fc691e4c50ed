package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// grant is one statement of a layer version's policy.
type grant struct{ statementID, principal, organization string }

// layerAction is the only action that can be granted on a layer version.
const layerAction = "lambda:GetLayerVersion"

var (
	statementIDPattern    = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,100}$`)
	layerPrincipalPattern = regexp.MustCompile(`^(\d{12}|\*|arn:aws:iam::\d{12}:root)$`)
	organizationPattern   = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

// grantDocument is a statement in the form in which AWS returns it.
type grantDocument struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// policyDocument is a layer version's policy in the form in which AWS returns it.
type policyDocument struct {
	Version   string
	ID        string `json:"Id"`
	Statement []grantDocument
}

func (l *layerVersion) document(g grant) grantDocument {
	d := grantDocument{Sid: g.statementID, Effect: "Allow", Principal: "*", Action: layerAction, Resource: l.arn()}
	switch {
	case g.organization != "":
		d.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": g.organization}}
	case len(g.principal) == 12:
		d.Principal = map[string]string{"AWS": rootARN(g.principal)}
	case g.principal != "*":
		d.Principal = map[string]string{"AWS": g.principal}
	}
	return d
}

// policyText is the policy as AWS returns it.
func (l *layerVersion) policyText(grants []grant) (string, error) {
	p := policyDocument{Version: "2012-10-17", ID: "default"}
	for _, g := range grants {
		p.Statement = append(p.Statement, l.document(g))
	}
	text, err := json.Marshal(p)
	return string(text), err
}

// policy is the policy for evaluation; nil if nothing is granted.
func (l *layerVersion) policy() *policy {
	if len(l.grants) == 0 {
		return nil
	}
	p := &policy{}
	for _, g := range l.grants {
		s := statement{Effect: "Allow", Action: oneOrMore[string]{layerAction}, Principal: principals{aws: []string{g.principal}}}
		if g.organization != "" {
			s.Condition = map[string]map[string]oneOrMore[string]{"StringEquals": {"aws:PrincipalOrgID": {g.organization}}}
		}
		p.Statement = append(p.Statement, s)
	}
	return p
}

// ownLayer is a layer version of the caller's account.
func (c *LambdaClient) ownLayer(t layerTarget) (*layerVersion, error) {
	if t.account == c.session.account && t.region == c.region {
		if v := c.session.cloud.layerVersion(t); v != nil {
			return v, nil
		}
	}
	return nil, notFound("Layer version %s does not exist.", t.arn())
}

// AddLayerVersionPermission grants reading one version to an account, an organisation or everyone.
func (c *LambdaClient) AddLayerVersionPermission(ctx context.Context, in *lambda.AddLayerVersionPermissionInput, _ ...func(*lambda.Options)) (*lambda.AddLayerVersionPermissionOutput, error) {
	t := c.layerTarget(in.LayerName, in.VersionNumber)
	r := c.request("AddLayerVersionPermission", "AddLayerVersionPermission", t.arn())
	return do(ctx, r, func() (*lambda.AddLayerVersionPermissionOutput, error) {
		if err := checkGrant(in); err != nil {
			return nil, err
		}
		v, err := c.ownLayer(t)
		if err != nil {
			return nil, err
		}
		g := grant{statementID: *in.StatementId, principal: *in.Principal, organization: value(in.OrganizationId)}
		if err := v.add(g, in.RevisionId); err != nil {
			return nil, err
		}
		v.revision = c.session.cloud.uuid()
		text, err := json.Marshal(v.document(g))
		return &lambda.AddLayerVersionPermissionOutput{Statement: ptr(string(text)), RevisionId: ptr(v.revision)}, err
	})
}

// checkGrant checks the form of a grant.
func checkGrant(in *lambda.AddLayerVersionPermissionInput) error {
	fields := []struct {
		name, value string
		pattern     *regexp.Regexp
	}{
		{"action", value(in.Action), regexp.MustCompile(`^` + layerAction + `$`)},
		{"statementId", value(in.StatementId), statementIDPattern},
		{"principal", value(in.Principal), layerPrincipalPattern},
	}
	for _, f := range fields {
		if !f.pattern.MatchString(f.value) {
			return apiError("ValidationException", fmt.Sprintf("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", f.value, f.name, f.pattern))
		}
	}
	if in.OrganizationId == nil {
		return nil
	}
	if *in.Principal != "*" || !organizationPattern.MatchString(*in.OrganizationId) {
		return invalid("OrganizationId %q can only be given with the principal *, got %q", *in.OrganizationId, *in.Principal)
	}
	return nil
}

// add keeps a grant whose id is new and with which the policy stays within its limit.
func (l *layerVersion) add(g grant, revision *string) error {
	if err := checkRevision(revision, l.revision); err != nil {
		return err
	}
	if slices.ContainsFunc(l.grants, func(o grant) bool { return o.statementID == g.statementID }) {
		return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", g.statementID)
	}
	grants := append(slices.Clone(l.grants), g)
	text, err := l.policyText(grants)
	if err != nil {
		return err
	}
	if len(text) > maxLayerPolicy {
		return &types.PolicyLengthExceededException{Message: ptr(fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", len(text), maxLayerPolicy)), Type: ptr("User")}
	}
	l.grants = grants
	return nil
}

// RemoveLayerVersionPermission takes a grant back.
func (c *LambdaClient) RemoveLayerVersionPermission(ctx context.Context, in *lambda.RemoveLayerVersionPermissionInput, _ ...func(*lambda.Options)) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	t := c.layerTarget(in.LayerName, in.VersionNumber)
	r := c.request("RemoveLayerVersionPermission", "RemoveLayerVersionPermission", t.arn())
	return do(ctx, r, func() (*lambda.RemoveLayerVersionPermissionOutput, error) {
		v, err := c.ownLayer(t)
		if err != nil {
			return nil, err
		}
		if err := checkRevision(in.RevisionId, v.revision); err != nil {
			return nil, err
		}
		left := slices.DeleteFunc(slices.Clone(v.grants), func(g grant) bool { return g.statementID == value(in.StatementId) })
		if len(left) == len(v.grants) {
			return nil, notFound("Statement %s is not found in resource policy.", value(in.StatementId))
		}
		v.grants, v.revision = left, c.session.cloud.uuid()
		return &lambda.RemoveLayerVersionPermissionOutput{}, nil
	})
}

// GetLayerVersionPolicy tells the grants of one version.
func (c *LambdaClient) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyInput, _ ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	t := c.layerTarget(in.LayerName, in.VersionNumber)
	r := c.request("GetLayerVersionPolicy", "GetLayerVersionPolicy", t.arn())
	return do(ctx, r, func() (*lambda.GetLayerVersionPolicyOutput, error) {
		v, err := c.ownLayer(t)
		if err != nil {
			return nil, err
		}
		if len(v.grants) == 0 {
			return nil, notFound("No policy is associated with the given resource.")
		}
		text, err := v.policyText(v.grants)
		return &lambda.GetLayerVersionPolicyOutput{Policy: ptr(text), RevisionId: ptr(v.revision)}, err
	})
}
