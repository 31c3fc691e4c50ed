package app_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// TestWhatIsNotSoundIsSeen makes each thing that [world.problems] looks for, in a world in
// which all was well.
func TestWhatIsNotSoundIsSeen(t *testing.T) {
	name, deps, one := aws.String("orders-api"), aws.String("orders-deps"), aws.Int64(1)
	record := func(change func(*release.Release)) func(w *world, ctx context.Context, id string) error {
		return func(w *world, ctx context.Context, id string) error {
			item, err := w.table.Get(ctx, ledger.Key{Partition: "release/" + id, Sort: "record"}) // the ledger would refuse
			if err != nil {
				return err
			}
			var rel release.Release
			if err := json.Unmarshal(item.Body, &rel); err != nil {
				return err
			}
			change(&rel)
			if item.Body, err = json.Marshal(rel); err != nil {
				return err
			}
			return w.table.Put(ctx, item)
		}
	}
	for want, plant := range map[string]func(w *world, ctx context.Context, id string) error{
		"has weights": func(w *world, ctx context.Context, _ string) error {
			_, err := w.Cloud.Root(demo.Dev).Lambda(demo.Home).UpdateAlias(ctx, &lambda.UpdateAliasInput{
				FunctionName: name, Name: aws.String("live"),
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 0.1}},
			})
			return err
		},
		"and the ledger says": func(w *world, ctx context.Context, _ string) error {
			_, err := w.Cloud.Root(demo.Dev).Lambda(demo.Home).UpdateAlias(ctx, &lambda.UpdateAliasInput{
				FunctionName: name, Name: aws.String("live"), FunctionVersion: aws.String("1"),
			})
			return err
		},
		"which does not exist": func(w *world, ctx context.Context, _ string) error {
			_, err := w.Cloud.Root(demo.Tools).Lambda(demo.Home).DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: deps, VersionNumber: one})
			return err
		},
		"which no release says": func(w *world, ctx context.Context, _ string) error {
			_, err := w.Cloud.Root(demo.Tools).Lambda(demo.Home).AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
				LayerName: deps, VersionNumber: one, StatementId: aws.String("planted"), Action: aws.String("lambda:GetLayerVersion"),
				Principal: aws.String("555555555555"),
			})
			return err
		},
		"was shared with account " + demo.Prod: func(w *world, ctx context.Context, _ string) error {
			_, err := w.Cloud.Root(demo.Tools).Lambda(demo.Home).RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{
				LayerName: deps, VersionNumber: one, StatementId: aws.String("tagboat-account-" + demo.Prod),
			})
			return err
		},
		"is held by": func(w *world, ctx context.Context, id string) error {
			_, _, err := w.Local.Core().Ledger.Acquire(ctx, "env/orders/dev", ledger.Holder{Release: id, Execution: id}, ledger.Ask{Call: ledger.Call{Token: "t"}, TTL: time.Hour})
			return err
		},
		"not ended":        record(func(rel *release.Release) { rel.State = release.Running }),
		"and says nothing": record(func(rel *release.Release) { rel.State, rel.Error = release.FailedClean, "" }),
		"succeeded and says": record(func(rel *release.Release) {
			rel.Error = "something"
		}),
		"with environment dev open": record(func(rel *release.Release) { rel.Environments[0].State = release.EnvironmentOpen }),
		"is free":                   record(func(rel *release.Release) { rel.Environments[0].State = release.EnvironmentDirty }),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			rel := w.released("v1.1.0", quick(t, demo.Handler))
			wantState(t, rel, release.Succeeded)
			w.sound()
			w.in(func(ctx context.Context) {
				if err := plant(w, ctx, rel.ID); err != nil {
					t.Error(err)
				}
			})
			if problems := w.problems(); !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, want) }) {
				t.Errorf("seen: %q, want one that contains %q", problems, want)
			}
		})
	}
}

// TestADoneEnvironmentThatIsNotAsPlannedIsSeen puts other code behind the alias of a function
// and other layers into it, and looks whether a release still counts as done there.
func TestADoneEnvironmentThatIsNotAsPlannedIsSeen(t *testing.T) {
	w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
	rel := w.released("v1.1.0", quick(t, demo.Handler))
	wantState(t, rel, release.Succeeded)
	if problems := w.notAsPlanned(rel, "dev"); len(problems) > 0 {
		t.Errorf("before anything was planted: %q", problems)
	}
	w.in(func(ctx context.Context) { w.moveAlias(ctx, demo.Dev, demo.Home, "orders-api", "1") })
	problems := strings.Join(w.notAsPlanned(rel, "dev"), "\n")
	wantText(t, problems, "runs version", "runs code", "uses layers")
}
