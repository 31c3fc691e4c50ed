package app_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// quiet fails the test if anything is changed after the end, by tasks that are under way
// still, by deliveries that come late, or by the sweep; or if there is more than one
// sweep's work left, which is to return the lock of a layer.
func (w *world) quiet() {
	w.t.Helper()
	calls := w.calls()
	w.in(func(ctx context.Context) {
		_ = w.Clock.Sleep(ctx, 20*time.Minute)
		first, err := w.Local.Recovery().Sweep(ctx)
		second, errAgain := w.Local.Recovery().Sweep(ctx)
		if err != nil || errAgain != nil || first.Started+first.Recovered > 0 || second != (app.Swept{}) {
			w.t.Errorf("sweeps after the end: %+v, %v, and %+v, %v; want nothing to do", first, err, second, errAgain)
		}
		_ = w.Clock.Sleep(ctx, 5*time.Minute)
	})
	for _, c := range w.writes(calls) {
		w.t.Errorf("changed after the end: %+v", c)
	}
}

// asRecorded checks that every environment is as the release's record says, if no other
// release was there.
func (w *world) asRecorded(rel release.Release, before map[string]string) {
	w.t.Helper()
	for _, environment := range []string{"dev", "prod"} {
		progress, known := rel.Environment(environment)
		was := inEnvironment(before, environment)
		switch {
		case known && progress.State == release.EnvironmentDirty:
		case known && progress.State == release.EnvironmentDone:
			w.allChanged(environment, was, inEnvironment(w.targets(), environment))
		default:
			w.same(w.notByHand(was), w.targets())
		}
	}
	w.allAsRecorded([]release.Release{rel})
}

// allAsRecorded checks that every environment is as the records of the releases say that were
// there: dirty only where somebody has to be asked, and what was planned where it is done.
func (w *world) allAsRecorded(rels []release.Release) {
	w.t.Helper()
	for _, rel := range rels {
		for _, progress := range rel.Environments {
			if progress.State == release.EnvironmentDirty && (!w.needsHand || rel.Remedy == "") {
				w.t.Errorf("%s is left dirty: %s; %s", progress.Name, rel.Error, rel.Remedy)
			}
			if progress.State != release.EnvironmentDone {
				continue
			}
			for _, problem := range w.notAsPlanned(rel, progress.Name) {
				w.t.Errorf("%s is recorded as done and %s", progress.Name, problem)
			}
		}
	}
	for _, environment := range []string{"dev", "prod"} {
		w.keepsWhatOthersDid(rels, environment)
	}
}

// allChanged checks that an environment that is done is not as before.
func (w *world) allChanged(environment string, was, now map[string]string) {
	w.t.Helper()
	for key, is := range now {
		if is == was[key] {
			w.t.Errorf("%s is recorded as done and %s is as before", environment, key)
		}
	}
}

// notByHand leaves out what somebody else changed.
func (w *world) notByHand(targets map[string]string) map[string]string {
	kept := maps.Clone(targets)
	maps.DeleteFunc(kept, func(key, _ string) bool { return !w.byHand[key].IsZero() })
	return kept
}

// chapter is an environment at the moment when the record of a release came to say
// that it stands otherwise there.
type chapter struct {
	environment string
	state       release.EnvironmentState
	targets     map[string]string
}

// chronicle reads what is written to the table: the states of releases and of their environments.
func (w *world) chronicle(item ledger.Item) {
	if !strings.HasPrefix(item.Partition, "release/") || item.Sort != "record" {
		return
	}
	var rel release.Release
	if err := json.Unmarshal(item.Body, &rel); err != nil {
		w.t.Error(err)
	}
	w.met[rel.State] = true
	for _, progress := range rel.Environments {
		key := rel.ID + " " + progress.Name
		if progress.State != release.EnvironmentPending && progress.State != w.stands[key] {
			w.stands[key] = progress.State
			w.chapters = append(w.chapters, chapter{progress.Name, progress.State, inEnvironment(w.targets(), progress.Name)})
		}
	}
}

// tookTurns checks that each release found an environment as the one before had left it, left
// it so again unless it was done there, and that nothing has changed since the last.
func (w *world) tookTurns(before map[string]string) {
	w.t.Helper()
	for _, environment := range []string{"dev", "prod"} {
		was := inEnvironment(before, environment)
		for _, c := range w.chapters {
			switch {
			case c.environment != environment:
			case c.state == release.EnvironmentDirty:
				was = nil // a person has to look
			case c.state == release.EnvironmentDone:
				w.allChanged(environment, was, c.targets)
				was = c.targets
			default: // opened, or rolled back
				w.same(w.notByHand(was), c.targets)
			}
		}
		w.same(w.notByHand(was), w.targets())
	}
}

// versionsOfAll counts the versions of each layer and each function.
func (w *world) versionsOfAll() map[string]int {
	counts := map[string]int{}
	for _, region := range []string{demo.Home, demo.Europe} {
		for _, name := range w.Cloud.Layers(demo.Tools, region) {
			counts["layer "+name+" in "+region] = len(w.Cloud.LayerVersions(demo.Tools, region, name))
		}
	}
	for _, site := range demo.Sites() {
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			f, _ := w.Cloud.Function(site.Account, site.Region, name)
			counts[site.String()+"/"+name] = len(f.Published)
		}
	}
	return counts
}

// publishedAtMost checks that releases published a version of each layer, which is the same in all,
// and of each function one each and one that keeps what was there, and for each fault one more at most.
func (w *world) publishedAtMost(before map[string]int, releases, faults int) {
	w.t.Helper()
	for what, n := range w.versionsOfAll() {
		most := 1 + releases
		if strings.HasPrefix(what, "layer ") {
			most = 1
		}
		if more := n - before[what]; more > most+faults {
			w.t.Errorf("%d versions of %s were published after %d faults, want %d at most", more, what, faults, most+faults)
		}
	}
}

// keepsWhatOthersDid checks that what somebody else brought while an environment was changed
// was not overwritten, nor what they did before by a release that did not know of it.
func (w *world) keepsWhatOthersDid(rels []release.Release, environment string) {
	w.t.Helper()
	for key, at := range w.byHand {
		site, name, _ := cutLast(key, "/")
		if !strings.HasPrefix(key, environment+"/") || !w.tookHandMade[key] {
			continue
		}
		if slices.ContainsFunc(rels, func(rel release.Release) bool {
			progress, known := rel.Environment(environment)
			return known && progress.Plan != (release.Pointer{}) && w.beganFrom(w.planAt(progress.Plan), site, name)
		}) {
			continue
		}
		for _, s := range demo.Sites() {
			f, ok := w.Cloud.Function(s.Account, s.Region, name)
			if !ok || s.String() != site {
				continue
			}
			if source, _ := f.Latest.Code.ReadFile("app.py"); string(source) != handMade {
				w.t.Errorf("%s was changed by hand at %s, and its code is %q now", key, at, source)
			}
		}
	}
}

// beganFrom tells whether a plan starts from the code that somebody else brought: the release
// knew of it, and replaces it.
func (w *world) beganFrom(made release.Plan, site, name string) bool {
	sum := sha256.Sum256(zipped(w.t, map[string]string{"app.py": handMade}))
	return slices.ContainsFunc(made.Steps, func(step release.Step) bool {
		f := step.Function
		return f != nil && step.Site.String() == site && f.Name == name && f.Before.Latest != nil &&
			f.Before.Latest.CodeSHA256 == base64.StdEncoding.EncodeToString(sum[:])
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// everybodyKnows checks that, after the look that comes each minute, whoever listens was told of
// the end, once at least, and GitHub shows it.
func (w *world) everybodyKnows(rel release.Release) {
	w.t.Helper()
	w.settled(time.Minute)
	told := 0
	for _, h := range w.heard.heard {
		if h.what != report.ReleaseEnded || h.event.Release != rel.ID {
			continue
		}
		told++
		if h.event.State != rel.State {
			w.t.Errorf("the end was announced as %s, and is %s", h.event.State, rel.State)
		}
	}
	if told == 0 {
		w.t.Errorf("release %s ended as %s, and nobody was told", rel.ID, rel.State)
	}
	want := map[release.State]string{release.Succeeded: "success", release.FailedDirty: "error"}[rel.State]
	if want == "" {
		want = "failure"
	}
	if statuses := w.GitHub.CommitStatuses(w.Repo, rel.Source.Commit); len(statuses) == 0 || statuses[len(statuses)-1].State != want {
		w.t.Errorf("release %s ended as %s, and GitHub shows %+v, want %s in the end", rel.ID, rel.State, statuses, want)
	}
	if left := w.untold(); len(left) > 0 {
		w.t.Errorf("still to be told: %+v", left)
	}
}

// transcript logs what happened.
func (w *world) transcript(rels ...release.Release) {
	var names []string
	for _, rel := range rels {
		w.t.Logf("release %s: %s: %s", rel.ID, rel.State, rel.Error)
		names = append(names, rel.ID, rel.ID+"-r1", rel.ID+"-r2")
	}
	for _, name := range names {
		events, err := w.Local.Engine.History(w.t.Context(), name)
		if err != nil {
			continue // there was none
		}
		for _, e := range events {
			if e.State != "" || e.Error != "" {
				w.t.Logf("%s %s %s %s %s %s", name, e.Time.Format("15:04:05"), e.Type, e.State, e.Error, e.Cause)
			}
		}
	}
}
