package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

func TestTagEventsBecomeRequests(t *testing.T) {
	tests := []struct {
		name  string
		event func(w *world) github.Delivery
		want  release.Request // what differs from a push of v1.2.3
	}{
		{"a push of a lightweight tag tells the commit", func(w *world) github.Delivery {
			w.repo.Tag("v1.2.3", w.commit)
			return w.server.Push(w.repo, "v1.2.3")
		}, release.Request{Trigger: release.TriggeredByPush, Version: "1.2.3", Source: release.Source{Tag: "v1.2.3", Commit: "commit"}}},
		{"a push of an annotated tag tells the commit, not the tag object", func(w *world) github.Delivery {
			w.repo.AnnotatedTag("v1.2.3", w.commit, "release")
			return w.server.Push(w.repo, "v1.2.3")
		}, release.Request{Trigger: release.TriggeredByPush, Version: "1.2.3", Source: release.Source{Tag: "v1.2.3", Commit: "commit"}}},
		{"create tells no commit", func(w *world) github.Delivery {
			w.repo.Tag("v1.2.3", w.commit)
			return w.server.Create(w.repo, "v1.2.3")
		}, release.Request{Trigger: release.TriggeredByCreate, Version: "1.2.3", Source: release.Source{Tag: "v1.2.3"}}},
		{"a published release tells no commit", func(w *world) github.Delivery {
			w.registry.Apps[0].Trigger = release.TriggerRelease
			w.repo.Tag("v1.2.3", w.commit)
			w.repo.Publish("v1.2.3", "the release")
			return w.server.Release(w.repo, "v1.2.3")
		}, release.Request{Trigger: release.TriggeredByRelease, Version: "1.2.3", Source: release.Source{Tag: "v1.2.3"}}},
		{"a tag that pointed elsewhere is told to have moved", func(w *world) github.Delivery {
			w.repo.Tag("v1.2.3", w.repo.Commit("main", "second", github.Files{"a": github.Text("a")}))
			w.repo.Tag("v1.2.3", w.commit)
			return w.server.Push(w.repo, "v1.2.3")
		}, release.Request{Trigger: release.TriggeredByPush, Version: "1.2.3", Moved: true, Source: release.Source{Tag: "v1.2.3", Commit: "commit"}}},
		{"a tag may have slashes", func(w *world) github.Delivery {
			w.registry.Apps[0].Tags = "orders/v{version}"
			w.repo.Tag("orders/v1.2.3", w.commit)
			return w.server.Push(w.repo, "orders/v1.2.3")
		}, release.Request{Trigger: release.TriggeredByPush, Version: "1.2.3", Source: release.Source{Tag: "orders/v1.2.3", Commit: "commit"}}},
		{"a tag may have letters of any alphabet", func(w *world) github.Delivery {
			w.repo.Tag("vürsion-日本-1%2B2+3", w.commit)
			return w.server.Push(w.repo, "vürsion-日本-1%2B2+3")
		}, release.Request{Trigger: release.TriggeredByPush, Version: "ürsion-日本-1%2B2+3", Source: release.Source{Tag: "vürsion-日本-1%2B2+3", Commit: "commit"}}},
		{"the repository is known by its id after it was renamed", func(w *world) github.Delivery {
			w.repo.Rename("acme/renamed")
			w.repo.Tag("v1.2.3", w.commit)
			return w.server.Push(w.repo, "v1.2.3")
		}, release.Request{Trigger: release.TriggeredByPush, Version: "1.2.3", Source: release.Source{Repository: "acme/renamed", Tag: "v1.2.3", Commit: "commit"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			delivery := test.event(w)
			expect(t, w.send(delivery), release.AnswerStarted, release.CodeStarted, http.StatusAccepted)
			want := test.want
			want.App, want.Attempt, want.Actor, want.Delivery = "orders", 1, github.DefaultSender, delivery.GUID
			want.Source.RepositoryID = repoID
			if want.Source.Commit != "" {
				want.Source.Commit = w.commit
			}
			if want.Source.Repository == "" {
				want.Source.Repository = "acme/orders"
			}
			if len(w.accepted) != 1 || w.accepted[0] != want {
				t.Errorf("got %+v, want %+v", w.accepted, want)
			}
		})
	}
}

func TestPushAndCreateOfOneTagAreOneRelease(t *testing.T) {
	w := newWorld(t)
	w.repo.Tag("v1.2.3", w.commit)
	w.send(w.server.Push(w.repo, "v1.2.3"))
	w.send(w.server.Create(w.repo, "v1.2.3"))
	if len(w.accepted) != 2 || w.accepted[0].ID() != w.accepted[1].ID() {
		t.Errorf("got requests %+v, want two with one id", w.accepted)
	}
}

func TestEventsThatStartNothing(t *testing.T) {
	tests := []struct {
		name  string
		event func(w *world) github.Delivery
		code  release.AnswerCode
	}{
		{"a ping", func(w *world) github.Delivery { return w.server.Ping(w.repo) }, release.CodePing},
		{"a push to a branch", func(w *world) github.Delivery { return w.server.PushBranch(w.repo, "main") }, release.CodeBranch},
		{"a tag that was deleted", func(w *world) github.Delivery {
			w.repo.Tag("v1.2.3", w.commit)
			w.repo.DeleteTag("v1.2.3")
			return w.server.Push(w.repo, "v1.2.3")
		}, release.CodeTagDeleted},
		{"a tag that matches no pattern", func(w *world) github.Delivery {
			w.repo.Tag("nightly", w.commit)
			return w.server.Push(w.repo, "nightly")
		}, release.CodeTagPattern},
		{"a tag that is a pattern without a version", func(w *world) github.Delivery {
			w.repo.Tag("v", w.commit)
			return w.server.Push(w.repo, "v")
		}, release.CodeTagPattern},
		{"a repository that no app has, even by the name of one that an app has", func(w *world) github.Delivery {
			other := w.server.AddRepository(1, "acme/orders")
			other.Tag("v1.2.3", other.Commit("main", "first", github.Files{"a": github.Text("a")}))
			return w.server.Push(other, "v1.2.3")
		}, release.CodeUnknownRepository},
		{"a GitHub release of an app that is released by tag", func(w *world) github.Delivery {
			w.repo.Tag("v1.2.3", w.commit)
			w.repo.Publish("v1.2.3", "")
			return w.server.Release(w.repo, "v1.2.3")
		}, release.CodeOtherTrigger},
		{"a tag of an app that waits for the GitHub release", func(w *world) github.Delivery {
			w.registry.Apps[0].Trigger = release.TriggerRelease
			w.repo.Tag("v1.2.3", w.commit)
			return w.server.Push(w.repo, "v1.2.3")
		}, release.CodeOtherTrigger},
		{"a tag of an app that is released by its uploads", func(w *world) github.Delivery {
			w.registry.Apps[0].Trigger = release.TriggerUpload
			w.repo.Tag("v1.2.3", w.commit)
			return w.server.Push(w.repo, "v1.2.3")
		}, release.CodeOtherTrigger},
		{"a GitHub release of an app that is released by its uploads", func(w *world) github.Delivery {
			w.registry.Apps[0].Trigger = release.TriggerUpload
			w.repo.Tag("v1.2.3", w.commit)
			w.repo.Publish("v1.2.3", "")
			return w.server.Release(w.repo, "v1.2.3")
		}, release.CodeOtherTrigger},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			expect(t, w.send(test.event(w)), release.AnswerIgnored, test.code, http.StatusOK)
			if len(w.accepted) != 0 {
				t.Errorf("accepted %+v, want nothing", w.accepted)
			}
		})
	}
}

func TestPayloads(t *testing.T) {
	repository := fmt.Sprintf(`"repository": {"id": %d, "full_name": "acme/orders"}`, repoID)
	tests := []struct {
		name, event, body string
		status            release.AnswerStatus
		code              release.AnswerCode
		http              int
	}{
		{"null is no payload of push", "push", `null`, release.AnswerRejected, release.CodeMalformed, 400},
		{"null is no payload of release", "release", ` null `, release.AnswerRejected, release.CodeMalformed, 400},
		{"null is no payload of ping", "ping", `null`, release.AnswerRejected, release.CodeMalformed, 400},
		{"an empty body", "push", ``, release.AnswerRejected, release.CodeMalformed, 400},
		{"an empty body of ping", "ping", ``, release.AnswerRejected, release.CodeMalformed, 400},
		{"a truncated body", "push", tagged("v1.2.3", "")[:200], release.AnswerRejected, release.CodeMalformed, 400},
		{"a truncated body of an event that nobody reads", "issues", `{"action": "open`, release.AnswerRejected, release.CodeMalformed, 400},
		{"a list", "push", `[]`, release.AnswerRejected, release.CodeMalformed, 400},
		{"two objects", "push", `{}{}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"a field of another type", "push", `{"ref": 1}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"no event is named", "", `{}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"no repository", "push", `{"ref": "refs/tags/v1.2.3"}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"a repository without id", "push", `{"ref": "refs/tags/v1.2.3", "repository": {"full_name": "acme/orders"}}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"a tag without name", "create", `{"ref": "", "ref_type": "tag", ` + repository + `}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"a tag with a line break", "push", tagged("v1\n2", ""), release.AnswerRejected, release.CodeMalformed, 400},
		{"a tag that climbs", "push", tagged("v../../x", ""), release.AnswerRejected, release.CodeMalformed, 400},
		{"a tag with a space", "push", tagged("v1 2", ""), release.AnswerRejected, release.CodeMalformed, 400},
		{"a release without a release", "release", `{"action": "published", "release": null, ` + repository + `}`, release.AnswerRejected, release.CodeMalformed, 400},
		{"a tag with an invisible character", "push", tagged("v1.2.3\u200b", ""), release.AnswerIgnored, release.CodeTagPattern, 200},
		{"a tag that writes backwards", "push", tagged("v1.2.3\u202e", ""), release.AnswerIgnored, release.CodeTagPattern, 200},
		{"a tag that is not UTF-8", "push", strings.Replace(tagged("v1.2.3X", ""), "X", "\xff", 1), release.AnswerIgnored, release.CodeTagPattern, 200},
		{"a tag that is too long", "push", tagged("v"+strings.Repeat("1", 255), ""), release.AnswerIgnored, release.CodeTagPattern, 200},
		{"the longest tag", "push", tagged("v"+strings.Repeat("1", 254), ""), release.AnswerStarted, release.CodeStarted, 202},
		{"a branch is created", "create", `{"ref": "v1.2.3", "ref_type": "branch", ` + repository + `}`, release.AnswerIgnored, release.CodeBranch, 200},
		{"a release is edited", "release", `{"action": "edited", "release": {"tag_name": "v1.2.3"}, ` + repository + `}`, release.AnswerIgnored, release.CodeEvent, 200},
		{"a release is created", "release", `{"action": "created", "release": {"tag_name": "v1.2.3"}, ` + repository + `}`, release.AnswerIgnored, release.CodeEvent, 200},
		{"another event", "workflow_run", `{"action": "completed", ` + repository + `}`, release.AnswerIgnored, release.CodeEvent, 200},
		{"another event whose fields have other types", "delete", `{"ref": 1, "release": 2}`, release.AnswerIgnored, release.CodeEvent, 200},
		{"a tag's deletion that only the sha tells", "push", `{"ref": "refs/tags/v1.2.3", "after": "0000000000000000000000000000000000000000", ` + repository + `}`,
			release.AnswerIgnored, release.CodeTagDeleted, 200},
		{"a ping of an organisation, without a repository", "ping", `{"zen": "Design for failure.", "hook_id": 1}`, release.AnswerIgnored, release.CodePing, 200},
		{"a push without commits", "push", `{"ref": "refs/tags/v1.2.3", "after": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "head_commit": null, ` + repository + `}`,
			release.AnswerStarted, release.CodeStarted, 202},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			expect(t, w.handler.Handle(t.Context(), signed(test.event, test.body)), test.status, test.code, test.http)
			if started := test.status == release.AnswerStarted; started != (len(w.accepted) == 1) {
				t.Errorf("accepted %+v", w.accepted)
			}
		})
	}
}

func TestEnvelopes(t *testing.T) {
	tests := []struct {
		name   string
		change func(d *webhook.Delivery)
		status release.AnswerStatus
		code   release.AnswerCode
		http   int
	}{
		{"another method", func(d *webhook.Delivery) { d.Method = http.MethodGet }, release.AnswerRejected, release.CodeMethod, 405},
		{"a body of 7 MB", func(d *webhook.Delivery) { d.Body = make([]byte, 7<<20) }, release.AnswerRejected, release.CodeTooLarge, 413},
		{"a body of one byte too many", func(d *webhook.Delivery) { d.Body = make([]byte, webhook.MaxBody+1) }, release.AnswerRejected, release.CodeTooLarge, 413},
		{"the largest body", func(d *webhook.Delivery) {
			*d = signed("push", tagged("v1.2.3", "")+strings.Repeat(" ", webhook.MaxBody-len(tagged("v1.2.3", ""))))
		}, release.AnswerStarted, release.CodeStarted, 202},
		{"a form", func(d *webhook.Delivery) { d.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, release.AnswerRejected, release.CodeContentType, 415},
		{"no content type", func(d *webhook.Delivery) { d.Header.Del("Content-Type") }, release.AnswerRejected, release.CodeContentType, 415},
		{"a content type that only begins alike", func(d *webhook.Delivery) { d.Header.Set("Content-Type", "application/json-patch+json") },
			release.AnswerRejected, release.CodeContentType, 415},
		{"a content type with a charset", func(d *webhook.Delivery) { d.Header.Set("Content-Type", "application/JSON; charset=utf-8") },
			release.AnswerStarted, release.CodeStarted, 202},
		{"white space around the payload", func(d *webhook.Delivery) { *d = signed("push", "\r\n"+tagged("v1.2.3", "")+"\n") },
			release.AnswerStarted, release.CodeStarted, 202},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			d := signed("push", tagged("v1.2.3", ""))
			test.change(&d)
			expect(t, w.handler.Handle(t.Context(), d), test.status, test.code, test.http)
		})
	}
}

func TestOneTagReleasesEveryAppThatItMatches(t *testing.T) {
	app := func(name, tags, trigger string, id int64) release.App {
		return release.App{Name: name, Tags: tags, Trigger: trigger, Repository: release.Repository{ID: id}}
	}
	w := newWorld(t)
	w.registry.Apps = []release.App{
		app("orders", "v{version}", "", repoID), app("orders-worker", "v{version}", release.TriggerTag, repoID),
		app("orders-assets", "v{version}", release.TriggerRelease, repoID), app("orders-next", "next-{version}", "", repoID),
		app("billing", "v{version}", "", repoID+1),
	}
	w.repo.Tag("v1.2.3", w.commit)
	answer := w.send(w.server.Push(w.repo, "v1.2.3"))
	expect(t, answer, release.AnswerStarted, release.CodeStarted, http.StatusAccepted)
	if len(w.accepted) != 2 || w.accepted[0].App != "orders" || w.accepted[1].App != "orders-worker" || len(answer.Releases) != 2 {
		t.Errorf("got %+v, want orders and orders-worker", w.accepted)
	}
	if w.accepted[0].ID() == w.accepted[1].ID() {
		t.Errorf("both have the id %q", w.accepted[0].ID())
	}
}

func TestAnOddDeliveryIDIsNotKept(t *testing.T) {
	for _, id := range []string{strings.Repeat("x", 65), "a\x1b[31mb", "ü"} {
		w := newWorld(t)
		d := signed("push", tagged("v1.2.3", ""))
		d.Header.Set("X-GitHub-Delivery", id)
		expect(t, w.handler.Handle(t.Context(), d), release.AnswerStarted, release.CodeStarted, http.StatusAccepted)
		if got := w.accepted[0].Delivery; got != "" {
			t.Errorf("delivery %q was kept as %q, want nothing", id, got)
		}
	}
}

func TestARegistryThatCannotBeReadAsksForTheEventAgain(t *testing.T) {
	w := newWorld(t)
	w.down = errDown
	answer := w.handler.Handle(t.Context(), signed("push", tagged("v1.2.3", "")))
	expect(t, answer, release.AnswerBusy, release.CodeOverloaded, http.StatusServiceUnavailable)
	if strings.Contains(answer.Reason, errDown.Error()) {
		t.Errorf("the answer tells a stranger what is broken: %q", answer.Reason)
	}
}

func TestWhatIsAnsweredIsWhatAcceptSays(t *testing.T) {
	w := newWorld(t)
	want := release.RejectedAnswer(release.CodeTagMoved, "It moved.")
	w.handler.Accept = func(context.Context, []release.Request) release.Answer { return want }
	expect(t, w.handler.Handle(t.Context(), signed("push", tagged("v1.2.3", ""))), release.AnswerRejected, release.CodeTagMoved, http.StatusOK)
}
