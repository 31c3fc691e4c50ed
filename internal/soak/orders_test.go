package soak

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
)

// halt stops a release on its way, whichever.
func (w *world) halt() {
	ids := w.active()
	if len(ids) == 0 {
		return
	}
	id := pick(w.d, ids...)
	_ = w.act(w.process, "halt of "+id, func(c *caller, p *app.Parts) error {
		rel, err := p.Halts().Halt(c.ctx, id, app.Halting{Reason: "it looks bad", By: "olivia"})
		w.log.add(c.String(), "halted %+v (%v)", rel.Halted, err)
		if err == nil {
			w.draw("a release halted")
		}
		return err
	})
}

// freeze is what nothing may be released to for a while.
type freeze struct {
	app, environment string // either can be empty
	from, until      time.Time
}

func (f freeze) holds(app, environment string) bool {
	return (f.app == "" || f.app == app) && (f.environment == "" || f.environment == environment)
}

// freeze keeps releases away from an app, an environment or both, and lifts it
// before its time or does not.
func (w *world) freeze() {
	what := freeze{app: pick(w.d, w.s.apps...).Name, environment: pick(w.d, w.s.environments...).Name}
	switch w.d.IntN(3) {
	case 0:
		what.app = ""
	case 1:
		what.environment = ""
	}
	lasts := w.d.between(5*time.Minute, 20*time.Minute)
	frozen := false
	_ = w.act(w.process, "freeze", func(c *caller, p *app.Parts) error {
		_, err := p.Freezes().Freeze(c.ctx, app.Freezing{
			App: what.app, Environment: what.environment, Until: lasts.String(), Reason: "a holiday", By: "olivia",
		})
		w.log.add(c.String(), "froze %q %q for %s (%v)", what.app, what.environment, lasts, err)
		frozen = err == nil
		return err
	})
	for i, f := range w.freezes { // the same again replaces it, also if the answer was lost
		if f.app == what.app && f.environment == what.environment && f.until.After(w.clock.Now()) {
			w.freezes[i].until = w.clock.Now()
		}
	}
	if !frozen {
		return
	}
	w.draw("a freeze")
	what.from, what.until = w.clock.Now(), w.clock.Now().Add(lasts)
	w.freezes = append(w.freezes, what)
	if w.d.chance(0.5) {
		return
	}
	n := len(w.freezes) - 1
	_ = w.clock.Sleep(context.Background(), w.d.between(0, lasts)) // cannot fail
	_ = w.act(w.process, "lift", func(c *caller, p *app.Parts) error {
		w.freezes[n].until = w.clock.Now() // from here on nobody knows which comes first
		_, err := p.Freezes().Lift(c.ctx, app.Unfreezing{App: what.app, Environment: what.environment, By: "olivia"})
		w.log.add(c.String(), "lifted %q %q (%v)", what.app, what.environment, err)
		return err
	})
}

// judgeFreeze looks at a release that opens an environment: that was not frozen when the task
// began that looked.
func (w *world) judgeFreeze(rel release.Release, environment string) {
	now, slack := w.clock.Now(), taskLimit+w.s.skew+time.Minute
	for _, f := range w.freezes {
		if rel.Request.Restores == "" && f.holds(rel.App, environment) && f.from.Add(slack).Before(now) && now.Before(f.until.Add(-w.s.skew)) {
			w.fail("release %s opens %s, which is frozen since %s", rel.ID, environment, f.from.Sub(began))
		}
	}
}

// undo rolls an environment back to what was good there, by hand.
func (w *world) undo() {
	a, environment := pick(w.d, w.s.apps...), pick(w.d, w.s.environments...).Name
	_ = w.act(w.process, "rollback of "+a.Name, func(c *caller, p *app.Parts) error {
		answer, err := p.Orders().Undo(c.ctx, app.Undo{App: a.Name, Environment: environment, By: "olivia"})
		w.log.add(c.String(), "answer %s %v (%v)", answer.Status, answer.Releases, err)
		if answer.Status == release.AnswerStarted {
			w.draw("a rollback by hand")
		}
		return err
	})
}

// lastUndos rolls everything back twice in a row, in some of the worlds, when nothing breaks any more.
func (w *world) lastUndos() {
	if w.s.seed%16 != 0 {
		return
	}
	for range 2 {
		for _, a := range w.s.apps {
			for _, env := range w.s.environments {
				_ = w.act(w.process, "last rollback of "+a.Name, func(c *caller, p *app.Parts) error {
					answer, err := p.Orders().Undo(c.ctx, app.Undo{App: a.Name, Environment: env.Name, By: "olivia"})
					w.log.add(c.String(), "answer %s %v (%v)", answer.Status, answer.Releases, err)
					if answer.Status == release.AnswerStarted {
						w.draw("a rollback when nothing breaks")
					}
					return err
				})
			}
		}
		w.settle()
	}
}

// lostEvent is a version that came into the world without an event.
type lostEvent struct {
	app     string
	version string
	tag     bool
}

// loses decides whether the events of a tag are lost.
func (w *world) loses(kind string, a appSpec, version string) bool {
	if !w.s.looks || !w.d.chance(0.25) {
		return false
	}
	w.draw(kind)
	w.log.add("github", "%s %s raises no event", a.Name, version)
	w.lost = append(w.lost, lostEvent{a.Name, version, true})
	return true
}

// losesUpload decides whether the event of an object that starts a release is lost.
func (w *world) losesUpload(event json.RawMessage) bool {
	var e struct {
		Detail struct {
			Object struct {
				Key string `json:"key"`
			} `json:"object"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		w.fail("event of an object: %v", err)
	}
	parts := strings.Split(e.Detail.Object.Key, "/")
	if !w.s.looks || len(parts) != 4 || parts[3] == "deps.zip" || !w.d.chance(0.25) {
		return false
	}
	version := parts[2] // artifacts/app/version/tagboat.yaml
	if parts[0] == "drops" {
		version = strings.TrimSuffix(parts[3], ".zip") // drops/app/artifact/version.zip
	}
	w.draw("an upload without an event")
	w.log.add("s3", "%s raises no event", e.Detail.Object.Key)
	w.lost = append(w.lost, lostEvent{parts[1], version, false})
	return true
}

const lookEvery = 5 * time.Minute

// firstLook sees everything that is there before it begins, and starts nothing.
func (w *world) firstLook() {
	if w.s.looks {
		w.calm = true
		w.lookForMissed()
		// What came before by the clock of the look is taken for what was there.
		_ = w.clock.Sleep(context.Background(), w.s.skew+time.Second) // cannot fail
		w.calm = false
	}
}

// looks looks for missed events on its schedule.
func (w *world) looks() {
	for w.s.looks && !w.over {
		_ = w.clock.Sleep(context.Background(), lookEvery) // cannot fail
		if !w.over && w.process.Err() == nil {
			w.lookForMissed()
		}
	}
}

func (w *world) lookForMissed() {
	_ = w.act(w.process, "look for missed events", func(c *caller, p *app.Parts) error {
		found, err := p.Missed().Look(c.ctx)
		if found != (app.Found{}) || err != nil {
			w.log.add(c.String(), "found %+v (%v)", found, err)
		}
		for range found.Started {
			w.draw("a missed event made up for")
		}
		return err
	})
}

// lastLooks gives the schedule the time to find what came last.
func (w *world) lastLooks() {
	if w.s.looks {
		_ = w.clock.Sleep(context.Background(), 5*lookEvery) // cannot fail
		w.settle()
	}
}

// judgeLost checks that what raised no event was found: every upload, and of an app's tags the
// newest. Where an app's tags have changed meanwhile, nobody knows which those are.
func (w *world) judgeLost() {
	for _, l := range w.lost {
		newest := true
		for _, other := range slices.Sorted(maps.Keys(w.intents)) {
			name, version, _ := strings.Cut(other, " ")
			newest = newest && (name != l.app || !release.Older(l.version, version))
		}
		if l.tag && (!newest || w.drawn[newTags] > 0) {
			continue
		}
		if !w.hasRelease(l) {
			w.fail("%s %s raised no event, and nobody released it", l.app, l.version)
		}
	}
}

func (w *world) hasRelease(l lostEvent) bool {
	for _, rel := range w.records {
		if rel.App == l.app && rel.Version == l.version {
			return true
		}
	}
	return false
}
