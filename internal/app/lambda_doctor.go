package app

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// reportTime is what is left of an invocation to answer in when the looks end.
const reportTime = 10 * time.Second

// Doctor looks from inside, with these clients.
func (p *Parts) Doctor(clients *awsapi.Clients, registry release.Registry) *doctor.Inside {
	d := &doctor.Inside{
		Registry: registry,
		Roles:    sts.NewFromConfig(clients.Config("")),
		Functions: func(ctx context.Context, t release.Target, phase release.Phase) (doctor.Functions, error) {
			return clients.Lambda(ctx, t, phase)
		},
		Objects: func(_ context.Context, t release.Target, phase release.Phase) (doctor.Objects, error) {
			return clients.TargetS3(t, phase)
		},
		Layers: p.layers().CheckAccess,
	}
	if p.Table != nil {
		d.Ledger = ledger.New(p.Table, p.Clock)
	}
	return d
}

// RunDoctor answers a [doctor.Question] with what can be seen from inside. What
// there is no time for is told as not checked.
func RunDoctor() {
	run(func(_ context.Context, p *Parts, clients *awsapi.Clients) (any, error) {
		return func(ctx context.Context, q doctor.Question) (doctor.Report, error) {
			if end, limited := ctx.Deadline(); limited {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, end.Add(-reportTime))
				defer cancel()
			}
			registry, err := p.Registry(ctx)
			if err != nil {
				return nil, lambdaError(ctx, p.Log, err)
			}
			return p.Doctor(clients, registry).Do(ctx, q), nil
		}, nil
	}, NeedTargets)
}
