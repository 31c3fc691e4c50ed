package policy

import (
	"fmt"
	"regexp"

	"github.com/tagboat/tagboat/internal/release"
)

// Upload is a CI that uploads artifacts, as iam/github-oidc.yaml has it.
type Upload struct {
	Tools Place
	// Bucket is the uploads bucket.
	Bucket string
	// Apps are those below whose prefixes it may put objects.
	Apps []string
	// Repository is whom the role trusts; the permissions need none.
	Repository Repository
}

// Repository is a repository at GitHub and the ref, or a pattern of refs, whose workflows upload.
type Repository struct {
	Owner, Name string
	// OwnerID and ID are GitHub's numbers, which no rename and no successor of the name changes.
	OwnerID, ID string
	Ref         string
}

const (
	// issuer is the host of GitHub's OpenID Connect provider, and the prefix of its claims in conditions.
	issuer = "token.actions.githubusercontent.com"
	// audience is what a token must have been made for: AWS.
	audience = "sts.amazonaws.com"
)

// uploadActions put objects, in one part or many: the other calls of a multipart
// upload are allowed by s3:PutObject (S3 user guide, Multipart upload and
// permissions). Nothing is read, and nothing deleted.
func uploadActions() []string { return []string{"s3:PutObject", "s3:AbortMultipartUpload"} }

var (
	appPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	ownerPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	idPattern     = regexp.MustCompile(`^[1-9][0-9]*$`)
	refPattern    = regexp.MustCompile(`^refs/(heads|tags)/[^:\s]+$`)
)

// Check tells what is wrong with an upload, by the flags of the command.
func (u Upload) Check(trust bool) error {
	if trust {
		return u.checkTrust()
	}
	if err := match("--bucket", u.Bucket, bucketPattern, "the name of the uploads bucket", "tagboat-uploads-999999999999-us-east-1"); err != nil {
		return err
	}
	if len(u.Apps) == 0 {
		return release.Errorf(release.Invalid, "--apps is missing: want the apps whose artifacts are uploaded").WithRemedy("For example --apps orders.")
	}
	for _, app := range u.Apps {
		if err := match("--apps", app, appPattern, "names of apps, as the registry has them", "orders"); err != nil {
			return err
		}
	}
	return nil
}

func (u Upload) checkTrust() error {
	r := u.Repository
	for _, c := range []struct {
		flag, value   string
		pattern       *regexp.Regexp
		want, example string
	}{
		{"--account", u.Tools.Account, accountPattern, "the 12 digits of the account of the uploads bucket", "999999999999"},
		{"--repository", r.Owner, ownerPattern, "owner/name", "acme/orders"},
		{"--repository", r.Name, namePattern, "owner/name", "acme/orders"},
		{"--repository-id", r.ID, idPattern, "GitHub's number: gh api repos/OWNER/NAME --jq .id", "186853002"},
		{"--owner-id", r.OwnerID, idPattern, "GitHub's number: gh api repos/OWNER/NAME --jq .owner.id", "21031067"},
		{"--ref", r.Ref, refPattern, "refs/tags/… or refs/heads/…, with * as a wildcard", "'refs/tags/v*'"},
	} {
		if err := match(c.flag, c.value, c.pattern, c.want, c.example); err != nil {
			return err
		}
	}
	return nil
}

// Permissions are what the CI may do: put objects below the prefixes of its apps.
func (u Upload) Permissions() Document {
	var resources []string
	for _, app := range u.Apps {
		for _, prefix := range []string{"artifacts", "drops"} {
			resources = append(resources, u.Tools.global("s3", "", fmt.Sprintf("%s/%s/%s/*", u.Bucket, prefix, app)))
		}
	}
	return document(allow("Upload", uploadActions(), resources...))
}

// Trust is who may assume the role of the CI: workflows of the repository that
// run at the ref. The sub of repositories that are new, renamed or transferred
// names the ids, that of others does not (GitHub, OpenID Connect reference); the
// id is asked for in either case.
func (u Upload) Trust() Document {
	r := u.Repository
	trust := Statement{
		Effect: "Allow", Action: []string{"sts:AssumeRoleWithWebIdentity"},
		Principal: map[string][]string{"Federated": {u.Tools.global("iam", u.Tools.Account, "oidc-provider/"+issuer)}},
	}
	trust.Condition = map[string]map[string][]string{
		"StringEquals": {issuer + ":aud": {audience}, issuer + ":repository_id": {r.ID}},
		"StringLike": {issuer + ":sub": {
			fmt.Sprintf("repo:%s/%s:ref:%s", r.Owner, r.Name, r.Ref),
			fmt.Sprintf("repo:%s@%s/%s@%s:ref:%s", r.Owner, r.OwnerID, r.Name, r.ID, r.Ref),
		}},
	}
	return document(trust)
}
