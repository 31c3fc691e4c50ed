package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// judgeDone looks at an environment at the moment in which a release is recorded
// as done there: every target has to be what the release brings.
func (w *world) judgeDone(rel release.Release, environment string) {
	if w.lease("env/"+rel.App+"/"+environment).Holder.Release != rel.ID {
		w.fail("release %s is done in %s without its lease", rel.ID, environment)
	}
	w.doneIn[rel.App+" "+environment] = append(w.doneIn[rel.App+" "+environment], rel)
	a, ok := w.app(rel.App)
	wanted, known := w.intents[rel.App+" "+rel.Version]
	if !ok || !known {
		w.fail("release %s of %s %s was asked for by nobody", rel.ID, rel.App, rel.Version)
		return
	}
	for _, site := range w.s.sites() {
		if site.Environment != environment {
			continue
		}
		for _, name := range a.functions() {
			t := target{site.Account, site.Region, name}
			w.left[touched{rel.ID, t}] = w.callersGet(t, w.look(t))
			since := w.writesBefore(t, rel.Created)
			if base, wrote := w.baselines[touched{rel.ID, t}]; wrote {
				since = base.writes
			}
			if slices.ContainsFunc(w.writes[t][since:], isByHand) {
				continue // somebody else was there
			}
			if wrong := w.differsFrom(a, t, w.takenBack(rel, t, wanted)); wrong != "" {
				w.fail("release %s is recorded as done in %s, but %s in %s %s", rel.ID, environment, name, site, wrong)
			}
		}
	}
}

// takenBack is what a rollback that takes a drop back wants of a function: the layer of the release
// that is brought back, and else the code that the drop found or, if it was taken back before, that
// of the rollback which did.
func (w *world) takenBack(rel release.Release, t target, wanted intent) intent {
	if rel.Request.Undoes == "" {
		return wanted
	}
	undone := touched{rel.Request.Undoes, t}
	wanted.code, wanted.digest = "", w.left[undone]
	if found, wrote := w.baselines[undone]; wrote && w.records[undone.release].Request.Restores == "" {
		wanted.digest = w.callersGet(t, found.found)
	}
	return wanted
}

// callersGet is the code that the callers of a function get by a fingerprint, if that is there still.
func (w *world) callersGet(t target, found fingerprint) string {
	if found.alias == "" {
		return found.code
	}
	f, _ := w.cloud.Function(t.account, t.region, t.name)
	version, _ := f.Version(found.alias)
	return version.CodeSha256
}

func (w *world) app(name string) (appSpec, bool) {
	i := slices.IndexFunc(w.s.apps, func(a appSpec) bool { return a.Name == name })
	if i < 0 {
		return appSpec{}, false
	}
	return w.s.apps[i], true
}

// differsFrom says what the callers of a function get that they should not.
func (w *world) differsFrom(a appSpec, t target, wanted intent) string {
	f, ok := w.cloud.Function(t.account, t.region, t.name)
	if !ok {
		return "is not there"
	}
	version := f.Latest
	if name := a.alias(t.name); name != "" {
		alias := f.Aliases[name]
		if len(alias.Weights) > 0 {
			return fmt.Sprintf("has weights %v", alias.Weights)
		}
		if version, ok = f.Version(alias.Version); !ok {
			return fmt.Sprintf("has its alias at %q", alias.Version)
		}
	}
	if source, _ := version.Code.ReadFile("app.py"); wanted.code != "" && !strings.Contains(string(source), wanted.code) {
		return fmt.Sprintf("runs other code than %q in version %s", wanted.code, version.Version)
	}
	if wanted.digest != "" && version.CodeSha256 != wanted.digest {
		return fmt.Sprintf("runs code %s in version %s, want %s", version.CodeSha256, version.Version, wanted.digest)
	}
	if a.variables && strings.HasSuffix(t.name, "-worker") && version.Environment["MODE"] != "new" {
		return "lacks its variable"
	}
	return w.wrongLayers(a, t, version, wanted)
}

func (w *world) wrongLayers(a appSpec, t target, version sim.VersionState, wanted intent) string {
	if wanted.deps == "" {
		return ""
	}
	if len(version.Layers) != 1 {
		return fmt.Sprintf("uses layers %v in version %s, want 1", version.Layers, version.Version)
	}
	for _, l := range w.cloud.LayerVersions(toolsAccount, t.region, a.Name+"-deps") {
		if l.ARN != version.Layers[0] {
			continue
		}
		content, err := l.Content.ReadFile("python/deps/version.txt")
		if err != nil || string(content) != wanted.deps {
			return fmt.Sprintf("uses layer %s with %q, want %q", l.ARN, content, wanted.deps)
		}
		return ""
	}
	return "uses a layer that is not there"
}

// judgeEnd looks at the world at the moment in which a release's end is recorded.
func (w *world) judgeEnd(rel release.Release) {
	if rel.State == release.Succeeded {
		for _, p := range rel.Environments {
			if p.State != release.EnvironmentDone {
				w.fail("release %s succeeded, but is %s in %s", rel.ID, p.State, p.Name)
			}
		}
		if rel.Halted != nil {
			w.fail("release %s succeeded although it was halted", rel.ID)
		}
		return
	}
	if rel.Error == "" {
		w.fail("release %s ended as %s without a reason", rel.ID, rel.State)
	}
	if rel.State == release.Superseded {
		w.judgeSuperseded(rel)
	}
	if everywhere(rel) {
		w.fail("release %s ended as %s, but every environment is done", rel.ID, rel.State)
	}
	if strings.HasPrefix(rel.Error, "the lease of the environment did not become free") && !w.everDirty(rel) {
		w.fail("release %s waited in vain for a lease that nobody kept", rel.ID)
	}
	if rel.State == release.FailedDirty && rel.Remedy == "" {
		w.fail("release %s ended dirty without a remedy", rel.ID)
	}
	for _, p := range rel.Environments {
		if p.State == release.EnvironmentOpen {
			w.fail("release %s ended as %s with %s open", rel.ID, rel.State, p.Name)
		}
		if p.State != release.EnvironmentDone {
			w.judgeRestored(rel, p)
		}
	}
}

// everywhere tells whether every environment of a release is done.
func everywhere(rel release.Release) bool {
	pending := func(p release.Progress) bool { return p.State != release.EnvironmentDone }
	return len(rel.Environments) > 0 && !slices.ContainsFunc(rel.Environments, pending)
}

// everDirty tells whether a release ended dirty in the environment that another waits for: its lease
// may be kept for long.
func (w *world) everDirty(waiting release.Release) bool {
	next := slices.IndexFunc(waiting.Environments, func(p release.Progress) bool { return p.State != release.EnvironmentDone })
	for _, rel := range w.records {
		if next < 0 || rel.App != waiting.App || rel.State != release.FailedDirty {
			continue
		}
		if p, ok := rel.Environment(waiting.Environments[next].Name); ok && p.State == release.EnvironmentDirty {
			return true
		}
	}
	return false
}

// judgeSuperseded looks at who took the place of a release: never an older
// version of the same, unless it was forced.
func (w *world) judgeSuperseded(rel release.Release) {
	named := false
	for id, by := range w.records {
		if id == rel.ID || !strings.Contains(rel.Error, strconv.Quote(id)) {
			continue
		}
		named = true
		otherDrop := rel.Request.Artifact != "" && by.Request.Artifact != "" && rel.Request.Artifact != by.Request.Artifact
		if by.OlderThan(rel.Version) && !otherDrop {
			w.fail("release %s was superseded by %s of the older version %s", rel.ID, id, by.Version)
		}
	}
	if !named {
		w.fail("release %s was superseded, but does not say by which: %q", rel.ID, rel.Error)
	}
}

// judgeRestored compares the functions that a release wrote in an environment
// with what they were.
func (w *world) judgeRestored(rel release.Release, p release.Progress) {
	dirty := p.State == release.EnvironmentDirty
	excused := w.undoBroken[rel.ID] > 0 || w.metOthers(rel, p.Name)
	for key, base := range w.baselines {
		if key.release != rel.ID || w.environmentOf(key.account) != p.Name {
			continue
		}
		now := w.look(key.target)
		if now.failed == "" {
			base.found.failed = "" // that the next update repairs it is no harm
		}
		for _, one := range w.writes[key.target][base.writes:] {
			if isByHand(one) {
				base.found = base.found.with(now, one.alias)
			}
		}
		excused = excused || now != base.found || w.settleFailures[key.target] > base.failures
		if now != base.found && !dirty {
			w.fail("release %s ended as %s (%s in %s), but %s is not as it was: %s", rel.ID, rel.State, p.State, p.Name, key.name, difference(base.found, now))
		}
	}
	if dirty && !excused {
		w.fail("release %s ended dirty in %s, but all is as it was, and nothing broke in its rollback: %s", rel.ID, p.Name, rel.Remedy)
	}
}

// metOthers tells whether somebody else wrote one of a release's functions in an
// environment, before the release's own first write or without one as well: it
// does not know then what it may take back.
func (w *world) metOthers(rel release.Release, environment string) bool {
	for t := range w.writes {
		if t.app() == rel.App && w.environmentOf(t.account) == environment && w.changedByOthers(t, w.writesBefore(t, rel.Created), rel.ID) {
			return true
		}
	}
	return false
}

func difference(before, now fingerprint) string {
	return fmt.Sprintf("was %+v, is %+v", before, now)
}

// judge looks at the world when everything has ended.
func (w *world) judge() {
	for _, id := range w.active() {
		rel := w.records[id]
		w.fail("release %s has not ended: %s since %s, execution %q", id, rel.State, rel.Updated.Sub(began), rel.Execution)
	}
	for _, name := range w.running() {
		w.fail("execution %s has not ended", name)
	}
	w.judgeLate()
	dirty := w.judgeLeases()
	w.judgeLive(dirty)
	w.judgeEvents()
	w.judgeLost()
	w.judgeAnnounced()
	w.judgeVersions()
	w.judgeRecorded()
	recorded := w.recordedShares()
	for _, a := range w.s.apps {
		for _, region := range []string{home, europe} {
			w.judgeLayers(a, region, recorded)
		}
	}
	for _, bucket := range []string{stateBucket, europeBucket} {
		for _, o := range w.cloud.Objects(bucket) {
			w.searchSecrets("object "+o.Key, o.Body)
		}
		if n := w.cloud.PendingUploads(bucket); n > 0 {
			w.fail("%d uploads of bucket %s are neither completed nor aborted", n, bucket)
		}
	}
}

// judgeLeases finds the dirty environments; nothing else may be held.
func (w *world) judgeLeases() map[string]bool {
	dirty := map[string]bool{}
	items, err := w.table.Query(context.Background(), "lease", "", ledger.Page{})
	if err != nil {
		w.fail("leases: %v", err)
	}
	for _, item := range items {
		lease := w.lease(item.Sort)
		holder := w.records[lease.Holder.Release]
		switch {
		case lease.Dirty != "" && holder.State == release.FailedDirty:
			dirty[lease.Name] = true
		case lease.Holder != (ledger.Holder{}):
			w.fail("lease %s is still held by %+v, which is %s (dirty %q)", lease.Name, lease.Holder, holder.State, lease.Dirty)
		}
		for _, waiter := range lease.Waiters {
			w.fail("%s still waits for lease %s", waiter.Release, lease.Name)
		}
	}
	return dirty
}

// judgeLive compares what the ledger says is live with what is.
func (w *world) judgeLive(dirty map[string]bool) {
	live, err := ledger.New(w.table, w.clock).Live(context.Background(), "", "")
	if err != nil {
		w.fail("live: %v", err)
	}
	for _, l := range live {
		t := target{l.Account, l.Region, l.Name}
		if l.Kind != ledger.LiveFunction || w.leftDirty(l) {
			continue
		}
		after := w.writes[t][w.writesBefore(t, w.records[l.Release].Created):]
		if slices.ContainsFunc(after, func(one write) bool { return isByHand(one) && one.alias }) {
			continue
		}
		if a, _ := w.app(l.App); a.alias(l.Name) != "" {
			if now := w.look(t); now.alias != l.Detail {
				w.fail("%s of %s is recorded at version %q of release %s since %s, but is at %q", l.Name, l.Environment, l.Detail, l.Release, l.Since.Sub(began), now.alias)
			}
		}
	}
	for _, site := range w.s.sites() {
		for _, a := range w.s.apps {
			for _, name := range a.functions() {
				w.judgeListed(a, site, name, live)
				f, _ := w.cloud.Function(site.Account, site.Region, name)
				if weights := f.Aliases["live"].Weights; len(weights) > 0 && !dirty["env/"+a.Name+"/"+site.Environment] {
					w.fail("%s in %s keeps weights %v", name, site, weights)
				}
			}
		}
	}
}

// judgeListed checks that a function is listed as brought by the last release that an environment kept
// and that brings all of an app, or by one that brought a part of it since.
func (w *world) judgeListed(a appSpec, site release.Site, name string, live []ledger.Live) {
	kept := w.doneIn[a.Name+" "+site.Environment]
	for len(kept) > 0 && slices.ContainsFunc(kept[1:], func(rel release.Release) bool { return rel.Request.Dropped() == "" }) {
		kept = kept[1:]
	}
	if len(kept) == 0 || kept[0].Request.Dropped() != "" {
		return
	}
	if !slices.ContainsFunc(live, func(l ledger.Live) bool {
		return l.Kind == ledger.LiveFunction && l.Name == name && l.Environment == site.Environment && l.Account == site.Account && l.Region == site.Region &&
			slices.ContainsFunc(kept, func(rel release.Release) bool { return rel.ID == l.Release })
	}) {
		w.fail("%s in %s was brought by %s, and what is live does not say so", name, site, kept[0].ID)
	}
}

// leftDirty tells whether a release ended dirty in an environment since something
// is live there. Who clears the lease says what is in order, not what is live.
func (w *world) leftDirty(l ledger.Live) bool {
	for _, rel := range w.records {
		p, ok := rel.Environment(l.Environment)
		if ok && rel.App == l.App && p.State == release.EnvironmentDirty && rel.Ended.After(l.Since) {
			return true
		}
	}
	return false
}

// judgeRecorded compares the layer versions that releases have recorded with
// those that are there: each is there, and no other, unless something broke
// between a publication and its record.
func (w *world) judgeRecorded() {
	recorded := map[string]bool{}
	for id := range w.records {
		results, err := ledger.New(w.table, w.clock).Results(context.Background(), id)
		if err != nil {
			w.fail("results of %s: %v", id, err)
		}
		for _, result := range results {
			if result.LayerVersion != "" {
				recorded[result.LayerVersion] = true
			}
		}
	}
	there := map[string]bool{}
	for _, a := range w.s.apps {
		for _, region := range []string{home, europe} {
			for _, v := range w.cloud.LayerVersions(toolsAccount, region, a.Name+"-deps") {
				there[v.ARN] = true
				interrupted := func(rel release.Release) bool { return w.broken[rel.ID]+w.hurt[rel.ID] > 0 || rel.Halted != nil }
				if !recorded[v.ARN] && !slices.ContainsFunc(w.bring(a, v), interrupted) {
					w.fail("layer %s was published, but no release has recorded it", v.ARN)
				}
			}
		}
	}
	for arn := range recorded {
		if !there[arn] && !w.pruned[arn] {
			w.fail("layer %s is recorded, but is not there", arn)
		}
	}
}

// judgeLayers looks for content that was published twice, and at the grants.
func (w *world) judgeLayers(a appSpec, region string, recorded shares) {
	contents := map[string]string{}
	for _, v := range w.cloud.LayerVersions(toolsAccount, region, a.Name+"-deps") {
		files, err := v.Content.Files()
		content := fmt.Sprintf("%q", files)
		if err != nil {
			w.fail("layer %s: %v", v.ARN, err)
		}
		if other := contents[content]; other != "" && !w.retired[other] && !w.publishedTwice(a, v) && !w.cutOff(a, v, other) {
			w.fail("layer %s has the content %s of %s", v.ARN, content, other)
		}
		contents[content] = v.ARN
		w.judgeGrants(v, recorded)
	}
}

// bring are the releases of an app that bring the content of a layer version.
func (w *world) bring(a appSpec, v sim.LayerVersionState) []release.Release {
	deps, err := v.Content.ReadFile("python/deps/version.txt")
	if err != nil {
		w.fail("layer %s: %v", v.ARN, err)
	}
	var rels []release.Release
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if rel := w.records[id]; rel.App == a.Name && w.intents[rel.App+" "+rel.Version].deps == string(deps) {
			rels = append(rels, rel)
		}
	}
	return rels
}

// publishedTwice tells whether a publication was delivered twice for one of the releases that
// bring a version's content: the layer's lock is the release's and does not part the two.
func (w *world) publishedTwice(a appSpec, v sim.LayerVersionState) bool {
	return slices.ContainsFunc(w.bring(a, v), func(rel release.Release) bool { return w.doubled[rel.ID] })
}

// cutOff tells whether the publication of another version with the same content was cut off before
// anybody recorded it, as when its execution is stopped: one more can hide it then, and one more is
// published than needed.
func (w *world) cutOff(a appSpec, v sim.LayerVersionState, other string) bool {
	for id, rel := range w.records {
		if rel.App != a.Name {
			continue
		}
		results, err := ledger.New(w.table, w.clock).Results(context.Background(), id)
		if err != nil {
			w.fail("results of %s: %v", id, err)
		}
		for _, result := range results {
			if result.LayerVersion == other {
				return false
			}
		}
	}
	return slices.ContainsFunc(w.bring(a, v), func(rel release.Release) bool { return w.hurt[rel.ID] > 0 })
}

// judgeEvents checks that each event led to one release or one reasoned answer.
func (w *world) judgeEvents() {
	for _, e := range w.events {
		if len(e.answers) == 0 {
			w.fail("event %s got no answer", e.what)
			continue
		}
		if led := ledTo(e); len(led) > 1 {
			w.fail("event %s led to the releases %v, want one", e.what, led)
		}
		for _, answer := range e.answers {
			w.judgeAnswer(e, answer)
		}
	}
	first := map[string]string{}
	for id, rel := range w.records {
		key := fmt.Sprint(rel.App, rel.Source, rel.Attempt, rel.Request.Environment, rel.Request.Restores, rel.Request.DryRun)
		if other := first[key]; other != "" {
			w.fail("releases %s and %s are of the same source and attempt", id, other)
		}
		first[key] = id
	}
}

// ledTo are the releases that the answers to an event name.
func ledTo(e *event) []string {
	var ids []string
	for _, answer := range e.answers {
		ids = append(ids, answer.Releases...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (w *world) judgeAnswer(e *event, answer release.Answer) {
	if answer.Reason == "" || answer.Code == "" {
		w.fail("event %s: answer without a reason: %+v", e.what, answer)
	}
	switch answer.Status {
	case release.AnswerStarted, release.AnswerDuplicate:
		if len(answer.Releases) != 1 {
			w.fail("event %s: the answer names %v, want one release", e.what, answer.Releases)
		}
		for _, id := range answer.Releases {
			if _, ok := w.records[id]; !ok {
				w.fail("event %s was answered with release %s, of which there is no record", e.what, id)
			}
		}
	case release.AnswerBusy:
		w.fail("event %s was recorded with the answer %+v", e.what, answer)
	}
}
