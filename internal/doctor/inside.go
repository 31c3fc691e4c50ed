package doctor

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// Roles assumes roles.
type Roles interface {
	AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
}

// Functions looks at functions.
type Functions interface {
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
}

// Objects looks at objects.
type Objects interface {
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
}

// Inside looks from where Tagboat works: with a role that target accounts trust.
type Inside struct {
	Registry release.Registry
	// Ledger tells what was released where; nil where there is none.
	Ledger *ledger.Ledger
	Roles  Roles
	// Functions and Objects are clients at a target, narrowed to a phase.
	Functions func(context.Context, release.Target, release.Phase) (Functions, error)
	Objects   func(context.Context, release.Target, release.Phase) (Objects, error)
	// Layers reads layer versions as a target does, and answers what is in the way.
	Layers func(ctx context.Context, t release.Target, arns []string) []error
}

// Question is what is asked of [Inside]: manifests name functions of which the
// ledger knows nothing yet.
type Question struct {
	Manifests []release.Manifest `json:"manifests,omitempty"`
}

// use is a function at a site.
type use struct {
	target      release.Target
	name, alias string
	manifest    bool // named by a manifest, which knows whether there is an alias
}

// Do looks at the roles of all environments, and at what was released there.
func (i *Inside) Do(ctx context.Context, q Question) Report {
	report := &Report{}
	usable := map[string]bool{}
	for _, env := range i.Registry.Environments {
		usable[env.Name] = i.roles(ctx, report, env)
	}
	uses, objects := i.known(ctx, report, q)
	readable := map[string]bool{}
	for _, u := range uses {
		l := report.look("function", u.name+" at "+u.target.Site.String())
		switch {
		case !usable[u.target.Environment]:
			l.skip("the role of environment %q cannot be assumed", u.target.Environment)
		case !l.ended(ctx):
			i.function(ctx, report, u, readable)
		}
	}
	for _, o := range objects {
		l := report.look("staged code", o.target.App+" at "+o.target.Site.String())
		switch {
		case !usable[o.target.Environment]:
			l.skip("the role of environment %q cannot be assumed", o.target.Environment)
		case !l.ended(ctx):
			i.object(ctx, l, o)
		}
	}
	return *report
}

// nothing is a session policy by which nothing is allowed: the roles are
// assumed, and not used.
const nothing = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`

const (
	minSession = 900 // seconds: the least that STS grants
	asDoctor   = "tagboat-doctor"
)

// roles assumes the role of an environment with its external id, and without it.
func (i *Inside) roles(ctx context.Context, report *Report, env release.Environment) bool {
	target := release.Target{Site: release.Site{Account: env.Account, Region: env.Regions[0]}, Role: env.Role}
	arn := awsapi.RoleARN(target)
	with := report.look("role", arn+" with the external id of "+env.Name)
	without := report.look("role", arn+" without an external id")
	assume := func(externalID string) error {
		in := &sts.AssumeRoleInput{
			RoleArn: &arn, RoleSessionName: aws.String(asDoctor), Policy: aws.String(nothing), DurationSeconds: aws.Int32(minSession),
		}
		if externalID != "" {
			in.ExternalId = &externalID
		}
		_, err := i.Roles.AssumeRole(ctx, in)
		return err
	}
	const denied = "Deploy iam/target-account.yaml in account %s, with ExternalId %q and the stack's name; the registry names the role %q."
	switch err := assume(env.ExternalID); {
	case err == nil:
		with.ok("it can be assumed")
	case gone.KindOf(err) == release.Denied:
		with.fail(fmt.Sprintf(denied, env.Account, env.ExternalID, env.Role), "it cannot be assumed: %v", err)
		without.skip("it cannot be assumed with it either")
		return false
	default:
		with.skip("AWS could not be asked: %v", err)
		without.skip("AWS could not be asked with it either")
		return false
	}
	switch err := assume(""); {
	case err == nil:
		without.fail("Let the role's trust policy ask for sts:ExternalId, as iam/target-account.yaml does.",
			"it can be assumed without one: account %s does not ask for it", env.Account)
	case gone.KindOf(err) == release.Denied:
		without.ok("it is refused, as it should be")
	default:
		without.skip("AWS could not be asked: %v", err)
	}
	return true
}

// function looks at a function, its alias and the layers that it has.
func (i *Inside) function(ctx context.Context, report *Report, u use, readable map[string]bool) {
	l := report.look("function", u.name+" at "+u.target.Site.String())
	api, err := i.Functions(ctx, u.target, release.PhaseSnapshot)
	if err != nil {
		l.skip("no client could be made: %v", err)
		return
	}
	out, err := api.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &u.name})
	if err != nil {
		i.unseen(l, u, err)
		return
	}
	l.ok("it can be seen")
	i.alias(ctx, l, api, u)
	var arns []string
	for _, layer := range out.Configuration.Layers {
		arns = append(arns, aws.ToString(layer.Arn))
	}
	i.layers(ctx, report, u.target, arns, readable)
}

func (i *Inside) unseen(l look, u use, err error) {
	switch {
	case awserr.Is(err, awserr.NotFound):
		l.fail("Create it there first: Tagboat updates functions, it creates none.", "it is not there")
	case gone.KindOf(err) == release.Denied:
		l.fail("Add the function to FunctionNames of iam/target-account.yaml in account "+u.target.Account+".", "the role may not see it: %v", err)
	default:
		l.skip("it could not be asked for: %v", err)
	}
}

// alias looks for the alias that a manifest names.
func (i *Inside) alias(ctx context.Context, l look, api Functions, u use) {
	if !u.manifest || u.alias == "" {
		return
	}
	_, err := api.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &u.name, Name: &u.alias})
	switch {
	case err == nil:
		l.ok("it has the alias %q", u.alias)
	case awserr.Is(err, awserr.NotFound):
		l.warn("Let its callers use the alias; the first release makes it.", "it has no alias %q", u.alias)
	case gone.KindOf(err) == release.Denied:
		l.fail("Deploy iam/target-account.yaml of this version in account "+u.target.Account+".", "the role may not see its alias %q: %v", u.alias, err)
	default:
		l.skip("its alias %q could not be asked for: %v", u.alias, err)
	}
}

// layers reads each layer version once at each site.
func (i *Inside) layers(ctx context.Context, report *Report, t release.Target, arns []string, readable map[string]bool) {
	for _, arn := range arns {
		l := report.look("layer", arn+" from "+t.Site.String())
		if readable[l.object] || l.ended(ctx) {
			continue
		}
		readable[l.object] = true
		problems := i.Layers(ctx, t, []string{arn})
		if len(problems) == 0 {
			l.ok("it can be read")
			continue
		}
		err := problems[0]
		switch release.KindOf(err) {
		case release.Denied, release.NotFound, release.Invalid:
			l.fail(release.RemedyOf(err), "it cannot be read: the function runs on it, and its next update is refused: %v", err)
		default:
			l.skip("it could not be asked for: %v", err)
		}
	}
}

// staged is an object that a target role has to be able to read.
type staged struct {
	target release.Target
	object release.Object
}

// object reads an object as Lambda does when it takes the code: with the role.
func (i *Inside) object(ctx context.Context, l look, o staged) {
	api, err := i.Objects(ctx, o.target, release.PhaseUpdate)
	if err != nil {
		l.skip("no client could be made: %v", err)
		return
	}
	_, err = api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.object.Bucket, Key: &o.object.Key, VersionId: &o.object.VersionID})
	switch kind := gone.KindOf(err); {
	case err == nil:
		l.ok("the role can read %s", o.object.Bucket)
	case kind == release.Denied:
		l.fail("Name account "+o.target.Account+" in TargetAccounts of the stack (and of iam/region.yaml), and the role by TargetRoleName.",
			"the role may not read s3://%s/%s: %v", o.object.Bucket, o.object.Key, err)
	case kind == release.NotFound:
		l.fail("Release again: nothing may delete what is below staged/.", "s3://%s/%s is not there any more", o.object.Bucket, o.object.Key)
	default:
		l.skip("the bucket could not be asked: %v", err)
	}
}
