// Package function brings Lambda functions to new code, layers and settings,
// moves the traffic of their aliases, and undoes both.
//
// [Functions.Snapshot] reads, [Functions.Apply] and [Functions.RollBack] carry
// out one step in turns. A turn looks at the function, does the next thing and
// says how long to wait; nothing of what it decides by is kept in memory, so
// that it can be run again after a crash on any line:
//
//   - a write whose answer was lost is recognised in the function itself;
//   - PublishVersion answers with the last version where nothing has changed
//     (Lambda API reference), so that no version is published twice;
//   - the weight of an alias is read from the alias, and an interval that is in
//     doubt begins anew.
//
// Only code, layers, runtime, handler and the named variables (all of them where an
// earlier release is brought back) are ever written, each write with the RevisionId
// of what it was decided by. Where somebody else changes the same things meanwhile,
// the step ends with a conflict.
package function

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// API is what is needed of Lambda. The SDK's client satisfies it.
type API interface {
	Reader
	Updater
	Aliases
	Invoker
	Pruner
}

// Reader reads functions and aliases. GetFunction has a quota of its own; the
// other reads share one with everybody in the account (Lambda quotas).
type Reader interface {
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	GetProvisionedConcurrencyConfig(context.Context, *lambda.GetProvisionedConcurrencyConfigInput, ...func(*lambda.Options)) (*lambda.GetProvisionedConcurrencyConfigOutput, error)
}

// Updater changes $LATEST and publishes it.
type Updater interface {
	UpdateFunctionCode(context.Context, *lambda.UpdateFunctionCodeInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error)
	UpdateFunctionConfiguration(context.Context, *lambda.UpdateFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error)
	PublishVersion(context.Context, *lambda.PublishVersionInput, ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error)
}

// Aliases changes aliases.
type Aliases interface {
	CreateAlias(context.Context, *lambda.CreateAliasInput, ...func(*lambda.Options)) (*lambda.CreateAliasOutput, error)
	UpdateAlias(context.Context, *lambda.UpdateAliasInput, ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error)
	DeleteAlias(context.Context, *lambda.DeleteAliasInput, ...func(*lambda.Options)) (*lambda.DeleteAliasOutput, error)
}

// Invoker invokes a function for the smoke test.
type Invoker interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

var _ API = (*lambda.Client)(nil)

// Archive keeps the code that functions had, so that a rollback has it.
type Archive interface {
	// StagedCode finds a staged archive by Lambda's sha256 (base64).
	StagedCode(ctx context.Context, app, region, codeSHA256 string) (release.Object, bool, error)
	// SaveCode stages the code of a function, which the presigned url gives, after
	// checking its sha256. It is durable when it returns, and may be called again.
	SaveCode(ctx context.Context, app, region, function, codeSHA256, url string) (release.Object, error)
}

// Config is what [Functions] works with.
type Config struct {
	// Lambda gives a client at a target with the permissions of a phase.
	Lambda func(context.Context, release.Target, release.Phase) (API, error)
	// Alarms gives a client of CloudWatch at a target.
	Alarms  func(context.Context, release.Target) (AlarmsAPI, error)
	Archive Archive
	Clock   clock.Clock
}

// Functions carries out steps of the kinds UpdateFunction and ShiftTraffic.
type Functions struct{ cfg Config }

var _ release.Stepper = (*Functions)(nil)

// New makes Functions.
func New(cfg Config) *Functions { return &Functions{cfg} }

// Apply does the next thing of a step.
func (f *Functions) Apply(ctx context.Context, w *release.Work) (time.Duration, error) {
	switch w.Step.Kind {
	case release.UpdateFunction:
		u, err := f.update(ctx, w, release.PhaseUpdate)
		if err != nil {
			return 0, err
		}
		return u.apply(ctx)
	case release.ShiftTraffic:
		s, err := f.shift(ctx, w, release.PhaseShift)
		if err != nil {
			return 0, err
		}
		return s.apply(ctx)
	}
	return 0, unknownKind(w)
}

// RollBack does the next thing of undoing a step. It does nothing for a step
// that never came to its first write.
func (f *Functions) RollBack(ctx context.Context, w *release.Work) (time.Duration, error) {
	if !w.Result.Touched {
		return 0, nil
	}
	switch w.Step.Kind {
	case release.UpdateFunction:
		u, err := f.update(ctx, w, release.PhaseRollBack)
		if err != nil {
			return 0, err
		}
		return u.rollBack(ctx)
	case release.ShiftTraffic:
		s, err := f.shift(ctx, w, release.PhaseRollBack)
		if err != nil {
			return 0, err
		}
		return s.rollBack(ctx)
	}
	return 0, unknownKind(w)
}

func unknownKind(w *release.Work) error {
	return release.Errorf(release.Internal, "step %q is of kind %q, want %q or %q",
		w.Step.ID, w.Step.Kind, release.UpdateFunction, release.ShiftTraffic)
}
