package layer

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// Wanted is a layer content of which a published version is looked for.
type Wanted struct {
	Name string
	// Digest is the [release.LayerDigest].
	Digest string
	// CodeSHA256 is that of the zip that would be published, in base64.
	CodeSHA256    string
	Runtimes      []string
	Architectures []string
}

// layersAtOnce is how many layers are looked for side by side.
const layersAtOnce = 4

// Snapshot finds published versions with their grants, by digest. What is not
// published is not in the answer. Nothing is remembered: who only looks may not
// say which version has a content.
func (l *Layers) Snapshot(ctx context.Context, target release.Target, wanted []Wanted) (map[string]release.LayerState, error) {
	api, err := l.cfg.Lambda(ctx, target, release.PhaseSnapshot)
	if err != nil {
		return nil, err
	}
	states := make([]release.LayerState, len(wanted))
	errs := make([]error, len(wanted))
	clock.Each(l.cfg.Clock, len(wanted), layersAtOnce, func(i int) {
		states[i], errs[i] = l.observe(ctx, api, target.Site, wanted[i])
	})
	found := map[string]release.LayerState{}
	for i, state := range states {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if state.ARN != "" {
			found[state.Digest] = state
		}
	}
	return found, nil
}

// observe is a version of the layer with its grants; without an ARN if there is none.
func (l *Layers) observe(ctx context.Context, api API, site release.Site, want Wanted) (release.LayerState, error) {
	v, ok, _, err := l.find(ctx, api, site, want)
	if err != nil || !ok {
		return release.LayerState{}, err
	}
	policy, err := readPolicy(ctx, api, site, v)
	return release.LayerState{ARN: v.String(), Version: v.number, Digest: want.Digest, Grants: policy.grants()}, err
}

// find looks for a published version with the wanted content: first the one
// that is remembered, then the newest. known tells which of the two it is.
func (l *Layers) find(ctx context.Context, api Reader, site release.Site, want Wanted) (v version, ok, known bool, err error) {
	arn, known, err := l.cfg.Known.LayerVersion(ctx, want.Name, site.Region, want.Digest)
	if err != nil {
		return version{}, false, false, err
	}
	if known {
		v, ok, err := verify(ctx, api, site, want, arn)
		if ok || err != nil {
			return v, ok, true, err
		}
	}
	v, ok, err = newest(ctx, api, site, want)
	return v, ok && err == nil, false, err
}

// recall is find for who publishes: a version that is recognised by its content is
// remembered in [Known].
func (l *Layers) recall(ctx context.Context, api Reader, site release.Site, want Wanted) (version, bool, error) {
	v, ok, known, err := l.find(ctx, api, site, want)
	if err != nil || !ok || known {
		return v, ok, err
	}
	return v, true, l.cfg.Known.PutLayerVersion(ctx, want.Name, site.Region, want.Digest, v.String())
}

// verify reads the remembered version: it can have been deleted. Its content is
// that of the digest; the zip can have been compressed in another way.
func verify(ctx context.Context, api Reader, site release.Site, want Wanted, arn string) (version, bool, error) {
	v, out, err := readVersion(ctx, api, site, arn)
	return v, out != nil && want.suits(out), err
}

// readVersion reads a version; out is nil if it is not there.
func readVersion(ctx context.Context, api Reader, site release.Site, arn string) (v version, out *lambda.GetLayerVersionOutput, err error) {
	if v, err = parseVersion(arn); err != nil {
		return v, nil, err
	}
	out, err = api.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: &v.name, VersionNumber: &v.number})
	switch {
	case awserr.Is(err, awserr.NotFound):
		return v, nil, nil
	case err != nil:
		return v, nil, refused(err, site, "read layer version %s", arn)
	}
	return v, out, nil
}

// newest reads the newest version and compares it.
func newest(ctx context.Context, api Reader, site release.Site, want Wanted) (version, bool, error) {
	versions, err := listVersions(ctx, api, site, want.Name)
	if err != nil || len(versions) == 0 {
		return version{}, false, err
	}
	return matching(ctx, api, site, want, aws.ToString(versions[len(versions)-1].LayerVersionArn))
}

// listVersions are the versions of a layer, the oldest first; none if there is no such layer.
func listVersions(ctx context.Context, api Reader, site release.Site, name string) ([]types.LayerVersionsListItem, error) {
	var versions []types.LayerVersionsListItem
	in := &lambda.ListLayerVersionsInput{LayerName: &name}
	for {
		out, err := api.ListLayerVersions(ctx, in)
		if awserr.Is(err, awserr.NotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, refused(err, site, "list the versions of layer %q", name)
		}
		versions = append(versions, out.LayerVersions...)
		if in.Marker = out.NextMarker; aws.ToString(in.Marker) == "" {
			break
		}
	}
	slices.SortFunc(versions, func(a, b types.LayerVersionsListItem) int { return cmp.Compare(a.Version, b.Version) })
	return versions, nil
}

// matching reads a version of which nothing is remembered: it has to be equal
// byte by byte.
func matching(ctx context.Context, api Reader, site release.Site, want Wanted, arn string) (version, bool, error) {
	v, out, err := readVersion(ctx, api, site, arn)
	if err != nil || out == nil || out.Content == nil || want.CodeSHA256 == "" {
		return v, false, err
	}
	return v, aws.ToString(out.Content.CodeSha256) == want.CodeSHA256 && want.suits(out), nil
}

// suits tells whether a version is for the wanted runtimes and architectures.
func (w Wanted) suits(out *lambda.GetLayerVersionOutput) bool {
	return sameSet(w.Runtimes, out.CompatibleRuntimes) && sameSet(w.Architectures, out.CompatibleArchitectures)
}

func sameSet[S ~string](want []string, got []S) bool {
	a, b := slices.Clone(want), make([]string, len(got))
	for i, s := range got {
		b[i] = string(s)
	}
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
