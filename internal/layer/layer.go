// Package layer publishes layer versions in the tools account, shares them with
// other accounts, and checks that those who are going to use them can.
//
// A layer version is identified by the digest of its content, runtimes and
// architectures ([release.LayerDigest]). PublishLayerVersion makes a new version
// each time and the list of versions tells no hash, so that the ledger remembers
// which digest became which version ([Known]). Where it does not, the newest
// version is compared: that also recognises a version whose publication was
// carried out and whose answer was lost. One release at a time publishes a
// layer in a region ([Lock]).
//
// Nothing here is undone by a rollback: published versions and grants stay,
// since earlier environments use them. Only a person takes a grant back
// ([Unsharer]), and it is not made again ([Revoked]).
package layer

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
	Publisher
	Sharer
	Pruner
}

// Reader reads layer versions.
type Reader interface {
	GetLayerVersion(context.Context, *lambda.GetLayerVersionInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionOutput, error)
	GetLayerVersionByArn(context.Context, *lambda.GetLayerVersionByArnInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionByArnOutput, error)
	ListLayerVersions(context.Context, *lambda.ListLayerVersionsInput, ...func(*lambda.Options)) (*lambda.ListLayerVersionsOutput, error)
}

// Publisher publishes layer versions.
type Publisher interface {
	PublishLayerVersion(context.Context, *lambda.PublishLayerVersionInput, ...func(*lambda.Options)) (*lambda.PublishLayerVersionOutput, error)
}

// PolicyReader reads the policies of layer versions.
type PolicyReader interface {
	GetLayerVersionPolicy(context.Context, *lambda.GetLayerVersionPolicyInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error)
}

// Sharer reads and extends the policies of layer versions.
type Sharer interface {
	PolicyReader
	AddLayerVersionPermission(context.Context, *lambda.AddLayerVersionPermissionInput, ...func(*lambda.Options)) (*lambda.AddLayerVersionPermissionOutput, error)
}

var _ API = (*lambda.Client)(nil)

// Known remembers which digest was published as which version.
type Known interface {
	LayerVersion(ctx context.Context, name, region, digest string) (arn string, ok bool, err error)
	// PutLayerVersion is durable when it returns. A later version of the same digest replaces the former.
	PutLayerVersion(ctx context.Context, name, region, digest, arn string) error
}

// Lock lets one release at a time publish a layer in a region.
type Lock interface {
	// Lock takes the lease, or keeps it if the holder has it already. held is
	// false if another release has it.
	Lock(ctx context.Context, name, region string, holder *release.Release) (held bool, err error)
	// Unlock gives the lease back. It does nothing if the holder has lost it.
	Unlock(ctx context.Context, name, region string, holder *release.Release) error
}

// Revoked remembers which grants people took back.
type Revoked interface {
	// Revocations are those of a layer version.
	Revocations(ctx context.Context, layer string) ([]release.Revocation, error)
	// RevokedBack records that the grant of a revocation is there again. The error is
	// of kind NotFound if it may be, since a person lifted that.
	RevokedBack(ctx context.Context, layer string, grant release.Grant) error
}

// Config is what [Layers] works with.
type Config struct {
	// Lambda gives a client at a target with the permissions of a phase.
	Lambda  func(context.Context, release.Target, release.Phase) (API, error)
	Known   Known
	Lock    Lock
	Revoked Revoked
	Clock   clock.Clock
}

// Layers carries out steps of the kinds PublishLayer and ShareLayer.
type Layers struct{ cfg Config }

var _ release.Stepper = (*Layers)(nil)

// New makes Layers.
func New(cfg Config) *Layers { return &Layers{cfg} }

// Apply does the next thing of a step.
func (l *Layers) Apply(ctx context.Context, w *release.Work) (time.Duration, error) {
	switch {
	case w.Step.Kind == release.PublishLayer && w.Step.Layer != nil:
		return l.publish(ctx, w)
	case w.Step.Kind == release.ShareLayer && w.Step.Share != nil:
		return l.share(ctx, w)
	}
	return 0, release.Errorf(release.Internal, "step %q of kind %q does not say which layer to publish or share", w.Step.ID, w.Step.Kind)
}

// RollBack does nothing: published versions and grants stay.
func (l *Layers) RollBack(context.Context, *release.Work) (time.Duration, error) { return 0, nil }
