package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// unshareLook is one look at what an order would mean.
type unshareLook struct {
	*Unshares
	wish
	registry release.Registry
	revoked  []release.Revocation
	found    Unshared
}

// look finds the grant in each region, who uses it, and what stands in the way.
func (u *Unshares) look(ctx context.Context, order Unsharing) (*unshareLook, error) {
	registry, _, err := u.Registries.Current(ctx)
	if err != nil {
		return nil, err
	}
	l := &unshareLook{Unshares: u, registry: registry}
	if l.wish, err = readOrder(registry, order); err != nil {
		return nil, err
	}
	l.found = Unshared{
		Layer: l.what(), From: l.grant, DryRun: order.DryRun,
		Regions: []UnsharedIn{}, Functions: []UsedBy{}, Unseen: []string{}, NeedsForce: []string{}, Warnings: []string{},
	}
	if l.revoked, err = u.Ledger.Revocations(ctx, ""); err != nil {
		return nil, err
	}
	if err := l.regionsOf(ctx); err != nil {
		return nil, err
	}
	if err := l.checkOthers(); err != nil {
		return nil, err
	}
	if err := l.users(ctx); err != nil {
		return nil, err
	}
	l.found.Seen = l.found.fingerprint()
	return l, nil
}

// regionsOf reads the version in each region, and keeps where the grant is, or was.
func (l *unshareLook) regionsOf(ctx context.Context) error {
	var versions []layer.Version
	var elsewhere []string
	for _, region := range l.regions {
		target := release.Target{Site: release.Site{Environment: release.ToolsEnvironment, Account: l.registry.Tools.Account, Region: region}, App: l.name}
		there, version, err := l.Layers.Look(ctx, target, l.name, l.number)
		if err != nil {
			return err
		}
		if !there {
			elsewhere = append(elsewhere, "there is no such version in "+region)
			continue
		}
		versions = append(versions, version)
		in, ok := l.region(region, version)
		if !ok {
			elsewhere = append(elsewhere, fmt.Sprintf("in %s it is shared with %s", region, names(version.Grants())))
			continue
		}
		l.found.Regions = append(l.found.Regions, in)
	}
	switch {
	case len(versions) == 0:
		return release.Errorf(release.NotFound, "layer version %s does not exist in %s", l.what(), strings.Join(l.regions, ", ")).
			WithRemedy("tagboat status tells which versions are live, and aws lambda list-layer-versions --layer-name %s which there are.", l.name)
	case len(l.found.Regions) == 0:
		return release.Errorf(release.NotFound, "layer version %s is not shared with %s: %s", l.what(), l.grant, strings.Join(elsewhere, "; ")).
			WithRemedy("Take it from one of those with whom it is shared: --account ID, --organization or --public.")
	}
	if l.asked {
		l.found.Warnings = append(l.found.Warnings, elsewhere...)
		return nil
	}
	return l.checkSame(ctx)
}

// region tells what is so in a region; ok is false if the grant neither is there
// nor was taken back.
func (l *unshareLook) region(region string, version layer.Version) (in UnsharedIn, ok bool) {
	in = UnsharedIn{Region: region, ARN: version.ARN, State: UnshareShared, Statements: []string{}, Stays: []string{}, version: version}
	for _, s := range version.Statements {
		if slices.Contains(s.Grants, l.grant) {
			in.Statements = append(in.Statements, s.ID)
			continue
		}
		for _, grant := range s.Grants {
			in.Stays = append(in.Stays, grant.String())
		}
		if len(s.Grants) == 0 {
			in.Stays = append(in.Stays, fmt.Sprintf("whomever statement %q means", s.ID))
			l.found.Warnings = append(l.found.Warnings, fmt.Sprintf(
				"statement %q of %s is not understood, and may let them use it all the same: aws lambda get-layer-version-policy --layer-name %s --version-number %d --region %s",
				s.ID, version.ARN, l.name, l.number, region))
		}
	}
	if r, taken := release.Revoked(l.revoked, version.ARN, l.grant); taken {
		in.Revocation = &r
	}
	if len(in.Statements) == 0 {
		in.State = UnshareTaken
	}
	return in, len(in.Statements) > 0 || in.Revocation != nil
}

// checkSame refuses to take versions of one number back together that are not one
// content: regions count for themselves.
func (l *unshareLook) checkSame(ctx context.Context) error {
	first := ""
	for i, in := range l.found.Regions {
		known, err := l.Ledger.PublishedVersions(ctx, l.name, in.Region)
		if err != nil {
			return err
		}
		content := cmp.Or(known[in.ARN], in.version.CodeSHA256)
		if i == 0 {
			first = content
		}
		if content != first {
			return release.Errorf(release.Conflict, "layer version %s is not the same content in %s and %s", l.what(), l.found.Regions[0].Region, in.Region).
				WithRemedy("Say in which region: --in %s.", in.Region)
		}
	}
	return nil
}

// checkOthers refuses what would have no effect or cannot be done, and warns of
// what may have no effect.
func (l *unshareLook) checkOthers() error {
	for _, in := range l.found.Regions {
		if err := in.version.Removable(l.grant); err != nil {
			return err
		}
		for _, other := range in.version.Grants() {
			switch {
			case other == l.grant:
			case other.Public:
				return release.Errorf(release.Conflict, "%s could still use layer version %s in %s: it is shared with everyone", l.grant, l.what(), in.Region).
					WithRemedy("Take it from everyone first: tagboat unshare %s --public --reason TEXT", l.what())
			case other.Organization != "":
				l.found.Warnings = append(l.found.Warnings, fmt.Sprintf(
					"%s can still use it in %s if it belongs to %s, with which it stays shared: tagboat unshare %s --organization=%s takes that back",
					l.grant, in.Region, other, l.what(), other.Organization))
			}
		}
	}
	return nil
}

// loses tells whether an account loses the version in a region: it has no grant of its own left.
func (l *unshareLook) loses(in UnsharedIn, account string) bool {
	if account == l.registry.Tools.Account { // it owns the layer
		return false
	}
	if l.grant.Account != "" {
		return account == l.grant.Account
	}
	return !slices.Contains(in.version.Grants(), release.Grant{Account: account})
}

// needs finds what is live with the version, and which releases under way name it.
func (l *unshareLook) needs(ctx context.Context) error {
	for _, in := range l.found.Regions {
		if err := l.live(ctx, in); err != nil {
			return err
		}
	}
	return l.underWay(ctx)
}

// unshareSite is an environment whose account loses the version in a region.
type unshareSite struct {
	in     UnsharedIn
	env    release.Environment
	uses   []layer.Use
	unseen error
}

// users finds the functions that use the version by the grant: those of accounts
// that can be looked at, and those of which the ledger knows.
func (l *unshareLook) users(ctx context.Context) error {
	sites := l.sites()
	l.list(ctx, sites)
	if err := l.needs(ctx); err != nil {
		return err
	}
	for _, site := range sites {
		l.add(site)
	}
	l.tellUnseen(sites)
	slices.SortFunc(l.found.Functions, func(a, b UsedBy) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Function, b.Function))
	})
	return nil
}

// sites are the environments that lose the version, one of each account and region.
// An account is looked at in every region of the layer: its functions need not be
// where it is released to.
func (l *unshareLook) sites() []*unshareSite {
	var sites []*unshareSite
	for _, in := range l.found.Regions {
		seen := map[string]bool{}
		for _, env := range l.registry.Environments {
			if !seen[env.Account] && l.loses(in, env.Account) {
				seen[env.Account] = true
				sites = append(sites, &unshareSite{in: in, env: env})
			}
		}
	}
	return sites
}

const (
	// sitesAtOnce is how many accounts are looked at side by side.
	sitesAtOnce = 8
	// lookTime is how long all looks at functions may take together: somebody waits.
	lookTime = 25 * time.Second
)

// list looks at the functions of each site. What cannot be listed is told, and no obstacle.
func (l *unshareLook) list(ctx context.Context, sites []*unshareSite) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	clock.Each(l.Clock, len(sites), sitesAtOnce, func(i int) {
		s := sites[i]
		s.uses, s.unseen = l.Layers.Uses(ctx, release.Target{
			Site: release.Site{Environment: s.env.Name, Account: s.env.Account, Region: s.in.Region},
			Role: s.env.Role, ExternalID: s.env.ExternalID, App: l.name,
		}, s.in.ARN)
	})
}

func (l *unshareLook) add(site *unshareSite) {
	for _, use := range site.uses {
		entry := UsedBy{Account: site.env.Account, Environment: site.env.Name, Region: site.in.Region, Function: use.Function}
		i := slices.IndexFunc(l.found.Functions, func(f UsedBy) bool {
			return f.Account == entry.Account && f.Region == entry.Region && f.Function == entry.Function
		})
		if i < 0 {
			i = len(l.found.Functions)
			l.found.Functions = append(l.found.Functions, entry)
		}
		l.found.Functions[i].Versions = use.Versions
	}
}

// live adds what the ledger knows as live with the version where its account loses it.
func (l *unshareLook) live(ctx context.Context, in UnsharedIn) error {
	live, err := l.Ledger.Live(ctx, "", "")
	if err != nil {
		return err
	}
	for _, entry := range live {
		if entry.Kind != ledger.LiveLayer || entry.Detail != in.ARN || !l.loses(in, entry.Account) {
			continue
		}
		if in.State == UnshareShared {
			l.found.NeedsForce = append(l.found.NeedsForce, fmt.Sprintf("%s %s is live with it in %s (account %s, %s)",
				entry.App, entry.Version, entry.Environment, entry.Account, entry.Region))
		}
		names, err := l.functionsOf(ctx, entry)
		if err != nil {
			return err
		}
		for _, name := range names {
			l.found.Functions = append(l.found.Functions, UsedBy{
				Account: entry.Account, Environment: entry.Environment, Region: entry.Region, Function: name, App: entry.App, Release: entry.Release,
			})
		}
	}
	return nil
}

// functionsOf are the functions of a live release that use a layer, by its manifest.
func (l *unshareLook) functionsOf(ctx context.Context, entry ledger.Live) ([]string, error) {
	rel, err := l.Ledger.Release(ctx, entry.Release)
	if err != nil {
		return nil, err
	}
	var manifest release.Manifest
	if err := l.Documents.Get(ctx, rel.Manifest, &manifest); err != nil {
		return nil, err
	}
	var names []string
	for _, f := range manifest.Functions {
		if slices.Contains(f.Layers, entry.Name) {
			names = append(names, f.Name)
		}
	}
	return names, nil
}

// underWay finds releases that have not ended and name the version in their plans,
// in order to use it or to go back to it, in an account that loses it.
func (l *unshareLook) underWay(ctx context.Context) error {
	active, err := l.Ledger.Active(ctx)
	if err != nil {
		return err
	}
	for _, rel := range active {
		n := newNeeds()
		if err := l.addRunning(ctx, n, &release.Release{}, rel); err != nil {
			return err
		}
		for _, in := range l.found.Regions {
			if in.State == UnshareShared && n.usesLayer(in.ARN) && l.touches(rel, in) {
				l.found.NeedsForce = append(l.found.NeedsForce, fmt.Sprintf("release %s is under way with it in %s", rel.ID, in.Region))
			}
		}
	}
	return nil
}

// touches tells whether a release goes to an account that loses the version in a region.
func (l *unshareLook) touches(rel release.Release, in UnsharedIn) bool {
	return slices.ContainsFunc(rel.Environments, func(p release.Progress) bool {
		env, ok := l.registry.Environment(p.Name)
		return ok && slices.Contains(env.Regions, in.Region) && l.loses(in, env.Account)
	})
}

// tellUnseen says whose functions could use the version and were not looked at.
func (l *unshareLook) tellUnseen(sites []*unshareSite) {
	for _, site := range sites {
		if site.unseen != nil {
			l.found.Unseen = append(l.found.Unseen, fmt.Sprintf("functions of account %s in %s (%s), beyond those that the ledger knows: %s",
				site.env.Account, site.in.Region, site.env.Name, capped(site.unseen.Error(), maxStepReason)))
		}
	}
	switch {
	case l.grant.Public:
		l.found.Unseen = append(l.found.Unseen, "functions of all accounts that are not in the registry")
	case l.grant.Organization != "":
		l.found.Unseen = append(l.found.Unseen, fmt.Sprintf("functions of accounts of %s that are not in the registry", l.grant))
	case len(sites) == 0 && l.grant.Account != l.registry.Tools.Account:
		l.found.Unseen = append(l.found.Unseen, fmt.Sprintf("functions of %s, which is not in the registry", l.grant))
	}
}

// names says grants for people.
func names(grants []release.Grant) string {
	if len(grants) == 0 {
		return "nobody"
	}
	words := make([]string, len(grants))
	for i, grant := range grants {
		words[i] = grant.String()
	}
	return strings.Join(words, ", ")
}
