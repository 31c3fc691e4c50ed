package layer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// Revoker is what is needed of Lambda to take grants back. It is no part of
// [API]: no task of a release can.
type Revoker interface {
	PolicyReader
	GetLayerVersion(context.Context, *lambda.GetLayerVersionInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionOutput, error)
	RemoveLayerVersionPermission(context.Context, *lambda.RemoveLayerVersionPermissionInput, ...func(*lambda.Options)) (*lambda.RemoveLayerVersionPermissionOutput, error)
	ListFunctions(context.Context, *lambda.ListFunctionsInput, ...func(*lambda.Options)) (*lambda.ListFunctionsOutput, error)
}

var _ Revoker = (*lambda.Client)(nil)

// Unsharer looks at whom layer versions are shared with and who uses them, and
// takes grants back.
//
// It needs no lease: releases only add grants, every write carries the revision
// of the policy that was read, and what is to go is on record before it goes
// ([Revoked]), so that a release that shares the same version at the same time
// leaves it out.
type Unsharer struct {
	// Lambda gives a client at a target.
	Lambda func(context.Context, release.Target) (Revoker, error)
	Clock  clock.Clock
}

// Version is a layer version with those it is shared with.
type Version struct {
	ARN string
	// CodeSHA256 is that of its zip, in base64.
	CodeSHA256 string
	// Revision is that of its policy; empty if nothing is granted.
	Revision   string
	Statements []Statement
}

// Statement is a statement of a layer version's policy.
type Statement struct {
	ID string
	// Grants are what it grants. One that is not understood has none, and may grant anything.
	Grants []release.Grant
}

// Grants are those of all statements.
func (v Version) Grants() []release.Grant {
	var all []release.Grant
	for _, s := range v.Statements {
		all = append(all, s.Grants...)
	}
	return all
}

// ParseVersion takes the ARN of a layer version apart.
func ParseVersion(arn string) (account, region, name string, number int64, err error) {
	v, err := parseVersion(arn)
	return v.account, v.region, v.name, v.number, err
}

// Look reads a layer version at a target; found is false if there is none.
func (u *Unsharer) Look(ctx context.Context, target release.Target, name string, number int64) (found bool, seen Version, err error) {
	api, err := u.Lambda(ctx, target)
	if err != nil {
		return false, seen, err
	}
	out, err := api.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: &name, VersionNumber: &number})
	switch {
	case awserr.Is(err, awserr.NotFound):
		return false, seen, nil
	case err != nil:
		return false, seen, refused(err, target.Site, "read version %d of layer %q", number, name)
	}
	seen.ARN = aws.ToString(out.LayerVersionArn)
	if out.Content != nil {
		seen.CodeSHA256 = aws.ToString(out.Content.CodeSha256)
	}
	v, err := parseVersion(seen.ARN)
	if err != nil {
		return false, seen, err
	}
	p, err := readPolicy(ctx, api, target.Site, v)
	if err != nil {
		return false, seen, err
	}
	seen.Revision = p.revision
	for _, s := range p.statements {
		seen.Statements = append(seen.Statements, Statement{ID: s.Sid, Grants: s.grants()})
	}
	return true, seen, nil
}

// Use is a function that uses a layer version, with which of its versions do.
type Use struct {
	Function string
	Versions []string
}

// Uses finds the functions of a target that use a layer version: $LATEST and
// every published version, whoever made them; sorted by name.
func (u *Unsharer) Uses(ctx context.Context, target release.Target, arn string) ([]Use, error) {
	api, err := u.Lambda(ctx, target)
	if err != nil {
		return nil, err
	}
	versions := map[string][]string{}
	in := &lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll}
	for {
		out, err := api.ListFunctions(ctx, in)
		if err != nil {
			return nil, refused(err, target.Site, "list the functions that use layers")
		}
		for _, f := range out.Functions {
			if slices.ContainsFunc(f.Layers, func(l types.Layer) bool { return aws.ToString(l.Arn) == arn }) {
				name := aws.ToString(f.FunctionName)
				versions[name] = append(versions[name], aws.ToString(f.Version))
			}
		}
		if in.Marker = out.NextMarker; aws.ToString(in.Marker) == "" {
			break
		}
	}
	uses := []Use{}
	for name, of := range versions {
		uses = append(uses, Use{Function: name, Versions: of})
	}
	slices.SortFunc(uses, func(a, b Use) int { return strings.Compare(a.Function, b.Function) })
	return uses, nil
}

const (
	// unshareTries is how often a policy is looked at until a grant is gone: each
	// statement takes one, and so does each write by others, each failure in between,
	// and each look that does not show the last write yet.
	unshareTries = 40
	unsharePause = 500 * time.Millisecond
	// unshareSettle is how long a policy that never showed the grant is not believed:
	// it may be one from before the grant was made.
	unshareSettle = 11 * time.Second
)

// errStillThere is why nothing came of it where no call failed.
var errStillThere = errors.New("the grant is still there, or was made anew each time")

// TakeBack removes every statement that makes a grant, and has seen the policy
// without any when it returns. It can be repeated after any error. A statement
// that grants something else as well is left alone: the error is of kind
// [release.Conflict], and nothing is removed.
func (u *Unsharer) TakeBack(ctx context.Context, target release.Target, arn string, grant release.Grant) error {
	v, err := parseVersion(arn)
	if err != nil {
		return err
	}
	api, err := u.Lambda(ctx, target)
	if err != nil {
		return err
	}
	var last error
	var sure bool // that a policy without the grant is not one from before it was made
	for range unshareTries {
		gone, err := takeOne(ctx, api, target.Site, v, grant)
		wait := unsharePause
		switch {
		case gone && sure:
			return nil
		case gone:
			sure, wait = true, unshareSettle
		case err == nil || awserr.Is(err, awserr.NotFound): // look again
			sure = true
		case !isRace(err) && release.KindOf(err) != release.Transient:
			return err
		}
		if err != nil {
			last = err
		}
		if err := u.Clock.Sleep(ctx, wait); err != nil {
			return release.Errorf(release.Transient, "take layer version %s back from %s: %w", v, grant, err)
		}
	}
	return release.Errorf(release.Transient, "layer version %s could not be taken back from %s in %d tries: %w", v, grant, unshareTries,
		cmp.Or(last, errStillThere)).
		WithRemedy("Run the same again: it goes on where it was.")
}

// takeOne looks at the policy and removes one statement; gone is true if there is none.
func takeOne(ctx context.Context, api Revoker, site release.Site, v version, grant release.Grant) (gone bool, err error) {
	p, err := readPolicy(ctx, api, site, v)
	if err != nil {
		return false, err
	}
	id, found := "", false
	for _, s := range p.statements {
		grants := s.grants()
		if !slices.Contains(grants, grant) {
			continue
		}
		if len(grants) > 1 || len(s.Principal) > 1 || s.Sid == "" {
			return false, release.Errorf(release.Conflict, "statement %q of layer version %s grants others than %s as well: principal %q", s.Sid, v, grant, s.Principal).
				WithRemedy("Replace it by hand with a statement for each principal: aws lambda add-layer-version-permission, then remove-layer-version-permission.")
		}
		id, found = s.Sid, true
	}
	if !found {
		return true, nil
	}
	_, err = api.RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{
		LayerName: &v.name, VersionNumber: &v.number, StatementId: &id, RevisionId: optional(p.revision),
	})
	if err == nil {
		return false, nil
	}
	// Not found is what is gone already: by a call of ours whose answer was lost, or with the version.
	return false, refused(err, site, "take layer version %s back from %s", v, grant)
}
