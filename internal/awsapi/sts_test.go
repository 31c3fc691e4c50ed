package awsapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

func TestARoleThatMayNotBeTakenIsTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>User is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`)
	}))
	defer server.Close()
	c := awsapi.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("own", "x", ""),
	})
	client, err := c.Lambda(t.Context(), target("orders-*"), release.PhaseSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("orders-api")})
	if !awserr.FromSTS(err) {
		t.Errorf("nobody can tell that STS refused: %v", err)
	}
	told := awserr.Meaning{}.Refused(err, target().Site, "function %q", "orders-api")
	if release.KindOf(told) != release.Denied || release.RemedyOf(told) == "" {
		t.Errorf("got kind %s, remedy %q: %v", release.KindOf(told), release.RemedyOf(told), told)
	}
}

// What is staged is read as Lambda reads it: with the role, narrowed to the app's objects.
func TestStagedObjectsAreReadWithTheTargetsRole(t *testing.T) {
	var policy, signed string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			signed = r.Header.Get("Authorization")
			return
		}
		policy = r.FormValue("Policy")
		fmt.Fprint(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>role</AccessKeyId><SecretAccessKey>x</SecretAccessKey>
<SessionToken>y</SessionToken><Expiration>2130-01-02T03:04:05Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	}))
	defer server.Close()
	c := awsapi.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("own", "x", ""),
	})
	client, err := c.TargetS3(target("orders-*"), release.PhaseUpdate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("state"), Key: aws.String("staged/orders/ab.zip")}); err != nil {
		t.Fatal(err)
	}
	want, err := awsapi.SessionPolicy(target("orders-*"), release.PhaseUpdate)
	if err != nil || policy != want {
		t.Errorf("the session policy is %q, want %q (%v)", policy, want, err)
	}
	if !strings.Contains(signed, "Credential=role/") {
		t.Errorf("the object was read with %q, want the role's credentials", signed)
	}
}
