package soak

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
	"github.com/tagboat/tagboat/internal/sim"
)

// callerAnnouncer is the event bus as one caller reaches it: any call can fail.
type callerAnnouncer struct{ c *caller }

var _ app.Announcer = callerAnnouncer{}

// putEvents is the call to the event bus.
const putEvents = "PutEvents"

// Announce implements [app.Announcer].
func (a callerAnnouncer) Announce(ctx context.Context, happening report.Happening, event report.Event) error {
	w := a.c.w
	return a.c.store(ctx, putEvents, "event bus", func() error {
		text, err := json.Marshal(event)
		if err != nil {
			return err
		}
		w.log.add(a.c.String(), "announces %s of %s", happening, event.Release)
		w.searchSecrets("the event "+string(happening), text)
		if happening == report.ReleaseEnded {
			w.announced[event.Release] = append(w.announced[event.Release], event.State)
		}
		return nil
	})
}

// lastReports lets what the schedule has to tell be told, now that nothing breaks.
func (w *world) lastReports() {
	for range 10 {
		_ = w.clock.Sleep(context.Background(), 5*time.Minute) // cannot fail
		_ = w.act(w.process, "report", func(c *caller, p *app.Parts) error {
			p.Reporting().Watch(c.ctx)
			return nil
		})
		if rels, err := ledger.New(w.table, w.clock).Untold(context.Background()); err == nil && len(rels) == 0 {
			return
		}
	}
}

// judgeAnnounced checks that the end of each release was announced as it is: once at least.
func (w *world) judgeAnnounced() {
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		rel := w.records[id]
		for _, state := range w.announced[id] {
			if state != rel.State {
				w.fail("release %s was announced as %s, and it is %s", id, state, rel.State)
			}
		}
		if len(w.announced[id]) == 0 && !rel.Request.DryRun {
			w.fail("release %s ended as %s, and that was announced to nobody", id, rel.State)
		}
	}
}

// watchAfterEnd checks that nothing begins for a release that has ended: what still comes is
// the report of the end and the deletion of old versions.
func (w *world) watchAfterEnd(c *caller, what string) {
	ended, known := w.endedAt[c.in.Release]
	if !known || !c.began.After(ended) || c.in.Do == "end" || strings.HasPrefix(c.what, "Prune") {
		return
	}
	w.fail("%s calls %s for release %s, which had ended before it began", c, what, c.in.Release)
}

// judgeVersions looks for a version that a release published twice.
func (w *world) judgeVersions() {
	for _, site := range w.s.sites() {
		for _, a := range w.s.apps {
			for _, name := range a.functions() {
				w.judgeVersionsOf(target{site.Account, site.Region, name})
			}
		}
	}
}

func (w *world) judgeVersionsOf(t target) {
	f, _ := w.cloud.Function(t.account, t.region, t.name)
	first := map[string]string{}
	for _, v := range f.Published {
		description := ""
		if v.Configuration.Description != nil {
			description = *v.Configuration.Description
		}
		id := w.describedBy(description)
		if id == "" || w.disturbed(t, id) {
			continue
		}
		if other := first[description]; other != "" {
			w.fail("versions %s and %s of %s in %s are both of %q", other, v.Version, t.name, t.account, description)
		}
		first[description] = v.Version
	}
}

// disturbed tells whether somebody else wrote a function between the writes of a release: it has to
// publish again then.
func (w *world) disturbed(t target, id string) bool {
	own := func(one write) bool { return one.by == id }
	first, last := slices.IndexFunc(w.writes[t], own), len(w.writes[t])
	for last > 0 && !own(w.writes[t][last-1]) {
		last--
	}
	return first >= 0 && slices.ContainsFunc(w.writes[t][first:last], isByHand)
}

// describedBy is the release that a version's description names.
func (w *world) describedBy(description string) string {
	for id := range w.records {
		if strings.Contains(description, id) {
			return id
		}
	}
	return ""
}

// watchPrune judges the deletion of an old version.
func (w *world) watchPrune(c *caller, call sim.Call, rel release.Release) {
	if !strings.HasPrefix(c.what, "Prune") || rel.State != release.Succeeded {
		w.fail("%s calls %s %s for release %q, which is %s", c, call.Action, call.Resource, rel.ID, rel.State)
	}
	if call.Action == "DeleteLayerVersion" && w.isUsed(call.Resource, call.Region) {
		w.fail("%s deletes layer %s, which is in use", c, call.Resource)
	}
	w.draw("an old version deleted")
}

// isUsed tells whether a function has a layer version, in $LATEST or behind its alias.
func (w *world) isUsed(arn, region string) bool {
	for _, site := range w.s.sites() {
		for _, a := range w.s.apps {
			for _, name := range a.functions() {
				f, _ := w.cloud.Function(site.Account, region, name)
				behind, _ := f.Version(f.Aliases["live"].Version)
				if slices.Contains(f.Latest.Layers, arn) || slices.Contains(behind.Layers, arn) {
					return true
				}
			}
		}
	}
	return false
}
