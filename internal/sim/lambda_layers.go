package sim

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// layer is the versions of a layer of one account and region.
type layer struct {
	versions   []*layerVersion // those that are not deleted, in the order of their numbers
	lastNumber int64           // numbers are not used twice
}

// layerVersion is one version of a layer. Functions that have it keep it when it is deleted.
type layerVersion struct {
	target        layerTarget
	archive       *Archive
	runtimes      []types.Runtime
	architectures []types.Architecture
	description   string
	license       *string
	created       time.Time
	grants        []grant
	revision      string // of the policy
}

func (l *layerVersion) arn() string { return l.target.arn() }

// layerTarget is a layer version as a request or an ARN names it.
type layerTarget struct {
	account, region, name string
	number                int64 // 0: the layer
}

func (t layerTarget) layerARN() string {
	return "arn:aws:lambda:" + t.region + ":" + t.account + ":layer:" + t.name
}

func (t layerTarget) arn() string {
	if t.number == 0 {
		return t.layerARN()
	}
	return t.layerARN() + ":" + strconv.FormatInt(t.number, 10)
}

var (
	layerARNPattern  = regexp.MustCompile(`^arn:aws:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]{1,140})(?::([0-9]{1,18}))?$`)
	layerNamePattern = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,140}$`)
)

// parseLayerARN reads the ARN of a layer or of a layer version.
func parseLayerARN(arn string) (layerTarget, bool) {
	m := layerARNPattern.FindStringSubmatch(arn)
	if m == nil {
		return layerTarget{}, false
	}
	number, _ := strconv.ParseInt("0"+m[4], 10, 64) // at most 18 digits: cannot fail
	return layerTarget{region: m[1], account: m[2], name: m[3], number: number}, true
}

// layerTarget reads a layer's name or ARN and a number beside it.
func (c *LambdaClient) layerTarget(name *string, number *int64) layerTarget {
	t, ok := parseLayerARN(value(name))
	if !ok {
		t = layerTarget{account: c.session.account, region: c.region, name: value(name)}
	}
	if number != nil {
		t.number = *number
	}
	return t
}

// layerVersion is a layer version that is not deleted, or nil; c.mu is held.
func (c *Cloud) layerVersion(t layerTarget) *layerVersion {
	l, ok := c.region(t.account, t.region).layers[t.name]
	if !ok {
		return nil
	}
	for _, v := range l.versions {
		if v.target.number == t.number {
			return v
		}
	}
	return nil
}

// PublishLayerVersion makes a new version, also of content that is there already.
func (c *LambdaClient) PublishLayerVersion(ctx context.Context, in *lambda.PublishLayerVersionInput, _ ...func(*lambda.Options)) (*lambda.PublishLayerVersionOutput, error) {
	t := c.layerTarget(in.LayerName, nil)
	r := c.request("PublishLayerVersion", "PublishLayerVersion", t.arn())
	return do(ctx, r, func() (*lambda.PublishLayerVersionOutput, error) {
		if !layerNamePattern.MatchString(t.name) || t.account != c.session.account || t.region != c.region {
			return nil, apiError("ValidationException", fmt.Sprintf("Value '%s' at 'layerName' failed to satisfy constraint", value(in.LayerName)))
		}
		if in.Content == nil {
			return nil, invalid("Please provide a source for layer content.")
		}
		from := source{zip: in.Content.ZipFile, bucket: in.Content.S3Bucket, key: in.Content.S3Key, version: in.Content.S3ObjectVersion}
		a, err := c.archive(from, "PublishLayerVersion")
		if err != nil {
			return nil, err
		}
		v := c.session.cloud.addLayerVersion(t, in, a)
		out := lambda.PublishLayerVersionOutput(c.session.cloud.describeLayer(v))
		return &out, nil
	})
}

// addLayerVersion keeps a new version; c.mu is held.
func (c *Cloud) addLayerVersion(t layerTarget, in *lambda.PublishLayerVersionInput, a *Archive) *layerVersion {
	layers := c.region(t.account, t.region).layers
	l, ok := layers[t.name]
	if !ok {
		l = &layer{}
		layers[t.name] = l
	}
	l.lastNumber++
	t.number = l.lastNumber
	v := &layerVersion{
		target: t, archive: a, runtimes: slices.Clone(in.CompatibleRuntimes), architectures: slices.Clone(in.CompatibleArchitectures),
		description: value(in.Description), license: in.LicenseInfo, created: c.clock.Now(),
	}
	l.versions = append(l.versions, v)
	return v
}

// describeLayer is a layer version as GetLayerVersion answers it; the answers of the
// others convert from it. c.mu is held.
func (c *Cloud) describeLayer(v *layerVersion) lambda.GetLayerVersionOutput {
	return lambda.GetLayerVersionOutput{
		LayerArn: ptr(v.target.layerARN()), LayerVersionArn: ptr(v.arn()), Version: v.target.number,
		CompatibleRuntimes: slices.Clone(v.runtimes), CompatibleArchitectures: slices.Clone(v.architectures),
		Description: ptr(v.description), LicenseInfo: v.license, CreatedDate: ptr(lambdaTime(v.created)),
		Content: &types.LayerVersionContentOutput{
			CodeSha256: ptr(v.archive.CodeSha256()), CodeSize: int64(len(v.archive.data)), Location: ptr(c.location(v.archive)),
		},
	}
}

// GetLayerVersion tells about a layer version and where its content can be fetched.
func (c *LambdaClient) GetLayerVersion(ctx context.Context, in *lambda.GetLayerVersionInput, _ ...func(*lambda.Options)) (*lambda.GetLayerVersionOutput, error) {
	return c.getLayerVersion(ctx, "GetLayerVersion", c.layerTarget(in.LayerName, in.VersionNumber))
}

// GetLayerVersionByArn is GetLayerVersion by the version's ARN.
func (c *LambdaClient) GetLayerVersionByArn(ctx context.Context, in *lambda.GetLayerVersionByArnInput, _ ...func(*lambda.Options)) (*lambda.GetLayerVersionByArnOutput, error) {
	t, ok := parseLayerARN(value(in.Arn))
	if !ok || t.number == 0 {
		t = layerTarget{account: c.session.account, region: c.region, name: value(in.Arn)}
	}
	out, err := c.getLayerVersion(ctx, "GetLayerVersionByArn", t)
	if err != nil {
		return nil, err
	}
	byARN := lambda.GetLayerVersionByArnOutput(*out)
	return &byARN, nil
}

func (c *LambdaClient) getLayerVersion(ctx context.Context, action string, t layerTarget) (*lambda.GetLayerVersionOutput, error) {
	r := c.request(action, "GetLayerVersion", t.arn())
	r.permission = ""
	return do(ctx, r, func() (*lambda.GetLayerVersionOutput, error) {
		v, err := c.readLayer(r, t)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, notFound("The resource you requested does not exist.")
		}
		return ptr(c.session.cloud.describeLayer(v)), nil
	})
}

// readLayer is a layer version that the caller may read; nil for one of the caller's own
// account that does not exist. The caller's policies have to allow it, and in another
// account the policy of the layer version too; what is in another region is denied.
func (c *LambdaClient) readLayer(r request, t layerTarget) (*layerVersion, error) {
	sub := c.session.subject("lambda:GetLayerVersion", t.arn())
	if t.region != c.region {
		return nil, r.denied(sub, "because no resource-based policy allows the lambda:GetLayerVersion action")
	}
	v := c.session.cloud.layerVersion(t)
	var grants *policy
	if v != nil {
		grants = v.policy()
	}
	if err := r.authorizeOn(sub, t.account, grants); err != nil {
		return nil, err
	}
	return v, nil
}

// ListLayerVersions lists the versions of a layer of the caller's account, newest first
// and without their hashes. Another account's cannot be listed.
func (c *LambdaClient) ListLayerVersions(ctx context.Context, in *lambda.ListLayerVersionsInput, _ ...func(*lambda.Options)) (*lambda.ListLayerVersionsOutput, error) {
	t := c.layerTarget(in.LayerName, nil)
	r := c.request("ListLayerVersions", "ListLayerVersions", t.layerARN())
	return do(ctx, r, func() (*lambda.ListLayerVersionsOutput, error) {
		if t.account != c.session.account || t.region != c.region {
			sub := c.session.subject("lambda:ListLayerVersions", t.layerARN())
			return nil, r.denied(sub, "because no resource-based policy allows the lambda:ListLayerVersions action")
		}
		all := []types.LayerVersionsListItem{}
		if l, ok := c.session.cloud.region(t.account, t.region).layers[t.name]; ok {
			for _, v := range slices.Backward(l.versions) {
				if v.fits(in) {
					all = append(all, v.item())
				}
			}
		}
		some, next, err := page(all, in.Marker, in.MaxItems, pageOfVersions)
		return &lambda.ListLayerVersionsOutput{LayerVersions: some, NextMarker: next}, err
	})
}

func (l *layerVersion) fits(in *lambda.ListLayerVersionsInput) bool {
	if in.CompatibleRuntime != "" && !slices.Contains(l.runtimes, in.CompatibleRuntime) {
		return false
	}
	return in.CompatibleArchitecture == "" || slices.Contains(l.architectures, in.CompatibleArchitecture)
}

func (l *layerVersion) item() types.LayerVersionsListItem {
	return types.LayerVersionsListItem{
		LayerVersionArn: ptr(l.arn()), Version: l.target.number, Description: ptr(l.description), LicenseInfo: l.license,
		CompatibleRuntimes: slices.Clone(l.runtimes), CompatibleArchitectures: slices.Clone(l.architectures),
		CreatedDate: ptr(lambdaTime(l.created)),
	}
}

// DeleteLayerVersion deletes a version of the caller's account; one that is not there
// counts as deleted. Functions that have it keep it.
func (c *LambdaClient) DeleteLayerVersion(ctx context.Context, in *lambda.DeleteLayerVersionInput, _ ...func(*lambda.Options)) (*lambda.DeleteLayerVersionOutput, error) {
	t := c.layerTarget(in.LayerName, in.VersionNumber)
	return do(ctx, c.request("DeleteLayerVersion", "DeleteLayerVersion", t.arn()), func() (*lambda.DeleteLayerVersionOutput, error) {
		if l, ok := c.session.cloud.region(c.session.account, c.region).layers[t.name]; ok {
			l.versions = slices.DeleteFunc(l.versions, func(v *layerVersion) bool { return v.target == t })
		}
		return &lambda.DeleteLayerVersionOutput{}, nil
	})
}
