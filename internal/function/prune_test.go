package function_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/release"
)

// published makes versions 2 to n of the function.
func (w *world) published(ctx context.Context, n int32) {
	for i := int32(2); i <= n; i++ {
		_, err := w.admin().UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), Timeout: aws.Int32(10 + i)})
		must(w.t, err)
		must(w.t, w.clock.Sleep(ctx, time.Minute))
		_, err = w.admin().PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String(name)})
		must(w.t, err)
	}
}

func TestOlderVersionsAreThoseBeyondTheNewestWithoutAliases(t *testing.T) {
	for _, test := range []struct {
		name string
		keep int
		want []int
	}{
		{"one is kept", 1, []int{2, 3}},
		{"as many as there are", 5, nil},
		{"all but the aliased and one", 3, []int{2}},
		{"none: the newest may be a release's that has no alias yet", 0, []int{2, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t) // alias live points at version 1
			w.do(func(ctx context.Context) {
				w.published(ctx, 5)
				_, err := w.admin().CreateAlias(ctx, &lambda.CreateAliasInput{
					FunctionName: aws.String(name), Name: aws.String("trial"), FunctionVersion: aws.String("1"),
					RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"4": 0.5}},
				})
				must(t, err)
				older, err := w.functions.Older(ctx, at, name, test.keep)
				must(t, err)
				var got []int
				for _, v := range older {
					got = append(got, v.Number)
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
			})
		})
	}
}

// late points an alias at a version when it is about to be deleted.
type late struct {
	function.API
	point func(context.Context)
}

func (l late) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionInput, o ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error) {
	l.point(ctx)
	return l.API.DeleteFunction(ctx, in, o...)
}

func TestAVersionIsDeletedByItsNumberAlone(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.published(ctx, 3)
		for range 2 { // one that is gone is deleted
			if kept, err := w.functions.DeleteVersion(ctx, at, name, "2"); kept != "" || err != nil {
				t.Errorf("it is kept: %q, %v; want it deleted", kept, err)
			}
		}
		for _, other := range []string{"", "$LATEST", alias} {
			if _, err := w.functions.DeleteVersion(ctx, at, name, other); release.KindOf(err) != release.Internal || err == nil {
				t.Errorf("deleting %q: got %v, want a refusal", other, err)
			}
		}
		w.api = late{w.api, func(ctx context.Context) {
			_, err := w.admin().CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String(name), Name: aws.String("back"), FunctionVersion: aws.String("3")})
			must(t, err)
		}}
		if kept, err := w.functions.DeleteVersion(ctx, at, name, "3"); kept == "" || err != nil {
			t.Errorf("it is kept: %q, %v; want it kept for the alias", kept, err)
		}
	})
	f, there := w.cloud.Function(account, region, name)
	if _, third := f.Version("3"); !there || !third || len(f.Published) != 2 {
		t.Errorf("the function has %d versions, want 1 and 3", len(f.Published))
	}
}
