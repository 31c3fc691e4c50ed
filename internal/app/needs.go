package app

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// historyLength is how many of an app's releases are asked which versions they
// made. What an older one made is left alone.
const historyLength = 1000

// needs is what the ledger says about versions: which ones an app's releases
// made, and which are in use or may be again.
type needs struct {
	// ids are those of the app's releases.
	ids []string
	// made and kept are function versions by [objectName], layers and arns are
	// layer versions: what releases that have ended made, and what is needed.
	made, kept   map[string]map[string]bool
	layers, arns map[string]bool
	// plans are the texts of plans that are carried out or may be rolled back to,
	// by where they are stored.
	plans map[release.Pointer][]byte
	// undecided is true if a release of the app has not written down yet which
	// layer versions it is going to use.
	undecided bool
	// past are the app's releases, the newest first; truncated is true if there may
	// be older ones. codes are the digests of archives that running releases and
	// what is live have; staging is true if a release of the app may still be about
	// to stage some.
	past      []ledger.Past
	truncated bool
	codes     map[string]bool
	staging   bool
	// accounts are those in which functions are live or were released, of any app
	// as far as is known, by region. liveIn are the environments in which something
	// of the app is live.
	accounts map[string]map[string]bool
	liveIn   []string
	// live are the app's live entries.
	live []ledger.Live
}

// newNeeds are those of nothing.
func newNeeds() *needs {
	return &needs{
		made: map[string]map[string]bool{}, kept: map[string]map[string]bool{}, layers: map[string]bool{}, arns: map[string]bool{},
		plans: map[release.Pointer][]byte{}, codes: map[string]bool{}, accounts: map[string]map[string]bool{},
	}
}

// needs reads the ledger. Releases that have not ended are read first: one that
// ends meanwhile is then found in the history as well.
func (c *Core) needs(ctx context.Context, pruning *release.Release) (*needs, error) {
	active, err := c.Ledger.Active(ctx)
	if err != nil {
		return nil, err
	}
	history, err := c.Ledger.History(ctx, pruning.App, historyLength)
	if err != nil {
		return nil, err
	}
	live, err := c.Ledger.Live(ctx, "", "")
	if err != nil {
		return nil, err
	}
	n := newNeeds()
	n.past, n.truncated = history, len(history) == historyLength
	n.addLive(live)
	if err := c.addLiveCodes(ctx, n, pruning.App, live); err != nil {
		return nil, err
	}
	dirty, err := c.dirty(ctx)
	if err != nil {
		return nil, err
	}
	under := map[string]bool{}
	for _, rel := range append(active, dirty...) {
		under[rel.ID] = true
		if err := c.addRunning(ctx, n, pruning, rel); err != nil {
			return nil, err
		}
	}
	for _, past := range history {
		n.ids = append(n.ids, past.Release.ID)
		n.addAccounts(past.Results)
		if mayGoOn(&past.Release, pruning) && !under[past.Release.ID] {
			under[past.Release.ID] = true
			if err := c.addRunning(ctx, n, pruning, past.Release); err != nil {
				return nil, err
			}
		}
		if !under[past.Release.ID] {
			n.addMade(past.Results)
		}
	}
	return n, c.addGood(ctx, n, pruning.App)
}

// mayGoOn tells whether somebody still acts for a release: itself, or the person
// who puts in order what it left dirty. What is older than the pruning release
// was in order when that took its leases.
func mayGoOn(rel, pruning *release.Release) bool {
	return !rel.State.Ended() || rel.State == release.FailedDirty && rel.Created.After(pruning.Created)
}

// dirty are the releases that hold the lease of an environment which needs a hand.
func (c *Core) dirty(ctx context.Context) ([]release.Release, error) {
	leases, err := c.Ledger.Leases(ctx)
	if err != nil {
		return nil, err
	}
	var rels []release.Release
	for _, lease := range leases {
		if lease.Dirty == "" {
			continue
		}
		rel, err := c.Ledger.Release(ctx, lease.Holder.Release)
		if err != nil {
			return nil, err
		}
		rels = append(rels, rel)
	}
	return rels, nil
}

// objectName names a function, whatever environment it is in.
func objectName(site release.Site, name string) string {
	return site.Account + "/" + site.Region + "/" + name
}

// objectOf is the [objectName] that a step is about, by its id.
func objectOf(stepID string) (kind release.StepKind, object string) {
	parts := strings.SplitN(stepID, "/", 3)
	if len(parts) < 3 {
		return "", ""
	}
	return release.StepKind(parts[0]), parts[2]
}

func add(to map[string]map[string]bool, object string, versions ...string) {
	for _, version := range versions {
		if to[object] == nil {
			to[object] = map[string]bool{}
		}
		to[object][version] = true
	}
}

func (n *needs) addLive(live []ledger.Live) {
	for _, l := range live {
		if l.Kind == ledger.LiveLayer {
			n.arns[l.Detail] = true
			continue
		}
		add(n.kept, objectName(release.Site{Account: l.Account, Region: l.Region}, l.Name), l.Detail)
		add(n.accounts, l.Region, l.Account)
	}
}

// addAccounts adds where a release worked at functions.
func (n *needs) addAccounts(results map[string]release.Result) {
	for id := range results {
		kind, object := objectOf(id)
		if account, rest, ok := strings.Cut(object, "/"); ok && (kind == release.UpdateFunction || kind == release.ShiftTraffic) {
			region, _, _ := strings.Cut(rest, "/")
			add(n.accounts, region, account)
		}
	}
}

// addMade adds what a release made that has ended. A version that it found and
// did not make has no first write before it.
func (n *needs) addMade(results map[string]release.Result) {
	for id, result := range results {
		kind, object := objectOf(id)
		switch {
		case !result.Touched:
		case kind == release.UpdateFunction:
			add(n.made, object, result.Version, result.SavedVersion)
		case kind == release.PublishLayer:
			n.layers[result.LayerVersion] = true
		}
	}
}

// addResults adds what a release made or found as needed.
func (n *needs) addResults(results map[string]release.Result) {
	for id, result := range results {
		if kind, object := objectOf(id); kind == release.UpdateFunction {
			add(n.kept, object, result.Version, result.SavedVersion)
		}
		if result.LayerVersion != "" {
			n.arns[result.LayerVersion] = true
		}
	}
}

// addRunning adds what a release that goes on needs: everything that its plans
// name and its results. Dry runs carry nothing out.
func (c *Core) addRunning(ctx context.Context, n *needs, pruning *release.Release, rel release.Release) error {
	own := rel.App == pruning.App
	// What is staged is settled when the plan is made. A dry run stages, too.
	n.staging = n.staging || own && rel.Plan == (release.Pointer{})
	if rel.Request.DryRun {
		return nil
	}
	if own {
		if err := c.addArtifacts(ctx, n, rel.ID); err != nil {
			return err
		}
	}
	results, err := c.Ledger.Results(ctx, rel.ID)
	if err != nil {
		return err
	}
	n.addResults(results)
	n.addAccounts(results)
	if own && rel.Request.Restores != "" {
		if err := c.addWay(ctx, n, rel.Request); err != nil {
			return err
		}
	}
	pointers := []release.Pointer{rel.Plan}
	for _, progress := range rel.Environments {
		pointers = append(pointers, progress.Plan)
	}
	for _, pointer := range pointers {
		plan, err := c.addPlan(ctx, n, pointer)
		if err != nil {
			return err
		}
		if own && pointer == rel.Plan {
			n.undecided = n.undecided || plan == nil || publishes(plan, results)
		}
	}
	return nil
}

// publishes tells whether a plan's layers are not all published.
func publishes(plan *release.Plan, results map[string]release.Result) bool {
	return slices.ContainsFunc(plan.Steps, func(step release.Step) bool {
		return step.Kind == release.PublishLayer && step.Change && results[step.ID].State != release.StepDone
	})
}

// addPlan adds what a stored plan names; it is nil if there is none yet.
func (c *Core) addPlan(ctx context.Context, n *needs, pointer release.Pointer) (*release.Plan, error) {
	if pointer == (release.Pointer{}) {
		return nil, nil
	}
	text, read := n.plans[pointer]
	if !read {
		if err := c.Documents.Get(ctx, pointer, &text); err != nil {
			return nil, err
		}
		n.plans[pointer] = text
	}
	var plan release.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return nil, release.Errorf(release.Internal, "plan %q: %w", pointer.Key, err)
	}
	for _, step := range plan.Steps {
		if step.Function == nil {
			continue
		}
		object := objectName(step.Site, step.Function.Name)
		n.addBefore(object, step.Function.Before)
		if former := step.Function.Former; former != nil {
			add(n.kept, object, former.Version)
		}
	}
	return &plan, nil
}

// addBefore adds the versions that a rollback would go back to.
func (n *needs) addBefore(object string, before release.FunctionState) {
	if before.Live != nil {
		add(n.kept, object, before.Live.Version)
	}
	if before.Alias == nil {
		return
	}
	add(n.kept, object, before.Alias.Version)
	for version := range before.Alias.Weights {
		add(n.kept, object, version)
	}
}

// addGood adds what the last good release brought to each environment and found
// there, and what the one before it and the one that would be rolled back to had live.
func (c *Core) addGood(ctx context.Context, n *needs, app string) error {
	for _, environment := range n.environments() {
		good := n.good(environment)
		back, found := backFrom(app, environment, good)
		for i, past := range good {
			var err error
			switch {
			case i == 0:
				n.addResults(past.Results)
				progress, _ := past.Release.Environment(environment) // it is done there
				if _, err = c.addPlan(ctx, n, progress.Plan); err == nil {
					err = c.addFound(ctx, n, past.Release.Request.Restores, environment)
				}
			case i == 1:
				n.addResults(past.Results)
				err = c.addRan(ctx, n, past, environment)
			case found && past.Release.ID == back.to.ID:
				err = c.addRan(ctx, n, past, environment)
			}
			if err != nil {
				return err
			}
		}
		if err := c.addFound(ctx, n, back.undoes, environment); err != nil {
			return err
		}
	}
	return nil
}

// addWay adds what a rollback by hand needs that is on its way.
func (c *Core) addWay(ctx context.Context, n *needs, request release.Request) error {
	earlier, err := c.past(ctx, request.Restores)
	if err == nil {
		err = c.addRan(ctx, n, earlier, request.Environment)
	}
	if err != nil || request.Undoes == "" {
		return err
	}
	undone, err := c.Ledger.Release(ctx, request.Undoes)
	if err == nil {
		err = c.addFound(ctx, n, request.Undoes, request.Environment)
	}
	if err == nil {
		err = c.addFound(ctx, n, undone.Request.Restores, request.Environment)
	}
	return err
}

// addFound adds what a release found in an environment, if there is one: a drop that
// is undone goes back to that.
func (c *Core) addFound(ctx context.Context, n *needs, id, environment string) error {
	if id == "" {
		return nil
	}
	rel, err := c.Ledger.Release(ctx, id)
	if err != nil {
		return err
	}
	if progress, ok := rel.Environment(environment); ok {
		_, err = c.addPlan(ctx, n, progress.Plan)
	}
	return err
}

// addRan adds what a release had live in an environment, and the layer versions that it brought.
func (c *Core) addRan(ctx context.Context, n *needs, past ledger.Past, environment string) error {
	ran, layers, err := c.ran(ctx, past, environment)
	for site, functions := range ran {
		for name, content := range functions {
			add(n.kept, objectName(site, name), content.Version)
			for _, arn := range content.LayerARNs() {
				n.arns[arn] = true
			}
		}
	}
	for _, arn := range layers {
		n.arns[arn] = true
	}
	return err
}

// usesLayer tells whether a layer version is live or named by a plan.
func (n *needs) usesLayer(arn string) bool {
	return n.arns[arn] || n.planned(arn)
}

// planned tells whether a plan names something.
func (n *needs) planned(name string) bool {
	quoted := []byte(`"` + name + `"`)
	for _, text := range n.plans {
		if bytes.Contains(text, quoted) {
			return true
		}
	}
	return false
}

// wrote tells whether a release of the app described a version. Lambda answers a
// publication that changes nothing with the last version, whoever made it.
func (n *needs) wrote(description string) bool {
	return slices.ContainsFunc(n.ids, func(id string) bool { return strings.Contains(description, "release "+id) })
}
