package config

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// claim is one pattern of an app.
type claim struct {
	app, pattern int
	text         string
	// prefix and suffix are what every name that matches begins and ends with,
	// the latter read backwards.
	prefix, suffix string
}

// collision is two claims that meet; it is reported once, whatever the number of accounts.
type collision struct{ app, pattern, otherApp, otherPattern int }

// checkClaims reports patterns of two apps that one name can match, if the
// apps share an account through their environments.
func checkClaims(r *report, registry release.Registry) {
	claims := claimsByAccount(registry)
	told := map[collision]bool{}
	for _, account := range slices.Sorted(maps.Keys(claims)) {
		for first, second := range candidates(claims[account]) {
			if r.full() {
				return
			}
			if first.app != second.app && intersect(first.text, second.text) {
				reportCollision(r, registry, account, told, first, second)
			}
		}
	}
}

// candidates are the pairs of claims that can meet: one's prefix begins with
// the other's, or one's suffix ends with the other's, whichever leaves fewer.
// Most claims differ in their prefix, and then only few pairs are left.
func candidates(claims []claim) iter.Seq2[claim, claim] {
	prefix := func(c claim) string { return c.prefix }
	suffix := func(c claim) string { return c.suffix }
	key := prefix
	sorted, pairs := sweep(claims, prefix)
	if bySuffix, fewer := sweep(claims, suffix); fewer < pairs {
		sorted, key = bySuffix, suffix
	}
	return func(yield func(claim, claim) bool) {
		for i, first := range sorted {
			for _, second := range sorted[i+1:] {
				if !strings.HasPrefix(key(second), key(first)) {
					break
				}
				if !yield(first, second) {
					return
				}
			}
		}
	}
}

// sweep sorts claims by a key, so that those whose key begins with a claim's
// follow it without a gap, and counts the pairs of such claims.
func sweep(claims []claim, key func(claim) string) (sorted []claim, pairs int) {
	sorted = slices.SortedStableFunc(slices.Values(claims), func(a, b claim) int { return strings.Compare(key(a), key(b)) })
	for i, first := range sorted {
		pairs += sort.Search(len(sorted)-i-1, func(j int) bool { return !strings.HasPrefix(key(sorted[i+1+j]), key(first)) })
	}
	return sorted, pairs
}

// claimsByAccount are the patterns of all apps in each account.
func claimsByAccount(registry release.Registry) map[string][]claim {
	accounts := map[string]string{}
	for _, env := range registry.Environments {
		accounts[env.Name] = env.Account
	}
	claims := map[string][]claim{}
	for i, app := range registry.Apps {
		claimed := map[string]bool{"": true}
		for _, name := range app.Environments {
			account := accounts[name]
			if claimed[account] {
				continue
			}
			claimed[account] = true
			for j, pattern := range app.Resources {
				if pattern != "" {
					claims[account] = append(claims[account], newClaim(i, j, pattern))
				}
			}
		}
	}
	return claims
}

// newClaim is the claim of an app's pattern.
func newClaim(app, index int, pattern string) claim {
	prefix, suffix, wild := ends(pattern)
	if !wild {
		suffix = pattern
	}
	backwards := []byte(suffix)
	slices.Reverse(backwards)
	return claim{app: app, pattern: index, text: pattern, prefix: prefix, suffix: string(backwards)}
}

// reportCollision reports two claims that meet, at the later app.
func reportCollision(r *report, registry release.Registry, account string, told map[collision]bool, first, second claim) {
	if first.app > second.app {
		first, second = second, first
	}
	key := collision{first.app, first.pattern, second.app, second.pattern}
	apps := registry.Apps
	if told[key] || apps[first.app].Name == apps[second.app].Name {
		return
	}
	told[key] = true
	r.at(place{"apps", second.app, "resources", second.pattern}, Problem{
		Want: "names that no other app may touch in account " + account,
		Got: fmt.Sprintf("%s of app %s, which meets %s of app %s", quote(second.text), quote(apps[second.app].Name),
			quote(first.text), quote(apps[first.app].Name)),
	})
}
