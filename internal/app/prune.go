package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/artifact"
	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// FunctionPruner deletes versions of functions.
type FunctionPruner interface {
	Older(ctx context.Context, t release.Target, name string, keep int) ([]function.Version, error)
	DeleteVersion(ctx context.Context, t release.Target, name, version string) (kept string, err error)
}

// LayerPruner deletes versions of layers.
type LayerPruner interface {
	Older(ctx context.Context, t release.Target, name string, keep int) ([]string, error)
	Uses(ctx context.Context, t release.Target) (layer.Uses, error)
	SharedBeyond(ctx context.Context, t release.Target, arn string, accounts []string) (bool, error)
	DeleteVersion(ctx context.Context, t release.Target, arn string) error
}

// Pruning deletes what is older than the versions that the manifest keeps, when
// its release has succeeded. Whatever goes wrong with it is told in the log and
// in a note of the release, and changes nothing about the release's end: what is
// left is looked at again by the next release.
//
// Functions come first: what their old versions used may then be deleted, too.
// The archives that layers and functions were made from come last.
type Pruning struct {
	*Core
	Functions FunctionPruner
	Layers    LayerPruner
	// Remover deletes staged archives in a region.
	Remover func(region string) artifact.Remover
}

// pruneKey is where it is noted what was pruned after a release.
const pruneKey = "prune"

const (
	// pruneTries is how many turns may die at the same object.
	pruneTries = 3
	// maxPruneLines is how many deletions, and how many problems, are noted; the log has them all.
	maxPruneLines = 100
)

// pruned is the ledger's note of what was pruned after a release.
type pruned struct {
	// Next counts the objects that are settled, Turns the task's turns and Tries
	// those that died at the next object.
	Next  int `json:"next"`
	Turns int `json:"turns"`
	Tries int `json:"tries,omitempty"`
	// Deleted and Problems are for people.
	Deleted  []string `json:"deleted,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// prunable is a function at a site, a layer in a region, or what is staged in a region.
type prunable struct {
	kind prunableKind
	site release.Site
	// name and keep are those of the function or the layer.
	name string
	keep int
}

type prunableKind string

const (
	prunableFunction prunableKind = "function"
	prunableLayer    prunableKind = "layer"
	prunableStaged   prunableKind = "staged archives"
)

func (o prunable) String() string {
	if o.kind == prunableStaged {
		return fmt.Sprintf("%s in %s", o.kind, o.site.Region)
	}
	return fmt.Sprintf("%s %s in %s", o.kind, o.name, o.site)
}

// pruneTurn is one turn of pruning.
type pruneTurn struct {
	*Pruning
	scope    *scope
	note     pruned
	deadline time.Time
	uses     map[release.Site]layer.Uses
}

// Do works one turn.
func (p *Pruning) Do(ctx context.Context, in Input) (any, error) {
	rel, err := p.Ledger.Release(ctx, in.Release)
	if err != nil || !prunes(&rel, in.Execution) {
		return Turn{Status: turnDone}, err
	}
	scope := &scope{release: &rel}
	if scope.registry, scope.app, err = p.registry(ctx, &rel); err != nil {
		return nil, err
	}
	if err := p.Documents.Get(ctx, rel.Manifest, &scope.manifest); err != nil {
		return nil, err
	}
	objects := scope.prunables()
	if len(objects) == 0 {
		return Turn{Status: turnDone}, nil
	}
	turn := &pruneTurn{Pruning: p, scope: scope, deadline: p.Clock.Now().Add(turnBudget), uses: map[release.Site]layer.Uses{}}
	return turn.work(ctx, objects)
}

// prunes tells whether anything is pruned after a release: not after a dry run,
// and not by a person in a hurry who rolls back.
func prunes(rel *release.Release, execution string) bool {
	return rel.State == release.Succeeded && rel.Execution == execution && !rel.Request.DryRun && rel.Request.Restores == ""
}

// prunables are the functions and layers of which the manifest says how many
// versions to keep, and if there are any, the regions in which archives are staged.
func (s *scope) prunables() []prunable {
	var functions, layers, staged []prunable
	regions := map[string]bool{}
	for _, site := range plan.SnapshotSites(s.registry, s.app, s.manifest) {
		if !regions[site.Region] {
			regions[site.Region] = true
			tools := release.Site{Environment: release.ToolsEnvironment, Account: s.registry.Tools.Account, Region: site.Region}
			staged = append(staged, prunable{kind: prunableStaged, site: tools})
		}
		if site.InTools() {
			for _, spec := range s.manifest.Layers {
				if spec.Keep > 0 {
					layers = append(layers, prunable{prunableLayer, site, spec.Name, spec.Keep})
				}
			}
			continue
		}
		for _, spec := range s.manifest.Functions {
			if spec.Keep > 0 {
				functions = append(functions, prunable{prunableFunction, site, spec.Name, spec.Keep})
			}
		}
	}
	if len(functions)+len(layers) == 0 {
		return nil
	}
	return slices.Concat(functions, layers, staged)
}

// work settles objects until the time of the turn is up. That the turn began is
// noted first: one that dies at an object again and again leaves it to the next release.
func (t *pruneTurn) work(ctx context.Context, objects []prunable) (Turn, error) {
	id := t.scope.release.ID
	if _, err := t.Ledger.ReadNote(ctx, id, pruneKey, &t.note); err != nil {
		return Turn{}, err
	}
	if t.note.Tries >= pruneTries && t.note.Next < len(objects) {
		t.problem(ctx, objects[t.note.Next], release.Errorf(release.Transient, "it did not come to an end in %d turns", pruneTries))
		t.note.Next, t.note.Tries = t.note.Next+1, 0
	}
	if t.note.Turns >= plan.PruneTurns || t.note.Next >= len(objects) {
		return Turn{Status: turnDone}, t.Ledger.Note(ctx, id, pruneKey, t.note)
	}
	t.note.Turns++
	t.note.Tries++
	if err := t.Ledger.Note(ctx, id, pruneKey, t.note); err != nil {
		return Turn{}, err
	}
	for t.note.Next < len(objects) && t.Clock.Now().Before(t.deadline) {
		t.note.Next += t.settle(ctx, objects[t.note.Next:])
		t.note.Tries = 0
	}
	if t.note.Next < len(objects) && t.note.Turns < plan.PruneTurns {
		return Turn{Status: turnWait, Seconds: 1}, t.Ledger.Note(ctx, id, pruneKey, t.note)
	}
	return Turn{Status: turnDone}, t.Ledger.Note(ctx, id, pruneKey, t.note)
}

// settle prunes the first objects and says how many: a layer, what is staged in a
// region, or some functions of a site together, since what the ledger says has to
// be read after their aliases. It is none if the time of the turn was not enough.
func (t *pruneTurn) settle(ctx context.Context, objects []prunable) int {
	first := objects[0]
	settled, err := true, error(nil)
	switch first.kind {
	case prunableLayer:
		err = t.pruneLayer(ctx, first)
	case prunableStaged:
		settled, err = t.pruneStaged(ctx, first)
	default:
		n := 1
		for n < min(len(objects), functionsAtOnce) && objects[n].kind == prunableFunction && objects[n].site == first.site {
			n++
		}
		return t.pruneFunctions(ctx, objects[:n])
	}
	if err != nil {
		t.problem(ctx, first, err)
	}
	if !settled {
		return 0
	}
	return 1
}

// pruneFunctions prunes functions of a site and says how many are settled.
func (t *pruneTurn) pruneFunctions(ctx context.Context, objects []prunable) int {
	target, err := t.scope.target(objects[0].site)
	if err != nil {
		t.problem(ctx, objects[0], err)
		return len(objects)
	}
	older, found := make([][]function.Version, len(objects)), false
	for i, object := range objects {
		if older[i], err = t.Functions.Older(ctx, target, object.name, object.keep); err != nil {
			t.problem(ctx, object, err)
		}
		found = found || len(older[i]) > 0
	}
	if !found {
		return len(objects)
	}
	needs, err := t.needs(ctx, t.scope.release)
	if err != nil {
		t.problem(ctx, objects[0], err)
		return len(objects)
	}
	for i, object := range objects {
		if i > 0 && !t.Clock.Now().Before(t.deadline) {
			return i
		}
		t.pruneFunction(ctx, target, object, older[i], needs)
	}
	return len(objects)
}

// pruneFunction deletes those of the older versions that a release made and
// nobody needs.
func (t *pruneTurn) pruneFunction(ctx context.Context, target release.Target, object prunable, older []function.Version, needs *needs) {
	key := objectName(object.site, object.name)
	for _, version := range older {
		name := version.Name()
		if !needs.made[key][name] || needs.kept[key][name] || !needs.wrote(version.Description) {
			continue
		}
		kept, err := t.Functions.DeleteVersion(ctx, target, object.name, name)
		switch {
		case err != nil:
			t.problem(ctx, object, err)
			return
		case kept != "":
			t.Log.InfoContext(ctx, "an old version is kept", "release", t.scope.release.ID, "object", object.String(), "version", name, "reason", kept)
		default:
			t.deleted(ctx, object, name)
		}
	}
}

func (t *pruneTurn) deleted(ctx context.Context, object prunable, version string) {
	t.Log.InfoContext(ctx, "an old version was deleted", "release", t.scope.release.ID, "object", object.String(), "version", version)
	if len(t.note.Deleted) < maxPruneLines {
		t.note.Deleted = append(t.note.Deleted, object.String()+": "+version)
	}
}

func (t *pruneTurn) problem(ctx context.Context, object prunable, err error) {
	t.Log.WarnContext(ctx, "old versions could not be deleted", "release", t.scope.release.ID, "object", object.String(), "error", err)
	if len(t.note.Problems) < maxPruneLines {
		t.note.Problems = append(t.note.Problems, capped(object.String()+": "+err.Error(), maxStepReason))
	}
}
