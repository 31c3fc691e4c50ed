package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim/github"
	"github.com/tagboat/tagboat/internal/webhook"
)

// event is what somebody tells Tagboat, once or more often.
type event struct {
	what    string
	deliver func(*caller, *app.Parts) release.Answer
	answers []release.Answer
}

// later runs something after a while, unless the world has become calm.
func (w *world) later(after time.Duration, do func()) {
	w.clock.Go(func() {
		_ = w.clock.Sleep(context.Background(), after) // cannot fail
		if !w.calm {
			do()
		}
	})
}

// schedule decides what is released when: over the time, or so close together
// that one release waits for the other.
func (w *world) schedule() {
	for _, a := range w.s.apps {
		from, until := time.Duration(0), w.s.busy*2/3
		if a.releases > 2 || w.d.chance(0.4) {
			from = w.d.between(from, until)
			until = min(until, from+2*time.Minute)
		}
		for range a.releases {
			do := pick(w.d, w.tagged, w.tagged, w.tagged, w.uploaded, w.dropped)
			w.later(w.d.between(from, until), func() { do(a, w.nextVersion(a)) })
		}
	}
}

// nextVersion numbers an app's versions in the order in which they come into the world.
func (w *world) nextVersion(a appSpec) string {
	w.versions[a.Name]++
	return fmt.Sprintf("1.0.%d", w.versions[a.Name])
}

// tagged pushes a tag. GitHub tells it by two events, and perhaps again.
func (w *world) tagged(a appSpec, version string) {
	w.draw("a tag")
	code := "revision " + version
	deps := pick(w.d, "deps of "+version, "common deps")
	source := "# " + code + "\ndef handler(event, context):\n    return {}\n"
	if w.d.chance(0.15) {
		source += "import os\nURL = os.environ[\"PAYMENTS_URL\"]\n"
	}
	manifest, err := yamlText(a.manifest(false))
	if w.d.chance(0.05) {
		manifest += "functions: nonsense\n"
	}
	if err != nil {
		w.fail("manifest: %v", err)
		return
	}
	repo, branch := w.repos[a.Name], "main"
	if w.d.chance(0.05) {
		branch = "topic"
	}
	w.intents[a.Name+" "+version] = intent{code: code, deps: deps}
	repo.Tag("v"+version, repo.Commit(branch, code, github.Files{
		"tagboat.yaml": github.Text(manifest), "src/app.py": github.Text(source),
		"layer/python/deps/version.txt": github.Text(deps), "layer/python/deps/__init__.py": github.Text(""),
	}))
	w.log.add("git", "tag v%s of %s on %s, %q", version, a.Name, branch, deps)
	if w.loses("a tag without an event", a, version) {
		return
	}
	push, create := w.hub.Push(repo, "v"+version), w.hub.Create(repo, "v"+version)
	for range w.d.upTo(2) {
		w.tell("push v"+version+" of "+a.Name, w.webhook(push))
	}
	for range w.d.upTo(2) {
		w.tell("create v"+version+" of "+a.Name, w.webhook(create))
	}
}

func (w *world) webhook(d github.Delivery) func(*caller, *app.Parts) release.Answer {
	return func(c *caller, p *app.Parts) release.Answer {
		handler := p.Webhook(&webhook.CachedSecrets{
			Clock: w.clock, Read: func(context.Context) ([]string, error) { return []string{webhookSecret}, nil },
		})
		return handler.Handle(c.ctx, webhook.Delivery{Method: "POST", Header: d.Header(), Body: d.Body})
	}
}

// uploaded brings a layer and its manifest, which starts the release.
func (w *world) uploaded(a appSpec, version string) {
	manifest, err := yamlText(a.manifest(true))
	deps := pick(w.d, "deps of "+version, "common deps")
	layer, zipErr := zipped(map[string]string{"python/deps/version.txt": deps})
	if err != nil || zipErr != nil {
		w.fail("upload: %v, %v", err, zipErr)
		return
	}
	w.intents[a.Name+" "+version] = intent{deps: deps}
	w.draw("an upload")
	w.log.add("ci", "uploads %s of %s, %q", version, a.Name, deps)
	for _, object := range []struct{ name, body string }{{"deps.zip", string(layer)}, {"tagboat.yaml", manifest}} {
		if err := w.put(context.Background(), uploadsBucket, "artifacts/"+a.Name+"/"+version+"/"+object.name, []byte(object.body)); err != nil {
			w.fail("upload: %v", err)
		}
	}
}

// dropped brings a layer alone.
func (w *world) dropped(a appSpec, version string) {
	deps := "deps of " + version
	layer, err := zipped(map[string]string{"python/deps/version.txt": deps})
	if err == nil {
		w.intents[a.Name+" "+version] = intent{deps: deps}
		w.draw("a drop")
		w.log.add("ci", "drops %s of %s", version, a.Name)
		err = w.put(context.Background(), uploadsBucket, "drops/"+a.Name+"/deps/"+version+".zip", layer)
	}
	if err != nil {
		w.fail("drop: %v", err)
	}
}

// objectCreated brings S3's event, which EventBridge delivers at least once.
func (w *world) objectCreated(text json.RawMessage) {
	if w.losesUpload(text) {
		return
	}
	deliver := func(c *caller, p *app.Parts) release.Answer { return p.Events().Handle(c.ctx, text) }
	for range pick(w.d, 1, 1, 2) {
		w.tell("object created", deliver)
	}
}

// tell delivers an event after a while, and again until there is an answer.
func (w *world) tell(what string, deliver func(*caller, *app.Parts) release.Answer) {
	e := &event{what: what, deliver: deliver}
	w.events = append(w.events, e)
	w.sending++
	w.clock.Go(func() {
		defer func() { w.sending-- }()
		_ = w.clock.Sleep(context.Background(), pick(w.d, 0, 0, w.d.between(0, time.Minute), w.d.between(0, w.s.busy/4))) // cannot fail
		for range 1000 {
			if w.deliver(e) {
				return
			}
			_ = w.clock.Sleep(context.Background(), w.d.between(time.Second, 5*time.Minute)) // cannot fail
		}
	})
}

// deliver brings an event and tells whether it was answered.
func (w *world) deliver(e *event) bool {
	var answer release.Answer
	err := w.act(w.process, e.what, func(c *caller, p *app.Parts) error {
		answer = e.deliver(c, p)
		return nil
	})
	if err != nil || answer.Status == release.AnswerBusy || w.process.Err() != nil {
		return false
	}
	w.log.add(e.what, "answer %s (%s) %v", answer.Status, answer.Code, answer.Releases)
	w.draw("answer: " + string(answer.Status))
	e.answers = append(e.answers, answer)
	return true
}

// redeliver brings every event once more: nothing may come of it, unless it was
// refused by a registry that is not in force any more.
func (w *world) redeliver() {
	want := len(w.records)
	for _, e := range w.events {
		refused := !slices.ContainsFunc(e.answers, func(a release.Answer) bool { return len(a.Releases) > 0 })
		if !w.deliver(e) {
			w.fail("event %s was not answered although nothing is broken", e.what)
			continue
		}
		if last := e.answers[len(e.answers)-1]; last.Status == release.AnswerStarted {
			want++
			if !refused || w.drawn[newTags] == 0 {
				w.fail("event %s started %v when it came again", e.what, last.Releases)
			}
		}
	}
	if got := len(w.records); got != want {
		w.fail("%d releases are recorded after all events came again, want %d", got, want)
	}
}
