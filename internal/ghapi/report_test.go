package ghapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
)

func (w *world) deployment(id string) ghapi.Deployment {
	return ghapi.Deployment{
		Release: id, Commit: w.first, Environment: "prod", Description: "orders 1.0.0",
		Payload: map[string]string{"app": "orders"}, Production: true,
	}
}

func TestCreateDeployment(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		err := w.client.CommitStatus(t.Context(), repoID, w.first, "failure", "ci", "red", "")
		if err != nil {
			t.Fatal(err)
		}
		d := w.deployment("orders-1")
		d.Description = strings.Repeat("é", 200)
		id, err := w.client.CreateDeployment(t.Context(), repoID, d)
		if err != nil {
			t.Fatalf("a commit behind main with a red status: %v", err)
		}
		got := w.server.Deployments(w.repo)
		if len(got) != 1 || got[0].ID != id || got[0].SHA != w.first || got[0].Environment != "prod" || !got[0].Production || got[0].Transient {
			t.Fatalf("got %+v, want one of %s in prod with id %d", got, w.first, id)
		}
		if n := utf8.RuneCountInString(got[0].Description); n != 140 {
			t.Errorf("the description has %d characters, want 140", n)
		}
		if want := `{"app":"orders","release":"orders-1"}`; string(got[0].Payload) != want {
			t.Errorf("got payload %s, want %s", got[0].Payload, want)
		}
	})
}

func TestADeploymentIsFoundAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(w *world)
		second func(d *ghapi.Deployment)
		want   int
	}{
		{name: "the same release and environment are one deployment", want: 1},
		{name: "another release is another deployment", second: func(d *ghapi.Deployment) { d.Release = "orders-2" }, want: 2},
		{name: "another environment is another deployment", second: func(d *ghapi.Deployment) { d.Environment = "dev" }, want: 2},
		{name: "deployments of others are passed over", want: 151, before: func(w *world) {
			for i := range 150 {
				_, _ = w.client.CreateDeployment(t.Context(), repoID, w.deployment(fmt.Sprint("other-", i)))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			first, err := w.client.CreateDeployment(t.Context(), repoID, w.deployment("orders-1"))
			if err != nil {
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(w)
			}
			d := w.deployment("orders-1")
			if c.second != nil {
				c.second(&d)
			}
			second, err := w.client.CreateDeployment(t.Context(), repoID, d)
			if err != nil {
				t.Fatal(err)
			}
			if (first == second) != (c.second == nil) || len(w.server.Deployments(w.repo)) != c.want {
				t.Errorf("got ids %d and %d of %d deployments, want %d", first, second, len(w.server.Deployments(w.repo)), c.want)
			}
		})
	}
}

func TestALostAnswerMakesNoSecondDeployment(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.server.OnRequest(func(req *http.Request) github.Fault {
			return github.Fault{LoseAnswer: req.Method == http.MethodPost}
		})
		_, err := w.client.CreateDeployment(t.Context(), repoID, w.deployment("orders-1"))
		expect(t, err, release.Transient)
		w.server.OnRequest(nil)
		id, err := w.client.CreateDeployment(t.Context(), repoID, w.deployment("orders-1"))
		if got := w.server.Deployments(w.repo); err != nil || len(got) != 1 || got[0].ID != id {
			t.Errorf("got %d deployments, id %d, %v; want the one that was created", len(got), id, err)
		}
	})
}

func TestAPayloadThatIsAStringIsRead(t *testing.T) {
	w := newWorld(t)
	w.server.OnRequest(on("/deployments", github.Fault{
		Status: 200,
		Body:   `[{"id":7,"environment":"prod","payload":"{\"release\":\"orders-1\"}"},{"id":8,"environment":"prod","payload":3}]`,
	}))
	id, err := w.client.CreateDeployment(t.Context(), repoID, w.deployment("orders-1"))
	if err != nil || id != 7 {
		t.Errorf("got id %d, %v; want 7", id, err)
	}
}

func TestDeploymentNeedsItsNames(t *testing.T) {
	w := newWorld(t)
	for _, d := range []ghapi.Deployment{
		{Commit: w.first, Environment: "prod"},
		{Commit: w.first, Release: "r"},
		{Commit: "main", Release: "r", Environment: "prod"},
	} {
		_, err := w.client.CreateDeployment(t.Context(), repoID, d)
		expect(t, err, release.Invalid)
	}
}

func TestStatuses(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		long := strings.Repeat("ü", 141)
		id, err := w.client.CreateDeployment(t.Context(), repoID, w.deployment("orders-1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range []string{"in_progress", "success"} {
			if err := w.client.DeploymentStatus(t.Context(), repoID, id, ghapi.DeploymentStatus{
				State: state, Description: long, Log: "https://example.com/x", Environment: "https://example.com/y",
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.client.CommitStatus(t.Context(), repoID, w.first, "success", "tagboat/orders", long, "https://example.com/x"); err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("ü", 139) + "…"
		statuses := w.server.Deployments(w.repo)[0].Statuses
		if len(statuses) != 2 || statuses[1].State != "success" || statuses[1].Description != want || statuses[1].LogURL != "https://example.com/x" {
			t.Errorf("got deployment statuses %+v", statuses)
		}
		commit := w.server.CommitStatuses(w.repo, w.first)
		if len(commit) != 1 || commit[0].Context != "tagboat/orders" || commit[0].Description != want || commit[0].TargetURL != "https://example.com/x" {
			t.Errorf("got commit statuses %+v", commit)
		}
		expect(t, w.client.DeploymentStatus(t.Context(), repoID, id, ghapi.DeploymentStatus{State: "splendid"}), release.Invalid)
		expect(t, w.client.DeploymentStatus(t.Context(), repoID, id+99, ghapi.DeploymentStatus{State: "success"}), release.NotFound)
		expect(t, w.client.CommitStatus(t.Context(), repoID, strings.Repeat("c", 40), "success", "x", "", ""), release.Invalid)
	})
}
