package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tagboat/tagboat/internal/release"
)

// setLambdaEnvironment sets what Lambda sets for a function.
func setLambdaEnvironment(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "example-key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example-secret")
	t.Setenv("AWS_SESSION_TOKEN", "example-token")
}

func TestLambdasCallTheConfiguredEndpointWithTheirRolesCredentials(t *testing.T) {
	setLambdaEnvironment(t)
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{}`)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	cfg, err := lambdaConfig()
	if err != nil {
		t.Fatal(err)
	}
	_, err = dynamodb.NewFromConfig(cfg).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("ledger"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if authorization := got.Get("Authorization"); !strings.Contains(authorization, "Credential=example-key/") ||
		!strings.Contains(authorization, "/eu-west-1/dynamodb/") {
		t.Errorf("the request is signed as %q, want example-key in eu-west-1", authorization)
	}
	if token := got.Get("X-Amz-Security-Token"); token != "example-token" {
		t.Errorf("the session's token is %q, want example-token", token)
	}
	if attempts := cfg.Retryer().MaxAttempts(); attempts != lambdaAttempts {
		t.Errorf("a request is made %d times, want %d", attempts, lambdaAttempts)
	}
}

func TestLambdasWithoutCredentialsSayWhatIsMissing(t *testing.T) {
	setLambdaEnvironment(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := lambdaConfig()
	if release.KindOf(err) != release.Invalid || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("got %v, want an error that names AWS_SECRET_ACCESS_KEY", err)
	}
}
