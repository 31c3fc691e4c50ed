package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// snapshotFresh is how long a snapshot stands for the world, if no other
// release of the app held the environment when it was taken or has held it
// since, nor let go of it in the minute before. An unchanged function then costs two reads in a whole release.
// Whatever somebody changes by hand in between is seen by the steps themselves,
// which look before they write; so is what a release changed and rolled back.
const snapshotFresh = 2 * time.Minute

// FunctionReader looks at functions.
type FunctionReader interface {
	Snapshot(ctx context.Context, t release.Target, wants []release.Want) (map[string]release.FunctionState, error)
}

// LayerReader looks at published layer versions.
type LayerReader interface {
	Snapshot(ctx context.Context, t release.Target, looks []plan.LayerLook) (map[string]release.LayerState, error)
}

// Snapshots looks at one site and stores what it found.
type Snapshots struct {
	*Core
	Functions FunctionReader
	Layers    LayerReader
}

// taken is the ledger's note of a site's newest snapshot.
type taken struct {
	Pointer release.Pointer `json:"pointer"`
	At      time.Time       `json:"at"`
	// Busy is true if another release held the environment: what was seen may be
	// half of a change.
	Busy bool `json:"busy,omitempty"`
	// Term is that of the lease in which the release saw it, or would have had it next; 0 if it
	// changed meanwhile, if it is not known, and in the tools account, which has no lease.
	Term int64 `json:"term,omitempty"`
	// Part is true if a turn ended before everything was seen.
	Part bool `json:"part,omitempty"`
}

func snapshotKey(site release.Site) string { return "snapshot/" + site.String() }

// Do takes the snapshot of in.Site.
func (s *Snapshots) Do(ctx context.Context, in Input) (any, error) {
	scope, err := s.load(ctx, in)
	if err != nil {
		return nil, refused(err)
	}
	fresh, err := s.fresh(ctx, in, scope)
	if err != nil || fresh {
		return Turn{Status: turnDone}, err
	}
	before, busyBefore, early, err := s.term(ctx, scope, in.Site)
	if err != nil {
		return nil, err
	}
	noted, last, snapshot, err := s.resume(ctx, in, before)
	if err != nil {
		return nil, err
	}
	// In the task, which waits again if it dies meanwhile; what is gone on with has waited.
	if early && (!last.Part || last.Busy) && s.Clock.Sleep(ctx, shown) != nil {
		return Turn{Status: turnWait, Seconds: 1}, nil
	}
	whole, err := s.take(ctx, in, scope, &snapshot)
	switch {
	case err != nil && release.KindOf(err) == release.Transient:
		return nil, err
	case err != nil:
		return s.failTurn(ctx, in, in.Site.String(), err)
	}
	after, busyAfter, _, err := s.term(ctx, scope, in.Site)
	if err != nil {
		return nil, err
	}
	if last.Term = before; before != after {
		last.Term = 0
	}
	last.Busy, last.Part = last.Busy || busyBefore || busyAfter, !whole
	stored, err := s.store(ctx, in, snapshot, noted, last)
	if err != nil {
		return nil, err
	}
	if !stored || !whole { // or another turn, which looked later, perhaps under the lease, has stored what it saw
		return Turn{Status: turnWait, Seconds: 1}, nil
	}
	return Turn{Status: turnDone}, nil
}

// resume goes on with a snapshot that an earlier turn of the same term did not come to the end
// of, or begins one. It also answers what was noted, if anything was.
func (s *Snapshots) resume(ctx context.Context, in Input, term int64) (noted *taken, last taken, snapshot release.Snapshot, err error) {
	snapshot = release.Snapshot{Site: in.Site, Taken: s.Clock.Now(), Functions: map[string]release.FunctionState{}}
	found, err := s.Ledger.ReadNote(ctx, in.Release, snapshotKey(in.Site), &last)
	if err != nil || !found {
		return nil, taken{}, snapshot, err
	}
	old := last
	if !last.Part || last.Term != term {
		return &old, taken{}, snapshot, nil
	}
	err = s.Documents.Get(ctx, last.Pointer, &snapshot)
	return &old, last, snapshot, err
}

// shown is how long after a write every read shows it.
const shown = release.ReadLag + time.Second

// term is that of the site's lease, see [ledger.Lease.TermOf]. busy tells whether another release has
// it, or had it so lately that a look may not show its last write; early, that the release has it so
// soon after another. Clocks may differ by less than the margin of a lease, so that a release waits by
// its own.
func (s *Snapshots) term(ctx context.Context, scope *scope, site release.Site) (term int64, busy, early bool, err error) {
	if site.InTools() {
		return 0, false, false, nil
	}
	lease, err := s.Ledger.Lease(ctx, leaseName(scope.app.Name, site.Environment))
	if err != nil {
		return 0, false, false, err
	}
	term, ok := lease.TermOf(scope.release.ID)
	held := lease.Holder.Release == scope.release.ID
	early = s.Clock.Now().Sub(lease.Left).Abs() < shown+leaseMargin
	return term, !ok || early && !held, early && held, nil
}

// fresh tells whether the release's earlier snapshot still stands. What is live and since when does
// not tell: a release that was rolled back, or left dirty, records nothing of it, and each task
// has a clock of its own.
func (s *Snapshots) fresh(ctx context.Context, in Input, scope *scope) (bool, error) {
	var last taken
	found, err := s.Ledger.ReadNote(ctx, in.Release, snapshotKey(in.Site), &last)
	if err != nil || !found || last.Busy || last.Term == 0 || last.Part || s.Clock.Now().Sub(last.At) > snapshotFresh {
		return false, err
	}
	term, busy, _, err := s.term(ctx, scope, in.Site)
	return term == last.Term && !busy, err
}

// functionsAtOnce is how many functions are looked at before the time of the turn
// is looked at. At the budget of a site they take some seconds.
const functionsAtOnce = 20

// take looks at what was not seen yet; whole is false if the time of the turn was up before.
func (s *Snapshots) take(ctx context.Context, in Input, scope *scope, snapshot *release.Snapshot) (whole bool, err error) {
	deadline := s.Clock.Now().Add(turnBudget)
	target, err := scope.target(in.Site)
	if err != nil {
		return false, err
	}
	looks, err := s.looks(ctx, in, scope)
	if err != nil {
		return false, err
	}
	if in.Site.InTools() {
		snapshot.Layers, err = s.Layers.Snapshot(ctx, target, looks.Layers)
		return true, err
	}
	// The longest session policy is that of the rollback: better refused now than then.
	if _, err := awsapi.SessionPolicy(target, release.PhaseRollBack); err != nil {
		return false, err
	}
	wants := slices.DeleteFunc(looks.Functions, func(want release.Want) bool {
		_, seen := snapshot.Functions[want.Name]
		return seen
	})
	for chunk := range slices.Chunk(wants, functionsAtOnce) {
		if !s.Clock.Now().Before(deadline) {
			return false, nil
		}
		states, err := s.Functions.Snapshot(ctx, target, chunk)
		if err != nil {
			return false, err
		}
		maps.Copy(snapshot.Functions, states)
	}
	return true, nil
}

// looks are what there is to look at in the site. Which of the release's layers
// are published already is known from the ledger: then an unchanged function is
// recognised without reading its $LATEST.
func (s *Snapshots) looks(ctx context.Context, in Input, scope *scope) (plan.Looks, error) {
	artifacts, err := s.Ledger.Artifacts(ctx, in.Release)
	if err != nil {
		return plan.Looks{}, err
	}
	input := scope.planInput(artifacts, s.Clock.Now())
	published := map[string]string{}
	tools := release.Site{Environment: release.ToolsEnvironment, Account: scope.registry.Tools.Account, Region: in.Site.Region}
	layers, err := plan.Wants(input, nil, tools)
	if err != nil {
		return layers, err
	}
	for _, look := range layers.Layers {
		arn, known, err := s.Ledger.LayerVersion(ctx, look.Name, in.Site.Region, look.Digest)
		if err != nil {
			return layers, err
		}
		if known {
			published[release.LayerKey(in.Site.Region, release.LayerRef(look.Name, look.Digest))] = arn
		}
	}
	looks, err := plan.Wants(input, published, in.Site)
	for i := range looks.Functions {
		looks.Functions[i].Whole = scope.release.Request.Restores != ""
	}
	return looks, err
}

// store stores a snapshot, unless another turn has stored one since this one began.
func (s *Snapshots) store(ctx context.Context, in Input, snapshot release.Snapshot, noted *taken, t taken) (stored bool, err error) {
	key := fmt.Sprintf("releases/%s/snapshots/%s.json", in.Release, strings.ReplaceAll(in.Site.String(), "/", "-"))
	if t.Pointer, err = s.Documents.Put(ctx, key, snapshot); err != nil {
		return false, err
	}
	t.At = snapshot.Taken
	return ledger.NoteAfter(ctx, s.Ledger, in.Release, snapshotKey(in.Site), noted, t)
}

// planInput is what a plan is made from, without the snapshots.
func (s *scope) planInput(artifacts map[string]release.Artifact, now time.Time) plan.Input {
	return plan.Input{
		Release: s.release, Registry: s.registry, App: s.app, Manifest: s.manifest,
		Artifacts: artifacts, Now: now,
	}
}

// snapshots reads the newest snapshots of sites.
func (c *Core) snapshots(ctx context.Context, id string, sites []release.Site) (map[release.Site]release.Snapshot, error) {
	found := make([]release.Snapshot, len(sites))
	errs := make([]error, len(sites))
	clock.Each(c.Clock, len(sites), readConcurrency, func(i int) {
		found[i], errs[i] = c.snapshot(ctx, id, sites[i])
	})
	snapshots := make(map[release.Site]release.Snapshot, len(sites))
	for i, site := range sites {
		if errs[i] != nil {
			return nil, errs[i]
		}
		snapshots[site] = found[i]
	}
	return snapshots, nil
}

// readConcurrency is how many documents are read at once.
const readConcurrency = 8

func (c *Core) snapshot(ctx context.Context, id string, site release.Site) (release.Snapshot, error) {
	var last taken
	var snapshot release.Snapshot
	found, err := c.Ledger.ReadNote(ctx, id, snapshotKey(site), &last)
	if err != nil {
		return snapshot, err
	}
	if !found {
		return snapshot, release.Errorf(release.Internal, "release %q has no snapshot of %s", id, site)
	}
	if err := c.Documents.Get(ctx, last.Pointer, &snapshot); err != nil || !last.Busy {
		return snapshot, err
	}
	return settled(snapshot), nil
}

// settled is what a snapshot will be, as far as one can tell, when the release
// has ended that was under way: it moves its aliases to one version or the other.
// A plan under the lease is made from what is there then.
func settled(snapshot release.Snapshot) release.Snapshot {
	for _, state := range snapshot.Functions {
		if state.Alias != nil {
			state.Alias.Weights = nil
		}
	}
	return snapshot
}
