package function_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tagboat/tagboat/internal/function"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

func TestASnapshotReadsNoMoreThanItNeeds(t *testing.T) {
	tests := []struct {
		name  string
		want  release.Want
		reads int
		check func(release.FunctionState) bool
	}{
		{"unchanged behind its alias", release.Want{Alias: alias, CodeSHA256: sum(oldZip)}, 2,
			func(f release.FunctionState) bool {
				return f.Alias.Version == "1" && f.Live.CodeSHA256 == sum(oldZip) && f.Latest == nil
			}},
		{"unchanged without an alias", release.Want{CodeSHA256: sum(oldZip)}, 1,
			func(f release.FunctionState) bool {
				return f.Alias == nil && f.Latest != nil && f.Latest.Version == "$LATEST"
			}},
		{"other code behind its alias", release.Want{Alias: alias, CodeSHA256: sum(newZip)}, 3,
			func(f release.FunctionState) bool { return f.Live != nil && f.Latest != nil }},
		{"an alias that is missing", release.Want{Alias: "fresh"}, 2,
			func(f release.FunctionState) bool { return f.Alias == nil && f.Live == nil && f.Latest != nil }},
		{"a function that is missing", release.Want{Name: "nobody", Alias: alias}, 2,
			func(f release.FunctionState) bool { return f.Missing && f.Name == "nobody" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				w.clearCalls()
				if test.want.Name == "" {
					test.want.Name = name
				}
				got := w.observe(ctx, test.want)
				if calls := len(w.cloud.Calls()); calls != test.reads {
					t.Errorf("%d calls, want %d: %v", calls, test.reads, w.calls())
				}
				if !test.check(got) {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

func TestASnapshotHoldsNoValues(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		got := w.observe(ctx, release.Want{Name: name, Alias: alias})
		if got.Live.Environment["SECRET"] != release.VariableHash("SECRET", "hunter22") {
			t.Errorf("environment %q, want hashes", got.Live.Environment)
		}
		if got.Live.Runtime != runtime || got.Live.Handler != "app.handler" || len(got.Live.Layers) != 2 || got.Live.Layers[0].CodeSize == 0 || got.Live.RevisionID == "" {
			t.Errorf("got %+v", got.Live)
		}
	})
}

// sealed is a client to whom the key of the variables is forbidden.
type sealed struct{ function.API }

func (s sealed) GetFunction(ctx context.Context, in *lambda.GetFunctionInput, o ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error) {
	out, err := s.API.GetFunction(ctx, in, o...)
	if err == nil {
		out.Configuration.Environment = &types.EnvironmentResponse{
			Error: &types.EnvironmentError{ErrorCode: aws.String("AccessDeniedException"), Message: aws.String("not authorized to perform: kms:Decrypt")},
		}
	}
	return out, err
}

func TestVariablesThatCannotBeReadAreOnlyInTheWayOfWhoChangesThem(t *testing.T) {
	w := newWorld(t)
	w.api = sealed{w.api}
	w.do(func(ctx context.Context) {
		changing := release.Want{Name: name, Alias: alias, Environment: map[string]string{"MODE": "hash"}}
		_, err := w.functions.Snapshot(ctx, at, []release.Want{changing})
		if release.KindOf(err) != release.Denied || !strings.Contains(err.Error(), "kms:Decrypt") || release.RemedyOf(err) == "" {
			t.Errorf("got %v", err)
		}
		update, _ := w.steps(ctx, asPlanned)
		must(t, w.apply(ctx, update))
		f := w.state()
		if f.Latest.CodeSha256 != sum(newZip) || f.Latest.Environment["SECRET"] != "hunter22" {
			t.Errorf("got %+v", f.Latest)
		}
		must(t, w.rollBack(ctx, update))
	})
	assertRestored(t, w)
}

func TestARefusalNamesTheObjectAndTheRemedy(t *testing.T) {
	tests := []struct {
		name string
		err  error
		kind release.Kind
	}{
		{"denied", &types.KMSAccessDeniedException{Message: aws.String("no")}, release.Denied},
		{"throttled", sim.Throttled("lambda"), release.Transient},
		{"failed", sim.ServerError("lambda"), release.Transient},
		{"lost", sim.Timeout(), release.Transient},
		{"answered by something else", &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusNotFound}}, Err: errors.New("no JSON"),
		}, release.Invalid},
		{"full", &types.CodeStorageExceededException{Message: aws.String("full")}, release.Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.cloud.OnCall(func(sim.Call) sim.Fault { return sim.Fault{Before: test.err} })
			w.do(func(ctx context.Context) {
				_, err := w.functions.Snapshot(ctx, at, []release.Want{{Name: name}})
				if release.KindOf(err) != test.kind || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), account) ||
					!strings.Contains(err.Error(), test.err.Error()) {
					t.Errorf("got %v (%s), want kind %s", err, release.KindOf(err), test.kind)
				}
				if !strings.HasPrefix(test.name, "answered") && test.kind != release.Transient && release.RemedyOf(err) == "" {
					t.Error("there is no remedy")
				}
			})
		})
	}
}

// TestAChangedFunctionCostsAtMostEightCalls counts from the snapshot to the end
// of the shift. Waiting is not counted: GetFunction of the update and
// GetProvisionedConcurrencyConfig of the shift ask whether Lambda is ready.
func TestAChangedFunctionCostsAtMostEightCalls(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.clearCalls()
		update, shift := w.steps(ctx, withEverything)
		total := len(w.cloud.Calls())
		w.clearCalls()
		must(t, w.apply(ctx, update))
		must(t, w.apply(ctx, shift))
		for action, n := range w.calls() {
			if action != "GetFunction" && action != "GetProvisionedConcurrencyConfig" && action != "PutObject" {
				total += n
			}
		}
		if total > 8 {
			t.Errorf("%d calls, want at most 8: 3 of the snapshot and %v", total, w.calls())
		}
		w.clearCalls()
		want := release.Want{Name: name, Alias: alias, CodeSHA256: sum(newZip), Handler: "app.main"}
		if got := w.observe(ctx, want); !want.Unchanged(got) || len(w.cloud.Calls()) != 2 {
			t.Errorf("unchanged afterwards: %t, with %d calls, want 2", want.Unchanged(got), len(w.cloud.Calls()))
		}
	})
}
