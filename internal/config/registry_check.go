package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tagboat/tagboat/internal/release"
)

// MaxBake is the longest bake time: the lease is held meanwhile, and no other
// release reaches the environment.
const MaxBake = 24 * time.Hour

// checkRegistry checks what no value alone can tell.
func checkRegistry(r *report, registry release.Registry) {
	checkBuckets(r, registry.Tools)
	checkEnvironments(r, registry)
	checkApps(r, registry)
	checkSites(r, registry)
	checkClaims(r, registry)
}

// checkBuckets wants a staging bucket of its own for each region but home:
// Lambda takes code from a bucket in its own region only.
func checkBuckets(r *report, tools release.Tools) {
	if len(tools.Regions) == 0 {
		return
	}
	further := tools.Regions[1:]
	for i, region := range further {
		if _, ok := tools.Buckets[region]; !ok && region != "" && region != tools.Home() {
			r.at(place{"tools", "regions", i + 1}, Problem{Want: fmt.Sprintf("a staging bucket for %q in tools.buckets", region), Got: "none",
				Hint: "Lambda takes code from a bucket in its own region only"})
		}
	}
	regions := map[string]string{}
	for _, region := range slices.Sorted(maps.Keys(tools.Buckets)) {
		at, bucket := place{"tools", "buckets", region}, tools.Buckets[region]
		switch {
		case region == tools.Home():
			r.at(at, Problem{Want: "buckets of further regions only", Got: "one for the home region " + quote(region),
				Hint: "the state bucket is home's staging bucket"})
		case !slices.Contains(further, region):
			r.at(at, Problem{Want: "a region of tools.regions", Got: quote(region), Nearest: nearest(region, further)})
		}
		if other, taken := regions[bucket]; taken && bucket != "" {
			r.at(at, Problem{Want: "a bucket in " + quote(region), Got: fmt.Sprintf("%s, which is the bucket of %s already", quote(bucket), quote(other)),
				Hint: "a bucket is in one region"})
		}
		regions[bucket] = region
	}
}

// checkEnvironments checks names, regions and bake times.
func checkEnvironments(r *report, registry release.Registry) {
	names := map[string]int{}
	for i, env := range registry.Environments {
		at := place{"environments", i}
		checkOnce(r, names, at, "environment", env.Name)
		if bake := time.Duration(env.Bake); bake > MaxBake {
			r.at(at.to("bake"), Problem{Want: "a bake time of at most 24h", Got: bake.String()})
		}
		if len(registry.Tools.Regions) == 0 {
			continue // reported already; each region would be wrong
		}
		for j, region := range env.Regions {
			if region != "" && !slices.Contains(registry.Tools.Regions, region) {
				r.at(at.to("regions", j), Problem{Want: "one of the tools regions " + quoteAll(registry.Tools.Regions), Got: quote(region),
					Hint: "functions there need code staged there: add the region to tools.regions and its bucket to tools.buckets"})
			}
		}
	}
}

// checkOnce reports a name that an element of the same list has already. The
// names are those seen so far, with their index.
func checkOnce(r *report, names map[string]int, at place, what, name string) {
	if name == "" {
		return
	}
	index := at[len(at)-1].(int)
	if first, twice := names[name]; twice {
		r.at(at.to("name"), Problem{Want: "one " + what + " of each name", Got: fmt.Sprintf("%s again; the first is %s",
			quote(name), at[:len(at)-1].to(first))})
		return
	}
	names[name] = index
}

// checkApps checks names, references, limits of sharing and manifests.
func checkApps(r *report, registry release.Registry) {
	var environments []string
	known := map[string]bool{}
	for _, env := range registry.Environments {
		environments = append(environments, env.Name)
		known[env.Name] = true
	}
	names := map[string]int{}
	manifests := map[manifestFile]string{}
	for i, app := range registry.Apps {
		at := place{"apps", i}
		checkOnce(r, names, at, "app", app.Name)
		for j, name := range app.Environments {
			if !known[name] && name != "" {
				r.at(at.to("environments", j), dangling(r, "an environment of this registry", name, environments))
			}
		}
		if app.Sharing.Organization && registry.Organization == "" {
			r.at(at.to("sharing", "organization"), Problem{Want: "the organisation's id in organization", Got: "none"})
		}
		checkManifestFile(r, manifests, at, app)
	}
}

// site is an account and region.
type site struct{ account, region string }

// checkSites reports environments of an app that share a site: leases are by
// environment, and functions have one name in all of them.
func checkSites(r *report, registry release.Registry) {
	environments := map[string]release.Environment{}
	for _, env := range registry.Environments {
		environments[env.Name] = env
	}
	for i, app := range registry.Apps {
		taken := map[site]string{}
		for j, name := range app.Environments {
			if r.full() {
				return
			}
			if at, other, shared := takeSites(taken, environments[name]); shared {
				r.at(place{"apps", i, "environments", j}, Problem{Want: "an environment of its own account or regions",
					Got: fmt.Sprintf("%s, which is in account %s, %s, as %s is", quote(name), at.account, at.region, quote(other)),
					Hint: "a function has one name in all environments, so that two releases would change it at once: " +
						"give one of them another account or region, or leave it out here"})
			}
		}
	}
}

// takeSites notes whose an environment's sites are, and tells the first that is another's already.
func takeSites(taken map[site]string, env release.Environment) (at site, other string, shared bool) {
	for _, region := range env.Regions {
		s := site{env.Account, region}
		owner, known := taken[s]
		switch {
		case env.Account == "" || region == "":
		case !known:
			taken[s] = env.Name
		case owner != env.Name && !shared: // the same environment twice is reported already
			at, other, shared = s, owner, true
		}
	}
	return at, other, shared
}

// manifestFile is one file of one repository.
type manifestFile struct {
	repository int64
	path       string
}

// checkManifestFile reports a manifest that another app reads too: it can name
// one app only, and every release of the other would be refused.
func checkManifestFile(r *report, manifests map[manifestFile]string, at place, app release.App) {
	file := manifestFile{app.Repository.ID, app.ManifestPath()}
	if file.repository == 0 {
		return
	}
	if other, taken := manifests[file]; taken && other != app.Name {
		r.at(at.to("manifest"), Problem{Want: "a manifest of its own", Got: fmt.Sprintf("%s, which app %s of the same repository reads too",
			quote(file.path), quote(other))})
		return
	}
	manifests[file] = app.Name
}

// dangling is a name that refers to nothing.
func dangling(r *report, want, name string, known []string) Problem {
	if r.full() {
		return Problem{} // only counted
	}
	problem := Problem{Want: want, Got: quote(name), Nearest: nearest(name, known)}
	if len(known) > 0 {
		problem.Want += " (" + quoteAll(known) + ")"
	}
	return problem
}
