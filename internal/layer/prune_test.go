package layer_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/release"
)

// told answers with a policy.
type told struct {
	layer.API
	policy string
}

func (t told) GetLayerVersionPolicy(context.Context, *lambda.GetLayerVersionPolicyInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	return &lambda.GetLayerVersionPolicyOutput{Policy: aws.String(`{"Statement": [` + t.policy + `]}`)}, nil
}

func TestAVersionIsSharedBeyondWhatCanBeSeen(t *testing.T) {
	const allow = `{"Effect": "Allow", "Action": "lambda:GetLayerVersion", "Principal": `
	for _, test := range []struct {
		name, policy string
		want         bool
	}{
		{"with an account that can be seen", allow + `{"AWS": "arn:aws:iam::111111111111:root"}}`, false},
		{"with another account", allow + `{"AWS": "arn:aws:iam::333333333333:root"}}`, true},
		{"with both", allow + `{"AWS": ["111111111111", "333333333333"]}}`, true},
		{"with everyone", allow + `"*"}`, true},
		{"with an organisation", allow + `"*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-abc1234567"}}}`, true},
		{"in a way that is not understood", allow + `{"AWS": "111111111111"}, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}`, true},
		{"with a service", allow + `{"Service": "cloudfront.amazonaws.com"}}`, true},
		{"with an account that can be seen and a service", allow + `{"AWS": "111111111111", "Service": "cloudfront.amazonaws.com"}}`, true},
		{"with all but some", `{"Effect": "Allow", "Action": "lambda:GetLayerVersion", "NotPrincipal": {"AWS": "111111111111"}}`, true},
		{"with nobody", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.api = told{w.api, test.policy}
			w.do(func(ctx context.Context) {
				got, err := w.layers.SharedBeyond(ctx, at, "arn:aws:lambda:"+region+":"+tools+":layer:orders-deps:1", []string{tools, "111111111111"})
				if err != nil || got != test.want {
					t.Errorf("got %t, %v; want %t", got, err, test.want)
				}
			})
		})
	}
}

func TestALayerVersionOfAnotherAccountIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		err := w.layers.DeleteVersion(ctx, at, "arn:aws:lambda:"+region+":333333333333:layer:orders-deps:1")
		if release.KindOf(err) != release.Internal || err == nil {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}
