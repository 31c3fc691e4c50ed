package layer

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/release"
)

// lockWait is how long to wait while another release publishes the layer.
const lockWait = 5 * time.Second

// publish reuses a version with the wanted content or publishes one, alone with
// the layer in its region.
func (l *Layers) publish(ctx context.Context, w *release.Work) (wait time.Duration, err error) {
	if w.Result.LayerVersion != "" {
		return 0, nil
	}
	api, err := l.cfg.Lambda(ctx, w.Target, release.PhasePublish)
	if err != nil {
		return 0, err
	}
	region := w.Target.Region
	held, err := l.cfg.Lock.Lock(ctx, w.Step.Layer.Name, region, w.Release)
	if err != nil {
		return 0, err
	}
	if !held {
		return lockWait, nil
	}
	defer func() {
		if err != nil && w.Result.Touched && release.KindOf(err) == release.Transient {
			// A version may be published and not remembered. It is recognised as the
			// newest by the next try: nobody may publish another before. If there is
			// none, the sweep ends the lock with the release.
			return
		}
		// A lease that is not given back expires; the publication counts all the same.
		if unlockErr := l.cfg.Lock.Unlock(ctx, w.Step.Layer.Name, region, w.Release); err == nil {
			err = unlockErr
		}
	}()
	return 0, l.publishLocked(ctx, api, w)
}

func (l *Layers) publishLocked(ctx context.Context, api API, w *release.Work) error {
	step := w.Step.Layer
	want := Wanted{step.Name, step.Digest, step.CodeSHA256, step.Runtimes, step.Architectures}
	v, ok, err := l.recall(ctx, api, w.Target.Site, want)
	if err == nil && !ok && w.Result.Touched {
		v, ok, err = l.findAgain(ctx, api, w, want)
	}
	if err != nil {
		return err
	}
	arn := v.String()
	if !ok {
		if arn, err = l.publishVersion(ctx, api, w); err != nil {
			return err
		}
	}
	w.Result.LayerVersion = arn
	w.Result.After = arn
	return w.Save(ctx)
}

// findAgain looks once more for what an earlier turn may have published, when
// everybody has to know of it.
func (l *Layers) findAgain(ctx context.Context, api API, w *release.Work, want Wanted) (version, bool, error) {
	wait := w.Result.Wrote.Add(release.ReadLag).Sub(l.cfg.Clock.Now())
	if wait <= 0 {
		return version{}, false, nil
	}
	if err := l.cfg.Clock.Sleep(ctx, wait); err != nil {
		return version{}, false, release.Errorf(release.Transient, "look for layer %q: %w", want.Name, err)
	}
	return l.recall(ctx, api, w.Target.Site, want)
}

// publishVersion makes a version of the staged object. If the answer is lost,
// or we crash before it is remembered, the newest version is recognised by its content;
// when it was last tried is recorded each time.
func (l *Layers) publishVersion(ctx context.Context, api Publisher, w *release.Work) (string, error) {
	step := w.Step.Layer
	w.Result.Wrote = l.cfg.Clock.Now()
	if err := w.TouchAsFound(ctx); err != nil {
		return "", err
	}
	in := &lambda.PublishLayerVersionInput{
		LayerName: &step.Name,
		Content: &types.LayerVersionContentInput{
			S3Bucket: &step.Content.Bucket, S3Key: &step.Content.Key, S3ObjectVersion: optional(step.Content.VersionID),
		},
		Description: optional(step.Description),
	}
	for _, runtime := range step.Runtimes {
		in.CompatibleRuntimes = append(in.CompatibleRuntimes, types.Runtime(runtime))
	}
	for _, architecture := range step.Architectures {
		in.CompatibleArchitectures = append(in.CompatibleArchitectures, types.Architecture(architecture))
	}
	out, err := api.PublishLayerVersion(ctx, in)
	if err != nil {
		return "", refused(err, w.Target.Site, "publish layer %q", step.Name)
	}
	arn := aws.ToString(out.LayerVersionArn)
	return arn, l.cfg.Known.PutLayerVersion(ctx, step.Name, w.Target.Region, step.Digest, arn)
}

// optional is nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
