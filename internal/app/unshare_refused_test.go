package app_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// wantNoRevocation checks that releases may share everything.
func (w *world) wantNoRevocation() {
	w.t.Helper()
	if all := w.revocations(); len(all) > 0 {
		w.t.Errorf("releases leave out %+v, want nothing", all)
	}
}

// deny refuses the removal of grants in some regions.
func (w *world) deny(regions ...string) {
	w.Cloud.OnCall(func(call sim.Call) sim.Fault {
		for _, region := range regions {
			if call.Action == "RemoveLayerVersionPermission" && strings.Contains(call.Resource, ":"+region+":") {
				return sim.Fault{Before: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform lambda:RemoveLayerVersionPermission"}}
			}
		}
		return sim.Fault{}
	})
}

func TestWhoMayNotTakeBackLeavesNoRecordThatReleasesFollow(t *testing.T) {
	w := released(t)
	before := w.sharing()
	w.deny(demo.Home, demo.Europe)
	if _, err := w.take(fromPartner); err == nil || release.KindOf(err) != release.Denied || release.RemedyOf(err) == "" {
		t.Fatalf("got %v (remedy %q), want a denial", err, release.RemedyOf(err))
	}
	w.wantSharing(before[demo.Home], before[demo.Europe])
	w.wantNoRevocation()

	w.deny(demo.Europe)
	_, err := w.take(fromPartner)
	if err == nil || release.KindOf(err) != release.Denied {
		t.Fatalf("got %v, want a denial", err)
	}
	wantText(t, err.Error(), "it was taken back in "+demo.Home)
	all := w.revocations()
	if len(all) != 1 || !strings.Contains(all[0].Layer, demo.Home) || all[0].Gone.IsZero() {
		t.Errorf("on record is %+v, want what is gone at home", all)
	}
	w.wantSharing(strings.Join([]string{ofDev, ofProd, ofAll}, " "), before[demo.Europe])
}

// TestARefusalKeepsWhatWasOnRecordBefore since an earlier order began it.
func TestARefusalKeepsWhatWasOnRecordBefore(t *testing.T) {
	w := released(t)
	arn := "arn:aws:lambda:" + demo.Home + ":" + demo.Tools + ":layer:orders-deps:1"
	w.in(func(ctx context.Context) {
		_, err := w.Local.Core().Ledger.Revoke(ctx, release.Revocation{Layer: arn, Grant: release.Grant{Account: demo.Partner}, Reason: "x", By: "bob"})
		if err != nil {
			t.Fatal(err)
		}
	})
	w.deny(demo.Home, demo.Europe)
	if _, err := w.take(fromPartner); err == nil || release.KindOf(err) != release.Denied {
		t.Fatalf("got %v, want a denial", err)
	}
	if all := w.revocations(); len(all) != 1 || all[0].By != "bob" {
		t.Errorf("on record is %+v, want bob's", all)
	}
}

// withBoth answers with a policy whose statement is for the partner and another,
// from the nth look on.
type withBoth struct {
	app.LambdaClient
	looks *int
	from  int
}

func (b withBoth) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyInput, o ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	out, err := b.LambdaClient.GetLayerVersionPolicy(ctx, in, o...)
	if *b.looks++; err == nil && *b.looks >= b.from {
		text := `{"Statement": [{"Sid": "both", "Effect": "Allow", "Action": "lambda:GetLayerVersion", "Principal": {"AWS": ["` + demo.Partner + `", "` + demo.Dev + `"]}}]}`
		out.Policy = &text
	}
	return out, err
}

func TestAStatementForOthersAsWellIsRefusedBeforeAnythingIsRecorded(t *testing.T) {
	for _, test := range []struct {
		name   string
		from   int
		dryRun bool
	}{
		{"by a look", 1, true},
		{"by an order", 1, false},
		{"when it came after the look", 3, false}, // which reads the policy of two regions
	} {
		t.Run(test.name, func(t *testing.T) {
			w, looks := released(t), 0
			whole := w.Local.Parts.Lambda
			w.Local.Parts.Lambda = func(ctx context.Context, target release.Target, phase release.Phase) (app.LambdaClient, error) {
				api, err := whole(ctx, target, phase)
				return withBoth{api, &looks, test.from}, err
			}
			order, before := fromPartner, w.sharing()
			order.DryRun = test.dryRun
			_, err := w.take(order)
			if err == nil || release.KindOf(err) != release.Conflict || release.RemedyOf(err) == "" {
				t.Fatalf("got %v, want a conflict", err)
			}
			wantText(t, err.Error(), `statement "both"`)
			w.wantSharing(before[demo.Home], before[demo.Europe])
			w.wantNoRevocation()
		})
	}
}

// TestAReleaseThatIsPlannedAfterTheLookIsSeen before anything goes.
func TestAReleaseThatIsPlannedAfterTheLookIsSeen(t *testing.T) {
	for _, test := range []struct {
		name          string
		force, seen   bool
		wantTakenBack bool
	}{
		{"nobody forces it", false, true, false},
		{"forced by what was told", true, true, false},
		{"forced whatever is so", true, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			wantState(t, w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3")), release.Succeeded)
			wantState(t, w.released("v1.2.0", demo.Files(demo.Handler, "2.33.0")), release.Succeeded) // no release needs version 1
			order := app.Unsharing{Layer: "orders-deps:1", Account: demo.Prod, Regions: []string{demo.Europe}, Reason: "x", By: "alice", Force: test.force}
			look := order
			look.DryRun = true
			if found := w.taken(look); len(found.NeedsForce) > 0 {
				t.Fatalf("needed by %v, want nobody", found.NeedsForce)
			} else if test.seen {
				order.Seen = found.Seen
			}
			before := w.sharing()
			var id string
			w.table.onCall = func(what string, _ bool) mishap {
				if id == "" && strings.HasPrefix(what, "Put revoked ") {
					id = "asked for"
					ctx := context.Background()
					id = w.pushed(ctx, "v1.3.0", demo.Files(code(3), "2.32.3"))
					w.untilTrue(ctx, id, "planned", func(rel release.Release) bool { return rel.Plan != (release.Pointer{}) })
				}
				return mishap{}
			}
			_, err := w.take(order)
			if test.wantTakenBack {
				if err != nil || len(w.revocations()) != 1 {
					t.Errorf("got %v, want it taken back", err)
				}
				return
			}
			if err == nil || release.KindOf(err) != release.Conflict || release.RemedyOf(err) == "" {
				t.Fatalf("got %v, want a conflict", err)
			}
			wantText(t, err.Error(), "release "+id+" is under way with it in eu-west-1", "nothing was taken back")
			w.wantSharing(before[demo.Home], before[demo.Europe])
			w.wantNoRevocation()
			w.settle()
			wantState(t, w.record(id), release.Succeeded)
		})
	}
}

// TestARegionThatLeftTheRegistryIsNamedByTheARN since what was published there is
// still shared.
func TestARegionThatLeftTheRegistryIsNamedByTheARN(t *testing.T) {
	w := released(t)
	home := w.sharing()[demo.Home]
	w.register(edited(t, demo.Registry, "  regions: [us-east-1, eu-west-1]\n  buckets: {eu-west-1: tagboat-staging-999999999999-eu-west-1}", "  regions: [us-east-1]",
		"regions: [us-east-1, eu-west-1]", "regions: [us-east-1]"))
	byName := fromPartner
	byName.Regions = []string{demo.Europe}
	_, err := w.take(byName)
	if err == nil || release.KindOf(err) != release.Invalid {
		t.Fatalf("got %v, want that the region is none of the registry's", err)
	}
	wantText(t, release.RemedyOf(err), "by its ARN")

	order := fromPartner
	order.Layer = "arn:aws:lambda:" + demo.Europe + ":" + demo.Tools + ":layer:orders-deps:1"
	w.taken(order)
	w.wantSharing(home, ofProd+" "+ofAll)
	w.in(func(ctx context.Context) {
		lifted, err := w.Local.Unshares().Reshare(ctx, app.Resharing{Layer: order.Layer, Account: demo.Partner, By: "bob"})
		if err != nil || len(lifted) != 1 {
			t.Errorf("lifted %+v, %v", lifted, err)
		}
	})
	w.wantNoRevocation()
}
