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
	// Principals are whom it names.
	Principals []string
}

// Removable refuses to remove a statement that makes a grant and grants something
// else as well; the error is of kind [release.Conflict].
func (s Statement) Removable(arn string, grant release.Grant) error {
	if len(s.Grants) == 1 && len(s.Principals) == 1 && s.ID != "" {
		return nil
	}
	return release.Errorf(release.Conflict, "statement %q of layer version %s grants others than %s as well: principal %q", s.ID, arn, grant, s.Principals).
		WithRemedy("Replace it by hand with a statement for each principal: aws lambda add-layer-version-permission, then remove-layer-version-permission.")
}

// Removable is nil if every statement that makes a grant can be removed.
func (v Version) Removable(grant release.Grant) error {
	for _, s := range v.Statements {
		if !slices.Contains(s.Grants, grant) {
			continue
		}
		if err := s.Removable(v.ARN, grant); err != nil {
			return err
		}
	}
	return nil
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
	seen.Statements = p.told()
	return true, seen, nil
}

// told are the statements of a policy, for others.
func (p policy) told() []Statement {
	var all []Statement
	for _, s := range p.statements {
		all = append(all, Statement{ID: s.Sid, Grants: s.grants(), Principals: s.Principal})
	}
	return all
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
	// unshareSettle is how long a policy that does not show the grant is not believed
	// where it may be one from before the grant was made.
	unshareSettle = release.ReadLag + time.Second
)

// errStillThere is why nothing came of it where no call failed.
var errStillThere = errors.New("the grant is still there, or was made anew each time")

// TakeBack removes every statement that makes a grant, and has seen the policy
// without any when it returns. It can be repeated after any error. A statement
// that grants something else as well is left alone: the error is of kind
// [release.Conflict]. began tells whether a statement was removed, or may have
// been, also with an error.
func (u *Unsharer) TakeBack(ctx context.Context, target release.Target, arn string, grant release.Grant) (began bool, err error) {
	v, err := parseVersion(arn)
	if err != nil {
		return false, err
	}
	api, err := u.Lambda(ctx, target)
	if err != nil {
		return false, err
	}
	t := &taking{api: api, site: target.Site, version: v, grant: grant}
	var last error
	for range unshareTries {
		gone, err := t.one(ctx)
		wait := unsharePause
		switch {
		case gone && t.sure:
			return t.began, nil
		case gone:
			t.sure, wait = true, unshareSettle
		case err == nil || awserr.Is(err, awserr.NotFound): // look again
		case !isRace(err) && release.KindOf(err) != release.Transient:
			return t.began, err
		}
		if err != nil {
			last = err
		}
		if err := u.Clock.Sleep(ctx, wait); err != nil {
			return t.began, release.Errorf(release.Transient, "take layer version %s back from %s: %w", v, grant, err)
		}
	}
	return t.began, release.Errorf(release.Transient, "layer version %s could not be taken back from %s in %d tries: %w", v, grant, unshareTries,
		cmp.Or(last, errStillThere)).
		WithRemedy("Run the same again: it goes on where it was.")
}

// taking is one run of [Unsharer.TakeBack].
type taking struct {
	api     Revoker
	site    release.Site
	version version
	grant   release.Grant
	// began is true once a statement may have been removed.
	began bool
	// sure is true if a policy without the grant is not one from before it was made.
	sure bool
}

// one looks at the policy and removes one statement; gone is true if there is none.
func (t *taking) one(ctx context.Context) (gone bool, err error) {
	p, err := readPolicy(ctx, t.api, t.site, t.version)
	if err != nil {
		return false, err
	}
	var making []Statement
	for _, s := range p.told() {
		if !slices.Contains(s.Grants, t.grant) {
			continue
		}
		if err := s.Removable(t.version.String(), t.grant); err != nil {
			return false, err
		}
		making = append(making, s)
	}
	if len(making) == 0 {
		return true, nil
	}
	t.sure = false
	_, err = t.api.RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{
		LayerName: &t.version.name, VersionNumber: &t.version.number, StatementId: &making[0].ID, RevisionId: optional(p.revision),
	})
	if err == nil {
		// By its revision the policy was the one that we read: with the last statement of
		// the grant, the grant is gone. Any other may have statements that we have not seen.
		t.began, t.sure = true, p.revision != "" && len(making) == 1
		return false, nil
	}
	// Not found is what is gone already: by a call of ours whose answer was lost, or with the version.
	err = refused(err, t.site, "take layer version %s back from %s", t.version, t.grant)
	t.began = t.began || release.KindOf(err) != release.Denied
	return false, err
}
