package sim

import "testing"

const gitHubProvider = "arn:aws:iam::999999999999:oidc-provider/" + gitHubIssuer

// Source: IAM user guide, "Available keys for AWS OIDC federation", and
// "Policy evaluation logic".
func TestWebIdentitiesAreTrustedByTheirClaims(t *testing.T) {
	const allow = `{"Effect": "Allow", "Principal": {"Federated": "` + gitHubProvider + `"}, "Action": "sts:AssumeRoleWithWebIdentity",
		"Condition": {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}}`
	const deny = `{"Effect": "Deny", "Principal": {"Federated": "` + gitHubProvider + `"}, "Action": "*",
		"Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}}}`
	for name, c := range map[string]struct {
		statements, provider string
		claims               map[string]string
		want                 bool
	}{
		"a token with the claim that is asked for":    {allow, gitHubProvider, map[string]string{"aud": "sts.amazonaws.com"}, true},
		"a claim with another value":                  {allow, gitHubProvider, map[string]string{"aud": "other"}, false},
		"a token without the claim":                   {allow, gitHubProvider, nil, false},
		"a token of another provider":                 {allow, gitHubProvider + "2", map[string]string{"aud": "sts.amazonaws.com"}, false},
		"a deny decides over an allow":                {allow + "," + deny, gitHubProvider, map[string]string{"aud": "sts.amazonaws.com", "sub": "repo:acme/x"}, false},
		"a deny for others leaves the allow in force": {allow + "," + deny, gitHubProvider, map[string]string{"aud": "sts.amazonaws.com", "sub": "repo:b/x"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := TrustsWebIdentity(`{"Version": "2012-10-17", "Statement": [`+c.statements+`]}`, WebIdentity{c.provider, c.claims})
			if err != nil || got != c.want {
				t.Errorf("trusted: %t, %v; want %t", got, err, c.want)
			}
		})
	}
	if _, err := TrustsWebIdentity(`{"Statement": {"Effect": "Allow", "Action": "*", "Condition": {"StringEquals": {"example.com:aud": "x"}}}}`, WebIdentity{}); err == nil {
		t.Error("a condition on claims of another issuer is evaluated, want an error")
	}
}

func TestAPolicyAllowsWhatItNames(t *testing.T) {
	const document = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::b/artifacts/orders/*"]}]}`
	for _, c := range []struct {
		action, resource string
		want             bool
	}{
		{"s3:PutObject", "arn:aws:s3:::b/artifacts/orders/1/deps.zip", true},
		{"s3:PutObject", "arn:aws:s3:::b/artifacts/billing/1/deps.zip", false},
		{"s3:DeleteObject", "arn:aws:s3:::b/artifacts/orders/1/deps.zip", false},
	} {
		if got, err := Allows(document, c.action, c.resource); err != nil || got != c.want {
			t.Errorf("%s on %s: %t, %v; want %t", c.action, c.resource, got, err, c.want)
		}
	}
	if _, err := Allows(`{}`, "s3:PutObject", "*"); err == nil {
		t.Error("a document without statements is evaluated, want an error")
	}
}
