package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// fromPartner takes the first version of the demo's layer from the partner.
var fromPartner = app.Unsharing{Layer: "orders-deps:1", Account: demo.Partner, Reason: "the contract has ended", By: "alice"}

// take places an order from inside of the clock, or outside of it.
func (w *world) take(order app.Unsharing) (found app.Unshared, err error) {
	w.t.Helper()
	w.in(func(ctx context.Context) { found, err = w.Local.Unshares().Take(ctx, order) })
	return found, err
}

// taken is take of what has to succeed.
func (w *world) taken(order app.Unsharing) app.Unshared {
	w.t.Helper()
	found, err := w.take(order)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// sharing names, for each region, with whom the first version of the layer is shared.
func (w *world) sharing() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, region := range []string{demo.Home, demo.Europe} {
		var with []string
		for _, g := range w.Cloud.LayerVersions(demo.Tools, region, "orders-deps")[0].Grants {
			with = append(with, strings.TrimPrefix(g.StatementID, "tagboat-"))
		}
		slices.Sort(with)
		found[region] = strings.Join(with, " ")
	}
	return found
}

// wantSharing checks [world.sharing].
func (w *world) wantSharing(home, europe string) {
	w.t.Helper()
	if got, want := w.sharing(), map[string]string{demo.Home: home, demo.Europe: europe}; fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("shared with %v, want %v", got, want)
	}
}

const (
	ofDev, ofProd, ofPartner = "account-" + demo.Dev, "account-" + demo.Prod, "account-" + demo.Partner
	ofAll                    = "organization-" + demo.Organization
)

// grantByHand shares the first version with somebody.
func grantByHand(principal string) func(context.Context, *sim.LambdaClient) error {
	return func(ctx context.Context, api *sim.LambdaClient) error {
		_, err := api.AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
			LayerName: aws.String("orders-deps"), VersionNumber: aws.Int64(1), StatementId: aws.String("by-hand"),
			Principal: &principal, Action: aws.String("lambda:GetLayerVersion"),
		})
		return err
	}
}

func (w *world) revocations() (all []release.Revocation) {
	w.t.Helper()
	w.read(func(ctx context.Context) {
		var err error
		if all, err = w.Local.Core().Ledger.Revocations(ctx, ""); err != nil {
			w.t.Fatal(err)
		}
	})
	return all
}

func released(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, worldOptions{})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
	w.wantSharing(strings.Join([]string{ofDev, ofProd, ofPartner, ofAll}, " "), strings.Join([]string{ofProd, ofPartner, ofAll}, " "))
	return w
}

func TestWhatIsTakenBackIsNotSharedAgainUntilSomebodySaysSo(t *testing.T) {
	w := released(t)
	look := fromPartner
	look.DryRun = true
	calls := w.calls()
	found := w.taken(look)
	if writes := w.writes(calls); len(writes) > 0 || len(w.revocations()) > 0 {
		t.Errorf("a look changed something: %+v, %+v", writes, w.revocations())
	}
	if len(found.Functions) > 0 || len(found.NeedsForce) > 0 || len(found.Warnings) != 2 || len(found.Unseen) != 1 || found.Regions[0].State != app.UnshareShared {
		t.Errorf("found %+v", found)
	}
	wantText(t, found.Unseen[0], "account 333333333333, which is not in the registry")

	order := fromPartner
	order.Seen = found.Seen
	for range 2 { // again does no harm
		for _, in := range w.taken(order).Regions {
			if in.State != app.UnshareTaken || in.Revocation == nil || in.Revocation.Gone.IsZero() {
				t.Errorf("in %s it is %+v", in.Region, in)
			}
		}
		order.Seen = ""
	}
	without := func() {
		t.Helper()
		w.wantSharing(strings.Join([]string{ofDev, ofProd, ofAll}, " "), strings.Join([]string{ofProd, ofAll}, " "))
	}
	without()
	for _, r := range w.revocations() {
		if r.By != "alice" || r.Reason != fromPartner.Reason || r.Grant != (release.Grant{Account: demo.Partner}) {
			t.Errorf("on record is %+v", r)
		}
	}
	wantState(t, w.released("v1.2.0", demo.Files(code(2), "2.32.3")), release.Succeeded) // of the same layer
	without()

	w.in(func(ctx context.Context) {
		lifted, err := w.Local.Unshares().Reshare(ctx, app.Resharing{Layer: "orders-deps:1", Account: demo.Partner, By: "bob"})
		if err != nil || len(lifted) != 2 {
			t.Errorf("lifted %+v, %v", lifted, err)
		}
	})
	without()
	wantState(t, w.released("v1.3.0", demo.Files(code(3), "2.32.3")), release.Succeeded)
	w.wantSharing(strings.Join([]string{ofDev, ofProd, ofPartner, ofAll}, " "), strings.Join([]string{ofProd, ofPartner, ofAll}, " "))
	w.sound()
}

func TestANewVersionOfTheLayerIsSharedAsTheManifestAsks(t *testing.T) {
	w := released(t)
	w.taken(fromPartner)
	wantState(t, w.released("v1.2.0", demo.Files(demo.Handler, "2.33.0")), release.Succeeded)
	grants := w.Cloud.LayerVersions(demo.Tools, demo.Home, "orders-deps")[1].Grants
	if !slices.ContainsFunc(grants, func(g sim.Grant) bool { return g.Principal == demo.Partner }) {
		t.Errorf("version 2 is shared with %+v, want the partner among them", grants)
	}
}

func TestWhatIsLiveIsTakenByForceOnly(t *testing.T) {
	w := released(t)
	before := w.sharing()
	order := app.Unsharing{Layer: "orders-deps:1", Account: demo.Prod, Regions: []string{demo.Europe}, Reason: "x", By: "alice"}
	_, err := w.take(order)
	if release.KindOf(err) != release.Conflict || err == nil {
		t.Fatalf("got %v, want a conflict", err)
	}
	wantText(t, err.Error(), "orders 1.1.0 is live with it in prod (account 222222222222, eu-west-1)")
	wantText(t, release.RemedyOf(err), "--force")
	if after := w.sharing(); fmt.Sprint(after) != fmt.Sprint(before) || len(w.revocations()) > 0 {
		t.Errorf("it was taken: %v, %+v", after, w.revocations())
	}
	order.Force = true
	found := w.taken(order)
	w.wantSharing(before[demo.Home], ofPartner+" "+ofAll)
	again := order
	again.Force = false
	w.taken(again) // nothing is left to force
	want := []string{"orders-api [$LATEST 2]", "orders-worker [$LATEST 2]"}
	var got []string
	for _, f := range found.Functions {
		got = append(got, fmt.Sprintf("%s %v", f.Function, f.Versions))
		if f.Account != demo.Prod || f.Region != demo.Europe || f.App != "orders" || f.Environment != "prod" {
			t.Errorf("a function is told as %+v", f)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("functions %v, want %v", got, want)
	}
	// What runs keeps running, and the next release of the same layer says what is the matter.
	if f, err := w.Function(demo.Sites()[2], "orders-api"); err != nil || len(f.Latest.Layers) != 2 {
		t.Errorf("the function has %v, %v", f.Latest.Layers, err)
	}
}

func TestAnOwnTargetWithoutAnyGrantLeftForbidsTheNextRelease(t *testing.T) {
	w := released(t)
	w.taken(app.Unsharing{Layer: "orders-deps:1", Organization: app.OwnOrganization, Reason: "x", By: "alice"})
	w.taken(app.Unsharing{Layer: "orders-deps:1", Account: demo.Dev, Force: true, Reason: "x", By: "alice"})
	w.wantSharing(ofProd+" "+ofPartner, ofProd+" "+ofPartner)
	before := w.targets()
	rel := w.released("v1.2.0", demo.Files(code(2), "2.32.3"))
	wantState(t, rel, release.Refused)
	wantText(t, rel.Error, "was taken back from account "+demo.Dev+" by alice (x)", "--undo")
	w.unchanged(before)
	wantState(t, w.released("v1.3.0", demo.Files(code(3), "2.33.0")), release.Succeeded)
	w.sound()
}

func TestWhatAReleaseUnderWayNeedsIsTakenByForceOnly(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var id string
	w.in(func(ctx context.Context) {
		id = w.canary(ctx)
		_, err := w.Local.Unshares().Take(ctx, app.Unsharing{Layer: "orders-deps:1", Account: demo.Prod, Reason: "x", By: "alice"})
		if err == nil || !strings.Contains(err.Error(), "release "+id+" is under way with it in us-east-1") {
			t.Errorf("got %v", err)
		}
	})
	w.settle()
	wantState(t, w.record(id), release.Succeeded)
}

// TestTakingBackMayDieAnywhere fails each call of an order once, before and after
// it is carried out; the same order again comes to the same end.
func TestTakingBackMayDieAnywhere(t *testing.T) {
	try := func(t *testing.T, n int, after bool) (calls int) {
		w := released(t)
		broken := release.Errorf(release.Internal, "killed")
		next := func() (before, late error) {
			calls++
			switch {
			case calls != n:
			case after:
				return nil, broken
			default:
				return broken, nil
			}
			return nil, nil
		}
		w.table.onCall = func(string, bool) mishap { before, late := next(); return mishap{before: before, after: late} }
		w.Cloud.OnCall(func(call sim.Call) sim.Fault {
			if call.Service != "lambda" {
				return sim.Fault{}
			}
			before, late := next()
			return sim.Fault{Before: before, After: late}
		})
		if _, err := w.take(fromPartner); err != nil {
			if n == 0 {
				t.Fatal(err)
			}
			if len(w.revocations()) == 0 && w.sharing()[demo.Home] != strings.Join([]string{ofDev, ofProd, ofPartner, ofAll}, " ") {
				t.Error("a grant is gone of which nothing is on record")
			}
			w.taken(fromPartner)
		}
		w.table.onCall = nil
		w.wantSharing(strings.Join([]string{ofDev, ofProd, ofAll}, " "), strings.Join([]string{ofProd, ofAll}, " "))
		for _, r := range w.revocations() {
			if r.Gone.IsZero() {
				t.Errorf("not known to be gone: %+v", r)
			}
		}
		return calls
	}
	calls := try(t, 0, false)
	if calls < 15 {
		t.Fatalf("only %d calls", calls)
	}
	for n := range calls {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, after %t", n+1, after), func(t *testing.T) {
				t.Parallel()
				try(t, n+1, after)
			})
		}
	}
}

func TestAnOrderThatWasGivenForSomethingElseIsRefused(t *testing.T) {
	w := released(t)
	look := fromPartner
	look.DryRun = true
	order := fromPartner
	order.Seen = w.taken(look).Seen
	w.taken(app.Unsharing{Layer: "orders-deps:1", Organization: app.OwnOrganization, Reason: "x", By: "bob"})
	if _, err := w.take(order); release.KindOf(err) != release.Conflict || err == nil || !strings.Contains(err.Error(), "nothing was taken back") {
		t.Errorf("got %v, want a conflict", err)
	}
	w.wantSharing(strings.Join([]string{ofDev, ofProd, ofPartner}, " "), ofProd+" "+ofPartner)
}

func TestTakingItFromOneWhileEveryoneHasItIsRefused(t *testing.T) {
	w := released(t)
	w.admin(demo.Tools, demo.Home, grantByHand("*"))
	_, err := w.take(fromPartner)
	if release.KindOf(err) != release.Conflict || err == nil || !strings.Contains(release.RemedyOf(err), "--public") {
		t.Errorf("got %v, want a conflict", err)
	}
	w.taken(app.Unsharing{Layer: "orders-deps:1", Public: true, Reason: "x", By: "alice"})
	w.taken(fromPartner)
	w.wantSharing(strings.Join([]string{ofDev, ofProd, ofAll}, " "), strings.Join([]string{ofProd, ofAll}, " "))
}

// TestWhatCannotBeListedIsToldFromTheLedger as with a stack, whose caller may take
// no target's role.
func TestWhatCannotBeListedIsToldFromTheLedger(t *testing.T) {
	w := released(t)
	whole := w.Local.Parts.Lambda
	w.Local.Parts.Lambda = func(ctx context.Context, target release.Target, phase release.Phase) (app.LambdaClient, error) {
		if target.Role != "" {
			return nil, release.Errorf(release.Denied, "not for you")
		}
		return whole(ctx, target, phase)
	}
	found := w.taken(app.Unsharing{Layer: "orders-deps:1", Account: demo.Dev, DryRun: true})
	if len(found.NeedsForce) != 1 || len(found.Unseen) != 1 || len(found.Functions) != 2 {
		t.Fatalf("found %+v", found)
	}
	wantText(t, found.Unseen[0], "functions of account 111111111111 in us-east-1 (dev), beyond those that the ledger knows: not for you")
	if f := found.Functions[0]; f.Function != "orders-api" || len(f.Versions) != 0 || f.App != "orders" || f.Release == "" {
		t.Errorf("a function is told as %+v", f)
	}
}

func TestOrdersToTakeBackThatAreRefused(t *testing.T) {
	w := released(t)
	good := app.Unsharing{Layer: "orders-deps:1", Account: demo.Partner, Reason: "x", By: "alice"}
	for _, test := range []struct {
		name   string
		change func(*app.Unsharing)
		kind   release.Kind
		says   string
	}{
		{"without a reason", func(o *app.Unsharing) { o.Reason = "" }, release.Invalid, "reason"},
		{"by nobody", func(o *app.Unsharing) { o.By = "" }, release.Invalid, "by"},
		{"from nobody", func(o *app.Unsharing) { o.Account = "" }, release.Invalid, "want one of"},
		{"from two", func(o *app.Unsharing) { o.Public = true }, release.Invalid, "want one of"},
		{"from no account", func(o *app.Unsharing) { o.Account = "partner" }, release.Invalid, `account is "partner"`},
		{"from no organisation", func(o *app.Unsharing) { o.Account, o.Organization = "", "acme" }, release.Invalid, `organization is "acme"`},
		{"of no version", func(o *app.Unsharing) { o.Layer = "orders-deps" }, release.Invalid, `"orders-deps" names no layer version`},
		{"of version 0", func(o *app.Unsharing) { o.Layer = "orders-deps:0" }, release.Invalid, "names no layer version"},
		{"of another account's", func(o *app.Unsharing) { o.Layer = "arn:aws:lambda:us-east-1:444444444444:layer:tracing:3" }, release.Invalid, "account 444444444444's"},
		{"of half an ARN", func(o *app.Unsharing) { o.Layer = "arn:aws:lambda:us-east-1" }, release.Invalid, "is not the ARN of a layer version"},
		{"in no region", func(o *app.Unsharing) { o.Layer = "arn:aws:lambda:evil.example:" + demo.Tools + ":layer:orders-deps:1" }, release.Invalid, "which is no region"},
		{"in a region of somebody else", func(o *app.Unsharing) { o.Regions = []string{"ap-south-1"} }, release.Invalid, `region "ap-south-1" is none`},
		{"in another region than its ARN's", func(o *app.Unsharing) {
			o.Layer, o.Regions = "arn:aws:lambda:us-east-1:"+demo.Tools+":layer:orders-deps:1", []string{demo.Europe}
		}, release.Invalid, "--in names eu-west-1"},
		{"of a version that is not there", func(o *app.Unsharing) { o.Layer = "orders-deps:9" }, release.NotFound, "orders-deps:9 does not exist in us-east-1, eu-west-1"},
		{"from whom it is not shared with", func(o *app.Unsharing) { o.Account = "444444444444" }, release.NotFound,
			"is not shared with account 444444444444: in us-east-1 it is shared with account 111111111111, "},
		{"from everyone", func(o *app.Unsharing) { o.Account, o.Public = "", true }, release.NotFound, "is not shared with everyone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			order, calls := good, w.calls()
			test.change(&order)
			_, err := w.take(order)
			if err == nil || release.KindOf(err) != test.kind || release.RemedyOf(err) == "" {
				t.Fatalf("got %v (remedy %q), want kind %s", err, release.RemedyOf(err), test.kind)
			}
			wantText(t, err.Error(), test.says)
			if writes := w.writes(calls); len(writes) > 0 || len(w.revocations()) > 0 {
				t.Errorf("something was changed: %+v, %+v", writes, w.revocations())
			}
		})
	}
	w.in(func(ctx context.Context) {
		_, err := w.Local.Unshares().Reshare(ctx, app.Resharing{Layer: "orders-deps:1", Account: demo.Partner, By: "bob"})
		if err == nil || release.KindOf(err) != release.NotFound {
			t.Errorf("what was not taken back is shared again: %v", err)
		}
	})
}

// TestVersionsOfOneNumberThatDifferAreTakenRegionByRegion since regions count for themselves.
func TestVersionsOfOneNumberThatDifferAreTakenRegionByRegion(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.admin(demo.Tools, demo.Europe, func(ctx context.Context, api *sim.LambdaClient) error {
		_, err := api.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
			LayerName: aws.String("orders-deps"), Content: &types.LayerVersionContentInput{ZipFile: zipped(t, map[string]string{"python/else.py": "x"})},
		})
		return err
	})
	wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded) // version 1 at home, 2 in Europe
	w.admin(demo.Tools, demo.Europe, grantByHand(demo.Partner))
	_, err := w.take(fromPartner)
	if release.KindOf(err) != release.Conflict || err == nil || !strings.Contains(release.RemedyOf(err), "--in eu-west-1") {
		t.Fatalf("got %v, want a conflict", err)
	}
	order := fromPartner
	order.Regions = []string{demo.Home}
	w.taken(order)
	w.wantSharing(strings.Join([]string{ofDev, ofProd, ofAll}, " "), "by-hand")
}
