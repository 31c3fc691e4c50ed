package webhooks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

// shape is a way in which a delivery reaches the function: as the event of an
// HTTP API or of a function URL, the body as it is or in base64, and the names of
// the headers in some case.
type shape struct {
	front  string
	base64 bool
	names  func(string) string
}

// plain is what an HTTP API sends for JSON: names in lower case, the body as it is.
var plain = shape{front: httpAPI, names: strings.ToLower}

const (
	httpAPI     = "HTTP API"
	functionURL = "function URL"
)

func (s shape) String() string {
	return fmt.Sprintf("%s, base64 %t, %s", s.front, s.base64, s.names("X-GitHub-Event"))
}

// shapes are all of them. GitHub writes X-GitHub-Event; a proxy may write what it
// likes, and AWS documents lower case.
func shapes() []shape {
	asWritten := func(name string) string { return name }
	var all []shape
	for _, front := range []string{httpAPI, functionURL} {
		for _, encoded := range []bool{false, true} {
			for _, names := range []func(string) string{strings.ToLower, asWritten, strings.ToUpper} {
				all = append(all, shape{front, encoded, names})
			}
		}
	}
	return all
}

// event is the delivery as the function gets it. functions/webhook/event.json is
// an HTTP API's; that of a function URL has the same fields (Lambda developer
// guide: request and response payloads of function URLs, format 2.0).
func (s shape) event(t *testing.T, header map[string]string, body []byte) json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("../../functions/webhook/event.json")
	if err != nil {
		t.Fatal(err)
	}
	var event map[string]any
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	if s.front == functionURL {
		asFunctionURL(event)
	}
	headers := event["headers"].(map[string]any)
	for _, name := range []string{"content-type", "x-github-event", "x-github-delivery", "x-github-hook-id", "x-hub-signature-256"} {
		delete(headers, name)
	}
	for name, value := range header {
		headers[s.names(name)] = value
	}
	event["body"], event["isBase64Encoded"] = string(body), s.base64
	if s.base64 {
		event["body"] = base64.StdEncoding.EncodeToString(body)
	}
	encoded, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func asFunctionURL(event map[string]any) {
	const id = "a1b2c3d4e5f6g7h8i9j0klmnopqrstuv"
	domain := id + ".lambda-url.us-east-1.on.aws"
	event["routeKey"], event["rawPath"] = "$default", "/"
	event["headers"].(map[string]any)["host"] = domain
	context := event["requestContext"].(map[string]any)
	maps.Copy(context, map[string]any{
		"accountId": "anonymous", "apiId": id, "domainName": domain, "domainPrefix": id, "routeKey": "$default", "authentication": nil, "authorizer": nil,
	})
	context["http"].(map[string]any)["path"] = "/"
}

// deliver sends a delivery through the function, as Lambda's runtime would, and
// reads the answer from what GitHub would get.
func (w *world) deliver(t *testing.T, event string, body []byte, signature string) (release.Answer, int) {
	t.Helper()
	header := map[string]string{"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": guid, "X-GitHub-Hook-ID": "292430182"}
	if signature != "" {
		header["X-Hub-Signature-256"] = signature
	}
	return w.invoke(t, w.shape.event(t, header, body))
}

func (w *world) invoke(t *testing.T, event json.RawMessage) (release.Answer, int) {
	t.Helper()
	out, err := lambda.NewHandler(app.WebhookFunction(&w.handler)).Invoke(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	var response events.APIGatewayV2HTTPResponse
	var answer release.Answer
	if err := json.Unmarshal(out, &response); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(response.Body), &answer); err != nil {
		t.Fatalf("the body of the answer: %v", err)
	}
	if got := response.Headers["Content-Type"]; got != "application/json" {
		t.Errorf("the answer's Content-Type is %q, want application/json", got)
	}
	return answer, response.StatusCode
}

func TestEachShapeOfAnEventSaysTheSame(t *testing.T) {
	all := examples(t)
	for _, s := range shapes() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			w, count := newWorld("{version}", ""), 0
			w.shape = s
			for _, event := range all {
				count += len(event.Examples)
				if got, want := w.answers(t, event), whenPushed.want(event); !maps.Equal(got, want) {
					t.Errorf("%s: got the codes %v, want %v", event.Name, got, want)
				}
			}
			if len(w.accepted) != whenPushed.started || count != total {
				t.Errorf("%d of %d payloads started a release, want %d of %d", len(w.accepted), count, whenPushed.started, total)
			}
		})
	}
}

func TestAnEncodedBodyIsBelievedAsTheBytesItStandsFor(t *testing.T) {
	body := []byte(`{"ref":"refs/tags/v1","created":true,"repository":{"id":186853002,"full_name":"Codertocat/Hello-World"},"sender":{"login":"Codertocat"}}`)
	encoded := []byte(base64.StdEncoding.EncodeToString(body))
	tests := []struct {
		name   string
		change func(event map[string]any)
		want   release.AnswerCode
	}{
		{"as it is", func(map[string]any) {}, release.CodeStarted},
		{"said to be in base64, which JSON never is", func(event map[string]any) { event["isBase64Encoded"] = true }, release.CodeStarted},
		{"in base64, but not said to be", func(event map[string]any) { event["body"] = string(encoded) }, release.CodeSignature},
		{"cut off in the middle of its base64", func(event map[string]any) {
			event["body"], event["isBase64Encoded"] = string(encoded[:len(encoded)/2-1]), true
		}, release.CodeSignature},
		{"none", func(event map[string]any) { delete(event, "body") }, release.CodeSignature},
		{"a GET", func(event map[string]any) {
			event["requestContext"].(map[string]any)["http"].(map[string]any)["method"] = "GET"
		}, release.CodeMethod},
		{"without headers", func(event map[string]any) { delete(event, "headers") }, release.CodeContentType},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld("v{version}", "")
			header := map[string]string{"Content-Type": "application/json; charset=utf-8", "X-GitHub-Event": "push", "X-Hub-Signature-256": github.Sign(secret, body)}
			var event map[string]any
			if err := json.Unmarshal(plain.event(t, header, body), &event); err != nil {
				t.Fatal(err)
			}
			test.change(event)
			changed, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			if answer, _ := w.invoke(t, changed); answer.Code != test.want {
				t.Errorf("got %s: %s, want %s", answer.Code, answer.Reason, test.want)
			}
		})
	}
}

// The tag of the events that were recorded is released with what they say, from
// whichever of them it comes.
func TestTheRecordedTagIsReleased(t *testing.T) {
	w := newWorld("{version}", "")
	for _, event := range examples(t) {
		w.answers(t, event)
	}
	for _, request := range w.accepted {
		if request.App != "hello" || request.Version != "simple-tag" || request.Source.Tag != "simple-tag" ||
			request.Source.RepositoryID != repositoryID || request.Actor != "Codertocat" || request.Delivery != guid {
			t.Errorf("a %s asks for %+v", request.Trigger, request)
		}
	}
	if len(w.accepted) == 0 {
		t.Error("nothing was released")
	}
}

func TestTheRepositoryDecidesByItsID(t *testing.T) {
	w := newWorld("{version}", "")
	w.registry.Apps[0].Repository.ID++
	for _, event := range examples(t) {
		for code := range w.answers(t, event) {
			if code == release.CodeStarted {
				t.Errorf("%s of a repository that no app has started a release", event.Name)
			}
		}
	}
	if len(w.accepted) != 0 {
		t.Errorf("%d releases were started", len(w.accepted))
	}
}
