package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/release"
)

// Unsharing is a person's order to take a layer version back from an account,
// the organisation or everyone.
type Unsharing struct {
	// Layer is LAYER:VERSION, or a layer version's ARN.
	Layer string `json:"layer"`
	// Exactly one of these is set. Organization is an organisation's id, or
	// [OwnOrganization].
	Account      string `json:"account,omitempty"`
	Organization string `json:"organization,omitempty"`
	Public       bool   `json:"public,omitempty"`
	// Regions are those in which it is taken back; none is every region of the
	// registry's tools in which it is shared with them.
	Regions []string `json:"regions,omitempty"`
	Reason  string   `json:"reason"`
	By      string   `json:"by"`
	// Force takes it back although releases that are live, or under way, need it.
	Force  bool `json:"force,omitempty"`
	DryRun bool `json:"dry_run,omitempty"`
	// Seen is [Unshared.Seen] of the look after which the person decided. If it is
	// another by now, nothing is taken back; empty does not ask.
	Seen string `json:"seen,omitempty"`
}

// OwnOrganization stands for the organisation of the registry.
const OwnOrganization = "registry"

// Resharing is a person's order to let releases grant again what was taken back.
type Resharing struct {
	Layer        string   `json:"layer"`
	Account      string   `json:"account,omitempty"`
	Organization string   `json:"organization,omitempty"`
	Public       bool     `json:"public,omitempty"`
	Regions      []string `json:"regions,omitempty"`
	By           string   `json:"by"`
}

// Unshared is what an order to take a layer version back finds, and what it did.
type Unshared struct {
	Layer string        `json:"layer"`
	From  release.Grant `json:"from"`
	// Regions are those in which the version is shared with them, or was.
	Regions []UnsharedIn `json:"regions"`
	// Functions use the version by the grant. They keep running, and cannot be
	// updated with it any more.
	Functions []UsedBy `json:"functions"`
	// Unseen says whose functions nobody looked at, and why.
	Unseen []string `json:"unseen"`
	// NeedsForce are the releases that need the grant.
	NeedsForce []string `json:"needs_force"`
	Warnings   []string `json:"warnings"`
	// Seen identifies what was found.
	Seen   string `json:"seen"`
	DryRun bool   `json:"dry_run"`
}

// The values of [UnsharedIn.State].
const (
	// UnshareShared: the grant is there.
	UnshareShared = "shared"
	// UnshareTaken: it was taken back, on record.
	UnshareTaken = "taken_back"
)

// UnsharedIn is a layer version in one region.
type UnsharedIn struct {
	Region string `json:"region"`
	ARN    string `json:"arn"`
	State  string `json:"state"`
	// Statements are those that make the grant.
	Statements []string `json:"statements"`
	// Stays names with whom else it is shared.
	Stays []string `json:"stays"`
	// Revocation is the record, once it was taken back.
	Revocation *release.Revocation `json:"revocation,omitempty"`

	version layer.Version
	// began is true if this order put the revocation on record.
	began bool
}

// UsedBy is a function that uses a layer version.
type UsedBy struct {
	Account     string `json:"account"`
	Environment string `json:"environment"`
	Region      string `json:"region"`
	Function    string `json:"function"`
	// Versions are those that do; none if only the ledger tells that it does.
	Versions []string `json:"versions,omitempty"`
	// App and Release are those that are live there with the version, if any.
	App     string `json:"app,omitempty"`
	Release string `json:"release,omitempty"`
}

// Unshares takes layer versions back.
//
// What is to go is recorded first ([release.Revocation]): releases that come
// between, and all that come later, leave the grant out until a person lifts
// that. Then it is looked once more for releases that need it, and the statements
// are removed. A refusal before anything is removed lifts that again. A crash between the two leaves a grant
// that is on record as not yet gone; the same order again goes on.
type Unshares struct {
	*Core
	Registries Registries
	Layers     *layer.Unsharer
}

// Take takes a layer version back, or only tells what that would mean. Doing it
// again does no harm. The error is of kind [release.NotFound] if it is not shared
// with them, and [release.Conflict] if taking it back would have no effect, or
// would break what is live and nobody forces it.
func (u *Unshares) Take(ctx context.Context, order Unsharing) (Unshared, error) {
	if !order.DryRun && (order.Reason == "" || order.By == "") {
		return Unshared{}, release.Errorf(release.Invalid, "taking a layer version back: reason or by is missing").
			WithRemedy("Say why, and who says so.")
	}
	look, err := u.look(ctx, order)
	if err != nil {
		return Unshared{}, err
	}
	found := look.found
	switch {
	case order.DryRun:
		return found, nil
	case order.Seen != "" && order.Seen != found.Seen:
		return found, release.Errorf(release.Conflict, "%s is not shared or used any more as it was when you were told: nothing was taken back", found.Layer).
			WithRemedy("Run the same again: it tells what is so now.")
	case len(found.NeedsForce) > 0 && !order.Force:
		return found, release.Errorf(release.Conflict, "%s is needed by %s: %s", found.Layer, look.grant, strings.Join(found.NeedsForce, "; ")).
			WithRemedy("Release a newer version of the layer there first, or add --force: what runs keeps running, and its next update with this version fails.")
	}
	if err := look.record(ctx, order); err != nil {
		return found, halfTaken(err, nil)
	}
	// If we crash from here on, the grants are on record as not yet gone.
	if err := look.again(ctx, order); err != nil {
		return found, look.lift(ctx, order.By, found.Regions, err)
	}
	for i := range found.Regions {
		began, err := u.take(ctx, look.grant, &found.Regions[i])
		if err == nil {
			continue
		}
		err = halfTaken(err, found.Regions[:i])
		if kind := release.KindOf(err); kind == release.Conflict || kind == release.Denied {
			if began {
				i++ // what may be gone is not to be shared again
			}
			err = look.lift(ctx, order.By, found.Regions[i:], err)
		}
		return found, err
	}
	return found, nil
}

// record records what is to go. It does so for all regions before anything goes:
// what is planned from now on leaves the grant out.
func (l *unshareLook) record(ctx context.Context, order Unsharing) error {
	for i := range l.found.Regions {
		in := &l.found.Regions[i]
		if in.done() {
			continue
		}
		r, err := l.Ledger.Revoke(ctx, release.Revocation{Layer: in.ARN, Grant: l.grant, Reason: order.Reason, By: order.By})
		if err != nil {
			return err
		}
		in.began = in.Revocation == nil && r.By == order.By && r.Reason == order.Reason
	}
	return nil
}

// done tells whether nothing is left to do: the grant was seen to be gone, and is not there.
func (in UnsharedIn) done() bool {
	return in.State == UnshareTaken && in.Revocation != nil && !in.Revocation.Gone.IsZero()
}

// again looks once more for releases that need the grant: one may have been planned
// with it between the look and the record.
func (l *unshareLook) again(ctx context.Context, order Unsharing) error {
	if order.Force && order.Seen == "" {
		return nil
	}
	now := *l
	now.found.NeedsForce, now.found.Functions = nil, nil
	if err := now.needs(ctx); err != nil {
		return err
	}
	since := slices.DeleteFunc(now.found.NeedsForce, func(need string) bool { return slices.Contains(l.found.NeedsForce, need) })
	if len(since) == 0 {
		return nil
	}
	return release.Errorf(release.Conflict, "%s is needed by %s since the look: %s; nothing was taken back", l.found.Layer, l.grant, strings.Join(since, "; ")).
		WithRemedy("Run the same again: it tells what is so now.")
}

// lift lets releases make the grant again in regions where this order began to
// take it back and a refusal left it in place. It returns the refusal.
func (l *unshareLook) lift(ctx context.Context, by string, regions []UnsharedIn, refusal error) error {
	for _, in := range regions {
		if !in.began {
			continue
		}
		if _, err := l.Ledger.LiftRevocation(ctx, in.ARN, l.grant, by); err != nil {
			return release.Errorf(release.KindOf(refusal), "%w; releases leave the grant out all the same, since that could not be ended in %s: %w", refusal, in.Region, err).
				WithRemedy("%s To end the leaving out: tagboat unshare %s %s --undo", release.RemedyOf(refusal), in.ARN, l.grant.Flag())
		}
	}
	return refusal
}

// take takes the version back in one region, and records that. began tells whether
// something may have been removed, also with an error.
func (u *Unshares) take(ctx context.Context, grant release.Grant, in *UnsharedIn) (began bool, err error) {
	if in.done() {
		return false, nil
	}
	if began, err = u.Layers.TakeBack(ctx, toolsTarget(in.Region, in.ARN), in.ARN, grant); err != nil {
		return began, err
	}
	revocation, err := u.Ledger.RevokedGone(ctx, in.ARN, grant)
	if err != nil {
		return true, err
	}
	in.State, in.Revocation = UnshareTaken, &revocation
	return true, nil
}

// halfTaken adds to an error what was done before it.
func halfTaken(err error, done []UnsharedIn) error {
	before := ""
	if len(done) > 0 {
		names := make([]string, len(done))
		for i, in := range done {
			names[i] = in.Region
		}
		before = "; it was taken back in " + strings.Join(names, ", ")
	}
	remedy := release.RemedyOf(err)
	if remedy == "" {
		remedy = "Run the same again when that is mended: it goes on where it was."
	}
	return release.Errorf(release.KindOf(err), "%w%s", err, before).WithRemedy("%s", remedy)
}

// Reshare lets releases grant again what was taken back. It grants nothing
// itself: the next release whose manifest asks for it does.
func (u *Unshares) Reshare(ctx context.Context, order Resharing) ([]release.Revocation, error) {
	if order.By == "" {
		return nil, release.Errorf(release.Invalid, "letting a layer version be shared again: by is missing").WithRemedy("Say who says so.")
	}
	registry, _, err := u.Registries.Current(ctx)
	if err != nil {
		return nil, err
	}
	asked := Unsharing{Layer: order.Layer, Account: order.Account, Organization: order.Organization, Public: order.Public, Regions: order.Regions}
	which, err := readOrder(registry, asked)
	if err != nil {
		return nil, err
	}
	all, err := u.Ledger.Revocations(ctx, "")
	if err != nil {
		return nil, err
	}
	var lifted []release.Revocation
	for _, r := range all {
		if r.Grant != which.grant || !which.names(r.Layer) {
			continue
		}
		if r, err = u.Ledger.LiftRevocation(ctx, r.Layer, r.Grant, order.By); err != nil {
			return lifted, err
		}
		lifted = append(lifted, r)
	}
	if len(lifted) == 0 {
		return nil, release.Errorf(release.NotFound, "%s was not taken back from %s", which.what(), which.grant).
			WithRemedy("tagboat unshared tells what was.")
	}
	return lifted, nil
}

// wish is an order as it was understood.
type wish struct {
	name    string
	number  int64
	regions []string
	// asked is true if the order names the regions.
	asked bool
	grant release.Grant
}

func (w wish) what() string { return fmt.Sprintf("%s:%d", w.name, w.number) }

// names tells whether an ARN is that of the version in one of the regions.
func (w wish) names(arn string) bool {
	_, region, name, number, err := layer.ParseVersion(arn)
	return err == nil && name == w.name && number == w.number && slices.Contains(w.regions, region)
}

var (
	layerNamePattern    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,140}$`)
	organizationPattern = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
	regionPattern       = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	accountIDPattern    = regexp.MustCompile(`^[0-9]{12}$`)
)

// readOrder reads what an order names.
func readOrder(registry release.Registry, order Unsharing) (wish, error) {
	w := wish{regions: registry.Tools.Regions}
	var err error
	if strings.HasPrefix(order.Layer, "arn:") {
		err = w.byARN(registry, order)
	} else {
		err = w.byName(registry, order)
	}
	if err != nil {
		return w, err
	}
	w.grant, err = readGrant(registry, order)
	return w, err
}

// byARN takes the region from the ARN. It need not be one of the registry's any more:
// what was published there is still shared.
func (w *wish) byARN(registry release.Registry, order Unsharing) error {
	account, region, name, number, err := layer.ParseVersion(order.Layer)
	switch {
	case err != nil:
		return release.Errorf(release.Invalid, "%w", err).WithRemedy("Name it as LAYER:VERSION, like orders-deps:7, or by its ARN.")
	case account != registry.Tools.Account:
		return release.Errorf(release.Invalid, "layer version %s is account %s's, and Tagboat's layers are account %s's", order.Layer, account, registry.Tools.Account).
			WithRemedy("Ask whoever publishes it, or name one of Tagboat's: tagboat status tells them.")
	case !regionPattern.MatchString(region):
		return release.Errorf(release.Invalid, "layer version %s is in %.40q, which is no region", order.Layer, region).
			WithRemedy("tagboat status and tagboat unshared tell whole ARNs.")
	case len(order.Regions) > 0 && (len(order.Regions) > 1 || order.Regions[0] != region):
		return release.Errorf(release.Invalid, "layer version %s is in %s, and --in names %s", order.Layer, region, strings.Join(order.Regions, ", ")).
			WithRemedy("Leave --in out, or name the version as LAYER:VERSION.")
	}
	w.name, w.number, w.regions, w.asked = name, number, []string{region}, true
	return nil
}

func (w *wish) byName(registry release.Registry, order Unsharing) error {
	name, version, _ := strings.Cut(order.Layer, ":")
	number, err := strconv.ParseInt(version, 10, 64)
	if err != nil || number < 1 || !layerNamePattern.MatchString(name) {
		return release.Errorf(release.Invalid, "%.200q names no layer version, want LAYER:VERSION or its ARN", order.Layer).
			WithRemedy("For example orders-deps:7; tagboat status tells which are live.")
	}
	if len(order.Regions) > 0 {
		w.regions, w.asked = slices.Compact(slices.Sorted(slices.Values(order.Regions))), true
	}
	for _, region := range w.regions {
		if !slices.Contains(registry.Tools.Regions, region) {
			return release.Errorf(release.Invalid, "region %q is none of those in which layers are published: %s", region, strings.Join(registry.Tools.Regions, ", ")).
				WithRemedy("Name one of them with --in. A version in a region that was one of them is named by its ARN.")
		}
	}
	w.name, w.number = name, number
	return nil
}

// readGrant reads from whom the version is taken.
func readGrant(registry release.Registry, order Unsharing) (release.Grant, error) {
	given := 0
	for _, set := range []bool{order.Account != "", order.Organization != "", order.Public} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return release.Grant{}, release.Errorf(release.Invalid, "want one of an account, the organization and everyone, got %d", given).
			WithRemedy("Add --account ID, --organization or --public.")
	case order.Account != "" && !accountIDPattern.MatchString(order.Account):
		return release.Grant{}, release.Errorf(release.Invalid, "account is %.40q, want 12 digits", order.Account).
			WithRemedy("For example --account 333333333333.")
	case order.Organization == OwnOrganization && registry.Organization == "":
		return release.Grant{}, release.Errorf(release.Invalid, "the registry names no organization").
			WithRemedy("Say which: --organization=o-… with its id.")
	case order.Organization == OwnOrganization:
		return release.Grant{Organization: registry.Organization}, nil
	case order.Organization != "" && !organizationPattern.MatchString(order.Organization):
		return release.Grant{}, release.Errorf(release.Invalid, "organization is %.40q, want an id like o-abc1234567", order.Organization).
			WithRemedy("Leave the id out for the registry's own: --organization.")
	}
	return release.Grant{Account: order.Account, Organization: order.Organization, Public: order.Public}, nil
}

// toolsTarget is where a layer version is. The name stands where an app's would: it
// is what CloudTrail shows of a session.
func toolsTarget(region, arn string) release.Target {
	account, _, name, _, _ := layer.ParseVersion(arn) // of a version that was found
	return release.Target{Site: release.Site{Environment: release.ToolsEnvironment, Account: account, Region: region}, App: name}
}

// fingerprint identifies what a person was told.
func (f Unshared) fingerprint() string {
	revisions := make([]string, len(f.Regions))
	for i, in := range f.Regions {
		revisions[i] = in.version.Revision
	}
	f.Seen, f.DryRun, f.Unseen, f.Warnings = "", false, nil, nil
	text, _ := json.Marshal([]any{f, revisions}) // plain data always marshals
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
