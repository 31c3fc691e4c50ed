package awsapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/release"
)

func target(resources ...string) release.Target {
	return release.Target{
		Site: release.Site{Environment: "prod", Account: "222222222222", Region: "eu-west-1"},
		Role: "tagboat-target", ExternalID: "tagboat-prod", App: "orders", Resources: resources,
	}
}

type document struct {
	Statement []struct {
		Effect           string
		Action, Resource []string
	}
}

func policy(t *testing.T, target release.Target, phase release.Phase) document {
	t.Helper()
	text, err := awsapi.SessionPolicy(target, phase)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// allows tells whether a policy allows an action on a resource; * stands for any text.
func (d document) allows(action, resource string) bool {
	for _, s := range d.Statement {
		if s.Effect == "Allow" && slices.Contains(s.Action, action) && slices.ContainsFunc(s.Resource, func(pattern string) bool {
			return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(resource)
		}) {
			return true
		}
	}
	return false
}

func TestSessionPolicyNarrowsToTheAppAndThePhase(t *testing.T) {
	const functions = "arn:aws:lambda:eu-west-1:222222222222:function:"
	for _, test := range []struct {
		name             string
		phase            release.Phase
		action, resource string
		want             bool
	}{
		{"a snapshot reads the app's functions", release.PhaseSnapshot, "lambda:GetFunction", functions + "orders-api", true},
		{"and their aliases", release.PhaseSnapshot, "lambda:GetAlias", functions + "orders-api:live", true},
		{"but nobody else's", release.PhaseSnapshot, "lambda:GetFunction", functions + "billing-api", false},
		{"and writes nothing", release.PhaseSnapshot, "lambda:UpdateFunctionCode", functions + "orders-api", false},
		{"an update changes code", release.PhaseUpdate, "lambda:UpdateFunctionCode", functions + "orders-api", true},
		{"but no alias", release.PhaseUpdate, "lambda:UpdateAlias", functions + "orders-api:live", false},
		{"it reads the app's staged objects", release.PhaseUpdate, "s3:GetObjectVersion", "arn:aws:s3:::*/staged/orders/", true},
		{"and no other app's", release.PhaseUpdate, "s3:GetObjectVersion", "arn:aws:s3:::*/staged/billing/", false},
		{"a shift moves aliases", release.PhaseShift, "lambda:UpdateAlias", functions + "orders-api:live", true},
		{"and changes no code", release.PhaseShift, "lambda:UpdateFunctionCode", functions + "orders-api", false},
		{"a bake looks at alarms alone", release.PhaseBake, "cloudwatch:DescribeAlarms", "*", true},
		{"and at no function", release.PhaseBake, "lambda:GetFunction", functions + "orders-api", false},
		{"a rollback may unmake an alias", release.PhaseRollBack, "lambda:DeleteAlias", functions + "orders-api:live", true},
		{"but not a function", release.PhaseRollBack, "lambda:DeleteFunction", functions + "orders-api", false},
		{"pruning deletes a version", release.PhasePrune, "lambda:DeleteFunction", functions + "orders-api:7", true},
		{"but not a function either", release.PhasePrune, "lambda:DeleteFunction", functions + "orders-api", false},
		{"nor another app's version", release.PhasePrune, "lambda:DeleteFunction", functions + "billing-api:7", false},
		{"it lists functions", release.PhasePrune, "lambda:ListFunctions", "*", true},
		{"and changes none", release.PhasePrune, "lambda:UpdateFunctionCode", functions + "orders-api", false},
	} {
		if got := policy(t, target("orders-*"), test.phase).allows(test.action, test.resource); got != test.want {
			t.Errorf("%s: %s on %s is allowed: %v, want %v", test.name, test.action, test.resource, got, test.want)
		}
	}
}

func TestANameWithoutWildcardCoversItsVersions(t *testing.T) {
	d := policy(t, target("orders"), release.PhaseSnapshot)
	const f = "arn:aws:lambda:eu-west-1:222222222222:function:orders"
	if !d.allows("lambda:GetAlias", f+":live") || d.allows("lambda:GetFunction", f+"-other") {
		t.Errorf("got %+v", d)
	}
}

func TestTooManyPatternsAreRefusedBeforeSTSDoes(t *testing.T) {
	var patterns []string
	for i := range 40 {
		patterns = append(patterns, fmt.Sprintf("orders-service-number-%d-*", i))
	}
	_, err := awsapi.SessionPolicy(target(patterns...), release.PhaseUpdate)
	if release.KindOf(err) != release.Invalid || release.RemedyOf(err) == "" {
		t.Errorf("got %v, want an invalid registry with a remedy", err)
	}
}

func TestPartitionFollowsTheRegion(t *testing.T) {
	for region, want := range map[string]string{"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		tgt := target("orders-*")
		tgt.Region = region
		if got := awsapi.RoleARN(tgt); got != "arn:"+want+":iam::222222222222:role/tagboat-target" {
			t.Errorf("%s: %s", region, got)
		}
	}
}

// endpoint is an AWS that records what it is asked.
type endpoint struct {
	mu    sync.Mutex
	forms []url.Values
	paths []string
	keys  []string
	// lasts is how long a session lasts.
	lasts time.Duration
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	form, _ := url.ParseQuery(string(body))
	if form.Get("Action") == "AssumeRole" {
		e.forms = append(e.forms, form)
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>narrowed%d</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>y</SessionToken>
<Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, len(e.forms), time.Now().Add(e.lasts).UTC().Format(time.RFC3339))
		return
	}
	e.paths = append(e.paths, r.URL.Path)
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(after, "/")
	e.keys = append(e.keys, key)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{}`)
}

func clients(t *testing.T) (*awsapi.Clients, *endpoint) {
	e := &endpoint{lasts: 15 * time.Minute}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return awsapi.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("own", "x", ""),
	}), e
}

func TestATargetIsReachedByItsRoleNarrowed(t *testing.T) {
	c, e := clients(t)
	client, err := c.Lambda(t.Context(), target("orders-*"), release.PhaseSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("orders-api")}); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.forms) != 1 {
		t.Fatalf("the role was assumed %d times, want once", len(e.forms))
	}
	form := e.forms[0]
	if got := form.Get("RoleArn"); got != "arn:aws:iam::222222222222:role/tagboat-target" {
		t.Errorf("role %s", got)
	}
	if got := form.Get("ExternalId"); got != "tagboat-prod" {
		t.Errorf("external id %q", got)
	}
	if want, _ := awsapi.SessionPolicy(target("orders-*"), release.PhaseSnapshot); form.Get("Policy") != want {
		t.Errorf("policy %s, want %s", form.Get("Policy"), want)
	}
	if name := form.Get("RoleSessionName"); len(name) > 64 || !strings.Contains(name, "orders") {
		t.Errorf("session name %q", name)
	}
	if !slices.Equal(e.keys, []string{"narrowed1", "narrowed1", "narrowed1"}) {
		t.Errorf("calls were signed by %v", e.keys)
	}
}

// A look of a bake that lasts longer than a session is signed right before the
// session's end, and by a clock that may be behind STS's.
func TestASessionCloseToItsEndIsNotUsed(t *testing.T) {
	c, e := clients(t)
	e.lasts = 90 * time.Second
	for range 2 {
		client, err := c.Lambda(t.Context(), target("orders-*"), release.PhaseShift)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: aws.String("orders-api"), Name: aws.String("live")}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(e.keys, []string{"narrowed1", "narrowed2"}) {
		t.Errorf("with sessions that last %v, calls were signed by %v, want each by a new one", e.lasts, e.keys)
	}
}

func TestTheToolsAccountIsReachedByOwnCredentials(t *testing.T) {
	c, e := clients(t)
	client, err := c.Lambda(t.Context(), release.Target{Site: release.Site{Environment: release.ToolsEnvironment, Region: "us-east-1"}}, release.PhasePublish)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	if len(e.forms) != 0 || !slices.Equal(e.keys, []string{"own"}) {
		t.Errorf("assumed %d roles, signed by %v", len(e.forms), e.keys)
	}
}

func TestAnEmulatorsBucketsAreAddressedByPath(t *testing.T) {
	c, e := clients(t)
	if _, err := c.S3("").HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("state"), Key: aws.String("a b")}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.paths, []string{"/state/a b"}) {
		t.Errorf("paths %q", e.paths)
	}
}

func TestRequestsToOneSiteKeepTheBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two seconds")
	}
	c, _ := clients(t)
	began := time.Now()
	for range 3 { // three clients share the budget of their site
		client, err := c.Lambda(t.Context(), target("orders-*"), release.PhaseSnapshot)
		if err != nil {
			t.Fatal(err)
		}
		for range awsapi.LambdaBudget {
			if _, err := client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A burst of one second's budget, then the rest at its rate.
	if took, least := time.Since(began), 1900*time.Millisecond; took < least {
		t.Errorf("%d requests took %v, want at least %v at %d a second", 3*awsapi.LambdaBudget, took, least, awsapi.LambdaBudget)
	}
}
