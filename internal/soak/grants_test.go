package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// shares are what the records of releases say about who may use a layer version.
type shares struct {
	// granted is by version what a release recorded as shared; allowed is what any
	// release that has to do with the version could have shared it with.
	granted, allowed map[string]map[string]bool
}

// recordedShares reads them from the records: each release shares under the registry that it
// pinned, whatever that said before and says since.
func (w *world) recordedShares() shares {
	s := shares{map[string]map[string]bool{}, map[string]map[string]bool{}}
	from := w.documents()
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		rel := w.records[id]
		if rel.Plan == (release.Pointer{}) {
			continue // it was refused before it could share anything
		}
		results, err := ledger.New(w.table, w.clock).Results(context.Background(), id)
		if err != nil {
			w.fail("results of %s: %v", id, err)
		}
		var plan release.Plan
		w.pinned(from, rel.Plan, func(text []byte) error { return json.Unmarshal(text, &plan) })
		for _, step := range plan.Steps {
			if step.Share == nil {
				continue
			}
			arn := step.Share.Layer
			if arn == "" {
				arn = results[release.StepID(release.PublishLayer, step.Site, step.Share.Name)].LayerVersion
			}
			wanted := w.wantedGrants(from, rel, step.Site.Region)
			addAll(s.allowed, arn, wanted)
			if results[step.ID].State == release.StepDone || !step.Change {
				addAll(s.granted, arn, wanted)
			}
		}
	}
	return s
}

func addAll(to map[string]map[string]bool, arn string, all map[string]bool) {
	if to[arn] == nil {
		to[arn] = map[string]bool{}
	}
	maps.Copy(to[arn], all)
}

// wantedGrants are who a release shares its layers with in a region, by the registry that
// it pinned and by what every manifest here asks for, and not by its plan.
func (w *world) wantedGrants(from documents, rel release.Release, region string) map[string]bool {
	var registry release.Registry
	w.pinned(from, rel.Registry, func(text []byte) error { return yaml.Unmarshal(text, &registry) })
	registry, app, err := registry.For(rel.Request)
	if err != nil {
		w.fail("registry of %s: %v", rel.ID, err)
	}
	wanted := map[string]bool{}
	for _, env := range registry.AppEnvironments(app) {
		if slices.Contains(env.Regions, region) {
			wanted[env.Account] = true
		}
	}
	if slices.Contains(app.Sharing.Accounts, partnerAccount) {
		wanted[partnerAccount] = true
	}
	if app.Sharing.Organization {
		wanted["*"+organization] = true
	}
	return wanted
}

// documents are those of the state bucket.
type documents map[release.Pointer][]byte

func (w *world) documents() documents {
	all := documents{}
	for _, o := range w.cloud.Objects(stateBucket) {
		all[release.Pointer{Key: o.Key, VersionID: o.VersionID}] = o.Body
	}
	return all
}

// pinned reads a version of a document.
func (w *world) pinned(from documents, p release.Pointer, parse func([]byte) error) {
	if err := parse(from[p]); err != nil || from[p] == nil {
		w.fail("document %+v cannot be read: %v", p, err)
	}
}

// judgeGrants compares the grants of a layer version with the records: what was recorded as
// shared is granted, and nothing is that no release could have shared.
func (w *world) judgeGrants(v sim.LayerVersionState, recorded shares) {
	there := map[string]bool{}
	for _, g := range v.Grants {
		key := g.Principal + g.OrganizationID
		there[key] = true
		if !recorded.allowed[v.ARN][key] {
			w.fail("layer %s is granted to %+v, which no release says", v.ARN, g)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(recorded.granted[v.ARN])) {
		if !there[key] {
			w.fail("layer %s was shared with %s by the record, but its grants are %s", v.ARN, key, fmt.Sprintf("%+v", v.Grants))
		}
	}
}
