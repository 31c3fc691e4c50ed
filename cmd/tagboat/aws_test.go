package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// installed is an AWS and a GitHub that describe one stack over the wire: enough
// for tagboat doctor and tagboat init. Its variants are what is not in order.
type installed struct{ variant map[string]bool }

// aws serves an installed stack at $AWS_ENDPOINT_URL; its arguments are what is
// not in order: events, secret, function, role.
func aws(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: aws [what is not in order…]")
	}
	fake := &installed{variant: map[string]bool{}}
	for _, arg := range args {
		fake.variant[arg] = true
	}
	server := httptest.NewServer(fake)
	ts.Defer(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
	} {
		ts.Setenv(name, value)
	}
}

// ServeHTTP tells the services apart by what they are signed for.
func (f *installed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/github/") {
		f.gitHub(w, r)
		return
	}
	scope := strings.Split(r.Header.Get("Authorization"), "/") // key/date/region/service/aws4_request
	if len(scope) < 4 {
		http.Error(w, "not signed", http.StatusForbidden)
		return
	}
	switch scope[3] {
	case "sts", "cloudformation":
		f.query(w, r)
	case "s3":
		f.s3(w, r)
	case "lambda":
		f.lambda(w, r)
	default:
		f.json(w, r)
	}
}

// query answers the services of the Query protocol, in XML.
func (f *installed) query(w http.ResponseWriter, r *http.Request) {
	switch action := r.FormValue("Action"); {
	case action == "GetCallerIdentity":
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>999999999999</Account>`+
			`<Arn>arn:aws:iam::999999999999:user/jane</Arn><UserId>x</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case action == "DescribeStacks" && r.FormValue("StackName") == "tagboat":
		fmt.Fprint(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>tagboat</StackName>`+
			`<StackStatus>UPDATE_COMPLETE</StackStatus><CreationTime>2030-01-02T03:04:05Z</CreationTime>`)
		members(w, "Outputs", "Output", map[string]string{
			"LedgerTableName": "ledger", "StateBucketName": "state", "UploadsBucketName": "uploads",
			"StateMachineArn": "arn:aws:states:us-east-1:999999999999:stateMachine:tagboat-release",
		})
		members(w, "Parameters", "Parameter", map[string]string{
			"WebhookSecretArn": "webhook", "GitHubSecretArn": "github", "GitHubApiUrl": "http://" + r.Host + "/github/",
		})
		fmt.Fprint(w, `</member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
	case action == "AssumeRole" && r.FormValue("ExternalId") == "tagboat-dev" && !f.variant["role"]:
		fmt.Fprint(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId><SecretAccessKey>b</SecretAccessKey>`+
			`<SessionToken>c</SessionToken><Expiration>2130-01-02T03:04:05Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	default:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>`)
	}
}

// members writes a list of keys and values.
func members(w http.ResponseWriter, list, prefix string, values map[string]string) {
	fmt.Fprintf(w, "<%s>", list)
	for key, value := range values {
		fmt.Fprintf(w, "<member><%sKey>%s</%sKey><%sValue>%s</%sValue></member>", prefix, key, prefix, prefix, value, prefix)
	}
	fmt.Fprintf(w, "</%s>", list)
}

const stackRegistry = `tools: {account: "999999999999", regions: [us-east-1]}
environments:
  - {name: dev, account: "111111111111", regions: [us-east-1], role: tagboat-target, external_id: tagboat-dev}
apps:
  - {name: orders, repository: {id: 186853002, name: acme/orders}, tags: "v{version}", environments: [dev], resources: ["orders-*"]}
`

func (f *installed) s3(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Query().Has("versioning"):
		fmt.Fprint(w, `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
	case r.URL.Query().Has("notification") && f.variant["events"]:
		fmt.Fprint(w, `<NotificationConfiguration></NotificationConfiguration>`)
	case r.URL.Query().Has("notification"):
		fmt.Fprint(w, `<NotificationConfiguration><EventBridgeConfiguration></EventBridgeConfiguration></NotificationConfiguration>`)
	case r.URL.Path == "/state/config/registry.yaml":
		fmt.Fprint(w, stackRegistry)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>`)
	}
}

func (f *installed) lambda(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/invocations") && f.variant["function"]:
		w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"Message": "Function not found"}`)
	case strings.HasSuffix(r.URL.Path, "/invocations"):
		fmt.Fprint(w, `[{"check": "role", "object": "arn:aws:iam::111111111111:role/tagboat-target", "state": "ok", "detail": "it can be assumed"},`+
			`{"check": "function", "state": "not_checked", "detail": "not checked because nothing was released yet"}]`)
	case strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/functions"):
		fmt.Fprint(w, `{"Functions": [{"FunctionName": "billing-api", "Runtime": "nodejs22.x", "Handler": "index.handler"},`+
			`{"FunctionName": "orders-api", "Runtime": "python3.12", "Handler": "app.handler",`+
			`"Layers": [{"Arn": "arn:aws:lambda:us-east-1:111111111111:layer:tracing:4"}]},`+
			`{"FunctionName": "orders-worker", "Runtime": "python3.12", "Handler": "worker.handler"}]}`)
	case strings.HasSuffix(r.URL.Path, "/orders-api/aliases"):
		fmt.Fprint(w, `{"Aliases": [{"Name": "blue", "FunctionVersion": "3"}, {"Name": "live", "FunctionVersion": "3"}]}`)
	case strings.HasSuffix(r.URL.Path, "/aliases"):
		fmt.Fprint(w, `{"Aliases": []}`)
	default:
		fmt.Fprint(w, `{"Configuration": {"FunctionName": "orders-api"}}`)
	}
}

// json answers the services of the JSON protocol.
func (f *installed) json(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in struct {
		ID string `json:"SecretId"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := f.answer(operation, in.ID)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10)) // DynamoDB's
	fmt.Fprint(w, body)
}

func (f *installed) answer(operation, secret string) string {
	switch operation {
	case "DescribeTable":
		return `{"Table": {"TableStatus": "ACTIVE"}}`
	case "DescribeContinuousBackups":
		return `{"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}}`
	case "DescribeStateMachine":
		return `{"status": "ACTIVE", "creationDate": 1, "definition": "{\"Resource\": \"arn:aws:lambda:us-east-1:999999999999:function:tagboat-plan:3\"}"}`
	case "GetSecretValue":
		text := strings.Repeat("0123456789abcdef", 4)
		if secret == "webhook" && f.variant["secret"] {
			text += `\n`
		}
		return `{"SecretString": "` + text + `"}`
	}
	return `{}`
}

func (f *installed) gitHub(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-OAuth-Scopes", "repo")
	if strings.HasSuffix(r.URL.Path, "/matching-refs/heads/") {
		fmt.Fprint(w, `[]`)
		return
	}
	fmt.Fprint(w, `{"id": 186853002, "permissions": {"push": true}}`)
}
