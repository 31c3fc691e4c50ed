package github_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/sim/github"
)

const token = "not-a-real-token"

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func newServer() (*github.Server, *github.Repository) {
	server := github.New(clock.NewVirtual(start, 0))
	server.SetToken(token)
	server.SetSecret("not-a-real-secret")
	repo := server.AddRepository(1296269, "acme/orders")
	return server, repo
}

// fetch asks the server in process and decodes the answer.
func fetch(t *testing.T, server *github.Server, method, url, auth, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&answer) // not every answer is an object
	return resp.StatusCode, answer
}

func TestWhoMayDoWhat(t *testing.T) {
	for _, c := range []struct {
		name   string
		public bool
		auth   string
		method string
		path   string
		want   int
	}{
		{"the token reads a private repository", false, token, "GET", "/repos/acme/orders", 200},
		{"names do not depend on case", false, token, "GET", "/repos/Acme/Orders", 200},
		{"the id is as good as the name", false, token, "GET", "/repositories/1296269", 200},
		{"enterprise serves below a path", false, token, "GET", "/api/v3/repositories/1296269", 200},
		{"a wrong token is refused", false, "other", "GET", "/repos/acme/orders", 401},
		{"a wrong token is refused for what is missing too", false, "other", "GET", "/repos/acme/none", 401},
		{"nobody sees a private repository", false, "", "GET", "/repos/acme/orders", 404},
		{"anybody reads a public repository", true, "", "GET", "/repos/acme/orders", 200},
		{"nobody writes to a public repository without a token", true, "", "POST", "/repos/acme/orders/deployments", 401},
		{"a missing repository is not found", false, token, "GET", "/repositories/1", 404},
		{"an unknown path is not found", false, token, "GET", "/nothing", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, repo := newServer()
			repo.SetPublic(c.public)
			if got, answer := fetch(t, server, c.method, "https://api.github.com"+c.path, c.auth, "{}"); got != c.want {
				t.Errorf("got %d %v, want %d", got, answer, c.want)
			}
		})
	}
}

func TestARenamedRepositoryIsRedirectedToItsID(t *testing.T) {
	server, repo := newServer()
	repo.Rename("acme/purchases")
	req := httptest.NewRequest("GET", "https://api.github.com/repos/acme/orders/git/ref/tags/v1?x=y", nil)
	req.Header.Set("Authorization", "token "+token)
	recorded := httptest.NewRecorder()
	server.ServeHTTP(recorded, req)
	want := "https://api.github.com/repositories/1296269/git/ref/tags/v1?x=y"
	if recorded.Code != 301 || recorded.Header().Get("Location") != want {
		t.Errorf("got %d to %q, want 301 to %q", recorded.Code, recorded.Header().Get("Location"), want)
	}
	if got := server.Repository("acme/ORDERS"); got != repo || repo.FullName() != "acme/purchases" {
		t.Errorf("got %v named %q, want the repository under both names", got, repo.FullName())
	}
}

func TestDeploymentRules(t *testing.T) {
	for _, c := range []struct {
		name string
		body string // SHA is replaced by a commit behind main with a red status
		want int
		says string
	}{
		{"without merging and statuses it is created", `{"ref":"SHA","auto_merge":false,"required_contexts":[]}`, 201, ""},
		{"by default it is merged, which conflicts", `{"ref":"SHA","required_contexts":[]}`, 409, "merging"},
		{"by default every status must be green", `{"ref":"SHA","auto_merge":false}`, 409, "status checks"},
		{"a required status must be there", `{"ref":"main","auto_merge":false,"required_contexts":["ci"]}`, 409, "status checks"},
		{"an unknown ref is refused", `{"ref":"gone","auto_merge":false,"required_contexts":[]}`, 422, "No ref"},
		{"a long description is refused", `{"ref":"main","description":"` + strings.Repeat("x", 141) + `"}`, 422, "Validation"},
		{"a broken body is refused", `{`, 400, "JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, repo := newServer()
			first := repo.Commit("main", "first", nil)
			repo.Commit("main", "second", nil)
			api := "https://api.github.com/repos/acme/orders"
			if code, answer := fetch(t, server, "POST", api+"/statuses/"+first, token, `{"state":"failure"}`); code != 201 {
				t.Fatalf("status: got %d %v", code, answer)
			}
			code, answer := fetch(t, server, "POST", api+"/deployments", token, strings.Replace(c.body, "SHA", first, 1))
			if code != c.want || !strings.Contains(fmt.Sprint(answer["message"]), c.says) && c.says != "" {
				t.Errorf("got %d %v, want %d that says %q", code, answer["message"], c.want, c.says)
			}
			if got := len(server.Deployments(repo)); (got == 1) != (c.want == 201) {
				t.Errorf("got %d deployments after %d", got, code)
			}
		})
	}
}

func TestTheThousandthStatusIsTheLast(t *testing.T) {
	server, repo := newServer()
	sha := repo.Commit("main", "first", nil)
	url := "https://api.github.com/repos/acme/orders/statuses/" + sha
	for i := range 1000 {
		if code, answer := fetch(t, server, "POST", url, token, `{"state":"success","context":"a"}`); code != 201 {
			t.Fatalf("status %d: got %d %v", i, code, answer)
		}
	}
	if code, _ := fetch(t, server, "POST", url, token, `{"state":"success","context":"a"}`); code != 422 {
		t.Errorf("got %d for one more, want 422", code)
	}
	if code, _ := fetch(t, server, "POST", url, token, `{"state":"success","context":"b"}`); code != 201 {
		t.Errorf("got %d in another context, want 201", code)
	}
}

func TestFaults(t *testing.T) {
	server, repo := newServer()
	sha := repo.Commit("main", "first", nil)
	socket := httptest.NewServer(server)
	defer socket.Close()
	for name, client := range map[string]*http.Client{"in process": server.Client(), "over a socket": socket.Client()} {
		t.Run(name, func(t *testing.T) {
			try := func(fault github.Fault) (status, added int, err error) {
				server.OnRequest(func(*http.Request) github.Fault { return fault })
				before := len(server.CommitStatuses(repo, sha))
				req, err := http.NewRequest("POST", socket.URL+"/repos/acme/orders/statuses/"+sha, strings.NewReader(`{"state":"success"}`))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := client.Do(req)
				if err == nil {
					status = resp.StatusCode
					resp.Body.Close()
				}
				return status, len(server.CommitStatuses(repo, sha)) - before, err
			}
			if status, added, err := try(github.Fault{}); status != 201 || added != 1 {
				t.Errorf("no fault: got %d, %v, %d statuses", status, err, added)
			}
			if _, added, err := try(github.Fault{Err: errors.New("no route")}); err == nil || added != 0 {
				t.Errorf("a network error: got %v, %d statuses; want an error and none", err, added)
			}
			if _, added, err := try(github.Fault{LoseAnswer: true}); err == nil || added != 1 {
				t.Errorf("a lost answer: got %v, %d statuses; want an error and one", err, added)
			}
			if status, added, err := try(github.Fault{Status: 502, Body: "x"}); status != 502 || added != 0 {
				t.Errorf("a status: got %d, %v, %d statuses; want 502 and none", status, err, added)
			}
		})
	}
}

func TestADelayPassesInTheClock(t *testing.T) {
	c := clock.NewVirtual(start, 0)
	server := github.New(c)
	server.OnRequest(func(*http.Request) github.Fault { return github.Fault{Delay: 20 * time.Minute, Hang: 40 * time.Minute} })
	c.Run(func() {
		fetch(t, server, "GET", "https://api.github.com/repositories/1", "", "")
		if got := c.Now().Sub(start); got != time.Hour {
			t.Errorf("%v passed, want 1h", got)
		}
	})
}

func TestPushOfATag(t *testing.T) {
	zeros := strings.Repeat("0", 40)
	type shas struct{ first, second, object string }
	for _, c := range []struct {
		name   string
		change func(r *github.Repository, s *shas)
		want   func(s shas) map[string]any
	}{
		{"a lightweight tag is its commit",
			func(r *github.Repository, s *shas) { r.Tag("v1", s.second) },
			func(s shas) map[string]any {
				return map[string]any{"before": zeros, "after": s.second, "head": s.second, "created": true, "deleted": false, "forced": false, "base_ref": "refs/heads/main"}
			}},
		{"an annotated tag is its object, with the commit as head",
			func(r *github.Repository, s *shas) { s.object = r.AnnotatedTag("v1", s.first, "one") },
			func(s shas) map[string]any {
				return map[string]any{"before": zeros, "after": s.object, "head": s.first, "created": true, "deleted": false, "forced": false, "base_ref": nil}
			}},
		{"a moved tag tells where it was and is forced",
			func(r *github.Repository, s *shas) { r.Tag("v1", s.first); r.Tag("v1", s.second) },
			func(s shas) map[string]any {
				return map[string]any{"before": s.first, "after": s.second, "head": s.second, "created": false, "deleted": false, "forced": true, "base_ref": "refs/heads/main"}
			}},
		{"a deleted tag has no commit",
			func(r *github.Repository, s *shas) { r.Tag("v1", s.first); r.DeleteTag("v1") },
			func(s shas) map[string]any {
				return map[string]any{"before": s.first, "after": zeros, "head": nil, "created": false, "deleted": true, "forced": false, "base_ref": nil}
			}},
		{"a tag that is made again after its deletion is created",
			func(r *github.Repository, s *shas) { r.Tag("v1", s.first); r.DeleteTag("v1"); r.Tag("v1", s.first) },
			func(s shas) map[string]any {
				return map[string]any{"before": zeros, "after": s.first, "head": s.first, "created": true, "deleted": false, "forced": false, "base_ref": nil}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, repo := newServer()
			s := shas{first: repo.Commit("main", "first", nil), second: repo.Commit("main", "second", nil)}
			c.change(repo, &s)
			payload := decode(t, server.Push(repo, "v1"))
			got := map[string]any{"head": nil}
			for _, key := range []string{"before", "after", "created", "deleted", "forced", "base_ref"} {
				got[key] = payload[key]
			}
			if head, ok := payload["head_commit"].(map[string]any); ok {
				got["head"] = head["id"]
			}
			if want := c.want(s); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if payload["ref"] != "refs/tags/v1" {
				t.Errorf("got ref %v, want refs/tags/v1", payload["ref"])
			}
		})
	}
}

func decode(t *testing.T, d github.Delivery) map[string]any {
	t.Helper()
	var payload map[string]any
	if err := json.Unmarshal(d.Body, &payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestEveryEventNamesTheRepositoryAndTheSender(t *testing.T) {
	server, repo := newServer()
	server.SetSender("sam")
	sha := repo.Commit("main", "first", nil)
	repo.Tag("v1", sha)
	repo.Publish("v1", "one")
	repo.UploadAsset("v1", "deps.zip", []byte("zip"))
	guids := map[string]bool{}
	for event, d := range map[string]github.Delivery{
		"push": server.Push(repo, "v1"), "create": server.Create(repo, "v1"), "release": server.Release(repo, "v1"), "ping": server.Ping(repo),
	} {
		payload := decode(t, d)
		repository, _ := payload["repository"].(map[string]any)
		sender, _ := payload["sender"].(map[string]any)
		if d.Event != event || repository["id"] != float64(1296269) || repository["full_name"] != "acme/orders" || sender["login"] != "sam" {
			t.Errorf("%s: got event %q of %v by %v", event, d.Event, repository["full_name"], sender["login"])
		}
		guids[d.GUID] = true
	}
	if len(guids) != 4 {
		t.Errorf("got %d GUIDs for 4 deliveries", len(guids))
	}
	if created := decode(t, server.Create(repo, "v1")); created["ref"] != "v1" || created["ref_type"] != "tag" || strings.Contains(string(server.Create(repo, "v1").Body), sha) {
		t.Errorf("create: got %v, want the short name and no sha", created["ref"])
	}
	released, _ := decode(t, server.Release(repo, "v1"))["release"].(map[string]any)
	if released["tag_name"] != "v1" || len(released["assets"].([]any)) != 1 {
		t.Errorf("release: got %v", released)
	}
}

func TestADeliveryIsSignedAsGitHubDoes(t *testing.T) {
	if got, want := github.Sign("It's a Secret to Everybody", []byte("Hello, World!")),
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"; got != want {
		t.Errorf("got %q, want GitHub's documented example %q", got, want)
	}
	server, repo := newServer()
	repo.Tag("v1", repo.Commit("main", "first", nil))
	req, err := server.Push(repo, "v1").Request("http://127.0.0.1:1/webhooks/github")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("not-a-real-secret"))
	mac.Write(body)
	for name, want := range map[string]string{
		"X-Hub-Signature-256": "^sha256=" + hex.EncodeToString(mac.Sum(nil)) + "$",
		"X-GitHub-Event":      "^push$",
		"X-GitHub-Delivery":   "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
		"User-Agent":          "^GitHub-Hookshot/[0-9a-f]{7}$",
		"Content-Type":        "^application/json$",
	} {
		if got := req.Header.Get(name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: got %q, want %s", name, got, want)
		}
	}
	if req.Method != http.MethodPost {
		t.Errorf("got %s, want POST", req.Method)
	}
	server.SetSecret("")
	if got := server.Push(repo, "v1").Header().Get("X-Hub-Signature-256"); got != "" {
		t.Errorf("got signature %q without a secret", got)
	}
}

func TestThePushOfABranchListsTheChanges(t *testing.T) {
	server, repo := newServer()
	repo.Commit("main", "first", github.Files{"a": github.Text("1"), "b": github.Text("1"), "c": github.Text("1")})
	sha := repo.Commit("main", "second", github.Files{"a": github.Text("2"), "b": github.Text("1"), "d": github.Text("1")})
	payload := decode(t, server.PushBranch(repo, "main"))
	head, _ := payload["head_commit"].(map[string]any)
	if payload["ref"] != "refs/heads/main" || payload["forced"] != false || head["id"] != sha ||
		fmt.Sprint(head["added"], head["removed"], head["modified"]) != "[d] [c] [a]" {
		t.Errorf("got %v forced %v: %v", payload["ref"], payload["forced"], head)
	}
}

func TestTheSameStateIsTheSameBytes(t *testing.T) {
	body := func() []byte {
		server, repo := newServer()
		repo.Tag("v1", repo.Commit("main", "first", github.Files{"a": github.Text("1")}))
		return server.Push(repo, "v1").Body
	}
	if first, second := body(), body(); !bytes.Equal(first, second) {
		t.Errorf("got %s and then %s", first, second)
	}
}

func TestArchivesAndAssetsRefuseOtherCredentials(t *testing.T) {
	server, repo := newServer()
	sha := repo.Commit("main", "first", nil)
	client := server.Client()
	var location string
	client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		location = req.URL.String()
		return http.ErrUseLastResponse
	}
	req, err := http.NewRequest("GET", "https://api.github.com/repos/acme/orders/tarball/"+sha, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !strings.HasPrefix(location, "https://codeload.github.com/acme/orders/legacy.tar.gz/"+sha+"?token=") {
		t.Fatalf("got a redirect to %q, want codeload", location)
	}
	if code, _ := fetch(t, server, "GET", location, token, ""); code != 400 {
		t.Errorf("with the API's token: got %d, want 400", code)
	}
	bare, _, _ := strings.Cut(location, "?")
	if code, _ := fetch(t, server, "GET", bare, "", ""); code != 404 {
		t.Errorf("without the URL's token: got %d, want 404", code)
	}
	if code, _ := fetch(t, server, "GET", location, "", ""); code != 200 {
		t.Errorf("as redirected: got %d, want 200", code)
	}
}
