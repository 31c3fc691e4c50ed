package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// watch is what is seen while the world runs.
type watch struct {
	violations []string
	records    map[string]release.Release
	baselines  map[touched]baseline
	writes     map[target][]write
	turns      map[string][]string // by app and environment, the releases that wrote there
	versions   map[string]int      // by app, how many there are
	intents    map[string]intent   // by app and version
	broken     map[string]int      // faults by release
	undoBroken map[string]int      // of them, in what rolls back
	doubled    map[string]bool     // releases of which a publication was delivered twice
	events     []*event
	sending    int // events that have no answer yet
	ends       map[release.State]int
	endedAt    map[string]time.Time // by release
	takenOver  map[string]time.Time // by release, when another execution came to act for it
	hurt       map[string]int       // by release, tasks that died and executions that were stopped
	announced  map[string][]release.State
	doneIn     map[string][]release.Release // by app and environment, in order
	left       map[touched]string           // the code that callers got when a release was done
	pruned     map[string]bool              // layer versions
	retired    map[string]bool              // layer versions that a pruning is about to delete
	freezes    []freeze
	lost       []lostEvent
	late       []lateWrite
	fired      map[string][]string // violations by what they say
	// seen is when a release last read an object, foreign when somebody else last wrote it.
	seen    map[string]int
	foreign map[object]int
	moments int
}

func newWatch() watch {
	return watch{
		records: map[string]release.Release{}, baselines: map[touched]baseline{}, writes: map[target][]write{}, turns: map[string][]string{},
		versions: map[string]int{}, intents: map[string]intent{}, broken: map[string]int{}, undoBroken: map[string]int{}, doubled: map[string]bool{}, ends: map[release.State]int{},
		endedAt: map[string]time.Time{}, takenOver: map[string]time.Time{}, hurt: map[string]int{}, announced: map[string][]release.State{}, doneIn: map[string][]release.Release{}, left: map[touched]string{}, pruned: map[string]bool{}, retired: map[string]bool{}, fired: map[string][]string{},
		seen: map[string]int{}, foreign: map[object]int{},
	}
}

// target is a function of an account and region.
type target struct{ account, region, name string }

func (t target) app() string { return t.name[:strings.LastIndex(t.name, "-")] }

// touched is a function that a release has written.
type touched struct {
	release string
	target
}

// write is a write to a function, or to its alias; by is the release, empty for somebody else.
type write struct {
	by    string
	at    time.Time
	alias bool
}

func isByHand(one write) bool { return one.by == "" }

// baseline is a function right before a release first wrote it.
type baseline struct {
	found            fingerprint
	writes, failures int // of the function so far
}

// intent is what a version of an app is meant to bring; what is empty is left as it is. A digest is
// that of code that somebody else brought.
type intent struct{ code, deps, digest string }

// fingerprint is what a function is to those who use it.
type fingerprint struct {
	code, layers, handler, runtime, variables, failed string
	alias, weights                                    string
}

// with is a fingerprint with what another has of $LATEST, or of the alias.
func (f fingerprint) with(other fingerprint, alias bool) fingerprint {
	if alias {
		f.alias, f.weights = other.alias, other.weights
		return f
	}
	other.alias, other.weights = f.alias, f.weights
	return other
}

// look takes the fingerprint of a function.
func (w *world) look(t target) fingerprint {
	f, ok := w.cloud.Function(t.account, t.region, t.name)
	if !ok {
		return fingerprint{}
	}
	print := fingerprint{
		code: f.Latest.CodeSha256, layers: strings.Join(f.Latest.Layers, " "), variables: fmt.Sprint(f.Latest.Environment),
		handler: *f.Latest.Configuration.Handler, runtime: string(f.Latest.Configuration.Runtime),
	}
	if f.Latest.Configuration.LastUpdateStatus == "Failed" {
		print.failed = "its last update failed"
	}
	if alias, ok := f.Aliases["live"]; ok {
		print.alias, print.weights = alias.Version, fmt.Sprint(alias.Weights)
	}
	return print
}

// broke counts a fault that a caller suffers.
func (w *world) broke(c *caller) {
	w.broken[c.in.Release]++
	if c.what == "RollBack" || c.in.Do == "take_over" || c.in.Do == "fail" {
		w.undoBroken[c.in.Release]++
	}
}

func isWrite(call sim.Call) bool {
	if call.Service != "lambda" || call.Action == "Invoke" {
		return false
	}
	return !strings.HasPrefix(call.Action, "Get") && !strings.HasPrefix(call.Action, "List")
}

// functionOf is the function that a call is about.
func functionOf(call sim.Call) (target, bool) {
	parts := strings.Split(call.Resource, ":")
	if len(parts) < 7 || parts[5] != "function" {
		return target{}, false
	}
	return target{parts[4], parts[3], parts[6]}, true
}

// byHand notes what somebody else has written.
func (w *world) byHand(o object) {
	w.writes[o.target] = append(w.writes[o.target], write{"", w.clock.Now(), o.alias})
	w.foreign[o] = w.now()
}

// watchBegin judges a write when it is made: right after its guard.
func (w *world) watchBegin(c *caller, call sim.Call) {
	if !isWrite(call) {
		return
	}
	rel := w.records[c.in.Release]
	w.log.add(c.String(), "%s %s for %s", call.Action, call.Resource, rel.ID)
	if deletes(call) {
		w.watchPrune(c, call, rel)
		return
	}
	if rel.State.Ended() || rel.ID == "" {
		w.fail("%s calls %s %s for release %q, which is %s", c, call.Action, call.Resource, rel.ID, rel.State)
	}
	if rel.Execution != c.in.Execution && !w.guarded(c, rel.ID) {
		w.fail("%s calls %s %s for execution %q, but %q acts for the release", c, call.Action, call.Resource, c.in.Execution, rel.Execution)
	}
	name, ok := w.leaseOf(c, call)
	if !ok {
		return
	}
	lease := w.lease(name)
	if lease.Holder.Release != c.in.Release || !w.clock.Now().Before(lease.Expires) {
		w.fail("%s calls %s %s without the lease %s: held by %+v until %s", c, call.Action, call.Resource, name, lease.Holder, lease.Expires.Format(time.TimeOnly))
	}
}

// guarded tells whether a caller that was replaced had looked right before its
// write, when it was not yet: then the one that took over, which waits until no task can be
// alive, undoes what it writes. After the record, the guard reads the lease.
func (w *world) guarded(c *caller, id string) bool {
	const atOnce = 50 * time.Millisecond // unless the table is slow
	return slices.ContainsFunc(c.sawRecord, func(at time.Time) bool {
		return !at.After(w.takenOver[id]) && w.clock.Now().Sub(at) < slowest+atOnce
	})
}

// leaseOf is the lease that a write needs.
func (w *world) leaseOf(c *caller, call sim.Call) (string, bool) {
	if t, ok := functionOf(call); ok {
		return "env/" + t.app() + "/" + w.environmentOf(t.account), true
	}
	if call.Action != "PublishLayerVersion" || w.doubled[c.in.Release] { // of two deliveries one may unlock the other's
		return "", false
	}
	return "layer/" + call.Resource[strings.LastIndex(call.Resource, ":")+1:] + "/" + call.Region, true
}

func (w *world) environmentOf(account string) string {
	for _, env := range w.s.environments {
		if env.Account == account {
			return env.Name
		}
	}
	return ""
}

// lease reads a lease as it is stored.
func (w *world) lease(name string) ledger.Lease {
	var lease ledger.Lease
	item, err := w.table.Get(context.Background(), ledger.Key{Partition: "lease", Sort: name})
	if err == nil {
		err = json.Unmarshal(item.Body, &lease)
	}
	if err != nil && release.KindOf(err) != release.NotFound {
		w.fail("lease %s cannot be read: %v", name, err)
	}
	return lease
}

// watchPerform notes a write at the moment it takes effect.
func (w *world) watchPerform(c *caller, call sim.Call) {
	w.watchCollisions(c, call)
	if call.Action == "DeleteLayerVersion" {
		w.pruned[call.Resource] = true
	}
	t, ok := functionOf(call)
	if !ok || !isWrite(call) || deletes(call) {
		return
	}
	name, _ := w.leaseOf(c, call)
	held := w.lease(name)
	if rel := w.records[c.in.Release]; held.Holder.Release != rel.ID || rel.State.Ended() && held.Dirty == "" {
		w.log.add(c.String(), "LATE: %s reaches %s when its lease is held by %q", call.Action, call.Resource, held.Holder.Release)
		w.late = append(w.late, lateWrite{c.String(), call.Action, t, w.look(t)})
		if strings.HasPrefix(call.Action, "Update") { // by its revision
			return
		}
	}
	w.watchTurns(c, name)
	key := touched{c.in.Release, t}
	if _, known := w.baselines[key]; !known {
		w.baselines[key] = baseline{w.look(t), len(w.writes[t]), w.settleFailures[t]}
	}
	w.writes[t] = append(w.writes[t], write{c.in.Release, w.clock.Now(), strings.HasSuffix(call.Action, "Alias")})
}

// lateWrite is a write that reached a function after its release had ended, or given the lease back.
type lateWrite struct {
	who, action string
	target
	found fingerprint
}

// judgeLate looks, before anything else happens, what became of a write that came late: by
// its revision, nothing.
func (w *world) judgeLate() {
	for _, l := range w.late {
		if now := w.look(l.target); now != l.found {
			w.fail("%s calls %s of %s too late, which %s", l.who, l.action, l.name, difference(l.found, now))
		}
	}
	w.late = nil
}

// watchTurns checks that one release after the other changes an app in an
// environment: whoever wrote there before another did has had its turn.
func (w *world) watchTurns(c *caller, environment string) {
	turns := w.turns[environment]
	switch i := slices.Index(turns, c.in.Release); {
	case i < 0:
		w.turns[environment] = append(turns, c.in.Release)
	case i < len(turns)-1:
		w.fail("%s changes %s for release %s after %s had begun to", c, environment, c.in.Release, turns[len(turns)-1])
	}
}

// changedByOthers tells whether somebody else than a release wrote a function
// since its n-th write.
func (w *world) changedByOthers(t target, n int, id string) bool {
	return slices.ContainsFunc(w.writes[t][n:], func(one write) bool { return one.by != id })
}

// writesBefore counts the writes of a function until a time, which somebody's
// clock told.
func (w *world) writesBefore(t target, at time.Time) int {
	n := 0
	at = at.Add(-w.s.skew)
	for n < len(w.writes[t]) && w.writes[t][n].at.Before(at) {
		n++
	}
	return n
}

// watchLayer notes which versions are about to be deleted: whoever wants their content publishes it anew.
func (w *world) watchLayer(item ledger.Item) {
	var doc struct {
		ARN     string          `json:"arn"`
		Retired json.RawMessage `json:"retired"`
	}
	if json.Unmarshal(item.Body, &doc) == nil && doc.Retired != nil {
		w.retired[doc.ARN] = true
	}
}

// watchPut looks at what is written to the table.
func (w *world) watchPut(c *caller, item ledger.Item) {
	w.searchSecrets("the document "+item.Key.String(), item.Body)
	if strings.HasPrefix(item.Partition, "layer/") {
		w.watchLayer(item)
	}
	if !strings.HasPrefix(item.Partition, "release/") || item.Sort != "record" {
		return
	}
	var rel release.Release
	if err := json.Unmarshal(item.Body, &rel); err != nil {
		w.fail("record %s: %v", item.Key, err)
		return
	}
	before := w.records[rel.ID]
	w.records[rel.ID] = rel
	if before.State.Ended() && before.ID != "" {
		if !reflect.DeepEqual(before, rel) {
			w.fail("the record of release %s changed after its end: %+v → %+v", rel.ID, before, rel)
		}
		return
	}
	if before.Execution != "" && before.Execution != rel.Execution {
		w.takenOver[rel.ID] = w.clock.Now()
	}
	w.log.add(c.String(), "record %s: %s by %s %s", rel.ID, rel.State, rel.Execution, progressOf(rel))
	for i, progress := range rel.Environments {
		was := release.EnvironmentPending
		if i < len(before.Environments) {
			was = before.Environments[i].State
		}
		if progress.State == release.EnvironmentOpen && was == release.EnvironmentPending {
			w.judgeFreeze(rel, progress.Name)
		}
		if progress.State == release.EnvironmentDone && was != release.EnvironmentDone {
			w.judgeDone(rel, progress.Name)
		}
	}
	if rel.State != before.State {
		w.draw("a release " + string(rel.State))
	}
	if rel.State.Ended() {
		w.ends[rel.State]++
		w.endedAt[rel.ID] = w.clock.Now()
		w.judgeEnd(rel)
	}
}

func progressOf(rel release.Release) string {
	var parts []string
	for _, p := range rel.Environments {
		parts = append(parts, p.Name+"="+string(p.State))
	}
	if rel.Error != "" {
		parts = append(parts, "error: "+rel.Error)
	}
	return strings.Join(parts, " ")
}

// watchRequest looks at what is sent to GitHub.
func (w *world) watchRequest(c *caller, req *http.Request) {
	if req.Body == nil || req.Method == http.MethodGet {
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		w.fail("%s: the body of %s cannot be read: %v", c, req.URL.Path, err)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	w.searchSecrets("the request to "+req.URL.Path, body)
	w.watchAfterEnd(c, req.Method+" "+req.URL.Path)
	if rel, about := w.records[c.in.Release]; about && rel.State.Ended() && c.in.Do != "end" && rel.Updated.Before(w.clock.Now().Add(-slowest-time.Minute)) {
		w.fail("%s tells GitHub about %s after its end (%s)", c, rel.ID, body)
	}
}

// searchSecrets looks for what must be nowhere.
func (w *world) searchSecrets(where string, text []byte) {
	for _, secret := range planted {
		if len(text) >= len(secret) && bytes.Contains(text, []byte(secret)) {
			w.fail("%s contains the secret %q: %.400s", where, secret, text)
		}
	}
}

// running are the names of the executions that have not ended.
func (w *world) running() []string {
	names, err := w.store.Unfinished(context.Background())
	if err != nil {
		w.fail("unfinished executions: %v", err)
	}
	return names
}

// active are the ids of the releases that have not ended.
func (w *world) active() []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if !w.records[id].State.Ended() {
			ids = append(ids, id)
		}
	}
	return ids
}
